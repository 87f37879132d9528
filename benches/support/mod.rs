//! Documents, stacks and figures for the benches; each bench uses a part of it.

#![allow(dead_code, unreachable_pub, reason = "each bench is a crate of its own")]

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use contexture::config::ContextureConfig;
use contexture::domain::document::{DocumentDescription, Submission};
use contexture::domain::ids::{CollectionId, DocumentId};
use contexture::domain::pipeline::Pipeline;
use contexture::domain::principal::Principal;
use contexture::wiring::{ProcessRole, ServiceStack};

/// The null embedder: 384 numbers from a hash of the words.
pub const NULL_PIPELINE: &str = "[embedder]\nkind = \"hash\"\ndims = 384\ntokens_max = 256\n";
/// The collection every bench uses.
pub const COLLECTION: &str = "bench";

/// A small generator, so that every run sees the same documents.
pub struct DocumentGenerator(u64);

impl DocumentGenerator {
    /// Starts at a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number below `bound` (xorshift64*).
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let mixed = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(mixed).unwrap() % bound
    }

    /// A word: common ones often, rare ones seldom.
    pub fn word(&mut self) -> String {
        const SYLLABLES: [&str; 24] = [
            "ba", "con", "de", "el", "fu", "ga", "ha", "in", "jo", "ka", "lu", "mi", "nor", "o", "pa", "qui",
            "re", "so", "ta", "u", "ver", "wi", "xe", "zo",
        ];
        let rank = self.below(1 << 12).min(self.below(1 << 12)).min(self.below(1 << 12));
        let mut word = String::new();
        let mut rest = rank;
        loop {
            word.push_str(SYLLABLES[rest % SYLLABLES.len()]);
            rest /= SYLLABLES.len();
            if rest == 0 {
                return word;
            }
        }
    }

    /// A Markdown document of about `bytes` bytes.
    pub fn document(&mut self, bytes: usize) -> String {
        let mut text = format!("# {} {}\n\n", self.word(), self.word());
        let mut sentences = 0;
        while text.len() < bytes {
            let words = 6 + self.below(14);
            for word in 0..words {
                let next = self.word();
                if word > 0 {
                    text.push(' ');
                }
                text.push_str(&next);
            }
            text.push_str(". ");
            sentences += 1;
            if sentences % 5 == 0 {
                text.push_str("\n\n");
            }
            if sentences % 40 == 0 {
                text += "## ";
                text += &self.word();
                text += "\n\n";
            }
        }
        text
    }
}

/// Opens the embedded stack in a directory, with a collection on the null embedder.
pub async fn open(directory: &Path) -> (ServiceStack, CollectionId) {
    let data_dir = directory.display().to_string();
    let config = ContextureConfig::load(None, [("CONTEXTURE_DATA_DIR".to_owned(), data_dir)]).unwrap();
    let stack = ServiceStack::open(&config, ProcessRole::Change).await.unwrap();
    let collection = CollectionId::new(COLLECTION).unwrap();
    let pipeline = Pipeline::from_toml(NULL_PIPELINE).unwrap();
    stack.ensure_collection(&collection, Some(&pipeline)).await.unwrap();
    (stack, collection)
}

/// A document as its producer sends it.
pub fn submission(
    principal: &Principal,
    collection: &CollectionId,
    number: usize,
    text: String,
) -> Submission {
    let description = DocumentDescription {
        media_type: Some("text/markdown".to_owned()),
        ..DocumentDescription::default()
    };
    let document_id = DocumentId::new(&format!("document-{number}.md")).unwrap();
    Submission::new(
        principal,
        collection.clone(),
        document_id,
        None,
        description,
        Bytes::from(text),
        64 << 20,
    )
    .unwrap()
}

/// Submits documents in batches and waits until the last is visible.
pub async fn ingest(
    stack: &ServiceStack,
    collection: &CollectionId,
    documents: impl Iterator<Item = String>,
) {
    const BATCH: usize = 256;
    let mut progress = stack.progress();
    let before = progress.borrow().settled;
    let mut sent = 0_usize;
    let mut batch = Vec::with_capacity(BATCH);
    let mut documents = documents.peekable();
    while let Some(text) = documents.next() {
        batch.push(submission(&stack.principal, collection, sent, text));
        sent += 1;
        if batch.len() == BATCH || documents.peek().is_none() {
            stack.submitter.submit(std::mem::take(&mut batch)).await.unwrap();
        }
    }
    progress.wait_for(|progress| progress.settled - before >= sent as u64).await.unwrap();
}

/// Waits until this process has nothing left to do, the vector index built when idle included.
pub fn wait_until_idle() {
    const LOOK: Duration = Duration::from_millis(500);
    std::thread::sleep(contexture::adapters::edge::OPTIMIZE_IDLE + 2 * LOOK);
    let mut before = processor_ticks();
    loop {
        std::thread::sleep(LOOK);
        let now = processor_ticks();
        // 100 ticks are a second: under a twentieth of one core.
        if now - before < 3 {
            return;
        }
        before = now;
    }
}

/// Time this process has spent on all cores, in hundredths of a second.
fn processor_ticks() -> u64 {
    let line = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = &line[line.rfind(')').unwrap() + 2..];
    let fields: Vec<&str> = after_name.split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// The value at a share of sorted values.
pub fn percentile(sorted: &[Duration], share: f64) -> Duration {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a short list")]
    #[expect(clippy::cast_precision_loss, reason = "a short list")]
    let index = ((sorted.len() - 1) as f64 * share).round() as usize;
    sorted[index]
}

/// The middle of a few figures.
pub fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Peak resident memory of this process, in bytes, since it was last reset.
pub fn peak_resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or("VmHWM: 0 kB");
    line.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok()).unwrap_or(0) * 1024
}
