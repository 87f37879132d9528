//! reStructuredText.

use super::markup_support::{checked, mutations};
use contexture_formats::{PropertyValue, parse_restructured_text};
use proptest::prelude::*;

fn read(source: &str) -> String {
    checked(parse_restructured_text, source).text
}

const DOCUMENT: &str = ".. _top:\n\n=======\n Cranes\n=======\n\n:Author: Ada\n:Version: 2\n\n.. contents::\n\nLoading\n=======\n\n\
    Use :func:`~port.lift`, see :ref:`the yard <yard>` and `the page <https://a.example>`_ or Crane_::\n\n    lift(5)\n\n      more\n\n\
    Weights\n-------\n\n+------+-------+\n| Plan | Seats |\n+======+=======+\n| D7   | 148   |\n|      | or so |\n+------+-------+\n\n\
    .. note:: Read this\n   first.\n\n   - one\n   - two\n     more\n\n.. code-block:: python\n   :linenos:\n\n   x = 1\n\n\
    .. _Crane: https://crane.example\n.. |kg| replace:: kilograms\n.. [1] A *note*.\n.. a comment\n   of two lines\n\nTerm\n  Its |kg| [1]_ text ``a`b``.\n";

#[test]
fn titles_get_levels_and_fields_become_properties() {
    let parsed = checked(parse_restructured_text, DOCUMENT);
    assert_eq!(
        parsed.text,
        "# Cranes\n\n## Loading\n\nUse `lift`, see the yard and [the page](https://a.example) or [Crane](https://crane.example):\n\n\
         ```\nlift(5)\n\n  more\n```\n\n### Weights\n\n| Plan | Seats |\n|---|---|\n| D7 | 148 or so |\n\n\
         **Note**: Read this\nfirst.\n\n- one\n- two\n  more\n\n```python\nx = 1\n```\n\n[^1]: A *note*.\n\n- **Term**: Its kilograms [^1] text ``a`b``.\n"
    );
    assert_eq!(parsed.properties.other["author"], PropertyValue::Text("Ada".into()));
    let at = parsed.text.find("or so").expect("text");
    assert_eq!(&DOCUMENT[parsed.map.source_span(at..at + 5)], "or so");
}

#[test]
fn tables_of_all_kinds_are_markdown_tables() {
    let expected = "| a | b |\n|---|---|\n| 1 | 2, x |\n";
    assert_eq!(read("=====  ====\na      b\n=====  ====\n1      2, x\n=====  ====\n"), expected);
    assert_eq!(read(".. csv-table::\n   :header: a, b\n\n   1, \"2, x\"\n"), expected);
    assert_eq!(
        read(".. list-table::\n   :header-rows: 1\n\n   * - a\n     - b\n   * - 1\n     - 2, x\n"),
        expected
    );
    assert_eq!(
        read(".. table:: T|\n\n   == ====\n   a  b\n   == ====\n   1  2, x\n   == ====\n"),
        format!("**T|**\n\n{expected}")
    );
}

#[test]
fn other_blocks_are_readable() {
    assert_eq!(read("1. One\n2. Two\n\n   Three\n\n#. Four\n"), "1. One\n2. Two\n\n   Three\n\n1. Four\n");
    assert_eq!(
        read("| A\n| B\n\n>>> 1 + 1\n2\n\n-----\n\nEnd.\n"),
        "A\\\nB\n\n```python\n>>> 1 + 1\n2\n```\n\n---\n\nEnd.\n"
    );
    assert_eq!(
        read(".. image:: a.png\n   :alt: Three queues\n\n.. figure:: b.png\n\n   Caption.\n"),
        "![Three queues](a.png)\n\n![](b.png)\n\nCaption.\n"
    );
    assert_eq!(
        read(".. py:function:: lift(x)\n\n   Lifts.\n\n   :param x: Weight.\n"),
        "**`lift(x)`**\n\nLifts.\n\n- **param x**: Weight.\n"
    );
    assert_eq!(
        read(".. admonition:: Mind\n\n   Text.\n\n.. toctree::\n\n   a\n   b\n\n.. raw:: html\n\n   <b>\n"),
        "**Mind**\n\nText.\n"
    );
}

#[test]
fn hostile_input_is_bounded() {
    for piece in ["`", "- ", "::\n\n  ", ".. note::\n   ", "|a", ":a:`", "+-+\n", "== ==\n", "\\", "[a]_"] {
        checked(parse_restructured_text, &piece.repeat(20_000 / piece.len()));
    }
    let nested: String = (0..200).flat_map(|depth| ["  ".repeat(depth), "- x\n\n".to_owned()]).collect();
    checked(parse_restructured_text, &nested);
}

proptest! {
    #[test]
    fn any_document_is_parsed(source in mutations(DOCUMENT, &["====", "----\n", "::\n\n   ", ".. note::", "\n\n   ", "+--+--+\n", "== ==\n", ".. csv-table::\n   :header: \"a\n\n", "``", "`_", "- ", "\n1. ", ".. |a| replace::", ".. image::", "| "])) {
        checked(parse_restructured_text, &source);
    }
}
