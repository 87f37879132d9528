//! The clauses that a question is searched by.

use tantivy::Term;
use tantivy::query::{BooleanQuery, BoostQuery, Occur, PhraseQuery, Query, TermQuery};
use tantivy::schema::{Field, IndexRecordOption};

use super::fields::IndexSchemaFields;
use super::question_words::QuestionWords;
use super::word_terms::is_acronym_term;
use contexture_core::ports::lexical::QUESTION_TERMS_MAX;

/// Weight of a match in a heading, next to 1 for a match in the text.
const HEADING_WEIGHT: f32 = 0.3;
/// Weight of a match in the name of the document: its title, and the words of its id. Who names a document means
/// it, so this is more than a match in the text, as the weights of fields in BM25F (Robertson, Zaragoza and Taylor,
/// CIKM 2004) usually are.
const NAME_WEIGHT: f32 = 3.0;
/// Weight of two words of the question that stand together in the text, next to 1 for a word. It is
/// the ordered-window feature of Metzler and Croft, "A Markov random field model for term
/// dependencies" (SIGIR 2005).
const WORD_PAIR_WEIGHT: f32 = 0.2;
/// Distances of the two words of a pair, in words. Each distance is an exact phrase query. Tantivy's
/// phrases with slop count matches differently depending on which word is rarer in a segment, so
/// scores would depend on how commits formed segments.
const WORD_PAIR_DISTANCES: [usize; 2] = [1, 2];
/// Most word pairs of a question that are searched.
const WORD_PAIRS_MAX: usize = 64;

/// The clauses of a question: its words in the text, in headings or in the document's name, and pairs of its
/// words that stand together.
pub(super) fn question_clauses(fields: &IndexSchemaFields, words: &QuestionWords) -> Vec<Box<dyn Query>> {
    let mut clauses: Vec<Box<dyn Query>> = Vec::new();
    for term in words.distinct_terms(QUESTION_TERMS_MAX) {
        clauses.push(weighted_term_query(fields.text, &term, 1.0));
        clauses.push(weighted_term_query(fields.heading, &term, HEADING_WEIGHT));
        clauses.push(name_query(fields, &term, 1.0));
    }
    for [first, second] in words.distinct_pairs(WORD_PAIRS_MAX) {
        let term = |word: &str| Term::from_field_text(fields.text, word);
        for distance in WORD_PAIR_DISTANCES {
            let together = PhraseQuery::new_with_offset(vec![(0, term(first)), (distance, term(second))]);
            clauses.push(Box::new(BoostQuery::new(Box::new(together), WORD_PAIR_WEIGHT)));
        }
    }
    clauses
}

/// The clauses of an expanded question: weighted words in the text, and the first `asked` of them, which are the
/// question's own, in the document's name as well.
pub(super) fn expanded_clauses(
    fields: &IndexSchemaFields,
    words: &[(String, f32)],
    asked: usize,
) -> Vec<Box<dyn Query>> {
    let in_text = words.iter().map(|(word, weight)| weighted_term_query(fields.text, word, *weight));
    let in_name = words.iter().take(asked).map(|(word, weight)| name_query(fields, word, *weight));
    in_text.chain(in_name).collect()
}

/// A query for one term in the document's name. Files are named in lower case: who asks for WHO means `who.md`.
fn name_query(fields: &IndexSchemaFields, term: &str, weight: f32) -> Box<dyn Query> {
    let lower = is_acronym_term(term).then(|| term.to_lowercase());
    weighted_term_query(fields.name, lower.as_deref().unwrap_or(term), weight * NAME_WEIGHT)
}

/// A query that any of these clauses matches.
pub(super) fn any_clause_query(clauses: Vec<Box<dyn Query>>) -> Box<dyn Query> {
    Box::new(BooleanQuery::new(clauses.into_iter().map(|clause| (Occur::Should, clause)).collect()))
}

/// A query for one term, whose score is multiplied by `weight`.
fn weighted_term_query(field: Field, word: &str, weight: f32) -> Box<dyn Query> {
    let term = TermQuery::new(Term::from_field_text(field, word), IndexRecordOption::WithFreqs);
    Box::new(BoostQuery::new(Box::new(term), weight))
}
