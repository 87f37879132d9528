//! Words of a text as what is compared of it: a hash each.
//!
//! A word is a run between ASCII white space; a character of three or four UTF-8 bytes starts
//! one by itself, for scripts without spaces.

use crate::domain::lanes::{self, BLOCK, Kinds, LANES};

const SEED: u64 = 0xcbf2_9ce4_8422_2325;
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// Calls back with hash, bytes and presence of digits.
#[inline]
pub(super) fn for_each_word(text: &[u8], mut word: impl FnMut(u64, usize, bool)) {
    lanes::for_each_run(text, kinds, |start, end, has_digit| {
        let length = end - start;
        // Nearly all words have no more than two loads; asking which have one costs more than it saves.
        let mut at = (start + LANES).min(end);
        let mut hash = fold(SEED ^ (lanes::load(text, start) & lanes::first(length)));
        while end - at > LANES {
            hash = fold(hash ^ lanes::load(text, at));
            at += LANES;
        }
        let rest = lanes::load(text, at) & lanes::first(end - at);
        // A word that ends in zeros is told from a shorter one by its length.
        word(fold(hash ^ rest) ^ length as u64, length, has_digit);
    });
}

#[inline]
fn kinds(block: &[u8; BLOCK]) -> Kinds {
    let is_white = |byte: u8| (byte == b' ') | (byte.wrapping_sub(b'\t') < 5 && byte != 0x0B);
    Kinds {
        inside: !lanes::bits(block, is_white),
        starting: lanes::bits(block, |byte| byte >= 0xE0),
        marked: lanes::bits(block, |byte| byte.wrapping_sub(b'0') < 10),
    }
}

/// Both halves of a product: every bit of the result depends on all bits (Wang Yi, wyhash).
#[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
#[inline]
pub(super) fn fold(bits: u64) -> u64 {
    let product = u128::from(bits) * u128::from(FACTOR);
    (product >> 64) as u64 ^ product as u64
}
