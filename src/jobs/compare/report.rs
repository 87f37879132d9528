//! What a comparison found. The JSON names are a contract with other people's scripts.

use std::time::Duration;

use serde::Serialize;

use super::gate::Checked;
use super::{Answered, Plan, Question};
use crate::context::answer::Degraded;
use crate::domain::ids::{CollectionId, DocumentId, Generation};
use crate::fault::Refusal;
use crate::jobs::measure::bootstrap::Interval;
use crate::jobs::measure::contexts::ContextOverlap;
use crate::jobs::measure::metrics::{mean, ndcg, percentile_ms, recall};
use crate::jobs::measure::rankings::{kendall_tau, overlap, rank_biased_overlap};

/// The same of both generations: `a` is the one to compare with, `b` the one that is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Pair<T> {
    /// Of the one to compare with.
    pub a: T,
    /// Of the one that is looked at.
    pub b: T,
}

/// Two generations over all questions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The collection.
    pub collection: CollectionId,
    /// The generations.
    pub generations: Pair<Generation>,
    /// Documents of each ranking that were compared.
    pub top_k: usize,
    /// Tokens a context might have.
    pub budget: usize,
    /// Whose tokens.
    pub tokenizer: String,
    /// Questions asked.
    pub questions: usize,
    /// Questions that one of the two could not answer; no figure counts them.
    pub failed: usize,
    /// Answers that had to do without something.
    pub degraded: Pair<usize>,
    /// Means over the questions both answered; left out where there is none.
    #[serde(flatten)]
    pub likeness: Option<Likeness>,
    /// Means over the questions with judgements both answered; none where there is none.
    pub judged: Option<Judged>,
    /// How long a context took.
    pub latency_ms: Pair<Latency>,
    /// How many times as long `b` took.
    pub latency_ratio: Latency,
    /// How long the comparison took, in seconds.
    pub seconds: f64,
    /// What was required, and whether it holds.
    pub requirements: Vec<Checked>,
    /// Each question, in the order they were asked.
    pub per_question: Vec<Compared>,
}

/// How alike two answers are, 1 for equal ones; or many, on average.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Likeness {
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

/// How good both are, where that is known.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judged {
    /// Questions.
    pub questions: usize,
    /// nDCG of the first `top_k` documents.
    pub ndcg: Pair<f64>,
    /// What `b` has more of it, with its 95 % interval.
    pub ndcg_delta: Interval,
    /// Recall of the first `top_k` documents.
    pub recall: Pair<f64>,
    /// What `b` has more of it, with its 95 % interval.
    pub recall_delta: Interval,
}

/// Nearest-rank percentiles.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Latency {
    /// Half take no longer.
    pub p50: f64,
    /// 95 of 100 take no longer.
    pub p95: f64,
    /// 99 of 100 take no longer.
    pub p99: f64,
}

/// One question.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Compared {
    /// Its name.
    pub id: String,
    /// The question.
    pub question: String,
    /// Both answers.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What became of a question.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Outcome {
    /// Both answered.
    Answered {
        /// How alike.
        #[serde(flatten)]
        likeness: Likeness,
        /// `a`'s answer.
        a: OfSide,
        /// `b`'s answer.
        b: OfSide,
    },
    /// One did not.
    Failed {
        /// Why.
        error: Failed,
    },
}

/// One side's answer to a question.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OfSide {
    /// Its first documents, best first.
    pub documents: Vec<DocumentId>,
    /// Tokens of its context.
    pub context_tokens: usize,
    /// How long the context took.
    pub ms: f64,
    /// What it had to do without.
    pub degraded: Vec<Degraded>,
    /// nDCG; none where nobody judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ndcg: Option<f64>,
    /// Recall; none where nobody judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recall: Option<f64>,
}

/// Why a question has no figures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failed {
    /// Whether it was `a` or `b`; `a` if both.
    pub side: &'static str,
    /// Stable code.
    pub code: &'static str,
    /// One line.
    pub message: String,
}

/// Compares the answers to one question.
pub(super) fn compare(
    question: &Question,
    of_a: Result<Answered, Refusal>,
    of_b: Result<Answered, Refusal>,
    plan: &Plan,
) -> Compared {
    let outcome = match (of_a, of_b) {
        (Ok(of_a), Ok(of_b)) => Outcome::Answered {
            likeness: likeness(&of_a, &of_b, plan),
            a: of_side(of_a, question, plan),
            b: of_side(of_b, question, plan),
        },
        (Err(refusal), _) => Outcome::failed("a", refusal),
        (_, Err(refusal)) => Outcome::failed("b", refusal),
    };
    Compared { id: question.id.clone(), question: question.text.clone(), outcome }
}

impl Outcome {
    fn failed(side: &'static str, refusal: Refusal) -> Self {
        Self::Failed { error: Failed { side, code: refusal.code, message: refusal.message } }
    }
}

fn likeness(of_a: &Answered, of_b: &Answered, plan: &Plan) -> Likeness {
    let contexts = ContextOverlap::of(&of_a.passages, &of_b.passages, &*plan.tokenizer);
    Likeness {
        overlap: overlap(&of_a.documents, &of_b.documents, plan.depth),
        rbo: rank_biased_overlap(&of_a.documents, &of_b.documents, plan.depth),
        kendall_tau: kendall_tau(&of_a.documents, &of_b.documents, plan.depth),
        context_overlap: contexts.overlap,
        a_context_in_b: contexts.first_in_second,
        b_context_in_a: contexts.second_in_first,
    }
}

fn of_side(answered: Answered, question: &Question, plan: &Plan) -> OfSide {
    let judged = |figure: fn(&[DocumentId], &_, usize) -> f64| {
        let is_judged = !question.relevant.is_empty();
        is_judged.then(|| figure(&answered.documents, &question.relevant, plan.depth))
    };
    OfSide {
        ndcg: judged(ndcg),
        recall: judged(recall),
        context_tokens: answered.tokens,
        ms: percentile_ms(&[answered.took], 50),
        degraded: answered.degraded,
        documents: answered.documents,
    }
}

impl Compared {
    /// Both answers and how alike they are; none where one is missing.
    pub fn answered(&self) -> Option<(&Likeness, Pair<&OfSide>)> {
        match &self.outcome {
            Outcome::Answered { likeness, a, b } => Some((likeness, Pair { a, b })),
            Outcome::Failed { .. } => None,
        }
    }
}

impl Comparison {
    pub(super) fn new(
        plan: &Plan,
        [a, b]: [Generation; 2],
        per_question: Vec<Compared>,
        took: Duration,
    ) -> Self {
        let answered: Vec<_> = per_question.iter().filter_map(Compared::answered).collect();
        let likenesses: Vec<&Likeness> = answered.iter().map(|(likeness, _)| *likeness).collect();
        let sides: Vec<Pair<&OfSide>> = answered.iter().map(|(_, sides)| *sides).collect();
        let degraded = |of: fn(&Pair<&OfSide>) -> bool| sides.iter().filter(|sides| of(sides)).count();
        let latency = Pair {
            a: Latency::of(sides.iter().map(|sides| sides.a.ms)),
            b: Latency::of(sides.iter().map(|sides| sides.b.ms)),
        };
        Self {
            collection: plan.collection.clone(),
            generations: Pair { a, b },
            top_k: plan.depth,
            budget: plan.budget,
            tokenizer: plan.tokenizer.name().to_owned(),
            questions: per_question.len(),
            failed: per_question.len() - sides.len(),
            degraded: Pair {
                a: degraded(|sides| !sides.a.degraded.is_empty()),
                b: degraded(|sides| !sides.b.degraded.is_empty()),
            },
            likeness: (!sides.is_empty()).then(|| Likeness::mean(&likenesses)),
            judged: Judged::of(&sides),
            latency_ms: latency,
            latency_ratio: latency.b.over(&latency.a),
            seconds: (took.as_secs_f64() * 1000.0).round() / 1000.0,
            requirements: Vec::new(),
            per_question,
        }
    }
}

impl Likeness {
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

impl Judged {
    fn of(sides: &[Pair<&OfSide>]) -> Option<Self> {
        let pairs = |figure: fn(&OfSide) -> Option<f64>| -> Vec<(f64, f64)> {
            sides.iter().filter_map(|sides| Some((figure(sides.a)?, figure(sides.b)?))).collect()
        };
        let (ndcg, recall) = (pairs(|side| side.ndcg), pairs(|side| side.recall));
        let means = |pairs: &[(f64, f64)]| Pair {
            a: mean(pairs.iter().map(|(a, _)| *a)),
            b: mean(pairs.iter().map(|(_, b)| *b)),
        };
        let delta =
            |pairs: &[(f64, f64)]| Interval::of(&pairs.iter().map(|(a, b)| b - a).collect::<Vec<f64>>());
        (!ndcg.is_empty()).then(|| Self {
            questions: ndcg.len(),
            ndcg: means(&ndcg),
            ndcg_delta: delta(&ndcg),
            recall: means(&recall),
            recall_delta: delta(&recall),
        })
    }
}

impl Latency {
    fn of(ms: impl Iterator<Item = f64>) -> Self {
        let durations: Vec<Duration> = ms.map(|ms| Duration::from_secs_f64(ms / 1000.0)).collect();
        let at = |percent| percentile_ms(&durations, percent);
        Self { p50: at(50), p95: at(95), p99: at(99) }
    }

    /// Each with its name.
    pub fn named(&self) -> [(&'static str, f64); 3] {
        [("p50", self.p50), ("p95", self.p95), ("p99", self.p99)]
    }

    /// How many times as long; 1 where nothing was measured.
    fn over(&self, other: &Self) -> Self {
        let ratio = |ours: f64, theirs: f64| if theirs > 0.0 { ours / theirs } else { 1.0 };
        Self {
            p50: ratio(self.p50, other.p50),
            p95: ratio(self.p95, other.p95),
            p99: ratio(self.p99, other.p99),
        }
    }
}
