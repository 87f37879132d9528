//! Statistics of BM25 over the whole index, counted over live documents only.
//!
//! Tantivy's own statistics include deleted documents until a merge drops them. Equal contents
//! with different histories would then score differently: a fresh replica would disagree with a
//! writer that has seen every update. Field lengths are the rounded ones that scoring uses (one
//! byte per chunk), so a merge does not change their sum. Cost: one pass over these bytes per
//! commit, and for each word of a question that is new since then one over its postings in segments with
//! deletes.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tantivy::query::Bm25StatisticsProvider;
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{DocSet, Searcher, TERMINATED, Term};

/// Statistics of one snapshot.
pub(super) struct LiveBm25Statistics {
    documents: u64,
    /// Tokens of each scored field.
    tokens: Vec<(Field, u64)>,
    /// Frequencies that cost a pass over postings: a question asks for each of its words several times.
    frequencies: Mutex<HashMap<Term, u64>>,
}

/// Frequencies that are kept. When there are more, all are dropped.
const FREQUENCIES_MAX: usize = 1 << 14;

impl LiveBm25Statistics {
    /// Counts live documents and the tokens of `fields`.
    pub(super) fn count_live(searcher: &Searcher, fields: &[Field]) -> tantivy::Result<Self> {
        let documents = searcher.segment_readers().iter().map(|segment| u64::from(segment.num_docs())).sum();
        let mut tokens = Vec::with_capacity(fields.len());
        for field in fields {
            let mut sum = 0;
            for segment in searcher.segment_readers() {
                let lengths = segment.get_fieldnorms_reader(*field)?;
                sum += segment.doc_ids_alive().map(|doc| u64::from(lengths.fieldnorm(doc))).sum::<u64>();
            }
            tokens.push((*field, sum));
        }
        Ok(Self { documents, tokens, frequencies: Mutex::default() })
    }

    /// Combines the statistics with the searcher that looks up document frequencies.
    pub(super) fn in_searcher<'a>(&'a self, searcher: &'a Searcher) -> LiveBm25Provider<'a> {
        LiveBm25Provider { statistics: self, searcher }
    }
}

/// Provides the statistics of a snapshot's live documents to Tantivy.
pub(super) struct LiveBm25Provider<'a> {
    statistics: &'a LiveBm25Statistics,
    searcher: &'a Searcher,
}

impl Bm25StatisticsProvider for LiveBm25Provider<'_> {
    fn total_num_tokens(&self, field: Field) -> tantivy::Result<u64> {
        let found = self.statistics.tokens.iter().find(|(counted, _)| *counted == field);
        match found {
            Some((_, tokens)) => Ok(*tokens),
            None => Bm25StatisticsProvider::total_num_tokens(self.searcher, field),
        }
    }

    fn total_num_docs(&self) -> tantivy::Result<u64> {
        Ok(self.statistics.documents)
    }

    fn doc_freq(&self, term: &Term) -> tantivy::Result<u64> {
        if self.searcher.segment_readers().iter().all(|segment| segment.alive_bitset().is_none()) {
            return Bm25StatisticsProvider::doc_freq(self.searcher, term);
        }
        let kept = || self.statistics.frequencies.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(frequency) = kept().get(term) {
            return Ok(*frequency);
        }
        let frequency = self.count_live_frequency(term)?;
        let mut kept = kept();
        if kept.len() >= FREQUENCIES_MAX {
            kept.clear();
        }
        kept.insert(term.clone(), frequency);
        Ok(frequency)
    }
}

impl LiveBm25Provider<'_> {
    fn count_live_frequency(&self, term: &Term) -> tantivy::Result<u64> {
        let mut frequency = 0;
        for segment in self.searcher.segment_readers() {
            let inverted = segment.inverted_index(term.field())?;
            // A segment without deletes: its own document frequency is exact.
            let Some(alive) = segment.alive_bitset() else {
                frequency += u64::from(inverted.doc_freq(term)?);
                continue;
            };
            let Some(mut postings) = inverted.read_postings(term, IndexRecordOption::Basic)? else {
                continue;
            };
            while postings.doc() != TERMINATED {
                frequency += u64::from(alive.is_alive(postings.doc()));
                postings.advance();
            }
        }
        Ok(frequency)
    }
}
