//! Which documents a converter takes.

use contexture_core::ports::extractor::DocumentKind;

use super::media_types;

/// When a converter is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConverterWhen {
    /// After the readers here have refused a document for having no text that they read.
    Unreadable,
    /// Instead of them.
    Always,
}

/// Which documents a converter takes: by a type or by the ending of their name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConverterRule {
    /// Media types in lower case, `type/subtype` or `type/*`.
    pub media_types: Vec<String>,
    /// Endings of names, in lower case, without a dot.
    pub extensions: Vec<String>,
    /// When.
    pub when: ConverterWhen,
}

impl ConverterRule {
    /// Whether it takes a document.
    pub fn takes(&self, document: &DocumentKind<'_>) -> bool {
        self.has_extension(document.name)
            || media_types::types_of(document).iter().any(|media_type| self.has_type(media_type))
    }

    /// Whether it may take a file of this name, whose bytes are not known yet.
    pub fn takes_name(&self, name: &str) -> bool {
        self.has_extension(name)
            || media_types::type_of_name(name).is_some_and(|media_type| self.has_type(media_type))
    }

    fn has_extension(&self, name: &str) -> bool {
        let extension = media_types::extension(name);
        extension
            .is_some_and(|extension| self.extensions.iter().any(|one| one.eq_ignore_ascii_case(extension)))
    }

    fn has_type(&self, media_type: &str) -> bool {
        self.media_types.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(family) => {
                media_type.get(..family.len()).is_some_and(|start| start.eq_ignore_ascii_case(family))
            }
            None => media_type.eq_ignore_ascii_case(pattern),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{ConverterRule, ConverterWhen};
    use contexture_core::ports::extractor::DocumentKind;

    fn rule(media_types: &[&str], extensions: &[&str]) -> ConverterRule {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        ConverterRule {
            media_types: owned(media_types),
            extensions: owned(extensions),
            when: ConverterWhen::Unreadable,
        }
    }

    fn kind<'a>(sniffed: Option<&'a str>, declared: Option<&'a str>, name: &'a str) -> DocumentKind<'a> {
        DocumentKind { sniffed, declared, name }
    }

    #[test]
    fn bytes_decide_before_what_is_declared() {
        let pictures = rule(&["image/*"], &[]);
        assert!(pictures.takes(&kind(Some("image/png"), None, "a")));
        assert!(pictures.takes(&kind(Some("image/png"), Some("text/plain"), "a.txt")));
        assert!(!pictures.takes(&kind(Some("application/pdf"), Some("image/png"), "a.png")));
        assert!(pictures.takes(&kind(Some("application/octet-stream"), Some("image/x-odd; q=1"), "a")));
        assert!(!pictures.takes(&kind(None, Some("imagery/png"), "a")));
        let zipped = rule(&["application/vnd.apple.pages"], &[]);
        assert!(zipped.takes(&kind(Some("application/zip"), None, "Letters/Offer.PAGES")));
        assert!(!zipped.takes(&kind(Some("application/zip"), None, "backup.zip")));
    }

    #[test]
    fn endings_count_whatever_the_bytes_say() {
        let pages = rule(&[], &["pages", "djvu"]);
        assert!(pages.takes(&kind(Some("application/zip"), None, "a/b.Pages")));
        assert!(!pages.takes(&kind(Some("application/zip"), None, "a.pages/b")));
        assert!(pages.takes_name("scan.djvu") && !pages.takes_name("djvu"));
        assert!(rule(&["image/png"], &[]).takes_name("LOGO.PNG"));
        assert!(!rule(&["image/png"], &[]).takes_name("logo.jpg"));
    }
}
