//! Templates: what they write, and what is refused.

use std::sync::Arc;

use contexture_core::context::assemble::assemble_context;
use contexture_core::context::render::hidden_characters::visible_text;
use contexture_core::context::render::{ContextStyle, ContextTemplate, TemplateRegistry, render_passages};
use contexture_core::context::request::{AssemblyRequest, ContextFormat};
use proptest::prelude::*;

use super::rendering::passage;
use crate::support::corpora::corpus;
use crate::support::tokenizers::RunTokenizer;

const FENCED: &str = r#"
open = "Sources:\n"
close = "End of sources\n"
section_open = "<{section}>\n"
document_open = "{document} ({version})\n"
passage_open = "{fence}{{{number}}} {start}..{end} {heading}\n"
passage_close = "\n{fence}\n"
"#;

const ESCAPED: &str = r#"
escape = "xml"
document_open = "<d id='{document}'>"
document_close = "</d>"
passage_open = "<p n='{number}'>"
passage_close = "</p>"
"#;

fn template(text: &str) -> ContextTemplate {
    ContextTemplate::from_toml("mine", text).unwrap()
}

fn style(text: &str) -> ContextStyle {
    ContextStyle::Template(Arc::new(template(text)))
}

#[test]
fn a_template_is_written_around_what_it_names() {
    let mut passages =
        [passage("a.md", 10, "Install", "Run ``` it"), passage("a.md", 90, "Install", "x < y")];
    for passage in &mut passages {
        passage.section = "How".to_owned();
    }
    assert_eq!(
        render_passages(&passages, style(FENCED)),
        "Sources:\n<How>\na.md (3)\n````{1} 10..20 Install\nRun ``` it\n````\n```{2} 90..95 \nx < y\n```\nEnd of \
         sources\n"
    );
    assert_eq!(
        render_passages(&passages, style(ESCAPED)),
        "<d id='a.md'><p n='1'>Run ``` it</p><p n='2'>x &lt; y</p></d>"
    );
}

#[test]
fn what_a_text_could_break_is_refused() {
    let refused = [
        ("passage_open = \"[{number}] \"\npassage_close = \"\\n\"", "fence"),
        ("passage_open = \"{fence}{number}\\n\"\npassage_close = \"{fence}\\n\"", "fence"),
        ("passage_open = \"{fence}\\n\"\npassage_close = \"\\n{fence}\\n\"", "{number}"),
        ("escape = \"xml\"\npassage_open = \"{number}\"\npassage_close = \"end\"", "<"),
        ("escape = \"json\"\npassage_open = \"{number}\"\npassage_close = \"end\"", "\""),
        ("passage_open = \"{fence}{number}{nothing}\\n\"\npassage_close = \"\\n{fence}\\n\"", "{nothing}"),
        ("passage_open = \"{fence}{number} }\\n\"\npassage_close = \"\\n{fence}\\n\"", "brace"),
        ("passage_open = \"{fence}{number}\\n\"", "passage_close"),
        ("colour = \"red\"", "colour"),
    ];
    for (text, why) in refused {
        let refusal = ContextTemplate::from_toml("mine", text).expect_err(text);
        assert_eq!(refusal.code, "invalid_template");
        assert!(refusal.message.contains(why) && refusal.message.contains("mine"), "{}", refusal.message);
    }
}

#[test]
fn a_template_is_known_by_its_name() {
    let templates = TemplateRegistry::new(vec![template(FENCED)]);
    assert_eq!(templates.style("mine").unwrap(), style(FENCED));
    assert_eq!(templates.style("xml").unwrap(), ContextFormat::Xml.into());
    let refusal = templates.style("yours").err().unwrap();
    assert_eq!(refusal.code, "unknown_format");
    assert!(refusal.message.contains("plain, mine"), "{}", refusal.message);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn no_text_ends_its_passage(corpus in corpus(4, 6), budget in 0..2000_usize) {
        let asked = AssemblyRequest { budget, style: style(ESCAPED), ..AssemblyRequest::default() };
        let assembled = assemble_context(&corpus.input, &asked, &RunTokenizer);
        prop_assert!(assembled.tokens <= budget);
        let mut texts = Vec::new();
        for part in assembled.context.split("<p n='").skip(1) {
            let (number, rest) = part.split_once("'>").unwrap();
            prop_assert_eq!(number.parse::<usize>().unwrap(), texts.len() + 1);
            let text = rest.split_once("</p>").unwrap().0;
            texts.push(text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"));
        }
        let expected: Vec<String> =
            assembled.passages.iter().map(|passage| visible_text(&passage.text).into_owned()).collect();
        prop_assert_eq!(texts, expected);

        let asked = AssemblyRequest { budget, style: style(FENCED), ..AssemblyRequest::default() };
        let assembled = assemble_context(&corpus.input, &asked, &RunTokenizer);
        let mut lines = assembled.context.lines();
        let mut passages = 0;
        while let Some(line) = lines.next() {
            let label = line.trim_start_matches('`');
            let fence = &line[..line.len() - label.len()];
            if fence.len() < 3 {
                continue;
            }
            passages += 1;
            let label_starts = format!("{{{passages}}}");
            prop_assert!(label.starts_with(&label_starts), "{}", assembled.context);
            prop_assert!(lines.any(|line| line == fence));
        }
        prop_assert_eq!(passages, assembled.passages.len());
    }
}
