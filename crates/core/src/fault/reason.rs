//! The codes of [`FailureReason`](super::FailureReason).

/// The bytes are of a format that no chunker reads.
pub const UNSUPPORTED_TYPE: &str = "unsupported_type";
/// The bytes are not valid in the encoding they claim.
pub const INVALID_ENCODING: &str = "invalid_encoding";
/// The document needs a password.
pub const ENCRYPTED: &str = "encrypted";
/// Pictures: no page has words, or a converter found none.
pub const NO_TEXT_LAYER: &str = "no_text_layer";
/// Letters of no script.
pub const UNREADABLE_TEXT: &str = "unreadable_text";
/// The document is damaged, or not what it says it is.
pub const CORRUPT_DOCUMENT: &str = "corrupt_document";
/// The document is more than the limits of its reader allow.
pub const DOCUMENT_TOO_LARGE: &str = "document_too_large";
/// The reader of the document took too long.
pub const EXTRACTION_TIMEOUT: &str = "extraction_timeout";
/// The reader of the document took too much memory.
pub const EXTRACTION_OUT_OF_MEMORY: &str = "extraction_out_of_memory";
/// The reader of the document crashed.
pub const EXTRACTION_CRASHED: &str = "extraction_crashed";
/// A configured converter refused the document, or made no text of it.
pub const CONVERTER_FAILED: &str = "converter_failed";
/// Nothing but white space.
pub const EMPTY_DOCUMENT: &str = "empty_document";
/// More chunks than `limits.chunks_per_document_max`.
pub const TOO_MANY_CHUNKS: &str = "too_many_chunks";
/// The stored body does not match its hash.
pub const BODY_CORRUPT: &str = "body_corrupt";
/// The same version was committed with other content.
pub const CONFLICT: &str = "conflict";
/// The embedder refused the text or answered nonsense for it.
pub const EMBEDDER_REJECTED: &str = "embedder_rejected";
/// Failed [`crate::ingest::acknowledge::ATTEMPTS_MAX`] times.
pub const ATTEMPTS_EXHAUSTED: &str = "attempts_exhausted";
/// A worker panicked on it.
pub const STAGE_PANICKED: &str = "stage_panicked";
/// Its workers died before they could say why, again and again.
pub const CRASH_LOOP: &str = "crash_loop";
/// The collection's configuration no longer matches the message.
pub const EPOCH_MISMATCH: &str = "epoch_mismatch";
