//! Formats that the first lines of a text show.

use super::{CodeFormat as Code, FileFormat, last_part};

/// Bytes at the start of a text that are looked at.
const SNIFF_BYTES: usize = 4096;

impl FileFormat {
    /// Returns the format that the first lines of a text show; `None` if they show none.
    pub fn sniff(text: &str) -> Option<Self> {
        let head = &text[..text.floor_char_boundary(SNIFF_BYTES)];
        let start =
            head.trim_start_matches(|character: char| character.is_whitespace() || character == '\u{FEFF}');
        let line = start.lines().next().unwrap_or_default();
        if let Some(command) = line.strip_prefix("#!") {
            return sniff_shebang(command);
        }
        if line.starts_with("<?xml") {
            let html = find_ignoring_case(start, "<html") || find_ignoring_case(start, "<!doctype html");
            return Some(if html { Self::Html } else { Self::Xml });
        }
        if line.starts_with("<?php") {
            return Some(Self::Code(Code::Php));
        }
        if start.starts_with('<') {
            return sniff_markup(start);
        }
        if line.starts_with("WEBVTT") {
            return Some(Self::WebVtt);
        }
        if line.starts_with("diff --git ") || (line.starts_with("--- ") && starts_line(start, "+++ ")) {
            return Some(Self::Diff);
        }
        if is_mail(start) {
            return Some(if line.starts_with("From ") { Self::Mailbox } else { Self::Mail });
        }
        if start.starts_with(['{', '[']) {
            return sniff_json(start, text.len() > head.len());
        }
        if line.starts_with("%YAML ") {
            return Some(Self::Yaml);
        }
        if line.trim_end() == "---" {
            return Some(sniff_front_matter(&start[line.len()..]));
        }
        if line.starts_with("\\documentclass") || starts_line(start, "\\begin{document}") {
            return Some(Self::Latex);
        }
        if line == "1" && start.lines().nth(1).is_some_and(|times| times.contains(" --> ")) {
            return Some(Self::SubRip);
        }
        None
    }
}

fn find_ignoring_case(text: &str, part: &str) -> bool {
    text.as_bytes().windows(part.len()).any(|window| window.eq_ignore_ascii_case(part.as_bytes()))
}

/// Whether a line of the text starts so.
fn starts_line(text: &str, part: &str) -> bool {
    text.lines().any(|line| line.starts_with(part))
}

/// Reads the interpreter behind `#!`; `env` names it as its argument.
fn sniff_shebang(command: &str) -> Option<FileFormat> {
    let mut words = command.split_ascii_whitespace().map(last_part);
    let program = words.find(|word| *word != "env" && !word.starts_with('-') && !word.contains('='))?;
    let language =
        match program.trim_end_matches(|character: char| character.is_ascii_digit() || character == '.') {
            "sh" | "bash" | "dash" | "zsh" | "ksh" | "ash" => Code::Shell,
            "python" | "pypy" => Code::Python,
            "node" | "nodejs" | "bun" => Code::JavaScript,
            "deno" | "ts-node" | "tsx" => Code::TypeScript,
            "ruby" => Code::Ruby,
            "php" => Code::Php,
            "kotlin" | "kotlinc" => Code::Kotlin,
            "swift" => Code::Swift,
            "scala" => Code::Scala,
            _ => return None,
        };
    Some(FileFormat::Code(language))
}

fn sniff_markup(start: &str) -> Option<FileFormat> {
    const HTML_STARTS: [&str; 16] = [
        "<!doctype html",
        "<html",
        "<head",
        "<body",
        "<title",
        "<div",
        "<p",
        "<h1",
        "<h2",
        "<table",
        "<script",
        "<style",
        "<meta",
        "<a",
        "<br",
        "<iframe",
    ];
    // A comment may stand first.
    let mut rest = start;
    while let Some(comment) = rest.strip_prefix("<!--") {
        rest = comment[comment.find("-->")? + 3..].trim_start();
    }
    let opens = |name: &str| {
        let found = rest.get(..name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name));
        found && rest[name.len()..].starts_with(|next: char| next.is_whitespace() || next == '>')
    };
    if HTML_STARTS.into_iter().any(opens) {
        return Some(FileFormat::Html);
    }
    let element = rest.strip_prefix('<')?;
    let name_end = element.find(|next: char| !(next.is_ascii_alphanumeric() || "_:-.".contains(next)))?;
    let named = element.starts_with(|first: char| first.is_ascii_alphabetic());
    // A namespace, or the element's end: nothing but XML has them at its start.
    let name = &element[..name_end];
    let is_xml = named
        && (element[..element.find('>')?].contains("xmlns") || rest.contains(&format!("</{name}>")))
        && !["template", "details", "img", "picture"].contains(&name);
    is_xml.then_some(FileFormat::Xml)
}

fn sniff_json(start: &str, cut: bool) -> Option<FileFormat> {
    let inner = start[1..].trim_start();
    let is_json = match (start.as_bytes()[0], inner.bytes().next()) {
        (b'{', Some(b'"' | b'}')) => {
            start.contains("\":") || start.contains("\" :") || inner.starts_with('}')
        }
        (b'[', Some(b'{' | b'[' | b'"' | b']' | b'-' | b'0'..=b'9')) => {
            cut || start.trim_end().ends_with(']')
        }
        _ => false,
    };
    if !is_json {
        return None;
    }
    // Lines that are whole by themselves.
    let mut lines = start.lines().filter(|line| !line.trim().is_empty());
    let whole = |line: &str| line.starts_with('{') && line.trim_end().ends_with('}');
    let both = lines.next().is_some_and(whole) && lines.next().is_some_and(|line| line.starts_with('{'));
    if start.contains("\"nbformat\"") && start.contains("\"cells\"") {
        return Some(FileFormat::Notebook);
    }
    Some(if both { FileFormat::JsonLines } else { FileFormat::Json })
}

/// Tells front matter from a YAML document: it ends with `---` and text follows.
fn sniff_front_matter(rest: &str) -> FileFormat {
    let mut lines = rest.lines().skip(1);
    let ended = lines.by_ref().any(|line| matches!(line.trim_end(), "---" | "..."));
    let next = lines.find(|line| !line.trim().is_empty());
    let is_key = |line: &str| {
        let key = line.split(": ").next().unwrap_or_default().trim_end_matches(':');
        key.len() < line.len() && !key.contains(char::is_whitespace) && !key.starts_with('#')
    };
    match next {
        Some(line) if ended && !is_key(line) && !line.starts_with("- ") && line != "---" => {
            FileFormat::Markdown
        }
        _ => FileFormat::Yaml,
    }
}

/// Whether a text starts with `From ` of a mailbox, or with headers of which three are those of mail.
fn is_mail(start: &str) -> bool {
    const HEADERS: [&str; 13] = [
        "from",
        "to",
        "cc",
        "subject",
        "date",
        "message-id",
        "received",
        "return-path",
        "mime-version",
        "content-type",
        "delivered-to",
        "reply-to",
        "in-reply-to",
    ];
    let mut lines = start.lines().peekable();
    let is_mailbox = lines.next_if(|line| line.starts_with("From ") && line.contains(':')).is_some();
    let mut known = 0;
    for line in lines {
        if line.starts_with([' ', '\t']) && known > 0 {
            continue;
        }
        let Some((name, _)) = line.split_once(':') else { break };
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            break;
        }
        known += usize::from(HEADERS.iter().any(|header| header.eq_ignore_ascii_case(name)));
    }
    known >= if is_mailbox { 1 } else { 3 }
}
