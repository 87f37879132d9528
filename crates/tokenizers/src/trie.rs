//! A WordPiece vocabulary as a byte trie, for counting.
//!
//! Nodes are numbered breadth first, so the children of a node are adjacent, and a node is one label and
//! one offset: 30,522 words take under 2 MB. A word of `n` bytes costs at most `n` times the length of
//! the longest vocabulary word. Counting allocates nothing.

use std::collections::VecDeque;

/// A vocabulary.
#[derive(Debug)]
pub(super) struct VocabularyTrie {
    /// The byte on the edge to each node.
    labels: Vec<u8>,
    /// The first child of each node. The next entry is the end of its children.
    first_child: Vec<u32>,
    /// Whether a vocabulary word ends at each node.
    ends_word: Vec<bool>,
    /// The node after the prefix of continuing pieces (`##`), if any word begins with it.
    continuing: Option<u32>,
    /// Children by byte of the two nodes that searches start from.
    from_root: Vec<Option<u32>>,
    from_continuing: Vec<Option<u32>>,
}

impl VocabularyTrie {
    /// Builds a trie from the vocabulary's words and the prefix of continuing pieces.
    pub(super) fn new(mut words: Vec<Vec<u8>>, continuing_prefix: &[u8]) -> Self {
        // Sorted, the words below each node are one slice, and the one that ends there is its first.
        words.sort_unstable();
        words.dedup();
        let mut labels = vec![0];
        let mut first_child = Vec::new();
        let mut ends_word = Vec::new();
        let mut queue = VecDeque::from([(words.as_slice(), 0)]);
        while let Some((mut below, depth)) = queue.pop_front() {
            first_child.push(node_number(labels.len()));
            let ends_here = below.first().is_some_and(|word| word.len() == depth);
            ends_word.push(ends_here);
            below = &below[usize::from(ends_here)..];
            for same_byte in below.chunk_by(|left, right| left[depth] == right[depth]) {
                labels.push(same_byte[0][depth]);
                queue.push_back((same_byte, depth + 1));
            }
        }
        // One more entry, so that the last node's children end, too.
        first_child.push(node_number(labels.len()));
        debug_assert_eq!(first_child.len(), labels.len() + 1);
        let mut trie = Self {
            labels,
            first_child,
            ends_word,
            continuing: None,
            from_root: Vec::new(),
            from_continuing: Vec::new(),
        };
        trie.continuing = continuing_prefix.iter().try_fold(0, |node, byte| trie.child(node, *byte));
        trie.from_root = trie.children_by_byte(Some(0));
        trie.from_continuing = trie.children_by_byte(trie.continuing);
        trie
    }

    /// Counts the pieces of a word, longest match first. 1, the unknown token, if it cannot be split.
    pub(super) fn count(&self, word: &[u8]) -> usize {
        let mut rest = word;
        let mut pieces = 0;
        while !rest.is_empty() {
            let start = if pieces == 0 { &self.from_root } else { &self.from_continuing };
            let Some(length) = self.longest(start, rest) else { return 1 };
            rest = &rest[length..];
            pieces += 1;
        }
        pieces
    }

    fn longest(&self, start: &[Option<u32>], rest: &[u8]) -> Option<usize> {
        let mut node = start[usize::from(rest[0])]?;
        let mut longest = None;
        let mut length = 1;
        loop {
            if self.ends_word[node as usize] {
                longest = Some(length);
            }
            let next = rest.get(length).and_then(|byte| self.child(node, *byte));
            let Some(next) = next else { return longest };
            node = next;
            length += 1;
        }
    }

    fn child(&self, node: u32, byte: u8) -> Option<u32> {
        let first = self.first_child[node as usize];
        let end = self.first_child[node as usize + 1];
        let position = self.labels[first as usize..end as usize].iter().position(|label| *label == byte)?;
        Some(first + node_number(position))
    }

    fn children_by_byte(&self, node: Option<u32>) -> Vec<Option<u32>> {
        (0..=u8::MAX).map(|byte| node.and_then(|node| self.child(node, byte))).collect()
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a vocabulary file is far below 4 GB")]
fn node_number(position: usize) -> u32 {
    position as u32
}
