//! Words of a text as what is compared of it: a hash each.
//!
//! A word is a run between ASCII white space; a character of three or four UTF-8 bytes starts
//! one by itself, for scripts without spaces.

use crate::domain::lanes::{self, LANES};

const SEED: u64 = 0xcbf2_9ce4_8422_2325;
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// Calls back with hash, bytes and presence of digits.
#[inline]
pub(super) fn for_each_word(text: &[u8], mut word: impl FnMut(u64, usize, bool)) {
    let mut start = 0;
    while start < text.len() {
        if text[start].is_ascii_whitespace() {
            start += 1;
            continue;
        }
        let (mut at, mut hash, mut digits) = (start, SEED, 0);
        let mut bytes = lanes::load(text, at);
        // The first byte belongs to the word, whatever it is.
        let mut ends = ending(bytes) & !0x80;
        while ends == 0 {
            hash = fold(hash ^ bytes);
            digits |= lanes::digits(bytes);
            at += LANES;
            bytes = lanes::load(text, at);
            ends = ending(bytes);
        }
        let rest = lanes::length_before(ends);
        let own = lanes::first(rest);
        let length = at + rest - start;
        digits |= lanes::digits(bytes) & own;
        // A word that ends in zeros is told from a shorter one by its length.
        word(fold(hash ^ (bytes & own)) ^ length as u64, length, digits != 0);
        start += length;
    }
}

fn ending(bytes: u64) -> u64 {
    lanes::white_space(bytes) | lanes::wide(bytes)
}

/// Both halves of a product: every bit of the result depends on all bits (Wang Yi, wyhash).
#[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
#[inline]
pub(super) fn fold(bits: u64) -> u64 {
    let product = u128::from(bits) * u128::from(FACTOR);
    (product >> 64) as u64 ^ product as u64
}
