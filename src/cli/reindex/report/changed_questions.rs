//! The questions that changed most, with the first documents of both generations.

use std::fmt::Write as _;

use crate::cli::markup::{escape_xml, question_html};
use contexture_core::domain::ids::DocumentId;
use contexture_lab::compare::GenerationComparison;
use contexture_lab::compare::report::{AnswerSimilarity, GenerationPair, MeasuredAnswer, QuestionComparison};

/// Maximum questions that are listed.
const CHANGED_MAX: usize = 20;
/// Documents of each ranking that are shown.
const DOCUMENTS: usize = 5;

/// Lists the questions with the fewest common documents first, then by rank-biased overlap and context.
pub(super) fn list_changed_questions(
    page: &mut String,
    answered: &[&QuestionComparison],
    comparison: &GenerationComparison,
) {
    let mut all: Vec<(&QuestionComparison, &AnswerSimilarity, GenerationPair<&MeasuredAnswer>)> = answered
        .iter()
        .filter_map(|one| one.answered().map(|(likeness, sides)| (*one, likeness, sides)))
        // With slack, because the sums of overlaps round.
        .filter(|(_, likeness, _)| likeness.rbo < 1.0 - 1e-9 || likeness.context_overlap < 1.0 - 1e-9)
        .collect();
    all.sort_by(|(_, one, _), (_, two, _)| {
        let by_documents = one.overlap.total_cmp(&two.overlap);
        by_documents
            .then(one.rbo.total_cmp(&two.rbo))
            .then(one.context_overlap.total_cmp(&two.context_overlap))
    });
    if all.is_empty() {
        if comparison.likeness.is_some() {
            page.push_str(
                "<p>Every question has the same documents in the same order, and the same context.</p>\n",
            );
        }
        return;
    }
    let GenerationPair { a, b } = comparison.generations;
    let _ = writeln!(
        page,
        "<h2>Questions that changed most</h2>\n<p class=\"soft\">{} of {} questions changed. Each list has the \
         first {DOCUMENTS} documents of {}; behind a document stands where \
         the other generation has it, unless it is the same place.</p>\n<div class=\"wide\"><table>\n<tr><th>question</th><th class=\"number\">documents</th>\
         <th class=\"number\">context</th><th class=\"a\">generation {a}</th><th class=\"b\">generation {b}</th></tr>",
        all.len(),
        answered.len(),
        comparison.top_k
    );
    for (question, likeness, sides) in all.into_iter().take(CHANGED_MAX) {
        let ndcg = match (sides.a.ndcg, sides.b.ndcg) {
            (Some(before), Some(now)) => {
                format!("<br><small class=\"soft\">nDCG {before:.2}, then {now:.2}</small>")
            }
            _ => String::new(),
        };
        let _ = writeln!(
            page,
            "<tr><td class=\"question\">{}{ndcg}</td><td class=\"number\">{:.2}</td><td class=\"number\">{:.2}</td>\
             <td class=\"list\">{}</td><td class=\"list\">{}</td></tr>",
            question_html(question),
            likeness.overlap,
            likeness.context_overlap,
            document_list(&sides.a.documents, &sides.b.documents, ["now", "gone"]),
            document_list(&sides.b.documents, &sides.a.documents, ["was", "new"])
        );
    }
    page.push_str("</table></div>\n");
}

/// The first documents of a ranking. Each has its rank in the other one, if that differs.
fn document_list(ranking: &[DocumentId], other: &[DocumentId], [elsewhere, missing]: [&str; 2]) -> String {
    let item = |(number, document): (usize, &DocumentId)| {
        let id = escape_xml(document.as_str());
        match other.iter().position(|known| known == document) {
            Some(place) if place == number => format!("<li>{id}</li>"),
            Some(place) => format!("<li>{id} <small>{elsewhere} {}</small></li>", place + 1),
            None => format!("<li class=\"other\">{id} <small>{missing}</small></li>"),
        }
    };
    let items: String = ranking.iter().take(DOCUMENTS).enumerate().map(item).collect();
    if items.is_empty() { "–".to_owned() } else { format!("<ol>{items}</ol>") }
}
