//! Fusion, assembly and rendering: the laws over random corpora, and the cases by hand.

mod cases;
mod fusion;
mod laws;
mod rendering;
mod repeating;
mod templates;

use std::sync::Arc;

use contexture_core::context::answer::AssembledContext;
use contexture_core::context::assemble::{AssemblyInput, ContextCandidate, assemble_context};
use contexture_core::context::request::{AssemblyRequest, ContextFormat};
use contexture_core::domain::chunk::Chunk;

use crate::support::tokenizers::Cl100kTokenizer;

const SENTENCE: &str = "Set the flag before you start the worker, or the queue stays paused until the next deploy \
                        and every message that arrives in between waits in the retry tier of its own stage.";

fn assembly(budget: usize, format: ContextFormat) -> AssemblyRequest {
    AssemblyRequest { budget, style: format.into(), explain: true, ..AssemblyRequest::default() }
}

fn candidate(chunk: Chunk, score: f32) -> ContextCandidate {
    ContextCandidate { chunk: Arc::new(chunk), score, source: None }
}

fn input(candidates: Vec<ContextCandidate>) -> AssemblyInput {
    AssemblyInput { candidates, ..AssemblyInput::default() }
}

fn run(candidates: Vec<ContextCandidate>, budget: usize) -> AssembledContext {
    assemble_context(&input(candidates), &assembly(budget, ContextFormat::Markdown), &Cl100kTokenizer)
}
