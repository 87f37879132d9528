//! Which bytes of a normalised text come from which bytes of its source.
//!
//! A map is a list of runs that tile the normalised text. A *copied* run has the same bytes in both. A
//! *written* run stands for a range of the source as a whole: a decoded entity, a table's border, a heading's
//! `#` that stood as `<h2>`. Runs ascend in the text; they may go back in the source (footnotes, tables with
//! spans), so a span of the text is mapped to the smallest range of the source that holds all its runs.

use std::ops::Range;

/// A run of the normalised text.
#[derive(Debug, Clone, PartialEq, Eq)]
struct SourceRun {
    /// First byte in the normalised text; the run ends where the next begins, or with the text.
    at: usize,
    /// The bytes of the source. Of a copied run the range is as long as the run.
    source: Range<usize>,
    /// Whether both have the same bytes.
    copied: bool,
}

/// A run of a span of the normalised text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappedRun {
    /// Bytes of the normalised text.
    pub text: Range<usize>,
    /// The bytes of the source that they are, or stand for.
    pub source: Range<usize>,
    /// Whether both have the same bytes.
    pub copied: bool,
}

/// The way from the normalised text to the source.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourceMap {
    runs: Vec<SourceRun>,
    text_bytes: usize,
}

impl SourceMap {
    /// The map of a text that is its own source.
    pub fn identity(text_bytes: usize) -> Self {
        let mut map = Self::default();
        map.push_copied(text_bytes, 0);
        map
    }

    /// Appends a run of `bytes` that equal the source's from `source_start` on.
    pub fn push_copied(&mut self, bytes: usize, source_start: usize) {
        if bytes == 0 {
            return;
        }
        let source = source_start..source_start + bytes;
        match self.runs.last_mut() {
            Some(last) if last.copied && last.source.end == source_start => last.source.end = source.end,
            _ => self.runs.push(SourceRun { at: self.text_bytes, source, copied: true }),
        }
        self.text_bytes += bytes;
    }

    /// Appends a run of `bytes` that stand for a range of the source.
    pub fn push_written(&mut self, bytes: usize, source: Range<usize>) {
        if bytes == 0 {
            return;
        }
        match self.runs.last_mut() {
            Some(last) if !last.copied && last.source == source => {}
            _ => self.runs.push(SourceRun { at: self.text_bytes, source, copied: false }),
        }
        self.text_bytes += bytes;
    }

    /// The runs of a span of the normalised text, cut at its ends.
    pub fn runs_in(&self, span: Range<usize>) -> impl Iterator<Item = MappedRun> {
        let first = self.runs.partition_point(|run| run.at <= span.start).saturating_sub(1);
        let runs = self.runs.iter().enumerate().skip(first);
        runs.take_while(move |(_, run)| run.at < span.end).filter_map(move |(index, run)| {
            let end = self.runs.get(index + 1).map_or(self.text_bytes, |next| next.at);
            let text = span.start.max(run.at)..span.end.min(end);
            let source = if run.copied {
                run.source.start + (text.start - run.at)
                    ..run.source.start + (text.end.max(text.start) - run.at)
            } else {
                run.source.clone()
            };
            (!text.is_empty()).then_some(MappedRun { text, source, copied: run.copied })
        })
    }

    /// Length of the normalised text in bytes.
    pub fn text_bytes(&self) -> usize {
        self.text_bytes
    }

    /// Number of runs.
    pub fn runs(&self) -> usize {
        self.runs.len()
    }

    /// The smallest range of the source that holds all that a span of the normalised text stands for. Written
    /// runs count as a whole, but one at either end counts only if the span holds nothing copied.
    pub fn source_span(&self, span: Range<usize>) -> Range<usize> {
        let first = self.runs.partition_point(|run| run.at <= span.start).saturating_sub(1);
        let mut copied: Option<Range<usize>> = None;
        let mut written: Option<Range<usize>> = None;
        for (index, run) in self.runs.iter().enumerate().skip(first) {
            if run.at >= span.end && !(span.is_empty() && index == first) {
                break;
            }
            let end = self.runs.get(index + 1).map_or(self.text_bytes, |next| next.at);
            let (target, found) = if run.copied {
                let from = span.start.max(run.at) - run.at;
                let to = span.end.min(end).max(run.at) - run.at;
                (&mut copied, run.source.start + from..run.source.start + to.max(from))
            } else {
                (&mut written, run.source.clone())
            };
            *target = Some(match target.take() {
                None => found,
                Some(known) => known.start.min(found.start)..known.end.max(found.end),
            });
        }
        copied.or(written).unwrap_or(0..0)
    }

    /// The parts of the text that come from a range of the source, in the order of the text: bytes that were copied
    /// from it, and what is written for a part of it.
    pub fn text_spans(&self, source: Range<usize>) -> Vec<Range<usize>> {
        let mut spans: Vec<Range<usize>> = Vec::new();
        for MappedRun { text, source: from, copied } in self.runs_in(0..self.text_bytes) {
            let found = if copied {
                let start = from.start.max(source.start);
                let end = from.end.min(source.end);
                text.start + (start - from.start)..text.start + end.max(start) - from.start
            } else if from.start < from.end && source.start <= from.start && from.end <= source.end {
                text
            } else {
                continue;
            };
            match spans.last_mut() {
                _ if found.is_empty() => {}
                Some(last) if last.end == found.start => last.end = found.end,
                _ => spans.push(found),
            }
        }
        spans
    }

    /// Whether this is a map of `text` and `source`: runs tile the text, stand on character boundaries, lie inside
    /// of the source, and copied ones have its bytes. For tests; every parser's output must pass.
    pub fn is_map_of(&self, text: &str, source: &str) -> bool {
        self.text_bytes == text.len()
            && self.runs.iter().enumerate().all(|(index, run)| {
                let end = self.runs.get(index + 1).map_or(self.text_bytes, |next| next.at);
                let shown = text.get(run.at..end);
                let meant = source.get(run.source.clone());
                run.at < end
                    && (index > 0 || run.at == 0)
                    && shown.is_some()
                    && meant.is_some()
                    && (!run.copied || shown == meant)
            })
    }

    /// The map of this text's source seen as the text of `earlier`, whose source is farther away.
    ///
    /// Used where a text was normalised in two steps: bytes → decoded text → normalised text.
    #[must_use]
    pub fn after(&self, earlier: &Self) -> Self {
        let mut map = Self::default();
        for (index, run) in self.runs.iter().enumerate() {
            let end = self.runs.get(index + 1).map_or(self.text_bytes, |next| next.at);
            if !run.copied {
                map.push_written(end - run.at, earlier.source_span(run.source.clone()));
                continue;
            }
            let mut at = run.source.start;
            let mut inner = earlier.runs.partition_point(|run| run.at <= at).saturating_sub(1);
            while at < run.source.end && inner < earlier.runs.len() {
                let inner_end = earlier.runs.get(inner + 1).map_or(earlier.text_bytes, |next| next.at);
                let to = run.source.end.min(inner_end);
                let found = &earlier.runs[inner];
                if found.copied {
                    map.push_copied(to - at, found.source.start + (at - found.at));
                } else {
                    map.push_written(to - at, found.source.clone());
                }
                at = to;
                inner += 1;
            }
        }
        map
    }
}

/// A normalised text that is written together with its map.
#[derive(Debug, Default)]
pub struct MappedText {
    text: String,
    map: SourceMap,
}

impl MappedText {
    /// What has been written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// Whether nothing has been written.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Appends bytes of the source as they are. `range` must lie on character boundaries of `source`.
    pub fn copy(&mut self, source: &str, range: Range<usize>) {
        self.text.push_str(&source[range.clone()]);
        self.map.push_copied(range.len(), range.start);
    }

    /// Appends text that stands for a range of the source; an empty range is a place in it.
    pub fn write(&mut self, text: &str, source: Range<usize>) {
        self.text.push_str(text);
        self.map.push_written(text.len(), source);
    }

    /// Removes white space at the end.
    pub fn trim_end(&mut self) {
        self.truncate(self.text.trim_end().len());
    }

    /// Shortens the text to `len` bytes, a character boundary.
    pub fn truncate(&mut self, len: usize) {
        if len >= self.text.len() {
            return;
        }
        self.text.truncate(len);
        let runs = &mut self.map.runs;
        while runs.last().is_some_and(|last| last.at >= len) {
            runs.pop();
        }
        if let Some(last) = runs.last_mut().filter(|last| last.copied) {
            last.source.end = last.source.start + (len - last.at);
        }
        self.map.text_bytes = len;
    }

    /// The text and its map.
    pub fn finish(self) -> (String, SourceMap) {
        (self.text, self.map)
    }
}

#[cfg(test)]
mod tests {
    use super::{MappedText, SourceMap};

    #[test]
    fn copied_runs_map_byte_by_byte_and_written_ones_as_a_whole() {
        let source = "<p>a &amp; b</p>";
        let mut out = MappedText::default();
        out.copy(source, 3..5);
        out.write("&", 5..10);
        out.copy(source, 10..12);
        let (text, map) = out.finish();
        assert_eq!(text, "a & b");
        assert_eq!(map.source_span(0..5), 3..12);
        assert_eq!(map.source_span(2..3), 5..10);
        assert_eq!(map.source_span(4..5), 11..12);
        let spans = |source| {
            map.text_spans(source).into_iter().map(|span| (span.start, span.end)).collect::<Vec<_>>()
        };
        assert_eq!(spans(0..16), [(0, 5)]);
        assert_eq!(spans(4..11), [(1, 4)]);
        assert_eq!(spans(6..9), [], "a part of an entity is no text");
    }

    #[test]
    fn maps_compose() {
        // "a\r\nb" became "a\nb", of which only "b" is left, in brackets.
        let mut earlier = SourceMap::default();
        earlier.push_copied(1, 0);
        earlier.push_written(1, 1..3);
        earlier.push_copied(1, 3);
        let mut later = SourceMap::default();
        later.push_written(1, 2..2);
        later.push_copied(1, 2);
        later.push_written(1, 3..3);
        assert_eq!(later.after(&earlier).source_span(1..2), 3..4);
    }
}
