//! Filters through the real binary: built-in keys, places, and what documents say about themselves.

use serde_json::{Value, json};

use super::CliSandbox;
use crate::support::office_files::pdf;

impl CliSandbox {
    /// The chunks that a search finds within a filter: document and first page.
    fn found_within(&self, filter: &str, question: &str) -> Vec<(String, Value)> {
        let answer = self.json(0, &["search", "--collection", "c", "--filter", filter, question]);
        let results = answer["results"].as_array().unwrap().iter();
        results.map(|one| (one["document_id"].as_str().unwrap().to_owned(), one["place"].clone())).collect()
    }

    fn listed(&self, arguments: &[&str]) -> Vec<String> {
        let listing = self.json(0, &[&["documents", "list", "--collection", "c"], arguments].concat());
        let documents = listing["documents"].as_array().unwrap().iter();
        documents.map(|document| document["document_id"].as_str().unwrap().to_owned()).collect()
    }
}

/// Text that fills a page with chunks of its own.
fn page_text(about: &str) -> String {
    let lines: Vec<String> = (0..24)
        .map(|line| format!("{about} clause {line}: the notice period of the {about} part is {line} days."))
        .collect();
    format!("Part {about}\n{}", lines.join("\n"))
}

#[test]
fn pages_select_passages_and_not_their_neighbours() {
    let cli = CliSandbox::new();
    let pages: Vec<String> = ["alpha", "beta", "gamma", "delta"].map(page_text).into();
    let pages: Vec<&str> = pages.iter().map(String::as_str).collect();
    cli.write("guides/contract.pdf", pdf(&pages));
    cli.write("guides/notes.md", "# Notes\n\nThe notice period is discussed every spring.\n");
    cli.ingest(0);
    let question = "What is the notice period of the beta part?";
    let last_page = |place: &Value| place["last"].as_u64().unwrap_or(0);
    let all = cli.found_within("document starts_with \"guides/\"", question);
    assert!(all.iter().any(|(_, place)| last_page(place) < 3) && all.len() > 4, "{all:?}");
    let late = cli.found_within("page >= 3", question);
    assert!(
        !late.is_empty()
            && late.iter().all(|(id, place)| id == "guides/contract.pdf" && last_page(place) >= 3),
        "{late:?}"
    );
    let other = cli.found_within("not page >= 1", question);
    assert!(!other.is_empty() && other.iter().all(|(id, _)| id == "guides/notes.md"), "{other:?}");
    assert!(cli.found_within("line >= 1", question).iter().all(|(id, _)| id == "guides/notes.md"));
    assert_eq!(cli.found_within("page = 99", question), [], "a built-in key is known");

    let query = |filter: &str, more: &[&str]| {
        let arguments = ["query", "--collection", "c", "--budget", "3000", "--filter", filter, question];
        cli.json(0, &[&arguments, more].concat())
    };
    let context = query("page >= 3", &[]);
    let passages = context["passages"].as_array().unwrap();
    assert!(!passages.is_empty() && passages.iter().all(|one| last_page(&one["place"]) >= 3), "{context:#}");
    assert!(!context["context"].as_str().unwrap().contains("alpha"), "{context:#}");

    let first = query("page <= 2", &["--continuable"]);
    cli.write("../first.json", first.to_string());
    let next = query("page >= 4", &["--previous", "first.json"]);
    assert_eq!((&next["prefix"]["passages"], &next["prefix"]["broken_by"]), (&json!(0), &json!("filtered")));
}

#[test]
fn documents_are_listed_and_deleted_by_what_they_say_of_themselves() {
    let cli = CliSandbox::new();
    cli.write(
        "guides/setup.md",
        "---\ntitle: Setup\nstatus: final\nyear: 2024\n---\nHow to set up the lighthouse.\n",
    );
    cli.write(
        "guides/draft.md",
        "---\nstatus: draft\n---\n# Settling in\n\nHow to settle near the harbour.\n",
    );
    cli.write("news.md", "# News\n\nThe harbour has a new anchor.\n");
    cli.ingest(0);
    for (filter, expected) in [
        ("status = \"final\"", vec!["guides/setup.md"]),
        ("title starts_with \"Set\"", vec!["guides/draft.md", "guides/setup.md"]),
        ("document starts_with \"guides/\" and not year >= 2020", vec!["guides/draft.md"]),
        ("document = \"news.md\" or title = \"Setup\"", vec!["guides/setup.md", "news.md"]),
        ("not exists(status)", vec!["news.md"]),
        ("page >= 1 or line >= 1", vec![]),
    ] {
        assert_eq!(cli.listed(&["--filter", filter]), expected, "{filter}");
    }
    assert_eq!(cli.listed(&["--prefix", "guides/", "--filter", "status = \"draft\""]), ["guides/draft.md"]);
    let listing = cli.json(0, &["documents", "list", "--collection", "c", "--prefix", "guides/setup"]);
    let setup = &listing["documents"][0];
    assert_eq!((&setup["title"], &setup["metadata"]["status"]), (&json!("Setup"), &json!("final")));
    assert_eq!(setup["metadata"]["year"], 2024);
    let shown = cli.json(0, &["documents", "show", "--collection", "c", "guides/setup.md"]);
    assert_eq!(shown["metadata"], setup["metadata"]);
    let table = cli.run(&["documents", "list", "--collection", "c"]).stdout;
    assert!(table.contains("Settling in") && table.contains("\"status\":\"draft\""), "{table}");

    let delete = ["documents", "delete", "--collection", "c", "--filter", "status = \"draft\""];
    assert_eq!(cli.json(0, &[&delete[..], &["--dry-run"]].concat())["matched"], 1);
    assert_eq!(cli.json(0, &delete)["deleted"], 1);
    assert_eq!(cli.listed(&[]), ["guides/setup.md", "news.md"]);
}

#[test]
fn wrong_filters_are_refused() {
    let cli = CliSandbox::new();
    cli.write("a.md", "# Notes\n\nThe lighthouse stands by the harbour.\n");
    cli.ingest(0);
    for (filter, code) in [
        ("title starts_with 5", "invalid_filter"),
        ("page starts_with 1", "invalid_filter"),
        ("document ^= \"a\"", "invalid_filter"),
        ("page >= \"x\"", "invalid_filter"),
        ("page = \"x\"", "unknown_filter_key"),
        ("page starts_with \"1\"", "unknown_filter_key"),
        ("lang starts_with \"e\"", "unknown_filter_key"),
    ] {
        let query = ["query", "--collection", "c", "--budget", "300", "--filter", filter, "lighthouse"];
        assert_eq!(cli.error(2, &query)["code"], code, "{filter}");
    }
    let list = ["documents", "list", "--collection", "c", "--filter", "title starts_with 5"];
    assert_eq!(cli.error(2, &list)["code"], "invalid_filter");
}
