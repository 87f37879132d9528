//! Files as people have them: what a context shows of them, and where it says it is from.

use std::fmt::Write as _;
use std::fs;

use serde_json::Value;

use super::CliSandbox;

impl CliSandbox {
    fn answer(&self, budget: &str, question: &str, more: &[&str]) -> Value {
        let arguments = ["query", "--collection", "c", "--budget", budget, question];
        self.json(0, &[&arguments, more].concat())
    }

    fn shown(&self, budget: &str, question: &str) -> String {
        self.answer(budget, question, &[])["context"].as_str().unwrap().to_owned()
    }

    fn results(&self, question: &str) -> Vec<Value> {
        let found = self.json(0, &["search", "--collection", "c", question]);
        found["results"].as_array().unwrap().clone()
    }
}

/// Sentences about numbered things.
fn sentences(thing: &str, numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("The {thing} number {number} stands in hall {}.", number * 7 % 13)).collect()
}

#[test]
fn citations_lead_to_the_lines_of_the_file() {
    let cli = CliSandbox::new();
    cli.write("win.txt", format!("\u{feff}{}", sentences("valve", 0..200).join("\r\n")));
    let page: String =
        sentences("pump &amp; motor", 0..80).iter().fold(String::new(), |mut page, sentence| {
            let _ = writeln!(page, "<p class=\"x\">{sentence}</p>\n");
            page
        });
    cli.write(
        "page.html",
        format!("<!doctype html>\n<title>Pumps</title>\n<body><article>\n{page}</article>"),
    );
    let body = sentences("gauge", 0..80).join("\n\n");
    cli.write("front.md", format!("---\ntitle: Gauges\nlang: en\n---\n\n# All of them {{#all}}\n\n{body}\n"));
    cli.ingest(0);
    for (file, asked, question) in [
        ("win.txt", "valve number 61 ", "Where stands the valve number 61?"),
        ("page.html", "motor number 42 ", "Where stands the pump & motor number 42?"),
        ("front.md", "gauge number 33 ", "Where stands the gauge number 33?"),
    ] {
        let answer = cli.answer("400", question, &[]);
        let passages = answer["passages"].as_array().unwrap().iter();
        let passage = passages
            .filter(|passage| passage["document_id"] == file)
            .find(|passage| passage["text"].as_str().unwrap().contains(asked))
            .unwrap_or_else(|| panic!("{file}: {answer}"));
        let number = |name: &str| usize::try_from(passage[name].as_u64().unwrap()).unwrap();
        let bytes = fs::read(cli.path("docs").join(file)).unwrap();
        let source = String::from_utf8(bytes).unwrap();
        let lines: Vec<&str> = source.lines().collect();
        let cited = lines[number("first_line") - 1..number("last_line")].join("\n");
        assert!(cited.contains(asked), "{file}: {cited}");
        assert!(
            cited.lines().count() <= passage["text"].as_str().unwrap().lines().count() + 2,
            "{file}: {cited}"
        );
        let slice = &source[number("source_start_byte")..number("source_end_byte")];
        assert!(slice.contains(asked), "{file}: {slice}");
        if file != "page.html" {
            assert_eq!(slice.replace("\r\n", "\n"), passage["text"].as_str().unwrap(), "{file}");
        }
    }
}

#[test]
fn a_row_of_a_table_comes_with_its_header() {
    let cli = CliSandbox::new();
    let mut table =
        "# Plans\n\nWhat each plan has.\n\n| Plan | Seats | Retention in days |\n|---|---|---|\n".to_owned();
    for number in 0..120 {
        let _ = writeln!(table, "| Plan P{number:03} | {} | {} |", number * 3 + 1, number % 9 + 30);
    }
    cli.write("plans.md", format!("{table}\nAsk sales for more.\n"));
    cli.ingest(0);
    for number in [3, 40, 77, 118] {
        let context = cli.shown("150", &format!("How many seats does Plan P{number:03} have?"));
        let row = format!("| Plan P{number:03} | {} |", number * 3 + 1);
        assert!(context.contains(&row), "{context}");
        assert!(context.contains("| Plan | Seats | Retention in days |"), "{context}");
    }
    for result in cli.results("Plan P077 retention") {
        let (text, heading) = (result["text"].as_str().unwrap(), result["heading"].as_str().unwrap());
        let knows = text.contains("| Seats |") || heading.contains("| Seats |");
        assert!(knows || !text.contains("| Plan P"), "rows without their header: {result}");
    }
}

#[test]
fn prose_behind_code_is_chosen_without_the_code() {
    let cli = CliSandbox::new();
    let code = (0..60).fold(String::new(), |mut code, number| {
        let _ = writeln!(code, "let value_{number} = compute({number}, \"some argument\");");
        code
    });
    let sentence = "Only the red lever on the left wall shuts the whole reactor down at once.";
    let more = "Everything else on this page is about the colours of the other levers, and about their age.";
    cli.write("guide.md", format!("# Levers\n\n```rust\n{code}```\n\n{sentence} {more}\n"));
    cli.ingest(0);
    let context = cli.shown("110", "Which lever shuts the reactor down?");
    assert!(context.contains("red lever") && !context.contains("compute("), "{context}");
}

#[test]
fn front_matter_is_metadata_and_names_are_found() {
    let cli = CliSandbox::new();
    let front = "---\ntitle: Rotating signing keys\nlang: en\nyear: 2024\ntags: [security, keys]\n---\n";
    cli.write("ops/rotate.md", format!("{front}\n## Steps {{#steps}}\n\nAsk two people of the team.\n"));
    cli.write("ops/failover-runbook.md", "Call the person on duty, then wait for the all-clear.\n");
    cli.write("hr/travel-policy-2025.txt", "Take the train.\n");
    cli.ingest(0);
    let found = cli.answer(
        "300",
        "what do I ask",
        &["--filter", "lang = \"en\" and year >= 2020 and tags = \"keys\""],
    );
    let passage = &found["passages"][0];
    assert_eq!(
        (&passage["document_id"], &passage["title"]),
        (&"ops/rotate.md".into(), &"Rotating signing keys".into())
    );
    assert_eq!((&passage["metadata"]["year"], &passage["heading"]), (&2024.into(), &"Steps".into()));
    assert!(!found["context"].as_str().unwrap().contains("year: 2024"), "{found}");
    let wrong =
        ["query", "--collection", "c", "--budget", "300", "--filter", "path = \"ops\"", "what do I ask"];
    assert_eq!(cli.error(2, &wrong)["code"], "unknown_filter_key");
    let none = cli.answer("300", "what do I ask", &["--filter", "lang = \"fr\""]);
    assert_eq!(none["passages"], serde_json::json!([]), "a known key without that value");
    let current = cli.answer("300", "what do I ask", &["--filter", "not (archived = true)"]);
    assert_eq!(current["passages"][0]["document_id"], "ops/rotate.md", "nothing is archived yet");
    for (question, document) in [
        ("failover runbook", "ops/failover-runbook.md"),
        ("travel-policy-2025.txt", "hr/travel-policy-2025.txt"),
        ("hr travel", "hr/travel-policy-2025.txt"),
    ] {
        assert_eq!(cli.results(question)[0]["document_id"], document, "{question}");
    }
}

#[test]
fn legacy_encodings_and_a_bad_byte_are_read() {
    let cli = CliSandbox::new();
    let page = "<html><head><meta charset=\"windows-1252\"><title>Avis</title></head><body><p>Le préavis est de trois mois.</p>";
    let latin: Vec<u8> = page.chars().map(|letter| u8::try_from(u32::from(letter)).unwrap()).collect();
    cli.write("avis.html", latin);
    let mut log = sentences("pump", 0..300).join("\n").into_bytes();
    log[700] = 0xFF;
    cli.write("pumps.log", log);
    assert_eq!(cli.ingest(0)["dead"], 0);
    assert!(cli.shown("200", "Quel est le préavis ?").contains("Le préavis est de trois mois."));
    assert!(cli.shown("300", "Where stands the pump number 250?").contains("pump number 250"));
}

#[test]
fn one_text_is_one_result() {
    let cli = CliSandbox::new();
    let text = "# Keeper\n\nThe keeper of the lighthouse sleeps in the tower.\n";
    for name in ["a.md", "copy/a.md"] {
        cli.write(name, text);
    }
    cli.ingest(0);
    let results = cli.results("keeper of the lighthouse");
    let same: Vec<&Value> =
        results.iter().filter(|one| one["text"].as_str().unwrap().contains("sleeps")).collect();
    assert_eq!(same.len(), 1, "{results:?}");
    assert_eq!(same[0]["also"].as_array().unwrap().len(), 1);
}
