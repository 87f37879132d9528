//! An evaluation session: asks questions one at a time and measures the latency of each call.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;

use super::files::OutputFile;
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

/// What all questions share, and what has been measured so far.
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

/// The time of an evaluation, and the number of degraded answers.
#[derive(Debug, Serialize)]
pub(crate) struct EvaluationTiming {
    seconds: f64,
    p50_ms: f64,
    p99_ms: f64,
    degraded: u64,
}

impl<'a> EvaluationSession<'a> {
    /// A session with a collection. Writes one JSON object per question to `per_question`, if there is one.
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

    /// Ranks chunks. Timed.
    pub(crate) async fn search(&mut self, question: &str) -> Result<SearchAnswer, CommandFailure> {
        let query = ContextQuery::new(self.stack.principal.clone(), &self.raw(question, None))?;
        let asked = Instant::now();
        let ranking = self.stack.engine.search(query).await?;
        self.record_call(asked, &ranking.degraded);
        Ok(ranking)
    }

    /// Ranks chunks by fused scores, without neighbour support and reranking. Not timed, because it only
    /// serves as a baseline.
    pub(crate) async fn search_fused(&mut self, question: &str) -> Result<SearchAnswer, CommandFailure> {
        let query = ContextQuery::new(self.stack.principal.clone(), &self.raw(question, None))?;
        let plain = ContextQuery { support: false, rerank: Some(false), ..query };
        let ranking = self.stack.engine.search(plain).await?;
        self.degraded += u64::from(!ranking.degraded.is_empty());
        Ok(ranking)
    }

    /// Assembles a context. Timed.
    pub(crate) async fn assemble(
        &mut self,
        question: &str,
        budget: usize,
    ) -> Result<ContextAnswer, CommandFailure> {
        let raw = self.raw(question, i64::try_from(budget).ok());
        self.answer(&raw).await
    }

    /// Assembles a context that continues a previous one, if there is one. Timed.
    pub(crate) async fn assemble_after(
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
        // Checking the request is not part of the measured call.
        let query = ContextQuery::new(self.stack.principal.clone(), raw)?;
        let assembly = AssemblyRequest::new(raw)?;
        let asked = Instant::now();
        let answer = self.stack.engine.assemble(query, assembly).await?;
        self.record_call(asked, &answer.degraded);
        Ok(answer)
    }

    /// The candidates that the assembler chooses from. Not timed, because baselines use them.
    pub(crate) async fn candidates(&self, question: &str) -> Result<Vec<ContextCandidate>, CommandFailure> {
        let query = ContextQuery::new(self.stack.principal.clone(), &self.raw(question, None))?;
        Ok(self.stack.engine.candidates(query).await?)
    }

    /// The tokenizer that budgets are counted in.
    pub(crate) fn tokenizer(&self) -> &dyn Tokenizer {
        &*self.tokenizer
    }

    /// Keeps the figures of one question, and writes them to the file, if there is one.
    pub(crate) fn record(&mut self, question: &impl Serialize) -> Result<(), CommandFailure> {
        let failed = |error| CommandFailure::failed("output_failed", format!("cannot write JSON: {error}"));
        self.records.push(serde_json::to_value(question).map_err(failed)?);
        let Some(file) = &mut self.per_question else { return Ok(()) };
        file.line(&serde_json::to_string(question).map_err(failed)?)
    }

    /// Shows how many questions are done.
    pub(crate) fn show_progress(&mut self, done: usize, total: usize) {
        let console = self.console;
        let meter =
            self.meter.get_or_insert_with(|| ProgressMeter::new("ask", "questions", total as u64, console));
        meter.update(done as u64, "");
    }

    /// The times so far.
    pub(crate) fn timing(&self) -> EvaluationTiming {
        EvaluationTiming {
            seconds: text_format::rounded_seconds(self.started.elapsed()),
            p50_ms: percentile_ms(&self.calls, 50),
            p99_ms: percentile_ms(&self.calls, 99),
            degraded: self.degraded,
        }
    }

    /// Completes the file and returns the figures, one object per question.
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
            // A slow call is to be measured, not cut off.
            deadline: Some(DEADLINE_MAX),
            ..RawContextQuery::default()
        }
    }

    fn record_call(&mut self, asked: Instant, degraded: &[AnswerDegradation]) {
        self.calls.push(asked.elapsed());
        self.degraded += u64::from(!degraded.is_empty());
    }
}

impl EvaluationTiming {
    /// The times as text.
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
