//! Deduplication: the best of several equal candidates stays and carries the others' citations.
//!
//! Exact duplicates have equal texts, with ASCII white space folded. Near duplicates have a Jaccard
//! similarity of at least 0.9 between their sets of 3-word shingles, lengths in the same proportion,
//! and the same numbers. The length rule keeps a text from standing in for a much cheaper one. The
//! number rule keeps table rows with different figures apart. [`super::text_fingerprint`] says what
//! a word is.
//!
//! Prefix filtering finds all pairs: two sets this similar share one of their lowest
//! `n − ⌈0.9 n⌉ + 1` hashes (Chaudhuri et al., 2006; Bayardo et al., 2007). A text with that many
//! shingles that occur nowhere else has no near duplicate and is skipped ([`ShingleOccurrences`]).
//! Overlapping parts of one document are not duplicates; they are merged. Atoms that repeat the
//! text of a better candidate are marked afterwards, by exact comparison ([`mark_repeats`]).

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::atoms::AtomizedCandidates;
use super::candidates::{RankedCandidate, spans_overlap};
use super::text_fingerprint::TextFingerprint;
use crate::context::answer::{CandidateVerdict, Citation};

/// Least similarity of near duplicates, in tenths.
const SIMILARITY_TENTHS_MIN: usize = 9;

/// What is compared between two texts.
struct ShingleSketch {
    /// Sum of the hashes of all shingles, repetitions included.
    whole: u64,
    /// Sum of the hashes of words with digits.
    numbers: u64,
    /// Hashes of the shingles; sorted and made distinct when they are first compared.
    shingles: Vec<u64>,
    is_sorted: bool,
    /// The lowest hashes, sorted: so many that similar sets share at least one.
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

/// Marks duplicates. Returns, for every candidate, the citations of its duplicates.
pub(super) fn collapse_duplicates(items: &mut [RankedCandidate]) -> Vec<Vec<Citation>> {
    let mut also = vec![Vec::new(); items.len()];
    let mut sketches: Vec<Option<ShingleSketch>> = Vec::with_capacity(items.len());
    let fingerprints: Vec<Option<TextFingerprint>> = items
        .iter()
        .map(|item| item.is_live().then(|| TextFingerprint::from_text(&item.chunk.text)))
        .collect();
    // Cheap filters first: most texts have no partner of the same length and numbers, and shingles are
    // only built for those that have.
    let comparable = find_comparable(&fingerprints);
    let shingles: Vec<Option<TextFingerprint>> = fingerprints
        .into_iter()
        .zip(comparable)
        .map(|(fingerprint, comparable)| fingerprint.filter(|_| comparable).map(TextFingerprint::shingled))
        .collect();
    let occurrences = ShingleOccurrences::count_shingles(&shingles);
    let mut by_hash = ShinglePrefixIndex::default();
    for (index, fingerprint) in shingles.into_iter().enumerate() {
        let mut sketch =
            fingerprint.filter(|fingerprint| occurrences.leave_open(&fingerprint.hashes)).map(build_sketch);
        if let Some(other) = &mut sketch {
            let partners = by_hash.partners(&other.prefix, |candidate| {
                sketches[candidate].as_ref().is_some_and(|kept| is_plausible(kept, other))
            });
            // Candidates come best first and partners ascend: the best of several originals is found.
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
                // Not in the index: a duplicate of a duplicate is compared with the original, so no chain
                // drifts away from it.
                sketch = None;
            } else {
                by_hash.add(&other.prefix, index);
            }
        }
        sketches.push(sketch);
    }
    also
}

/// Upper bound of how often each shingle occurs in all texts together. Several shingles may share a
/// counter, and a full counter stays at 255.
struct ShingleOccurrences {
    counters: Vec<u8>,
    shift: u32,
}

impl ShingleOccurrences {
    fn count_shingles(texts: &[Option<TextFingerprint>]) -> Self {
        let shingles: usize = texts.iter().flatten().map(|text| text.hashes.len()).sum();
        // At least two counters for each shingle, so that most shingles have their own.
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

    /// Whether a text with these shingles, repetitions included, may be similar to another: fewer of
    /// them occur nowhere else than a similar text may lack.
    fn leave_open(&self, shingles: &[u64]) -> bool {
        // A counter of 1 is exact: collisions only make shingles look more frequent.
        let alone = shingles.iter().filter(|hash| self.counters[self.place(**hash)] == 1).count();
        alone < prefix_length(shingles.len())
    }
}

/// Inverted index of candidates by the hashes of their prefixes: one list for each hash, linked through
/// `entries`.
#[derive(Default)]
struct ShinglePrefixIndex {
    heads: HashMap<u64, usize, RandomState>,
    /// The candidate, and the previous entry of the list. One vector for all lists: no allocation for
    /// each hash.
    entries: Vec<(usize, Option<usize>)>,
}

impl ShinglePrefixIndex {
    fn add(&mut self, prefix: &[u64], candidate: usize) {
        for hash in prefix {
            let before = self.heads.insert(*hash, self.entries.len());
            self.entries.push((candidate, before));
        }
    }

    /// Plausible candidates that share a hash, in ascending order.
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

/// Returns how `other` duplicates `kept`, if it does.
fn compare_texts(
    first: &RankedCandidate,
    kept: &mut ShingleSketch,
    second: &RankedCandidate,
    other: &mut ShingleSketch,
) -> Option<CandidateVerdict> {
    if spans_overlap(first, second) && first.chunk.span != second.chunk.span {
        return None;
    }
    // Equal sums of hashes are nearly always equal texts, but only the texts prove it.
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

/// Whether two texts have the same numbers and about the same length, as all duplicates have.
fn is_plausible(kept: &ShingleSketch, other: &ShingleSketch) -> bool {
    let (shorter, longer) = (kept.bytes.min(other.bytes), kept.bytes.max(other.bytes));
    kept.numbers == other.numbers && shorter * 10 >= longer * SIMILARITY_TENTHS_MIN
}

/// Number of lowest hashes of which similar sets share at least one.
fn prefix_length(shingles: usize) -> usize {
    (shingles + 1).saturating_sub((shingles * SIMILARITY_TENTHS_MIN).div_ceil(10)).min(shingles)
}

/// Whether two sets may be similar, judged by their lowest hashes: up to the lower end of both prefixes,
/// no more hashes occur in only one of them than may in the whole sets.
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
    // Stops as soon as the rest of the shorter set cannot make up for what is missing.
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

/// Which texts have another with the same numbers and about the same length. Only those can be
/// duplicates.
fn find_comparable(fingerprints: &[Option<TextFingerprint>]) -> Vec<bool> {
    let mut comparable = vec![false; fingerprints.len()];
    let mut order: Vec<(u64, usize, usize)> = Vec::with_capacity(fingerprints.len());
    for (index, fingerprint) in fingerprints.iter().enumerate() {
        order.extend(fingerprint.as_ref().map(|fingerprint| (fingerprint.numbers, fingerprint.bytes, index)));
    }
    order.sort_unstable();
    // Sorted by numbers, then length: if a text has any partner, a direct neighbour is one.
    for pair in order.windows(2) {
        let [(numbers, shorter, one), (others, longer, other)] = [pair[0], pair[1]];
        if numbers == others && shorter * 10 >= longer * SIMILARITY_TENTHS_MIN {
            comparable[one] = true;
            comparable[other] = true;
        }
    }
    comparable
}

fn build_sketch(shingled: TextFingerprint) -> ShingleSketch {
    let TextFingerprint { hashes, numbers, bytes } = shingled;
    let whole = hashes.iter().fold(0, |sum: u64, hash| sum.wrapping_add(*hash));
    let mut sketch =
        ShingleSketch { whole, numbers, shingles: hashes, is_sorted: false, prefix: Vec::new(), bytes };
    sketch.prefix = lowest_hashes(&mut sketch);
    sketch
}

/// The lowest distinct hashes, at least as many as [`prefix_length`] asks for. The length is taken from
/// all hashes, repetitions included: it grows with the size of the set, so it is never too short.
fn lowest_hashes(sketch: &mut ShingleSketch) -> Vec<u64> {
    let count = sketch.shingles.len();
    let wanted = prefix_length(count);
    // Sorting everything would cost most of the deduplication. Hashes are uniform, so about twice as many
    // as wanted are below this limit, and only those are sorted.
    let limit = (u64::MAX / count.max(1) as u64).saturating_mul(2 * wanted as u64);
    let mut lowest = vec![0; count];
    let mut below = 0;
    for hash in &sketch.shingles {
        // Written always, kept by the count: no branch that a processor would mispredict.
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
    // Rare: repetitions or bad luck left too few below the limit.
    sketch.sort();
    sketch.shingles[..prefix_length(sketch.shingles.len())].to_vec()
}

/// Shortest text, in bytes, that counts as a repetition. Shorter ones, such as a line `}`, occur by chance.
const REPEAT_BYTES_MIN: usize = 40;

/// Marks atoms whose trimmed text also occurs in a better candidate.
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
