//! Pages of lists: limits and cursors.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use contexture_core::fault::Refusal;

/// Entries of a page when the caller does not say.
pub const PAGE_ENTRIES_DEFAULT: usize = 100;
/// Most entries of a page.
pub const PAGE_ENTRIES_MAX: usize = 1000;

/// The entries of a page, as the caller asked for them.
pub fn page_limit(limit: Option<i64>) -> Result<usize, Refusal> {
    let Some(limit) = limit else { return Ok(PAGE_ENTRIES_DEFAULT) };
    usize::try_from(limit).ok().filter(|limit| (1..=PAGE_ENTRIES_MAX).contains(limit)).ok_or_else(|| {
        Refusal::invalid("invalid_limit", "limit", format!("limit must be between 1 and {PAGE_ENTRIES_MAX}"))
    })
}

/// The cursor behind an entry. Callers hand it back as it is.
pub fn cursor_after(entry: &str) -> String {
    URL_SAFE_NO_PAD.encode(entry)
}

/// The entry that a cursor stands behind.
pub fn entry_of_cursor(cursor: &str) -> Result<String, Refusal> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
    bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(|| {
        Refusal::invalid("invalid_cursor", "cursor", "cursor is not one that an answer had as next_cursor")
    })
}
