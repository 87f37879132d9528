//! The formats, byte for byte.

use contexture_core::context::answer::Passage;
use contexture_core::context::render::hidden_characters::{visible_line, visible_text};
use contexture_core::context::render::render_passages;
use contexture_core::context::request::ContextFormat;
use contexture_core::domain::chunk::TextSpan;
use contexture_core::domain::ids::{DocumentId, Version};

pub(super) fn passage(document: &str, start: usize, heading: &str, text: &str) -> Passage {
    let (id, version) = (DocumentId::new(document).unwrap(), Version::new(3).unwrap());
    let span = TextSpan { start, end: start + text.len() };
    Passage { heading: heading.to_owned(), score: 0.5, ..Passage::new(id, version, span, text.to_owned()) }
}

#[test]
fn the_formats_look_like_this() {
    let passages = [
        passage("setup.md", 10, "Install", "Run `make`.\n```sh\nmake\n```"),
        passage("setup.md", 90, "Install", "a < b & \"c\""),
        passage("[1] `x`", 0, "", "\u{202E}tab\there"),
    ];
    assert_eq!(
        render_passages(&passages, ContextFormat::Markdown),
        "# setup.md v3\n````[1] 10-36 Install\nRun `make`.\n```sh\nmake\n```\n````\n```[2] 90-101\na < b & \
         \"c\"\n```\n# \\u{5B}1] \\u{60}x\\u{60} v3\n```[3] 0-11\n\\u{202E}tab\there\n```\n"
    );
    assert_eq!(
        render_passages(&passages, ContextFormat::Xml),
        "<context>\n<document id=\"setup.md\" version=\"3\">\n<passage n=\"1\" span=\"10-36\" \
         heading=\"Install\">Run `make`.\n```sh\nmake\n```</passage>\n<passage n=\"2\" span=\"90-101\">a &lt; b \
         &amp; \"c\"</passage>\n</document>\n<document id=\"[1] `x`\" version=\"3\">\n<passage n=\"3\" \
         span=\"0-11\">\\u{202E}tab\there</passage>\n</document>\n</context>\n"
    );
    assert_eq!(
        render_passages(&passages, ContextFormat::Json),
        "{\"documents\":[{\"id\":\"setup.md\",\"version\":3,\"passages\":[{\"n\":1,\"span\":[10,36],\"heading\":\
         \"Install\",\"text\":\"Run `make`.\\n```sh\\nmake\\n```\"},{\"n\":2,\"span\":[90,101],\"text\":\"a < b & \
         \\\"c\\\"\"}]},{\"id\":\"[1] `x`\",\"version\":3,\"passages\":[{\"n\":3,\"span\":[0,11],\"text\":\
         \"\\\\u{202E}tab\\there\"}]}]}"
    );
    let plain = render_passages(&passages, ContextFormat::Plain);
    let mark = plain.split(' ').next().unwrap();
    assert_eq!(
        plain,
        format!(
            "{mark} setup.md v3\n{mark}[1] 10-36 Install\nRun `make`.\n```sh\nmake\n```\n{mark}[2] 90-101\na < b & \
             \"c\"\n{mark} \\u{{5B}}1] \\u{{60}}x\\u{{60}} v3\n{mark}[3] 0-11\n\\u{{202E}}tab\there\n{mark}\n"
        )
    );
}

#[test]
fn a_tag_that_a_text_contains_grows() {
    let guesses = (0..1000).map(|number| format!("={number:03}")).collect::<Vec<_>>().join(" ");
    let context = render_passages(&[passage("a", 0, "", &guesses)], ContextFormat::Plain);
    assert_eq!(context.split(' ').next().unwrap().len(), 7, "= and six digits");
}

#[test]
fn only_what_hides_is_made_visible() {
    assert_eq!(visible_text("a\u{202E}b\u{0}\r\n\t\u{200B}"), "a\\u{202E}b\\u{0}\\u{D}\n\t\\u{200B}");
    assert_eq!(visible_text("x\u{E0041}\u{FEFF}\u{2028}\u{85}"), "x\\u{E0041}\\u{FEFF}\\u{2028}\\u{85}");
    assert_eq!(visible_text("ad\u{200D}min"), "ad\\u{200D}min");
    for kept in ["👩‍👩‍👧 ❤️", "می‌خواهم", "漢字", "é e\u{301}", "\\u{202E}"] {
        assert_eq!(visible_text(kept), kept);
    }
    assert_eq!(visible_line("a\nb\tc"), "a\\u{A}b\\u{9}c");
}
