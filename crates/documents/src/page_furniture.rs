//! Lines that stand at the same edge of most pages: running headers and footers.
//!
//! A line is furniture if more than [`SHARE_PERCENT`] of at least [`PAGES_MIN`] pages have it among their first or
//! last [`EDGE_LINES`] lines, digits aside, so that page numbers are found, too.

use std::collections::{HashMap, HashSet};

/// Pages below which nothing is told apart.
const PAGES_MIN: usize = 4;
/// Percent of the pages that a line must be more often than on.
const SHARE_PERCENT: usize = 60;
/// Lines at each edge that are looked at.
const EDGE_LINES: usize = 3;
/// Longest line that can be furniture, in bytes.
const LINE_BYTES_MAX: usize = 200;

/// Takes furniture out of pages. Returns how many different lines it was.
pub(crate) fn remove_page_furniture(pages: &mut [String]) -> usize {
    let filled = pages.iter().filter(|page| !page.trim().is_empty()).count();
    if filled < PAGES_MIN {
        return 0;
    }
    let mut counts: HashMap<(bool, String), usize> = HashMap::new();
    for page in pages.iter() {
        for key in edge_keys(page) {
            *counts.entry(key).or_default() += 1;
        }
    }
    let furniture: HashSet<(bool, String)> = counts
        .into_iter()
        .filter(|(_, count)| count * 100 > filled * SHARE_PERCENT)
        .map(|(key, _)| key)
        .collect();
    if furniture.is_empty() {
        return 0;
    }
    for page in pages.iter_mut() {
        *page = without_furniture(page, &furniture);
    }
    furniture.len()
}

/// The lines at the edges of a page, each once: whether it is at the upper one, and its words.
fn edge_keys(page: &str) -> HashSet<(bool, String)> {
    let lines: Vec<&str> = page.lines().filter(|line| !line.trim().is_empty()).collect();
    let upper = lines.iter().take(EDGE_LINES).map(|line| (true, *line));
    let lower = lines.iter().rev().take(EDGE_LINES).map(|line| (false, *line));
    upper.chain(lower).filter_map(|(is_upper, line)| Some((is_upper, line_key(line)?))).collect()
}

/// A line without digits and marks of headings; none if it is too long, or has no letter or digit.
fn line_key(line: &str) -> Option<String> {
    let line = line.trim().trim_matches(|one| matches!(one, '#' | '*' | '_' | ' '));
    if line.len() > LINE_BYTES_MAX || !line.chars().any(char::is_alphanumeric) {
        return None;
    }
    let mut key = String::with_capacity(line.len());
    for one in line.chars() {
        if !one.is_numeric() {
            key.push(one);
        } else if !key.ends_with('0') {
            key.push('0');
        }
    }
    Some(key)
}

fn without_furniture(page: &str, furniture: &HashSet<(bool, String)>) -> String {
    let lines: Vec<&str> = page.lines().collect();
    let filled: Vec<usize> = (0..lines.len()).filter(|index| !lines[*index].trim().is_empty()).collect();
    let is = |index: usize, is_upper: bool| {
        line_key(lines[index]).is_some_and(|key| furniture.contains(&(is_upper, key)))
    };
    let upper = filled.iter().take(EDGE_LINES).filter(|index| is(**index, true));
    let lower = filled.iter().rev().take(EDGE_LINES).filter(|index| is(**index, false));
    let dropped: HashSet<usize> = upper.chain(lower).copied().collect();
    let kept = lines.iter().enumerate().filter(|(index, _)| !dropped.contains(index));
    kept.map(|(_, line)| *line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::remove_page_furniture;

    #[test]
    fn running_headers_and_page_numbers_go() {
        let mut pages: Vec<String> = (1..=5)
            .map(|page| format!("# Handbook 2026\n\nThe text of page {page} is its own.\n\nPage {page} of 5"))
            .collect();
        assert_eq!(remove_page_furniture(&mut pages), 2);
        assert_eq!(pages[1].trim(), "The text of page 2 is its own.");
    }

    #[test]
    fn what_stands_in_the_middle_or_on_few_pages_stays() {
        let mut pages: Vec<String> = (0..5)
            .map(|page| {
                format!(
                    "Title {}\n\none\ntwo\nthree\nthe same\nfour\nfive\nsix",
                    ["a", "b", "c", "d", "e"][page]
                )
            })
            .collect();
        let before = pages.clone();
        remove_page_furniture(&mut pages);
        assert!(pages.iter().all(|page| page.contains("the same")));
        assert_eq!(pages[0].lines().next(), before[0].lines().next());
        let mut few: Vec<String> = (0..3).map(|_| "Header\n\ntext".to_owned()).collect();
        assert_eq!(remove_page_furniture(&mut few), 0);
    }
}
