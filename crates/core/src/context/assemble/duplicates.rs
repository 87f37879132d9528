//! Collapses candidates that say the same: the best one stays and carries the citations.
//!
//! Exact: equal texts, ASCII white space folded. Near: Jaccard similarity of the sets of
//! 3-word shingles ≥ 0.9, the lengths in the same proportion, so that none stands in for a
//! much cheaper one, and the same numbers: a row with another figure is not a duplicate.
//! What a word is [`super::word_hashes`] says.
//!
//! Pairs are found by prefix filtering, which misses none: sets this similar share one of
//! their lowest `n − ⌈0.9 n⌉ + 1` hashes (Chaudhuri et al., 2006; Bayardo et al., 2007). A text with
//! as many shingles that stand nowhere else is like no other, and is not looked at ([`ShingleOccurrences`]).
//! Parts of one document that overlap are not duplicates; they are united. Afterwards sentences
//! that stand in several candidates are found the same exact way ([`mark_repeats`]).

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::atoms::AtomizedCandidates;
use super::candidates::RankedCandidate;
use super::merge::spans_overlap;
use super::word_hashes::{for_each_word, mix_bits};
use crate::context::answer::{CandidateVerdict, Citation};

/// Words per shingle.
const SHINGLE_WORDS: usize = 3;
/// Similarity from which two texts are near duplicates, in tenths.
const SIMILARITY_TENTHS_MIN: usize = 9;

/// What is compared of one text.
struct ShingleSketch {
    /// Sum of the shingles' hashes, each as often as it occurs.
    whole: u64,
    /// Sum of the hashes of words with digits.
    numbers: u64,
    /// Hashes of the shingles; sorted, each once, when they are first compared.
    shingles: Vec<u64>,
    is_sorted: bool,
    /// The lowest of them, as many as similar sets share one of.
    prefix: Vec<u64>,
    /// Bytes of the words.
    bytes: usize,
}

impl ShingleSketch {
    fn sort(&mut self) {
        if !self.is_sorted {
            self.shingles.sort_unstable();
            self.shingles.dedup();
            self.is_sorted = true;
        }
    }
}

/// Marks duplicates; returns for every candidate where else its text stands.
pub(super) fn collapse_duplicates(items: &mut [RankedCandidate]) -> Vec<Vec<Citation>> {
    let mut also = vec![Vec::new(); items.len()];
    let mut sketches: Vec<Option<ShingleSketch>> = Vec::with_capacity(items.len());
    let outlines: Vec<Option<TextFingerprint>> = items
        .iter()
        .map(|item| item.is_live().then(|| TextFingerprint::from_text(&item.chunk.text)))
        .collect();
    let accompanied = find_comparable(&outlines);
    let shingles: Vec<Option<TextFingerprint>> = outlines
        .into_iter()
        .zip(accompanied)
        .map(|(outline, accompanied)| outline.filter(|_| accompanied).map(TextFingerprint::shingled))
        .collect();
    let occurrences = ShingleOccurrences::count_shingles(&shingles);
    let mut by_hash = ShinglePrefixIndex::default();
    for (index, outline) in shingles.into_iter().enumerate() {
        let mut sketch = outline.filter(|outline| occurrences.leave_open(&outline.hashes)).map(build_sketch);
        if let Some(other) = &mut sketch {
            let partners = by_hash.partners(&other.prefix, |candidate| {
                sketches[candidate].as_ref().is_some_and(|kept| is_plausible(kept, other))
            });
            let found = partners.into_iter().find_map(|partner| {
                let kept = sketches[partner].as_mut()?;
                Some((partner, compare_texts(&items[partner], kept, &items[index], other)?))
            });
            if let Some((partner, verdict)) = found {
                items[index].verdict = Some(verdict);
                let citation = items[index].citation();
                if citation != items[partner].citation() {
                    also[partner].push(citation);
                }
                sketch = None;
            } else {
                by_hash.add(&other.prefix, index);
            }
        }
        sketches.push(sketch);
    }
    also
}

/// How often each shingle stands in all texts together, at most: a counter may serve several, and stops
/// where it is full.
struct ShingleOccurrences {
    counters: Vec<u8>,
    shift: u32,
}

impl ShingleOccurrences {
    fn count_shingles(texts: &[Option<TextFingerprint>]) -> Self {
        let shingles: usize = texts.iter().flatten().map(|text| text.hashes.len()).sum();
        // Twice as many counters as shingles, so that most have one of their own.
        let bits = (shingles * 2).max(2).next_power_of_two().trailing_zeros();
        let mut counted = Self { counters: vec![0; 1 << bits], shift: u64::BITS - bits };
        for hash in texts.iter().flatten().flat_map(|text| &text.hashes) {
            let place = counted.place(*hash);
            counted.counters[place] = counted.counters[place].saturating_add(1);
        }
        counted
    }

    #[inline]
    fn place(&self, hash: u64) -> usize {
        usize::try_from(hash >> self.shift).unwrap_or(0)
    }

    /// Whether a text of these shingles, each as often as it occurs, can be similar to another: fewer
    /// stand nowhere else than may be missing there.
    fn leave_open(&self, shingles: &[u64]) -> bool {
        let alone = shingles.iter().filter(|hash| self.counters[self.place(**hash)] == 1).count();
        alone < prefix_length(shingles.len())
    }
}

/// Candidates by the hashes of their prefixes: a list for each hash, linked through `entries`.
#[derive(Default)]
struct ShinglePrefixIndex {
    heads: HashMap<u64, usize, RandomState>,
    /// Candidate, and the entry before it in the list.
    entries: Vec<(usize, Option<usize>)>,
}

impl ShinglePrefixIndex {
    fn add(&mut self, prefix: &[u64], candidate: usize) {
        for hash in prefix {
            let before = self.heads.insert(*hash, self.entries.len());
            self.entries.push((candidate, before));
        }
    }

    /// Plausible candidates that share a hash, ascending.
    fn partners(&self, prefix: &[u64], is_plausible: impl Fn(usize) -> bool) -> Vec<usize> {
        let mut partners = Vec::new();
        for hash in prefix {
            let mut at = self.heads.get(hash).copied();
            while let Some((candidate, before)) = at.map(|place| self.entries[place]) {
                if is_plausible(candidate) {
                    partners.push(candidate);
                }
                at = before;
            }
        }
        partners.sort_unstable();
        partners.dedup();
        partners
    }
}

/// How `other` duplicates `kept`, if it does.
fn compare_texts(
    first: &RankedCandidate,
    kept: &mut ShingleSketch,
    second: &RankedCandidate,
    other: &mut ShingleSketch,
) -> Option<CandidateVerdict> {
    if spans_overlap(first, second) && first.chunk.span != second.chunk.span {
        return None;
    }
    let of = first.chunk.id;
    let (left, right) = (&first.chunk.text, &second.chunk.text);
    if kept.whole == other.whole
        && (left == right || left.split_ascii_whitespace().eq(right.split_ascii_whitespace()))
    {
        return Some(CandidateVerdict::DuplicateOf { of });
    }
    if !may_be_similar(kept, other) {
        return None;
    }
    kept.sort();
    other.sort();
    is_similar(&kept.shingles, &other.shingles).then_some(CandidateVerdict::NearDuplicateOf { of })
}

/// Whether two texts have the same numbers and about the same length, as duplicates do.
fn is_plausible(kept: &ShingleSketch, other: &ShingleSketch) -> bool {
    let (shorter, longer) = (kept.bytes.min(other.bytes), kept.bytes.max(other.bytes));
    kept.numbers == other.numbers && shorter * 10 >= longer * SIMILARITY_TENTHS_MIN
}

/// Lowest hashes of which similar sets share at least one.
fn prefix_length(shingles: usize) -> usize {
    (shingles + 1).saturating_sub((shingles * SIMILARITY_TENTHS_MIN).div_ceil(10)).min(shingles)
}

/// Whether the lowest hashes leave it open that two sets are similar: up to the lower end of both,
/// no more stand in one alone than may in all.
fn may_be_similar(left: &ShingleSketch, right: &ShingleSketch) -> bool {
    let alone = |one: &ShingleSketch, other: &ShingleSketch| {
        let end = other.prefix.last().copied().unwrap_or(0);
        let below = one.prefix.iter().take_while(|hash| **hash <= end);
        below.filter(|hash| other.prefix.binary_search(hash).is_err()).count()
    };
    // |∩| / |∪| ≥ t  ⇒  |∪| − |∩| ≤ (1 − t) / (1 + t) · (|left| + |right|)
    let most = (10 - SIMILARITY_TENTHS_MIN) * (left.shingles.len() + right.shingles.len());
    (alone(left, right) + alone(right, left)) * (10 + SIMILARITY_TENTHS_MIN) <= most
}

/// Whether the Jaccard similarity of two sorted sets is at least the minimum.
fn is_similar(left: &[u64], right: &[u64]) -> bool {
    // |∩| / |∪| ≥ t  ⇔  (1 + t) · |∩| ≥ t · (|left| + |right|)
    let needed = (SIMILARITY_TENTHS_MIN * (left.len() + right.len())).div_ceil(10 + SIMILARITY_TENTHS_MIN);
    let (mut at_left, mut at_right, mut shared) = (0, 0, 0);
    while at_left < left.len() && at_right < right.len() {
        if shared + (left.len() - at_left).min(right.len() - at_right) < needed {
            return false;
        }
        let (one, other) = (left[at_left], right[at_right]);
        shared += usize::from(one == other);
        at_left += usize::from(one <= other);
        at_right += usize::from(other <= one);
    }
    shared >= needed
}

/// The words of a text, or its shingles, and what tells most texts apart.
struct TextFingerprint {
    hashes: Vec<u64>,
    numbers: u64,
    bytes: usize,
}

impl TextFingerprint {
    fn from_text(text: &str) -> Self {
        let mut hashes = Vec::with_capacity(text.len() / 5 + 1);
        let (mut numbers, mut bytes) = (0_u64, 0);
        for_each_word(text.as_bytes(), |hash, length, has_digit| {
            hashes.push(hash);
            bytes += length;
            numbers = numbers.wrapping_add(if has_digit { hash } else { 0 });
        });
        Self { hashes, numbers, bytes }
    }

    /// With shingles in place of words.
    fn shingled(self) -> Self {
        let Self { mut hashes, numbers, bytes } = self;
        if hashes.len() < SHINGLE_WORDS {
            let whole = hashes.iter().fold(0, |sum, hash| mix_bits(sum ^ hash));
            hashes.clear();
            hashes.push(whole);
        } else {
            for at in 0..=hashes.len() - SHINGLE_WORDS {
                let [first, second, third] = [hashes[at], hashes[at + 1], hashes[at + 2]];
                hashes[at] = mix_bits(first ^ second.rotate_left(21) ^ third.rotate_left(42));
            }
            hashes.truncate(hashes.len() + 1 - SHINGLE_WORDS);
        }
        Self { hashes, numbers, bytes }
    }
}

/// Which texts have another with the same numbers and about the same length: only those can be
/// duplicates.
fn find_comparable(outlines: &[Option<TextFingerprint>]) -> Vec<bool> {
    let mut accompanied = vec![false; outlines.len()];
    let mut order: Vec<(u64, usize, usize)> = Vec::with_capacity(outlines.len());
    for (index, outline) in outlines.iter().enumerate() {
        order.extend(outline.as_ref().map(|outline| (outline.numbers, outline.bytes, index)));
    }
    order.sort_unstable();
    for pair in order.windows(2) {
        let [(numbers, shorter, one), (others, longer, other)] = [pair[0], pair[1]];
        if numbers == others && shorter * 10 >= longer * SIMILARITY_TENTHS_MIN {
            accompanied[one] = true;
            accompanied[other] = true;
        }
    }
    accompanied
}

fn build_sketch(shingled: TextFingerprint) -> ShingleSketch {
    let TextFingerprint { hashes, numbers, bytes } = shingled;
    let whole = hashes.iter().fold(0, |sum: u64, hash| sum.wrapping_add(*hash));
    let mut sketch =
        ShingleSketch { whole, numbers, shingles: hashes, is_sorted: false, prefix: Vec::new(), bytes };
    sketch.prefix = lowest_hashes(&mut sketch);
    sketch
}

/// The lowest distinct hashes, at least as many as [`prefix_length`] asks for: it grows with the
/// size of the set, so that of all hashes, each counted as often as it occurs, is enough.
fn lowest_hashes(sketch: &mut ShingleSketch) -> Vec<u64> {
    let count = sketch.shingles.len();
    let wanted = prefix_length(count);
    // Hashes are spread evenly: about twice as many as wanted are below this one.
    let limit = (u64::MAX / count.max(1) as u64).saturating_mul(2 * wanted as u64);
    let mut lowest = vec![0; count];
    let mut below = 0;
    for hash in &sketch.shingles {
        lowest[below] = *hash;
        below += usize::from(*hash < limit);
    }
    lowest.truncate(below);
    lowest.sort_unstable();
    lowest.dedup();
    if lowest.len() >= wanted {
        lowest.truncate(wanted);
        return lowest;
    }
    sketch.sort();
    sketch.shingles[..prefix_length(sketch.shingles.len())].to_vec()
}

/// Shortest text, in bytes, that counts as a repetition: lines such as `}` stand where they do.
const REPEAT_BYTES_MIN: usize = 40;

/// Marks atoms whose text, white space at its ends aside, a better candidate has.
pub(super) fn mark_repeats(atoms: &mut AtomizedCandidates) {
    let mut order: Vec<usize> = (0..atoms.len()).collect();
    order.sort_by_key(|index| (atoms.atoms[*index].item, *index));
    let mut seen: HashMap<&str, usize, RandomState> =
        HashMap::with_capacity_and_hasher(atoms.len(), RandomState::default());
    let mut repeats = Vec::new();
    for index in order {
        let text = atoms.text(index).trim();
        if text.len() < REPEAT_BYTES_MIN {
            continue;
        }
        let original = *seen.entry(text).or_insert(index);
        if original != index {
            repeats.push((index, original));
        }
    }
    for (index, original) in repeats {
        atoms.atoms[index].repeats = Some(original);
    }
}
