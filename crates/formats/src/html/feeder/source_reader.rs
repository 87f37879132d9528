//! The page as html5gum reads it: in stretches up to the next byte that means something to the tokenizer.
//!
//! html5gum's own reader compares every byte of a text with each of those bytes; this one searches for them many
//! bytes at a time. Line ends are LF already, and most pages have no NUL: those two are looked for only where a
//! page has any.

use std::convert::Infallible;

use html5gum::Reader;

/// Bytes that are compared one by one first: most texts and attributes end sooner than a search has begun.
const NEAR_BYTES: usize = 16;

/// Reads a page.
#[derive(Debug)]
pub(super) struct HtmlSourceReader<'a> {
    rest: &'a [u8],
    /// Whether the page has a NUL or a CR.
    has_rare: bool,
}

impl<'a> HtmlSourceReader<'a> {
    pub(super) fn new(source: &'a str) -> Self {
        let rest = source.as_bytes();
        Self { rest, has_rare: memchr::memchr2(b'\0', b'\r', rest).is_some() }
    }

    /// Takes the next `bytes` bytes.
    #[inline]
    fn take(&mut self, bytes: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        taken
    }

    /// The first place of any of `wanted`.
    #[expect(clippy::inline_always, reason = "every caller has other bytes, and knows them")]
    #[inline(always)]
    fn find(&self, wanted: &[u8]) -> Option<usize> {
        let (near, far) = self.rest.split_at(self.rest.len().min(NEAR_BYTES));
        if let Some(at) = near.iter().position(|byte| wanted.contains(byte)) {
            return Some(at);
        }
        if far.is_empty() {
            return None;
        }
        let mut common = [0; 3];
        let mut count = 0;
        for &byte in wanted {
            if self.has_rare || !matches!(byte, b'\0' | b'\r') {
                if count == common.len() {
                    return far.iter().position(|byte| wanted.contains(byte)).map(|at| near.len() + at);
                }
                common[count] = byte;
                count += 1;
            }
        }
        let found = match count {
            0 => None,
            1 => memchr::memchr(common[0], far),
            2 => memchr::memchr2(common[0], common[1], far),
            _ => memchr::memchr3(common[0], common[1], common[2], far),
        };
        found.map(|at| near.len() + at)
    }
}

impl Reader for HtmlSourceReader<'_> {
    type Error = Infallible;

    #[inline]
    fn read_byte(&mut self) -> Result<Option<u8>, Infallible> {
        let Some((&first, rest)) = self.rest.split_first() else { return Ok(None) };
        self.rest = rest;
        Ok(Some(first))
    }

    #[inline]
    fn try_read_string(&mut self, text: &[u8], case_sensitive: bool) -> Result<bool, Infallible> {
        let found = self
            .rest
            .get(..text.len())
            .is_some_and(|next| next == text || (!case_sensitive && next.eq_ignore_ascii_case(text)));
        if found {
            self.take(text.len());
        }
        Ok(found)
    }

    #[expect(clippy::inline_always, reason = "every caller has other bytes, and knows them")]
    #[inline(always)]
    fn read_until<'b>(
        &'b mut self,
        wanted: &[u8],
        _: &'b mut [u8; 4],
    ) -> Result<Option<&'b [u8]>, Infallible> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        // A wanted byte is read alone.
        let end = self.find(wanted).map_or(self.rest.len(), |at| at.max(1));
        Ok(Some(self.take(end)))
    }
}
