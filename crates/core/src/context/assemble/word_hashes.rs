//! Words of a text as what is compared of it: a hash each.
//!
//! A word is a run between ASCII white space; a character of three or four UTF-8 bytes starts
//! one by itself, for scripts without spaces.

use crate::domain::byte_classes::{self, BLOCK_BYTES, GROUP_BYTES, RunByteMasks};

const HASH_SEED: u64 = 0xcbf2_9ce4_8422_2325;
const HASH_FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// Calls back with hash, bytes and presence of digits.
#[inline]
pub(super) fn for_each_word(text: &[u8], mut word: impl FnMut(u64, usize, bool)) {
    byte_classes::for_each_run(text, classify_bytes, |start, end, has_digit| {
        let length = end - start;
        // Nearly all words have no more than two loads; asking which have one costs more than it saves.
        let mut at = (start + GROUP_BYTES).min(end);
        let mut hash = mix_bits(
            HASH_SEED ^ (byte_classes::load_group(text, start) & byte_classes::first_bytes_mask(length)),
        );
        while end - at > GROUP_BYTES {
            hash = mix_bits(hash ^ byte_classes::load_group(text, at));
            at += GROUP_BYTES;
        }
        let rest = byte_classes::load_group(text, at) & byte_classes::first_bytes_mask(end - at);
        // A word that ends in zeros is told from a shorter one by its length.
        word(mix_bits(hash ^ rest) ^ length as u64, length, has_digit);
    });
}

#[inline]
fn classify_bytes(block: &[u8; BLOCK_BYTES]) -> RunByteMasks {
    let is_white = |byte: u8| (byte == b' ') | (byte.wrapping_sub(b'\t') < 5 && byte != 0x0B);
    RunByteMasks {
        inside: !byte_classes::block_mask(block, is_white),
        starting: byte_classes::block_mask(block, |byte| byte >= 0xE0),
        marked: byte_classes::block_mask(block, |byte| byte.wrapping_sub(b'0') < 10),
    }
}

/// Both halves of a product: every bit of the result depends on all bits (Wang Yi, wyhash).
#[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
#[inline]
pub(super) fn mix_bits(bits: u64) -> u64 {
    let product = u128::from(bits) * u128::from(HASH_FACTOR);
    (product >> 64) as u64 ^ product as u64
}
