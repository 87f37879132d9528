//! Cache mode: a context that starts with the one before, byte for byte.
//!
//! A provider's prompt cache reuses the longest common prefix of two prompts, so in a
//! conversation what was said stays where it is and new passages follow. The caller hands back
//! the *continuation* of the answer before: where its passages stand, not their text. They are
//! read again from this query's snapshot and written again, and kept as long as each still
//! holds: its document has that version, the caller may read it, the filter admits it, and its
//! bytes are the same. The first that does not hold breaks the prefix there, and so does a lack
//! of room: the longest part is kept with which the context has at least [`GAIN_SHARE_MIN`] of
//! the gain of one that starts anew. The answer says how much was kept and what broke it.
//!
//! A continuation carries no authority: whoever forges one gets what they may read.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde::{Deserialize, Serialize};

use super::answer::{Assembled, Broken, BrokenBy, Passage, Prefix};
use super::assemble::{AssemblyInput, assemble, heading};
use super::render::{Rendering, Style, render_marked, tag_in};
use super::request::{Assembly, Query};
use crate::domain::chunk::{Chunk, Span};
use crate::domain::ids::{DocumentId, Fields, Version};
use crate::fault::{Fault, Refusal};
use crate::ports::lexical::Snapshot;
use crate::ports::tokenizer::Tokenizer;

/// Longest continuation, in bytes.
pub const CONTINUATION_BYTES_MAX: usize = 256 * 1024;
/// Share of a fresh context's gain below which less of the prefix is kept.
const GAIN_SHARE_MIN: f64 = 0.7;
/// Parts of the prefix that are tried, in quarters.
const QUARTERS: usize = 4;

/// The passages of an answer, to go on from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Continuation {
    style: String,
    /// The tag of a plain context.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    tag: String,
    passages: Vec<Place>,
}

/// One passage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Place {
    document: String,
    version: u64,
    start: usize,
    end: usize,
    /// Ordinals of the first and the last chunk it is part of.
    chunks: (u32, u32),
    score: f32,
    /// Of the context up to its end.
    hash: u64,
}

impl Continuation {
    /// Reads what an answer gave.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let refuse = || {
            let message = "the continuation is not one that an answer gave";
            Refusal::invalid("invalid_continuation", "continuation", message)
        };
        if text.len() > CONTINUATION_BYTES_MAX {
            return Err(refuse());
        }
        let bytes = BASE64.decode(text.trim()).map_err(|_| refuse())?;
        let continuation: Self = serde_json::from_slice(&bytes).map_err(|_| refuse())?;
        let digits = continuation.tag.trim_start_matches('=');
        let tag_is_one = digits.len() <= TAG_DIGITS_MAX && digits.bytes().all(|byte| byte.is_ascii_digit());
        if tag_is_one { Ok(continuation) } else { Err(refuse()) }
    }

    /// The passages of an answer.
    pub fn of(assembled: &Assembled, style: &Style) -> Self {
        let ends = assembled.ends.iter().zip(&assembled.chunks);
        let place = |(passage, (end, chunks)): (&Passage, (&usize, &(u32, u32)))| Place {
            document: passage.document_id.as_str().to_owned(),
            version: passage.version.get(),
            start: passage.span.start,
            end: passage.span.end,
            chunks: *chunks,
            score: passage.score,
            hash: hash(&assembled.context[..*end]),
        };
        let passages = assembled.passages.iter().zip(ends).map(place).collect();
        let tag = tag_in(&assembled.context, style).unwrap_or_default().to_owned();
        Self { style: style.name().to_owned(), tag, passages }
    }

    /// As text, to be handed back; empty if it would be too long.
    pub fn to_text(&self) -> String {
        let text = BASE64.encode(serde_json::to_vec(self).unwrap_or_default());
        if text.len() > CONTINUATION_BYTES_MAX { String::new() } else { text }
    }
}

/// Longest tag of a plain context, in digits.
const TAG_DIGITS_MAX: usize = 60;

fn hash(text: &str) -> u64 {
    let hash = Fields::new("contexture continuation v1").field(text.as_bytes()).finish();
    hash.iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

/// What of an earlier answer still holds.
pub(super) struct Restored {
    passages: Vec<Passage>,
    chunks: Vec<(u32, u32)>,
    tag: Option<String>,
    /// The context of these passages.
    text: String,
    broken: Option<Broken>,
}

/// Reads the passages again, up to the first that does not hold.
pub(super) fn restore(
    continuation: &Continuation,
    snapshot: &Arc<dyn Snapshot>,
    query: &Query,
    style: &Style,
) -> Result<Restored, Fault> {
    let tag = (!continuation.tag.is_empty()).then(|| continuation.tag.clone());
    let mut restored =
        Restored { passages: Vec::new(), chunks: Vec::new(), tag, text: String::new(), broken: None };
    if continuation.style != style.name() {
        restored.break_at(BrokenBy::Style);
        return Ok(restored);
    }
    for place in &continuation.passages {
        match read(place, &**snapshot, query)? {
            Ok(passage) => {
                restored.passages.push(passage);
                restored.chunks.push(place.chunks);
            }
            Err(by) => {
                restored.break_at(by);
                break;
            }
        }
    }
    let Rendering { text, ends } = render_marked(&restored.passages, style, restored.tag.as_deref());
    let same = |(place, end): &(&Place, &usize)| hash(&text[..**end]) == place.hash;
    let holds = continuation.passages.iter().zip(&ends).take_while(same).count();
    if holds < restored.passages.len() {
        restored.keep(holds);
        restored.break_at(BrokenBy::Changed);
    }
    restored.text = text;
    Ok(restored)
}

/// Reads one passage from the snapshot, or why it does not hold.
fn read(place: &Place, snapshot: &dyn Snapshot, query: &Query) -> Result<Result<Passage, BrokenBy>, Fault> {
    let (Ok(document_id), Ok(version)) = (DocumentId::new(&place.document), Version::new(place.version))
    else {
        return Ok(Err(BrokenBy::Gone));
    };
    let groups = query.principal.groups();
    match snapshot.head(&document_id)? {
        Some(head) if !head.acl.admits(groups) => return Ok(Err(BrokenBy::Gone)),
        Some(head) if head.version == version && !head.deleted => {}
        Some(head) if !head.deleted => return Ok(Err(BrokenBy::Superseded)),
        _ => return Ok(Err(BrokenBy::Gone)),
    }
    let (first, last) = place.chunks;
    if last.saturating_sub(first) > CHUNKS_MAX {
        return Ok(Err(BrokenBy::Changed));
    }
    let chunks = snapshot.chunk_range(&document_id, first, last)?;
    if chunks.iter().any(|chunk| !chunk.description.acl.admits(groups)) {
        return Ok(Err(BrokenBy::Gone));
    }
    let admitted = |chunk: &Arc<Chunk>| {
        query.filter.as_ref().is_none_or(|filter| filter.matches(&chunk.description.metadata))
    };
    if !chunks.iter().all(admitted) {
        return Ok(Err(BrokenBy::Filtered));
    }
    Ok(passage(place, document_id, version, &chunks).ok_or(BrokenBy::Changed))
}

/// Most chunks of one passage that are read again.
const CHUNKS_MAX: u32 = 10_000;

fn passage(
    place: &Place,
    document_id: DocumentId,
    version: Version,
    chunks: &[Arc<Chunk>],
) -> Option<Passage> {
    let first = chunks.iter().find(|chunk| chunk.span.end > place.start)?;
    let base = chunks.first()?.span.start;
    let mut text = String::new();
    for chunk in chunks {
        let known = base + text.len();
        text.push_str(chunk.text.get(known.checked_sub(chunk.span.start)?..).unwrap_or_default());
    }
    let text = text.get(place.start.checked_sub(base)?..place.end.checked_sub(base)?)?;
    Some(Passage {
        document_id,
        version,
        span: Span { start: place.start, end: place.end },
        section: String::new(),
        heading: heading(first),
        score: place.score,
        text: text.to_owned(),
        also: Vec::new(),
    })
}

impl Restored {
    fn break_at(&mut self, by: BrokenBy) {
        self.broken = Some(Broken { passage: self.passages.len() + 1, by });
    }

    fn keep(&mut self, passages: usize) {
        self.passages.truncate(passages);
        self.chunks.truncate(passages);
    }
}

/// Assembles behind as much of the prefix as leaves room for what the question asks.
pub(super) fn assemble_behind(
    mut restored: Restored,
    mut input: AssemblyInput,
    assembly: &Assembly,
    tokenizer: &dyn Tokenizer,
) -> (Assembled, Prefix) {
    let fresh = assemble(&input, assembly, tokenizer);
    let all = restored.passages.len();
    let mut by = BrokenBy::Room;
    for quarters in (1..=QUARTERS).rev() {
        let kept = all * quarters / QUARTERS;
        if kept == 0 {
            break;
        }
        input.kept = restored.passages[..kept].to_vec();
        input.tag.clone_from(&restored.tag);
        let mut assembled = assemble(&input, assembly, tokenizer);
        let gain = assembled.gain + assembled.kept_gain;
        let bytes = assembled.ends.get(kept - 1).copied().unwrap_or(0);
        let same = bytes > 0 && assembled.context.get(..bytes) == restored.text.get(..bytes);
        if !same || gain < GAIN_SHARE_MIN * fresh.gain {
            by = if same { BrokenBy::Room } else { BrokenBy::Fence };
            continue;
        }
        if kept < all {
            restored.keep(kept);
            restored.break_at(by);
        }
        assembled.chunks.splice(..0, restored.chunks.iter().copied().take(kept));
        let tokens = tokenizer.count(&assembled.context[..bytes]);
        return (assembled, Prefix { passages: kept, bytes, tokens, broken: restored.broken });
    }
    if all > 0 && restored.broken.is_none_or(|broken| broken.passage > 1) {
        restored.keep(0);
        restored.break_at(by);
    }
    (fresh, Prefix { passages: 0, bytes: 0, tokens: 0, broken: restored.broken })
}
