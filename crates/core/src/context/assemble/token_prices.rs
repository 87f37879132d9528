//! Prices: the tokens that the pieces of a context cost.
//!
//! Every piece is counted at most once, when it is about to be chosen. Until then the price of an
//! atom is guessed from the embedder tokens of its candidate. Prices steer the selection. They do not
//! prove that the context fits, since tokens of joined texts do not add up.

use std::borrow::Cow;

use super::atoms::AtomizedCandidates;
use super::candidates::RankedCandidate;
use crate::context::render::hidden_characters::visible_text;
use crate::context::render::{ContextStyle, DocumentHeader, FramingWriter, PassageLabel, source_name};
use crate::domain::chunk::TextSpan;
use crate::ports::tokenizer::Tokenizer;

/// Bytes of one token if nothing better is known.
const BYTES_PER_TOKEN_GUESS: usize = 4;

/// Most digits of a byte offset that are distinguished.
pub(super) const DIGITS_MAX: usize = 8;

/// Memoized token counts of the pieces of one assembly.
pub(super) struct TokenPriceTable<'a> {
    pub(super) atoms: &'a AtomizedCandidates<'a>,
    pub(super) items: &'a [RankedCandidate<'a>],
    tokenizer: &'a dyn Tokenizer,
    frame: FramingWriter,
    /// By atom: its tokens, and the least that it adds to any context; filled on demand.
    bodies: Vec<Option<(usize, usize)>>,
    guesses: Vec<usize>,
    /// By atom: tokens of the framing of a passage that starts with it, without and with its heading.
    labels: Vec<[Option<usize>; 2]>,
    /// By document version: tokens of its header and footer.
    documents: Vec<Option<usize>>,
    once: usize,
    /// Lowest ratio of counted to guessed tokens so far.
    share_min: f64,
}

impl<'a> TokenPriceTable<'a> {
    pub(super) fn new(
        atoms: &'a AtomizedCandidates<'a>,
        items: &'a [RankedCandidate<'a>],
        style: &ContextStyle,
        tokenizer: &'a dyn Tokenizer,
    ) -> Self {
        let frame = FramingWriter::for_texts(style, &[], None);
        let mut ends = String::new();
        frame.open(&mut ends);
        frame.close(&mut ends);
        Self {
            atoms,
            items,
            tokenizer,
            frame,
            bodies: vec![None; atoms.len()],
            guesses: (0..atoms.len()).map(|index| guess_tokens(atoms, items, index)).collect(),
            labels: vec![[None; 2]; atoms.len()],
            documents: vec![None; atoms.groups()],
            once: if ends.is_empty() { 0 } else { tokenizer.count(&ends) },
            // Lowered by what is counted; never raised, since guesses that are too low do no harm.
            share_min: 1.0,
        }
    }

    /// Number of document versions.
    pub(super) fn groups(&self) -> usize {
        self.documents.len()
    }

    /// Tokens of what opens and closes the context.
    #[inline]
    pub(super) fn context_framing(&self) -> usize {
        self.once
    }

    /// Tokens of an atom's text, counted.
    pub(super) fn body(&mut self, index: usize) -> usize {
        if let Some((tokens, _)) = self.bodies[index] {
            return tokens;
        }
        let text = self.atoms.text(index);
        // The text is counted without its trailing white space, as passages are written. Inside a passage
        // that white space is written: one token covers a line break in the common vocabularies.
        let line_ends = usize::from(text[text.trim_end().len()..].contains('\n'));
        let (alone, least) = self.tokenizer.count_and_least(&self.written(index));
        let tokens = alone + line_ends;
        self.share_min = self.share_min.min(token_share(tokens, self.guesses[index]));
        self.bodies[index] = Some((tokens, least));
        tokens
    }

    /// An atom's text as the style writes it, without trailing white space.
    pub(super) fn written(&self, index: usize) -> Cow<'a, str> {
        let text = self.atoms.text(index).trim_end();
        match visible_text(text) {
            Cow::Borrowed(shown) => self.frame.framed(shown),
            Cow::Owned(shown) => Cow::Owned(self.frame.framed(&shown).into_owned()),
        }
    }

    /// Tokens of an atom's text: counted if they were, else guessed.
    #[inline]
    pub(super) fn known_tokens(&self, index: usize) -> usize {
        self.bodies[index].map_or(self.guesses[index], |(tokens, _)| tokens)
    }

    /// Tokens of an atom's text if its guess were as much too high as the worst guess so far.
    #[inline]
    pub(super) fn optimistic_tokens(&self, index: usize) -> usize {
        let optimistic = || scale_tokens(self.guesses[index], self.share_min);
        self.bodies[index].map_or_else(optimistic, |(tokens, _)| tokens)
    }

    /// Tokens of the framing of a passage that starts with this atom.
    pub(super) fn label(&mut self, index: usize, with_heading: bool) -> usize {
        if let Some(tokens) = self.labels[index][usize::from(with_heading)] {
            return tokens;
        }
        let atom = &self.atoms.atoms[index];
        let heading = if with_heading { self.atoms.heading(self.items, index) } else { "" };
        let backticks = self.frame.backticks(self.atoms.text(index));
        // The number and the end of the passage are not known yet; their digits cost about the same.
        let place = self.items[atom.item].chunk.source_place(atom.span);
        let label = PassageLabel { number: 1, span: atom.span, place, heading, first: false, backticks };
        let mut text = String::new();
        self.frame.open_passage(&mut text, &label);
        self.frame.close_passage(&mut text, &label);
        let tokens = self.tokenizer.count(&text);
        self.labels[index][usize::from(with_heading)] = Some(tokens);
        tokens
    }

    /// Tokens of the header and footer of an atom's document.
    pub(super) fn document(&mut self, index: usize) -> usize {
        let atom = &self.atoms.atoms[index];
        if let Some(tokens) = self.documents[atom.group] {
            return tokens;
        }
        let item = &self.items[atom.item];
        let id = source_name(item.collection(), &item.chunk.document_id);
        let version = item.chunk.version.get();
        let header = DocumentHeader { id: &id, version, first: false, section: "", starts_section: false };
        let mut text = String::new();
        self.frame.open_document(&mut text, &header);
        self.frame.close_document(&mut text);
        let tokens = self.tokenizer.count(&text);
        self.documents[atom.group] = Some(tokens);
        tokens
    }

    /// Proven lower bound of the tokens that an atom adds to any context.
    pub(super) fn least_body(&self, index: usize) -> usize {
        let unknown = || self.tokenizer.least_of(self.atoms.text(index));
        self.bodies[index].map_or_else(unknown, |(_, least)| least)
    }

    /// Proven lower bound of the tokens of a passage's framing, by the number of digits of its start. The
    /// end has at least as many digits. Its digits are 1 and zeros, which every vocabulary joins.
    pub(super) fn least_labels(&self) -> [usize; DIGITS_MAX + 1] {
        std::array::from_fn(|digits| {
            let start = (1..digits).fold(1, |number: usize, _| number.saturating_mul(10));
            let label = PassageLabel {
                number: 1,
                span: TextSpan { start, end: start },
                place: None,
                heading: "",
                first: false,
                backticks: 0,
            };
            let mut text = String::new();
            self.frame.open_passage(&mut text, &label);
            self.tokenizer.count_and_least(&text).1
        })
    }
}

fn guess_tokens(atoms: &AtomizedCandidates, items: &[RankedCandidate], index: usize) -> usize {
    let text = atoms.text(index);
    let chunk = items[atoms.atoms[index].item].chunk;
    // The embedder's tokens, spread evenly over the bytes of the chunk. 0 means that they are unknown.
    match usize::try_from(chunk.embed_tokens).unwrap_or(usize::MAX) {
        0 => text.len() / BYTES_PER_TOKEN_GUESS,
        tokens => tokens * text.len() / chunk.text.len().max(1),
    }
}

#[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
fn token_share(tokens: usize, of: usize) -> f64 {
    tokens as f64 / of.max(1) as f64
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "token counts are far below 2^52 and shares are within 0 and 1"
)]
fn scale_tokens(tokens: usize, share: f64) -> usize {
    (tokens as f64 * share) as usize
}
