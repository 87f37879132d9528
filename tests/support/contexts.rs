//! Reads a context back, strictly, knowing only the formats as they are documented.

use contexture_core::context::request::ContextFormat;

/// One passage as a reader finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReadPassage {
    pub(crate) number: usize,
    pub(crate) document_id: String,
    pub(crate) version: u64,
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) text: String,
}

/// All passages of a context; none when anything in it is not as documented.
pub(crate) fn parse(context: &str, format: ContextFormat) -> Option<Vec<ReadPassage>> {
    if context.is_empty() {
        return Some(Vec::new());
    }
    match format {
        ContextFormat::Markdown => parse_markdown(context),
        ContextFormat::Xml => parse_xml(context),
        ContextFormat::Json => parse_json(context),
        ContextFormat::Plain => parse_plain(context),
    }
}

fn parse_markdown(context: &str) -> Option<Vec<ReadPassage>> {
    let mut passages = Vec::new();
    let mut document = None;
    let mut lines = context.strip_suffix('\n')?.split('\n');
    while let Some(line) = lines.next() {
        if let Some(header) = line.strip_prefix("# ") {
            document = Some(read_header(header)?);
            continue;
        }
        let label = line.trim_start_matches('`');
        let fence = line.len() - label.len();
        if fence < 3 || label.contains('`') {
            return None;
        }
        let mut text = Vec::new();
        loop {
            let inside = lines.next()?;
            if closes_fence(inside, fence) {
                break;
            }
            text.push(inside);
        }
        passages.push(read_label(label, document.clone()?, text.join("\n"))?);
    }
    Some(passages)
}

/// `CommonMark` 0.31, section 4.5: at most three spaces, at least as many backticks.
fn closes_fence(line: &str, fence: usize) -> bool {
    let unindented = line.trim_start_matches(' ');
    let rest = unindented.trim_start_matches('`');
    line.len() - unindented.len() <= 3 && unindented.len() - rest.len() >= fence && rest.trim().is_empty()
}

fn parse_plain(context: &str) -> Option<Vec<ReadPassage>> {
    let mark = context.split(' ').next()?;
    let mut passages: Vec<ReadPassage> = Vec::new();
    let mut document = None;
    let mut is_open = false;
    let mut lines = context.strip_suffix('\n')?.split('\n');
    while let Some(line) = lines.next() {
        match line.strip_prefix(mark) {
            Some("") => return lines.next().is_none().then_some(passages),
            Some(label) if label.starts_with('[') => {
                passages.push(read_label(label, document.clone()?, String::new())?);
                is_open = false;
            }
            Some(header) => document = Some(read_header(header.strip_prefix(' ')?)?),
            None => {
                let text = &mut passages.last_mut()?.text;
                if is_open {
                    text.push('\n');
                }
                text.push_str(line);
                is_open = true;
            }
        }
    }
    None
}

/// `id vVERSION`
fn read_header(header: &str) -> Option<(String, u64)> {
    let (id, version) = header.rsplit_once(" v")?;
    Some((id.to_owned(), version.parse().ok()?))
}

/// `[NUMBER] START-END HEADING`
fn read_label(label: &str, (document_id, version): (String, u64), text: String) -> Option<ReadPassage> {
    let (number, rest) = label.strip_prefix('[')?.split_once("] ")?;
    let (start, end) = rest.split(' ').next()?.split_once('-')?;
    Some(ReadPassage {
        number: number.parse().ok()?,
        document_id,
        version,
        start: start.parse().ok()?,
        end: end.parse().ok()?,
        text,
    })
}

fn parse_xml(context: &str) -> Option<Vec<ReadPassage>> {
    let mut passages = Vec::new();
    let mut rest = context.strip_prefix("<context>\n")?.strip_suffix("</context>\n")?;
    while let Some(opened) = rest.strip_prefix("<document id=\"") {
        let (id, after) = opened.split_once('"')?;
        let (version, mut inside) = after.strip_prefix(" version=\"")?.split_once("\">\n")?;
        while let Some(opened) = inside.strip_prefix("<passage n=\"") {
            let (number, after) = opened.split_once('"')?;
            let (span, after) = after.strip_prefix(" span=\"")?.split_once('"')?;
            let (start, end) = span.split_once('-')?;
            let after = match after.strip_prefix(" heading=\"") {
                Some(heading) => heading.split_once('"')?.1,
                None => after,
            };
            let (text, after) = after.strip_prefix('>')?.split_once('<')?;
            inside = after.strip_prefix("/passage>\n")?;
            passages.push(ReadPassage {
                number: number.parse().ok()?,
                document_id: unescape_xml(id)?,
                version: version.parse().ok()?,
                start: start.parse().ok()?,
                end: end.parse().ok()?,
                text: unescape_xml(text)?,
            });
        }
        rest = inside.strip_prefix("</document>\n")?;
    }
    rest.is_empty().then_some(passages)
}

fn unescape_xml(text: &str) -> Option<String> {
    if text.contains("]]>") {
        return None;
    }
    let mut parts = text.split('&');
    let mut plain = parts.next()?.to_owned();
    for part in parts {
        let (name, rest) = part.split_once(';')?;
        plain.push(match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            _ => return None,
        });
        plain.push_str(rest);
    }
    Some(plain)
}

fn parse_json(context: &str) -> Option<Vec<ReadPassage>> {
    let value: serde_json::Value = serde_json::from_str(context).ok()?;
    let number = |value: &serde_json::Value| usize::try_from(value.as_u64()?).ok();
    let mut passages = Vec::new();
    for document in value.get("documents")?.as_array()? {
        for passage in document.get("passages")?.as_array()? {
            let span = passage.get("span")?;
            passages.push(ReadPassage {
                number: number(passage.get("n")?)?,
                document_id: document.get("id")?.as_str()?.to_owned(),
                version: document.get("version")?.as_u64()?,
                start: number(span.get(0)?)?,
                end: number(span.get(1)?)?,
                text: passage.get("text")?.as_str()?.to_owned(),
            });
        }
    }
    Some(passages)
}
