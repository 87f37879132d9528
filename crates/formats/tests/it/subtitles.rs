//! `SubRip` and `WebVTT`.

use super::markup_support::{checked, mutations};
use contexture_formats::{StructureMarkKind, TextStructure, parse_subtitles};
use proptest::prelude::*;

const SRT: &str = "1\r\n00:00:01,000 --> 00:00:04,000\r\n<i>Welcome to the</i>\r\nharbour tour.\r\n\r\n\
    2\r\n00:00:04,500 --> 00:00:07,000\r\n{\\an8}The first crane\r\n\r\n3\r\n00:01:05,000 --> 00:01:09,000\r\nlifts 1948 &amp; more.\r\n";
const VTT: &str = "WEBVTT - Harbour\nLanguage: en\n\nSTYLE\n::cue { color: red }\n\nNOTE internal\nsecret\n\n\
    intro\n00:01.000 --> 00:04.000 align:start\n<v Ada>Hello <c.loud>there</c>.\n\n00:05.000 --> 00:06.000\n<v Ada>Hello <c.loud>there</c>.\n\n\
    00:06.000 --> 00:07.000\n<v Bob>I <00:06.500>agree.\n";

#[test]
fn cues_are_paragraphs_with_times() {
    let parsed = checked(parse_subtitles, SRT);
    assert_eq!(
        parsed.text,
        "[00:00:01]\nWelcome to the harbour tour. The first crane\n\n[00:01:05]\nlifts 1948 & more.\n"
    );
    let TextStructure::Marked(marks) = &parsed.structure else { panic!("no marks") };
    let titles: Vec<_> = marks.iter().map(|mark| mark.kind.clone()).collect();
    let section = |title: &str| StructureMarkKind::Section { depth: 1, title: title.into() };
    assert_eq!(titles, [section("00:00:01"), section("00:01:05")]);
    let at = parsed.text.find("crane").expect("text");
    assert_eq!(&SRT[parsed.map.source_span(at..at + 5)], "crane");
}

#[test]
fn web_vtt_has_names_and_no_notes() {
    let parsed = checked(parse_subtitles, VTT);
    assert_eq!(parsed.text, "[00:00:01]\nAda: Hello there. Bob: I agree.\n");
    assert_eq!(parsed.properties.title.as_deref(), Some("Harbour"));
}

#[test]
fn text_without_times_is_plain() {
    let parsed = checked(parse_subtitles, "Only text --> here\n");
    assert_eq!((parsed.text.as_str(), parsed.structure), ("Only text --> here\n", TextStructure::Plain));
}

proptest! {
    #[test]
    fn any_srt_is_parsed(source in mutations(SRT, &["-->", "00:00:09,999 --> 9:9:9", "<v ", "&lt;", "NOTE", "<b>", "{\\"])) {
        checked(parse_subtitles, &source);
    }

    #[test]
    fn any_vtt_is_parsed(source in mutations(VTT, &["-->", "99:99.999 --> 00:00", "<v >", "&nbsp;", "NOTE\n", "WEBVTT"])) {
        checked(parse_subtitles, &source);
    }
}
