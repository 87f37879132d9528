//! A snapshot: one commit of the index, pinned for reading.
//!
//! A search has three rounds. The first ranks chunks by the words of the question, in text, headings and
//! the document's name, and by pairs of words that stand together. The second adds evidence from the
//! passages around a pool of the first hits. The third lets relevance feedback reorder the pool. Scores
//! depend on live contents only, not on how commits formed segments.

use std::collections::HashMap;
use std::sync::Arc;

use tantivy::collector::{Count, DocSetCollector, TopDocs};
use tantivy::query::{
    BooleanQuery, ConstScoreQuery, EnableScoring, Occur, Query, RangeQuery, Scorer, TermQuery,
};
use tantivy::schema::{Field, IndexRecordOption, Value};
use tantivy::tokenizer::TextAnalyzer;
use tantivy::{DocAddress, DocSet, Index, Searcher, TantivyDocument, Term};

use super::bm25_statistics::LiveBm25Statistics;
use super::fields::{IndexSchemaFields, kind};
use super::passage_evidence::PassageEvidence;
use super::question_clauses::{any_clause_query, expanded_clauses, question_clauses};
use super::question_terms::IndexQuestionTerms;
use super::question_words::{QuestionWords, analyze_question};
use super::relevance_feedback::{ScoredChunkHit, round_score, sort_hits};
use super::{
    CommitStamp, analyzer, filter, index_fault, indexed_documents, passage_evidence, relevance_feedback,
};
use contexture_core::domain::chunk::Chunk;
use contexture_core::domain::document::DocumentHead;
use contexture_core::domain::filter::MetadataFilter;
use contexture_core::domain::ids::{ChunkId, DocumentId};
use contexture_core::fault::Fault;
use contexture_core::ports::lexical::{
    IndexCounts, IndexedDocument, LexicalHit, LexicalSnapshot, QUESTION_TERMS_MAX, QuestionTerms,
};

/// Size of the pool that passages and feedback reorder, as a multiple of `top_k`.
const POOL_FACTOR: usize = 3;

pub(super) struct TantivySnapshot {
    searcher: Searcher,
    fields: IndexSchemaFields,
    index: Index,
    stamp: CommitStamp,
    statistics: LiveBm25Statistics,
    /// Whether every chunk is open to its whole tenant, so that readers need no filter.
    all_open: bool,
}

impl TantivySnapshot {
    pub(super) fn new(
        index: &Index,
        fields: IndexSchemaFields,
        searcher: Searcher,
        stamp: CommitStamp,
    ) -> Result<Self, Fault> {
        let frequency = |field: Field, text: &str| {
            searcher.doc_freq(&Term::from_field_text(field, text)).map_err(index_fault)
        };
        // Both frequencies include deleted chunks, so a restricted chunk keeps the filter on until
        // a merge drops it: never the other way round.
        let all_open = frequency(fields.readers, "*")? == frequency(fields.kind, kind::CHUNK)?;
        let statistics =
            LiveBm25Statistics::count_live(&searcher, &[fields.text, fields.heading, fields.name])
                .map_err(index_fault)?;
        Ok(Self { index: index.clone(), fields, searcher, stamp, statistics, all_open })
    }

    fn analyzer(&self) -> Result<TextAnalyzer, Fault> {
        self.index
            .tokenizers()
            .get(analyzer::ANALYZER_NAME)
            .ok_or_else(|| Fault::permanent("analyzer_missing", "the analyzer is not registered"))
    }

    /// The words of a question, without stop words unless there are no others.
    fn words(&self, question: &str) -> Result<QuestionWords, Fault> {
        Ok(analyze_question(&mut self.analyzer()?, question))
    }

    /// Finds the best chunks that match any clause and all conditions, ties by id. A list of `limit`
    /// hits is cut before its lowest score.
    fn search_best(
        &self,
        clauses: Vec<Box<dyn Query>>,
        conditions: Vec<Box<dyn Query>>,
        limit: usize,
    ) -> Result<Vec<ScoredChunkHit>, Fault> {
        let mut query = any_clause_query(clauses);
        if !conditions.is_empty() {
            let mut all: Vec<(Occur, Box<dyn Query>)> = vec![(Occur::Must, query)];
            // A constant score of 0: conditions select, they do not rank.
            for condition in conditions {
                all.push((Occur::Must, Box::new(ConstScoreQuery::new(condition, 0.0))));
            }
            query = Box::new(BooleanQuery::new(all));
        }
        let collector = TopDocs::with_limit(limit).order_by_score();
        let alive = self.statistics.in_searcher(&self.searcher);
        let found = self
            .searcher
            .search_with_statistics_provider(&*query, &collector, &alive)
            .map_err(index_fault)?;
        let full = found.len() == limit;
        let mut hits = found
            .into_iter()
            .map(|(score, address)| {
                Ok(ScoredChunkHit { score: round_score(score), id: self.chunk_id_at(address)?, address })
            })
            .collect::<Result<Vec<_>, Fault>>()?;
        sort_hits(&mut hits);
        // Which of the hits with the lowest score made it into a full list depends on the order of
        // segments, so none of them stays. When all scores are equal, there is no better choice.
        if let (true, Some(lowest)) = (full, hits.last().map(|hit| hit.score)) {
            let above = hits.partition_point(|hit| hit.score > lowest);
            if above > 0 {
                hits.truncate(above);
            }
        }
        Ok(hits)
    }

    /// Scores these hits by other clauses, 0 where none matches. The result is in the order of `hits`.
    fn score_hits(&self, clauses: Vec<Box<dyn Query>>, hits: &[ScoredChunkHit]) -> Result<Vec<f32>, Fault> {
        let alive = self.statistics.in_searcher(&self.searcher);
        let scoring = EnableScoring::enabled_from_statistics_provider(&alive, &self.searcher);
        let weight = any_clause_query(clauses).weight(scoring).map_err(index_fault)?;
        // In order of addresses, because a scorer only moves forward and belongs to one segment.
        let mut order: Vec<usize> = (0..hits.len()).collect();
        order.sort_by_key(|index| hits[*index].address);
        let mut found = vec![0.0; hits.len()];
        let mut current: Option<(u32, Box<dyn Scorer>)> = None;
        for index in order {
            let DocAddress { segment_ord, doc_id } = hits[index].address;
            if current.as_ref().is_none_or(|(segment, _)| *segment != segment_ord) {
                let reader = self.searcher.segment_reader(segment_ord);
                current = Some((segment_ord, weight.scorer(reader, 1.0).map_err(index_fault)?));
            }
            let Some((_, scorer)) = &mut current else { continue };
            if scorer.doc() < doc_id {
                scorer.seek(doc_id);
            }
            if scorer.doc() == doc_id {
                found[index] = round_score(scorer.score());
            }
        }
        Ok(found)
    }

    /// Adds what the passages around the hits say, and the neighbours of hits that the filter admits as hits of
    /// their own.
    fn add_passages(
        &self,
        words: &QuestionWords,
        filter: Option<&MetadataFilter>,
        found: &mut Vec<ScoredChunkHit>,
    ) -> Result<(), Fault> {
        let terms = words.distinct_terms(QUESTION_TERMS_MAX);
        let evidence = passage_evidence::score_passages(
            &self.searcher,
            &self.statistics,
            self.fields.text,
            &terms,
            found,
        )
        .map_err(index_fault)?;
        let known: HashMap<DocAddress, usize> =
            found.iter().enumerate().map(|(index, hit)| (hit.address, index)).collect();
        let mut neighbours = Vec::new();
        for PassageEvidence { id, address, score } in evidence {
            match known.get(&address) {
                Some(index) => found[*index].score = round_score(found[*index].score + score),
                None => neighbours.push(ScoredChunkHit { score, id, address }),
            }
        }
        if let Some(filter) = filter {
            let admitted: Box<dyn Query> =
                Box::new(ConstScoreQuery::new(filter::build_filter_query(&self.fields, filter), 1.0));
            let mut admitted = self.score_hits(vec![admitted], &neighbours)?.into_iter();
            neighbours.retain(|_| admitted.next().is_some_and(|score| score > 0.0));
        }
        // Neighbours may match as well, and only have been cut from the pool.
        let own = self.score_hits(question_clauses(&self.fields, words), &neighbours)?;
        for (mut neighbour, own) in neighbours.into_iter().zip(own) {
            neighbour.score = round_score(neighbour.score + own);
            if neighbour.score > 0.0 {
                found.push(neighbour);
            }
        }
        sort_hits(found);
        Ok(())
    }

    fn text_at(&self, address: DocAddress) -> Result<String, Fault> {
        let document: TantivyDocument = self.searcher.doc(address).map_err(index_fault)?;
        Ok(document
            .get_first(self.fields.text)
            .and_then(|value| value.as_str())
            .unwrap_or_default()
            .to_owned())
    }

    fn chunk_id_at(&self, address: DocAddress) -> Result<ChunkId, Fault> {
        let segment = self.searcher.segment_reader(address.segment_ord).fast_fields();
        let read = |name: &str| {
            let column = segment.u64(name).map_err(index_fault)?;
            column
                .first(address.doc_id)
                .ok_or_else(|| Fault::permanent("index_corrupt", format!("a chunk without {name}")))
        };
        Ok(ChunkId::from_uuid(uuid::Uuid::from_u64_pair(read("id_high")?, read("id_low")?)))
    }

    /// Finds the live Tantivy document with a term. Deleted ones may share the term.
    fn address_of(&self, term: &Term) -> Result<Option<DocAddress>, Fault> {
        for (ordinal, segment) in (0_u32..).zip(self.searcher.segment_readers()) {
            let inverted = segment.inverted_index(term.field()).map_err(index_fault)?;
            let postings = inverted
                .read_postings(term, IndexRecordOption::Basic)
                .map_err(|error| Fault::transient_error("lexical index", error))?;
            let Some(mut postings) = postings else { continue };
            let mut doc = postings.doc();
            while doc != tantivy::TERMINATED {
                // Postings list deleted documents until a merge drops them.
                if segment.alive_bitset().is_none_or(|alive| alive.is_alive(doc)) {
                    return Ok(Some(DocAddress::new(ordinal, doc)));
                }
                doc = postings.advance();
            }
        }
        Ok(None)
    }

    fn read_chunk(&self, id: ChunkId, address: DocAddress) -> Result<Arc<Chunk>, Fault> {
        let document = self.searcher.doc(address).map_err(index_fault)?;
        self.fields.read_chunk(id, &document).map(Arc::new).map_err(index_fault)
    }

    fn count_kind(&self, kind: &str) -> Result<u64, Fault> {
        let query = TermQuery::new(Term::from_field_text(self.fields.kind, kind), IndexRecordOption::Basic);
        Ok(self.searcher.search(&query, &Count).map_err(index_fault)? as u64)
    }
}

impl LexicalSnapshot for TantivySnapshot {
    fn id(&self) -> u64 {
        self.stamp.commits
    }

    fn position(&self) -> u64 {
        self.stamp.position
    }

    fn search(
        &self,
        question: &str,
        filter: Option<&MetadataFilter>,
        readers: &[String],
        top_k: usize,
    ) -> Result<Vec<LexicalHit>, Fault> {
        let words = self.words(question)?;
        if words.is_empty() || top_k == 0 {
            return Ok(Vec::new());
        }
        let mut conditions = Vec::new();
        if let Some(filter) = filter {
            conditions.push(filter::build_filter_query(&self.fields, filter));
        }
        if !self.all_open {
            conditions.push(filter::build_readers_query(&self.fields, readers));
        }
        let clauses = question_clauses(&self.fields, &words);
        let pool = top_k * POOL_FACTOR;
        let mut found = self.search_best(clauses, conditions, pool)?;
        let asked = words.distinct_terms(QUESTION_TERMS_MAX);
        // Only places tell chunks of one document apart.
        let of_places = filter.filter(|filter| filter.tells_chunks_apart());
        self.add_passages(&words, of_places, &mut found)?;
        found.truncate(pool);
        let firsts = found
            .iter()
            .take(relevance_feedback::FEEDBACK_HITS)
            .map(|hit| Ok((hit.score, self.text_at(hit.address)?)))
            .collect::<Result<Vec<_>, Fault>>()?;
        let expanded = relevance_feedback::expand_question(&asked, &firsts, &mut self.analyzer()?);
        let second = self.score_hits(expanded_clauses(&self.fields, &expanded, asked.len()), &found)?;
        relevance_feedback::add_feedback_scores(&mut found, &second);
        sort_hits(&mut found);
        found.truncate(top_k);
        Ok(found.into_iter().map(|hit| LexicalHit { id: hit.id, score: hit.score }).collect())
    }

    fn has_metadata_key(&self, key: &str, readers: &[String]) -> Result<bool, Fault> {
        let exists = filter::build_key_query(&self.fields, key);
        let readable = filter::build_readers_query(&self.fields, readers);
        let query = BooleanQuery::new(vec![(Occur::Must, exists), (Occur::Must, readable)]);
        Ok(self.searcher.search(&query, &Count).map_err(index_fault)? > 0)
    }

    fn question_terms(&self, question: &str) -> Result<Option<Arc<dyn QuestionTerms>>, Fault> {
        let asked = self.words(question)?.distinct_terms(QUESTION_TERMS_MAX);
        if asked.is_empty() {
            return Ok(None);
        }
        Ok(Some(Arc::new(IndexQuestionTerms::new(asked, self.analyzer()?))))
    }

    fn chunks(&self, ids: &[ChunkId]) -> Result<Vec<Option<Arc<Chunk>>>, Fault> {
        ids.iter()
            .map(|id| {
                let term = Term::from_field_bytes(self.fields.chunk_id, id.as_uuid().as_bytes());
                self.address_of(&term)?.map(|address| self.read_chunk(*id, address)).transpose()
            })
            .collect()
    }

    fn chunk_range(&self, document_id: &DocumentId, first: u32, last: u32) -> Result<Vec<Arc<Chunk>>, Fault> {
        let of_document = TermQuery::new(
            Term::from_field_text(self.fields.document, document_id.as_str()),
            IndexRecordOption::Basic,
        );
        let bound = |ordinal: u32| {
            std::ops::Bound::Included(Term::from_field_u64(self.fields.ordinal, ordinal.into()))
        };
        let query = BooleanQuery::new(vec![
            (Occur::Must, Box::new(of_document)),
            (Occur::Must, Box::new(RangeQuery::new(bound(first), bound(last)))),
        ]);
        let found = self.searcher.search(&query, &DocSetCollector).map_err(index_fault)?;
        let mut chunks = found
            .into_iter()
            .map(|address| self.read_chunk(self.chunk_id_at(address)?, address))
            .collect::<Result<Vec<_>, Fault>>()?;
        // The collector returns a set, without an order.
        chunks.sort_by_key(|chunk| chunk.ordinal);
        Ok(chunks)
    }

    fn head(&self, document_id: &DocumentId) -> Result<Option<DocumentHead>, Fault> {
        let term = Term::from_field_text(self.fields.head, document_id.as_str());
        let Some(address) = self.address_of(&term)? else {
            return Ok(None);
        };
        let document = self.searcher.doc(address).map_err(index_fault)?;
        self.fields.read_head(&document).map(Some).map_err(index_fault)
    }

    fn holding(&self, document_id: &DocumentId) -> Result<IndexedDocument, Fault> {
        indexed_documents::read_indexed_document(&self.searcher, &self.fields, document_id)
    }

    fn held(&self, after: Option<&DocumentId>, limit: usize) -> Result<Vec<DocumentId>, Fault> {
        indexed_documents::list_indexed_documents(&self.searcher, &self.fields, after, limit)
    }

    fn holds(&self, ids: &[ChunkId]) -> Result<Vec<bool>, Fault> {
        let holds = |id: &ChunkId| {
            let term = Term::from_field_bytes(self.fields.chunk_id, id.as_uuid().as_bytes());
            Ok(self.address_of(&term)?.is_some())
        };
        ids.iter().map(holds).collect()
    }

    fn counts(&self) -> Result<IndexCounts, Fault> {
        Ok(IndexCounts {
            documents: self.count_kind(kind::HEAD)?,
            tombstones: self.count_kind(kind::TOMBSTONE)?,
            chunks: self.count_kind(kind::CHUNK)?,
        })
    }
}
