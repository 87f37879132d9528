//! Which format a file is in: by its media type, its name, or its first lines.
//!
//! Media types are those of the IANA registry (<https://www.iana.org/assignments/media-types/>), with the
//! unregistered ones that servers and browsers send in their place. Names are those of the freedesktop.org
//! shared-mime-info database and of GitHub Linguist. Sniffing follows the WHATWG MIME Sniffing Standard for HTML
//! and XML and asks for plain evidence elsewhere: a wrong format reads worse than plain text.
//!
//! `text/plain` and `application/octet-stream` say nothing, since servers send them for what they do not know:
//! they give no format here and leave it to the name and the text.
//!
//! The tables stand in `extensions`, `names`, `media_types` and `binary_extensions`; `sniff` looks at the text.

mod binary_extensions;
mod extensions;
mod media_types;
mod names;
mod sniff;

use binary_extensions::BINARY_EXTENSIONS;
use extensions::EXTENSIONS;
use media_types::MEDIA_TYPES;
use names::NAMES;

/// The format of a text file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileFormat {
    /// `CommonMark` with tables (RFC 7763).
    Markdown,
    /// Markdown with JSX.
    Mdx,
    /// HTML and XHTML.
    Html,
    /// Paragraphs of text.
    Plain,
    /// Jupyter notebook (nbformat 4).
    Notebook,
    /// reStructuredText.
    RestructuredText,
    /// `AsciiDoc`.
    AsciiDoc,
    /// Org mode.
    Org,
    /// LaTeX and TeX.
    Latex,
    /// Comma-separated values (RFC 4180), whatever delimits.
    Csv,
    /// Tab-separated values.
    Tsv,
    /// JSON (RFC 8259), with comments or without.
    Json,
    /// JSON lines (NDJSON).
    JsonLines,
    /// YAML (RFC 9512).
    Yaml,
    /// TOML.
    Toml,
    /// Sections of `key = value`: INI, properties, environment files, units of systemd.
    Ini,
    /// XML (RFC 7303).
    Xml,
    /// SQL (RFC 6922).
    Sql,
    /// Lines of a log.
    Log,
    /// `SubRip` subtitles.
    SubRip,
    /// `WebVTT` subtitles.
    WebVtt,
    /// Unified diff or patch.
    Diff,
    /// Mail message (RFC 5322).
    Mail,
    /// Mailbox of messages (RFC 4155).
    Mailbox,
    /// Source code.
    Code(CodeFormat),
}

/// A programming language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum CodeFormat {
    Rust,
    Python,
    JavaScript,
    TypeScript,
    Tsx,
    Go,
    Java,
    C,
    Cpp,
    CSharp,
    Ruby,
    Php,
    Kotlin,
    Swift,
    Scala,
    /// POSIX shell and its kin.
    Shell,
    /// HCL, as Terraform has it.
    Terraform,
    Vue,
    Svelte,
}

impl FileFormat {
    /// Returns the format of a media type; `None` for one that says nothing about a text.
    pub fn from_media_type(media_type: &str) -> Option<Self> {
        let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if let Some((_, format)) = MEDIA_TYPES.iter().find(|(known, _)| *known == essence) {
            return Some(*format);
        }
        // Structured syntax suffixes (RFC 6839, RFC 9512).
        match essence.rsplit_once('+')?.1 {
            "json" => Some(Self::Json),
            "xml" => Some(Self::Xml),
            "yaml" => Some(Self::Yaml),
            "json-seq" => Some(Self::JsonLines),
            _ => None,
        }
    }

    /// Returns the format of a file's name; folders before it are ignored.
    pub fn from_name(name: &str) -> Option<Self> {
        let name = last_part(name).to_ascii_lowercase();
        if let Some((_, format)) = NAMES.iter().find(|(known, _)| *known == name) {
            return Some(*format);
        }
        // `.env.production`, `Dockerfile.dev`, `app.log.1`.
        if name.starts_with(".env.") {
            return Some(Self::Ini);
        }
        if name.starts_with("dockerfile.") || name.starts_with("makefile.") {
            return Some(Self::Plain);
        }
        let (stem, extension) = name.rsplit_once('.')?;
        if let Some((_, format)) = EXTENSIONS.iter().find(|(known, _)| *known == extension) {
            return Some(*format);
        }
        let rotated = extension.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        (rotated && !extension.is_empty() && stem.rsplit('.').next() == Some("log")).then_some(Self::Log)
    }
}

/// Whether a file's name says that it holds no text: pictures, fonts, archives, audio, video, programs, data
/// bases, and documents that are not read yet, such as PDF.
pub fn is_known_binary_name(name: &str) -> bool {
    let name = last_part(name).to_ascii_lowercase();
    let Some((_, extension)) = name.rsplit_once('.') else { return false };
    // `libssl.so.3`.
    let is_library = name.contains(".so.") && extension.bytes().all(|byte| byte.is_ascii_digit());
    BINARY_EXTENSIONS.contains(&extension) || is_library
}

fn last_part(name: &str) -> &str {
    name.rsplit(['/', '\\']).next().unwrap_or(name)
}
