//! A comparison as one HTML page. Style and pictures are inside; nothing is loaded.
//!
//! All texts are escaped, no script runs, and the page forbids to load anything. It reads in dark
//! and in light. At most 20 questions are shown with their documents, those that changed
//! most; the figures of all are in the JSON.

mod changed_questions;
mod histogram;
mod ndcg_chart;
mod scatter;

use std::fmt::Write as _;

use crate::cli::markup::{escape_xml, question_html};
use crate::cli::text_format;
use contexture_lab::compare::GenerationComparison;
use contexture_lab::compare::report::{GenerationPair, QuestionComparison, QuestionOutcome};
use contexture_lab::measure::bootstrap::BootstrapInterval;

/// Maximum failed questions that are shown.
const FAILED_MAX: usize = 20;
const PAGE_STYLE: &str = include_str!("page.css");

/// The whole page of a comparison.
pub(super) fn comparison_page(comparison: &GenerationComparison) -> String {
    let GenerationComparison { generations: GenerationPair { a, b }, collection, .. } = comparison;
    let title = format!("Generation {b} against {a} of {}", escape_xml(collection.as_str()));
    // The policy is a second line of defence behind escaping: even a script that slipped in would not run.
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{PAGE_STYLE}</style>\n</head>\n<body>\n\
         <h1><span class=\"b\">Generation {b}</span> against <span class=\"a\">{a}</span> of {}</h1>\n",
        escape_xml(collection.as_str())
    );
    write_summary(&mut page, comparison);
    write_requirements(&mut page, comparison);
    write_tiles(&mut page, comparison);
    let answered: Vec<&QuestionComparison> =
        comparison.per_question.iter().filter(|one| one.answered().is_some()).collect();
    page.push_str("<div class=\"pair\">\n");
    histogram::draw(&mut page, &answered, comparison);
    scatter::draw(&mut page, &answered, comparison);
    page.push_str("</div>\n");
    if comparison.judged.is_some() {
        ndcg_chart::draw(&mut page, &answered, comparison);
    }
    write_figures(&mut page, comparison);
    changed_questions::list_changed_questions(&mut page, &answered, comparison);
    write_failures(&mut page, comparison);
    page.push_str(DEFINITIONS);
    page.push_str("</body>\n</html>\n");
    page
}

fn write_summary(page: &mut String, comparison: &GenerationComparison) {
    let judged = comparison.judged.as_ref().map_or(0, |judged| judged.questions);
    let _ = writeln!(
        page,
        "<p class=\"soft\">{}, {} of them judged, {} failed. The first {} documents and contexts of {} tokens \
         ({}) were compared, in {:.1} s.</p>",
        text_format::count_with_noun(comparison.questions as u64, "question"),
        text_format::count(judged as u64),
        text_format::count(comparison.failed as u64),
        comparison.top_k,
        text_format::count(comparison.budget as u64),
        escape_xml(&comparison.tokenizer),
        comparison.seconds
    );
}

fn write_requirements(page: &mut String, comparison: &GenerationComparison) {
    if comparison.requirements.is_empty() {
        return;
    }
    let (class, verdict) = match comparison.broken().len() {
        0 => ("good", "all of it holds".to_owned()),
        broken => ("bad", format!("{broken} of {} not met", comparison.requirements.len())),
    };
    let _ = writeln!(
        page,
        "<h2>Required: <span class=\"{class}\">{verdict}</span></h2>\n<table>\n<tr><th>requirement</th>\
         <th class=\"number\">measured</th><th>holds</th></tr>"
    );
    for checked in &comparison.requirements {
        let value = checked.value.map_or_else(|| "–".to_owned(), |value| format!("{value:.4}"));
        let (class, holds) = if checked.met { ("good", "yes") } else { ("bad", "no") };
        let _ = writeln!(
            page,
            "<tr><td>{}</td><td class=\"number\">{value}</td><td class=\"{class}\">{holds}</td></tr>",
            escape_xml(&checked.requirement)
        );
    }
    page.push_str("</table>\n");
}

fn write_tiles(page: &mut String, comparison: &GenerationComparison) {
    let Some(likeness) = &comparison.likeness else { return };
    let depth = comparison.top_k;
    let mut tiles = vec![
        (format!("{:.2}", likeness.overlap), format!("overlap of the first {depth} documents")),
        (format!("{:.2}", likeness.rbo), "rank-biased overlap".to_owned()),
        (format!("{:.2}", likeness.context_overlap), "overlap of contexts".to_owned()),
    ];
    if let Some(judged) = &comparison.judged {
        tiles.push((format!("{:+.3}", judged.ndcg_delta.mean), format!("change of nDCG@{depth}")));
    }
    tiles.push((format!("× {:.2}", comparison.latency_ratio.p95), "time of a context at p95".to_owned()));
    page.push_str("<ul class=\"tiles\">\n");
    for (value, name) in tiles {
        let _ = writeln!(page, "<li><b>{value}</b> {name}</li>");
    }
    page.push_str("</ul>\n");
}

fn write_figures(page: &mut String, comparison: &GenerationComparison) {
    let GenerationPair { a, b } = comparison.generations;
    let depth = comparison.top_k;
    let _ = writeln!(
        page,
        "<h2>Side by side</h2>\n<table>\n<tr><th></th>\
         <th class=\"number a\">generation {a}</th><th class=\"number b\">generation {b}</th>\
         <th class=\"number\">change</th></tr>"
    );
    let mut row = |name: &str, a: String, b: String, change: String| {
        let _ = writeln!(
            page,
            "<tr><td>{name}</td><td class=\"number\">{a}</td><td class=\"number\">{b}</td>\
             <td class=\"number\">{change}</td></tr>"
        );
    };
    if let Some(judged) = &comparison.judged {
        let change =
            |delta: &BootstrapInterval| format!("{:+.4} [{:+.4}, {:+.4}]", delta.mean, delta.low, delta.high);
        let figures =
            [("nDCG", &judged.ndcg, &judged.ndcg_delta), ("recall", &judged.recall, &judged.recall_delta)];
        for (name, figure, delta) in figures {
            let (a, b) = (format!("{:.4}", figure.a), format!("{:.4}", figure.b));
            row(&format!("{name}@{depth}"), a, b, change(delta));
        }
    }
    if let Some(likeness) = &comparison.likeness {
        let share = |share: f64| format!("{share:.3}");
        let (a, b) = (share(likeness.a_context_in_b), share(likeness.b_context_in_a));
        row("share of its contexts that the other has", a, b, String::new());
    }
    let (of_a, of_b) = (comparison.latency_ms.a.named(), comparison.latency_ms.b.named());
    // `named` lists the same percentiles in the same order each time, so zipping is safe.
    let ratios = comparison.latency_ratio.named();
    for (((name, of_a), (_, of_b)), (_, ratio)) in of_a.into_iter().zip(of_b).zip(ratios) {
        let (a, b) = (format!("{of_a:.1} ms"), format!("{of_b:.1} ms"));
        row(&format!("a context at {name}"), a, b, format!("× {ratio:.2}"));
    }
    let GenerationPair { a, b } = comparison.degraded;
    row("degraded answers", text_format::count(a as u64), text_format::count(b as u64), String::new());
    page.push_str("</table>\n");
}

fn write_failures(page: &mut String, comparison: &GenerationComparison) {
    if comparison.failed == 0 {
        return;
    }
    page.push_str(
        "<h2>Failed questions</h2>\n<table>\n<tr><th>question</th><th>generation</th><th>why</th></tr>\n",
    );
    let failures = comparison.per_question.iter().filter_map(|one| match &one.outcome {
        QuestionOutcome::Failed { error } => Some((one, error)),
        QuestionOutcome::Answered { .. } => None,
    });
    for (question, error) in failures.take(FAILED_MAX) {
        let generation = if error.side == "a" { comparison.generations.a } else { comparison.generations.b };
        let _ = writeln!(
            page,
            "<tr><td class=\"question\">{}</td><td>{generation}</td><td>{} ({})</td></tr>",
            question_html(question),
            escape_xml(&error.message),
            escape_xml(&error.code)
        );
    }
    page.push_str("</table>\n");
    if comparison.failed > FAILED_MAX {
        let _ = writeln!(page, "<p class=\"soft\">The first {FAILED_MAX} of {}.</p>", comparison.failed);
    }
}

const DEFINITIONS: &str = "<footer>\n<dl>\n\
<dt>Overlap of documents</dt><dd>Documents among the first of both, of those that the longer list has.</dd>\n\
<dt>Rank-biased overlap</dt><dd>Webber, Moffat and Zobel (2010), extrapolated, with p = 0.9: agreement at \
every depth, weighted towards the first ranks.</dd>\n\
<dt>Overlap of contexts</dt><dd>Tokens of the passages that both contexts have, of the tokens of both: the \
same bytes of the same version of a document.</dd>\n\
<dt>nDCG and recall</dt><dd>Of documents by their best chunk, over the questions with judgements; changes \
are means of paired differences with 95 % bootstrap intervals.</dd>\n\
<dt>Time of a context</dt><dd>Retrieval and assembly, asked of both generations by turns.</dd>\n\
</dl>\n</footer>\n";

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed step fails its test")]

    use super::comparison_page;
    use contexture_core::domain::ids::CollectionId;
    use contexture_lab::compare::GenerationComparison;
    use contexture_lab::compare::report::{
        GenerationPair, LatencyPercentiles, QuestionComparison, QuestionFailure, QuestionOutcome,
    };

    #[test]
    fn where_every_question_fails_the_page_says_why() {
        let none = LatencyPercentiles { p50: 0.0, p95: 0.0, p99: 0.0 };
        let failed = |number: usize| QuestionComparison {
            id: number.to_string(),
            question: "why <b>?".to_owned(),
            outcome: QuestionOutcome::Failed {
                error: QuestionFailure {
                    side: "b".to_owned(),
                    code: "deadline_exceeded".to_owned(),
                    message: "too late & lost".to_owned(),
                },
            },
        };
        let page = comparison_page(&GenerationComparison {
            collection: CollectionId::new("c").unwrap(),
            generations: GenerationPair { a: 3, b: 7 },
            top_k: 10,
            budget: 2000,
            tokenizer: "cl100k_base".to_owned(),
            questions: 30,
            failed: 30,
            degraded: GenerationPair { a: 0, b: 0 },
            likeness: None,
            judged: None,
            latency_ms: GenerationPair { a: none, b: none },
            latency_ratio: none,
            seconds: 1.0,
            requirements: Vec::new(),
            per_question: (1..=30).map(failed).collect(),
        });
        assert!(page.contains("30 questions, 0 of them judged, 30 failed"), "{page}");
        assert_eq!(page.matches("why &lt;b&gt;?").count(), 20);
        assert!(page.contains("<td>7</td><td>too late &amp; lost (deadline_exceeded)</td>"), "{page}");
        assert!(page.contains("The first 20 of 30.") && !page.contains("NaN"), "{page}");
    }
}
