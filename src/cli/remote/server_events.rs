//! Server-sent events: <https://html.spec.whatwg.org/multipage/server-sent-events.html>.

use reqwest::Response;
use serde::de::DeserializeOwned;

use super::RemoteServer;
use super::problem::ServerProblem;
use contexture_core::fault::{Refusal, RefusalKind};

/// Largest event, in bytes. A comparison's report has every question.
const EVENT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// One event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ServerEvent {
    /// Its name; `message` where it has none.
    pub(crate) name: String,
    /// Where it stands in its stream.
    pub(crate) id: String,
    /// Its JSON.
    pub(crate) data: String,
}

impl ServerEvent {
    /// Its JSON as a message.
    pub(crate) fn message<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        serde_json::from_str(&self.data).map_err(|error| {
            let message = format!("the event '{}' of the server cannot be read: {error}", self.name);
            Refusal::new(RefusalKind::Internal, "unreadable_answer", "server", message)
        })
    }
}

/// Reads events as they come.
pub(crate) struct ServerEventReader {
    server: RemoteServer,
    response: Response,
    parser: EventParser,
}

impl ServerEventReader {
    pub(super) fn new(server: RemoteServer, response: Response) -> Self {
        Self { server, response, parser: EventParser::default() }
    }

    /// The next event; none at the end. A problem that the server sends as an event is the refusal it is.
    pub(crate) async fn next(&mut self) -> Result<Option<ServerEvent>, Refusal> {
        loop {
            if let Some(event) = self.parser.next_event() {
                if event.name == "error" {
                    return Err(event.message::<ServerProblem>()?.into_refusal());
                }
                return Ok(Some(event));
            }
            let Some(part) = self.response.chunk().await.map_err(|error| self.server.lost(&error))? else {
                return Ok(None);
            };
            self.parser.add(&part)?;
        }
    }

    /// Reads until the event `report` and returns its message. `show` receives every other event.
    pub(crate) async fn report<T: DeserializeOwned>(
        mut self,
        mut show: impl FnMut(&ServerEvent),
    ) -> Result<T, Refusal> {
        while let Some(event) = self.next().await? {
            if event.name == "report" {
                return event.message();
            }
            show(&event);
        }
        let message = format!("the server at {} ended its answer before the report", self.server.url());
        Err(Refusal::new(RefusalKind::Unavailable, "server_unreachable", "server", message))
    }
}

/// Bytes that have come, and the event that its lines make.
#[derive(Default)]
struct EventParser {
    bytes: Vec<u8>,
    /// Bytes before this are parsed.
    parsed: usize,
    /// No line ends before this.
    searched: usize,
    event: ServerEvent,
}

impl EventParser {
    fn add(&mut self, part: &[u8]) -> Result<(), Refusal> {
        self.bytes.drain(..self.parsed);
        self.searched -= self.parsed;
        self.parsed = 0;
        if self.bytes.len() + self.event.data.len() + part.len() > EVENT_BYTES_MAX {
            let message = format!("an event of the server has more than {EVENT_BYTES_MAX} bytes");
            return Err(Refusal::new(RefusalKind::Internal, "answer_too_large", "server", message));
        }
        self.bytes.extend_from_slice(part);
        Ok(())
    }

    /// The next event that is complete.
    fn next_event(&mut self) -> Option<ServerEvent> {
        while let Some(end) = self.bytes[self.searched..].iter().position(|byte| *byte == b'\n') {
            let end = self.searched + end;
            let line = String::from_utf8_lossy(&self.bytes[self.parsed..end]).into_owned();
            (self.parsed, self.searched) = (end + 1, end + 1);
            if let Some(event) = self.add_line(line.trim_end_matches('\r')) {
                return Some(event);
            }
        }
        self.searched = self.bytes.len();
        None
    }

    fn add_line(&mut self, line: &str) -> Option<ServerEvent> {
        if line.is_empty() {
            let mut event = std::mem::take(&mut self.event);
            // Without data there is no event; comments alone are heartbeats.
            if event.data.is_empty() {
                return None;
            }
            if event.name.is_empty() {
                "message".clone_into(&mut event.name);
            }
            return Some(event);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event.name),
            "id" => value.clone_into(&mut self.event.id),
            "data" => {
                if !self.event.data.is_empty() {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            // A comment has an empty name; `retry` is for browsers.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{EventParser, ServerEvent};

    fn parse(parts: &[&str]) -> Vec<ServerEvent> {
        let mut parser = EventParser::default();
        let mut events = Vec::new();
        for part in parts {
            parser.add(part.as_bytes()).expect("room");
            while let Some(event) = parser.next_event() {
                events.push(event);
            }
        }
        events
    }

    fn event(name: &str, id: &str, data: &str) -> ServerEvent {
        ServerEvent { name: name.to_owned(), id: id.to_owned(), data: data.to_owned() }
    }

    #[test]
    fn events_are_read_however_they_are_cut() {
        let text =
            ": heartbeat\n\nevent: visible\nid: 7\ndata: {\"a\":1}\n\ndata:x\r\ndata: y\r\n\r\nevent: cut";
        let expected = vec![event("visible", "7", "{\"a\":1}"), event("message", "", "x\ny")];
        assert_eq!(parse(&[text]), expected);
        let bytes: Vec<String> = text.chars().map(String::from).collect();
        let parts: Vec<&str> = bytes.iter().map(String::as_str).collect();
        assert_eq!(parse(&parts), expected);
    }
}
