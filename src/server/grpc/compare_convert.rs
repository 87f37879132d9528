//! Converts requests and reports of `AdminService/Compare`.

use super::proto;
use contexture_core::context::request::TOKENIZER_DEFAULT;
use contexture_core::domain::ids::GenerationNumber;
use contexture_core::fault::Refusal;
use contexture_lab::compare::report::{
    AnswerSimilarity, CheckedRequirement, JudgedQuality, LatencyPercentiles, MeasuredAnswer,
    QuestionComparison, QuestionOutcome,
};
use contexture_lab::compare::requirements::ComparisonRequirement;
use contexture_lab::compare::{
    BUDGET_DEFAULT, ComparisonQuestion, ComparisonRequest, DEPTH_DEFAULT, GenerationComparison,
    QuestionCollector,
};
use contexture_lab::measure::bootstrap::BootstrapInterval;

/// Converts a request to compare two generations.
pub(super) fn asking_from_request(request: proto::CompareRequest) -> Result<ComparisonRequest, Refusal> {
    let depth = request.top_k.map_or(DEPTH_DEFAULT, |top_k| top_k as usize);
    let mut questions = QuestionCollector::default();
    for (question, number) in request.questions.into_iter().zip(1_u64..) {
        let proto::CompareQuestion { id, text, relevant } = question;
        // The report names a question by its id, so one without gets its number.
        let id = if id.is_empty() { number.to_string() } else { id };
        ComparisonQuestion::new(id, text, relevant).and_then(|question| questions.add(question)).map_err(
            |why| Refusal::invalid("invalid_questions", "questions", format!("question {number}: {why}")),
        )?;
    }
    // A message cannot tell an empty list from none. None stands for the sampled questions.
    let questions = Some(questions.into_all()).filter(|questions| !questions.is_empty());
    Ok(ComparisonRequest {
        questions,
        generations: compared_generations(&request.generations)?,
        depth,
        budget: request.budget.map_or(BUDGET_DEFAULT, |budget| budget as usize),
        tokenizer: request.tokenizer.unwrap_or_else(|| TOKENIZER_DEFAULT.to_owned()),
        requirements: ComparisonRequirement::parse_all(&request.require, depth)?,
    })
}

fn compared_generations(named: &[u32]) -> Result<Option<[GenerationNumber; 2]>, Refusal> {
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

/// Returns the messages of a finished comparison: its questions, then the report.
pub(super) fn comparison_messages(
    comparison: GenerationComparison,
) -> impl Iterator<Item = proto::CompareProgress> + Send {
    let (done, total) = (comparison.questions as u64, comparison.questions as u64);
    // Made first, because the questions move out of the comparison below.
    let whole =
        proto::CompareProgress { done, total, question: None, report: Some(report_message(&comparison)) };
    // One message each: all questions in one could exceed the size that clients accept.
    let questions = comparison.per_question.into_iter().map(move |compared| proto::CompareProgress {
        done,
        total,
        question: Some(question_message(compared)),
        report: None,
    });
    questions.chain(std::iter::once(whole))
}

fn report_message(comparison: &GenerationComparison) -> proto::ComparisonReport {
    proto::ComparisonReport {
        generation_a: comparison.generations.a,
        generation_b: comparison.generations.b,
        questions: comparison.questions as u64,
        failed: comparison.failed as u64,
        degraded_a: comparison.degraded.a as u64,
        degraded_b: comparison.degraded.b as u64,
        likeness: comparison.likeness.as_ref().map(likeness_message),
        judged: comparison.judged.as_ref().map(judged_message),
        latency_ms_a: Some(latency_message(comparison.latency_ms.a)),
        latency_ms_b: Some(latency_message(comparison.latency_ms.b)),
        latency_ratio: Some(latency_message(comparison.latency_ratio)),
        seconds: comparison.seconds,
        requirements: comparison.requirements.iter().map(requirement_message).collect(),
    }
}

fn question_message(compared: QuestionComparison) -> proto::ComparedQuestion {
    let QuestionComparison { id, question: text, outcome } = compared;
    let named = proto::ComparedQuestion { id, text, ..proto::ComparedQuestion::default() };
    match outcome {
        QuestionOutcome::Answered { likeness: alike, a, b } => proto::ComparedQuestion {
            likeness: Some(likeness_message(&alike)),
            a: Some(answer_message(&a)),
            b: Some(answer_message(&b)),
            ..named
        },
        QuestionOutcome::Failed { error } => proto::ComparedQuestion {
            failure: Some(proto::CompareFailure {
                side: error.side,
                code: error.code,
                message: error.message,
            }),
            ..named
        },
    }
}

fn answer_message(side: &MeasuredAnswer) -> proto::ComparedAnswer {
    proto::ComparedAnswer {
        document_ids: side.documents.iter().map(ToString::to_string).collect(),
        context_tokens: side.context_tokens as u64,
        ms: side.ms,
        degraded: side.degraded.iter().map(|one| one.name().to_owned()).collect(),
        ndcg: side.ndcg,
        recall: side.recall,
    }
}

fn likeness_message(likeness: &AnswerSimilarity) -> proto::Likeness {
    let AnswerSimilarity { overlap, rbo, kendall_tau, context_overlap, a_context_in_b, b_context_in_a } =
        *likeness;
    proto::Likeness { overlap, rbo, kendall_tau, context_overlap, a_context_in_b, b_context_in_a }
}

fn judged_message(judged: &JudgedQuality) -> proto::Judged {
    proto::Judged {
        questions: judged.questions as u64,
        ndcg_a: judged.ndcg.a,
        ndcg_b: judged.ndcg.b,
        ndcg_delta: Some(interval_message(judged.ndcg_delta)),
        recall_a: judged.recall.a,
        recall_b: judged.recall.b,
        recall_delta: Some(interval_message(judged.recall_delta)),
    }
}

fn interval_message(interval: BootstrapInterval) -> proto::Interval {
    let BootstrapInterval { mean, low, high } = interval;
    proto::Interval { mean, low, high }
}

fn latency_message(latency: LatencyPercentiles) -> proto::Latency {
    let LatencyPercentiles { p50, p95, p99 } = latency;
    proto::Latency { p50, p95, p99 }
}

fn requirement_message(checked: &CheckedRequirement) -> proto::CheckedRequirement {
    let CheckedRequirement { requirement, value, met } = checked;
    proto::CheckedRequirement { requirement: requirement.clone(), value: *value, met: *met }
}
