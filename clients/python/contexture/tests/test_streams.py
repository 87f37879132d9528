"""Streams: decoding, putting many, events, reports."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from scripted import BROKEN, ScriptedServer, answer, ndjson, problem, unfinished

from contexture import (
    AsyncContexture,
    ConnectionFailedError,
    Contexture,
    ContextureError,
    DeadlineExceededError,
    Document,
    NotFoundError,
    Progress,
    RateLimitedError,
)
from contexture._flows import BATCH_DOCUMENTS_MAX
from contexture._streams import EventReader, NdjsonReader


def receipt(id: str, version: int = 1) -> dict[str, Any]:
    return {"document_id": id, "version": version, "intake": "accepted", "state": "accepted"}


def refused(status: int, code: str, **more: Any) -> dict[str, Any]:
    return {"error": {"status": status, "code": code, "detail": "so", **more}}


def ids(request: Any) -> list[str]:
    return [line["id"] for line in request.lines]


def documents(*names: str) -> list[Document]:
    return [Document(name, f"text of {name}") for name in names]


def test_lines_end_at_line_feeds_only() -> None:
    reader = NdjsonReader()
    text = '{"a":"one\u2028two\x85three"}\r\n\n{"b":1}\n{"c"'.encode()
    # One byte at a time: every place can be where a packet ends.
    values = [value for byte in text for value in reader.feed(bytes([byte]))]
    assert values == [{"a": "one\u2028two\x85three"}, {"b": 1}]
    assert list(reader.feed(b":2}")) == []
    assert list(reader.finish()) == [{"c": 2}]


def test_events_are_read_as_the_standard_says() -> None:
    reader = EventReader()
    text = (
        b": hello\n\nevent: visible\nid: 7\ndata: one\ndata:two\n\n\nid: 8\n\ndata: three\r\n\r\n"
    )
    events = [event for byte in text for event in reader.feed(bytes([byte]))]
    assert [(event.name, event.id, event.data) for event in events] == [
        ("visible", "7", "one\ntwo"),
        ("", "8", ""),
        ("message", "8", "three"),
    ]


def test_results_come_in_order_and_errors_stay_results(
    scripted: ScriptedServer, scripted_client: Contexture
) -> None:
    bad = {"document_id": "b", "line": 2, **refused(400, "unknown_field", field="texd")}
    scripted.script = [ndjson(receipt("a"), bad, receipt("c", 4))]
    results = list(scripted_client.documents.put_many("c", documents("a", "b", "c")))
    assert [(result.index, result.document_id, result.ok) for result in results] == [
        (0, "a", True),
        (1, "b", False),
        (2, "c", True),
    ]
    assert results[2].raise_for_error().version == 4
    with pytest.raises(ContextureError, match="unknown_field, field texd"):
        results[1].raise_for_error()
    assert ids(scripted.requests[0]) == ["a", "b", "c"]


def test_memory_is_bounded_and_input_is_taken_as_it_is_needed(
    scripted: ScriptedServer, scripted_client: Contexture
) -> None:
    count = BATCH_DOCUMENTS_MAX * 2 + 1
    taken = 0

    def source() -> Iterator[dict[str, Any]]:
        nonlocal taken
        for number in range(count):
            taken += 1
            yield {"id": f"{number}", "text": "x"}

    sizes = [BATCH_DOCUMENTS_MAX, BATCH_DOCUMENTS_MAX, 1]
    scripted.script = [ndjson(*[receipt("x")] * size) for size in sizes]
    ahead = 0
    for done, _ in enumerate(scripted_client.documents.put_many("c", source())):
        ahead = max(ahead, taken - done)
    assert ahead == BATCH_DOCUMENTS_MAX
    assert [len(request.lines) for request in scripted.requests] == sizes


def test_large_documents_make_small_requests(
    scripted: ScriptedServer, scripted_client: Contexture
) -> None:
    large = "x" * (3 * 1024 * 1024)
    scripted.script = [ndjson(receipt("a"), receipt("b")), ndjson(receipt("c"))]
    many = [Document(name, large) for name in "abc"]
    assert [result.ok for result in scripted_client.documents.put_many("c", many)] == [True] * 3
    assert [ids(request) for request in scripted.requests] == [["a", "b"], ["c"]]


def test_a_broken_stream_goes_on_behind_the_last_result(
    scripted: ScriptedServer, scripted_client: Contexture
) -> None:
    half = unfinished(b'{"document_id":"a","version":1}\n{"docu', "application/x-ndjson")
    scripted.script = [BROKEN, half, ndjson(receipt("b")), ndjson(receipt("c"))]
    results = list(scripted_client.documents.put_many("c", documents("a", "b", "c")))
    assert [result.document_id for result in results] == ["a", "b", "c"]
    asked = [ids(request) for request in scripted.requests]
    assert asked == [["a", "b", "c"], ["a", "b", "c"], ["b", "c"], ["c"]]


def test_what_the_server_was_too_busy_for_is_sent_again_in_order(
    scripted: ScriptedServer, scripted_client: Contexture
) -> None:
    busy = {"document_id": "b", **refused(429, "bytes_in_flight", retry_after_ms=5)}
    scripted.script = [
        ndjson(receipt("a"), busy, receipt("c")),
        ndjson(receipt("b"), receipt("c")),
    ]
    results = list(scripted_client.documents.put_many("c", documents("a", "b", "c")))
    assert [(result.index, result.document_id) for result in results] == [
        (0, "a"),
        (1, "b"),
        (2, "c"),
    ]
    assert ids(scripted.requests[1]) == ["b", "c"]


def test_a_server_that_stays_busy_gives_an_error_per_document(
    scripted: ScriptedServer, scripted_client: Contexture
) -> None:
    busy = ndjson({"document_id": "a", **refused(429, "bytes_in_flight", retry_after_ms=1)})
    scripted.script = [*[busy] * 5, ndjson(receipt("b"))]
    first, second = scripted_client.documents.put_many("c", documents("a", "b"))
    assert isinstance(first.error, RateLimitedError)
    assert second.ok


def test_an_error_of_the_stream_is_not_a_documents(
    scripted: ScriptedServer, scripted_client: Contexture
) -> None:
    stopping = refused(503, "shutting_down", retry_after_ms=1)
    late = refused(504, "deadline_exceeded")
    scripted.script = [ndjson(receipt("a"), stopping), ndjson(receipt("b"), late)]
    results = scripted_client.documents.put_many("c", documents("a", "b", "c"))
    assert [next(results).document_id, next(results).document_id] == ["a", "b"]
    with pytest.raises(DeadlineExceededError):
        next(results)


def test_an_unknown_collection_ends_the_stream(
    scripted: ScriptedServer, scripted_client: Contexture
) -> None:
    scripted.script = [problem(404, "unknown_collection", field="collection")]
    with pytest.raises(NotFoundError):
        list(scripted_client.documents.put_many("c", documents("a")))


def test_a_server_that_stays_away_ends_the_stream(
    scripted: ScriptedServer, scripted_client: Contexture
) -> None:
    scripted.script = [BROKEN] * 9
    with pytest.raises(ConnectionFailedError):
        list(scripted_client.documents.put_many("c", documents("a")))
    assert len(scripted.requests) == 5


@pytest.mark.parametrize("wrong", [{"text": "no id"}, Document("a"), Document("a", "t", b"b")])
def test_a_wrong_document_is_refused_before_it_is_sent(
    scripted: ScriptedServer, scripted_client: Contexture, wrong: Any
) -> None:
    with pytest.raises(ValueError, match="needs"):
        list(scripted_client.documents.put_many("c", [wrong]))
    assert scripted.requests == []


async def test_put_many_takes_asynchronous_input(
    scripted: ScriptedServer, scripted_async_client: AsyncContexture
) -> None:
    async def source() -> AsyncIterator[Document]:
        for document in documents("a", "b"):
            yield document

    half = unfinished(b'{"document_id":"a","version":1}\n', "application/x-ndjson")
    scripted.script = [half, ndjson(receipt("b"))]
    results = scripted_async_client.documents.put_many("c", source())
    assert [result.document_id async for result in results] == ["a", "b"]


def test_files_are_parts_with_their_names_and_types(
    scripted: ScriptedServer, scripted_client: Contexture, tmp_path: Path
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / 'a "quoted".md').write_bytes(b"# A\r\n--x")
    (tmp_path / "b.unknown-kind").write_bytes(b"b")
    scripted.script = [answer(200, {"results": [receipt("x"), receipt("y")]})]
    files = [tmp_path / "sub" / 'a "quoted".md', tmp_path / "b.unknown-kind"]
    results = list(scripted_client.documents.put_files("c", files, base=tmp_path))
    assert [result.ok for result in results] == [True, True]
    request = scripted.requests[0]
    boundary = request.headers["content-type"].partition("boundary=")[2]
    parts = request.body.split(b"--" + boundary.encode())
    # The id is a field, because a file name cannot hold a quote.
    assert parts[1].endswith(b'name="id"\r\n\r\nsub/a "quoted".md\r\n')
    assert b'filename="file"\r\nContent-Type: text/markdown\r\n\r\n' in parts[2]
    assert parts[2].endswith(b"\r\n\r\n# A\r\n--x\r\n")
    # Unknown: the server finds out.
    assert b"Content-Type" not in parts[4]


VISIBLE = b'event: visible\nid: c%d\ndata: {"document_id":"a","version":%d,"at_ms":1}\n\n'


def test_events_go_on_behind_the_last_one(
    scripted: ScriptedServer, scripted_client: Contexture
) -> None:
    dead = b'event: dead\nid: c3\ndata: {"document_id":"b","version":1,"reason":{"code":"x"}}\n\n'
    scripted.script = [
        unfinished(b": hi\n\n" + VISIBLE % (1, 1) + VISIBLE % (2, 2) + b"event: dead\nid: c9"),
        BROKEN,
        problem(503, "stopping", retry_after_ms=1),
        unfinished(b"event: from_the_future\nid: c2b\ndata: {}\n\n" + dead),
    ]
    events = scripted_client.events("c", after="c0")
    seen = [next(events), next(events), next(events)]
    assert [(event.kind, event.cursor, event.version) for event in seen] == [
        ("visible", "c1", 1),
        ("visible", "c2", 2),
        ("dead", "c3", 1),
    ]
    assert seen[2].reason is not None
    assert seen[2].reason.code == "x"
    targets = [request.target.rpartition("?")[2] for request in scripted.requests]
    assert targets == ["after=c0", "after=c2", "after=c2", "after=c2"]


def test_events_go_on_from_the_place_they_began_and_after_a_stop(
    scripted: ScriptedServer, scripted_client: Contexture
) -> None:
    stopping = b'event: error\ndata: {"status":503,"code":"shutting_down","retry_after_ms":1}\n\n'
    gone = b'event: error\ndata: {"status":404,"code":"unknown_collection","detail":"x"}\n\n'
    scripted.script = [
        unfinished(b"id: c0\n\n"),
        answer(200, VISIBLE % (1, 1) + stopping),
        answer(200, gone),
    ]
    with scripted_client.events("c") as events:
        assert next(events).cursor == "c1"
        with pytest.raises(NotFoundError):
            next(events)
    targets = [request.target.rpartition("events")[2] for request in scripted.requests]
    assert targets == ["", "?after=c0", "?after=c1"]


async def test_events_go_on_asynchronously(
    scripted: ScriptedServer, scripted_async_client: AsyncContexture
) -> None:
    scripted.script = [unfinished(VISIBLE % (1, 1)), unfinished(VISIBLE % (2, 2))]
    cursors = []
    async for event in scripted_async_client.events("c"):
        cursors.append(event.cursor)
        if len(cursors) == 2:
            break
    assert cursors == ["c1", "c2"]


def test_a_report_comes_behind_its_progress(
    scripted: ScriptedServer, scripted_client: Contexture
) -> None:
    body = b'event: progress\ndata: {"done":3,"total":9}\n\nevent: report\ndata: {"missing":2}\n\n'
    scripted.script = [problem(429, "requests_in_flight", retry_after_ms=1), answer(200, body)]
    seen: list[Progress] = []
    report = scripted_client.audit("c", progress=seen.append)
    assert report.missing == 2
    assert [(step.done, step.total) for step in seen] == [(3, 9)]
    # A long job has no deadline.
    assert "x-timeout-ms" not in scripted.requests[1].headers


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'event: error\ndata: {"status":404,"code":"gone","detail":"x"}\n\n', "gone"),
        (b"event: progress\ndata: {}\n\n", "connection_failed"),
    ],
)
def test_a_job_that_ends_without_a_report_is_an_error(
    scripted: ScriptedServer, scripted_client: Contexture, body: bytes, code: str
) -> None:
    scripted.script = [answer(200, body)]
    with pytest.raises(ContextureError) as caught:
        scripted_client.repair("c")
    assert caught.value.code == code
