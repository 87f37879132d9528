//! Tokenizers whose counts do not add up, each in its own way.

use std::sync::LazyLock;

use contexture_core::domain::chunk::TextSpan;
use contexture_core::ports::tokenizer::{TokenCountTable, Tokenizer};
use contexture_tokenizers::bpe::BpeTokenizer;
use contexture_tokenizers::hugging_face::HuggingFaceTokenizer;

use super::tokenizer_files;

/// The program's own counting of a real vocabulary, checked against the vocabulary itself.
pub(crate) struct Cl100kTokenizer;

/// Another.
pub(crate) struct O200kTokenizer;

/// Five characters of one kind are a token; joining words saves tokens.
pub(crate) struct RunTokenizer;

/// Joined texts cost more than their parts.
pub(crate) struct SuperlinearTokenizer;

/// From a file: bytes cut at words.
static BYTE_LEVEL: LazyLock<HuggingFaceTokenizer> =
    LazyLock::new(|| from_file(&tokenizer_files::byte_level(tokenizer_files::LLAMA_3)));
/// From a file: a token may hold two words.
static SPACES_AS_LETTERS: LazyLock<HuggingFaceTokenizer> =
    LazyLock::new(|| from_file(&tokenizer_files::spaces_as_letters()));

pub(crate) fn all() -> [&'static dyn Tokenizer; 6] {
    [
        &Cl100kTokenizer,
        &O200kTokenizer,
        &RunTokenizer,
        &SuperlinearTokenizer,
        &*BYTE_LEVEL,
        &*SPACES_AS_LETTERS,
    ]
}

fn from_file(file: &serde_json::Value) -> HuggingFaceTokenizer {
    HuggingFaceTokenizer::from_json("from a file", &tokenizer_files::bytes(file)).unwrap()
}

fn checked(program: &BpeTokenizer, vocabulary: &bpe_openai::Tokenizer, text: &str) -> usize {
    let tokens = program.count(text);
    assert_eq!(tokens, vocabulary.count(text), "{}: {text:?}", program.name());
    tokens
}

impl Tokenizer for Cl100kTokenizer {
    fn name(&self) -> &'static str {
        "cl100k_base"
    }

    fn count(&self, text: &str) -> usize {
        checked(&BpeTokenizer::cl100k(), bpe_openai::cl100k_base(), text)
    }

    fn splits_words(&self) -> bool {
        true
    }

    fn table<'a>(&'a self, text: &'a str) -> Box<dyn TokenCountTable + 'a> {
        Box::new(ReaderSliceTable(self, text))
    }
}

impl Tokenizer for O200kTokenizer {
    fn name(&self) -> &'static str {
        "o200k_base"
    }

    fn count(&self, text: &str) -> usize {
        checked(&BpeTokenizer::o200k(), bpe_openai::o200k_base(), text)
    }

    fn splits_words(&self) -> bool {
        true
    }

    fn table<'a>(&'a self, text: &'a str) -> Box<dyn TokenCountTable + 'a> {
        Box::new(ReaderSliceTable(self, text))
    }
}

impl Tokenizer for RunTokenizer {
    fn name(&self) -> &'static str {
        "runs"
    }

    fn count(&self, text: &str) -> usize {
        const RUN_CHARS: usize = 5;
        let kind = |one: char| (one.is_alphanumeric(), one.is_whitespace());
        let mut tokens = 0;
        let mut run = 0;
        let mut previous = None;
        for one in text.chars() {
            run = if previous == Some(kind(one)) && run < RUN_CHARS { run + 1 } else { 1 };
            tokens += usize::from(run == 1);
            previous = Some(kind(one));
        }
        tokens
    }

    fn splits_words(&self) -> bool {
        true
    }

    fn table<'a>(&'a self, text: &'a str) -> Box<dyn TokenCountTable + 'a> {
        Box::new(ReaderSliceTable(self, text))
    }
}

impl Tokenizer for SuperlinearTokenizer {
    fn name(&self) -> &'static str {
        "superlinear"
    }

    fn count(&self, text: &str) -> usize {
        let length = text.chars().count();
        length + length * length / 512
    }

    fn table<'a>(&'a self, text: &'a str) -> Box<dyn TokenCountTable + 'a> {
        Box::new(ReaderSliceTable(self, text))
    }
}

struct ReaderSliceTable<'a>(&'a dyn Tokenizer, &'a str);

impl TokenCountTable for ReaderSliceTable<'_> {
    fn count(&self, span: TextSpan) -> usize {
        self.0.count(&self.1[span.start..span.end])
    }
}
