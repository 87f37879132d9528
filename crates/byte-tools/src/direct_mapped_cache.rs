//! A direct-mapped cache of values of short texts.
//!
//! Running text repeats its words. A lookup here is several times cheaper than computing the value, or
//! than a hash map. Direct-mapped: a collision evicts the older entry.

use super::byte_classes::{self, GROUP_BYTES};

/// Longest text that is cached, in bytes: with its length it fits two words.
pub const CACHED_TEXT_BYTES_MAX: usize = 15;

/// A cache of values by short text.
#[derive(Debug)]
pub struct DirectMappedCache<V> {
    slots: Vec<([u64; 2], V)>,
}

impl<V: Copy + Default> DirectMappedCache<V> {
    /// A cache of `slots` entries, rounded up to a power of two.
    pub fn new(slots: usize) -> Self {
        Self { slots: vec![<_>::default(); slots.next_power_of_two()] }
    }

    /// The value of the first `length` bytes of a text; `make` computes it on a miss. `length` is at
    /// least 1.
    #[inline]
    pub fn get_or(&mut self, text: &[u8], length: usize, make: impl FnOnce() -> V) -> V {
        debug_assert!(length > 0, "an empty text has no key");
        if length > CACHED_TEXT_BYTES_MAX {
            return make();
        }
        let low = byte_classes::load_group(text, 0) & byte_classes::first_bytes_mask(length);
        // `load_group` reads past `length`, into the text or into padding; the masks cut that off.
        let behind = GROUP_BYTES.min(text.len());
        let high = byte_classes::load_group(text, behind)
            & byte_classes::first_bytes_mask(length.saturating_sub(GROUP_BYTES));
        // The length makes texts with trailing zero bytes differ, and no key equal to an empty slot's
        // zeroes, because it is at least 1.
        let key = [low, high | (length as u64) << (8 * (GROUP_BYTES - 1))];
        // Fibonacci hashing; its high bits are the good ones.
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
            let mut cache = DirectMappedCache::new(slots);
            for (text, value) in texts.iter().zip(1..).cycle().take(3 * texts.len()) {
                let longer = format!("{text}, and more behind it");
                assert_eq!(cache.get_or(longer.as_bytes(), text.len(), || value), value, "{text:?}");
            }
        }
    }

    #[test]
    fn a_short_text_is_computed_once() {
        let (mut cache, mut computed) = (DirectMappedCache::new(64), 0);
        let mut look_up = |text: &str| {
            cache.get_or(text.as_bytes(), text.len(), || {
                computed += 1;
                computed
            })
        };
        assert_eq!([look_up("word"), look_up("word"), look_up("word")], [1; 3]);
        assert_eq!([look_up("sixteen letters!"), look_up("sixteen letters!")], [2, 3]);
    }
}
