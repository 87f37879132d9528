//! Comparing two generations of a collection by asking both the same questions.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hyper::HeaderMap;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::CollectionPath;
use crate::operations::administered_collection;
use crate::server::admission::AdmittedCall;
use crate::server::http::event_stream::{ProgressSender, answer_job};
use crate::server::http::extract::{OptionalJsonBody, PathParameters};
use crate::server::http::problem::HttpProblem;
use crate::server::http::served_state::HttpServices;
use contexture_core::context::request::TOKENIZER_DEFAULT;
use contexture_core::domain::ids::GenerationNumber;
use contexture_core::domain::principal::AccessScope;
use contexture_core::fault::Refusal;
use contexture_lab::compare::requirements::ComparisonRequirement;
use contexture_lab::compare::{
    BUDGET_DEFAULT, ComparisonQuestion, ComparisonRequest, DEPTH_DEFAULT, QuestionCollector,
};

pub(super) fn routes() -> OpenApiRouter<Arc<HttpServices>> {
    OpenApiRouter::default().routes(routes!(compare_generations))
}

/// What to ask two generations, and what to require.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CompareGenerationsRequest {
    /// What to ask, at most 10,000; absent or empty: the questions that the server kept.
    #[serde(default)]
    questions: Vec<ComparedQuestionRequest>,
    /// The generation to compare with, and the one to look at; absent: the active one and the one being built.
    #[serde(default)]
    #[schema(min_items = 2, max_items = 2)]
    generations: Option<Vec<u32>>,
    /// Documents of each ranking that are compared, 1 to 100; absent: 10.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 100)]
    top_k: Option<u32>,
    /// Tokens of each context; absent: 2000.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1_000_000)]
    budget: Option<u32>,
    /// The tokenizer that counts them; absent: `cl100k_base`.
    #[serde(default)]
    tokenizer: Option<String>,
    /// What has to hold, such as `overlap@10>=0.8`, `ndcg_delta>=-0.01`, `p95_ratio<=1.5`; at most 64.
    #[serde(default)]
    require: Vec<String>,
}

/// A question, and what is known of its answer.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ComparedQuestionRequest {
    /// Its name in the report; absent: its number, from 1.
    #[serde(default)]
    id: Option<String>,
    /// The question.
    text: String,
    /// Grades of relevant documents, by their ids; above 0. Absent: nobody judged.
    #[serde(default)]
    relevant: BTreeMap<String, f64>,
}

/// How far a comparison is.
#[derive(Debug, Serialize, ToSchema)]
struct CompareProgressView {
    /// Questions that are answered.
    done: u64,
    /// All questions.
    total: u64,
}

/// Asks two generations the same questions and compares their answers.
///
/// Answers with the report at the end; with `Accept: text/event-stream` with events `progress`, and `report` as
/// the last. Needs the scopes `admin` and `read`.
#[utoipa::path(
    post, path = "/v1/collections/{collection}/reindex/compare", operation_id = "compare_generations",
    tag = "administration",
    params(CollectionPath),
    request_body = Option<CompareGenerationsRequest>,
    responses((status = 200, description = "The report, as `reindex compare --json` prints it.", content(
        (Object = "application/json"), (CompareProgressView = "text/event-stream"),
    ))),
)]
async fn compare_generations(
    State(http): State<Arc<HttpServices>>,
    call: AdmittedCall,
    PathParameters(path): PathParameters<CollectionPath>,
    headers: HeaderMap,
    OptionalJsonBody(request): OptionalJsonBody<CompareGenerationsRequest>,
) -> Result<Response, HttpProblem> {
    let key = administered_collection(&call.principal, &path.collection)?;
    // The comparison shows documents, so administration alone does not suffice.
    call.principal.require(AccessScope::Read)?;
    let asking = request.into_comparison()?;
    let (admin, caller) = (http.services.admin.clone(), call.principal.clone());
    let job = |mut progress: ProgressSender<CompareProgressView>| async move {
        let show = move |done: usize, total: usize| {
            progress.send(CompareProgressView { done: done as u64, total: total as u64 });
        };
        admin.compare(&caller, &key.collection, asking, Box::new(show)).await
    };
    Ok(answer_job(&headers, call, job).await?)
}

impl CompareGenerationsRequest {
    fn into_comparison(self) -> Result<ComparisonRequest, Refusal> {
        let depth = self.top_k.map_or(DEPTH_DEFAULT, |top_k| top_k as usize);
        let mut questions = QuestionCollector::default();
        for (question, number) in self.questions.into_iter().zip(1_u64..) {
            let ComparedQuestionRequest { id, text, relevant } = question;
            // The report names a question by its id, so one without gets its number.
            let id = id.filter(|id| !id.is_empty()).unwrap_or_else(|| number.to_string());
            let added =
                ComparisonQuestion::new(id, text, relevant).and_then(|question| questions.add(question));
            added.map_err(|why| {
                Refusal::invalid("invalid_questions", "questions", format!("question {number}: {why}"))
            })?;
        }
        Ok(ComparisonRequest {
            questions: Some(questions.into_all()).filter(|questions| !questions.is_empty()),
            generations: compared_pair(self.generations.as_deref())?,
            depth,
            budget: self.budget.map_or(BUDGET_DEFAULT, |budget| budget as usize),
            tokenizer: self.tokenizer.unwrap_or_else(|| TOKENIZER_DEFAULT.to_owned()),
            requirements: ComparisonRequirement::parse_all(&self.require, depth)?,
        })
    }
}

fn compared_pair(named: Option<&[u32]>) -> Result<Option<[GenerationNumber; 2]>, Refusal> {
    match named {
        None | Some([]) => Ok(None),
        Some(&[a, b]) => Ok(Some([a, b])),
        Some(named) => {
            let message = format!("{} generations are named; two are compared, or none named", named.len());
            Err(Refusal::invalid("invalid_generations", "generations", message))
        }
    }
}
