//! `cl100k_base` and `o200k_base`, with exactly tiktoken's counts.
//!
//! Both vocabularies split a text into *pieces* first ([`super::pieces`]) and encode each piece alone. So
//! one pass stores the end of every piece and the tokens up to it, and a range costs its two border
//! pieces and a subtraction. This is exact because:
//!
//! * The piece that starts at a byte depends only on the text from there on. From any byte that is a
//!   piece border of the whole text, the pieces of a slice are the pieces of the text, as long as they
//!   do not depend on the end of the slice.
//! * Only two things depend on it: a piece that would extend over it, and `\s+$`, which looks at the
//!   white space before it. So every piece of the text that ends before the piece with the slice's last
//!   visible character is a piece of the slice, too.
//!
//! Counts of pieces of at most 15 bytes are kept in a small direct-mapped cache, because running text
//! repeats its words and a lookup is several times cheaper than encoding. Counting a whole text borrows
//! such a cache from a pool, so it is warm from earlier texts.

use std::sync::{Mutex, PoisonError};

use bpe_openai::{Tokenizer as Vocabulary, cl100k_base, o200k_base};

use super::pieces::{PieceRules, piece_lengths, split_pieces};
use contexture_byte_tools::direct_mapped_cache::DirectMappedCache;
use contexture_core::domain::chunk::TextSpan;
use contexture_core::ports::tokenizer::{TokenCountTable, Tokenizer};

/// Most cache slots of a [`CachedPieceCounter`]: 768 KiB, which fits a current L2 cache. A hundred passages
/// of running text have several thousand different pieces, and a collision evicts the older one.
const CACHE_SLOTS_MAX: usize = 32_768;
/// Fewest cache slots of a [`CachedPieceCounter`].
const CACHE_SLOTS_MIN: usize = 64;
/// Most idle counters that a vocabulary keeps.
const POOLED_COUNTERS_MAX: usize = 16;
/// [`TokenCountTable::tokens_before`] interpolates within pieces longer than this many bytes.
const LONG_PIECE_BYTES: usize = 64;
/// How far beyond its end a piece can depend on the text, past white space: a contraction such as `'re`.
const LOOK_AHEAD_BYTES_MAX: usize = 8;
/// Bytes of a span that are joined to a prefix to search for a common piece border.
const JOINED_BYTES: usize = 512;

/// A byte-pair vocabulary of `OpenAI`'s models.
#[derive(Clone, Copy)]
pub struct BpeTokenizer {
    name: &'static str,
    vocabulary: &'static Vocabulary,
    rules: PieceRules,
    pool: &'static PieceCounterPool,
}

impl BpeTokenizer {
    /// `cl100k_base`: GPT-4, text-embedding-3. The first use loads it (about 0.2 s).
    pub fn cl100k() -> Self {
        static POOL: PieceCounterPool = PieceCounterPool::new();
        Self { name: "cl100k_base", vocabulary: cl100k_base(), rules: PieceRules::Cl100k, pool: &POOL }
    }

    /// `o200k_base`: GPT-4o and later. The first use loads it (about 0.5 s).
    pub fn o200k() -> Self {
        static POOL: PieceCounterPool = PieceCounterPool::new();
        Self { name: "o200k_base", vocabulary: o200k_base(), rules: PieceRules::O200k, pool: &POOL }
    }

    /// `o200k_harmony`: the counts of `o200k_base` under the name that gpt-oss has for them.
    pub fn o200k_harmony() -> Self {
        Self { name: "o200k_harmony", ..Self::o200k() }
    }
}

impl Tokenizer for BpeTokenizer {
    fn name(&self) -> &str {
        self.name
    }

    fn count(&self, text: &str) -> usize {
        let mut counter = self.pool.take(self.vocabulary);
        let pieces = piece_lengths(self.vocabulary, self.rules, text);
        let tokens = pieces.map(|(rest, length)| counter.count(rest, length) as usize).sum();
        self.pool.put_back(counter);
        tokens
    }

    /// All pieces but the first and the last are pieces of any longer text, too: what precedes the text
    /// can change only its first piece, and what follows only its last. A run of digits is split from
    /// its start, so preceding digits shift its pieces; but at least as many pieces end inside it as
    /// there are without the first.
    fn count_and_least(&self, text: &str) -> (usize, usize) {
        let mut counter = self.pool.take(self.vocabulary);
        let (mut tokens, mut first, mut last) = (0, 0, 0);
        for (place, (rest, length)) in piece_lengths(self.vocabulary, self.rules, text).enumerate() {
            last = counter.count(rest, length) as usize;
            if place == 0 {
                first = last;
            }
            tokens += last;
        }
        self.pool.put_back(counter);
        (tokens, tokens.saturating_sub(first + last))
    }

    /// White space is only at the start of a piece, or is all of it.
    fn splits_words(&self) -> bool {
        true
    }

    fn table<'a>(&'a self, text: &'a str) -> Box<dyn TokenCountTable + 'a> {
        Box::new(BpeTokenTable::new(self.vocabulary, self.rules, text))
    }
}

/// Piece borders of one text and the tokens up to each, both starting with 0. Empty for a
/// text of 4 GiB or more, which is then counted by tokenising.
struct BpeTokenTable<'a> {
    vocabulary: &'static Vocabulary,
    rules: PieceRules,
    text: &'a str,
    borders: Vec<u32>,
    tokens: Vec<u32>,
}

impl<'a> BpeTokenTable<'a> {
    fn new(vocabulary: &'static Vocabulary, rules: PieceRules, text: &'a str) -> Self {
        let mut table = Self { vocabulary, rules, text, borders: Vec::new(), tokens: Vec::new() };
        // Offsets are 32 bits wide, for half the memory. A longer text gets an empty table, and its
        // ranges are counted directly.
        if u32::try_from(text.len()).is_err() {
            return table;
        }
        // Pieces of running text have about four bytes or more.
        table.borders.reserve(text.len() / 4 + 1);
        table.tokens.reserve(text.len() / 4 + 1);
        let mut counter = CachedPieceCounter::new(vocabulary, text.len());
        let (mut border, mut tokens) = (0_u32, 0_u32);
        table.borders.push(border);
        table.tokens.push(tokens);
        for (rest, length) in piece_lengths(vocabulary, rules, text) {
            border += saturating_u32(length);
            tokens += counter.count(rest, length);
            table.borders.push(border);
            table.tokens.push(tokens);
        }
        table
    }

    /// The index of the last border at or before `position`.
    fn border_at_or_before(&self, position: usize) -> Option<usize> {
        self.borders.partition_point(|&border| border as usize <= position).checked_sub(1)
    }

    /// The index of the border exactly at `position`.
    fn border_at(&self, position: usize) -> Option<usize> {
        self.border_at_or_before(position).filter(|&index| self.borders[index] as usize == position)
    }

    fn between(&self, first: usize, last: usize) -> usize {
        (self.tokens[last] - self.tokens[first]) as usize
    }

    /// Tokens of `text[borders[first]..end]`, whose last visible character is in the piece that
    /// starts at `borders[first]`.
    fn count_tail(&self, first: usize, end: usize) -> usize {
        let piece_end = self.borders[first + 1] as usize;
        // The slice ends inside the piece, so the table does not know its tokens.
        if piece_end > end {
            return self.vocabulary.count(&self.text[self.borders[first] as usize..end]);
        }
        let blank = &self.text[piece_end..end];
        let blank_tokens = if blank.is_empty() { 0 } else { self.vocabulary.count(blank) };
        self.between(first, first + 1) + blank_tokens
    }
}

impl TokenCountTable for BpeTokenTable<'_> {
    fn count(&self, span: TextSpan) -> usize {
        let slice = &self.text[span.start..span.end];
        let visible_end = span.start + slice.trim_end().len();
        if visible_end == span.start {
            return self.vocabulary.count(slice);
        }
        // No borders: the text is too long for a table, so the slice is counted as a whole.
        let Some(tail) = self.border_at_or_before(visible_end - 1) else {
            return self.vocabulary.count(slice);
        };
        let tail_start = self.borders[tail] as usize;
        let (mut tokens, mut position) = (0, span.start);
        let mut pieces = split_pieces(self.vocabulary, self.rules, slice);
        // Encodes pieces of the slice until one ends on a border of the text: from there on both agree,
        // and a subtraction gives the rest.
        while position <= tail_start {
            if let Some(border) = self.border_at(position) {
                return tokens + self.between(border, tail) + self.count_tail(tail, span.end);
            }
            let Some(piece) = pieces.next() else { return tokens };
            tokens += self.vocabulary.bpe.count(piece.as_bytes());
            position += piece.len();
        }
        let rest = &self.text[position..span.end];
        tokens + if rest.is_empty() { 0 } else { self.vocabulary.count(rest) }
    }

    fn count_after(&self, prefix: &str, span: TextSpan) -> Option<usize> {
        let head_end = self.text.floor_char_boundary(span.end.min(span.start + JOINED_BYTES));
        let mut joined = String::with_capacity(prefix.len() + JOINED_BYTES);
        joined.push_str(prefix);
        joined.push_str(&self.text[span.start..head_end]);
        let (whole, visible_end) = (head_end == span.end, joined.trim_end().len());
        let (mut tokens, mut position) = (0, 0);
        for piece in split_pieces(self.vocabulary, self.rules, &joined) {
            // The joined text may end before the span does. A border counts only if its piece cannot
            // depend on that artificial end.
            if position >= prefix.len() && (whole || position + LOOK_AHEAD_BYTES_MAX < visible_end) {
                let in_text = span.start + position - prefix.len();
                if self.border_at(in_text).is_some() {
                    return Some(tokens + self.count(TextSpan { start: in_text, end: span.end }));
                }
            }
            tokens += self.vocabulary.bpe.count(piece.as_bytes());
            position += piece.len();
        }
        whole.then_some(tokens)
    }

    fn tokens_before(&self, position: usize) -> usize {
        let Some(index) = self.border_at_or_before(position) else {
            return self.vocabulary.count(&self.text[..position]);
        };
        let start = self.borders[index] as usize;
        let before = self.tokens[index] as usize;
        let Some(&end) = self.borders.get(index + 1) else { return before };
        let piece_bytes = end as usize - start;
        if piece_bytes <= LONG_PIECE_BYTES {
            return before;
        }
        before + self.between(index, index + 1) * (position - start) / piece_bytes
    }
}

/// The idle counters of one vocabulary.
struct PieceCounterPool(Mutex<Vec<CachedPieceCounter>>);

impl PieceCounterPool {
    const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    fn take(&self, vocabulary: &'static Vocabulary) -> CachedPieceCounter {
        let pooled = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        pooled.unwrap_or_else(|| CachedPieceCounter::new(vocabulary, usize::MAX))
    }

    fn put_back(&self, counter: CachedPieceCounter) {
        // The bound limits what a burst of threads leaves behind.
        let mut pooled = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if pooled.len() < POOLED_COUNTERS_MAX {
            pooled.push(counter);
        }
    }
}

/// Counts pieces and caches the counts of short ones.
struct CachedPieceCounter {
    vocabulary: &'static Vocabulary,
    known: DirectMappedCache<u32>,
}

impl CachedPieceCounter {
    fn new(vocabulary: &'static Vocabulary, text_bytes: usize) -> Self {
        Self {
            vocabulary,
            known: DirectMappedCache::new((text_bytes / 8).clamp(CACHE_SLOTS_MIN, CACHE_SLOTS_MAX)),
        }
    }

    /// Counts the tokens of the piece of `length` bytes at the start of `text`.
    #[inline]
    fn count(&mut self, text: &str, length: usize) -> u32 {
        let bytes = text.as_bytes();
        self.known.get_or(bytes, length, || saturating_u32(self.vocabulary.bpe.count(&bytes[..length])))
    }
}

/// Converts a length inside a text that is known to be shorter than 4 GiB.
fn saturating_u32(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
