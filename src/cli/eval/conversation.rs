//! Measures conversations. A conversation is a fixed number of questions of one document. Each context
//! continues the previous one, and is compared with a context that is assembled from scratch.
//!
//! *Reused* is the share of tokens in the longest common prefix with the previous context, over all
//! contexts but the first of each conversation. A provider's prompt cache does not compute these again.
//! Recall shows what keeping a prefix costs.

use serde::Serialize;

use super::excerpts::{ExcerptDataset, ExcerptQuestion};
use super::keyed_values::{KeyedValues, ValueByBudget};
use super::plan::EvaluationPlan;
use super::session::EvaluationSession;
use crate::cli::exit::CommandFailure;
use crate::cli::text_format::{ColumnAlignment, TextTable};
use contexture_core::ports::tokenizer::Tokenizer;
use contexture_lab::measure::retrieval_metrics::{ByteCoverage, CoverageOverlap, mean};

/// Mean figures of all conversations at one budget.
#[derive(Debug, Serialize)]
struct ConversationScores {
    reused: f64,
    reused_from_scratch: f64,
    recall: f64,
    recall_from_scratch: f64,
}

/// Figures of conversations. The field names are a contract.
#[derive(Debug, Serialize)]
pub(crate) struct ConversationFigures {
    turns: usize,
    count: usize,
    at_budget: ValueByBudget<ConversationScores>,
}

/// Running sums over conversations, either with kept prefixes or from scratch.
#[derive(Default)]
struct ConversationTally {
    before: String,
    reused: usize,
    tokens: usize,
    recalls: Vec<f64>,
}

impl ConversationTally {
    fn turn(&mut self, context: String, recall: f64, tokenizer: &dyn Tokenizer) {
        if !self.before.is_empty() {
            let shared = common_prefix(&self.before, &context);
            self.reused += if shared.is_empty() { 0 } else { tokenizer.count(shared) };
            self.tokens += tokenizer.count(&context);
        }
        self.before = context;
        self.recalls.push(recall);
    }

    /// The share of tokens that were reused.
    #[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
    fn share(&self) -> f64 {
        self.reused as f64 / self.tokens.max(1) as f64
    }
}

/// Asks the questions of each document in groups of `turns`. Questions left over are not asked.
pub(crate) async fn hold_conversations(
    set: &ExcerptDataset,
    session: &mut EvaluationSession<'_>,
    plan: &EvaluationPlan,
    turns: usize,
) -> Result<ConversationFigures, CommandFailure> {
    let questions = plan.first(set.questions());
    // Only neighbours are grouped, so a set should list the questions of a document in a row.
    let of_document = questions.chunk_by(|one, next| one.document == next.document);
    let conversations: Vec<&[ExcerptQuestion]> =
        of_document.flat_map(|own| own.chunks_exact(turns)).collect();
    let mut at_budget = Vec::new();
    for budget in plan.budgets.iter() {
        let (mut kept, mut scratch) = (ConversationTally::default(), ConversationTally::default());
        for conversation in &conversations {
            let mut continuation = None;
            // A conversation must not count tokens that it shares with the one before.
            kept.before.clear();
            scratch.before.clear();
            for question in *conversation {
                let recall = |passages: &[_]| {
                    CoverageOverlap::between(&question.relevant, &ByteCoverage::from_passages(passages))
                        .recall
                };
                let answer = session.assemble_after(&question.text, budget, continuation.as_deref()).await?;
                let found = recall(&answer.passages);
                kept.turn(answer.context, found, session.tokenizer());
                continuation = Some(answer.continuation);
                // The same question from scratch, so that the kept prefix is the only difference.
                let afresh = session.assemble(&question.text, budget).await?;
                let found = recall(&afresh.passages);
                scratch.turn(afresh.context, found, session.tokenizer());
            }
        }
        let reached = ConversationScores {
            reused: kept.share(),
            reused_from_scratch: scratch.share(),
            recall: mean(kept.recalls.iter().copied()),
            recall_from_scratch: mean(scratch.recalls.iter().copied()),
        };
        at_budget.push((budget, reached));
    }
    Ok(ConversationFigures { turns, count: conversations.len(), at_budget: KeyedValues(at_budget) })
}

fn common_prefix<'a>(before: &str, context: &'a str) -> &'a str {
    let same = before.bytes().zip(context.bytes()).take_while(|(left, right)| left == right).count();
    // Equal bytes may end within a character.
    &context[..context.floor_char_boundary(same)]
}

impl ConversationFigures {
    /// The figures for a person.
    pub(crate) fn text(&self) -> String {
        let mut table = TextTable::new(&[
            ("conversations at tokens", ColumnAlignment::Left),
            ("reused", ColumnAlignment::Right),
            ("from scratch", ColumnAlignment::Right),
            ("recall", ColumnAlignment::Right),
            ("from scratch", ColumnAlignment::Right),
        ]);
        for (budget, reached) in &self.at_budget.0 {
            table.row([
                budget.to_string(),
                format!("{:.1} %", reached.reused * 100.0),
                format!("{:.1} %", reached.reused_from_scratch * 100.0),
                format!("{:.4}", reached.recall),
                format!("{:.4}", reached.recall_from_scratch),
            ]);
        }
        format!(
            "{}{} conversations of {} turns; reused: tokens in the longest common prefix with the context before\n",
            table.render(),
            self.count,
            self.turns
        )
    }
}

#[cfg(test)]
mod tests {
    use super::common_prefix;

    #[test]
    fn a_prefix_ends_at_a_character() {
        assert_eq!(common_prefix("a\u{e9}b", "a\u{e8}b"), "a");
        assert_eq!(common_prefix("same", "same and more"), "same");
        assert_eq!(common_prefix("", "x"), "");
    }
}
