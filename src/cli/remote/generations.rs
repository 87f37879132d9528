//! The generations of a collection on a server.

use async_trait::async_trait;
use reqwest::Method;
use serde::{Deserialize, Serialize};

use super::RemoteServer;
use super::operations::MODEL_LOADING_MAX;
use crate::cli::reindex::{ComparisonProgress, GenerationOperations, GenerationStatus};
use crate::operations::CollectionsApi;
use crate::operations::messages::job::{
    ActivateReindexRequest, BuildPaceRequest, DropGenerationRequest, GenerationList, GenerationView,
    ReindexDoneView, ResumeReindexRequest, StartReindexRequest,
};
use contexture_core::domain::ids::GenerationNumber;
use contexture_core::domain::pipeline::Pipeline;
use contexture_core::domain::principal::Principal;
use contexture_core::fault::Refusal;
use contexture_core::ports::embedder::EmbedderWaitStatus;
use contexture_core::ports::generations::GenerationBuildPace;
use contexture_lab::compare::requirements::ComparisonRequirement;
use contexture_lab::compare::{ComparisonRequest, GenerationComparison};

/// The generations of one collection.
pub(crate) struct RemoteGenerations {
    pub(crate) server: RemoteServer,
    pub(crate) caller: Principal,
    pub(crate) collection: String,
}

impl RemoteGenerations {
    async fn done(&self, action: &str, body: &impl Serialize) -> Result<GenerationNumber, Refusal> {
        let call = self.server.collection_call(Method::POST, &self.collection, &["reindex", action]);
        let done: ReindexDoneView = call.json(body).answer().await?;
        Ok(done.generation)
    }
}

fn pace_request(pace: GenerationBuildPace) -> BuildPaceRequest {
    let GenerationBuildPace { documents_per_second, provider_percent } = pace;
    BuildPaceRequest { documents_per_second, provider_percent: Some(provider_percent) }
}

/// What has no fields.
#[derive(Serialize)]
struct EmptyRequest {}

/// How many questions of a comparison are answered.
#[derive(Deserialize)]
struct AnsweredQuestions {
    done: u64,
    total: u64,
}

#[async_trait]
impl GenerationOperations for RemoteGenerations {
    fn collection(&self) -> &str {
        &self.collection
    }

    async fn start(
        &self,
        pipeline: Option<&Pipeline>,
        pace: GenerationBuildPace,
    ) -> Result<GenerationNumber, Refusal> {
        let pipeline = match pipeline {
            Some(pipeline) => pipeline.to_toml()?,
            None => self.server.collection(&self.caller, &self.collection).await?.pipeline,
        };
        let request = StartReindexRequest { pipeline, pace: Some(pace_request(pace)) };
        let call = self.server.collection_call(Method::POST, &self.collection, &["reindex"]);
        let call = call.json(&request).with_server_deadline(Some(MODEL_LOADING_MAX));
        let begun: GenerationView = call.answer().await?;
        Ok(begun.generation)
    }

    async fn live(&self) -> Result<Vec<GenerationStatus>, Refusal> {
        let call = self.server.collection_call(Method::GET, &self.collection, &["generations"]);
        let list: GenerationList = call.answer().await?;
        Ok(list.generations.into_iter().map(|view| GenerationStatus::new(view, None)).collect())
    }

    async fn building(&self) -> Result<GenerationStatus, Refusal> {
        let call = self.server.collection_call(Method::GET, &self.collection, &["reindex"]);
        Ok(GenerationStatus::new(call.answer().await?, None))
    }

    async fn pause(&self) -> Result<GenerationNumber, Refusal> {
        self.done("pause", &EmptyRequest {}).await
    }

    async fn resume(&self, pace: Option<GenerationBuildPace>) -> Result<(), Refusal> {
        self.done("resume", &ResumeReindexRequest { pace: pace.map(pace_request) }).await.map(|_| ())
    }

    async fn cancel(&self) -> Result<GenerationNumber, Refusal> {
        self.done("cancel", &EmptyRequest {}).await
    }

    async fn activate(&self, allow_failed: bool) -> Result<GenerationNumber, Refusal> {
        self.done("activate", &ActivateReindexRequest { allow_failed }).await
    }

    async fn rollback(&self) -> Result<GenerationNumber, Refusal> {
        self.done("rollback", &EmptyRequest {}).await
    }

    async fn drop_kept(
        &self,
        generation: Option<GenerationNumber>,
        grace_ms: u64,
    ) -> Result<GenerationNumber, Refusal> {
        self.done("drop", &DropGenerationRequest { generation, grace_ms }).await
    }

    async fn until_serving(&self, _generation: GenerationNumber) -> Result<(), Refusal> {
        // The server answers queries with the active one as soon as it can.
        Ok(())
    }

    async fn waiting(&self) -> Option<EmbedderWaitStatus> {
        None
    }

    async fn compare(
        &self,
        request: ComparisonRequest,
        mut show: ComparisonProgress<'_>,
    ) -> Result<GenerationComparison, Refusal> {
        let call = self.server.collection_call(Method::POST, &self.collection, &["reindex", "compare"]);
        let events = call.json(&comparison_body(&request)).events().await?;
        events
            .report(move |event| {
                // Progress that cannot be read is not shown; the report is what counts.
                if let Ok(AnsweredQuestions { done, total }) = event.message() {
                    let number = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
                    show(number(done), number(total));
                }
            })
            .await
    }
}

/// The request as the server reads it.
fn comparison_body(request: &ComparisonRequest) -> serde_json::Value {
    let question = |asked: &contexture_lab::compare::ComparisonQuestion| serde_json::json!({"id": asked.id, "text": asked.text, "relevant": asked.relevant});
    let mut body = serde_json::json!({
        "top_k": request.depth,
        "budget": request.budget,
        "tokenizer": request.tokenizer,
    });
    let require: Vec<&str> = request.requirements.iter().map(ComparisonRequirement::text).collect();
    if !require.is_empty() {
        body["require"] = require.into();
    }
    if let Some(questions) = &request.questions {
        body["questions"] = questions.iter().map(question).collect();
    }
    if let Some(generations) = request.generations {
        body["generations"] = generations.to_vec().into();
    }
    body
}
