//! Mail.

use super::markup_support::{checked, mutations};
use contexture_formats::{PropertyValue, TextStructure, parse_mail_text};
use proptest::prelude::*;

const PLAIN: &str = "Received: from x\r\n by y\r\nFrom: =?utf-8?q?Ada_L=C3=B6w?= <ada@a.example>\r\nTo: bob@a.example,\r\n carol@a.example\r\n\
    Subject: The crane\r\nDate: Wed, 1 May 2024 10:00:00 +0200\r\nMessage-ID: <1@a>\r\n\r\nIt lifts 1948 kg.\r\n\r\n> How much?\r\n";
const PARTS: &str = "From: a@a.example\nTo: b@b.example\nSubject: Parts\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"XX\"\n\n\
    Preamble.\n--XX\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\nGr=C3=BC=C3=9Fe aus =\nder Werft.\nZweite Zeile.\n\
    --XX\nContent-Type: application/pdf; name=\"plan.pdf\"\nContent-Disposition: attachment; filename=\"plan.pdf\"\nContent-Transfer-Encoding: base64\n\nAAAA\n--XX--\n";

#[test]
fn a_plain_mail_has_a_short_head() {
    let parsed = checked(parse_mail_text, PLAIN);
    assert_eq!(
        parsed.text,
        "From: Ada Löw <ada@a.example>\nTo: bob@a.example, carol@a.example\nDate: Wed, 1 May 2024 10:00:00 +0200\nSubject: The crane\n\n\
         It lifts 1948 kg.\n\n> How much?\n"
    );
    assert_eq!(parsed.properties.title.as_deref(), Some("The crane"));
    assert_eq!(parsed.properties.other["date"], PropertyValue::Text("2024-05-01T08:00:00Z".into()));
    let at = parsed.text.find("1948").expect("text");
    assert_eq!(&PLAIN[parsed.map.source_span(at..at + 4)], "1948");
}

fn quoted(charset: &str, body: &str) -> String {
    let mail = format!(
        "From: a@a.example\nTo: b@b.example\nContent-Type: text/plain; charset={charset}\n\
         Content-Transfer-Encoding: quoted-printable\n\n{body}"
    );
    let text = checked(parse_mail_text, &mail).text;
    text.split_once("\n\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
}

#[test]
fn a_character_may_go_on_in_the_next_line() {
    // Lines are broken after so many bytes, wherever that is.
    assert_eq!(quoted("utf-8", "Gr=C3=\n=BC=C3=  \n=9Fe\n=E2=82=\n=AC 5=\n"), "Grüße\n€ 5");
    assert_eq!(quoted("utf-8", "=C3=\nx =C3"), "\u{fffd}x \u{fffd}", "what is broken stays so");
}

#[test]
fn quoted_bytes_are_of_the_charset_of_the_part() {
    assert_eq!(quoted("windows-1251", "=CF=F0=E8=\n=E2=E5=F2 42"), "Привет 42");
    assert_eq!(quoted("\"ISO-8859-7\"", "=CA=E1=EB=E7"), "Καλη");
    assert_eq!(quoted("iso-8859-1", "Gr=FC=DFe =80"), "Grüße €");
    assert_eq!(quoted("nobody-knows", "Gr=C3=BC=FC"), "GrÃ¼ü");
    assert_eq!(quoted("us-ascii", "Gr=C3=BC, =FC"), "Grü, ü", "who declares nothing often writes UTF-8");
}

#[test]
fn the_text_of_a_mail_with_parts_is_decoded() {
    let parsed = checked(parse_mail_text, PARTS);
    assert_eq!(
        parsed.text,
        "From: a@a.example\nTo: b@b.example\nSubject: Parts\n\nGrüße aus der Werft.\nZweite Zeile.\n\nAttachments: plan.pdf\n"
    );
    let at = parsed.text.find("Zweite").expect("text");
    assert_eq!(&PARTS[parsed.map.source_span(at..at + 6)], "Zweite");
}

#[test]
fn base64_and_html_are_decoded() {
    let source = "From: a\nSubject: b\nContent-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: base64\n\nPHA+SGVsbG8gPGI+dGhlcmU8L2I+PC9wPg==\n";
    assert_eq!(checked(parse_mail_text, source).text.trim_end(), "From: a\nSubject: b\n\nHello there");
}

#[test]
fn what_is_no_mail_is_plain_text() {
    for source in ["Subject: only this\n\nText\n", "Hello.\n", "", "Note: a\nTodo: b\n\nX"] {
        let parsed = checked(parse_mail_text, source);
        assert_eq!((parsed.text.as_str(), parsed.structure), (source, TextStructure::Plain));
    }
    let nested: String = "Content-Type: multipart/mixed; boundary=1\n\n--1\n".repeat(5000);
    checked(parse_mail_text, &format!("From: a\nTo: b\n{nested}"));
}

proptest! {
    #[test]
    fn any_plain_mail_is_parsed(source in mutations(PLAIN, &["\r\n\r\n", "=?utf-8?b?", "Content-Type: ", "From: ", "=\n"])) {
        checked(parse_mail_text, &source);
    }

    #[test]
    fn any_mail_with_parts_is_parsed(source in mutations(PARTS, &["--XX\n", "--XX--", "=C3", "=\n", "base64", "text/html", "=00", "=0D=0A"])) {
        checked(parse_mail_text, &source);
    }
}
