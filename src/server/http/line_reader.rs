//! Reads a body line by line, with a bound for a line: the rest of a longer one is skipped and never buffered.

use std::sync::Arc;

use axum::body::{Body, BodyDataStream};
use bytes::{Buf, Bytes, BytesMut};
use futures::StreamExt;

use super::problem::refusal_from_body_error;
use crate::server::limits::RequestTicket;
use contexture_core::fault::Refusal;

/// A line without its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ArrivedLine {
    /// Its number, from 1. Blank lines count.
    pub(super) number: u64,
    /// Its text; empty if it is too long.
    pub(super) text: Bytes,
    /// Whether it has more bytes than a line may have.
    pub(super) is_too_long: bool,
}

/// Reads lines.
pub(super) struct LineReader {
    body: BodyDataStream,
    line_bytes_max: usize,
    /// What the body is charged to; bytes of skipped and of blank lines are given back.
    ticket: Option<Arc<RequestTicket>>,
    buffer: BytesMut,
    /// Bytes of the buffer that are known to have no line end.
    searched: usize,
    number: u64,
    /// Whether lines were handed out that still count as in memory.
    is_lent: bool,
    /// Blank lines whose bytes are still charged.
    blank_lines: u64,
    is_skipping: bool,
    has_ended: bool,
}

impl LineReader {
    pub(super) fn new(body: Body, line_bytes_max: usize, ticket: Option<Arc<RequestTicket>>) -> Self {
        Self {
            body: body.into_data_stream(),
            line_bytes_max,
            ticket,
            buffer: BytesMut::new(),
            searched: 0,
            number: 0,
            is_lent: false,
            blank_lines: 0,
            is_skipping: false,
            has_ended: false,
        }
    }

    /// Returns the next line that is not blank; none at the end. Nothing is lost if the future is dropped.
    pub(super) async fn next(&mut self) -> Result<Option<ArrivedLine>, Refusal> {
        loop {
            if let Some(line) = self.take_line() {
                if line.is_too_long || !line.text.trim_ascii().is_empty() {
                    self.is_lent = true;
                    return Ok(Some(line));
                }
                self.blank_lines += 1;
                continue;
            }
            self.release_blank_lines()?;
            if self.has_ended {
                return Ok(None);
            }
            match self.body.next().await {
                Some(Ok(frame)) => self.buffer.extend_from_slice(&frame),
                Some(Err(error)) => return Err(refusal_from_body_error(&error)),
                None => self.has_ended = true,
            }
        }
    }

    /// Gives back what is charged, because the lines that were handed out have been processed, all but those in
    /// `ahead`.
    pub(super) fn release_all_but(&mut self, ahead: &[ArrivedLine]) {
        self.is_lent = !ahead.is_empty();
        let lent: usize = ahead.iter().map(|line| line.text.len() + 1).sum();
        if let Some(ticket) = &self.ticket {
            ticket.release_all_but(lent + self.buffer.len());
        }
    }

    /// Gives back the bytes of blank lines. While other lines are handed out, they are given back with those.
    fn release_blank_lines(&mut self) -> Result<(), Refusal> {
        if std::mem::take(&mut self.blank_lines) == 0 || self.is_lent {
            return Ok(());
        }
        let Some(ticket) = &self.ticket else { return Ok(()) };
        ticket.release();
        // The beginning of the next line stays.
        ticket.charge(self.buffer.len())
    }

    /// Takes a line that is complete, or longer than a line may be, out of the buffer.
    fn take_line(&mut self) -> Option<ArrivedLine> {
        if self.is_skipping {
            let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') else {
                self.buffer.clear();
                // A line is skipped when nothing else is waiting, so all that is charged is of this line.
                if let Some(ticket) = &self.ticket {
                    ticket.release();
                }
                return None;
            };
            self.buffer.advance(end + 1);
            (self.is_skipping, self.searched) = (false, 0);
        }
        let end = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n');
        let length = match end {
            Some(end) => self.searched + end,
            // The last line may have no end.
            None if self.has_ended && !self.buffer.is_empty() => self.buffer.len(),
            None if self.buffer.len() <= self.line_bytes_max => {
                self.searched = self.buffer.len();
                return None;
            }
            None => {
                self.is_skipping = true;
                self.buffer.clear();
                return Some(self.too_long_line());
            }
        };
        let text = self.buffer.split_to(length).freeze();
        if !self.buffer.is_empty() {
            self.buffer.advance(1);
        }
        self.searched = 0;
        if text.len() > self.line_bytes_max {
            return Some(self.too_long_line());
        }
        self.number += 1;
        Some(ArrivedLine { number: self.number, text, is_too_long: false })
    }

    fn too_long_line(&mut self) -> ArrivedLine {
        self.number += 1;
        self.searched = 0;
        ArrivedLine { number: self.number, text: Bytes::new(), is_too_long: true }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed step fails its test")]

    use std::time::Duration;

    use futures::stream;

    use super::*;
    use crate::config::ContextureConfig;
    use crate::server::admission::MeteredBody;
    use crate::server::limits::InFlightLimiter;

    async fn lines_of(frames: &[&'static str]) -> Vec<(u64, String, bool)> {
        let frames: Vec<Result<&'static str, std::io::Error>> =
            frames.iter().map(|frame| Ok(*frame)).collect();
        let mut reader = LineReader::new(Body::from_stream(stream::iter(frames)), 8, None);
        let mut lines = Vec::new();
        while let Ok(Some(line)) = reader.next().await {
            lines.push((line.number, String::from_utf8_lossy(&line.text).into_owned(), line.is_too_long));
        }
        lines
    }

    #[tokio::test]
    async fn lines_are_whole_however_they_arrive() {
        let expected =
            vec![(1, "one".to_owned(), false), (3, "three".to_owned(), false), (4, "four".to_owned(), false)];
        assert_eq!(lines_of(&["one\n\nthree\nfour"]).await, expected);
        assert_eq!(lines_of(&["o", "ne", "\n", "\nth", "ree", "\nfour\n"]).await, expected);
        assert_eq!(lines_of(&[]).await, vec![]);
    }

    #[tokio::test]
    async fn blank_lines_take_no_room_for_long() {
        let mut limits = ContextureConfig::load(None, []).unwrap().server.limits;
        limits.request_bytes_in_flight_max = 40;
        let room = InFlightLimiter::new(&limits);
        let ticket = Arc::new(room.admit().unwrap());
        let mut frames = vec!["\n".repeat(30); 10];
        frames.push("last".to_owned());
        let body = Body::from_stream(stream::iter(frames.into_iter().map(Ok::<_, std::io::Error>)));
        let body = MeteredBody::new(body, Arc::clone(&ticket), Duration::from_secs(1), |refusal| {
            Box::new(refusal.clone())
        });
        let mut reader = LineReader::new(Body::new(body), 8, Some(ticket));
        let line = reader.next().await.unwrap().unwrap();
        assert_eq!((line.number, &*line.text, room.bytes_in_flight()), (301, &b"last"[..], 4));
        reader.release_all_but(&[]);
        assert_eq!(room.bytes_in_flight(), 0);
    }

    #[tokio::test]
    async fn the_line_behind_a_long_one_is_read() {
        let expected = vec![(1, String::new(), true), (2, "two".to_owned(), false)];
        assert_eq!(lines_of(&["123456789\ntwo"]).await, expected);
        assert_eq!(lines_of(&["123456789", "0123456789", "0\ntwo\n"]).await, expected);
        assert_eq!(lines_of(&["12345678\n"]).await, vec![(1, "12345678".to_owned(), false)]);
    }
}
