//! A converter that is a program.
//!
//! It is started without a shell, in a private folder that is removed afterwards, with nothing of this process's
//! environment but `PATH` and what is configured. The document comes on its standard input, or in the file that
//! [`FILE_PLACEHOLDER`] stands for in its arguments; the text is its standard output, or the file of
//! [`OUTPUT_PLACEHOLDER`]. It leads a process group of its own, which is killed when it takes too long, answers too
//! much, or is not wanted any more. On Linux each process of it has limits of memory, file size and processor time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;

use super::{ConverterAbsence, ConverterAnswer, ConverterLimits, media_types, refused, too_large};
use contexture_core::fault::{FailureReason, Fault, reason};
use contexture_core::ports::converter::{ConvertedText, DocumentConverter, DocumentToConvert};

/// Stands in an argument for the path of a file with the document.
const FILE_PLACEHOLDER: &str = "{file}";
/// Stands in an argument for the path of the file that the program writes.
const OUTPUT_PLACEHOLDER: &str = "{output}";
/// The name of that file.
const OUTPUT_NAME: &str = "output.txt";
/// Bytes of a program's complaints that are kept.
const WORDS_BYTES_MAX: usize = 4096;
/// The exit code of a failure that may pass: `EX_TEMPFAIL` of `sysexits.h`.
const EXIT_TEMPORARY: i32 = 75;

/// A program and what it may take.
#[derive(Clone)]
pub struct CommandConverterConfig {
    /// Its name in the configuration.
    pub name: String,
    /// A path, or a name that is looked up in `PATH`.
    pub program: PathBuf,
    /// Its arguments; placeholders in them are replaced.
    pub arguments: Vec<String>,
    /// Its environment, beside `PATH`.
    pub environment: BTreeMap<String, String>,
    /// How its answer is read.
    pub answer: ConverterAnswer,
    /// What it may take.
    pub limits: ConverterLimits,
    /// Address space of each of its processes, and the largest file that one may write, in bytes.
    pub memory_bytes_max: u64,
}

/// Runs a program for each document.
pub struct CommandConverter {
    config: CommandConverterConfig,
    turns: Semaphore,
    absence: ConverterAbsence,
}

impl CommandConverter {
    /// Starts nothing yet.
    pub fn new(config: CommandConverterConfig) -> Self {
        let turns = Semaphore::new(config.limits.documents_at_once.max(1));
        Self { config, turns, absence: ConverterAbsence::default() }
    }

    async fn run(&self, document: &DocumentToConvert, folder: &Path) -> Result<Vec<u8>, Fault> {
        let CommandConverterConfig { name, arguments, limits, .. } = &self.config;
        let file = folder.join(media_types::file_name(&document.name, &document.media_type));
        let output = folder.join(OUTPUT_NAME);
        let has = |placeholder| arguments.iter().any(|argument: &String| argument.contains(placeholder));
        let (reads_file, writes_file) = (has(FILE_PLACEHOLDER), has(OUTPUT_PLACEHOLDER));
        if reads_file {
            let unwritten =
                |error| Fault::transient_error(format!("converter {name}: writing the document"), error);
            tokio::fs::write(&file, &document.body).await.map_err(unwritten)?;
        }
        let mut running = match self.start(&file, &output, folder, reads_file) {
            Ok(running) => running,
            Err(error) => return Err(self.absence.fault(name, &format!("cannot be started: {error}"))),
        };
        self.absence.is_over(name);
        // Before it gets a byte of the document.
        running.limit(self.config.memory_bytes_max, processor_seconds_max(limits));
        let (answer, words) =
            running.converse(&document.body, limits.output_bytes_max).await.map_err(|error| match error {
                ConversationError::TooLarge => too_large(name, limits.output_bytes_max),
                ConversationError::Broken(error) => {
                    Fault::transient_error(format!("converter {name}: reading its answer"), error)
                }
            })?;
        let unknown = |error| Fault::transient_error(format!("converter {name}: waiting for its end"), error);
        let status = running.wait().await.map_err(unknown)?;
        if !status.success() {
            return Err(self.failed(status, &words));
        }
        if !writes_file {
            return Ok(answer);
        }
        let opened = tokio::fs::File::open(&output).await;
        let file = opened.map_err(|error| refused(name, &format!("wrote no output: {error}"), b""))?;
        read_at_most(file, limits.output_bytes_max).await.map_err(|error| match error {
            ConversationError::TooLarge => too_large(name, limits.output_bytes_max),
            ConversationError::Broken(error) => {
                Fault::transient_error(format!("converter {name}: reading its output"), error)
            }
        })
    }

    fn start(
        &self,
        file: &Path,
        output: &Path,
        folder: &Path,
        reads_file: bool,
    ) -> std::io::Result<RunningCommand> {
        let place = |argument: &String| {
            let argument = argument.replace(FILE_PLACEHOLDER, &file.to_string_lossy());
            argument.replace(OUTPUT_PLACEHOLDER, &output.to_string_lossy())
        };
        let mut command = Command::new(&self.config.program);
        command
            .args(self.config.arguments.iter().map(place))
            // Nothing of ours is its business, least of all secrets in variables.
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("TMPDIR", folder)
            .envs(&self.config.environment)
            .current_dir(folder)
            .stdin(if reads_file { Stdio::null() } else { Stdio::piped() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        #[cfg(unix)]
        command.process_group(0);
        Ok(RunningCommand { child: command.spawn()?, has_ended: false })
    }

    fn failed(&self, status: ExitStatus, words: &[u8]) -> Fault {
        let name = &self.config.name;
        match status.code() {
            Some(EXIT_TEMPORARY) => Fault::transient(format!(
                "converter {name}: asks for another attempt: {}",
                super::first_line(words)
            )),
            Some(code) => refused(name, &format!("exited with {code}"), words),
            // The status names the signal.
            None => refused(name, &format!("ended by {status}"), words),
        }
    }
}

/// Processor time of each process: as much as all processors have meanwhile.
fn processor_seconds_max(limits: &ConverterLimits) -> u64 {
    let processors = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    limits.time_max.as_secs().saturating_add(1).saturating_mul(processors)
}

#[async_trait]
impl DocumentConverter for CommandConverter {
    fn name(&self) -> &str {
        &self.config.name
    }

    fn documents_at_once(&self) -> usize {
        self.config.limits.documents_at_once
    }

    async fn convert(&self, document: DocumentToConvert) -> Result<ConvertedText, Fault> {
        let CommandConverterConfig { name, answer, limits, .. } = &self.config;
        let closed = |error| Fault::transient_error(format!("converter {name}"), error);
        let _turn = self.turns.acquire().await.map_err(closed)?;
        let no_folder = |error| Fault::transient_error(format!("converter {name}: making its folder"), error);
        let folder = tempfile::Builder::new().prefix("contexture-convert-").tempdir().map_err(no_folder)?;
        let late = |_| {
            let detail = format!("converter {name}: took more than {} ms", limits.time_max.as_millis());
            Fault::Permanent(FailureReason::new(reason::EXTRACTION_TIMEOUT, detail))
        };
        // What runs is dropped with the future, and its process group with it.
        let body = tokio::time::timeout(limits.time_max, self.run(&document, folder.path()))
            .await
            .map_err(late)??;
        Ok(answer.text(body))
    }
}

/// Why nothing came of a conversation.
enum ConversationError {
    TooLarge,
    Broken(std::io::Error),
}

/// A program that runs. Its process group dies with it.
struct RunningCommand {
    child: Child,
    /// Its end is known, so its number may be another's by now.
    has_ended: bool,
}

impl RunningCommand {
    #[cfg(target_os = "linux")]
    fn limit(&self, memory_bytes_max: u64, processor_seconds_max: u64) {
        use rustix::process::{Resource, Rlimit, prlimit};
        let Some(process) = self.process() else { return };
        for (resource, limit) in [
            (Resource::As, memory_bytes_max),
            (Resource::Fsize, memory_bytes_max),
            (Resource::Cpu, processor_seconds_max),
            (Resource::Core, 0),
        ] {
            // A hard limit below ours stays.
            let _ = prlimit(Some(process), resource, Rlimit { current: Some(limit), maximum: Some(limit) });
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn limit(&self, _memory_bytes_max: u64, _processor_seconds_max: u64) {}

    #[cfg(unix)]
    fn process(&self) -> Option<rustix::process::Pid> {
        rustix::process::Pid::from_raw(i32::try_from(self.child.id()?).ok()?)
    }

    /// Sends the document and reads answer and complaints, all at the same time, so that no pipe blocks another.
    async fn converse(
        &mut self,
        body: &[u8],
        answer_bytes_max: usize,
    ) -> Result<(Vec<u8>, Vec<u8>), ConversationError> {
        let no_pipe = || ConversationError::Broken(std::io::Error::other("a program without pipes"));
        let input = self.child.stdin.take();
        let output = self.child.stdout.take().ok_or_else(no_pipe)?;
        let complaints = self.child.stderr.take().ok_or_else(no_pipe)?;
        let send = async move {
            if let Some(mut input) = input {
                // A program that ends early breaks the pipe; how it ended says why.
                let _ = input.write_all(body).await;
                let _ = input.shutdown().await;
            }
            Ok(())
        };
        let ((), answer, words) =
            tokio::try_join!(send, read_at_most(output, answer_bytes_max), read_words(complaints))?;
        Ok((answer, words))
    }

    async fn wait(&mut self) -> std::io::Result<ExitStatus> {
        let status = self.child.wait().await;
        self.has_ended = status.is_ok();
        status
    }
}

impl Drop for RunningCommand {
    fn drop(&mut self) {
        // Before the child itself is reaped: until then nobody else has its number.
        #[cfg(unix)]
        if let Some(group) = self.process().filter(|_| !self.has_ended) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

async fn read_at_most(pipe: impl AsyncRead + Unpin, bytes_max: usize) -> Result<Vec<u8>, ConversationError> {
    let mut bytes = Vec::new();
    // One byte more than allowed tells too much from just enough.
    pipe.take(bytes_max as u64 + 1).read_to_end(&mut bytes).await.map_err(ConversationError::Broken)?;
    if bytes.len() > bytes_max { Err(ConversationError::TooLarge) } else { Ok(bytes) }
}

/// The first complaints; the rest is read and forgotten, so that the program can go on.
async fn read_words(mut pipe: impl AsyncRead + Unpin) -> Result<Vec<u8>, ConversationError> {
    let mut words = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match pipe.read(&mut buffer).await {
            Ok(0) | Err(_) => return Ok(words),
            Ok(read) => {
                let kept = read.min(WORDS_BYTES_MAX.saturating_sub(words.len()));
                words.extend_from_slice(&buffer[..kept]);
            }
        }
    }
}
