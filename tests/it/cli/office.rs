//! PDF and Office files through the real binary, each read in a child of it: where passages stand, what is hidden, and
//! what cannot be read.

use serde_json::{Value, json};

use super::CliSandbox;
use crate::support::office_files::{TestSheet, docx, pdf, pptx, xlsx};

impl CliSandbox {
    /// The place of the passage that a question's context has of a document with these words.
    fn cited(&self, question: &str, document: &str, words: &str) -> Value {
        // Too little for more than the sentence.
        let answer = self.json(0, &["query", "--collection", "c", "--budget", "90", question]);
        let passages = answer["passages"].as_array().unwrap().iter();
        let of_document = passages.filter(|passage| passage["document_id"] == document);
        let mut found = of_document.filter(|passage| passage["text"].as_str().unwrap().contains(words));
        found.next().unwrap_or_else(|| panic!("no passage of {document} with '{words}': {answer:#}"))["place"]
            .clone()
    }
}

fn place(unit: &str, first: u64, last: u64) -> Value {
    json!({"unit": unit, "first": first, "last": last})
}

#[test]
fn passages_name_page_slide_and_row() {
    let cli = CliSandbox::new();
    let filler = "Kitchens are cleaned on Fridays by whoever cooked last.\nBicycles stand behind the gate, and never \
                  in the hall.\nKeys are kept by the porter, who wants a signature for each.\nLamps that flicker are \
                  reported to the caretaker before noon.";
    cli.write(
        "handbook.pdf",
        pdf(&[
            &format!("Handbook\n{filler}"),
            &format!(
                "Parental leave\nEmployees take sixteen weeks of parental leave.\n{}",
                filler.to_uppercase()
            ),
            &format!("Travel\nFirst class is booked above four hours.\n{filler}"),
        ]),
    );
    cli.write(
        "roadmap.pptx",
        pptx(&[("Roadmap", "Where we go."), ("Lighthouse", "The lighthouse project ships in May.")]),
    );
    let rows = vec![
        (1, vec!["City", "Warehouse"]),
        (2, vec!["Basel", "A warehouse of steel"]),
        (3, vec!["Genoa", "A warehouse of copper"]),
    ];
    let hidden = TestSheet { name: "Salaries", hidden: true, rows: vec![(1, vec!["The zebra salary is 9"])] };
    let sheets = [TestSheet { name: "Stock", hidden: false, rows }, hidden];
    cli.write("stock.xlsx", xlsx(&sheets));
    cli.write(
        "contract.docx",
        docx(&[
            "# Termination",
            "Either party ends the contract with ninety days of notice.",
            "[The zebra clause.]",
        ]),
    );
    let ran = cli.ingest(0);
    assert_eq!((&ran["accepted"], &ran["dead"]), (&json!(4), &json!(0)), "{ran}");

    let leave = "How long is parental leave?";
    assert_eq!(cli.cited(leave, "handbook.pdf", "sixteen weeks"), place("page", 2, 2));
    let context =
        cli.run(&["query", "--collection", "c", "--budget", "150", "--format", "xml", leave]).stdout;
    assert!(
        context.contains(" page=\"2\"") || context.contains(" pages=\"1-2\""),
        "the context says so, too: {context}"
    );
    assert_eq!(cli.cited("first class travel", "handbook.pdf", "four hours"), place("page", 3, 3));
    let lighthouse = cli.cited("When does the lighthouse project ship?", "roadmap.pptx", "May");
    assert_eq!((&lighthouse["unit"], &lighthouse["last"]), (&json!("slide"), &json!(2)), "{lighthouse}");
    let copper = cli.cited("Which warehouse is of copper?", "stock.xlsx", "Genoa");
    assert_eq!((&copper["unit"], &copper["last"]), (&json!("row"), &json!(3)), "{copper}");
    assert_eq!(cli.cited("How is the contract ended?", "contract.docx", "ninety days"), Value::Null);
    let zebra = cli.json(0, &["search", "--collection", "c", "zebra"]);
    let texts: Vec<&str> =
        zebra["results"].as_array().unwrap().iter().map(|hit| hit["text"].as_str().unwrap()).collect();
    assert!(!texts.iter().any(|text| text.contains("zebra")), "what is hidden is not read: {texts:?}");
    let again = cli.ingest(0);
    assert_eq!(again["unchanged"], 4, "the same bytes give the same documents");
    let audited = cli.json(0, &["audit", "--collection", "c"]);
    assert_eq!(audited["drift"], 0, "{audited}");
}

#[test]
fn the_bytes_say_what_a_file_is() {
    let cli = CliSandbox::new();
    cli.write("report.txt", pdf(&["The annual report praises the harbour."]));
    cli.write("without-ending", docx(&["The minutes mention an anchor."]));
    cli.write("notes.pdf", "These are notes about a compass, in plain text.\n");
    cli.write("logo.png", [0x89, b'P', b'N', b'G', 0x0D, 0x0A, 0x1A, 0x0A, 0, 0, 0, 13, 0, 1, 2, 3]);
    let ran = cli.ingest(0);
    assert_eq!((&ran["accepted"], &ran["skipped"]), (&json!(3), &json!(1)), "{ran}");
    assert_eq!(cli.cited("What does the report praise?", "report.txt", "harbour"), place("page", 1, 1));
    assert_eq!(cli.cited("Who mentions an anchor?", "without-ending", "anchor"), Value::Null);
    assert!(cli.context("notes about a compass").contains("compass"));
}

#[test]
fn what_cannot_be_read_says_why_and_harms_nobody() {
    let cli = CliSandbox::new();
    let rules: Vec<String> = (1..40)
        .map(|number| format!("Rule {number} is about kitchens, and was made in the year {}.", 1950 + number))
        .collect();
    let first = format!("The first page is about a lighthouse.\n{}", rules.join("\n"));
    let whole = pdf(&[&first, "", "The third page is about an anchor."]);
    for number in 0..38 {
        cli.write(
            &format!("good-{number:02}.pdf"),
            pdf(&[&format!("Good page {number} tells of harbour {number}.")]),
        );
    }
    cli.write("scan.pdf", pdf(&["", ""]));
    let word = docx(&["Cut short."]);
    cli.write("cut.docx", &word[..word.len() / 2]);
    cli.write("partly.pdf", &whole);
    let ran = cli.run(&["ingest", "--collection", "c", "--pipeline", "hash.toml", "--json", "docs"]);
    let summary: Value = ran.json();
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert_eq!(summary["visible"].as_u64().unwrap() + summary["dead"].as_u64().unwrap(), summary["accepted"]);
    let letters = cli.json(0, &["dead", "list", "--collection", "c"]);
    let reasons: Vec<(&str, &str)> = letters["dead"]
        .as_array()
        .unwrap()
        .iter()
        .map(|letter| (letter["document_id"].as_str().unwrap(), letter["reason"]["code"].as_str().unwrap()))
        .collect();
    assert!(reasons.contains(&("scan.pdf", "no_text_layer")), "{reasons:?}");
    assert!(reasons.iter().all(|(id, _)| !id.starts_with("good")), "{reasons:?}");
    let anchor = cli.cited("anchor", "partly.pdf", "anchor");
    assert_eq!(
        (&anchor["unit"], &anchor["last"]),
        (&json!("page"), &json!(3)),
        "the empty page counts: {anchor}"
    );
    assert_eq!(cli.cited("harbour 17", "good-17.pdf", "harbour 17"), place("page", 1, 1));
    let dry = cli.json(0, &["ingest", "--collection", "d", "--pipeline", "hash.toml", "--dry-run", "docs"]);
    assert!(dry["dead"].as_u64().unwrap() >= 1, "a dry run reads them, too: {dry}");
}
