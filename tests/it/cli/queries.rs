//! Questions, budgets, and what is refused.

use serde_json::{Value, json};

use super::{CliSandbox, names};

fn filled() -> CliSandbox {
    let cli = CliSandbox::new();
    for thing in ["lighthouse", "anchor", "harbour", "compass"] {
        let sentence = format!("The {thing} guides and keeps ships in its own way. ");
        cli.write(&format!("{thing}.md"), format!("# On the {thing}\n\n{}\n", sentence.repeat(8)));
    }
    cli.ingest(0);
    cli
}

#[test]
fn an_answer_is_a_contract() {
    let cli = filled();
    let ran = cli.run(&["query", "--collection", "c", "--budget", "400", "--json", "what is an anchor"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
    let contract =
        ["context", "tokens", "budget", "tokenizer", "snapshot", "degraded", "passages", "bound", "trace"];
    assert_eq!(names(&ran.stdout), contract);
    let answer = ran.json();
    assert_eq!((&answer["budget"], &answer["tokenizer"]), (&json!(400), &json!("cl100k_base")));
    assert!(answer["tokens"].as_u64().unwrap() <= 400);
    assert_eq!(answer["degraded"], json!([]));
    let passage = &answer["passages"][0];
    assert_eq!((&passage["document_id"], &passage["version"]), (&json!("anchor.md"), &json!(1)));
    let text = passage["text"].as_str().unwrap();
    let (start, end) = (passage["start_byte"].as_u64().unwrap(), passage["end_byte"].as_u64().unwrap());
    assert_eq!(text.len() as u64, end - start);
    assert!(passage["heading"].is_string() && passage["score"].is_number());
}

#[test]
fn only_the_context_goes_to_stdout() {
    let cli = filled();
    let arguments = ["query", "--collection", "c", "--budget", "400", "anchor"];
    let ran = cli.run(&arguments);
    let context = cli.json(0, &arguments)["context"].as_str().unwrap().to_owned();
    assert_eq!(ran.stdout.trim_end(), context.trim_end());
    assert_eq!(ran.stderr.lines().count(), 1);
    assert!(ran.stderr.contains("of 400 tokens (cl100k_base)"), "{}", ran.stderr);
}

#[test]
fn every_format_and_tokenizer_stays_within_its_budget() {
    let cli = filled();
    for format in ["markdown", "xml", "json", "plain"] {
        for tokenizer in ["cl100k_base", "o200k_base"] {
            for budget in ["60", "150", "100000"] {
                let answer = cli.json(
                    0,
                    &[
                        "query",
                        "--collection",
                        "c",
                        "--budget",
                        budget,
                        "--format",
                        format,
                        "--tokenizer",
                        tokenizer,
                        "what guides ships",
                    ],
                );
                assert!(answer["tokens"].as_u64() <= budget.parse().ok(), "{format} {tokenizer} {budget}");
                assert_eq!(answer["tokenizer"], tokenizer);
            }
        }
    }
}

#[test]
fn a_budget_too_small_for_anything_gives_an_empty_context() {
    let cli = filled();
    for budget in ["0", "1", "5"] {
        let answer = cli.json(0, &["query", "--collection", "c", "--budget", budget, "anchor"]);
        assert_eq!((&answer["context"], &answer["tokens"]), (&json!(""), &json!(0)), "{budget}");
        assert_eq!(answer["passages"], json!([]));
        let ran = cli.run(&["query", "--collection", "c", "--budget", budget, "anchor"]);
        assert_eq!((ran.code, ran.stdout.trim()), (0, ""));
    }
}

#[test]
fn malformed_questions_are_refused_by_field() {
    let cli = filled();
    let query = |arguments: &[&str]| -> Value {
        cli.error(2, &[&["query", "--collection", "c"], arguments].concat())
    };
    let refused = [
        (query(&["anchor"]), "invalid_budget", "budget"),
        (query(&["--budget", "-1", "anchor"]), "invalid_budget", "budget"),
        (query(&["--budget", "1000000001", "anchor"]), "invalid_budget", "budget"),
        (query(&["--budget", "9", "--top-k", "0", "anchor"]), "invalid_top_k", "top_k"),
        (query(&["--budget", "9", "--top-k", "-1", "anchor"]), "invalid_top_k", "top_k"),
        (query(&["--budget", "9", "--format", "pdf", "anchor"]), "unknown_format", "format"),
        (query(&["--budget", "9", "--fusion", "luck", "anchor"]), "unknown_fusion", "fusion"),
        (query(&["--budget", "9", "--filter", "lang =", "anchor"]), "invalid_filter", "filter"),
        (query(&["--budget", "9", " "]), "empty_question", "question"),
        (query(&["--budget", "9", "--min-version", "a.md=0", "anchor"]), "invalid_version", "version"),
        (query(&["--budget", "9", "--tokenizer", "abacus", "anchor"]), "unknown_tokenizer", "tokenizer"),
    ];
    for (error, code, field) in refused {
        assert_eq!((&error["code"], &error["field"]), (&json!(code), &json!(field)), "{error}");
    }
}

#[test]
fn a_question_may_be_several_words_and_need_not_be_words() {
    let cli = filled();
    let joined = cli.json(0, &["search", "--collection", "c", "--top-k", "2", "an", "anchor"]);
    assert_eq!(joined["results"][0]["document_id"], "anchor.md");
    for question in ["the", "AND OR (\"", "field:value~2^3", "\u{202e}anchor", "?"] {
        cli.json(0, &["search", "--collection", "c", question]);
    }
}

#[test]
fn a_search_ranks_chunks() {
    let cli = filled();
    let ranking = cli.json(0, &["search", "--collection", "c", "--top-k", "3", "the compass"]);
    let results = ranking["results"].as_array().unwrap();
    assert!((1..=3).contains(&results.len()));
    assert_eq!(results[0]["document_id"], "compass.md");
    let scores: Vec<f64> = results.iter().map(|result| result["score"].as_f64().unwrap()).collect();
    assert!(scores.is_sorted_by(|first, second| first >= second), "{scores:?}");
    let told = cli.run(&["search", "--collection", "c", "--top-k", "1", "the compass"]);
    assert!(told.stdout.starts_with("  1  "), "{}", told.stdout);
}

#[test]
fn a_version_that_does_not_come_is_not_yet() {
    let cli = filled();
    let ask = |version: &str, timeout: &str, code: i32| {
        let condition = format!("anchor.md={version}");
        let arguments = [
            "query",
            "--collection",
            "c",
            "--budget",
            "400",
            "--min-version",
            &condition,
            "--timeout",
            timeout,
            "anchor",
        ];
        let ran = cli.run(&[&arguments[..], &["--json"]].concat());
        assert_eq!(ran.code, code, "{} {}", ran.stdout, ran.stderr);
    };
    ask("1", "10", 0);
    ask("2", "1", 4);
    ask("1", "0", 4);
}

#[test]
fn an_explanation_names_every_candidate() {
    let cli = filled();
    let arguments = ["query", "--collection", "c", "--budget", "150", "--explain", "what guides ships"];
    let answer = cli.json(0, &arguments);
    let trace = answer["trace"].as_array().unwrap();
    assert!(trace.iter().any(|entry| entry["reason"] == "kept"), "{trace:?}");
    let told = cli.run(&arguments);
    assert!(told.stdout.contains(&format!("{} candidates considered", trace.len())), "{}", told.stdout);
    for entry in trace {
        let bytes = format!("{}..{}", entry["start_byte"], entry["end_byte"]);
        assert!(told.stdout.contains(&bytes), "{bytes}: {}", told.stdout);
    }
}
