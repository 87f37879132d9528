//! One evaluation: asks questions one after the other and keeps the time.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;

use super::output::OutputFile;
use crate::cli::console::ConsoleOutput;
use crate::cli::exit::CommandFailure;
use crate::cli::progress_meter::ProgressMeter;
use crate::cli::text_format;
use crate::wiring::ServiceStack;
use contexture_core::context::answer::{AnswerDegradation, ContextAnswer, SearchAnswer};
use contexture_core::context::assemble::ContextCandidate;
use contexture_core::context::request::{AssemblyRequest, ContextQuery, DEADLINE_MAX, RawContextQuery};
use contexture_core::domain::ids::CollectionId;
use contexture_core::ports::tokenizer::Tokenizer;
use contexture_lab::measure::retrieval_metrics::percentile_ms;

/// What is the same for every question.
pub(crate) struct EvaluationSession<'a> {
    stack: &'a ServiceStack,
    collection: CollectionId,
    tokenizer: Arc<dyn Tokenizer>,
    top_k: Option<i64>,
    per_question: Option<OutputFile>,
    records: Vec<Value>,
    console: ConsoleOutput,
    meter: Option<ProgressMeter>,
    started: Instant,
    calls: Vec<Duration>,
    degraded: u64,
}

/// What an evaluation took.
#[derive(Debug, Serialize)]
pub(crate) struct EvaluationTiming {
    seconds: f64,
    p50_ms: f64,
    p99_ms: f64,
    degraded: u64,
}

impl<'a> EvaluationSession<'a> {
    /// A session with a collection; writes one JSON object per question, if there is a file for it.
    pub(crate) fn new(
        stack: &'a ServiceStack,
        collection: CollectionId,
        tokenizer: Arc<dyn Tokenizer>,
        top_k: Option<i64>,
        per_question: Option<OutputFile>,
        console: ConsoleOutput,
    ) -> Self {
        Self {
            stack,
            collection,
            tokenizer,
            top_k,
            per_question,
            records: Vec::new(),
            console,
            meter: None,
            started: Instant::now(),
            calls: Vec::new(),
            degraded: 0,
        }
    }

    /// Ranks chunks.
    pub(crate) async fn search(&mut self, question: &str) -> Result<SearchAnswer, CommandFailure> {
        let query = ContextQuery::new(self.stack.principal.clone(), &self.raw(question, None))?;
        let asked = Instant::now();
        let ranking = self.stack.engine.search(query).await?;
        self.keep(asked, &ranking.degraded);
        Ok(ranking)
    }

    /// Ranks chunks as they were fused, without support and reranking; not timed, since it only serves
    /// to compare.
    pub(crate) async fn search_fused(&mut self, question: &str) -> Result<SearchAnswer, CommandFailure> {
        let query = ContextQuery::new(self.stack.principal.clone(), &self.raw(question, None))?;
        let plain = ContextQuery { support: false, rerank: Some(false), ..query };
        let ranking = self.stack.engine.search(plain).await?;
        self.degraded += u64::from(!ranking.degraded.is_empty());
        Ok(ranking)
    }

    /// Packs a context.
    pub(crate) async fn assemble(
        &mut self,
        question: &str,
        budget: usize,
    ) -> Result<ContextAnswer, CommandFailure> {
        let raw = self.raw(question, i64::try_from(budget).ok());
        self.answer(&raw).await
    }

    /// Packs a context that goes on from another, if there is one.
    pub(crate) async fn go_on(
        &mut self,
        question: &str,
        budget: usize,
        previous: Option<&str>,
    ) -> Result<ContextAnswer, CommandFailure> {
        let raw = RawContextQuery {
            continuable: true,
            previous: previous.map(ToOwned::to_owned),
            ..self.raw(question, i64::try_from(budget).ok())
        };
        self.answer(&raw).await
    }

    async fn answer(&mut self, raw: &RawContextQuery) -> Result<ContextAnswer, CommandFailure> {
        let query = ContextQuery::new(self.stack.principal.clone(), raw)?;
        let assembly = AssemblyRequest::new(raw)?;
        let asked = Instant::now();
        let answer = self.stack.engine.assemble(query, assembly).await?;
        self.keep(asked, &answer.degraded);
        Ok(answer)
    }

    /// What assembly chooses from; not timed, since it only serves to compare.
    pub(crate) async fn candidates(&self, question: &str) -> Result<Vec<ContextCandidate>, CommandFailure> {
        let query = ContextQuery::new(self.stack.principal.clone(), &self.raw(question, None))?;
        Ok(self.stack.engine.candidates(query).await?)
    }

    /// The tokenizer that budgets are counted in.
    pub(crate) fn tokenizer(&self) -> &dyn Tokenizer {
        &*self.tokenizer
    }

    /// Keeps what was found for one question, and writes it if that was asked for.
    pub(crate) fn note(&mut self, question: &impl Serialize) -> Result<(), CommandFailure> {
        let failed = |error| CommandFailure::failed("output_failed", format!("cannot write JSON: {error}"));
        self.records.push(serde_json::to_value(question).map_err(failed)?);
        let Some(file) = &mut self.per_question else { return Ok(()) };
        file.line(&serde_json::to_string(question).map_err(failed)?)
    }

    /// Shows how many questions are through.
    pub(crate) fn show(&mut self, done: usize, total: usize) {
        let console = self.console;
        let meter =
            self.meter.get_or_insert_with(|| ProgressMeter::new("ask", "questions", total as u64, console));
        meter.update(done as u64, "");
    }

    /// The time so far.
    pub(crate) fn spent(&self) -> EvaluationTiming {
        EvaluationTiming {
            seconds: text_format::rounded_seconds(self.started.elapsed()),
            p50_ms: percentile_ms(&self.calls, 50),
            p99_ms: percentile_ms(&self.calls, 99),
            degraded: self.degraded,
        }
    }

    /// Completes the file and returns what was found, one object per question.
    pub(crate) fn finish(self) -> Result<Vec<Value>, CommandFailure> {
        self.per_question.map_or(Ok(()), OutputFile::finish)?;
        Ok(self.records)
    }

    fn raw(&self, question: &str, budget: Option<i64>) -> RawContextQuery {
        RawContextQuery {
            collection: self.collection.as_str().to_owned(),
            question: question.to_owned(),
            budget,
            tokenizer: Some(self.tokenizer.name().to_owned()),
            top_k: self.top_k,
            deadline: Some(DEADLINE_MAX),
            ..RawContextQuery::default()
        }
    }

    fn keep(&mut self, asked: Instant, degraded: &[AnswerDegradation]) {
        self.calls.push(asked.elapsed());
        self.degraded += u64::from(!degraded.is_empty());
    }
}

impl EvaluationTiming {
    /// The time for a person.
    pub(crate) fn text(&self) -> String {
        let degraded = match self.degraded {
            0 => String::new(),
            degraded => format!("; {} degraded", text_format::count_with_noun(degraded, "answer")),
        };
        format!(
            "{:.1} s in all; one call takes {:.1} ms at p50, {:.1} ms at p99{degraded}\n",
            self.seconds, self.p50_ms, self.p99_ms
        )
    }
}
