//! The media type of a document, by its bytes, by what was declared, and by its name.

use contexture_core::ports::extractor::DocumentKind;

/// Types of bytes that many formats have in common: here what was declared and the name say more.
const CONTAINERS: [&str; 4] =
    ["application/octet-stream", "application/zip", "application/x-ole-storage", "text/xml"];
/// The type of bytes of which nothing is known.
const UNKNOWN: &str = "application/octet-stream";

/// Endings of names and their types, of files that are not read here or that OCR may read better.
const NAMED_TYPES: [(&str, &str); 44] = [
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("gif", "image/gif"),
    ("bmp", "image/bmp"),
    ("tif", "image/tiff"),
    ("tiff", "image/tiff"),
    ("webp", "image/webp"),
    ("heic", "image/heic"),
    ("heif", "image/heif"),
    ("avif", "image/avif"),
    ("jp2", "image/jp2"),
    ("jxl", "image/jxl"),
    ("svg", "image/svg+xml"),
    ("djvu", "image/vnd.djvu"),
    ("psd", "image/vnd.adobe.photoshop"),
    ("dwg", "image/vnd.dwg"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("doc", "application/msword"),
    ("ppt", "application/vnd.ms-powerpoint"),
    ("xls", "application/vnd.ms-excel"),
    ("odt", "application/vnd.oasis.opendocument.text"),
    ("odp", "application/vnd.oasis.opendocument.presentation"),
    ("ods", "application/vnd.oasis.opendocument.spreadsheet"),
    ("epub", "application/epub+zip"),
    ("rtf", "application/rtf"),
    ("msg", "application/vnd.ms-outlook"),
    ("vsd", "application/vnd.visio"),
    ("vsdx", "application/vnd.ms-visio.drawing"),
    ("pages", "application/vnd.apple.pages"),
    ("numbers", "application/vnd.apple.numbers"),
    ("key", "application/vnd.apple.keynote"),
    ("wpd", "application/vnd.wordperfect"),
    ("mp3", "audio/mpeg"),
    ("wav", "audio/wav"),
    ("m4a", "audio/mp4"),
    ("flac", "audio/flac"),
    ("ogg", "audio/ogg"),
    ("mp4", "video/mp4"),
    ("mov", "video/quicktime"),
    ("zip", "application/zip"),
];

/// The ending of a name or path.
pub(super) fn extension(name: &str) -> Option<&str> {
    let last = name.rsplit(['/', '\\']).next().unwrap_or(name);
    last.rsplit_once('.').map(|(_, extension)| extension)
}

/// The type that a name says.
pub(super) fn type_of_name(name: &str) -> Option<&'static str> {
    let extension = extension(name)?;
    NAMED_TYPES.iter().find(|(known, _)| known.eq_ignore_ascii_case(extension)).map(|(_, named)| *named)
}

/// The types that a document may be of: what its bytes say, and where they say little also the others.
pub(super) fn types_of<'a>(document: &DocumentKind<'a>) -> Vec<&'a str> {
    let DocumentKind { sniffed, declared, name } = *document;
    let mut types: Vec<&str> = sniffed.map(essence).into_iter().collect();
    if types.first().is_none_or(|sniffed| CONTAINERS.contains(sniffed)) {
        types.extend(declared.map(essence));
        types.extend(type_of_name(name));
    }
    types
}

/// The type that is named to a converter.
pub(super) fn sent_type(document: &DocumentKind<'_>) -> String {
    let types = types_of(document);
    let sound = |named: &&&str| !CONTAINERS.contains(*named) && is_media_type(named);
    let named = types.iter().find(sound).or_else(|| types.first()).copied();
    named.filter(|named| is_media_type(named)).unwrap_or(UNKNOWN).to_owned()
}

/// The last part of a document's name as a program takes it for a file: ASCII, with an ending.
pub(super) fn file_name(name: &str, media_type: &str) -> String {
    const NAME_BYTES_MAX: usize = 100;
    let last = name.rsplit(['/', '\\']).next().unwrap_or(name);
    let sign = |one: char| if one.is_ascii_alphanumeric() || "._-".contains(one) { one } else { '_' };
    let mut safe: String = last.chars().map(sign).collect();
    // The end stays, because the ending stands there.
    safe.drain(..safe.len().saturating_sub(NAME_BYTES_MAX));
    let safe = safe.trim_start_matches(['.', '-']);
    let stem = if safe.is_empty() { "document" } else { safe };
    if extension(stem).is_some() {
        return stem.to_owned();
    }
    match NAMED_TYPES.iter().find(|(_, named)| *named == media_type) {
        Some((ending, _)) => format!("{stem}.{ending}"),
        None => stem.to_owned(),
    }
}

/// A type without its parameters.
fn essence(media_type: &str) -> &str {
    media_type.split(';').next().unwrap_or_default().trim()
}

fn is_media_type(text: &str) -> bool {
    let sound = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&byte))
    };
    text.split_once('/').is_some_and(|(family, subtype)| sound(family) && sound(subtype))
}

#[cfg(test)]
mod tests {
    use super::{file_name, sent_type};
    use contexture_core::ports::extractor::DocumentKind;

    #[test]
    fn the_most_telling_type_is_sent() {
        let sent = |sniffed, declared, name| sent_type(&DocumentKind { sniffed, declared, name });
        assert_eq!(sent(Some("image/png"), Some("text/plain"), "a.pdf"), "image/png");
        assert_eq!(sent(Some("application/zip"), None, "a.pages"), "application/vnd.apple.pages");
        assert_eq!(sent(Some("application/zip"), None, "a"), "application/zip");
        assert_eq!(sent(None, Some("not a type\r\nX: y"), "a"), "application/octet-stream");
        assert_eq!(sent(None, Some("text/x-odd; charset=utf-8"), "a"), "text/x-odd");
    }

    #[test]
    fn names_of_files_are_safe() {
        assert_eq!(file_name("scans/März \"7\".PDF", "application/pdf"), "M_rz__7_.PDF");
        assert_eq!(file_name("inbox/4711", "image/png"), "4711.png");
        assert_eq!(file_name("../..", "a/b"), "document");
        assert_eq!(file_name("--help.tif", "image/tiff"), "help.tif");
        assert_eq!(file_name(&format!("{}.png", "x".repeat(500)), "image/png").len(), 100);
    }
}
