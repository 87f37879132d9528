//! Fusing, assembling and rendering, beside the packers others use: candidates of about 200
//! tokens, `cl100k_base`. Every round runs each step once, so they share the machine's mood; what
//! is printed are percentiles over the rounds and ratios of medians. Then assembly alone, for
//! ever more candidates.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use contexture::adapters::tantivy::TantivyIndex;
use contexture::adapters::tokenizer::bpe::BpeTokenizer;
use contexture::context::assemble::{AssemblyInput, ContextCandidate, TERM_SHARE, assemble_context};
use contexture::context::fuse::{RELATIVE_WEIGHTS, fuse_hits};
use contexture::context::render::render_passages;
use contexture::context::request::{AssemblyRequest, ContextFormat, FusionMethod};
use contexture::domain::chunk::{Chunk, TextSpan};
use contexture::domain::document::DocumentDescription;
use contexture::domain::ids::{ChunkId, DocumentId, Version};
use contexture::lab::baselines::{BaselinePacker, pack_baseline};
use contexture::ports::lexical::{AnalyzerSettings, LexicalHit, LexicalIndex, QuestionTerms};
use contexture::ports::tokenizer::Tokenizer;
use contexture::ports::vectors::DenseHit;

/// Candidates, budget in tokens, and the longest that assembling and rendering may take in 99 of
/// 100 cases on an idle core.
const SIZES: [(usize, usize, Duration); 2] =
    [(100, 2000, Duration::from_millis(3)), (200, 4000, Duration::from_millis(5))];
/// Candidates for which the growth is measured, at the larger budget.
const GROWTH: [usize; 5] = [125, 250, 500, 1000, 2000];
const TOKENS_PER_CHUNK: usize = 200;
const CHUNKS_PER_DOCUMENT: u64 = 40;
const INPUTS: usize = 50;
const ROUNDS: usize = 1000;
const QUESTION: &str =
    "When do credentials expire without a rotated operator, and what is the latency of a commit?";

const WORDS: [&str; 48] = [
    "the",
    "of",
    "and",
    "a",
    "to",
    "in",
    "is",
    "that",
    "for",
    "queue",
    "worker",
    "index",
    "message",
    "delivery",
    "version",
    "document",
    "commit",
    "snapshot",
    "retries",
    "without",
    "duplicates",
    "when",
    "every",
    "stage",
    "publishes",
    "confirmed",
    "budget",
    "tokens",
    "passage",
    "citation",
    "deterministic",
    "throughput",
    "latency",
    "Configuration",
    "credentials",
    "expire",
    "after",
    "thirty",
    "minutes",
    "unless",
    "rotated",
    "operator",
    "acknowledges",
    "3.10.8",
    "2024",
    "fsync()",
    "don't",
    "naïve",
];

/// A linear congruential generator (Knuth, MMIX): the same inputs in every run.
struct LinearCongruentialGenerator(u64);

impl LinearCongruentialGenerator {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

struct PackingInput {
    lexical: Vec<LexicalHit>,
    dense: Vec<DenseHit>,
    candidates: AssemblyInput,
}

fn text(numbers: &mut LinearCongruentialGenerator) -> String {
    let mut text = String::new();
    let words = TOKENS_PER_CHUNK as u64 * 5 / 6;
    for at in 0..words {
        // The product of two draws favours the front of the list, as language does.
        let word = numbers.below(48) * numbers.below(48) / 48;
        text.push_str(WORDS[usize::try_from(word).unwrap_or(0)]);
        text.push_str(match numbers.below(14) {
            0 => ". ",
            1 => ", ",
            2 if at % 3 == 0 => ".\n",
            _ => " ",
        });
    }
    text
}

/// The question's terms, found by the analyzer of an index.
fn terms() -> Arc<dyn QuestionTerms> {
    let analysis = AnalyzerSettings { language: "english".to_owned(), stem: true, stop_words: true };
    let index = TantivyIndex::in_ram(&analysis).unwrap_or_else(|fault| panic!("{fault}"));
    let found = index.snapshot().question_terms(QUESTION).unwrap_or_else(|fault| panic!("{fault}"));
    found.unwrap_or_else(|| panic!("the question has terms"))
}

fn input(seed: u64, candidates_count: usize, terms: &Arc<dyn QuestionTerms>) -> PackingInput {
    let documents = candidates_count as u64 / 8;
    let mut numbers = LinearCongruentialGenerator(seed);
    let mut candidates = Vec::new();
    let (mut lexical, mut dense) = (Vec::new(), Vec::new());
    let mut score = 1.0_f32;
    for _ in 0..candidates_count {
        let (document, ordinal) = (numbers.below(documents), numbers.below(CHUNKS_PER_DOCUMENT));
        let text = text(&mut LinearCongruentialGenerator(document * CHUNKS_PER_DOCUMENT + ordinal));
        let start = usize::try_from(ordinal).unwrap_or(0) * 2000;
        let id = ChunkId::from_uuid(uuid::Uuid::from_u64_pair(document, ordinal));
        let chunk = Chunk {
            id,
            document_id: DocumentId::new(&format!("guides/operations/chapter-{document}.md"))
                .unwrap_or_else(|refusal| panic!("{refusal}")),
            version: Version::new(document + 1).unwrap_or_else(|refusal| panic!("{refusal}")),
            ordinal: u32::try_from(ordinal).unwrap_or(0),
            chunk_count: 40,
            span: TextSpan { start, end: start + text.len() },
            heading: vec![format!("Chapter {document}"), format!("Section {}", ordinal / 4)],
            embed_tokens: u32::try_from(text.len() / 4).unwrap_or(0),
            open_fence: None,
            source: None,
            text,
            description: DocumentDescription::default(),
        };
        lexical.push(LexicalHit { id, score: score * 17.0 });
        dense.push(DenseHit { id: ChunkId::from_uuid(uuid::Uuid::from_u64_pair(ordinal, document)), score });
        candidates.push(ContextCandidate { chunk: Arc::new(chunk), score, source: None });
        score *= 1.0 - 3.0 / f32::from(u16::try_from(candidates_count).unwrap_or(u16::MAX));
    }
    PackingInput {
        lexical,
        dense,
        candidates: AssemblyInput {
            candidates,
            terms: Some(terms.clone()),
            term_share: TERM_SHARE,
            ..AssemblyInput::default()
        },
    }
}

/// What a packer took and held, over all rounds.
#[derive(Default)]
struct PackerMeasurement {
    times: Vec<Duration>,
    passages: usize,
    tokens: usize,
}

fn timed<T>(times: &mut Vec<Duration>, step: impl FnOnce() -> T) -> T {
    #[expect(clippy::disallowed_methods, reason = "a bench measures the machine's time")]
    let start = Instant::now();
    let result = black_box(step());
    times.push(start.elapsed());
    result
}

fn percentile(times: &[Duration], per_cent: usize) -> Duration {
    times[(times.len() - 1) * per_cent / 100]
}

fn main() {
    let terms = terms();
    for (candidates, budget, p99_max) in SIZES {
        beside_others(candidates, budget, p99_max, &terms);
    }
    growth(SIZES[1].1, &terms);
}

fn assembly_of(budget: usize) -> AssemblyRequest {
    AssemblyRequest {
        budget,
        tokenizer: "cl100k_base".to_owned(),
        style: ContextFormat::Markdown.into(),
        ..AssemblyRequest::default()
    }
}

/// Time of assembly for ever more candidates, and for one of them, by log n.
fn growth(budget: usize, terms: &Arc<dyn QuestionTerms>) {
    const GROWTH_ROUNDS: usize = 60;
    let (assembly, tokenizer) = (assembly_of(budget), BpeTokenizer::cl100k());
    println!("{:<12} {:>10} {:>14} {:>22}", "candidates", "p50", "of each", "of each, by log2 n");
    for count in GROWTH {
        let inputs: Vec<PackingInput> = (0..6).map(|seed| input(seed, count, terms)).collect();
        let mut times = Vec::new();
        for round in 0..GROWTH_ROUNDS {
            let input = &inputs[round % inputs.len()];
            timed(&mut times, || assemble_context(&input.candidates, &assembly, &tokenizer));
        }
        times.sort_unstable();
        let half = percentile(&times, 50);
        let number = f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        let each = half.as_secs_f64() * 1e6 / number;
        println!("{count:<12} {half:>10.1?} {each:>11.2} µs {:>19.2} µs", each / number.log2());
    }
}

fn beside_others(candidates: usize, budget: usize, p99_max: Duration, terms: &Arc<dyn QuestionTerms>) {
    let inputs: Vec<PackingInput> = (0..INPUTS as u64).map(|seed| input(seed, candidates, terms)).collect();
    let (assembly, tokenizer) = (assembly_of(budget), BpeTokenizer::cl100k());
    let [mut fusing, mut assembling, mut rendering, mut counting] = [const { Vec::<Duration>::new() }; 4];
    let mut baselines = BaselinePacker::ALL.map(|baseline| (baseline, PackerMeasurement::default()));
    let (mut passages, mut used) = (0, 0);
    for round in 0..ROUNDS {
        let input = &inputs[round % INPUTS];
        timed(&mut fusing, || {
            fuse_hits(&input.lexical, &input.dense, FusionMethod::RelativeScore, RELATIVE_WEIGHTS)
        });
        let assembled = timed(&mut assembling, || assemble_context(&input.candidates, &assembly, &tokenizer));
        let context = timed(&mut rendering, || render_passages(&assembled.passages, ContextFormat::Markdown));
        for (baseline, filled) in &mut baselines {
            let packed = timed(&mut filled.times, || {
                pack_baseline(
                    *baseline,
                    &input.candidates.candidates,
                    budget,
                    ContextFormat::Markdown,
                    &tokenizer,
                )
            });
            assert!(packed.tokens <= budget);
            filled.passages += packed.passages.len();
            filled.tokens += packed.tokens;
        }
        timed(&mut counting, || {
            let texts = input.candidates.candidates.iter();
            texts.map(|candidate| tokenizer.count(&candidate.chunk.text)).sum::<usize>()
        });
        assert_eq!(context, assembled.context);
        assert!(assembled.tokens <= budget);
        passages += assembled.passages.len();
        used += assembled.tokens;
    }
    let steps = [
        ("fuse two lists", &mut fusing),
        ("assemble (renders, counts)", &mut assembling),
        ("render alone", &mut rendering),
        ("count all candidates", &mut counting),
    ];
    println!("{candidates} candidates, budget {budget}, {ROUNDS} rounds over {INPUTS} inputs");
    println!("{:<28} {:>10} {:>10}", "step", "p50", "p99");
    for (name, times) in steps {
        times.sort_unstable();
        println!("{name:<28} {:>10.1?} {:>10.1?}", percentile(times, 50), percentile(times, 99));
    }
    let ratio =
        |other: &[Duration]| percentile(&assembling, 50).as_secs_f64() / percentile(other, 50).as_secs_f64();
    println!("assemble / count all           {:.2}", ratio(&counting));
    println!();
    println!(
        "{:<16} {:>10} {:>10} {:>14} {:>9} {:>7}",
        "packer", "p50", "p99", "assemble is", "passages", "tokens"
    );
    let row = |name: &str, times: &[Duration], passages: usize, tokens: usize| {
        println!(
            "{name:<16} {:>10.1?} {:>10.1?} {:>12.2} × {:>9} {:>7}",
            percentile(times, 50),
            percentile(times, 99),
            ratio(times),
            passages / ROUNDS,
            tokens / ROUNDS
        );
    };
    row("assemble", &assembling, passages, used);
    for (baseline, filled) in &mut baselines {
        filled.times.sort_unstable();
        row(baseline.name(), &filled.times, filled.passages, filled.tokens);
    }
    let mut alone = Vec::new();
    for round in 0..ROUNDS {
        timed(&mut alone, || assemble_context(&inputs[round % INPUTS].candidates, &assembly, &tokenizer));
    }
    alone.sort_unstable();
    let worst = percentile(&alone, 99);
    let verdict = if worst <= p99_max { "within" } else { "over" };
    let half = percentile(&alone, 50);
    println!("assemble alone, nothing in between: p50 {half:.1?}, p99 {worst:.1?}: {verdict} {p99_max:?}\n");
}
