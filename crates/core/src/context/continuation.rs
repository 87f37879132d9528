//! Continuations: a context that starts with the previous one, byte for byte.
//!
//! A provider's prompt cache reuses the longest common prefix of two prompts. So in a conversation
//! the passages of earlier answers stay where they are and new passages follow. The caller hands
//! back the *continuation* of the previous answer: the places of its passages, not their text. The
//! passages are read again from this query's snapshot and rendered again. A passage is kept while
//! its document has that version, the caller may read it, the filter admits it, and its bytes are
//! equal. The first that fails ends the prefix. So does lack of room: the longest part is kept with
//! which the context has at least [`GAIN_SHARE_MIN`] of the gain of a fresh one. The answer says how
//! much was kept and what ended it.
//!
//! A passage of one of several collections names its collection, and is read again from there if the request
//! asks that collection. A continuation carries no authority: a forged one yields only what the caller may read.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde::{Deserialize, Serialize};

use super::answer::{AssembledContext, Passage, PrefixBreak, PrefixBreakReason, ReusedPrefix};
use super::assemble::{AssemblyInput, assemble_context, heading_at};
use super::federate::PinnedCollection;
use super::render::{ContextStyle, RenderedContext, plain_tag_in, render_with_tag};
use super::request::{AssemblyRequest, ContextQuery};
use crate::domain::chunk::{Chunk, SourcePlace, TextSpan};
use crate::domain::filter_subject::FilterSubject;
use crate::domain::ids::{DocumentId, FieldHasher, Version};
use crate::fault::{Fault, Refusal};
use crate::ports::tokenizer::Tokenizer;

/// Longest continuation, in bytes.
pub const CONTINUATION_BYTES_MAX: usize = 256 * 1024;
/// Least gain of a continued context, as a share of a fresh context's gain.
const GAIN_SHARE_MIN: f64 = 0.7;
/// The prefix is shortened in quarters: each try assembles a whole context.
const QUARTERS: usize = 4;

/// The places of an answer's passages, for the next answer to start with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Continuation {
    style: String,
    /// The tag of a plain context; the same tag keeps its bytes the same.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    tag: String,
    passages: Vec<PassageReference>,
}

/// The place of one passage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct PassageReference {
    /// Its collection, if the answer has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    collection: Option<String>,
    document: String,
    version: u64,
    start: usize,
    end: usize,
    /// Ordinals of its first and last chunk.
    chunks: (u32, u32),
    score: f32,
    /// Hash of the context up to the end of the passage.
    hash: u64,
}

impl Continuation {
    /// Parses the text that an answer returned.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let refuse = || {
            let message = "the continuation is not one that an answer gave";
            Refusal::invalid("invalid_continuation", "continuation", message)
        };
        // Before decoding: the text comes from outside.
        if text.len() > CONTINUATION_BYTES_MAX {
            return Err(refuse());
        }
        let bytes = BASE64.decode(text.trim()).map_err(|_| refuse())?;
        let continuation: Self = serde_json::from_slice(&bytes).map_err(|_| refuse())?;
        // The tag is written into the context: anything but digits could forge a marker line.
        let digits = continuation.tag.trim_start_matches('=');
        let tag_is_one = digits.len() <= TAG_DIGITS_MAX && digits.bytes().all(|byte| byte.is_ascii_digit());
        if tag_is_one { Ok(continuation) } else { Err(refuse()) }
    }

    /// Creates the continuation of an answer.
    pub fn from_assembled(assembled: &AssembledContext, style: &ContextStyle) -> Self {
        let ends = assembled.ends.iter().zip(&assembled.chunks);
        let place = |(rebuild_passage, (end, chunks)): (&Passage, (&usize, &(u32, u32)))| PassageReference {
            collection: rebuild_passage.collection.as_ref().map(|one| one.as_str().to_owned()),
            document: rebuild_passage.document_id.as_str().to_owned(),
            version: rebuild_passage.version.get(),
            start: rebuild_passage.span.start,
            end: rebuild_passage.span.end,
            chunks: *chunks,
            score: rebuild_passage.score,
            hash: context_hash(&assembled.context[..*end]),
        };
        let passages = assembled.passages.iter().zip(ends).map(place).collect();
        let tag = plain_tag_in(&assembled.context, style).unwrap_or_default().to_owned();
        Self { style: style.name().to_owned(), tag, passages }
    }

    /// The text that the caller hands back; empty if it would be too long.
    pub fn to_text(&self) -> String {
        let text = BASE64.encode(serde_json::to_vec(self).unwrap_or_default());
        if text.len() > CONTINUATION_BYTES_MAX { String::new() } else { text }
    }
}

/// Longest tag of a plain context, in digits.
const TAG_DIGITS_MAX: usize = 60;

fn context_hash(text: &str) -> u64 {
    let hash = FieldHasher::new("contexture continuation v1").field(text.as_bytes()).finish();
    // Eight bytes detect change, not attack: a forged hash only keeps what the caller may read anyway.
    hash.iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

/// The part of an earlier answer that still holds.
pub(super) struct RestoredPrefix {
    passages: Vec<Passage>,
    chunks: Vec<(u32, u32)>,
    tag: Option<String>,
    /// The context of these passages.
    text: String,
    broken: Option<PrefixBreak>,
}

/// Reads the passages again, up to the first that no longer holds.
pub(super) fn restore_prefix(
    continuation: &Continuation,
    pinned: &[PinnedCollection],
    query: &ContextQuery,
    style: &ContextStyle,
) -> Result<RestoredPrefix, Fault> {
    let tag = (!continuation.tag.is_empty()).then(|| continuation.tag.clone());
    let mut restored =
        RestoredPrefix { passages: Vec::new(), chunks: Vec::new(), tag, text: String::new(), broken: None };
    // Another style writes every byte anew, so nothing could be kept.
    if continuation.style != style.name() {
        restored.break_at(PrefixBreakReason::Style);
        return Ok(restored);
    }
    for place in &continuation.passages {
        match read_passage(place, pinned, query)? {
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
    let RenderedContext { text, ends } = render_with_tag(&restored.passages, style, restored.tag.as_deref());
    // The hash covers everything in front, so a change is found at the first passage that it touches.
    let same = |(place, end): &(&PassageReference, &usize)| context_hash(&text[..**end]) == place.hash;
    let holds = continuation.passages.iter().zip(&ends).take_while(same).count();
    if holds < restored.passages.len() {
        restored.keep(holds);
        restored.break_at(PrefixBreakReason::Changed);
    }
    restored.text = text;
    Ok(restored)
}

/// Reads one passage from the snapshot, or says why it no longer holds.
fn read_passage(
    place: &PassageReference,
    pinned: &[PinnedCollection],
    query: &ContextQuery,
) -> Result<Result<Passage, PrefixBreakReason>, Fault> {
    // The name comes from the caller: only a collection that this query opened is read.
    let Some(PinnedCollection { snapshot, source, .. }) =
        pinned.iter().find(|one| one.name() == place.collection.as_deref())
    else {
        return Ok(Err(PrefixBreakReason::Gone));
    };
    let (Ok(document_id), Ok(version)) = (DocumentId::new(&place.document), Version::new(place.version))
    else {
        return Ok(Err(PrefixBreakReason::Gone));
    };
    // Unreadable, deleted and unknown look the same from outside: Gone reveals nothing.
    let groups = query.principal.groups();
    match snapshot.head(&document_id)? {
        Some(head) if !head.acl.admits(groups) => return Ok(Err(PrefixBreakReason::Gone)),
        Some(head) if head.version == version && !head.deleted => {}
        Some(head) if !head.deleted => return Ok(Err(PrefixBreakReason::Superseded)),
        _ => return Ok(Err(PrefixBreakReason::Gone)),
    }
    // The ordinals come from the caller; the limit bounds what a forged continuation can make us read.
    let (first, last) = place.chunks;
    if last.saturating_sub(first) > PASSAGE_CHUNKS_MAX {
        return Ok(Err(PrefixBreakReason::Changed));
    }
    let chunks = snapshot.chunk_range(&document_id, first, last)?;
    if chunks.iter().any(|chunk| !chunk.description.acl.admits(groups)) {
        return Ok(Err(PrefixBreakReason::Gone));
    }
    let admitted = |chunk: &Arc<Chunk>| {
        query.filter.as_ref().is_none_or(|filter| filter.matches(&FilterSubject::of_chunk(chunk)))
    };
    if !chunks.iter().all(admitted) {
        return Ok(Err(PrefixBreakReason::Filtered));
    }
    let rebuilt = rebuild_passage(place, document_id, version, &chunks);
    let collection = source.as_ref().map(|source| source.collection.clone());
    Ok(rebuilt.map(|passage| Passage { collection, ..passage }).ok_or(PrefixBreakReason::Changed))
}

/// Most chunks of one passage that are read.
const PASSAGE_CHUNKS_MAX: u32 = 10_000;

fn rebuild_passage(
    place: &PassageReference,
    document_id: DocumentId,
    version: Version,
    chunks: &[Arc<Chunk>],
) -> Option<Passage> {
    let first = chunks.iter().find(|chunk| chunk.span.end > place.start)?;
    let base = chunks.first()?.span.start;
    // Chunks may overlap: of each only what is beyond the text so far is appended.
    let mut text = String::new();
    for chunk in chunks {
        let known = base + text.len();
        text.push_str(chunk.text.get(known.checked_sub(chunk.span.start)?..).unwrap_or_default());
    }
    let text = text.get(place.start.checked_sub(base)?..place.end.checked_sub(base)?)?;
    let span = TextSpan { start: place.start, end: place.end };
    let mut passage = Passage::new(document_id, version, span, text.to_owned());
    passage.describe(&first.description);
    let places = chunks.iter().filter_map(|chunk| chunk.source_place(span));
    let source = places.reduce(SourcePlace::union);
    Some(Passage { heading: heading_at(first, span.start), score: place.score, source, ..passage })
}

impl RestoredPrefix {
    fn break_at(&mut self, by: PrefixBreakReason) {
        self.broken = Some(PrefixBreak { passage: self.passages.len() + 1, by });
    }

    fn keep(&mut self, passages: usize) {
        self.passages.truncate(passages);
        self.chunks.truncate(passages);
    }
}

/// Assembles a context after as much of the prefix as leaves room for the new question.
pub(super) fn assemble_after_prefix(
    mut restored: RestoredPrefix,
    mut input: AssemblyInput,
    assembly: &AssemblyRequest,
    tokenizer: &dyn Tokenizer,
) -> (AssembledContext, ReusedPrefix) {
    // The measure for how much gain the prefix may cost, and the answer if none of it can stay.
    let fresh = assemble_context(&input, assembly, tokenizer);
    let all = restored.passages.len();
    let mut by = PrefixBreakReason::Room;
    for quarters in (1..=QUARTERS).rev() {
        let kept = all * quarters / QUARTERS;
        if kept == 0 {
            break;
        }
        // The whole assembly runs again: what is new depends on what is kept.
        input.kept = restored.passages[..kept].to_vec();
        input.tag.clone_from(&restored.tag);
        let mut assembled = assemble_context(&input, assembly, tokenizer);
        let gain = assembled.gain + assembled.kept_gain;
        let bytes = assembled.ends.get(kept - 1).copied().unwrap_or(0);
        // A new text that contains the tag changes all marker lines: the bytes decide, not the intention.
        let same = bytes > 0 && assembled.context.get(..bytes) == restored.text.get(..bytes);
        if !same || gain < GAIN_SHARE_MIN * fresh.gain {
            by = if same { PrefixBreakReason::Room } else { PrefixBreakReason::Fence };
            continue;
        }
        if kept < all {
            restored.keep(kept);
            restored.break_at(by);
        }
        assembled.chunks.splice(..0, restored.chunks.iter().copied().take(kept));
        let tokens = tokenizer.count(&assembled.context[..bytes]);
        return (assembled, ReusedPrefix { passages: kept, bytes, tokens, broken: restored.broken });
    }
    // Nothing could be kept: the reason of the last try replaces whatever ended the prefix earlier.
    if all > 0 && restored.broken.is_none_or(|broken| broken.passage > 1) {
        restored.keep(0);
        restored.break_at(by);
    }
    (fresh, ReusedPrefix { passages: 0, bytes: 0, tokens: 0, broken: restored.broken })
}
