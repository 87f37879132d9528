//! Bytes of a known encoding to text; bad sequences become U+FFFD and are counted.

use encoding_rs::{DecoderResult, Encoding, UTF_8};

use super::{DecodedText, REPLACED_LINES_NAMED};

/// Bytes decoded at once.
const PIECE_BYTES: usize = 1 << 16;

/// Decodes with an encoding of the WHATWG; a mark has been removed.
pub(super) fn decode_as(encoding: &'static Encoding, bytes: &[u8]) -> DecodedText {
    let mut counter = BadSequences::default();
    let mut text = String::with_capacity(bytes.len() + 16);
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let mut done = 0;
    loop {
        let end = bytes.len().min(done + PIECE_BYTES);
        let room = decoder.max_utf8_buffer_length_without_replacement(end - done);
        text.reserve(room.unwrap_or(PIECE_BYTES * 4));
        let last = end == bytes.len();
        let (result, read) = decoder.decode_to_string_without_replacement(&bytes[done..end], &mut text, last);
        done += read;
        match result {
            DecoderResult::InputEmpty if last => break,
            DecoderResult::InputEmpty | DecoderResult::OutputFull => {}
            DecoderResult::Malformed(..) => counter.replace_in(&mut text),
        }
    }
    let source_is_utf8 = encoding == UTF_8 && counter.replaced == 0;
    counter.finish(text, encoding.name(), source_is_utf8)
}

/// Decodes UTF-32, which `encoding_rs` does not know because no browser does.
pub(super) fn decode_utf32(bytes: &[u8], encoding: &'static str, unit: fn([u8; 4]) -> u32) -> DecodedText {
    let (units, odd) = bytes.as_chunks::<4>();
    let mut counter = BadSequences::default();
    let mut text = String::with_capacity(units.len());
    for &bytes_of_unit in units {
        match char::from_u32(unit(bytes_of_unit)) {
            Some(character) => text.push(character),
            None => counter.replace_in(&mut text),
        }
    }
    if !odd.is_empty() {
        counter.replace_in(&mut text);
    }
    counter.finish(text, encoding, false)
}

/// Counts bad sequences and the lines they are in.
#[derive(Default)]
struct BadSequences {
    replaced: usize,
    lines: Vec<usize>,
    counted_bytes: usize,
    counted_lines: usize,
}

impl BadSequences {
    fn replace_in(&mut self, text: &mut String) {
        if self.lines.len() <= REPLACED_LINES_NAMED {
            let fresh = &text.as_bytes()[self.counted_bytes..];
            self.counted_lines += memchr::memchr_iter(b'\n', fresh).count();
            self.counted_bytes = text.len();
            let line = self.counted_lines + 1;
            if self.lines.last() != Some(&line) {
                self.lines.push(line);
            }
        }
        self.replaced += 1;
        text.push('\u{FFFD}');
    }

    fn finish(self, text: String, encoding: &'static str, source_is_utf8: bool) -> DecodedText {
        DecodedText {
            text,
            encoding,
            replaced: self.replaced,
            replaced_lines: self.lines,
            bom_bytes: 0,
            source_is_utf8,
        }
    }
}
