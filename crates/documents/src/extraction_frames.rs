//! Requests and answers between this process and a child, through pipes.
//!
//! A frame is the length of its JSON in four bytes, little-endian, then the JSON. The body of a document follows
//! its request.

use std::io::{Error, ErrorKind, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::document_format::DocumentFormat;
use crate::extracted::{ExtractedText, ExtractionError};
use crate::extraction_spending::ExtractionSpending;

/// Longest header of a request, in bytes.
const REQUEST_BYTES_MAX: usize = 1 << 20;

/// What a child is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExtractionTask {
    /// The text.
    Text,
    /// The files inside, without the text.
    Attachments,
}

/// What a child is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtractionRequest {
    /// What is wanted.
    pub task: ExtractionTask,
    /// The format of the body.
    pub format: DocumentFormat,
    /// The name of the document, for messages.
    pub name: String,
    /// Length of the body that follows.
    pub body_bytes: usize,
    /// Seconds of processor that it may take.
    pub cpu_seconds_max: u64,
}

/// What a child answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtractionAnswer {
    /// The text, or why there is none.
    pub read: Result<ExtractedText, ExtractionError>,
    /// What it spent on it; none if the child ended without a word.
    pub spent: Option<ExtractionSpending>,
}

/// Writes one frame.
pub fn write_frame(out: &mut impl Write, value: &impl Serialize) -> std::io::Result<()> {
    let json = serde_json::to_vec(value)?;
    let length =
        u32::try_from(json.len()).map_err(|_| Error::new(ErrorKind::InvalidInput, "a frame of 4 GiB"))?;
    out.write_all(&length.to_le_bytes())?;
    out.write_all(&json)
}

/// Reads a request and its body; none if the pipe is closed before one.
pub(crate) fn read_request(input: &mut impl Read) -> std::io::Result<Option<(ExtractionRequest, Vec<u8>)>> {
    let mut length = [0; 4];
    if let Err(error) = input.read_exact(&mut length) {
        return if error.kind() == ErrorKind::UnexpectedEof { Ok(None) } else { Err(error) };
    }
    let length = u32::from_le_bytes(length) as usize;
    if length > REQUEST_BYTES_MAX {
        return Err(Error::new(ErrorKind::InvalidData, "a request is too long"));
    }
    let mut json = vec![0; length];
    input.read_exact(&mut json)?;
    let request: ExtractionRequest = serde_json::from_slice(&json)?;
    let mut body = Vec::new();
    input.take(request.body_bytes as u64).read_to_end(&mut body)?;
    if body.len() != request.body_bytes {
        return Err(Error::new(ErrorKind::UnexpectedEof, "the body ends early"));
    }
    Ok(Some((request, body)))
}

/// The value of a frame; none if the bytes are not exactly one.
pub(crate) fn decode_frame<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let (length, json) = bytes.split_first_chunk::<4>()?;
    (u32::from_le_bytes(*length) as usize == json.len()).then(|| serde_json::from_slice(json).ok()).flatten()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails where one does")]
mod tests {
    use super::{ExtractionRequest, ExtractionTask, decode_frame, read_request, write_frame};
    use crate::document_format::DocumentFormat;

    #[test]
    fn requests_come_with_their_body() {
        let request = ExtractionRequest {
            task: ExtractionTask::Text,
            format: DocumentFormat::Docx,
            name: "a \"b\".docx".to_owned(),
            body_bytes: 3,
            cpu_seconds_max: 20,
        };
        let mut pipe = Vec::new();
        write_frame(&mut pipe, &request).unwrap();
        assert_eq!(decode_frame(&pipe), Some(request.clone()));
        pipe.extend(b"abcd");
        assert_eq!(read_request(&mut pipe.as_slice()).unwrap(), Some((request, b"abc".to_vec())));
        assert_eq!(read_request(&mut [].as_slice()).unwrap(), None, "a child that was not needed");
        pipe.truncate(pipe.len() - 2);
        assert!(read_request(&mut pipe.as_slice()).is_err());
        assert!(read_request(&mut [255; 8].as_slice()).is_err());
    }
}
