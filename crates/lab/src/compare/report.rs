//! The result of a comparison. Scripts rely on the JSON names, so they must not change.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::question::{ComparisonPlan, ComparisonQuestion, GenerationAnswer};
use crate::measure::bootstrap::BootstrapInterval;
use crate::measure::context_overlap::ContextOverlap;
use crate::measure::ranking_similarity::{kendall_tau, rank_biased_overlap, ranking_overlap};
use crate::measure::retrieval_metrics::{mean, ndcg, percentile_ms, recall};
use contexture_core::context::answer::AnswerDegradation;
use contexture_core::domain::ids::{CollectionId, DocumentId, GenerationNumber};
use contexture_core::fault::Refusal;

/// A value of both generations: `a` is the one to compare with, `b` the one under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenerationPair<T> {
    /// Of the one to compare with.
    pub a: T,
    /// Of the one under test.
    pub b: T,
}

/// The comparison of two generations over all questions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GenerationComparison {
    /// The collection.
    pub collection: CollectionId,
    /// The generations.
    pub generations: GenerationPair<GenerationNumber>,
    /// Documents of each ranking that were compared.
    pub top_k: usize,
    /// Tokens that a context may have.
    pub budget: usize,
    /// The tokenizer that counts them.
    pub tokenizer: String,
    /// Questions asked.
    pub questions: usize,
    /// Questions that at least one side could not answer. No figure counts them.
    pub failed: usize,
    /// Degraded answers.
    pub degraded: GenerationPair<usize>,
    /// Means over the questions that both answered. Left out if there is none.
    #[serde(flatten)]
    pub likeness: Option<AnswerSimilarity>,
    /// Means over the judged questions that both answered. None if there is none.
    pub judged: Option<JudgedQuality>,
    /// How long a context took.
    pub latency_ms: GenerationPair<LatencyPercentiles>,
    /// How many times as long `b` took.
    pub latency_ratio: LatencyPercentiles,
    /// How long the comparison took, in seconds.
    pub seconds: f64,
    /// The requirements, and whether they are satisfied.
    pub requirements: Vec<CheckedRequirement>,
    /// Each question, in the order they were asked.
    pub per_question: Vec<QuestionComparison>,
}

/// How similar two answers are, or many on average. Equal answers have 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AnswerSimilarity {
    /// Common documents of the first `top_k`.
    pub overlap: f64,
    /// Rank-biased overlap of the documents.
    pub rbo: f64,
    /// Kendall's tau-b of the documents, from −1.
    pub kendall_tau: f64,
    /// Common tokens of both contexts.
    pub context_overlap: f64,
    /// The share of `a`'s context that `b` has, too.
    pub a_context_in_b: f64,
    /// The share of `b`'s context that `a` has, too.
    pub b_context_in_a: f64,
}

/// Retrieval quality of both sides, over judged questions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JudgedQuality {
    /// Questions.
    pub questions: usize,
    /// nDCG of the first `top_k` documents.
    pub ndcg: GenerationPair<f64>,
    /// The difference `b` minus `a`, with its 95 % interval.
    pub ndcg_delta: BootstrapInterval,
    /// Recall of the first `top_k` documents.
    pub recall: GenerationPair<f64>,
    /// The difference `b` minus `a`, with its 95 % interval.
    pub recall_delta: BootstrapInterval,
}

/// Nearest-rank percentiles of latencies, or ratios of them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LatencyPercentiles {
    /// Half take no longer.
    pub p50: f64,
    /// 95 of 100 take no longer.
    pub p95: f64,
    /// 99 of 100 take no longer.
    pub p99: f64,
}

/// A requirement, checked against a comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckedRequirement {
    /// The requirement, as it was written.
    pub requirement: String,
    /// The measured value. None if it was not measured.
    pub value: Option<f64>,
    /// Whether the requirement is satisfied.
    pub met: bool,
}

/// One question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QuestionComparison {
    /// Its name.
    pub id: String,
    /// The question.
    pub question: String,
    /// Both answers.
    #[serde(flatten)]
    pub outcome: QuestionOutcome,
}

/// The outcome of one question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum QuestionOutcome {
    /// Both sides answered.
    Answered {
        /// How similar the answers are.
        #[serde(flatten)]
        likeness: AnswerSimilarity,
        /// `a`'s answer.
        a: MeasuredAnswer,
        /// `b`'s answer.
        b: MeasuredAnswer,
    },
    /// At least one side failed.
    Failed {
        /// Why.
        error: QuestionFailure,
    },
}

/// One side's answer to a question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MeasuredAnswer {
    /// Its first documents, best first.
    pub documents: Vec<DocumentId>,
    /// Tokens of its context.
    pub context_tokens: usize,
    /// How long the context took.
    pub ms: f64,
    /// What was missing from the answer.
    pub degraded: Vec<AnswerDegradation>,
    /// nDCG; none where nobody judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ndcg: Option<f64>,
    /// Recall; none where nobody judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recall: Option<f64>,
}

/// Why a question has no figures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuestionFailure {
    /// The side that failed: `a` or `b`; `a` if both did.
    pub side: String,
    /// Stable code.
    pub code: String,
    /// One line.
    pub message: String,
}

/// Compares the answers to one question.
pub(super) fn compare_answers(
    question: &ComparisonQuestion,
    of_a: Result<GenerationAnswer, Refusal>,
    of_b: Result<GenerationAnswer, Refusal>,
    plan: &ComparisonPlan,
) -> QuestionComparison {
    let outcome = match (of_a, of_b) {
        (Ok(of_a), Ok(of_b)) => QuestionOutcome::Answered {
            likeness: answer_similarity(&of_a, &of_b, plan),
            a: measure_answer(of_a, question, plan),
            b: measure_answer(of_b, question, plan),
        },
        // If both fail, the side to compare with is reported: without it there is nothing to compare.
        (Err(refusal), _) => QuestionOutcome::failed("a", refusal),
        (_, Err(refusal)) => QuestionOutcome::failed("b", refusal),
    };
    QuestionComparison { id: question.id.clone(), question: question.text.clone(), outcome }
}

impl QuestionOutcome {
    fn failed(side: &'static str, refusal: Refusal) -> Self {
        Self::Failed {
            error: QuestionFailure {
                side: side.to_owned(),
                code: refusal.code.to_owned(),
                message: refusal.message,
            },
        }
    }
}

fn answer_similarity(
    of_a: &GenerationAnswer,
    of_b: &GenerationAnswer,
    plan: &ComparisonPlan,
) -> AnswerSimilarity {
    let contexts = ContextOverlap::between(&of_a.passages, &of_b.passages, &*plan.tokenizer);
    AnswerSimilarity {
        overlap: ranking_overlap(&of_a.documents, &of_b.documents, plan.depth),
        rbo: rank_biased_overlap(&of_a.documents, &of_b.documents, plan.depth),
        kendall_tau: kendall_tau(&of_a.documents, &of_b.documents, plan.depth),
        context_overlap: contexts.overlap,
        a_context_in_b: contexts.first_in_second,
        b_context_in_a: contexts.second_in_first,
    }
}

fn measure_answer(
    answered: GenerationAnswer,
    question: &ComparisonQuestion,
    plan: &ComparisonPlan,
) -> MeasuredAnswer {
    let judged = |figure: fn(&[DocumentId], &_, usize) -> f64| {
        // Without judgements a figure of 0 would look like a bad answer.
        let is_judged = !question.relevant.is_empty();
        is_judged.then(|| figure(&answered.documents, &question.relevant, plan.depth))
    };
    MeasuredAnswer {
        ndcg: judged(ndcg),
        recall: judged(recall),
        context_tokens: answered.tokens,
        ms: percentile_ms(&[answered.took], 50),
        degraded: answered.degraded,
        documents: answered.documents,
    }
}

impl QuestionComparison {
    /// Both answers and their similarity. None if one is missing.
    pub fn answered(&self) -> Option<(&AnswerSimilarity, GenerationPair<&MeasuredAnswer>)> {
        match &self.outcome {
            QuestionOutcome::Answered { likeness, a, b } => Some((likeness, GenerationPair { a, b })),
            QuestionOutcome::Failed { .. } => None,
        }
    }
}

impl CheckedRequirement {
    /// A short message if the requirement is not satisfied.
    pub fn broken(&self) -> Option<String> {
        let measured = match self.value {
            Some(value) => format!("measured {value:.4}"),
            None => "not measured".to_owned(),
        };
        (!self.met).then(|| format!("{} does not hold: {measured}", self.requirement))
    }
}

impl GenerationComparison {
    pub(super) fn new(
        plan: &ComparisonPlan,
        [a, b]: [GenerationNumber; 2],
        per_question: Vec<QuestionComparison>,
        took: Duration,
    ) -> Self {
        let answered: Vec<_> = per_question.iter().filter_map(QuestionComparison::answered).collect();
        let likenesses: Vec<&AnswerSimilarity> = answered.iter().map(|(likeness, _)| *likeness).collect();
        let sides: Vec<GenerationPair<&MeasuredAnswer>> = answered.iter().map(|(_, sides)| *sides).collect();
        let degraded =
            |of: fn(&GenerationPair<&MeasuredAnswer>) -> bool| sides.iter().filter(|sides| of(sides)).count();
        let latency = GenerationPair {
            a: LatencyPercentiles::from_ms(sides.iter().map(|sides| sides.a.ms)),
            b: LatencyPercentiles::from_ms(sides.iter().map(|sides| sides.b.ms)),
        };
        Self {
            collection: plan.collection.clone(),
            generations: GenerationPair { a, b },
            top_k: plan.depth,
            budget: plan.budget,
            tokenizer: plan.tokenizer.name().to_owned(),
            questions: per_question.len(),
            failed: per_question.len() - sides.len(),
            degraded: GenerationPair {
                a: degraded(|sides| !sides.a.degraded.is_empty()),
                b: degraded(|sides| !sides.b.degraded.is_empty()),
            },
            likeness: (!sides.is_empty()).then(|| AnswerSimilarity::mean(&likenesses)),
            judged: JudgedQuality::from_answer_pairs(&sides),
            latency_ms: latency,
            latency_ratio: latency.b.over(&latency.a),
            seconds: (took.as_secs_f64() * 1000.0).round() / 1000.0,
            // Filled by `held_against`, which needs the finished figures.
            requirements: Vec::new(),
            per_question,
        }
    }

    /// The requirements that are not satisfied, one line each.
    pub fn broken(&self) -> Vec<String> {
        self.requirements.iter().filter_map(CheckedRequirement::broken).collect()
    }
}

impl AnswerSimilarity {
    fn mean(all: &[&Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| mean(all.iter().map(|likeness| figure(likeness)));
        Self {
            overlap: of(|likeness| likeness.overlap),
            rbo: of(|likeness| likeness.rbo),
            kendall_tau: of(|likeness| likeness.kendall_tau),
            context_overlap: of(|likeness| likeness.context_overlap),
            a_context_in_b: of(|likeness| likeness.a_context_in_b),
            b_context_in_a: of(|likeness| likeness.b_context_in_a),
        }
    }
}

impl JudgedQuality {
    fn from_answer_pairs(sides: &[GenerationPair<&MeasuredAnswer>]) -> Option<Self> {
        let pairs = |figure: fn(&MeasuredAnswer) -> Option<f64>| -> Vec<(f64, f64)> {
            // Pairs, because the bootstrap resamples questions and not sides.
            sides.iter().filter_map(|sides| Some((figure(sides.a)?, figure(sides.b)?))).collect()
        };
        let (ndcg, recall) = (pairs(|side| side.ndcg), pairs(|side| side.recall));
        let means = |pairs: &[(f64, f64)]| GenerationPair {
            a: mean(pairs.iter().map(|(a, _)| *a)),
            b: mean(pairs.iter().map(|(_, b)| *b)),
        };
        let delta = |pairs: &[(f64, f64)]| {
            BootstrapInterval::from_differences(&pairs.iter().map(|(a, b)| b - a).collect::<Vec<f64>>())
        };
        // A judged question has both figures, so one check is enough.
        (!ndcg.is_empty()).then(|| Self {
            questions: ndcg.len(),
            ndcg: means(&ndcg),
            ndcg_delta: delta(&ndcg),
            recall: means(&recall),
            recall_delta: delta(&recall),
        })
    }
}

impl LatencyPercentiles {
    fn from_ms(ms: impl Iterator<Item = f64>) -> Self {
        // One definition of a percentile for all reports, so ms become durations again.
        let durations: Vec<Duration> = ms.map(|ms| Duration::from_secs_f64(ms / 1000.0)).collect();
        let at = |percent| percentile_ms(&durations, percent);
        Self { p50: at(50), p95: at(95), p99: at(99) }
    }

    /// Each with its name.
    pub fn named(&self) -> [(&'static str, f64); 3] {
        [("p50", self.p50), ("p95", self.p95), ("p99", self.p99)]
    }

    /// The ratio of two latencies. 1 if nothing was measured.
    fn over(&self, other: &Self) -> Self {
        // Times are rounded to the microsecond, so 0 is possible.
        let ratio = |ours: f64, theirs: f64| if theirs > 0.0 { ours / theirs } else { 1.0 };
        Self {
            p50: ratio(self.p50, other.p50),
            p95: ratio(self.p95, other.p95),
            p99: ratio(self.p99, other.p99),
        }
    }
}
