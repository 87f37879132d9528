//! The words of a document's id that name it.
//!
//! Most documents are named by a path or an address, and people ask for them by it: "the failover runbook" is
//! `ops/failover-runbook.md`. The words are those of the last segment, without its extension, and of the folders
//! right above. What no person would type names nothing: hashes, UUIDs, bare numbers. A `README` or an `index` is
//! called by its folder.

/// Folders above the last segment that still name a document.
const FOLDERS_MAX: usize = 2;
/// Most words of a name. A longer id is cut.
const NAME_WORDS_MAX: usize = 32;
/// Longest extension of a file, in bytes.
const EXTENSION_BYTES_MAX: usize = 8;
/// Shortest run of hexadecimal digits, letters among them, that is taken for a hash.
const HASH_BYTES_MIN: usize = 8;
/// Longest run of digits that is a word beside others: a date such as 20260131.
const NUMBER_BYTES_MAX: usize = 8;
/// Files that are called by their folder.
const FOLDER_FILES: [&str; 8] = ["__init__", "_index", "default", "home", "index", "main", "mod", "readme"];

/// The words that name a document, in the order of its id, with single spaces between them; empty if none does.
pub fn document_name_words(document_id: &str) -> String {
    let decoded = decode_percent(document_id);
    let path = decoded.split(['?', '#']).next().unwrap_or_default();
    let path = path.split_once("://").map_or(path, |(_, rest)| rest);
    let segments: Vec<&str> = path.split(['/', '\\']).filter(|segment| !segment.is_empty()).collect();
    let Some((last, folders)) = segments.split_last() else { return String::new() };
    let stem = without_extension(last);
    let is_folder_file = FOLDER_FILES.iter().any(|name| stem.eq_ignore_ascii_case(name));
    let mut words = Vec::new();
    if !is_folder_file || folders.is_empty() {
        add_words(stem, &mut words);
    }
    for folder in folders.iter().rev().take(FOLDERS_MAX) {
        add_words(folder, &mut words);
    }
    // Numbers tell documents of one name apart; alone they would answer any question with a number.
    if words.iter().all(|word| word.bytes().all(|byte| byte.is_ascii_digit())) {
        return String::new();
    }
    words.truncate(NAME_WORDS_MAX);
    words.join(" ")
}

fn without_extension(segment: &str) -> &str {
    match segment.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() && is_extension(extension) => stem,
        _ => segment,
    }
}

fn is_extension(text: &str) -> bool {
    (1..=EXTENSION_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && text.bytes().any(|byte| byte.is_ascii_alphabetic())
}

fn add_words(segment: &str, words: &mut Vec<String>) {
    if uuid::Uuid::try_parse(segment).is_ok() {
        return;
    }
    for run in segment.split(|one: char| !one.is_alphanumeric()).filter(|run| !run.is_empty()) {
        if is_machine_made(run) {
            continue;
        }
        words.push(run.to_owned());
    }
}

fn is_machine_made(run: &str) -> bool {
    let is_number = run.bytes().all(|byte| byte.is_ascii_digit());
    let is_hexadecimal = run.bytes().all(|byte| byte.is_ascii_hexdigit());
    let has_digit = run.bytes().any(|byte| byte.is_ascii_digit());
    if is_number {
        run.len() > NUMBER_BYTES_MAX
    } else {
        is_hexadecimal && has_digit && run.len() >= HASH_BYTES_MIN
    }
}

/// Replaces `%20` and its like; what is no escape, or would not be UTF-8, stays as it is.
fn decode_percent(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = after.first_chunk::<2>().filter(|_| *first == b'%').and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 16)
                .ok()
                .filter(|_| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
        });
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::document_name_words;

    #[test]
    fn names_are_the_words_of_paths() {
        for (id, name) in [
            ("ops/failover-runbook.md", "failover runbook ops"),
            ("src/retry_budget.rs", "retry budget src"),
            ("src/RetryBudget2.rs", "RetryBudget2 src"),
            ("https://example.com/docs/Rate%20limits.html?v=3#top", "Rate limits docs example com"),
            ("handbook/travel/README.md", "travel handbook"),
            ("README.md", "README"),
            ("blobs/3f2a9c41d8e07b65.txt", "blobs"),
            ("letters/7c9e6679-7425-40de-944b-e07fc1f90ae7", "letters"),
            ("reports/2025/annual v1.2.pdf", "annual v1 2 2025 reports"),
            ("1398", ""),
            ("", ""),
            ("///", ""),
            ("a%zz%e4b", "a zz e4b"),
            ("日本/規程.md", "規程 日本"),
        ] {
            assert_eq!(document_name_words(id), name, "{id}");
        }
    }
}
