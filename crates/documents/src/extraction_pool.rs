//! Children that are started ahead, and given one file each.
//!
//! At most [`ExtractionLimits::children_max`] work at once, so that memory is bounded by their number times the
//! limit of one; who comes later waits. A child that crashes, takes too long or too much memory ends the document
//! that it was given, with the reason; others are untouched. One that ends without a word is tried once more with another
//! child: somebody else may have killed it.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::document_format::DocumentFormat;
use crate::extracted::{ExtractedText, ExtractionError, ExtractionErrorCode};
use crate::extraction_frames::{
    ExtractionAnswer, ExtractionRequest, ExtractionTask, decode_frame, write_frame,
};

/// Children that are given a document before it is to blame for their end.
const TRIES: usize = 2;
/// Bytes of a child's last words that are read.
const LAST_WORDS_BYTES_MAX: u64 = 4096;

/// What children may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExtractionLimits {
    /// Children that work at once.
    pub children_max: usize,
    /// Seconds of processor for a document, and one more for each MiB of it.
    pub cpu_seconds_max: u64,
    /// Longest time on the clock.
    pub wall_clock_max: Duration,
    /// Longest answer, in bytes.
    pub answer_bytes_max: usize,
}

impl Default for ExtractionLimits {
    fn default() -> Self {
        Self {
            children_max: 2,
            cpu_seconds_max: 20,
            wall_clock_max: Duration::from_mins(2),
            answer_bytes_max: 256 << 20,
        }
    }
}

/// The children of one process.
#[derive(Debug)]
pub struct ExtractionPool {
    program: PathBuf,
    arguments: Vec<OsString>,
    limits: ExtractionLimits,
    state: Mutex<PoolState>,
    freed: Condvar,
}

#[derive(Debug, Default)]
struct PoolState {
    working: usize,
    /// Started ahead, and waiting for a document.
    spare: Vec<Child>,
}

impl ExtractionPool {
    /// Children are this program with these arguments. None is started before the first document.
    pub fn new(program: PathBuf, arguments: Vec<OsString>, limits: ExtractionLimits) -> Self {
        Self { program, arguments, limits, state: Mutex::default(), freed: Condvar::new() }
    }

    /// Reads a document in a child. Waits for one, and until it ends. An error of the system, such as no room for
    /// another process, is the outer one: the document may be tried again.
    pub fn extract(
        &self,
        body: &[u8],
        task: ExtractionTask,
        format: DocumentFormat,
        name: &str,
    ) -> std::io::Result<Result<ExtractedText, ExtractionError>> {
        self.extract_measured(body, task, format, name).map(|answer| answer.read)
    }

    /// The same, and what the child spent on it.
    pub fn extract_measured(
        &self,
        body: &[u8],
        task: ExtractionTask,
        format: DocumentFormat,
        name: &str,
    ) -> std::io::Result<ExtractionAnswer> {
        let mut turn = self.wait_for_turn();
        let request = ExtractionRequest {
            task,
            format,
            name: name.to_owned(),
            body_bytes: body.len(),
            cpu_seconds_max: self.limits.cpu_seconds_max + (body.len() >> 20) as u64,
        };
        for _ in 1..TRIES {
            let ended = self.try_once(&mut turn, &request, body)?;
            if let Some(judged) = self.judge(&ended, &request) {
                return Ok(judged);
            }
        }
        let ended = self.try_once(&mut turn, &request, body)?;
        let crash = || ExtractionAnswer { read: Err(crashed(&request)), spent: None };
        Ok(self.judge(&ended, &request).unwrap_or_else(crash))
    }

    fn try_once(
        &self,
        turn: &mut ExtractionTurn<'_>,
        request: &ExtractionRequest,
        body: &[u8],
    ) -> std::io::Result<EndedChild> {
        let spare = turn.state().spare.pop();
        let child = match spare {
            Some(child) => child,
            None => self.start()?,
        };
        // The next one starts while this one works.
        let next = self.start();
        let ended = self.converse(child, request, body);
        if let Ok(next) = next {
            turn.keep(next, self.limits.children_max);
        }
        ended
    }

    fn lock(&self) -> MutexGuard<'_, PoolState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_for_turn(&self) -> ExtractionTurn<'_> {
        let mut state = self.lock();
        while state.working >= self.limits.children_max.max(1) {
            state = self.freed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.working += 1;
        drop(state);
        ExtractionTurn { pool: self }
    }

    fn start(&self) -> std::io::Result<Child> {
        Command::new(&self.program)
            .args(&self.arguments)
            // Nothing of ours is its business, least of all secrets in variables.
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
    }

    /// Sends the document and reads the answer, at the same time, so that neither pipe can block the other.
    fn converse(
        &self,
        mut child: Child,
        request: &ExtractionRequest,
        body: &[u8],
    ) -> std::io::Result<EndedChild> {
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(mut input), Some(output), Some(errors)) = pipes else {
            return Err(std::io::Error::other("a child without pipes"));
        };
        let answer_bytes_max = self.limits.answer_bytes_max as u64;
        thread::scope(|scope| {
            scope.spawn(move || {
                // A child that ends early breaks the pipe; how it ended says why.
                let _ = write_frame(&mut input, request).and_then(|()| input.write_all(body));
            });
            let words = scope.spawn(move || read_at_most(errors, LAST_WORDS_BYTES_MAX));
            let (done, answered) = channel();
            scope.spawn(move || {
                let _ = done.send(read_at_most(output, answer_bytes_max + 1));
            });
            let answer = answered.recv_timeout(self.limits.wall_clock_max);
            let late = matches!(answer, Err(RecvTimeoutError::Timeout));
            let answer = answer.unwrap_or_default();
            let too_long = answer.len() as u64 > answer_bytes_max;
            if late || too_long {
                let _ = child.kill();
            }
            let status = child.wait()?;
            let words = words.join().unwrap_or_default();
            Ok(EndedChild {
                answer,
                late,
                too_long,
                status,
                words: String::from_utf8_lossy(&words).into_owned(),
            })
        })
    }

    /// What became of the document; none if its child ended without a word.
    fn judge(&self, ended: &EndedChild, request: &ExtractionRequest) -> Option<ExtractionAnswer> {
        if !ended.late
            && !ended.too_long
            && let Some(answer) = decode_frame(&ended.answer)
        {
            return Some(answer);
        }
        Some(ExtractionAnswer { read: Err(self.explain(ended, request)?), spent: None })
    }

    /// Why a child has no answer; none if it does not say.
    fn explain(&self, ended: &EndedChild, request: &ExtractionRequest) -> Option<ExtractionError> {
        use ExtractionErrorCode::{OutOfMemory, Timeout, TooLarge};
        let ExtractionRequest { format, name, cpu_seconds_max, .. } = request;
        let what = format.ending();
        if ended.late || ended.is_out_of_time() {
            let wall = self.limits.wall_clock_max.as_secs();
            let detail = format!(
                "reading the {what} took more than {cpu_seconds_max} s of processor or {wall} s; split {name}, or \
                 save it anew"
            );
            return Some(ExtractionError::new(Timeout, detail));
        }
        if ended.too_long {
            let limit = self.limits.answer_bytes_max >> 20;
            let detail = format!("the text of the {what} is longer than {limit} MiB; split {name}");
            return Some(ExtractionError::new(TooLarge, detail));
        }
        if ended.words.contains("memory allocation of") {
            let detail =
                format!("reading the {what} took more memory than is allowed; split {name}, or save it anew");
            return Some(ExtractionError::new(OutOfMemory, detail));
        }
        None
    }
}

fn crashed(request: &ExtractionRequest) -> ExtractionError {
    let ExtractionRequest { format, name, .. } = request;
    let what = format.ending();
    let detail = format!(
        "the reader of {what} files ended without an answer, {TRIES} times; open {name} and save it anew"
    );
    ExtractionError::new(ExtractionErrorCode::Crashed, detail)
}

impl Drop for ExtractionPool {
    fn drop(&mut self) {
        for mut child in self.lock().spare.drain(..) {
            end_spare(&mut child);
        }
    }
}

/// The right of one document to have a child.
struct ExtractionTurn<'a> {
    pool: &'a ExtractionPool,
}

impl ExtractionTurn<'_> {
    fn state(&mut self) -> MutexGuard<'_, PoolState> {
        self.pool.lock()
    }

    /// Keeps a child for the next document, unless enough wait.
    fn keep(&mut self, mut child: Child, most: usize) {
        let mut state = self.pool.lock();
        if state.spare.len() < most {
            state.spare.push(child);
            return;
        }
        drop(state);
        end_spare(&mut child);
    }
}

/// Ends a child that has no document.
fn end_spare(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

impl Drop for ExtractionTurn<'_> {
    fn drop(&mut self) {
        self.pool.lock().working -= 1;
        self.pool.freed.notify_one();
    }
}

/// A child that ended, and what it said.
struct EndedChild {
    answer: Vec<u8>,
    late: bool,
    too_long: bool,
    status: ExitStatus,
    words: String,
}

impl EndedChild {
    /// Whether the system ended it because its processor time was over.
    fn is_out_of_time(&self) -> bool {
        #[cfg(unix)]
        {
            use std::os::unix::process::ExitStatusExt;
            // SIGXCPU, which has this number on Linux and macOS.
            self.status.signal() == Some(24) && self.answer.is_empty()
        }
        #[cfg(not(unix))]
        {
            false
        }
    }
}

fn read_at_most(pipe: impl Read, bytes_max: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What was read before an error counts; an answer that is not whole is none.
    let _ = pipe.take(bytes_max).read_to_end(&mut bytes);
    bytes
}
