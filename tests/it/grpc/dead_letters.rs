//! Dead letters over the API.

use contexture::server::grpc::proto;
use contexture::server::grpc::proto::dead_letter_service_client::DeadLetterServiceClient;
use tonic::Code;
use tonic::transport::Channel;

use super::stores::*;
use super::support::{field, reason};

/// A server that gave these documents up.
async fn with_dead(documents: &[&str]) -> (StoreServer, DeadLetterServiceClient<Channel>) {
    let server = StoreServer::start().await;
    let mut client = server.ingest().await;
    for id in documents {
        let request = proto::SubmitRequest { wait_visible_ms: Some(30_000), ..unreadable(id) };
        let status = client.submit(with_key(request, OWNER)).await.unwrap_err();
        assert_eq!(reason(&status), "document_died");
    }
    let client = server.dead_letters().await;
    (server, client)
}

fn numbered(ids: &[u64]) -> Option<proto::DeadLetterSelection> {
    let ids = Some(proto::DeadLetterIds { ids: ids.to_vec() });
    Some(proto::DeadLetterSelection { ids, ..proto::DeadLetterSelection::default() })
}

#[tokio::test]
async fn dead_letters_are_listed_shown_and_counted() {
    let (_server, mut client) = with_dead(&["a", "b", "c"]).await;
    let first = proto::ListDeadLettersRequest {
        collection: Some(HOME.to_owned()),
        stage: Some("chunk".to_owned()),
        limit: Some(2),
        ..proto::ListDeadLettersRequest::default()
    };
    let page_one = client.list_dead_letters(with_key(first.clone(), OWNER)).await.unwrap().into_inner();
    let ids = |answer: &proto::ListDeadLettersResponse| {
        answer.dead_letters.iter().map(|one| one.document_id.clone()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&page_one), ["a", "b"]);
    let second = proto::ListDeadLettersRequest { cursor: page_one.next_cursor.clone(), ..first };
    let page_two = client.list_dead_letters(with_key(second, OWNER)).await.unwrap().into_inner();
    assert_eq!((ids(&page_two), page_two.next_cursor.as_str()), (vec!["c".to_owned()], ""));

    let letter = &page_one.dead_letters[0];
    assert_eq!((letter.collection.as_str(), letter.version, letter.stage.as_str()), (HOME, 1, "chunk"));
    assert!(!letter.reason_code.is_empty() && !letter.reason.is_empty() && letter.died_ms > 0, "{letter:?}");
    let get = proto::GetDeadLetterRequest { id: letter.id };
    assert_eq!(client.get_dead_letter(with_key(get, OWNER)).await.unwrap().into_inner(), *letter);
    let none = proto::GetDeadLetterRequest { id: 1_000_000 };
    let status = client.get_dead_letter(with_key(none, OWNER)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "dead_letter_not_found"));

    let all = proto::ListDeadLetterReasonsRequest { selection: None };
    let counted = client.list_dead_letter_reasons(with_key(all, OWNER)).await.unwrap().into_inner().reasons;
    assert_eq!(counted.len(), 1);
    assert_eq!((counted[0].code.as_str(), counted[0].count), (letter.reason_code.as_str(), 3));
    assert_eq!(counted[0].example.as_ref(), Some(letter));

    let bad = proto::ListDeadLettersRequest { stage: Some("cook".to_owned()), ..Default::default() };
    let status = client.list_dead_letters(with_key(bad, OWNER)).await.unwrap_err();
    assert_eq!((status.code(), field(&status).as_str()), (Code::InvalidArgument, "stage"));
}

#[tokio::test]
async fn dead_letters_are_replayed_and_dropped_once_they_were_counted() {
    let (_server, mut client) = with_dead(&["a", "b", "c"]).await;
    let all = client.list_dead_letters(with_key(Default::default(), OWNER)).await.unwrap().into_inner();
    let ids: Vec<u64> = all.dead_letters.iter().map(|letter| letter.id).collect();

    let drop = proto::DropDeadLettersRequest { selection: numbered(&ids[..1]), dry_run: true };
    let counted = client.drop_dead_letters(with_key(drop.clone(), OWNER)).await.unwrap().into_inner();
    assert_eq!((counted.matched, counted.dropped, counted.dry_run), (1, 0, true));
    let drop = proto::DropDeadLettersRequest { dry_run: false, ..drop };
    let dropped = client.drop_dead_letters(with_key(drop, OWNER)).await.unwrap().into_inner();
    assert_eq!((dropped.matched, dropped.dropped, dropped.dry_run), (1, 1, false));

    let selection = proto::DeadLetterSelection {
        collection: Some(HOME.to_owned()),
        reason: Some(all.dead_letters[0].reason_code.clone()),
        ..proto::DeadLetterSelection::default()
    };
    let replay = proto::ReplayDeadLettersRequest { selection: Some(selection), dry_run: true };
    let counted = client.replay_dead_letters(with_key(replay.clone(), OWNER)).await.unwrap().into_inner();
    assert_eq!((counted.matched, counted.replayed, counted.dry_run), (2, 0, true));
    let replay = proto::ReplayDeadLettersRequest { dry_run: false, ..replay };
    let replayed = client.replay_dead_letters(with_key(replay, OWNER)).await.unwrap().into_inner();
    assert_eq!((replayed.matched, replayed.replayed, replayed.dry_run), (2, 2, false));
}

#[tokio::test]
async fn an_empty_list_of_letters_is_not_taken_for_all() {
    let (_server, mut client) = with_dead(&["a"]).await;
    let drop = proto::DropDeadLettersRequest { selection: numbered(&[]), dry_run: false };
    let replay = proto::ReplayDeadLettersRequest { selection: numbered(&[]), dry_run: false };
    let refused = [
        client.drop_dead_letters(with_key(drop, OWNER)).await.unwrap_err(),
        client.replay_dead_letters(with_key(replay, OWNER)).await.unwrap_err(),
    ];
    for status in refused {
        assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "empty_ids"));
    }
    let left = client.list_dead_letters(with_key(Default::default(), OWNER)).await.unwrap().into_inner();
    assert_eq!(left.dead_letters.len(), 1);
}
