//! Packs the shortlists of a query into one context: section by section, or after the previous context.
//!
//! Each section is assembled after the earlier ones, within its share of the budget plus what they
//! left of theirs. A passage of an earlier section is not repeated.

use super::SectionShortlist;
use super::answer::{AssembledContext, ReusedPrefix};
use super::assemble::{AssemblyInput, assemble_context};
use super::continuation::{self, Continuation};
use super::federate::PinnedCollection;
use super::request::{AssemblyRequest, ContextQuery};
use crate::fault::Refusal;
use crate::ports::tokenizer::Tokenizer;

/// A context, the prefix that it shares with the previous one, and its continuation.
pub(super) struct PackedContext {
    pub(super) assembled: AssembledContext,
    pub(super) prefix: Option<ReusedPrefix>,
    pub(super) continuation: String,
}

/// Packs the shortlists of one query. Blocks on memory-mapped files.
pub(super) fn pack_sections(
    lists: Vec<SectionShortlist>,
    pinned: &[PinnedCollection],
    query: &ContextQuery,
    assembly: &AssemblyRequest,
    tokenizer: &dyn Tokenizer,
) -> Result<PackedContext, Refusal> {
    let (mut assembled, mut prefix) = (AssembledContext { bound: 1.0, ..AssembledContext::default() }, None);
    // Shares add up: a section may use its own and whatever the earlier ones left of theirs.
    let mut share = 0.0;
    for list in lists {
        share += list.section.share;
        let within = AssemblyRequest { budget: budget_share(assembly.budget, share), ..assembly.clone() };
        let mut input = AssemblyInput {
            candidates: list.candidates,
            terms: list.terms,
            term_share: list.term_share,
            kept: std::mem::take(&mut assembled.passages),
            tag: None,
            section: list.section.name,
        };
        let (gain, bound, chunks) = (assembled.gain, assembled.bound, assembled.chunks);
        let mut trace = assembled.trace;
        if let Some(before) = &assembly.previous {
            // A continued context has no sections, so nothing was assembled before it.
            input.kept.clear();
            let restored = continuation::restore_prefix(before, pinned, query, &assembly.style)?;
            let (behind, how) = continuation::assemble_after_prefix(restored, input, &within, tokenizer);
            (assembled, prefix) = (behind, Some(how));
        } else {
            assembled = assemble_context(&input, &within, tokenizer);
            // Assembly knows the ordinals of its own passages only; those of earlier sections go in front.
            assembled.chunks.splice(..0, chunks);
        }
        // The bound of the whole is that of its worst section; gains and traces add up.
        assembled.gain += gain;
        assembled.bound = assembled.bound.min(bound);
        trace.append(&mut assembled.trace);
        trace.extend(list.dropped);
        assembled.trace = trace;
    }
    let continuation = if assembly.continuable || assembly.previous.is_some() {
        Continuation::from_assembled(&assembled, &assembly.style).to_text()
    } else {
        String::new()
    };
    Ok(PackedContext { assembled, prefix, continuation })
}

/// Tokens of a share of the budget.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "budgets are at most a million, shares within 0 and 1"
)]
fn budget_share(budget: usize, share: f64) -> usize {
    ((budget as f64 * share.min(1.0)).floor() as usize).min(budget)
}
