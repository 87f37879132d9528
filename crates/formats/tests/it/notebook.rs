//! Jupyter notebooks.

use super::markup_support::{checked, mutations};
use contexture_formats::{PropertyValue, TextStructure, parse_notebook};
use proptest::prelude::*;

const NOTEBOOK: &str = r##"{
 "cells": [
  {"cell_type": "markdown", "metadata": {}, "source": ["# Churn model\n", "\n", "The best \"depth\" is 6 \u2014 \ud83d\ude00.<br>\n"]},
  {"cell_type": "code", "execution_count": 1, "metadata": {}, "source": "import x\nprint('a\\tb')",
   "outputs": [
    {"output_type": "stream", "name": "stdout", "text": ["10%\r100%\n", "\u001b[31mred\u001b[0m\n"]},
    {"output_type": "display_data", "data": {"image/png": "AAAA", "text/plain": ["<Figure size 1x1>"]}},
    {"output_type": "execute_result", "data": {"text/html": "<b>0.91</b>", "text/plain": "0.91"}},
    {"output_type": "error", "ename": "ValueError", "evalue": "bad", "traceback": ["\u001b[0;31m---"]}
   ]},
  {"cell_type": "raw", "source": "raw text", "metadata": {}},
  {"cell_type": "code", "source": "%%bash\nls ```", "outputs": [], "metadata": {}}
 ],
 "metadata": {"kernelspec": {"language": "python", "name": "python3"}, "authors": [{"name": "Ada"}]},
 "nbformat": 4, "nbformat_minor": 5
}"##;

#[test]
fn cells_are_markdown_and_fences() {
    let parsed = checked(parse_notebook, NOTEBOOK);
    assert_eq!(parsed.structure, TextStructure::Markdown);
    assert_eq!(parsed.properties.title.as_deref(), Some("Churn model"));
    assert_eq!(parsed.properties.other["author"], PropertyValue::Text("Ada".into()));
    assert_eq!(
        parsed.text,
        "# Churn model\n\nThe best \"depth\" is 6 — 😀.\n\n```python\nimport x\nprint('a\\tb')\n```\n\n\
         ```\n100%\nred\n```\n\n```\n0.91\n```\n\n```\nValueError: bad\n```\n\nraw text\n\n````bash\n%%bash\nls ```\n````\n"
    );
}

#[test]
fn text_of_cells_is_found_in_the_json() {
    let parsed = checked(parse_notebook, NOTEBOOK);
    let at = parsed.text.find("is 6").expect("text");
    assert_eq!(&NOTEBOOK[parsed.map.source_span(at..at + 4)], "is 6");
}

#[test]
fn version_3_and_long_outputs_are_read() {
    let long = "y".repeat(5000);
    let source = format!(
        r#"{{"worksheets": [{{"cells": [{{"cell_type": "heading", "level": 2, "source": "Old"}},
        {{"cell_type": "code", "language": "ruby", "input": ["a = 1"], "outputs": [{{"output_type": "pyout", "text": ["{long}"]}}]}}]}}], "nbformat": 3}}"#
    );
    let parsed = checked(parse_notebook, &source);
    assert!(parsed.text.starts_with("## Old\n\n```ruby\na = 1\n```\n\n```\nyyy"));
    assert!(parsed.text.ends_with("y\n```\n\n[The rest of the output was left out.]\n"));
    assert!(parsed.text.len() < 2200);
    assert_eq!(parsed.notes.len(), 1);
}

#[test]
fn names_have_no_control_characters() {
    let source = r#"{"cells": [{"cell_type": "heading", "source": "A\u0000B\rC"}, {"cell_type": "code", "language": "r\u0000\r", "source": "x",
        "outputs": [{"output_type": "error", "ename": "E\rF", "evalue": "g\u0000"}]}]}"#;
    assert_eq!(checked(parse_notebook, source).text, "# AB C\n\n```r\nx\n```\n\n```\nF: g\n```\n");
}

#[test]
fn an_open_fence_ends_with_its_cell() {
    let source = r#"{"cells": [{"cell_type": "markdown", "source": "~~~\nx"}, {"cell_type": "markdown", "source": "y"}]}"#;
    assert_eq!(checked(parse_notebook, source).text, "~~~\nx\n~~~\n\ny\n");
}

#[test]
fn what_is_no_notebook_is_plain_text() {
    for source in ["{\"cells\": [", "[]", "", "{\"a\": 1}\r\n", "null", "{\"cells\": null}"] {
        let parsed = checked(parse_notebook, source);
        assert_eq!(parsed.structure, TextStructure::Plain);
        assert_eq!(parsed.notes.len(), 1);
    }
    checked(parse_notebook, &"[".repeat(100_000));
    checked(parse_notebook, &format!("{{\"cells\": [{}]}}", "{\"cell_type\":".repeat(50_000)));
}

proptest! {
    #[test]
    fn any_document_is_parsed(source in mutations(NOTEBOOK, &["\\u0000", "\\ud83d", "\\u001b[", "\\n", "\\r", "null", "[]", "{}", "\"x\"", ",", "```"])) {
        checked(parse_notebook, &source);
    }

    #[test]
    fn any_cell_is_parsed(text in ".*", output in ".*", raw in "(\\PC|\n|`|~|#){0,40}") {
        let source = serde_json::json!({"cells": [
            {"cell_type": "markdown", "source": raw},
            {"cell_type": "markdown", "source": text},
            {"cell_type": "code", "source": [text, output], "outputs": [{"output_type": "stream", "text": output}]}
        ]});
        checked(parse_notebook, &source.to_string());
    }
}
