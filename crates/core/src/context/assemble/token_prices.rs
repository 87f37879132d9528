//! What the pieces of a context cost in tokens.
//!
//! Every piece is counted once, when it is first about to be chosen; until then an atom's cost
//! is guessed from its candidate's embedder tokens. Prices steer the choice; they are not the
//! proof that the context fits, since tokens of joined texts do not add up.

use std::borrow::Cow;

use super::atoms::AtomizedCandidates;
use super::candidates::RankedCandidate;
use crate::context::render::hidden_characters::visible_text;
use crate::context::render::{ContextStyle, DocumentHeader, FramingWriter, PassageLabel};
use crate::domain::chunk::TextSpan;
use crate::ports::tokenizer::Tokenizer;

/// Bytes of one token where nothing better is known.
const BYTES_PER_TOKEN_GUESS: usize = 4;

/// Digits of a byte offset that are told apart.
pub(super) const DIGITS_MAX: usize = 8;

/// Counts pieces of one assembly, each at most once.
pub(super) struct TokenPriceTable<'a> {
    pub(super) atoms: &'a AtomizedCandidates<'a>,
    pub(super) items: &'a [RankedCandidate<'a>],
    tokenizer: &'a dyn Tokenizer,
    frame: FramingWriter,
    /// By atom: tokens, and the least that it adds to any context; filled when it is needed.
    bodies: Vec<Option<(usize, usize)>>,
    guesses: Vec<usize>,
    /// By atom: what frames a passage that starts with it, without and with its heading.
    labels: Vec<[Option<usize>; 2]>,
    /// By document version.
    documents: Vec<Option<usize>>,
    once: usize,
    /// Lowest share of its guess that a counted text turned out to have.
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
            share_min: 1.0,
        }
    }

    /// Document versions are numbered below this.
    pub(super) fn groups(&self) -> usize {
        self.documents.len()
    }

    /// What starts and ends a context.
    #[inline]
    pub(super) fn once(&self) -> usize {
        self.once
    }

    /// An atom's text, counted.
    pub(super) fn body(&mut self, index: usize) -> usize {
        if let Some((tokens, _)) = self.bodies[index] {
            return tokens;
        }
        let text = self.atoms.text(index);
        let line_ends = usize::from(text[text.trim_end().len()..].contains('\n'));
        let (alone, least) = self.tokenizer.count_and_least(&self.written(index));
        let tokens = alone + line_ends;
        self.share_min = self.share_min.min(token_share(tokens, self.guesses[index]));
        self.bodies[index] = Some((tokens, least));
        tokens
    }

    /// An atom's text as the style writes it, without the white space behind it.
    pub(super) fn written(&self, index: usize) -> Cow<'a, str> {
        let text = self.atoms.text(index).trim_end();
        match visible_text(text) {
            Cow::Borrowed(shown) => self.frame.framed(shown),
            Cow::Owned(shown) => Cow::Owned(self.frame.framed(&shown).into_owned()),
        }
    }

    /// An atom's text: counted if it was, else guessed.
    #[inline]
    pub(super) fn known(&self, index: usize) -> usize {
        self.bodies[index].map_or(self.guesses[index], |(tokens, _)| tokens)
    }

    /// The least that an atom's text costs, were its guess as much too high as the worst so far.
    #[inline]
    pub(super) fn hoped(&self, index: usize) -> usize {
        let hoped = || scale_tokens(self.guesses[index], self.share_min);
        self.bodies[index].map_or_else(hoped, |(tokens, _)| tokens)
    }

    /// What starts and ends a passage that starts with this atom.
    pub(super) fn label(&mut self, index: usize, with_heading: bool) -> usize {
        if let Some(tokens) = self.labels[index][usize::from(with_heading)] {
            return tokens;
        }
        let atom = &self.atoms.atoms[index];
        let heading = if with_heading { self.items[atom.item].heading.as_str() } else { "" };
        let backticks = self.frame.backticks(self.atoms.text(index));
        let label = PassageLabel { number: 1, span: atom.span, heading, first: false, backticks };
        let mut text = String::new();
        self.frame.open_passage(&mut text, &label);
        self.frame.close_passage(&mut text, &label);
        let tokens = self.tokenizer.count(&text);
        self.labels[index][usize::from(with_heading)] = Some(tokens);
        tokens
    }

    /// What starts and ends the document of an atom.
    pub(super) fn document(&mut self, index: usize) -> usize {
        let atom = &self.atoms.atoms[index];
        if let Some(tokens) = self.documents[atom.group] {
            return tokens;
        }
        let chunk = self.items[atom.item].chunk;
        let (id, version) = (chunk.document_id.as_str(), chunk.version.get());
        let header = DocumentHeader { id, version, first: false, section: "", starts_section: false };
        let mut text = String::new();
        self.frame.open_document(&mut text, &header);
        self.frame.close_document(&mut text);
        let tokens = self.tokenizer.count(&text);
        self.documents[atom.group] = Some(tokens);
        tokens
    }

    /// The least that an atom adds to any context that it is in, proven.
    pub(super) fn least_body(&self, index: usize) -> usize {
        let unknown = || self.tokenizer.least_of(self.atoms.text(index));
        self.bodies[index].map_or_else(unknown, |(_, least)| least)
    }

    /// The least that a passage's framing costs, by the digits of the byte it starts at, proven:
    /// as few digits as that at its end, and the digit that every vocabulary joins.
    pub(super) fn least_labels(&self) -> [usize; DIGITS_MAX + 1] {
        std::array::from_fn(|digits| {
            let start = (1..digits).fold(1, |number: usize, _| number.saturating_mul(10));
            let label = PassageLabel {
                number: 1,
                span: TextSpan { start, end: start },
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
