//! Mail through the real binary: attachments and messages of a mailbox are documents of their own, which come and go
//! with what holds them.

use std::fs;

use base64::Engine as _;
use serde_json::{Value, json};

use super::CliSandbox;
use crate::support::office_files::{docx, pdf};

/// A mail with a text and attachments: name, media type, bytes.
fn mail(subject: &str, text: &str, attachments: &[(&str, &str, Vec<u8>)]) -> String {
    let mut mail = format!(
        "From: Ada <ada@a.example>\r\nTo: bob@b.example\r\nSubject: {subject}\r\nDate: Wed, 1 May 2024 10:00:00 +0200\r\n\
         Message-ID: <{}@a.example>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"frontier\"\r\n\r\n\
         --frontier\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n",
        subject.to_lowercase().replace(' ', "-")
    );
    for (name, kind, body) in attachments {
        let body = base64::engine::general_purpose::STANDARD.encode(body);
        mail += &format!(
            "--frontier\r\nContent-Type: {kind}; name=\"{name}\"\r\nContent-Disposition: attachment; filename=\"{name}\"\r\n\
             Content-Transfer-Encoding: base64\r\n\r\n"
        );
        for line in body.as_bytes().chunks(76) {
            mail += &format!("{}\r\n", std::str::from_utf8(line).unwrap());
        }
    }
    mail + "--frontier--\r\n"
}

impl CliSandbox {
    /// Ids of documents that readers see.
    fn live(&self) -> Vec<String> {
        let listed = self.json(0, &["documents", "list", "--collection", "c"]);
        let documents = listed["documents"].as_array().unwrap().iter();
        documents.map(|document| document["document_id"].as_str().unwrap().to_owned()).collect()
    }

    /// The first document that a search finds, and its place.
    fn found(&self, question: &str) -> (String, Value) {
        let answer = self.json(0, &["query", "--collection", "c", "--budget", "90", question]);
        let passage = &answer["passages"][0];
        (passage["document_id"].as_str().unwrap_or_default().to_owned(), passage["place"].clone())
    }
}

#[test]
fn attachments_come_and_go_with_their_mail() {
    let cli = CliSandbox::new();
    let report = pdf(&["The harbour report.", "The dredger removed nine tonnes of gravel."]);
    let letter = docx(&["# Offer", "The carpenter asks for eleven hundred crowns."]);
    let inner = mail(
        "Forwarded",
        "The inner letter speaks of a lighthouse.",
        &[("depths.csv", "text/csv", b"place,metres\nanchorage,37\n".to_vec())],
    );
    let picture = vec![0x89, b'P', b'N', b'G', 0x0D, 0x0A, 0x1A, 0x0A, 0, 0, 0, 13, 0, 1, 2, 3];
    let attachments = [
        ("report.pdf", "application/pdf", report),
        ("offer.docx", "application/octet-stream", letter),
        ("fwd.eml", "message/rfc822", inner.into_bytes()),
        ("logo.png", "image/png", picture),
    ];
    cli.write("in/quay.eml", mail("Quay works", "Please find all papers about the quay.", &attachments));
    cli.write("in/quay.eml#attachment/by-hand.txt", "A file of its own about ropes, whatever its name.\n");
    let ran = cli.ingest(0);
    assert_eq!((&ran["accepted"], &ran["dead"]), (&json!(2), &json!(0)), "{ran}");
    let held = [
        "in/quay.eml#attachment/fwd.eml",
        "in/quay.eml#attachment/fwd.eml#attachment/depths.csv",
        "in/quay.eml#attachment/offer.docx",
        "in/quay.eml#attachment/report.pdf",
    ];
    let own = ["in/quay.eml", "in/quay.eml#attachment/by-hand.txt"];
    let mut all = [own.as_slice(), held.as_slice()].concat();
    all.sort_unstable();
    assert_eq!(cli.live(), all);
    let (found, place) = cli.found("How much gravel did the dredger remove?");
    assert_eq!((&*found, &place["unit"], &place["last"]), (held[3], &json!("page"), &json!(2)), "{place}");
    assert_eq!(cli.found("What does the carpenter ask for?").0, held[2]);
    assert_eq!(cli.found("anchorage metres").0, held[1]);
    let shown = cli.json(0, &["documents", "show", "--collection", "c", held[1]]);
    assert!(shown.to_string().contains("\"part_of\":\"in/quay.eml#attachment/fwd.eml\""), "{shown}");

    // Again: nothing new.
    assert_eq!(cli.ingest(0)["unchanged"], 2);
    assert_eq!(cli.live(), all);

    // One is taken off, one is another now.
    let report = pdf(&["The dredger removed ten tonnes of mud."]);
    let fewer = [("report.pdf", "application/pdf", report)];
    cli.write("in/quay.eml", mail("Quay works", "Only the report is left.", &fewer));
    cli.ingest(0);
    assert_eq!(cli.live(), ["in/quay.eml", own[1], held[3]]);
    assert!(cli.context("What did the dredger remove?").contains("mud"));
    assert!(!cli.context("carpenter lighthouse gravel anchorage").contains("crowns"));
    let audited = cli.json(0, &["audit", "--collection", "c"]);
    assert_eq!(audited["drift"], 0, "{audited}");

    // The mail goes, and its attachments with it.
    fs::remove_file(cli.path("docs/in/quay.eml")).unwrap();
    cli.json(0, &["ingest", "--collection", "c", "--pipeline", "hash.toml", "--prune", "docs"]);
    assert_eq!(cli.live(), [own[1]]);

    // It comes back, and they come back.
    cli.write("in/quay.eml", mail("Quay works", "Please find all papers about the quay.", &attachments));
    cli.ingest(0);
    assert_eq!(cli.live(), all);
    cli.json(0, &["delete", "--collection", "c", "in/quay.eml"]);
    assert_eq!(cli.live(), [own[1]]);
}

#[test]
fn attachments_have_the_readers_and_the_metadata_of_their_mail() {
    let cli = CliSandbox::new();
    let attachments = [("plan.txt", "text/plain", b"The vault opens at nine.\n".to_vec())];
    cli.write("vault.eml", mail("Vault", "The plan is attached.", &attachments));
    let arguments = ["ingest", "--collection", "c", "--pipeline", "hash.toml", "--groups", "guards"];
    cli.json(0, &[&arguments[..], &["--metadata", "site=north", "docs"]].concat());
    let id = "vault.eml#attachment/plan.txt";
    let shown = cli.json(0, &["documents", "show", "--collection", "c", id]);
    let said = shown.to_string();
    assert!(
        said.contains("\"guards\"") && said.contains("\"north\"") && said.contains("vault.eml"),
        "{said}"
    );
    let own = cli.json(0, &["documents", "show", "--collection", "c", "vault.eml"]);
    assert!(!own.to_string().contains("part_of"), "{own}");
    // The caller on this machine is in no group.
    let found = cli.json(0, &["search", "--collection", "c", "vault"]);
    assert_eq!(found["results"].as_array().unwrap().len(), 0, "{found}");
}

#[test]
fn a_mailbox_is_a_document_for_each_message() {
    let cli = CliSandbox::new();
    let message = |subject: &str, text: &str| {
        format!(
            "From ada@a.example Wed May  1 10:00:00 2024\n{}\n",
            mail(subject, text, &[]).replace("\r\n", "\n")
        )
    };
    let mut mailbox =
        message("Ferry", "The ferry leaves at seven.") + &message("Crane", "The crane lifts nine tonnes.");
    cli.write("archive.mbox", &mailbox);
    cli.ingest(0);
    let held = |name: &str| format!("archive.mbox#message/{name}@a.example");
    assert_eq!(cli.live(), ["archive.mbox".to_owned(), held("crane"), held("ferry")]);
    assert_eq!(cli.found("When does the ferry leave?").0, held("ferry"));
    let filtered = ["search", "--collection", "c", "--filter", "author = \"Ada <ada@a.example>\"", "ferry"];
    assert_eq!(cli.json(0, &filtered)["results"][0]["document_id"], held("ferry"));
    // A mailbox grows at its end: what was there keeps its id.
    mailbox += &message("Buoy", "The buoy is painted red.");
    cli.write("archive.mbox", &mailbox);
    cli.ingest(0);
    assert_eq!(cli.live(), ["archive.mbox".to_owned(), held("buoy"), held("crane"), held("ferry")]);
    let audited = cli.json(0, &["audit", "--collection", "c"]);
    assert_eq!(audited["drift"], 0, "{audited}");
}
