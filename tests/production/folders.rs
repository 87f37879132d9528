//! A folder that changes all the time, and runs of `ingest --prune` that are killed: in the end the documents equal
//! the files, every time.
//!
//! `CONTEXTURE_FOLDER_STORM=RUNS` sets the number of runs. The seed is printed, and `CONTEXTURE_STORM_SEED` sets it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::time::timeout;

use super::StormSchedule;

const PIPELINE: &str = "[embedder]\nkind = \"hash\"\ndims = 32\ntokens_max = 128\n";
const RUNS_DEFAULT: usize = 40;
/// Most files at once.
const FILES_MAX: usize = 24;
/// A kill comes at most this long after the start of a run.
const KILL_MS_MAX: usize = 400;
/// Bytes that no format reads.
const UNREADABLE: &[u8] = &[0x89, b'P', b'N', b'G', 0x0D, 0x0A, 0x1A, 0x0A, 0, 0, 0, 13, 0, 1, 2, 3];

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
enum FileState {
    Text(String),
    Empty,
    Unreadable,
}

struct StormFolder {
    home: TempDir,
    random: StormSchedule,
    files: BTreeMap<String, FileState>,
    /// Texts so far: each is another one.
    written: usize,
}

impl StormFolder {
    fn new(seed: u64) -> Self {
        let home = TempDir::new().unwrap();
        fs::create_dir(home.path().join("docs")).unwrap();
        fs::write(home.path().join("hash.toml"), PIPELINE).unwrap();
        Self { home, random: StormSchedule(seed), files: BTreeMap::new(), written: 0 }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join("docs").join(name)
    }

    fn new_name(&mut self) -> String {
        let folder = ["", "deep/", "deep/er/", "other/"][self.random.below(4)];
        format!("{folder}note-{}.md", self.random.below(60))
    }

    fn write(&mut self, name: &str, state: FileState) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let bytes = match &state {
            FileState::Text(text) => text.as_bytes(),
            FileState::Empty => b"",
            FileState::Unreadable => UNREADABLE,
        };
        fs::write(path, bytes).unwrap();
        self.files.insert(name.to_owned(), state);
    }

    fn new_text(&mut self) -> FileState {
        self.written += 1;
        FileState::Text(format!("# Note {}\n\nThis is case {} of the storm.\n", self.written, self.written))
    }

    fn some_file(&mut self) -> Option<String> {
        let count = self.files.len();
        (count > 0).then(|| self.files.keys().nth(self.random.below(count)).unwrap().clone())
    }

    /// Changes something of the folder.
    fn change(&mut self) {
        let kind = self.random.below(10);
        let known = self.some_file();
        match (kind, known) {
            (0..=3, _) | (_, None) if self.files.len() < FILES_MAX => {
                let name = self.new_name();
                let text = self.new_text();
                self.write(&name, text);
            }
            (4 | 5, Some(name)) => {
                let text = self.new_text();
                self.write(&name, text);
            }
            (6, Some(name)) => {
                let to = self.new_name();
                if !self.files.contains_key(&to) {
                    fs::create_dir_all(self.path(&to).parent().unwrap()).unwrap();
                    fs::rename(self.path(&name), self.path(&to)).unwrap();
                    let state = self.files.remove(&name).unwrap();
                    self.files.insert(to, state);
                }
            }
            (7, Some(name)) => self.write(&name, FileState::Empty),
            (8, Some(name)) if self.random.below(3) == 0 => self.write(&name, FileState::Unreadable),
            (_, Some(name)) => {
                fs::remove_file(self.path(&name)).unwrap();
                self.files.remove(&name);
            }
            (_, None) => {}
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_contexture"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CONTEXTURE") {
                command.env_remove(name);
            }
        }
        command
            .current_dir(self.home.path())
            .args(arguments)
            .arg("--data")
            .arg(self.home.path().join("data"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn ingest(&self) -> Command {
        self.command(&["ingest", "--collection", "c", "--pipeline", "hash.toml", "--prune", "--json", "docs"])
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.command(&[arguments, &["--json"]].concat()).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The documents as readers see them, with their text.
    fn documents(&self) -> BTreeMap<String, String> {
        let listed = self.json(&["documents", "list", "--collection", "c", "--limit", "1000"]);
        let ids =
            listed["documents"].as_array().unwrap().iter().map(|one| one["document_id"].as_str().unwrap());
        let text = |id: &str| {
            let shown = self.json(&["documents", "show", "--collection", "c", "--text", id]);
            shown["text"].as_str().unwrap().to_owned()
        };
        ids.map(|id| (id.to_owned(), text(id))).collect()
    }

    /// Documents must equal files. One that became unreadable may still be answered with an earlier text.
    fn check(&self, seed: u64, run: usize) {
        let found = self.documents();
        let name = |id: &str| format!("seed {seed}, run {run}, {id}");
        for (id, state) in &self.files {
            match state {
                FileState::Text(text) => assert_eq!(found.get(id), Some(text), "{}", name(id)),
                FileState::Empty => assert_eq!(found.get(id), None, "{}", name(id)),
                FileState::Unreadable => {}
            }
        }
        for id in found.keys() {
            assert!(self.files.contains_key(id), "{} has no file", name(id));
        }
    }
}

fn seed() -> u64 {
    let given = std::env::var("CONTEXTURE_STORM_SEED").ok().and_then(|seed| seed.parse().ok());
    given.unwrap_or_else(|| u64::from(std::process::id()))
}

#[tokio::test]
async fn production_folder_stays_in_step_through_kills() {
    let runs = std::env::var("CONTEXTURE_FOLDER_STORM").map_or(RUNS_DEFAULT, |runs| runs.parse().unwrap());
    let seed = seed();
    println!("seed {seed}");
    let mut folder = StormFolder::new(seed);
    for run in 0..runs {
        for _ in 0..=folder.random.below(6) {
            folder.change();
        }
        if folder.files.is_empty() {
            continue;
        }
        let mut child = tokio::process::Command::from(folder.ingest()).spawn().unwrap();
        if folder.random.below(2) == 0 {
            let patience = Duration::from_millis(folder.random.below(KILL_MS_MAX) as u64);
            if timeout(patience, child.wait()).await.is_err() {
                child.kill().await.unwrap();
            }
            continue;
        }
        let output = child.wait_with_output().await.unwrap();
        assert!(output.status.success(), "seed {seed}: {}", String::from_utf8_lossy(&output.stderr));
        if run % 5 == 0 || run + 1 == runs {
            folder.check(seed, run);
        }
    }
    let text = folder.new_text();
    folder.write("last.md", text);
    let output = folder.ingest().output().unwrap();
    assert!(output.status.success(), "seed {seed}: {}", String::from_utf8_lossy(&output.stderr));
    folder.check(seed, runs);
}
