//! Events of documents as server-sent events.

use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::{HttpTestServer, PATIENCE, answer, refused};

const EVENTS: &str = "/v1/collections/c/events";
const DOCUMENTS: &str = "/v1/collections/c/documents";

/// An event as it was sent.
#[derive(Debug, Default)]
pub(super) struct SentEvent {
    pub(super) name: String,
    pub(super) id: String,
    pub(super) data: Value,
}

/// Reads events from an answer.
pub(super) struct SentEventReader {
    answer: Response,
    arrived: String,
}

impl SentEventReader {
    pub(super) fn new(answer: Response) -> Self {
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Self { answer, arrived: String::new() }
    }

    /// The next event, comments left out; none at the end.
    pub(super) async fn next(&mut self) -> Option<SentEvent> {
        loop {
            while let Some((block, rest)) = self.arrived.split_once("\n\n") {
                let mut event = SentEvent::default();
                for line in block.lines() {
                    match line.split_once(": ").unwrap_or((line, "")) {
                        ("event", name) => event.name = name.to_owned(),
                        ("id", id) => event.id = id.to_owned(),
                        ("data", data) => event.data = serde_json::from_str(data).unwrap(),
                        _ => {}
                    }
                }
                self.arrived = rest.to_owned();
                if !event.name.is_empty() {
                    return Some(event);
                }
            }
            let chunk = tokio::time::timeout(PATIENCE, self.answer.chunk()).await.unwrap().unwrap()?;
            self.arrived += std::str::from_utf8(&chunk).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_told_and_gone_on_with() {
    let server = HttpTestServer::with_collection().await;
    let mut events = SentEventReader::new(server.request(Method::GET, EVENTS).send().await.unwrap());
    server.put_text("c", "a.md", "The first.").await;
    let visible = events.next().await.unwrap();
    assert_eq!((&*visible.name, &visible.data["document_id"]), ("visible", &json!("a.md")));
    assert_eq!(visible.data["version"], 1);
    assert!(visible.data["at_ms"].as_u64().is_some_and(|at_ms| at_ms > 0) && !visible.id.is_empty());
    drop(events);

    let dead = server.put(&format!("{DOCUMENTS}/empty.md?wait=visible"), &json!({"text": "  "})).await;
    assert_eq!(dead.0, StatusCode::UNPROCESSABLE_ENTITY);
    server.delete(&format!("{DOCUMENTS}/a.md?wait=visible")).await;
    let later = server.request(Method::GET, &format!("{EVENTS}?after={}", visible.id)).send().await.unwrap();
    let mut later = SentEventReader::new(later);
    let told = [later.next().await.unwrap(), later.next().await.unwrap()];
    let of_kind = |name: &str| told.iter().find(|event| event.name == name).unwrap();
    assert_eq!(of_kind("deleted").data["version"], 2);
    assert_eq!(of_kind("dead").data["reason"]["code"], "empty_document");
    // The header of a browser that comes back outdoes the query of its first visit.
    let back = server.request(Method::GET, &format!("{EVENTS}?after={}", visible.id));
    let back = back.header("last-event-id", &told[1].id).send().await.unwrap();
    let mut back = SentEventReader::new(back);
    server.put_text("c", "b.md", "The second.").await;
    assert_eq!(back.next().await.unwrap().data["document_id"], "b.md");

    // Draining ends every stream, and says so.
    let stopped = tokio::spawn(server.stop());
    let last = back.next().await.unwrap();
    assert_eq!((&*last.name, &last.data["code"]), ("error", &json!("shutting_down")));
    assert!(back.next().await.is_none() && later.next().await.is_some());
    drop((back, later));
    stopped.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn events_need_a_collection_and_a_cursor_of_theirs() {
    let server = HttpTestServer::with_collection().await;
    let cursor = server.get(&format!("{EVENTS}?after=nonsense")).await;
    assert_eq!(refused(&cursor), (400, "invalid_cursor", "after"));
    let nowhere = server.get("/v1/collections/none/events").await;
    assert_eq!(refused(&nowhere), (404, "unknown_collection", "collection"));
    server.stop().await;
}

const BOARD: &str = "key-of-the-board-0123456789";
const GUEST: &str = "key-of-a-guest-0123456789";

fn keys() -> String {
    let of = |name: &str, key: &str, rest: &str| {
        let hash = blake3::hash(key.as_bytes());
        format!("[[auth.keys]]\nname = \"{name}\"\ntenant = \"acme\"\nhash = \"{hash}\"\n{rest}\n")
    };
    of("board", BOARD, "scopes = [\"read\", \"write\", \"admin\"]\ngroups = [\"board\"]")
        + &of("guest", GUEST, "scopes = [\"read\"]")
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_read_a_document_is_told_nothing_of_it() {
    let server = HttpTestServer::start_with(&keys()).await;
    let send = |method: Method, path: &str, key: &str| server.request(method, path).bearer_auth(key);
    let make = json!({"name": "c", "pipeline": super::PIPELINE});
    let made = answer(send(Method::POST, "/v1/collections", BOARD).json(&make)).await;
    assert_eq!(made.0, StatusCode::CREATED, "{}", made.1);
    let mut board = SentEventReader::new(send(Method::GET, EVENTS, BOARD).send().await.unwrap());
    let mut guest = SentEventReader::new(send(Method::GET, EVENTS, GUEST).send().await.unwrap());

    let secret = format!("{DOCUMENTS}/secret.md");
    let waiting = format!("{secret}?wait=visible");
    let restricted = json!({"text": "The merger.", "groups": ["board"]});
    let put = answer(send(Method::PUT, &waiting, BOARD).json(&restricted)).await;
    assert_eq!(put.0, StatusCode::OK, "{}", put.1);
    assert_eq!(board.next().await.unwrap().name, "visible");
    let hidden = answer(send(Method::GET, &secret, GUEST)).await;
    assert_eq!(refused(&hidden), (404, "unknown_document", "document_id"));

    let empty = json!({"text": "  ", "groups": ["board"]});
    let died =
        answer(send(Method::PUT, &format!("{DOCUMENTS}/dead.md?wait=visible"), BOARD).json(&empty)).await;
    assert_eq!(refused(&died), (422, "document_died", ""));
    assert_eq!(board.next().await.unwrap().name, "dead");

    let deleted = answer(send(Method::DELETE, &waiting, BOARD)).await;
    assert_eq!(deleted.0, StatusCode::OK, "{}", deleted.1);
    assert_eq!(board.next().await.unwrap().name, "deleted");
    let hidden = answer(send(Method::GET, &secret, GUEST)).await;
    assert_eq!(refused(&hidden), (404, "unknown_document", "document_id"));
    let (_, shown) = answer(send(Method::GET, &secret, BOARD)).await;
    assert_eq!((&shown["deleted"], &shown["versions"][0]["version"]), (&json!(true), &json!(2)));

    let open = answer(
        send(Method::PUT, &format!("{DOCUMENTS}/open.md?wait=visible"), BOARD)
            .json(&json!({"text": "The canteen."})),
    )
    .await;
    assert_eq!(open.0, StatusCode::OK, "{}", open.1);
    let first = guest.next().await.unwrap();
    assert_eq!((&*first.name, &first.data["document_id"]), ("visible", &json!("open.md")));
    drop((board, guest));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_of_a_dropped_collection_goes_on_at_the_beginning_of_the_new_one() {
    let server = HttpTestServer::with_collection().await;
    let mut events = SentEventReader::new(server.request(Method::GET, EVENTS).send().await.unwrap());
    server.put_text("c", "a.md", "The first.").await;
    let cursor = events.next().await.unwrap().id;
    drop(events);
    assert!(server.delete("/v1/collections/c").await.0.is_success());
    server.make("c").await;
    // At the same position of another log.
    server.put_text("c", "b.md", "The second.").await;
    let again = server.request(Method::GET, &format!("{EVENTS}?after={cursor}")).send().await.unwrap();
    let mut again = SentEventReader::new(again);
    assert_eq!(again.next().await.unwrap().data["document_id"], "b.md");
    drop(again);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_leave_room_for_other_calls() {
    let server = HttpTestServer::start_with("[server]\nrequests_in_flight_max = 3\n").await;
    server.make("c").await;
    let first = server.request(Method::GET, EVENTS).send().await.unwrap();
    assert_eq!(first.status(), StatusCode::OK);
    assert_eq!(refused(&server.get(EVENTS).await), (429, "too_many_streams", ""));
    assert_eq!(server.get("/v1/collections").await.0, StatusCode::OK);
    drop(first);
    server.stop().await;
}
