//! Answers to questions as text.

use super::text_format;
use crate::operations::messages::answer::{ContextResponse, ReusedPrefixView};

/// One line about an answer: tokens, passages, snapshot, and what was missing.
pub(crate) fn answer_summary(answer: &ContextResponse) -> String {
    let mut documents: Vec<&str> =
        answer.passages.iter().map(|passage| passage.document_id.as_str()).collect();
    // Sorted, because `dedup` only removes neighbours.
    documents.sort_unstable();
    documents.dedup();
    let found = if answer.passages.is_empty() {
        "no passage".to_owned()
    } else {
        format!(
            "{} from {}",
            text_format::count_with_noun(answer.passages.len() as u64, "passage"),
            text_format::count_with_noun(documents.len() as u64, "document")
        )
    };
    let reserved = match answer.reserved {
        0 => String::new(),
        reserved => format!(" less {} reserved", text_format::count(reserved)),
    };
    format!(
        "{} of {} tokens{reserved} ({}), {found}, snapshot {}{}{}",
        text_format::count(answer.tokens),
        text_format::count(answer.budget),
        answer.tokenizer,
        answer.snapshot,
        kept_prefix_text(answer.prefix.as_ref()),
        degraded_text(&answer.degraded)
    )
}

/// How much of the previous context was kept, as text.
fn kept_prefix_text(prefix: Option<&ReusedPrefixView>) -> String {
    let Some(prefix) = prefix else { return String::new() };
    let kept = text_format::count_with_noun(prefix.passages, "passage");
    let broken = match (prefix.broken_at, prefix.broken_by.as_deref()) {
        (Some(passage), Some(by)) => format!(", passage {passage} {}", break_text(by)),
        _ => String::new(),
    };
    format!("; {kept} kept from before ({} tokens{broken})", text_format::count(prefix.tokens))
}

fn break_text(by: &str) -> &str {
    match by {
        "superseded" => "has a newer version",
        "gone" => "is gone",
        "filtered" => "is excluded by the filter",
        "changed" => "reads otherwise now",
        "style" => "was written in another style",
        "room" => "left too little room",
        "fence" => "is fenced by what a new passage contains",
        // A newer server may have more reasons.
        other => other,
    }
}

/// What was unavailable for an answer, as text.
pub(crate) fn degraded_text(degraded: &[String]) -> String {
    let words: Vec<&str> = degraded
        .iter()
        .map(|degraded| match degraded.as_str() {
            "DENSE" => "the dense leg",
            "RERANK" => "reranking",
            "REFILL" => "some refills",
            "INDEX" => "what 'contexture repair' would bring back",
            other => other,
        })
        .collect();
    if words.is_empty() { String::new() } else { format!("; without {}", words.join(" and ")) }
}
