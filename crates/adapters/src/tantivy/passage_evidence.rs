//! Evidence for a chunk from what stands around it: the window of its neighbours.
//!
//! People ask in more words than one chunk holds: what they ask for is named a page above, and the answer stands
//! in a chunk that has half of the words. So each chunk is also ranked by a larger passage that it is the middle of,
//! as Callan, "Passage-level evidence in document retrieval" (SIGIR 1994), combines a passage's score with that of
//! the text around it. The score of a passage is BM25 with the sums of its chunks: of counts and of lengths.
//!
//! The chunks of a document version stand side by side in one segment, in the order of the text: a write adds them
//! in one batch, and merges keep the order. So a passage is a range of addresses, and a count is read from the
//! postings by skipping to its beginning. Only passages around the hits of the first round are read; their neighbours
//! become hits, too.
//!
//! Cost: for each word of the question one pass over the postings within the reach of a hit, beside the look-up of its
//! frequency.

use std::collections::BTreeMap;

use tantivy::columnar::Column;
use tantivy::postings::Postings;
use tantivy::query::Bm25StatisticsProvider;
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{DocAddress, DocSet, Searcher, SegmentReader, Term};

use uuid::Uuid;

use super::bm25_statistics::LiveBm25Statistics;
use super::relevance_feedback::ScoredChunkHit;
use contexture_core::domain::ids::ChunkId;

/// Chunks on either side that belong to a passage. Five chunks of the bundled model have at most 640 of its tokens.
const PASSAGE_REACH: u32 = 2;
/// Neighbours on either side of a hit that become hits: an answer often stands beside the words that were asked for.
const NEIGHBOURS: u32 = 2;
/// BM25's saturation of counts and its share of length normalisation, as for chunks.
const K1: f32 = 1.2;
const B: f32 = 0.75;

/// A chunk and what the passages around it add to its score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct PassageEvidence {
    pub(super) id: ChunkId,
    pub(super) address: DocAddress,
    pub(super) score: f32,
}

/// A chunk, and the positions of the passage around it.
struct PassageCandidate {
    id: ChunkId,
    doc: u32,
    range: (usize, usize),
}

#[expect(clippy::cast_precision_loss, reason = "counts and lengths that go into a score")]
fn as_f32(count: u64) -> f32 {
    count as f32
}

/// Scores the passages around hits, for these chunks and their neighbours.
pub(super) fn score_passages(
    searcher: &Searcher,
    statistics: &LiveBm25Statistics,
    field: Field,
    terms: &[String],
    hits: &[ScoredChunkHit],
) -> tantivy::Result<Vec<PassageEvidence>> {
    let mut by_segment: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for ScoredChunkHit { address, .. } in hits {
        by_segment.entry(address.segment_ord).or_default().push(address.doc_id);
    }
    let mut segments = Vec::new();
    for (segment_ord, mut docs) in by_segment {
        docs.sort_unstable();
        segments
            .push((segment_ord, SegmentPassages::read(searcher.segment_reader(segment_ord), field, &docs)?));
    }
    // The average over all passages that are compared, whatever segments they stand in.
    let lengths = segments.iter().map(|(_, segment)| segment.sum_of_lengths()).sum::<u64>();
    let passages = segments.iter().map(|(_, segment)| segment.candidates.len() as u64).sum::<u64>();
    let average = as_f32(lengths) / as_f32(passages.max(1));
    let provider = statistics.in_searcher(searcher);
    let total = as_f32(provider.total_num_docs()?);
    for term in terms {
        let term = Term::from_field_text(field, term);
        let frequency = as_f32(provider.doc_freq(&term)?);
        let idf = (1.0 + (total - frequency + 0.5) / (frequency + 0.5)).ln();
        for (segment_ord, segment) in segments.iter_mut().filter(|_| frequency > 0.0) {
            segment.add_term(searcher.segment_reader(*segment_ord), &term, idf, average)?;
        }
    }
    let evidence = segments.into_iter().flat_map(|(segment_ord, segment)| {
        segment.candidates.into_iter().zip(segment.scores).map(move |(candidate, score)| PassageEvidence {
            id: candidate.id,
            address: DocAddress { segment_ord, doc_id: candidate.doc },
            score,
        })
    });
    Ok(evidence.collect())
}

/// The passages of one segment.
struct SegmentPassages {
    /// Ranges of addresses that are read: parts of documents, in order, without overlap.
    parts: Vec<(u32, u32)>,
    candidates: Vec<PassageCandidate>,
    scores: Vec<f32>,
    /// Sums of lengths before each position; positions number the chunks of all parts.
    lengths: Vec<u32>,
    /// Sums of counts of the term at hand.
    counts: Vec<u32>,
}

impl SegmentPassages {
    /// Finds the passages around these chunks, which are sorted.
    fn read(reader: &SegmentReader, field: Field, docs: &[u32]) -> tantivy::Result<Self> {
        // Neighbours have passages, too.
        let reach = NEIGHBOURS + PASSAGE_REACH;
        let column = |name| reader.fast_fields().u64(name);
        let (ordinals, id_high, id_low) = (column("ordinal")?, column("id_high")?, column("id_low")?);
        let lengths_of = reader.get_fieldnorms_reader(field)?;
        let mut parts: Vec<(u32, u32)> = Vec::new();
        // The candidates of each part, in order.
        let mut found: Vec<(u32, usize)> = Vec::new();
        for doc in docs.iter().copied() {
            let Some(ordinal) = ordinals.first(doc) else { continue };
            let before = u32::try_from(ordinal).unwrap_or(u32::MAX).min(reach);
            let first = doc - before.min(doc);
            let mut end = doc + 1;
            let mut next = ordinal + 1;
            while end < reader.max_doc() && end - doc <= reach && ordinals.first(end) == Some(next) {
                end += 1;
                next += 1;
            }
            // A part of the same document that begins before the last one ends goes on with it. Parts of two
            // documents never touch: a document's head stands between them.
            match parts.last_mut() {
                Some(last) if last.1 >= first => last.1 = last.1.max(end),
                _ => parts.push((first, end)),
            }
            let part = parts.len() - 1;
            let from = first.max(doc.saturating_sub(NEIGHBOURS));
            for near in from..end.min(doc + NEIGHBOURS + 1) {
                if found.last().is_none_or(|(last, _)| *last < near) {
                    found.push((near, part));
                }
            }
        }
        let mut starts = Vec::with_capacity(parts.len());
        let mut lengths = vec![0_u32];
        for (first, end) in &parts {
            starts.push(lengths.len() - 1);
            for doc in *first..*end {
                lengths.push(lengths[lengths.len() - 1] + lengths_of.fieldnorm(doc));
            }
        }
        let candidates: Vec<PassageCandidate> = found
            .into_iter()
            .map(|(doc, part)| {
                let (first, end) = parts[part];
                let from = first.max(doc.saturating_sub(PASSAGE_REACH));
                let to = end.min(doc + PASSAGE_REACH + 1);
                let range = (starts[part] + (from - first) as usize, starts[part] + (to - first) as usize);
                // Only chunks are hits, and chunks have both halves.
                let half = |of: &Column<u64>| of.first(doc).unwrap_or_default();
                let id = ChunkId::from_uuid(Uuid::from_u64_pair(half(&id_high), half(&id_low)));
                PassageCandidate { id, doc, range }
            })
            .collect();
        Ok(Self {
            scores: vec![0.0; candidates.len()],
            counts: vec![0; lengths.len()],
            parts,
            candidates,
            lengths,
        })
    }

    /// Sum of the lengths of all passages.
    fn sum_of_lengths(&self) -> u64 {
        let length = |candidate: &PassageCandidate| {
            let (from, to) = candidate.range;
            u64::from(self.lengths[to] - self.lengths[from])
        };
        self.candidates.iter().map(length).sum()
    }

    /// Adds a term's part to the scores of all candidates.
    fn add_term(
        &mut self,
        reader: &SegmentReader,
        term: &Term,
        idf: f32,
        average: f32,
    ) -> tantivy::Result<()> {
        let inverted = reader.inverted_index(term.field())?;
        let Some(mut postings) = inverted.read_postings(term, IndexRecordOption::WithFreqs)? else {
            return Ok(());
        };
        let mut sum = 0;
        let mut position = 0;
        for (first, end) in &self.parts {
            if postings.doc() < *first {
                postings.seek(*first);
            }
            for doc in *first..*end {
                if postings.doc() == doc {
                    sum += postings.term_freq();
                    postings.advance();
                }
                position += 1;
                self.counts[position] = sum;
            }
        }
        for (candidate, score) in self.candidates.iter().zip(&mut self.scores) {
            let (from, to) = candidate.range;
            let count = as_f32(u64::from(self.counts[to] - self.counts[from]));
            if count > 0.0 {
                let length = as_f32(u64::from(self.lengths[to] - self.lengths[from]));
                let norm = K1 * (1.0 - B + B * length / average.max(1.0));
                *score += idf * count * (K1 + 1.0) / (count + norm);
            }
        }
        Ok(())
    }
}
