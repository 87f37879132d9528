//! Lines that stand at the same edge of most pages: running headers and footers.
//!
//! A line is furniture if more than [`SHARE_PERCENT`] of at least [`PAGES_MIN`] pages have it among their first or
//! last [`EDGE_LINES`] lines, but for one number that grows with the pages. Other numbers must be the same, so that a
//! line of sums under each table stays.

use std::collections::{HashMap, HashSet};

/// Pages below which nothing is told apart.
const PAGES_MIN: usize = 4;
/// Percent of the pages that a line must be more often than on.
const SHARE_PERCENT: usize = 60;
/// Lines at each edge that are looked at.
const EDGE_LINES: usize = 2;
/// Most numbers in a line that can be furniture.
const NUMBERS_MAX: usize = 4;
/// Longest line that can be furniture, in bytes.
const LINE_BYTES_MAX: usize = 200;

/// Takes furniture out of pages. Returns how many different lines it was.
pub(crate) fn remove_page_furniture(pages: &mut [String]) -> usize {
    let filled = pages.iter().filter(|page| !page.trim().is_empty()).count();
    if filled < PAGES_MIN {
        return 0;
    }
    let mut counts: HashMap<EdgeKey, usize> = HashMap::new();
    for (index, page) in pages.iter().enumerate() {
        let keys: HashSet<EdgeKey> =
            edge_lines(page).flat_map(|(edge, line)| edge_keys(edge, line, index)).collect();
        for key in keys {
            *counts.entry(key).or_default() += 1;
        }
    }
    counts.retain(|_, count| *count * 100 > filled * SHARE_PERCENT);
    let furniture: HashSet<EdgeKey> = counts.into_keys().collect();
    if furniture.is_empty() {
        return 0;
    }
    let mut texts = HashSet::new();
    for (index, page) in pages.iter_mut().enumerate() {
        let is_furniture = |(edge, line): &(PageEdge, &str)| {
            edge_keys(*edge, line, index).any(|key| furniture.contains(&key))
        };
        let dropped: HashSet<usize> = edge_lines(page)
            .filter(is_furniture)
            .map(|(edge, line)| {
                texts.insert((edge, masked(line)));
                line.as_ptr() as usize
            })
            .collect();
        let kept = page.lines().filter(|line| !dropped.contains(&(line.as_ptr() as usize)));
        *page = kept.collect::<Vec<_>>().join("\n");
    }
    texts.len()
}

/// An edge of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum PageEdge {
    Upper,
    Lower,
}

/// What lines of several pages have in common: the edge, the words, and the numbers, of which one may be counted from
/// that of the page.
type EdgeKey = (PageEdge, String, Vec<i64>, Option<usize>);

/// The lines at the edges of a page.
fn edge_lines(page: &str) -> impl Iterator<Item = (PageEdge, &str)> {
    let lines: Vec<&str> = page.lines().filter(|line| !line.trim().is_empty()).collect();
    let upper = lines.iter().take(EDGE_LINES).map(|line| (PageEdge::Upper, *line));
    let lower = lines.iter().rev().take(EDGE_LINES).map(|line| (PageEdge::Lower, *line));
    upper.chain(lower).collect::<Vec<_>>().into_iter()
}

/// The keys of a line: with its numbers as they are, and with each of them counted from that of the page. None if the
/// line is too long, or has no letter or digit.
fn edge_keys(edge: PageEdge, line: &str, page: usize) -> impl Iterator<Item = EdgeKey> {
    let numbers: Vec<i64> = line
        .split(|one: char| !one.is_ascii_digit())
        .filter(|run| !run.is_empty())
        .map(|run| run.parse().unwrap_or(-1))
        .collect();
    let usable = line.len() <= LINE_BYTES_MAX
        && line.chars().any(char::is_alphanumeric)
        && numbers.len() <= NUMBERS_MAX;
    let words = masked(line);
    let page = i64::try_from(page).unwrap_or(i64::MAX);
    let counted = (0..numbers.len()).map(Some);
    let keys: Vec<EdgeKey> = std::iter::once(None)
        .chain(counted)
        .map(|running| {
            let mut numbers = numbers.clone();
            if let Some(running) = running {
                numbers[running] = numbers[running].saturating_sub(page);
            }
            (edge, words.clone(), numbers, running)
        })
        .collect();
    keys.into_iter().take(if usable { usize::MAX } else { 0 })
}

/// A line without its digits and the marks of headings.
fn masked(line: &str) -> String {
    let line = line.trim().trim_matches(|one| matches!(one, '#' | '*' | '_' | ' '));
    let mut words = String::with_capacity(line.len());
    for one in line.chars() {
        if !one.is_ascii_digit() {
            words.push(one);
        } else if !words.ends_with('0') {
            words.push('0');
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::remove_page_furniture;

    #[test]
    fn running_headers_and_page_numbers_go() {
        let texts = ["One is first.", "Two follows.", "Three is next.", "Four is there.", "Five ends it."];
        let page = |(index, text): (usize, &&str)| {
            format!("# Handbook 2026\n\n{text}\n\nIts end.\n\nPage {} of 5", index + 1)
        };
        let mut pages: Vec<String> = texts.iter().enumerate().map(page).collect();
        assert_eq!(
            remove_page_furniture(&mut pages),
            3,
            "header, footer, and a line that is always the same"
        );
        assert_eq!(pages[1].trim(), "Two follows.");
    }

    #[test]
    fn what_stands_in_the_middle_or_differs_stays() {
        let sums = ["812", "95", "1204", "33", "7"];
        let page = |sum: &&str| format!("Table {sum}\n\none\ntwo\nthe same\nfour\nfive\n\nTotal: {sum}");
        let mut pages: Vec<String> = sums.iter().map(page).collect();
        let before = pages.clone();
        assert_eq!(remove_page_furniture(&mut pages), 2, "'one' and 'five' are the same on all pages");
        assert!(
            pages.iter().zip(sums).all(|(page, sum)| page.contains(&format!("Total: {sum}"))),
            "{pages:?}"
        );
        assert!(pages.iter().all(|page| page.contains("the same")));
        assert_eq!(pages[0].lines().next(), before[0].lines().next());
        let mut few: Vec<String> = (0..3).map(|_| "Header\n\ntext".to_owned()).collect();
        assert_eq!(remove_page_furniture(&mut few), 0);
    }
}
