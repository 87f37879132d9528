//! Chunking against encoding the same text once, and against text-splitter: with our tokenizer and with
//! its own tiktoken sizer, which the recursive chunker stands beside.
//!
//! `cargo bench --bench chunking -- FOLDER` reads the files of a folder; without one it makes
//! documents of that kind. Repeats are interleaved and medians compared, on one thread.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
#![expect(clippy::unwrap_used, reason = "a failed step fails the benchmark")]
#![expect(clippy::cast_precision_loss, reason = "byte counts are far below 2^52")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Instant;

use contexture::adapters::tokenizer::bpe::BpeTokenizer;
use contexture::ingest::chunk::{ChunkLimits, decode_body, split_into_chunks, split_recursively};
use contexture::ports::tokenizer::Tokenizer;
use text_splitter::{ChunkConfig, ChunkSizer, MarkdownSplitter};

const REPEATS: usize = 9;
const SPLITTER_REPEATS: usize = 3;
const TOKENS_MAX: usize = 256;
const TOKENS_TARGET: usize = 200;

fn main() {
    let folder = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let documents = folder.map_or_else(generated, |folder| {
        let mut paths: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
            .into_iter()
            .map(|path| (path.display().to_string(), std::fs::read_to_string(path).unwrap()))
            .collect()
    });
    let bytes: usize = documents.iter().map(|(_, text)| text.len()).sum();
    println!("{} documents, {bytes} bytes; chunks of at most {TOKENS_MAX} tokens", documents.len());
    measure(
        "cl100k_base",
        BpeTokenizer::cl100k(),
        bpe_openai::cl100k_base(),
        tiktoken_rs::cl100k_base_singleton(),
        &documents,
    );
    measure(
        "o200k_base",
        BpeTokenizer::o200k(),
        bpe_openai::o200k_base(),
        tiktoken_rs::o200k_base_singleton(),
        &documents,
    );
}

fn measure(
    name: &str,
    bpe: BpeTokenizer,
    reference: &'static bpe_openai::Tokenizer,
    tiktoken: &'static tiktoken_rs::CoreBPE,
    documents: &[(String, String)],
) {
    let bytes: usize = documents.iter().map(|(_, text)| text.len()).sum();
    let limits = ChunkLimits {
        tokens_max: TOKENS_MAX,
        tokens_target: TOKENS_TARGET,
        tokens_reserved: 0,
        chunks_max: 1 << 20,
    };
    let (mut encode, mut table, mut ours, mut splitter) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut recursive, mut by_tiktoken) = (Vec::new(), Vec::new());
    let (mut chunks, mut tokens, mut splitter_chunks) = (0, 0, 0);
    let (mut recursive_chunks, mut tiktoken_chunks) = (0, 0);
    for repeat in 0..REPEATS {
        encode.push(seconds(|| {
            for (_, text) in documents {
                black_box(reference.encode(text.as_str()));
            }
        }));
        table.push(seconds(|| {
            for (_, text) in documents {
                black_box(bpe.table(text).tokens_before(text.len()));
            }
        }));
        (chunks, tokens) = (0, 0);
        ours.push(seconds(|| {
            for (id, text) in documents {
                let decoded = decode_body(text.as_bytes(), Some("text/markdown"), id).unwrap();
                let spans = split_into_chunks(&decoded, None, &bpe, &limits).unwrap();
                chunks += spans.len();
                tokens += spans.iter().map(|chunk| chunk.embed_tokens as usize).sum::<usize>();
            }
        }));
        recursive_chunks = 0;
        recursive.push(seconds(|| {
            for (id, text) in documents {
                let decoded = decode_body(text.as_bytes(), Some("text/markdown"), id).unwrap();
                recursive_chunks += split_recursively(&decoded, None, &bpe, &limits).unwrap().len();
            }
        }));
        if repeat < SPLITTER_REPEATS {
            tiktoken_chunks = 0;
            by_tiktoken.push(seconds(|| {
                let splitter = MarkdownSplitter::new(ChunkConfig::new(TOKENS_TARGET).with_sizer(tiktoken));
                for (_, text) in documents {
                    tiktoken_chunks += splitter.chunks(text).count();
                }
            }));
            splitter_chunks = 0;
            splitter.push(seconds(|| {
                let by_tokens =
                    MarkdownSplitter::new(ChunkConfig::new(TOKENS_MAX).with_sizer(BpeChunkSizer(bpe)));
                for (_, text) in documents {
                    splitter_chunks += by_tokens.chunks(text).count();
                }
            }));
        }
    }
    let (encode, ours) = (median(&mut encode), median(&mut ours));
    let row = |what: &str, seconds: f64| {
        println!(
            "  {what:<34} {:>8.1} MB/s {:>8.2} x encoding",
            bytes as f64 / seconds / 1e6,
            encode / seconds
        );
    };
    println!("{name}");
    row("encoding once", encode);
    row("table of token counts", median(&mut table));
    row("decode and cut", ours);
    row("text-splitter, same tokenizer", median(&mut splitter));
    let (recursive, by_tiktoken) = (median(&mut recursive), median(&mut by_tiktoken));
    row("decode and cut, recursive", recursive);
    row("text-splitter, its tiktoken sizer", by_tiktoken);
    println!(
        "  recursive is {:.1} times as fast; {recursive_chunks} chunks, text-splitter {tiktoken_chunks}",
        by_tiktoken / recursive
    );
    println!(
        "  {chunks} chunks of {:.0} tokens on average; text-splitter makes {splitter_chunks}",
        tokens as f64 / f64::from(u32::try_from(chunks).unwrap())
    );
}

struct BpeChunkSizer(BpeTokenizer);

impl ChunkSizer for BpeChunkSizer {
    fn size(&self, chunk: &str) -> usize {
        self.0.count(chunk)
    }
}

fn seconds(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

fn median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

/// Markdown with headings, paragraphs, lists and code, of words that repeat as English does.
fn generated() -> Vec<(String, String)> {
    const WORDS: [&str; 32] = [
        "the",
        "of",
        "and",
        "a",
        "in",
        "queue",
        "document",
        "index",
        "vector",
        "latency",
        "is",
        "was",
        "with",
        "for",
        "as",
        "retrieval",
        "committed",
        "version",
        "snapshot",
        "by",
        "on",
        "tokens",
        "budget",
        "embedding",
        "broker",
        "context",
        "which",
        "not",
        "are",
        "replica",
        "throughput",
        "chunk",
    ];
    let mut state = 7_u64;
    let mut next = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as usize % below
    };
    (0..20)
        .map(|document| {
            let mut text = format!("# Document {document}\n\n");
            while text.len() < 50_000 {
                match next(12) {
                    0 => writeln!(text, "## Section {}\n", next(1000)).unwrap(),
                    1 => writeln!(
                        text,
                        "```rust\nlet value_{} = compute({});\nassert!(value);\n```\n",
                        next(99),
                        next(999)
                    )
                    .unwrap(),
                    2 => {
                        writeln!(text, "- item {}\n- item {}\n- and the last\n", next(99), next(99)).unwrap();
                    }
                    _ => {
                        for _ in 0..2 + next(6) {
                            let sentence: Vec<&str> = (0..6 + next(18)).map(|_| WORDS[next(32)]).collect();
                            write!(text, "The {}. ", sentence.join(" ")).unwrap();
                        }
                        text.push_str("\n\n");
                    }
                }
            }
            (format!("{document}.md"), text)
        })
        .collect()
}
