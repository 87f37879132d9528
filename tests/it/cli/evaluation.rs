//! Evaluation of sets so small that every figure is known.

use std::fs;

use serde_json::{Value, json};

use super::{CliSandbox, names};

fn beir(cli: &CliSandbox) {
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

fn excerpts(cli: &CliSandbox) {
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
    let cli = CliSandbox::new();
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
    let cli = CliSandbox::new();
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
    let cli = CliSandbox::new();
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
    let cli = CliSandbox::new();
    excerpts(&cli);
    let path = cli.path("excerpts/questions.jsonl");
    let wrong = fs::read_to_string(&path).unwrap().replace("made of iron", "made of lead");
    fs::write(&path, wrong).unwrap();
    let error = cli.error(2, &["eval", "--dataset", "excerpts"]);
    assert_eq!(error["code"], "invalid_dataset");
    assert!(error["message"].as_str().unwrap().contains("questions.jsonl:1"), "{error}");
}

/// Three documents with an answer each, for as many questions.
fn larger_excerpts(cli: &CliSandbox) {
    let folder = cli.path("larger");
    fs::create_dir_all(folder.join("corpora")).unwrap();
    let mut questions = Vec::new();
    for (name, thing, stuff) in [("a", "anchor", "iron"), ("s", "sail", "hemp"), ("m", "mast", "pine")] {
        let filler = format!("Of the {thing} much has been said by those who sailed before. ").repeat(12);
        let answer = format!("The {thing} is made of {stuff}.");
        let text = format!("# {name}\r\n\r\n{filler}\r\n\r\n{answer}\r\n\r\n{filler}\r\n");
        let start = text.find(&answer).unwrap();
        let question = json!({
            "_id": name, "text": format!("What is the {thing} made of?"), "document_id": format!("{name}.md"),
            "references": [{"start_byte": start, "end_byte": start + answer.len(), "text": answer}],
        });
        questions.push(question.to_string());
        fs::write(folder.join(format!("corpora/{name}.md")), text).unwrap();
    }
    fs::write(folder.join("questions.jsonl"), questions.join("\n")).unwrap();
}

const LARGER: [&str; 5] = ["eval", "--dataset", "larger", "--pipeline", "hash.toml"];
const PACKERS: [&str; 5] = ["greedy-skip", "mmr", "rank-prefix", "score-per-token", "top-5"];

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

#[test]
fn baselines_and_oracles_stand_beside_the_assembler() {
    let cli = CliSandbox::new();
    larger_excerpts(&cli);
    let measured =
        ["--baselines", "--oracle", "--budgets", "1000,60,1000", "--per-question", "figures.jsonl"];
    let report = cli.json(0, &[&LARGER[..], &measured].concat());
    assert_eq!(keys(&report["recall_at_budget"]), ["1000", "60"]);
    assert_eq!(keys(&report["baselines"]), PACKERS);
    assert_eq!(keys(&report["assembler_minus"]), PACKERS);
    for packer in PACKERS {
        let reached = &report["baselines"][packer]["recall_at_budget"];
        assert_eq!(keys(reached), ["1000", "60"]);
        for budget in ["60", "1000"] {
            let difference = &report["assembler_minus"][packer][budget];
            let (mean, low, high) = (&difference["mean"], &difference["low"], &difference["high"]);
            let expected =
                report["recall_at_budget"][budget].as_f64().unwrap() - reached[budget].as_f64().unwrap();
            assert!((mean.as_f64().unwrap() - expected).abs() < 1e-9, "{report}");
            assert!(low.as_f64() <= mean.as_f64() && mean.as_f64() <= high.as_f64(), "{report}");
        }
    }
    let oracle = &report["oracle"];
    assert_eq!(keys(oracle), ["borders", "ranking", "retrieval"]);
    // Of a few chunks every one is a candidate, and an answer of seven words fits into 60 tokens.
    assert_eq!((&oracle["retrieval"], &oracle["ranking"]["1000"]), (&json!(1.0), &json!(1.0)));
    assert_eq!(oracle["borders"], json!({"60": 1.0, "1000": 1.0}));
    let figures = fs::read_to_string(cli.path("figures.jsonl")).unwrap();
    assert_eq!(figures.lines().count(), 3);
    for line in figures.lines() {
        let question: Value = serde_json::from_str(line).unwrap();
        assert!(question["question_id"].is_string() && question["recall"].is_number(), "{question}");
        assert_eq!(keys(&question["baselines"]), PACKERS);
        assert_eq!(question["oracle"]["borders"], json!({"60": 1.0, "1000": 1.0}));
    }
    let text = cli.run(&[&LARGER[..], &["--baselines", "--oracle"]].concat()).stdout;
    for row in
        ["recall at tokens", "oracle: ranking", "oracle: retrieval", "assembler minus", "score-per-token"]
    {
        assert!(text.contains(row), "{row} is missing in\n{text}");
    }
}

#[test]
fn a_run_is_compared_with_another_question_by_question() {
    let cli = CliSandbox::new();
    larger_excerpts(&cli);
    cli.json(0, &[&LARGER[..], &["--per-question", "all.jsonl"]].concat());
    let same = cli.json(0, &[&LARGER[..], &["--limit", "2", "--against", "all.jsonl"]].concat());
    let against = &same["against"];
    assert_eq!((&against["file"], &against["questions"]), (&json!("all.jsonl"), &json!(2)));
    assert_eq!((&against["only_this"], &against["only_other"]), (&json!(0), &json!(1)));
    assert!(keys(&against["metrics"]).contains(&"recall_at_budget.2000"));
    for metric in against["metrics"].as_object().unwrap().values() {
        assert_eq!(keys(metric), ["better", "difference", "equal", "high", "low", "other", "this", "worse"]);
        assert_eq!(
            (&metric["difference"], &metric["low"], &metric["high"]),
            (&json!(0.0), &json!(0.0), &json!(0.0))
        );
        assert_eq!((&metric["this"], &metric["equal"]), (&metric["other"], &json!(2)));
    }
    let text = cli.run(&[&LARGER[..], &["--against", "all.jsonl"]].concat()).stdout;
    assert!(text.contains("against all.jsonl: 3 questions in both, 0 only here, 0 only there"), "{text}");
    assert!(text.contains("95 % interval"), "{text}");

    fs::write(cli.path("strangers.jsonl"), "{\"question_id\":\"x\",\"recall\":1.0}\n").unwrap();
    fs::write(cli.path("broken.jsonl"), "{\"recall\":1.0}\n").unwrap();
    for (file, code) in [
        ("strangers.jsonl", "nothing_in_common"),
        ("broken.jsonl", "invalid_comparison"),
        ("nowhere.jsonl", "invalid_comparison"),
    ] {
        let error = cli.error(2, &[&LARGER[..], &["--against", file]].concat());
        assert_eq!((&error["code"], &error["field"]), (&json!(code), &json!("against")), "{error}");
    }
}

#[test]
fn recall_is_drawn_against_the_budget() {
    let cli = CliSandbox::new();
    larger_excerpts(&cli);
    let report = cli.json(0, &[&LARGER[..], &["--baselines", "--svg", "curve.svg"]].concat());
    assert_eq!(keys(&report["recall_at_budget"]).len(), 6);
    let svg = fs::read_to_string(cli.path("curve.svg")).unwrap();
    assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"));
    for text in PACKERS.into_iter().chain(["assembler", "125", "4,000", "larger"]) {
        assert!(svg.contains(text), "{text} is missing");
    }
    let error = cli.error(2, &[&LARGER[..], &["--svg", "nowhere/curve.svg"]].concat());
    assert_eq!((&error["code"], &error["field"]), (&json!("file_not_writable"), &json!("svg")));
}

#[test]
fn the_order_of_documents_in_contexts_stands_beside_the_ranking() {
    let cli = CliSandbox::new();
    beir(&cli);
    let arguments = ["eval", "--dataset", "beir", "--pipeline", "hash.toml"];
    let compared = ["--baselines", "--per-question", "figures.jsonl"];
    let report = cli.json(0, &[&arguments[..], &compared].concat());
    assert_eq!(report["assembled_ndcg_at_10"], json!({"8000": 1.0}), "{report}");
    // Each is one chunk: no neighbours.
    assert_eq!(report["fused_ndcg_at_10"], 1.0);
    assert_eq!(report["ranking_minus_fused"], json!({"mean": 0.0, "low": 0.0, "high": 0.0}));
    let zero = json!({"ranking": {"8000": {"mean": 0.0, "low": 0.0, "high": 0.0}}});
    assert_eq!(report["assembler_minus"], zero);
    let again = cli.json(0, &[&arguments[..], &["--against", "figures.jsonl"]].concat());
    assert_eq!(keys(&again["against"]["metrics"]), ["ndcg_at_10", "recall_at_20"]);
    for (option, field) in
        [(&["--oracle"][..], "oracle"), (&["--svg", "x.svg"], "svg"), (&["--budgets", "5"], "budgets")]
    {
        let error = cli.error(2, &[&arguments[..], option].concat());
        assert_eq!((&error["code"], &error["field"]), (&json!("option_not_for_dataset"), &json!(field)));
    }
}

#[test]
fn budgets_are_checked_before_anything_is_done() {
    let cli = CliSandbox::new();
    excerpts(&cli);
    for wrong in ["0", "-1", "500,1000001"] {
        let error = cli.error(2, &["eval", "--dataset", "excerpts", "--budgets", wrong]);
        assert_eq!(
            (&error["code"], &error["field"]),
            (&json!("invalid_budget"), &json!("budgets")),
            "{wrong}"
        );
    }
}
