//! HTML and SVG fragments that plots and reports share. Every text in them is escaped.

use std::fmt::Write as _;

use super::text_format;
use contexture_lab::compare::report::QuestionComparison;

/// Escapes text for XML and HTML. Characters that XML cannot contain are left out.
pub(crate) fn escape_xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // XML 1.0 forbids these even as references, so they cannot be escaped.
            '\u{FFFE}' | '\u{FFFF}' => {}
            other if other.is_control() => {}
            other => out.push(other),
        }
    }
    out
}

/// A question with its id, escaped.
pub(crate) fn question_html(question: &QuestionComparison) -> String {
    let text = escape_xml(&text_format::snippet(&question.question, QUESTION_CHARS_MAX));
    format!("<small class=\"soft\">{}</small> {text}", escape_xml(&text_format::snippet(&question.id, 40)))
}

/// Maximum characters of a question that are shown.
const QUESTION_CHARS_MAX: usize = 240;

/// Opens an SVG element of this size in pixels, with a name for screen readers.
pub(crate) fn begin_svg(page: &mut String, name: &str, width: f64, height: f64) {
    let _ = writeln!(
        page,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\">",
        escape_xml(name)
    );
}

/// A count as a coordinate.
#[expect(clippy::cast_precision_loss, reason = "numbers of questions and rows")]
pub(crate) fn count_to_f64(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::escape_xml;

    #[test]
    fn texts_cannot_leave_their_element() {
        assert_eq!(escape_xml("a < b & \"c\" > d"), "a &lt; b &amp; &quot;c&quot; &gt; d");
        assert_eq!(escape_xml("no\u{0}thing\u{FFFE} odd\n"), "nothing odd");
        assert_eq!(escape_xml("größer ☃"), "größer ☃");
    }
}
