//! The encoding of bytes that declare none: damaged UTF-8, UTF-16 without a mark, and what chardetng detects.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

use super::decoders::decode_as;
use super::{DecodedText, PRESCAN_BYTES, UndecodableText, is_readable};

/// Bytes, from shortly before the first that is not ASCII, that detection reads.
const DETECTION_BYTES: usize = 1 << 20;
/// So few bad sequences, this far apart, in what is ASCII otherwise are damage and no other encoding: a log
/// that one program wrote a file name to. Text in a legacy encoding has more, if only apostrophes.
const STRAY_MAX: usize = 3;
/// See [`STRAY_MAX`]; in characters.
const STRAY_ONE_IN: usize = 2000;
/// Valid UTF-8 characters that show that a text is not in an encoding of single bytes.
const MIXTURE_CHARACTERS_MIN: usize = 4;

/// Decodes bytes that declare nothing and are neither valid UTF-8 nor UTF-16.
pub(super) fn decode_detected(bytes: &[u8]) -> Result<DecodedText, UndecodableText> {
    let damaged = decode_as(UTF_8, bytes);
    let readable = is_readable(&damaged);
    let characters = damaged.text.chars().count();
    let beyond_ascii = damaged.text.chars().filter(|character| !character.is_ascii()).count();
    // The replaced ones are beyond ASCII, too: as many more must be valid.
    let is_utf8 = beyond_ascii >= 2 * damaged.replaced
        || (damaged.replaced == 1 && is_cut_at_end(bytes))
        || (damaged.replaced <= STRAY_MAX && characters >= damaged.replaced * STRAY_ONE_IN);
    if readable && is_utf8 {
        return Ok(damaged);
    }
    let guess = detect(bytes);
    let detected = decode_as(guess, bytes);
    // Characters of UTF-8 hardly ever stand in text of an encoding of single bytes: this would be a mixture.
    let is_mixture = guess.is_single_byte() && beyond_ascii >= damaged.replaced + MIXTURE_CHARACTERS_MIN;
    if detected.replaced == 0 && !is_mixture && looks_like_writing(&detected.text) {
        return Ok(detected);
    }
    if readable {
        return Ok(damaged);
    }
    let at = std::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len);
    let detail = format!(
        "not valid UTF-8 at byte {at}, and no other encoding can be told with confidence; convert the file with \
         `iconv -f ENCODING -t utf-8`, for example `iconv -f {} -t utf-8`",
        if guess == UTF_8 { "windows-1252" } else { guess.name() }
    );
    Err(UndecodableText { detail })
}

fn detect(bytes: &[u8]) -> &'static Encoding {
    let first = Encoding::ascii_valid_up_to(bytes).saturating_sub(64);
    let sample = &bytes[first..bytes.len().min(first + DETECTION_BYTES)];
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(sample, first + sample.len() == bytes.len());
    detector.guess(None, Utf8Detection::Deny)
}

/// Whether bytes are UTF-8 but for a character that is cut off at their end.
fn is_cut_at_end(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

/// Whether the characters beyond ASCII of a detected text stand where a writer puts them: letters beside
/// letters, typographic marks, no control characters. Four in five must; a NUL is in no writing.
pub(super) fn looks_like_writing(text: &str) -> bool {
    if text.contains('\0') {
        return false;
    }
    let (mut good, mut bad) = (0_usize, 0_usize);
    let mut previous = ' ';
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let next = characters.peek().copied().unwrap_or(' ');
        match character {
            '\t' | '\n' | '\r' | '\u{08}' | '\u{0B}' | '\u{0C}' | '\u{1B}' => {}
            '\u{80}'..='\u{9F}' | '\u{E000}'..='\u{F8FF}' | '\u{FFFD}' | '\u{7F}' => bad += 1,
            _ if character < ' ' => bad += 1,
            _ if character.is_ascii() => {}
            '¦' | '¨' | '¬' | '¯' | '´' | '¶' | '¸' | '¤' => bad += 1,
            'ÿ' if !next.is_alphabetic() => bad += 1,
            _ if character.is_alphabetic() => {
                let beside = previous.is_alphabetic() || next.is_alphabetic();
                // A capital inside of a word in small letters is how misread text looks: "fÃ¼r".
                let misread = previous.is_lowercase() && character.is_uppercase();
                good += usize::from(beside && !misread);
                bad += usize::from(misread);
            }
            // Marks in the middle of a word are misread, too, but for the apostrophe and the hyphen.
            '£' | '§' | '©' | '«' | '°' | '±' | '¿' | '¡' | '¼' | '½' | '¾' | '¹' | '²' | '³'
                if previous.is_alphabetic() && next.is_alphabetic() =>
            {
                bad += 1;
            }
            _ => good += 1,
        }
        previous = character;
    }
    bad * 4 <= good
}

/// Returns the encoding of UTF-16 without a mark: text of European languages has a zero in every second byte.
pub(super) fn utf16_without_mark(bytes: &[u8]) -> Option<&'static Encoding> {
    let (pairs, odd) = bytes[..bytes.len().min(PRESCAN_BYTES)].as_chunks::<2>();
    if pairs.len() < 2 || !odd.is_empty() {
        return None;
    }
    let high_first = pairs.iter().filter(|pair| pair[0] == 0).count();
    let high_last = pairs.iter().filter(|pair| pair[1] == 0).count();
    let (many, few) = (pairs.len() / 2, pairs.len() / 10);
    if high_last >= many && high_first <= few {
        return Some(UTF_16LE);
    }
    (high_first >= many && high_last <= few).then_some(UTF_16BE)
}
