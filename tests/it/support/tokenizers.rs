//! Tokenizers whose counts do not add up, each in its own way.

use contexture::adapters::tokenizer::bpe::Bpe;
use contexture::domain::chunk::Span;
use contexture::ports::tokenizer::{TokenTable, Tokenizer};

/// The program's own counting of a real vocabulary, checked against the vocabulary itself.
pub(crate) struct Cl100k;

/// Another.
pub(crate) struct O200k;

/// Five characters of one kind are a token; joining words saves tokens.
pub(crate) struct Runs;

/// Joined texts cost more than their parts.
pub(crate) struct Superlinear;

pub(crate) fn all() -> [&'static dyn Tokenizer; 4] {
    [&Cl100k, &O200k, &Runs, &Superlinear]
}

fn checked(program: &Bpe, vocabulary: &bpe_openai::Tokenizer, text: &str) -> usize {
    let tokens = program.count(text);
    assert_eq!(tokens, vocabulary.count(text), "{}: {text:?}", program.name());
    tokens
}

impl Tokenizer for Cl100k {
    fn name(&self) -> &'static str {
        "cl100k_base"
    }

    fn count(&self, text: &str) -> usize {
        checked(&Bpe::cl100k(), bpe_openai::cl100k_base(), text)
    }

    fn table<'a>(&'a self, text: &'a str) -> Box<dyn TokenTable + 'a> {
        Box::new(Slices(self, text))
    }
}

impl Tokenizer for O200k {
    fn name(&self) -> &'static str {
        "o200k_base"
    }

    fn count(&self, text: &str) -> usize {
        checked(&Bpe::o200k(), bpe_openai::o200k_base(), text)
    }

    fn table<'a>(&'a self, text: &'a str) -> Box<dyn TokenTable + 'a> {
        Box::new(Slices(self, text))
    }
}

impl Tokenizer for Runs {
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

    fn table<'a>(&'a self, text: &'a str) -> Box<dyn TokenTable + 'a> {
        Box::new(Slices(self, text))
    }
}

impl Tokenizer for Superlinear {
    fn name(&self) -> &'static str {
        "superlinear"
    }

    fn count(&self, text: &str) -> usize {
        let length = text.chars().count();
        length + length * length / 512
    }

    fn table<'a>(&'a self, text: &'a str) -> Box<dyn TokenTable + 'a> {
        Box::new(Slices(self, text))
    }
}

struct Slices<'a>(&'a dyn Tokenizer, &'a str);

impl TokenTable for Slices<'_> {
    fn count(&self, span: Span) -> usize {
        self.0.count(&self.1[span.start..span.end])
    }
}
