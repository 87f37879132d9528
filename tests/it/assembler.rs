//! Fusion, assembly and rendering: the laws over random corpora, and the cases by hand.

mod cases;
mod continuing;
mod fusion;
mod laws;
mod rendering;
mod repeating;
mod requested;
mod templates;

use std::sync::Arc;

use contexture::context::answer::Assembled;
use contexture::context::assemble::{AssemblyInput, Candidate, assemble};
use contexture::context::request::{Assembly, Format};
use contexture::domain::chunk::Chunk;

use crate::support::tokenizers::Cl100k;

const SENTENCE: &str = "Set the flag before you start the worker, or the queue stays paused until the next deploy \
                        and every message that arrives in between waits in the retry tier of its own stage.";

fn assembly(budget: usize, format: Format) -> Assembly {
    Assembly { budget, style: format.into(), explain: true, ..Assembly::default() }
}

fn candidate(chunk: Chunk, score: f32) -> Candidate {
    Candidate { chunk: Arc::new(chunk), score }
}

fn input(candidates: Vec<Candidate>) -> AssemblyInput {
    AssemblyInput { candidates, ..AssemblyInput::default() }
}

fn run(candidates: Vec<Candidate>, budget: usize) -> Assembled {
    assemble(&input(candidates), &assembly(budget, Format::Markdown), &Cl100k)
}
