//! Fills a token budget chunk by chunk.
//!
//! Tokens of joined texts nearly add up. If more than [`SLACK_TOKENS`] for each piece are left after
//! the sum of the pieces, a chunk fits; if the sum is over by more, it does not. In between, the
//! whole context is rendered and counted. The finished context is always counted; while it exceeds
//! the budget, the chunk that was admitted last is dropped.

use std::collections::HashMap;

use super::BaselineContext;
use contexture_core::context::answer::Passage;
use contexture_core::context::render::hidden_characters::visible_text;
use contexture_core::context::render::{DocumentHeader, FramingWriter, PassageLabel, render_passages};
use contexture_core::context::request::ContextFormat;
use contexture_core::domain::ids::{DocumentId, Version};
use contexture_core::ports::tokenizer::Tokenizer;

/// Most tokens by which a piece may change when it is joined with the rest.
const SLACK_TOKENS: usize = 2;

/// Fills one context.
pub(super) struct BudgetFiller<'a> {
    passages: &'a [Passage],
    budget: usize,
    format: ContextFormat,
    tokenizer: &'a dyn Tokenizer,
    frame: FramingWriter,
    texts: Vec<Option<usize>>,
    /// Indices of the admitted passages, in the order of admission.
    chosen: Vec<usize>,
    /// Tokens of the chosen passages: the last count of the whole plus the pieces since.
    tokens: usize,
    /// Passages admitted since the whole was counted.
    pieces: usize,
}

impl<'a> BudgetFiller<'a> {
    /// Starts with nothing chosen.
    pub(super) fn new(
        passages: &'a [Passage],
        budget: usize,
        format: ContextFormat,
        tokenizer: &'a dyn Tokenizer,
    ) -> Self {
        let frame = FramingWriter::for_texts(&format.into(), &[], None);
        let mut ends = String::new();
        frame.open(&mut ends);
        frame.close(&mut ends);
        let tokens = tokenizer.count(&ends);
        let texts = vec![None; passages.len()];
        Self { passages, budget, format, tokenizer, frame, texts, chosen: Vec::new(), tokens, pieces: 0 }
    }

    /// Admits every passage that fits, in this order.
    pub(super) fn offer_each(&mut self, order: impl IntoIterator<Item = usize>) {
        for index in order {
            self.offer(index);
        }
    }

    /// Admits passages in this order up to the first that does not fit.
    pub(super) fn offer_until_refused(&mut self, order: impl IntoIterator<Item = usize>) {
        for index in order {
            if !self.offer(index) {
                return;
            }
        }
    }

    /// Admits all. [`BudgetFiller::finish`] drops from the end what exceeds the budget.
    pub(super) fn admit_all(&mut self, order: impl IntoIterator<Item = usize>) {
        self.chosen.extend(order);
    }

    /// Tokens of a passage's text alone, counted once.
    pub(super) fn text_tokens(&mut self, index: usize) -> usize {
        let text = &self.passages[index].text;
        *self.texts[index]
            .get_or_insert_with(|| self.tokenizer.count(&self.frame.framed(&visible_text(text))))
    }

    /// The finished context.
    pub(super) fn finish(mut self) -> BaselineContext {
        // Ends: an empty context has no tokens.
        loop {
            let packed = self.packed();
            if packed.tokens <= self.budget {
                return packed;
            }
            self.chosen.pop();
        }
    }

    /// Admits a passage if it fits, and says whether it did.
    fn offer(&mut self, index: usize) -> bool {
        let estimate = self.tokens + self.price(index);
        let slack = SLACK_TOKENS * (self.pieces + 1);
        // Certainly too much: no count of the whole is needed.
        if estimate > self.budget + slack {
            return false;
        }
        // Plenty of room: the estimate is certain enough, and a count of the whole is saved.
        self.chosen.push(index);
        if estimate + slack <= self.budget {
            self.tokens = estimate;
            self.pieces += 1;
            return true;
        }
        let tokens = self.packed().tokens;
        if tokens > self.budget {
            self.chosen.pop();
            return false;
        }
        self.tokens = tokens;
        self.pieces = 0;
        true
    }

    /// Tokens that a passage adds: its text, its label, and the header of a new document.
    fn price(&mut self, index: usize) -> usize {
        let passage = &self.passages[index];
        let siblings = || {
            let chosen = self.chosen.iter().map(|other| &self.passages[*other]);
            chosen.filter(|other| document_key(other) == document_key(passage))
        };
        let heading_is_known = siblings().any(|other| other.heading == passage.heading);
        let is_first = siblings().next().is_none();
        let mut framing = String::new();
        let label = PassageLabel {
            number: self.chosen.len() + 1,
            span: passage.span,
            place: passage.source,
            heading: if heading_is_known { "" } else { &passage.heading },
            first: is_first,
            backticks: self.frame.backticks(&passage.text),
        };
        if is_first {
            let (id, version) = document_key(passage);
            let (id, version, first) = (id.as_str(), version.get(), self.chosen.is_empty());
            let header = DocumentHeader { id, version, first, section: "", starts_section: false };
            self.frame.open_document(&mut framing, &header);
        }
        self.frame.open_passage(&mut framing, &label);
        self.frame.close_passage(&mut framing, &label);
        if is_first {
            self.frame.close_document(&mut framing);
        }
        self.tokenizer.count(&framing) + self.text_tokens(index)
    }

    /// Renders the chosen passages: the document of the best passage first, passages in document order.
    fn packed(&self) -> BaselineContext {
        let mut best_of_document: HashMap<(&DocumentId, Version), usize> = HashMap::new();
        for index in &self.chosen {
            let best = best_of_document.entry(document_key(&self.passages[*index])).or_insert(*index);
            // Indices are ranks: the lowest is the best passage.
            *best = (*best).min(*index);
        }
        let mut order = self.chosen.clone();
        order.sort_by_key(|index| {
            let passage = &self.passages[*index];
            (best_of_document[&document_key(passage)], passage.span, *index)
        });
        let passages: Vec<Passage> = order.into_iter().map(|index| self.passages[index].clone()).collect();
        let context = render_passages(&passages, self.format);
        let tokens = if context.is_empty() { 0 } else { self.tokenizer.count(&context) };
        BaselineContext { passages, context, tokens }
    }
}

fn document_key(passage: &Passage) -> (&DocumentId, Version) {
    (&passage.document_id, passage.version)
}
