//! Two generations side by side: figures, requirements, the page, and what may be activated.

#[cfg(unix)]
mod api;

use std::fs;

#[cfg(unix)]
use contexture::server::grpc::proto::AssembleRequest;
#[cfg(unix)]
use contexture::server::grpc::proto::context_service_client::ContextServiceClient;
use serde_json::{Value, json};

#[cfg(unix)]
use super::serving::ServeProcess;
use super::{CliSandbox, names};

/// Five topics, each in a document of a dozen paragraphs.
const TOPICS: [(&str, &str); 5] = [
    ("anchor", "An anchor of forged iron holds a ship against wind and tide in shallow water."),
    ("bread", "Bread rises because yeast turns sugar into carbon dioxide while the dough rests."),
    ("comet", "A comet grows a tail of dust and gas when the sun warms its frozen nucleus."),
    ("ledger", "A ledger records debits and credits so that both columns end in the same sum."),
    ("violin", "A violin sounds when a bow of horsehair makes four strings of steel vibrate."),
];
const SMALLER: &str = "[embedder]\nkind = \"bundled\"\n[chunker]\ntokens_max = 80\ntokens_target = 64\n";

/// A collection under the bundled model, and another generation of smaller chunks, built.
fn two_generations() -> CliSandbox {
    let cli = CliSandbox::new();
    for (name, fact) in TOPICS {
        let paragraph = |number: usize| {
            format!(
                "Paragraph {number} of the {name} goes on about its history, its makers and its uses.\n\n"
            )
        };
        let text: String = (0..12).map(paragraph).collect();
        cli.write(&format!("{name}.md"), format!("# The {name}\n\n{text}{fact}\n\n{text}"));
    }
    fs::write(cli.path("smaller.toml"), SMALLER).unwrap();
    let lines = [
        "# what sailors, bakers and astronomers ask".to_owned(),
        json!({"id": "iron", "question": "What holds a ship in shallow water?", "relevant": {"anchor.md": 1}})
            .to_string(),
        json!({"question": "Why does dough rise?", "relevant": {"bread.md": 2, "comet.md": 0}}).to_string(),
        json!({"id": "<tail>", "question": "What is a \"comet\" <made> of & why?"}).to_string(),
    ];
    fs::write(cli.path("questions.jsonl"), lines.join("\n")).unwrap();
    cli.json(0, &["ingest", "--collection", "c", "docs"]);
    let built = cli.json(0, &["reindex", "start", "--collection", "c", "--pipeline", "smaller.toml"]);
    assert_eq!(built["generations"][0]["caught_up"], true, "{built}");
    cli
}

const COMPARE: [&str; 6] = ["reindex", "compare", "--collection", "c", "--questions", "questions.jsonl"];
const ACTIVATE: [&str; 6] = ["reindex", "activate", "--collection", "c", "--questions", "questions.jsonl"];

fn states(cli: &CliSandbox) -> Vec<(u64, String)> {
    let status = cli.json(0, &["reindex", "status", "--collection", "c"]);
    let of = |one: &Value| (one["generation"].as_u64().unwrap(), one["state"].as_str().unwrap().to_owned());
    status["generations"].as_array().unwrap().iter().map(of).collect()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// Every element is closed by its own name, and no text holds a bare angle.
fn assert_well_formed(page: &str) {
    let mut open = Vec::new();
    let mut rest = page.strip_prefix("<!DOCTYPE html>").unwrap();
    while let Some(at) = rest.find('<') {
        assert!(!rest[..at].contains('>'), "{}", &rest[..at]);
        let end = at + rest[at..].find('>').unwrap();
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        assert!(!tag.contains("NaN") && !tag.contains("inf"), "{tag}");
        let name = tag.trim_matches('/').split_whitespace().next().unwrap();
        match (tag.starts_with('/'), tag.ends_with('/') || ["meta", "br"].contains(&name)) {
            (true, _) => assert_eq!(open.pop(), Some(name), "before {}", &rest[..rest.len().min(80)]),
            (false, false) => open.push(name),
            (false, true) => {}
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn generations_are_compared_and_a_broken_requirement_fails() {
    let cli = two_generations();
    let asked =
        ["--require", "overlap@5>=0.2", "--require", "ndcg_delta>=-0.5", "--require", "p95_ratio<=1000"];
    let more = ["--top-k", "5", "--budget", "300", "--report", "report.html", "--json"];
    let ran = cli.run(&[&COMPARE[..], &asked, &more].concat());
    assert_eq!(ran.code, 0, "{} {}", ran.stdout, ran.stderr);
    let contract = [
        "collection",
        "generations",
        "top_k",
        "budget",
        "tokenizer",
        "questions",
        "failed",
        "degraded",
        "overlap",
        "rbo",
        "kendall_tau",
        "context_overlap",
        "a_context_in_b",
        "b_context_in_a",
        "judged",
        "latency_ms",
        "latency_ratio",
        "seconds",
        "requirements",
        "per_question",
    ];
    assert_eq!(names(&ran.stdout), contract);
    let report = ran.json();
    assert_eq!(report["generations"], json!({"a": 1, "b": 2}));
    assert_eq!((&report["questions"], &report["failed"]), (&json!(3), &json!(0)), "{report}");
    assert_eq!(report["degraded"], json!({"a": 0, "b": 0}));
    assert_eq!((&report["top_k"], &report["budget"]), (&json!(5), &json!(300)));
    for figure in ["overlap", "rbo", "context_overlap", "a_context_in_b", "b_context_in_a"] {
        assert!((0.0..=1.0).contains(&number(&report[figure])), "{figure}: {report}");
    }
    assert!(number(&report["context_overlap"]) < 1.0, "the chunks are others: {report}");
    assert_eq!(report["judged"]["questions"], 2);
    assert_eq!(report["judged"]["ndcg"]["a"], 1.0, "{report}");
    for side in ["a", "b"] {
        let [p50, p99] = ["p50", "p99"].map(|at| number(&report["latency_ms"][side][at]));
        assert!(0.0 < p50 && p50 <= p99, "{report}");
    }
    let met: Vec<&Value> = report["requirements"].as_array().unwrap().iter().map(|one| &one["met"]).collect();
    assert_eq!(met, [true, true, true, true], "{report}");
    assert_eq!(report["requirements"][3]["requirement"], "failed<=0");
    let first = &report["per_question"][0];
    assert_eq!((&first["id"], &first["a"]["documents"][0]), (&json!("iron"), &json!("anchor.md")));
    assert_eq!(report["per_question"][1]["id"], "3", "named by its line");

    let page = fs::read_to_string(cli.path("report.html")).unwrap();
    assert_well_formed(&page);
    assert!(page.matches("<svg ").count() >= 2, "{page}");
    assert!(page.contains("What is a &quot;comet&quot; &lt;made&gt; of &amp; why?"), "{page}");
    for outside in ["<script", "http://", "https://", "url(", "@import"] {
        let known = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!known.contains(outside), "{outside}");
    }

    let broken = cli.json(1, &[&COMPARE[..], &["--require", "context_overlap>=1.01"]].concat());
    assert_eq!(broken["requirements"][0]["met"], false);
    let ran = cli
        .run(&[&COMPARE[..], &["--require", "context_overlap>=1.01", "--require", "p50_ratio<=0"]].concat());
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stdout.starts_with("generation 2 against 1, 3 questions\n"), "{}", ran.stdout);
    for line in ["context_overlap>=1.01 does not hold: measured 0.", "p50_ratio<=0 does not hold: measured "]
    {
        assert!(ran.stderr.lines().any(|said| said.starts_with(line)), "{}", ran.stderr);
    }
    assert_eq!(states(&cli), [(1, "active".to_owned()), (2, "building".to_owned())]);
}

#[test]
fn a_generation_serves_only_if_it_holds_what_is_required() {
    let cli = two_generations();
    let required = ["--require", "context_overlap>=1.01", "--report", "refused.html"];
    let error = cli.error(1, &[&ACTIVATE[..], &required].concat());
    assert_eq!(error["code"], "comparison_failed");
    assert!(error["message"].as_str().unwrap().contains("context_overlap>=1.01 does not hold"), "{error}");
    assert!(fs::read_to_string(cli.path("refused.html")).unwrap().contains("class=\"bad\""));
    assert_eq!(states(&cli), [(1, "active".to_owned()), (2, "building".to_owned())]);

    let done = cli.json(0, &[&ACTIVATE[..], &["--require", "ndcg_delta>=-1"]].concat());
    assert_eq!(done, json!({"collection": "c", "generation": 2, "done": "active"}));
    assert_eq!(states(&cli), [(1, "kept".to_owned()), (2, "active".to_owned())]);

    assert_eq!(cli.error(3, &COMPARE)["code"], "no_reindex");
    let back = cli.json(0, &[&COMPARE[..], &["--generations", "2,1"]].concat());
    assert_eq!(back["generations"], json!({"a": 2, "b": 1}));
    let unknown = cli.error(3, &[&COMPARE[..], &["--generations", "1,9"]].concat());
    assert_eq!(unknown["code"], "unknown_generation");
    let same = cli.error(2, &[&COMPARE[..], &["--generations", "2,2"]].concat());
    assert_eq!(same["code"], "invalid_generations");
}

#[test]
fn equal_chunks_give_equal_answers_whoever_is_asked_first() {
    let cli = CliSandbox::new();
    for (name, fact) in TOPICS {
        cli.write(&format!("{name}.txt"), fact);
    }
    cli.ingest(0);
    fs::write(cli.path("other.toml"), format!("{}[chunker]\ntokens_target = 100\n", super::HASH_PIPELINE))
        .unwrap();
    cli.json(0, &["reindex", "start", "--collection", "c", "--pipeline", "other.toml"]);
    let beir = cli.path("beir");
    fs::create_dir_all(beir.join("qrels")).unwrap();
    let query = |(name, _): (&str, &str)| json!({"_id": name, "text": format!("the {name}")}).to_string();
    fs::write(beir.join("queries.jsonl"), TOPICS.map(query).join("\n")).unwrap();
    let judgement = |(name, _): (&str, &str)| format!("{name}\t{name}.txt\t1");
    fs::write(beir.join("qrels/test.tsv"), TOPICS.map(judgement).join("\n")).unwrap();
    let arguments = ["reindex", "compare", "--collection", "c", "--dataset", "beir", "--report", "page.html"];
    let report = cli.json(0, &arguments);
    assert_eq!(report["questions"], 5);
    for figure in ["overlap", "rbo", "kendall_tau", "context_overlap", "a_context_in_b", "b_context_in_a"] {
        assert!((number(&report[figure]) - 1.0).abs() < 1e-9, "{figure}: {report}");
    }
    let judged = &report["judged"];
    assert_eq!(judged["questions"], 5);
    assert_eq!(judged["ndcg_delta"], json!({"mean": 0.0, "low": 0.0, "high": 0.0}));
    assert_eq!(judged["recall"]["a"], judged["recall"]["b"]);
    let page = fs::read_to_string(cli.path("page.html")).unwrap();
    assert_well_formed(&page);
    assert!(page.contains("Every question has the same documents"), "{page}");
}

/// Serves, asks these questions of collections, and stops.
#[cfg(unix)]
async fn asked(cli: &CliSandbox, sample: &str, questions: &[(&str, &str)]) {
    let server = ServeProcess::start(cli, &[("CONTEXTURE__RETRIEVAL__SAMPLE_QUESTIONS", sample)]);
    let mut client = ContextServiceClient::connect(server.url()).await.unwrap();
    for (collection, question) in questions {
        let request = AssembleRequest {
            collection: (*collection).to_owned(),
            question: (*question).to_owned(),
            budget: Some(100),
            ..AssembleRequest::default()
        };
        assert_eq!(client.assemble(request).await.is_ok(), *collection == "c");
    }
    // A connection that stays open holds the server up.
    drop(client);
    tokio::task::spawn_blocking(move || server.stop()).await.unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn questions_that_were_asked_are_kept_only_where_that_is_wanted() {
    let cli = CliSandbox::new();
    cli.write("anchor.txt", "An anchor holds a ship.");
    cli.ingest(0);
    fs::write(cli.path("other.toml"), format!("{}[chunker]\ntokens_target = 100\n", super::HASH_PIPELINE))
        .unwrap();
    cli.json(0, &["reindex", "start", "--collection", "c", "--pipeline", "other.toml"]);
    let compare = ["reindex", "compare", "--collection", "c", "--sampled"];
    asked(&cli, "0", &[("c", "an anchor?")]).await;
    assert_eq!(cli.error(3, &compare)["code"], "no_sampled_questions");

    asked(&cli, "2", &[("c", "a ship?"), ("c", "an anchor?"), ("d", "a bow?"), ("c", "a ship?")]).await;
    asked(&cli, "2", &[("c", "a rope?")]).await;
    let report = cli.json(0, &compare);
    let kept: Vec<&Value> =
        report["per_question"].as_array().unwrap().iter().map(|one| &one["question"]).collect();
    assert_eq!(kept, ["a ship?", "a rope?"], "the last two, the newest last");

    asked(&cli, "0", &[("c", "a rope?")]).await;
    assert_eq!(cli.error(3, &compare)["code"], "no_sampled_questions", "forgotten");
}

#[test]
fn what_is_asked_is_checked_before_anything_is_opened() {
    let cli = CliSandbox::new();
    let of = |arguments: &[&str]| {
        let whole = [&["reindex", arguments[0], "--collection", "c"], &arguments[1..]].concat();
        let error = cli.error(2, &whole);
        (error["code"].as_str().unwrap().to_owned(), error["message"].as_str().unwrap().to_owned())
    };
    fs::write(cli.path("plain.txt"), "# none yet\n\nwhat is an anchor?\n").unwrap();
    fs::write(cli.path("bad.jsonl"), "{\"question\": \"a?\"}\n{\"query\": \"b?\"}\n").unwrap();
    fs::write(cli.path("empty.txt"), "# nothing\n").unwrap();
    for (arguments, code, words) in [
        (&["compare"][..], "questions_missing", "--questions"),
        (&["compare", "--questions", "absent.txt"], "invalid_questions", "absent.txt"),
        (&["compare", "--questions", "bad.jsonl"], "invalid_questions", "bad.jsonl:2: "),
        (&["compare", "--questions", "empty.txt"], "invalid_questions", "no question"),
        (&["compare", "--dataset", "docs"], "invalid_dataset", "docs"),
        (&["compare", "--questions", "plain.txt", "--dataset", "docs"], "usage", "--dataset"),
        (&["compare", "--questions", "plain.txt", "--sampled"], "usage", "--sampled"),
        (&["compare", "--sampled", "--require", "recall>=0.5"], "no_judgements", "relevant"),
        (&["compare", "--questions", "plain.txt", "--generations", "1"], "usage", "two numbers"),
        (&["compare", "--questions", "plain.txt", "--require", "speed>=1"], "invalid_requirement", "speed"),
        (
            &["compare", "--questions", "plain.txt", "--require", "overlap@5>=1"],
            "invalid_requirement",
            "--top-k",
        ),
        (&["compare", "--questions", "plain.txt", "--require", "ndcg>=0.5"], "no_judgements", "relevant"),
        (
            &["compare", "--questions", "plain.txt", "--report", "no/where.html"],
            "file_not_writable",
            "--report",
        ),
        (&["activate", "--questions", "plain.txt"], "requirement_missing", "--require"),
        (&["activate", "--require", "overlap>=0.5"], "questions_missing", "--questions"),
    ] {
        let (found, message) = of(arguments);
        assert_eq!(found, code, "{arguments:?}: {message}");
        assert!(message.contains(words), "{arguments:?}: {message}");
    }
}
