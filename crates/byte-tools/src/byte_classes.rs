//! Classifies the bytes of a text, 8 or 64 at a time, without a branch for each (SWAR).
//!
//! A mask of a group of eight bytes has the high bit set in every matching byte and no other bit. The
//! lowest byte is the first of the text. A mask of a block of 64 has one bit for each byte
//! ([`block_mask`]); compilers vectorise it, so it pays where all runs of a text are needed.

/// Bytes of a group.
pub const GROUP_BYTES: usize = 8;

/// Bytes of a block, for [`block_mask`].
pub const BLOCK_BYTES: usize = 64;

const EACH_BYTE: u64 = 0x0101_0101_0101_0101;
const LOW_BITS: u64 = 0x7F * EACH_BYTE;
const HIGH_BITS: u64 = 0x80 * EACH_BYTE;

/// Loads the group that starts at `at`, padded with spaces after the end of the text.
#[inline]
pub fn load_group(text: &[u8], at: usize) -> u64 {
    let rest = &text[at..];
    match rest.first_chunk::<GROUP_BYTES>() {
        Some(group) => u64::from_le_bytes(*group),
        // Shifts the bytes in from the last to the first; what is left of the spaces is the padding.
        None => {
            rest.iter().rev().fold(u64::from(b' ') * EACH_BYTE, |group, byte| group << 8 | u64::from(*byte))
        }
    }
}

/// The ASCII digits.
#[inline]
pub fn digit_mask(group: u64) -> u64 {
    range_mask(group & LOW_BITS, b'0', b'9') & !group & HIGH_BITS
}

/// The ASCII letters.
#[inline]
pub fn letter_mask(group: u64) -> u64 {
    // Setting the bit of a space maps capitals to small letters and makes nothing else a letter.
    range_mask((group & LOW_BITS) | (u64::from(b' ') * EACH_BYTE), b'a', b'z') & !group & HIGH_BITS
}

/// Full stops, exclamation and question marks, and all bytes that are not ASCII.
#[inline]
pub fn sentence_stop_mask(group: u64) -> u64 {
    let low = group & LOW_BITS;
    // The high bits of the group itself are those of the bytes that are not ASCII.
    (equal_mask(low, b'.') | equal_mask(low, b'!') | equal_mask(low, b'?') | group) & HIGH_BITS
}

/// The complement of a mask.
#[inline]
pub fn complement_mask(mask: u64) -> u64 {
    !mask & HIGH_BITS
}

/// Number of bytes before the first match; [`GROUP_BYTES`] if there is none.
#[inline]
pub fn bytes_before(mask: u64) -> usize {
    // An empty mask has 64 trailing zeros.
    mask.trailing_zeros() as usize / 8
}

/// All bits of the first `length` bytes, of at most [`GROUP_BYTES`].
#[inline]
pub fn first_bytes_mask(length: usize) -> u64 {
    // A shift by all 64 bits would overflow.
    if length < GROUP_BYTES { (1 << (8 * length)) - 1 } else { u64::MAX }
}

/// One bit for every matching byte of a block. A test without branches is vectorised.
#[inline]
pub fn block_mask(block: &[u8; BLOCK_BYTES], matches: impl Fn(u8) -> bool) -> u64 {
    let mut flags = [0; BLOCK_BYTES];
    for (at, flag) in flags.iter_mut().enumerate() {
        *flag = u8::from(matches(block[at]));
    }
    let (groups, _) = flags.as_chunks::<GROUP_BYTES>();
    // The product gathers the lowest bits of the eight bytes in its highest byte.
    let together = |flags_of_group: &[u8; GROUP_BYTES]| {
        u64::from_le_bytes(*flags_of_group).wrapping_mul(0x0102_0408_1020_4080) >> 56
    };
    groups.iter().rev().fold(0, |bits, flags_of_group| bits << GROUP_BYTES | together(flags_of_group))
}

/// The classes of a block's bytes, for [`for_each_run`].
#[derive(Debug, Clone, Copy)]
pub struct RunByteMasks {
    /// Bytes of runs.
    pub inside: u64,
    /// Those that start a run, whatever comes before.
    pub starting: u64,
    /// Those that mark their run.
    pub marked: u64,
}

/// Calls back with the start and end of every run, and whether it contains a marked byte. Spaces must
/// not belong to runs.
#[inline]
pub fn for_each_run(
    text: &[u8],
    kinds: impl Fn(&[u8; BLOCK_BYTES]) -> RunByteMasks,
    mut run: impl FnMut(usize, usize, bool),
) {
    debug_assert_eq!(kinds(&[b' '; BLOCK_BYTES]).inside, 0, "spaces end runs");
    let (blocks, rest) = text.as_chunks::<BLOCK_BYTES>();
    // At least one space follows the rest, so the last run ends inside of this block.
    let mut last = [b' '; BLOCK_BYTES];
    last[..rest.len()].copy_from_slice(rest);
    let (mut start, mut before, mut marked_to) = (0, 0, 0);
    let mut base = 0;
    for block in blocks.iter().chain([&last]) {
        let RunByteMasks { inside, starting, marked } = kinds(block);
        // A run ends before a byte whose predecessor is inside, if the byte is outside or starts a run.
        let inside_before = inside << 1 | before;
        let mut ends = inside_before & (!inside | starting);
        let mut starts = inside & (!inside_before | starting);
        // Carries the last byte of the block over to the next one.
        before = inside >> (BLOCK_BYTES - 1);
        while ends != 0 {
            let bit = ends.trailing_zeros();
            // Clears the lowest set bit.
            ends &= ends - 1;
            // No start before this end means that the run began in an earlier block.
            let first = starts & ((1 << bit) - 1);
            if first != 0 {
                start = base + first.trailing_zeros() as usize;
                starts &= !first;
            }
            if marked != 0 {
                marked_to = end_of_mask(marked & ((1 << bit) - 1), base).unwrap_or(marked_to);
            }
            run(start, base + bit as usize, marked_to > start);
        }
        if starts != 0 {
            start = base + starts.trailing_zeros() as usize;
        }
        marked_to = end_of_mask(marked, base).unwrap_or(marked_to);
        base += BLOCK_BYTES;
    }
}

/// The byte after the last match of a mask, in the block that starts at `base`.
#[inline]
fn end_of_mask(mask: u64, base: usize) -> Option<usize> {
    (mask != 0).then(|| base + BLOCK_BYTES - mask.leading_zeros() as usize)
}

/// The high bit of every byte in a range, for bytes below 128; other bits are noise.
#[inline]
fn range_mask(low: u64, from: u8, to: u8) -> u64 {
    at_least_mask(low, from) & !at_least_mask(low, to + 1)
}

#[inline]
fn at_least_mask(low: u64, bound: u8) -> u64 {
    // The sum of a byte reaches its high bit from `bound` on, and never carries into the next: 0x7F +
    // 0x80 is below 256.
    low + u64::from(0x80 - bound) * EACH_BYTE
}

#[inline]
fn equal_mask(low: u64, byte: u8) -> u64 {
    // The difference is 0 where the bytes are equal; adding 0x7F to any other sets the high bit.
    !((low ^ (u64::from(byte) * EACH_BYTE)) + LOW_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_those_of_single_bytes() {
        type ByteClassCase = (fn(u64) -> u64, fn(&u8) -> bool);
        let kinds: [ByteClassCase; 3] = [
            (digit_mask, u8::is_ascii_digit),
            (letter_mask, u8::is_ascii_alphabetic),
            (sentence_stop_mask, |byte| matches!(byte, b'.' | b'!' | b'?' | 0x80..)),
        ];
        for (mask, belongs) in kinds {
            // Every byte beside every other.
            for one in 0..=u8::MAX {
                for other in 0..=u8::MAX {
                    let bytes = [one, other, one, one, other, other, one, other];
                    let expected = bytes.map(|byte| if belongs(&byte) { 0x80 } else { 0 });
                    assert_eq!(mask(load_group(&bytes, 0)), u64::from_le_bytes(expected), "{one} {other}");
                }
            }
        }
    }

    #[test]
    fn spaces_follow_a_text() {
        assert_eq!(load_group(b"ab", 1), u64::from_le_bytes(*b"b       "));
        assert_eq!(load_group(b"ab", 2), u64::from_le_bytes([b' '; GROUP_BYTES]));
        assert_eq!(load_group(b"0123456789", 2), u64::from_le_bytes(*b"23456789"));
    }

    #[test]
    fn lengths_and_what_is_before() {
        assert_eq!(bytes_before(0), GROUP_BYTES);
        assert_eq!(bytes_before(complement_mask(letter_mask(load_group(b"word next", 0)))), 4);
        assert_eq!(
            [first_bytes_mask(0), first_bytes_mask(1), first_bytes_mask(GROUP_BYTES)],
            [0, 0xFF, u64::MAX]
        );
    }

    #[test]
    fn runs_are_those_of_single_bytes() {
        let is_inside = |byte: u8| byte != b' ';
        let kinds = |block: &[u8; BLOCK_BYTES]| RunByteMasks {
            inside: block_mask(block, is_inside),
            starting: block_mask(block, |byte| byte == b'^'),
            marked: block_mask(block, |byte| byte == b'1'),
        };
        // Runs of all lengths at all places of a block, to its borders and over them; every second is
        // of one piece.
        let mut text = Vec::new();
        for length in 0..150_usize {
            let is_start = |at: usize| length % 2 == 1 && at % 41 == 40;
            text.extend((0..length).map(|at| if is_start(at) { b'^' } else { b"abcdefg"[at % 7] }));
            text.extend(if length % 3 == 0 { *b"1  " } else { *b"2 1" });
            text.resize(text.len() + length % 5, b' ');
        }
        for cut in [text.len(), 128, 64, 63, 1, 0] {
            let text = &text[..cut];
            let mut expected = Vec::new();
            let mut at = 0;
            while at < text.len() {
                let goes_on = |byte: &&u8| is_inside(**byte) && **byte != b'^';
                let length = 1 + text[at + 1..].iter().take_while(goes_on).count();
                if is_inside(text[at]) {
                    expected.push((at, at + length, text[at..at + length].contains(&b'1')));
                    at += length;
                } else {
                    at += 1;
                }
            }
            let mut runs = Vec::new();
            for_each_run(text, kinds, |start, end, marked| runs.push((start, end, marked)));
            assert_eq!(runs, expected);
        }
    }
}
