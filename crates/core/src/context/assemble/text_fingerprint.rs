//! Hashes of the words and shingles of a text, for finding duplicates.
//!
//! A word is a run between ASCII white space. A character of three or four UTF-8 bytes starts a
//! word of its own, for scripts without spaces. Hashes are 64 bits, seeded with constants: equal
//! texts have equal fingerprints in every process.

use contexture_byte_tools::byte_classes::{self, BLOCK_BYTES, GROUP_BYTES, RunByteMasks};

/// Words per shingle.
const SHINGLE_WORDS: usize = 3;
/// The offset basis of 64-bit FNV.
const HASH_SEED: u64 = 0xcbf2_9ce4_8422_2325;
/// 2^64 divided by the golden ratio.
const HASH_FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// Hashes of a text's words or shingles, and what tells most texts apart.
pub(super) struct TextFingerprint {
    /// Hashes of the words, then of the shingles; in text order, repetitions included.
    pub(super) hashes: Vec<u64>,
    /// Sum of the hashes of words with digits.
    pub(super) numbers: u64,
    /// Bytes of the words.
    pub(super) bytes: usize,
}

impl TextFingerprint {
    /// The fingerprint of a text's words.
    pub(super) fn from_text(text: &str) -> Self {
        // English has about six bytes to a word with its space; the vector rarely grows.
        let mut hashes = Vec::with_capacity(text.len() / 5 + 1);
        let (mut numbers, mut bytes) = (0_u64, 0);
        for_each_word(text.as_bytes(), |hash, length, has_digit| {
            hashes.push(hash);
            bytes += length;
            // A sum does not depend on order: it compares which numbers occur, not where.
            numbers = numbers.wrapping_add(if has_digit { hash } else { 0 });
        });
        Self { hashes, numbers, bytes }
    }

    /// Replaces the words with shingles of [`SHINGLE_WORDS`] words.
    pub(super) fn shingled(self) -> Self {
        let Self { mut hashes, numbers, bytes } = self;
        if hashes.len() < SHINGLE_WORDS {
            // Too short for a shingle: the whole text is one, so that it can still equal another.
            let whole = hashes.iter().fold(0, |sum, hash| mix_bits(sum ^ hash));
            hashes.clear();
            hashes.push(whole);
        } else {
            // In place: the shingle at `at` overwrites a word that no later shingle reads.
            for at in 0..=hashes.len() - SHINGLE_WORDS {
                let [first, second, third] = [hashes[at], hashes[at + 1], hashes[at + 2]];
                // The rotations make the hash depend on the order of the words.
                hashes[at] = mix_bits(first ^ second.rotate_left(21) ^ third.rotate_left(42));
            }
            hashes.truncate(hashes.len() + 1 - SHINGLE_WORDS);
        }
        Self { hashes, numbers, bytes }
    }
}

/// Calls back with the hash, the length in bytes and whether a digit occurs, for each word.
#[inline]
fn for_each_word(text: &[u8], mut word: impl FnMut(u64, usize, bool)) {
    byte_classes::for_each_run(text, classify_bytes, |start, end, has_digit| {
        let length = end - start;
        // Nearly all words fit two loads. Both are always done: a branch on the length costs more.
        let mut at = (start + GROUP_BYTES).min(end);
        let mut hash = mix_bits(
            HASH_SEED ^ (byte_classes::load_group(text, start) & byte_classes::first_bytes_mask(length)),
        );
        while end - at > GROUP_BYTES {
            hash = mix_bits(hash ^ byte_classes::load_group(text, at));
            at += GROUP_BYTES;
        }
        let rest = byte_classes::load_group(text, at) & byte_classes::first_bytes_mask(end - at);
        // The mask pads with zeros; the length tells a word that ends in NUL bytes from a shorter one.
        word(mix_bits(hash ^ rest) ^ length as u64, length, has_digit);
    });
}

#[inline]
fn classify_bytes(block: &[u8; BLOCK_BYTES]) -> RunByteMasks {
    // No short circuits: without branches the compiler compares the bytes of a block at once.
    let is_white = |byte: u8| (byte == b' ') | (byte.wrapping_sub(b'\t') < 5 && byte != 0x0B);
    RunByteMasks {
        inside: !byte_classes::block_mask(block, is_white),
        // Lead bytes of three and four bytes in UTF-8.
        starting: byte_classes::block_mask(block, |byte| byte >= 0xE0),
        marked: byte_classes::block_mask(block, |byte| byte.wrapping_sub(b'0') < 10),
    }
}

/// Folds both halves of a product: every bit of the result depends on all bits (Wang Yi, wyhash).
#[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
#[inline]
fn mix_bits(bits: u64) -> u64 {
    let product = u128::from(bits) * u128::from(HASH_FACTOR);
    (product >> 64) as u64 ^ product as u64
}
