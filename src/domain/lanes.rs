//! Eight bytes of a text at a time, without branches for each.
//!
//! A mask has the high bit of every byte that is meant and no other bit. The lowest byte is the
//! first of the text.

/// Bytes that are looked at together.
pub const LANES: usize = 8;

const EACH: u64 = 0x0101_0101_0101_0101;
const LOW: u64 = 0x7F * EACH;
const HIGH: u64 = 0x80 * EACH;

/// The bytes from a place on; spaces behind the end.
#[inline]
pub fn load(text: &[u8], at: usize) -> u64 {
    let rest = &text[at..];
    match rest.first_chunk::<LANES>() {
        Some(lanes) => u64::from_le_bytes(*lanes),
        None => rest.iter().rev().fold(u64::from(b' ') * EACH, |lanes, byte| lanes << 8 | u64::from(*byte)),
    }
}

/// ASCII white space, as [`u8::is_ascii_whitespace`] has it.
#[inline]
pub fn white_space(lanes: u64) -> u64 {
    let low = lanes & LOW;
    let breaks = at_least(low, b'\t') & !at_least(low, b'\r' + 1) & !equal(low, 0x0B);
    (breaks | equal(low, b' ')) & !lanes & HIGH
}

/// ASCII digits.
#[inline]
pub fn digits(lanes: u64) -> u64 {
    within(lanes & LOW, b'0', b'9') & !lanes & HIGH
}

/// ASCII letters.
#[inline]
pub fn letters(lanes: u64) -> u64 {
    within((lanes & LOW) | (u64::from(b' ') * EACH), b'a', b'z') & !lanes & HIGH
}

/// Full stops, exclamation and question marks, and whatever is not ASCII.
#[inline]
pub fn full_stops(lanes: u64) -> u64 {
    let low = lanes & LOW;
    (equal(low, b'.') | equal(low, b'!') | equal(low, b'?') | lanes) & HIGH
}

/// First bytes of characters of three or four.
#[inline]
pub fn wide(lanes: u64) -> u64 {
    lanes & lanes << 1 & lanes << 2 & HIGH
}

/// Bytes that are not meant.
#[inline]
pub fn others(mask: u64) -> u64 {
    !mask & HIGH
}

/// Bytes before the first that is meant; [`LANES`] where none is.
#[inline]
pub fn length_before(mask: u64) -> usize {
    mask.trailing_zeros() as usize / 8
}

/// All bits of the first `length` bytes, of at most [`LANES`].
#[inline]
pub fn first(length: usize) -> u64 {
    if length < LANES { (1 << (8 * length)) - 1 } else { u64::MAX }
}

/// High bits of bytes below 128 that are in a range; other bits are noise.
#[inline]
fn within(low: u64, from: u8, to: u8) -> u64 {
    at_least(low, from) & !at_least(low, to + 1)
}

#[inline]
fn at_least(low: u64, bound: u8) -> u64 {
    low + u64::from(0x80 - bound) * EACH
}

#[inline]
fn equal(low: u64, byte: u8) -> u64 {
    !((low ^ (u64::from(byte) * EACH)) + LOW)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_those_of_single_bytes() {
        type Kind = (fn(u64) -> u64, fn(&u8) -> bool);
        let kinds: [Kind; 5] = [
            (white_space, u8::is_ascii_whitespace),
            (digits, u8::is_ascii_digit),
            (letters, u8::is_ascii_alphabetic),
            (full_stops, |byte| matches!(byte, b'.' | b'!' | b'?' | 0x80..)),
            (wide, |byte| *byte >= 0xE0),
        ];
        for (mask, belongs) in kinds {
            // Every byte beside every other.
            for one in 0..=u8::MAX {
                for other in 0..=u8::MAX {
                    let bytes = [one, other, one, one, other, other, one, other];
                    let expected = bytes.map(|byte| if belongs(&byte) { 0x80 } else { 0 });
                    assert_eq!(mask(load(&bytes, 0)), u64::from_le_bytes(expected), "{one} {other}");
                }
            }
        }
    }

    #[test]
    fn spaces_follow_a_text() {
        assert_eq!(load(b"ab", 1), u64::from_le_bytes(*b"b       "));
        assert_eq!(load(b"ab", 2), u64::from_le_bytes([b' '; LANES]));
        assert_eq!(load(b"0123456789", 2), u64::from_le_bytes(*b"23456789"));
    }

    #[test]
    fn lengths_and_what_is_before() {
        assert_eq!(length_before(0), LANES);
        assert_eq!(length_before(white_space(load(b"word next", 0))), 4);
        assert_eq!([first(0), first(1), first(LANES)], [0, 0xFF, u64::MAX]);
    }
}
