//! LaTeX.

use super::markup_support::{checked, mutations};
use contexture_formats::{PropertyValue, parse_latex};
use proptest::prelude::*;

fn read(source: &str) -> String {
    checked(parse_latex, source).text
}

const DOCUMENT: &str = "\\documentclass{article}\n\\usepackage[utf8]{inputenc}\n\\title{The \\emph{Crane}}\n\\author{Ada L\\\"ow \\and Bo}\n\\date{May 2024}\n\
    \\begin{document}\n\\maketitle\n\\section{Loading \\label{s:l}}\n  Lifts $x_1 < 5$ tonnes --- \\textbf{heavy}, 50\\% off. % hidden\n  See~\\cite{a,b}\\footnote{A note.} and \\href{https://a.example}{the page}.\n\n\
    \\begin{itemize}\n  \\item One\n    more\n  \\item Two\n  \\begin{enumerate}\n    \\item Inner\n  \\end{enumerate}\n\\end{itemize}\n\
    \\begin{lstlisting}[language=Python]\nx = 1 % kept\n  y\n\\end{lstlisting}\n\\begin{table}[h]\n\\begin{tabular}{|l|r|}\n\\hline\nPlan & Seats \\\\ \\hline\nD7 & 148 \\\\\n\\hline\n\\end{tabular}\n\\caption{Plans}\n\\end{table}\n\
    \\begin{equation}\n  E = mc^2\n\\end{equation}\n\\unknown{kept} \\'etude, \\v{c}, \\ss{}.\n\\end{document}\nignored\n";

#[test]
fn a_document_becomes_markdown() {
    let parsed = checked(parse_latex, DOCUMENT);
    assert_eq!(
        parsed.text,
        "## Loading\n\nLifts $x_1 < 5$ tonnes — **heavy**, 50% off. See [a,b] (A note.) and [the page](https://a.example).\n\n\
         - One\n  more\n- Two\n  1. Inner\n\n```python\nx = 1 % kept\n  y\n```\n\n\
         | Plan | Seats |\n|---|---|\n| D7 | 148 |\n\nPlans\n\n$$\nE = mc^2\n$$\n\nkept étude, č, ß.\n"
    );
    assert_eq!(parsed.properties.title.as_deref(), Some("The Crane"));
    assert_eq!(parsed.properties.other["author"], PropertyValue::Texts(vec!["Ada Löw".into(), "Bo".into()]));
    let at = parsed.text.find("148").expect("text");
    assert_eq!(&DOCUMENT[parsed.map.source_span(at..at + 3)], "148");
}

#[test]
fn fragments_are_read() {
    assert_eq!(
        read("``Quoted'' \\verb|a_b| and \\(x\\).\\\\Next \\url{https://a.example/a_b}\n"),
        "“Quoted” `a_b` and $x$.\nNext https://a.example/a_b\n"
    );
    assert_eq!(
        read("\\begin{description}\n\\item[Hook] Holds.\n\\end{description}\n"),
        "- **Hook**: Holds.\n"
    );
    assert_eq!(read("\\begin{verbatim}\n\\section{x}\n"), "```\n\\section{x}\n```\n");
}

#[test]
fn hostile_input_is_bounded() {
    for piece in [
        "{",
        "}",
        "\\textbf{",
        "$",
        "\\[",
        "\\begin{itemize}",
        "\\begin{tabular}{l}",
        "\\item[",
        "\\\"",
        "%",
        "&",
        "\\footnote[",
        "\\verb",
    ] {
        checked(parse_latex, &piece.repeat(20_000 / piece.len()));
    }
}

proptest! {
    #[test]
    fn any_document_is_parsed(source in mutations(DOCUMENT, &["\\begin{document}", "\\end{document}", "\\begin{tabular}{l}", "\\end{tabular}", "\\\\", "&", "\\item", "\\item[", "\\begin{verbatim}", "\\verb|", "\\multicolumn{3}{l}{", "$$", "\\[", "\\]", "\\def\\a{", "\\title{", "\\href{", "\\\"", "\\v{", "}", "\\begin{minted}{", "\\"])) {
        checked(parse_latex, &source);
    }
}
