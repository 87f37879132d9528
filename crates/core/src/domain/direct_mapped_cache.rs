//! A small memory of what short texts stand for.
//!
//! Running text repeats its words, and looking one up here is several times cheaper than working it
//! out, or than a map. Direct-mapped: two texts of one slot drive each other out.

use super::byte_classes::{self, GROUP_BYTES};

/// Longest text, in bytes, that is remembered: it fits two words with its length.
pub const CACHED_TEXT_BYTES_MAX: usize = 15;

/// Values of short texts.
#[derive(Debug)]
pub struct DirectMappedCache<V> {
    slots: Vec<([u64; 2], V)>,
}

impl<V: Copy + Default> DirectMappedCache<V> {
    /// `slots` is rounded up to a power of two.
    pub fn new(slots: usize) -> Self {
        Self { slots: vec![<_>::default(); slots.next_power_of_two()] }
    }

    /// The value of the first `length` bytes of a text, `make` asked where it is not remembered;
    /// `length` is at least 1.
    #[inline]
    pub fn get_or(&mut self, text: &[u8], length: usize, make: impl FnOnce() -> V) -> V {
        if length > CACHED_TEXT_BYTES_MAX {
            return make();
        }
        let low = byte_classes::load_group(text, 0) & byte_classes::first_bytes_mask(length);
        let behind = GROUP_BYTES.min(text.len());
        let high = byte_classes::load_group(text, behind)
            & byte_classes::first_bytes_mask(length.saturating_sub(GROUP_BYTES));
        let key = [low, high | (length as u64) << (8 * (GROUP_BYTES - 1))];
        let mixed = (key[0] ^ key[1].rotate_left(29)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let index = (mixed >> 40) as usize & (self.slots.len() - 1);
        if self.slots[index].0 != key {
            self.slots[index] = (key, make());
        }
        self.slots[index].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_has_its_own_value() {
        let texts =
            ["a", "b", "ab", "ab\0", "\0", "abcdefgh", "abcdefghi", "fifteen letters", "sixteen letters!"];
        // With one slot each drives out the one before.
        for slots in [1, 64] {
            let mut memo = DirectMappedCache::new(slots);
            for (text, value) in texts.iter().zip(1..).cycle().take(3 * texts.len()) {
                let longer = format!("{text}, and more behind it");
                assert_eq!(memo.get_or(longer.as_bytes(), text.len(), || value), value, "{text:?}");
            }
        }
    }

    #[test]
    fn a_short_text_is_worked_out_once() {
        let (mut memo, mut asked) = (DirectMappedCache::new(64), 0);
        let mut ask = |text: &str| {
            memo.get_or(text.as_bytes(), text.len(), || {
                asked += 1;
                asked
            })
        };
        assert_eq!([ask("word"), ask("word"), ask("word")], [1; 3]);
        assert_eq!([ask("sixteen letters!"), ask("sixteen letters!")], [2, 3]);
    }
}
