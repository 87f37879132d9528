//! Org mode.

use super::markup_support::{checked, mutations};
use contexture_formats::{PropertyValue, parse_org};
use proptest::prelude::*;

fn read(source: &str) -> String {
    checked(parse_org, source).text
}

const DOCUMENT: &str = "#+TITLE: The Crane\n#+FILETAGS: :port:load:\n:PROPERTIES:\n:ID: 17\n:END:\n\nIntro with *bold*, /slanted/, =code= and [[https://a.example][the page]].\n\n\
    * TODO [#A] Loading  :heavy:steel:\n  :LOGBOOK:\n  CLOCK: x\n  :END:\n  DEADLINE: <2024-05-01 Wed>\n# hidden\n\n\
    #+BEGIN_SRC python :results output\n  x = 1\n    y\n#+END_SRC\n\n** Weights\n| Plan | Seats |\n|------+-------|\n| D7   | 148   |\n#+TBLFM: $2=1\n\n\
    - one\n  more\n  - two\n- term :: text[fn:1]\n\n: fixed\n\n[fn:1] The note.\n\n#+BEGIN_QUOTE\nSaid.\n#+END_QUOTE\n";

#[test]
fn a_document_becomes_markdown() {
    let parsed = checked(parse_org, DOCUMENT);
    assert_eq!(
        parsed.text,
        "Intro with **bold**, *slanted*, `code` and [the page](https://a.example).\n\n# TODO Loading\n\nTags: heavy, steel\n\n\
         DEADLINE: <2024-05-01 Wed>\n\n```python\nx = 1\n  y\n```\n\n## Weights\n\n| Plan | Seats |\n|---|---|\n| D7 | 148 |\n\n\
         - one\n  more\n  - two\n- **term**: text[^1]\n\n```\nfixed\n```\n\n[^1]: The note.\n\n> Said.\n"
    );
    assert_eq!(parsed.properties.title.as_deref(), Some("The Crane"));
    assert_eq!(parsed.properties.other["tags"], PropertyValue::Texts(vec!["port".into(), "load".into()]));
    assert_eq!(parsed.properties.other["id"], PropertyValue::Text("17".into()));
    let at = parsed.text.find("148").expect("text");
    assert_eq!(&DOCUMENT[parsed.map.source_span(at..at + 3)], "148");
}

#[test]
fn what_is_no_markup_stays() {
    for source in
        ["A /path/to/file and 2*3*4, snake_case_x, a=b.\n", "- [ ] open\n- [X] done\n", "1) One\n2) Two\n"]
    {
        assert_eq!(read(source), source);
    }
    assert_eq!(read("#+BEGIN_SRC c\nnever ends\n"), "never ends\n");
}

#[test]
fn hostile_input_is_bounded() {
    for piece in ["*", "[[", "#+BEGIN_SRC\n", "#+BEGIN_X\n#+END_X\n", ":A:\n", "|", "=a ", "[fn:", "- "] {
        checked(parse_org, &piece.repeat(20_000 / piece.len()));
    }
}

proptest! {
    #[test]
    fn any_document_is_parsed(source in mutations(DOCUMENT, &["#+BEGIN_SRC\n", "#+END_SRC\n", "#+BEGIN_VERSE\n", "#+END_VERSE\n", ":END:\n", ":A:\n", "[[", "][", "]]", "[fn:", " :: ", "|-", "-----\n", "* ", "** x :a:\n", "{{{", "@@"])) {
        checked(parse_org, &source);
    }
}
