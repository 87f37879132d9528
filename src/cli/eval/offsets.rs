//! Maps byte offsets of a file to offsets of its normalised text.
//!
//! Normalisation removes a byte order mark and the carriage return of a line break. If it would do more
//! (HTML, UTF-16, NUL, invalid UTF-8), offsets have no counterpart, and the file is refused.

/// The sorted offsets of bytes that normalisation removes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OffsetMapping(Vec<usize>);

impl OffsetMapping {
    /// The mapping for a file. An error says why there is none.
    pub(crate) fn for_file(body: &[u8], document_id: &str) -> Result<Self, String> {
        let text = std::str::from_utf8(body).map_err(|error| format!("is not UTF-8: {error}"))?;
        if text.contains('\0') {
            return Err("contains NUL, which normalisation replaces".to_owned());
        }
        if is_html(text, document_id) {
            return Err("is HTML, whose text has other offsets".to_owned());
        }
        let mark_bytes = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        // A lone carriage return becomes a line feed, which moves nothing.
        let returns = text.match_indices("\r\n").map(|(offset, _)| offset);
        let removed: Vec<usize> = (0..mark_bytes).chain(returns).collect();
        // `map` searches by halving.
        debug_assert!(removed.is_sorted());
        Ok(Self(removed))
    }

    /// The offset in the normalised text: less the bytes that were removed before it.
    pub(crate) fn map(&self, offset: usize) -> usize {
        offset - self.0.partition_point(|dropped| *dropped < offset)
    }
}

/// Whether ingest would take the file for HTML: by its name, or by its first characters.
fn is_html(text: &str, document_id: &str) -> bool {
    let extension = document_id.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    // `<!doctype html` has 14 characters, and `<html` is shorter.
    let start: String = text.trim_start_matches('\u{feff}').trim_start().chars().take(14).collect();
    let start = start.to_ascii_lowercase();
    matches!(extension.as_deref(), Some("html" | "htm" | "xhtml"))
        || start.starts_with("<!doctype html")
        || start.starts_with("<html")
}

#[cfg(test)]
mod tests {
    use super::OffsetMapping;

    fn normalised(text: &str) -> String {
        text.trim_start_matches('\u{feff}').replace("\r\n", "\n").replace('\r', "\n")
    }

    #[test]
    fn every_slice_maps_to_itself() {
        for text in ["plain", "\u{feff}mark", "a\r\nb\r\n\r\nc", "\u{feff}\r\nä\r\u{1F600}\r\n", "a\rb\n\r\n"]
        {
            let offsets = OffsetMapping::for_file(text.as_bytes(), "a.md").expect("a mapping");
            let target = normalised(text);
            let borders: Vec<usize> =
                text.char_indices().map(|(offset, _)| offset).chain([text.len()]).collect();
            for start in &borders {
                for end in borders.iter().filter(|end| *end >= start) {
                    let mapped = &target[offsets.map(*start)..offsets.map(*end)];
                    assert_eq!(mapped, mapped_alone(text, *start, *end), "{text:?} {start}..{end}");
                }
            }
        }
    }

    /// The slice without what is dropped; a carriage return at its very end may be half of a pair.
    fn mapped_alone(text: &str, start: usize, end: usize) -> String {
        let mut slice = text[start..end].to_owned();
        if slice.ends_with('\r') && text[end..].starts_with('\n') {
            slice.pop();
        }
        normalised(&slice)
    }

    #[test]
    fn texts_that_change_more_are_refused() {
        assert!(OffsetMapping::for_file(b"\xff\xfea\0", "a.md").is_err());
        assert!(OffsetMapping::for_file(b"a\0b", "a.md").is_err());
        assert!(OffsetMapping::for_file(b"text", "a.HTML").is_err());
        assert!(OffsetMapping::for_file(b" <!DOCTYPE html><p>", "a.md").is_err());
    }
}
