//! `AdminService/Compare`: what is to be asked, and what came out, in the words of the API.

use super::proto;
use crate::context::request::TOKENIZER_DEFAULT;
use crate::domain::ids::Generation;
use crate::fault::Refusal;
use crate::jobs::compare::gate::{Checked, Requirement};
use crate::jobs::compare::report::{Compared, Judged, Latency, Likeness, OfSide, Outcome};
use crate::jobs::compare::{Asking, BUDGET_DEFAULT, Comparison, DEPTH_DEFAULT, Question, Questions};
use crate::jobs::measure::bootstrap::Interval;

/// What a request asks for.
pub(super) fn asking(request: proto::CompareRequest) -> Result<Asking, Refusal> {
    let depth = request.top_k.map_or(DEPTH_DEFAULT, |top_k| top_k as usize);
    let mut questions = Questions::default();
    for (question, number) in request.questions.into_iter().zip(1_u64..) {
        let proto::CompareQuestion { id, text, relevant } = question;
        let id = if id.is_empty() { number.to_string() } else { id };
        Question::new(id, text, relevant).and_then(|question| questions.add(question)).map_err(|why| {
            Refusal::invalid("invalid_questions", "questions", format!("question {number}: {why}"))
        })?;
    }
    let questions = Some(questions.into_all()).filter(|questions| !questions.is_empty());
    Ok(Asking {
        questions,
        generations: generations(&request.generations)?,
        depth,
        budget: request.budget.map_or(BUDGET_DEFAULT, |budget| budget as usize),
        tokenizer: request.tokenizer.unwrap_or_else(|| TOKENIZER_DEFAULT.to_owned()),
        requirements: Requirement::parse_all(&request.require, depth)?,
    })
}

fn generations(named: &[u32]) -> Result<Option<[Generation; 2]>, Refusal> {
    match *named {
        [] => Ok(None),
        [a, b] => Ok(Some([a, b])),
        _ => Err(Refusal::invalid(
            "invalid_generations",
            "generations",
            format!("{} generations are named; two are compared, or none named", named.len()),
        )),
    }
}

/// The messages of a comparison that is through: its questions, then the report.
pub(super) fn messages(comparison: Comparison) -> impl Iterator<Item = proto::CompareProgress> + Send {
    let (done, total) = (comparison.questions as u64, comparison.questions as u64);
    let whole = proto::CompareProgress { done, total, question: None, report: Some(report(&comparison)) };
    let questions = comparison.per_question.into_iter().map(move |compared| proto::CompareProgress {
        done,
        total,
        question: Some(question(compared)),
        report: None,
    });
    questions.chain(std::iter::once(whole))
}

fn report(comparison: &Comparison) -> proto::ComparisonReport {
    proto::ComparisonReport {
        generation_a: comparison.generations.a,
        generation_b: comparison.generations.b,
        questions: comparison.questions as u64,
        failed: comparison.failed as u64,
        degraded_a: comparison.degraded.a as u64,
        degraded_b: comparison.degraded.b as u64,
        likeness: comparison.likeness.as_ref().map(likeness),
        judged: comparison.judged.as_ref().map(judged),
        latency_ms_a: Some(latency(comparison.latency_ms.a)),
        latency_ms_b: Some(latency(comparison.latency_ms.b)),
        latency_ratio: Some(latency(comparison.latency_ratio)),
        seconds: comparison.seconds,
        requirements: comparison.requirements.iter().map(checked).collect(),
    }
}

fn question(compared: Compared) -> proto::ComparedQuestion {
    let Compared { id, question: text, outcome } = compared;
    let told = proto::ComparedQuestion { id, text, ..proto::ComparedQuestion::default() };
    match outcome {
        Outcome::Answered { likeness: alike, a, b } => proto::ComparedQuestion {
            likeness: Some(likeness(&alike)),
            a: Some(answer(&a)),
            b: Some(answer(&b)),
            ..told
        },
        Outcome::Failed { error } => proto::ComparedQuestion {
            failure: Some(proto::CompareFailure {
                side: error.side.to_owned(),
                code: error.code.to_owned(),
                message: error.message,
            }),
            ..told
        },
    }
}

fn answer(side: &OfSide) -> proto::ComparedAnswer {
    proto::ComparedAnswer {
        document_ids: side.documents.iter().map(ToString::to_string).collect(),
        context_tokens: side.context_tokens as u64,
        ms: side.ms,
        degraded: side.degraded.iter().map(|one| one.name().to_owned()).collect(),
        ndcg: side.ndcg,
        recall: side.recall,
    }
}

fn likeness(likeness: &Likeness) -> proto::Likeness {
    let Likeness { overlap, rbo, kendall_tau, context_overlap, a_context_in_b, b_context_in_a } = *likeness;
    proto::Likeness { overlap, rbo, kendall_tau, context_overlap, a_context_in_b, b_context_in_a }
}

fn judged(judged: &Judged) -> proto::Judged {
    proto::Judged {
        questions: judged.questions as u64,
        ndcg_a: judged.ndcg.a,
        ndcg_b: judged.ndcg.b,
        ndcg_delta: Some(interval(judged.ndcg_delta)),
        recall_a: judged.recall.a,
        recall_b: judged.recall.b,
        recall_delta: Some(interval(judged.recall_delta)),
    }
}

fn interval(interval: Interval) -> proto::Interval {
    let Interval { mean, low, high } = interval;
    proto::Interval { mean, low, high }
}

fn latency(latency: Latency) -> proto::Latency {
    let Latency { p50, p95, p99 } = latency;
    proto::Latency { p50, p95, p99 }
}

fn checked(checked: &Checked) -> proto::CheckedRequirement {
    let Checked { requirement, value, met } = checked;
    proto::CheckedRequirement { requirement: requirement.clone(), value: *value, met: *met }
}
