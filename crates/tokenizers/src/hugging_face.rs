//! Token counts of any `tokenizer.json`, fast for the BERT family.
//!
//! The file's truncation and padding are removed: all-MiniLM-L6-v2 has both, at 128, and would otherwise
//! truncate silently. A WordPiece model behind BERT's normaliser and pre-tokeniser is counted by
//! [`BertTokenCounter`]. Its table has a checkpoint every [`CHECKPOINT_SPACING_BYTES`] and recounts the
//! at most two partial ends of a range, so a table of 50 MB of prose takes 13 MB. Any other model is
//! counted by the `tokenizers` crate, slice by slice.
//!
//! A file is rejected if its counts are random (dropout), or fail for what is not in its vocabulary. It
//! may have at most [`TOKENIZER_FILE_BYTES_MAX`] bytes.
//! WordPiece: Wu et al. 2016, <https://arxiv.org/abs/1609.08144>.

use std::io::{ErrorKind, Read};
use std::path::Path;

use tokenizers::models::ModelWrapper;
use tokenizers::normalizers::NormalizerWrapper;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::{Model as _, PostProcessor};

use super::bert_counter::BertTokenCounter;
use super::word_boundaries::splits_words;
use contexture_core::domain::chunk::TextSpan;
use contexture_core::fault::{Fault, Refusal};
use contexture_core::ports::tokenizer::{TokenCountTable, Tokenizer};

/// Shortest distance between two checkpoints of a table.
const CHECKPOINT_SPACING_BYTES: usize = 64;
/// Largest `tokenizer.json`, in bytes; current vocabularies have up to 35 MiB.
pub const TOKENIZER_FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// In no vocabulary: private-use characters, letters of dead scripts, a control character.
const UNKNOWN_TEXT: &str = "\u{e000}\u{10fffd} \u{10380}\u{12000} \u{1}";

/// A tokenizer read from a `tokenizer.json`.
#[derive(Debug)]
pub struct HuggingFaceTokenizer {
    name: String,
    tokenizer: tokenizers::Tokenizer,
    /// The fast counter; `None` outside the BERT family.
    basic: Option<BertTokenCounter>,
    splits_words: bool,
}

impl HuggingFaceTokenizer {
    /// Parses a `tokenizer.json`. Rejects one that cannot be parsed or would not count exactly.
    pub fn from_json(name: &str, json: &[u8]) -> Result<Self, Refusal> {
        let refuse = |what: String| Refusal::invalid("tokenizer_unreadable", "embedder.path", what);
        let mut tokenizer = tokenizers::Tokenizer::from_bytes(json)
            .map_err(|error| refuse(format!("the tokenizer.json of {name} cannot be read: {error}")))?;
        tokenizer.with_padding(None);
        tokenizer
            .with_truncation(None)
            .map_err(|error| refuse(format!("the truncation of {name} cannot be removed: {error}")))?;
        if let ModelWrapper::WordPiece(model) = tokenizer.get_model()
            && model.token_to_id(&model.unk_token).is_none()
        {
            return Err(refuse(format!(
                "the vocabulary of {name} lacks its unknown token {}",
                model.unk_token
            )));
        }
        if let ModelWrapper::BPE(model) = tokenizer.get_model()
            && model.dropout.is_some_and(|share| share > 0.0)
        {
            return Err(refuse(format!("{name} drops merges at random; remove its dropout")));
        }
        // A trial now, so that `count` needs no error path for unknown characters.
        tokenizer
            .encode_fast(UNKNOWN_TEXT, false)
            .map_err(|error| refuse(format!("{name} cannot count what is not in its vocabulary: {error}")))?;
        let (basic, splits_words) = (build_bert_counter(&tokenizer), splits_words(&tokenizer));
        Ok(Self { name: name.to_owned(), tokenizer, basic, splits_words })
    }

    /// Whether counting takes the fast path of the BERT family.
    pub fn is_bert_like(&self) -> bool {
        self.basic.is_some()
    }

    /// The number of special tokens that encoding adds to every text.
    pub fn special_tokens(&self) -> usize {
        self.tokenizer.get_post_processor().map_or(0, |processor| processor.added_tokens(false))
    }

    /// The token ids of a text, including special tokens.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, Fault> {
        let encoding = self
            .tokenizer
            .encode_fast(text, true)
            .map_err(|error| Fault::transient_error("tokenizing", error))?;
        Ok(encoding.get_ids().to_vec())
    }

    fn count_by_crate(&self, text: &str) -> usize {
        // `from_json` rejects what fails for unknown characters. If a regular expression gives up, the
        // length in bytes is an upper bound, because a token has at least one byte.
        self.tokenizer.encode_fast(text, false).map_or(text.len(), |encoding| encoding.len())
    }
}

/// Reads a `tokenizer.json` from a file. Refusals name `field`.
pub fn read_tokenizer_file(name: &str, path: &Path, field: &str) -> Result<HuggingFaceTokenizer, Refusal> {
    let refuse = |code, why: String| {
        Refusal::invalid(code, field, format!("{field}: the tokenizer {} {why}", path.display()))
    };
    let unreadable = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => refuse("tokenizer_file_missing", "does not exist".to_owned()),
        _ => refuse("tokenizer_file_unreadable", format!("cannot be read: {error}")),
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    if !file.metadata().map_err(unreadable)?.is_file() {
        return Err(refuse("tokenizer_file_unreadable", "is not a file".to_owned()));
    }
    let mut json = Vec::new();
    // One byte more than allowed tells too much from just enough.
    file.take(TOKENIZER_FILE_BYTES_MAX + 1).read_to_end(&mut json).map_err(unreadable)?;
    if json.len() as u64 > TOKENIZER_FILE_BYTES_MAX {
        let why = format!("has more than {TOKENIZER_FILE_BYTES_MAX} bytes");
        return Err(refuse("tokenizer_file_too_large", why));
    }
    HuggingFaceTokenizer::from_json(name, &json)
        .map_err(|refusal| refuse(refusal.code, format!("cannot be used: {}", refusal.message)))
}

fn build_bert_counter(tokenizer: &tokenizers::Tokenizer) -> Option<BertTokenCounter> {
    let Some(NormalizerWrapper::BertNormalizer(normalizer)) = tokenizer.get_normalizer() else { return None };
    let Some(PreTokenizerWrapper::BertPreTokenizer(_)) = tokenizer.get_pre_tokenizer() else { return None };
    let ModelWrapper::WordPiece(model) = tokenizer.get_model() else { return None };
    let added = tokenizer.get_added_tokens_decoder();
    // The fast counter finds added tokens in the raw text, as they are; these flags need more.
    let plain =
        added.values().all(|token| !(token.normalized || token.single_word || token.lstrip || token.rstrip));
    let contents = added.into_values().map(|token| token.content).collect();
    plain.then(|| BertTokenCounter::new(*normalizer, model, contents))
}

impl Tokenizer for HuggingFaceTokenizer {
    fn name(&self) -> &str {
        &self.name
    }

    fn count(&self, text: &str) -> usize {
        self.basic.as_ref().map_or_else(|| self.count_by_crate(text), |basic| basic.count(text))
    }

    fn splits_words(&self) -> bool {
        self.splits_words
    }

    fn table<'a>(&'a self, text: &'a str) -> Box<dyn TokenCountTable + 'a> {
        match &self.basic {
            Some(basic) => Box::new(CheckpointTokenTable::new(basic, text)),
            None => Box::new(SliceTokenTable { tokenizer: self, text }),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct TokenCheckpoint {
    offset: usize,
    tokens_before: usize,
}

/// Counts a range as the difference of two checkpoints plus its two partial ends.
struct CheckpointTokenTable<'a> {
    basic: &'a BertTokenCounter,
    text: &'a str,
    checkpoints: Vec<TokenCheckpoint>,
    /// The end of the text; used for estimates only.
    end: TokenCheckpoint,
}

impl<'a> CheckpointTokenTable<'a> {
    fn new(basic: &'a BertTokenCounter, text: &'a str) -> Self {
        let mut checkpoints = Vec::new();
        let mut next_offset = 0;
        basic.scan(text, |offset, tokens_before| {
            if offset >= next_offset {
                checkpoints.push(TokenCheckpoint { offset, tokens_before });
                next_offset = offset + CHECKPOINT_SPACING_BYTES;
            }
        });
        let last = checkpoints.last().copied().unwrap_or(TokenCheckpoint { offset: 0, tokens_before: 0 });
        let end = TokenCheckpoint {
            offset: text.len(),
            tokens_before: last.tokens_before + basic.count(&text[last.offset..]),
        };
        Self { basic, text, checkpoints, end }
    }
}

impl TokenCountTable for CheckpointTokenTable<'_> {
    fn count(&self, span: TextSpan) -> usize {
        let first = self.checkpoints.partition_point(|checkpoint| checkpoint.offset < span.start);
        let end = self.checkpoints.partition_point(|checkpoint| checkpoint.offset <= span.end);
        let (Some(first), Some(last)) =
            (self.checkpoints.get(first), end.checked_sub(1).and_then(|last| self.checkpoints.get(last)))
        else {
            return self.basic.count(&self.text[span.start..span.end]);
        };
        // At most one checkpoint in the range: there is nothing to subtract.
        if first.offset >= last.offset {
            return self.basic.count(&self.text[span.start..span.end]);
        }
        self.basic.count(&self.text[span.start..first.offset])
            + (last.tokens_before - first.tokens_before)
            + self.basic.count(&self.text[last.offset..span.end])
    }

    /// Words do not extend over white space.
    fn count_after(&self, prefix: &str, span: TextSpan) -> Option<usize> {
        prefix.ends_with(char::is_whitespace).then(|| self.basic.count(prefix) + self.count(span))
    }

    /// Interpolates between checkpoints, so the estimate never decreases.
    fn tokens_before(&self, position: usize) -> usize {
        let after = self.checkpoints.partition_point(|checkpoint| checkpoint.offset <= position);
        let start = TokenCheckpoint { offset: 0, tokens_before: 0 };
        let low = after.checked_sub(1).and_then(|at| self.checkpoints.get(at)).copied().unwrap_or(start);
        let high = self.checkpoints.get(after).copied().unwrap_or(self.end);
        let (bytes, tokens) = (high.offset - low.offset, high.tokens_before - low.tokens_before);
        low.tokens_before + (tokens * (position - low.offset)).checked_div(bytes).unwrap_or(0)
    }
}

/// Counts each range from scratch.
struct SliceTokenTable<'a> {
    tokenizer: &'a HuggingFaceTokenizer,
    text: &'a str,
}

impl TokenCountTable for SliceTokenTable<'_> {
    fn count(&self, span: TextSpan) -> usize {
        self.tokenizer.count_by_crate(&self.text[span.start..span.end])
    }
}
