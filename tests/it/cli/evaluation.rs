//! Evaluation of sets so small that every figure is known.

use std::fs;

use serde_json::{Value, json};

use super::{Cli, names};

fn beir(cli: &Cli) {
    let folder = cli.path("beir");
    fs::create_dir_all(folder.join("qrels")).unwrap();
    let things = ["lighthouse", "anchor", "harbour", "compass"];
    let line = |thing: &str| json!({"_id": thing, "title": "", "text": format!("All about the {thing}.")});
    let mut corpus: Vec<String> = things.iter().map(|thing| line(thing).to_string()).collect();
    corpus.push(json!({"_id": "blank", "title": "", "text": " "}).to_string());
    let queries = ["anchor", "compass", "nothing"]
        .map(|thing| json!({"_id": format!("q-{thing}"), "text": format!("the {thing}")}).to_string());
    let judgements =
        "query-id\tcorpus-id\tscore\nq-anchor\tanchor\t1\nq-compass\tcompass\t1\nq-nothing\tanchor\t0\n";
    fs::write(folder.join("corpus.jsonl"), corpus.join("\n")).unwrap();
    fs::write(folder.join("queries.jsonl"), queries.join("\n")).unwrap();
    fs::write(folder.join("qrels/test.tsv"), judgements).unwrap();
}

fn excerpts(cli: &Cli) {
    let folder = cli.path("excerpts");
    fs::create_dir_all(folder.join("corpora")).unwrap();
    let text = "# Ships\r\n\r\nThe anchor is made of iron.\r\n\r\nThe sail is made of hemp.\r\n";
    let answer = "The anchor is made of iron.";
    let start = text.find(answer).unwrap();
    let question = json!({
        "_id": "0", "text": "What is the anchor made of?", "document_id": "ships.md",
        "references": [{"start_byte": start, "end_byte": start + answer.len(), "text": answer}],
    });
    fs::write(folder.join("corpora/ships.md"), text).unwrap();
    fs::write(folder.join("questions.jsonl"), format!("{question}\n")).unwrap();
}

#[test]
fn a_beir_set_gives_ndcg_and_recall() {
    let cli = Cli::new();
    beir(&cli);
    let arguments =
        ["eval", "--dataset", "beir", "--pipeline", "hash.toml", "--per-question", "figures.jsonl", "--json"];
    let ran = cli.run(&arguments);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(names(&ran.stdout)[..2], ["ndcg_at_10", "recall_at_20"]);
    let report = ran.json();
    assert_eq!((&report["ndcg_at_10"], &report["recall_at_20"]), (&json!(1.0), &json!(1.0)), "{report}");
    assert_eq!((&report["queries"], &report["empty_documents"]), (&json!(2), &json!(1)));
    let figures = fs::read_to_string(cli.path("figures.jsonl")).unwrap();
    let first: Value = serde_json::from_str(figures.lines().next().unwrap()).unwrap();
    assert_eq!((&first["query_id"], &first["ranking"][0]), (&json!("q-anchor"), &json!("anchor")));
    assert_eq!(figures.lines().count(), 2);
    let limited = cli.json(0, &["eval", "--dataset", "beir", "--pipeline", "hash.toml", "--limit", "1"]);
    assert_eq!(limited["queries"], 1);
}

#[test]
fn excerpt_questions_give_recall_at_budgets() {
    let cli = Cli::new();
    excerpts(&cli);
    let ran = cli.run(&["eval", "--dataset", "excerpts", "--pipeline", "hash.toml", "--json"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let contract = ["recall", "precision", "iou", "recall_at_budget", "over_budget"];
    assert_eq!(names(&ran.stdout)[..contract.len()], contract);
    let report = ran.json();
    assert_eq!(report["recall_at_budget"], json!({"500": 1.0, "1000": 1.0, "2000": 1.0}), "{report}");
    assert_eq!((&report["recall"], &report["over_budget"]), (&json!(1.0), &json!(0)));
    assert!(report["precision"].as_f64().unwrap() < 1.0);
}

#[test]
fn a_kept_collection_is_only_asked() {
    let cli = Cli::new();
    excerpts(&cli);
    let arguments = ["eval", "--dataset", "excerpts", "--pipeline", "hash.toml"];
    cli.json(0, &arguments);
    let before = cli.json(0, &["status"]);
    assert!(before["collections"][0]["collection"].as_str().unwrap().starts_with("eval-excerpts-"));
    let again = cli.run(&arguments);
    assert!(again.stderr.contains("is there already"), "{}", again.stderr);
    assert_eq!(cli.json(0, &["status"]), before);
}

#[test]
fn a_set_that_contradicts_itself_is_refused() {
    let cli = Cli::new();
    excerpts(&cli);
    let path = cli.path("excerpts/questions.jsonl");
    let wrong = fs::read_to_string(&path).unwrap().replace("made of iron", "made of lead");
    fs::write(&path, wrong).unwrap();
    let error = cli.error(2, &["eval", "--dataset", "excerpts"]);
    assert_eq!(error["code"], "invalid_dataset");
    assert!(error["message"].as_str().unwrap().contains("questions.jsonl:1"), "{error}");
}
