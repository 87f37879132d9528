//! What the pieces of a context cost in tokens.
//!
//! Every piece is counted once, when it is first about to be chosen; until then a candidate's
//! cost is guessed from its embedder tokens. Prices steer the choice; they are not the proof
//! that the context fits, since tokens of joined texts do not add up.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::Item;
use crate::context::render::visible::visible;
use crate::context::render::{Frame, Label, longest_run};
use crate::context::request::Format;
use crate::domain::chunk::Span;
use crate::ports::tokenizer::Tokenizer;

/// Bytes of one token where nothing better is known.
const BYTES_PER_TOKEN_GUESS: usize = 4;

/// Counts pieces of one assembly, each at most once.
pub(super) struct Prices<'a> {
    pub(super) items: &'a [Item<'a>],
    tokenizer: &'a dyn Tokenizer,
    format: Format,
    frame: Frame,
    /// The texts as the format writes them.
    framed: Vec<Cow<'a, str>>,
    words: Vec<usize>,
    bodies: Vec<Option<usize>>,
    labels: BTreeMap<(usize, bool), usize>,
    documents: Vec<Option<usize>>,
    fences: BTreeMap<usize, usize>,
    once: usize,
    /// Lowest share of its guess that a counted text turned out to have.
    share_min: f64,
}

impl<'a> Prices<'a> {
    pub(super) fn new(items: &'a [Item<'a>], format: Format, tokenizer: &'a dyn Tokenizer) -> Self {
        let frame = Frame::for_run(format, 0);
        let body = |item: &'a Item| {
            if item.verdict.is_none() { frame.framed(item.visible.trim()) } else { Cow::Borrowed("") }
        };
        let framed: Vec<Cow<str>> = items.iter().map(body).collect();
        let words = framed.iter().map(|text| words(text)).collect();
        let mut ends = String::new();
        frame.open(&mut ends);
        frame.close(&mut ends);
        Self {
            items,
            tokenizer,
            format,
            frame,
            framed,
            words,
            bodies: vec![None; items.len()],
            labels: BTreeMap::new(),
            documents: vec![None; items.len()],
            fences: BTreeMap::new(),
            once: if ends.is_empty() { 0 } else { tokenizer.count(&ends) },
            share_min: 1.0,
        }
    }

    /// What starts and ends a context.
    pub(super) fn once(&self) -> usize {
        self.once
    }

    /// Words of a candidate's text as it will be written.
    pub(super) fn words(&self, index: usize) -> usize {
        self.words[index]
    }

    /// A candidate's text, counted.
    pub(super) fn body(&mut self, index: usize) -> usize {
        if let Some(tokens) = self.bodies[index] {
            return tokens;
        }
        let tokens = self.tokenizer.count(&self.framed[index]);
        self.share_min = self.share_min.min(share(tokens, self.guess(index)));
        self.bodies[index] = Some(tokens);
        tokens
    }

    /// Whether a text, not counted yet, would not fit even if its guess were as much too high
    /// as the worst so far: counting it would be a waste.
    pub(super) fn is_hopeless(&self, index: usize, left: usize) -> bool {
        self.words[index].saturating_sub(1) > left || share(left, self.guess(index)) < self.share_min
    }

    /// Part of a candidate's text, counted; the part is given in bytes of the document.
    pub(super) fn part(&self, index: usize, part: Span) -> usize {
        let chunk = self.items[index].chunk;
        let text = &chunk.text[part.start - chunk.span.start..part.end - chunk.span.start];
        self.tokenizer.count(&self.frame.framed(&visible(text)))
    }

    /// A candidate's text: counted if it was, else guessed.
    pub(super) fn known(&self, index: usize) -> usize {
        self.bodies[index].unwrap_or_else(|| self.guess(index))
    }

    fn guess(&self, index: usize) -> usize {
        let chunk = self.items[index].chunk;
        match usize::try_from(chunk.embed_tokens).unwrap_or(usize::MAX) {
            0 => chunk.text.len() / BYTES_PER_TOKEN_GUESS,
            tokens => tokens,
        }
    }

    /// What starts and ends a passage of this candidate.
    pub(super) fn label(&mut self, index: usize, with_heading: bool) -> usize {
        let item = &self.items[index];
        let (frame, tokenizer) = (&self.frame, self.tokenizer);
        *self.labels.entry((index, with_heading)).or_insert_with(|| {
            let heading = if with_heading { item.heading.as_str() } else { "" };
            let label = Label { number: index + 1, span: item.chunk.span, heading, first: false };
            let mut text = String::new();
            frame.open_passage(&mut text, &label);
            frame.close_passage(&mut text);
            tokenizer.count(&text)
        })
    }

    /// What starts and ends this candidate's document.
    pub(super) fn document(&mut self, index: usize) -> usize {
        let item = &self.items[index];
        let (frame, tokenizer) = (&self.frame, self.tokenizer);
        *self.documents[item.group].get_or_insert_with(|| {
            let mut text = String::new();
            frame.open_document(&mut text, item.chunk.document_id.as_str(), item.chunk.version.get(), false);
            frame.close_document(&mut text);
            tokenizer.count(&text)
        })
    }

    /// Longest run of backticks of a candidate's text, where the format cares.
    pub(super) fn backticks(&self, index: usize) -> usize {
        if self.format == Format::Markdown { longest_run(&self.framed[index]) } else { 0 }
    }

    /// What the fences of one passage cost more because of a run of backticks.
    pub(super) fn fence_surplus(&mut self, run: usize) -> usize {
        let (format, tokenizer) = (self.format, self.tokenizer);
        let mut pair = |run: usize| {
            *self.fences.entry(run).or_insert_with(|| {
                let frame = Frame::for_run(format, run);
                let mut text = String::new();
                frame.close_passage(&mut text);
                2 * tokenizer.count(&text)
            })
        };
        pair(run).saturating_sub(pair(0))
    }
}

#[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
fn share(tokens: usize, of: usize) -> f64 {
    tokens as f64 / of.max(1) as f64
}

/// Words between ASCII white space that have a digit or a letter; of the letters, those of
/// the Latin, Greek and Cyrillic scripts are looked at.
fn words(text: &str) -> usize {
    let mut words = 0;
    let mut counted = false;
    for byte in text.bytes() {
        let speaks = byte.is_ascii_alphanumeric() || matches!(byte, 0xC3..=0xC9 | 0xCE..=0xD4);
        words += usize::from(speaks && !counted);
        counted = (counted || speaks) && !byte.is_ascii_whitespace();
    }
    words
}
