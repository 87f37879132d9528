"""Retries, deadlines and errors, against a server that answers by a script."""

from __future__ import annotations

import pickle
import threading
import time
from datetime import datetime, timezone

import httpx
import pytest
from scripted import BROKEN, ScriptedServer, answer, problem

from contexture import (
    AsyncContexture,
    AuthenticationError,
    ConflictError,
    ConnectionFailedError,
    Contexture,
    ContextureError,
    DeadlineExceededError,
    DocumentDiedError,
    InternalServerError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    PreconditionFailedError,
    RateLimitedError,
    RetryPolicy,
    UnavailableError,
)
from contexture.errors import parse_retry_after
from contexture.retry import Attempts, Repeat

WHO = answer(200, {"tenant": "local", "scopes": ["read"], "groups": [], "newer": {"key": 1}})
RECEIPT = {"document_id": "a", "version": 3, "intake": "accepted", "state": "accepted"}


@pytest.mark.parametrize(
    ("status", "cls"),
    [
        (400, InvalidRequestError),
        (401, AuthenticationError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (405, InvalidRequestError),
        (409, ConflictError),
        (412, PreconditionFailedError),
        (413, InvalidRequestError),
        (415, InvalidRequestError),
        (418, ContextureError),
        (422, DocumentDiedError),
        (500, InternalServerError),
        (408, DeadlineExceededError),
        (504, DeadlineExceededError),
    ],
)
def test_a_status_has_its_class_and_is_not_repeated(
    scripted: ScriptedServer, scripted_client: Contexture, status: int, cls: type[Exception]
) -> None:
    scripted.script = [problem(status, "some_code", field="a.b"), WHO]
    with pytest.raises(ContextureError) as caught:
        scripted_client.whoami()
    assert type(caught.value) is cls
    assert (caught.value.code, caught.value.field, caught.value.status) == (
        "some_code",
        "a.b",
        status,
    )
    assert str(caught.value) == "it is so [some_code, field a.b]"
    assert len(scripted.requests) == 1


def test_errors_survive_pickling() -> None:
    error = RateLimitedError("full", code="requests_in_flight", status=429, retry_after=0.25)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is RateLimitedError
    assert (copy.code, copy.status, copy.retry_after) == ("requests_in_flight", 429, 0.25)


def test_the_key_goes_out_and_is_not_shown(
    scripted: ScriptedServer, scripted_client: Contexture
) -> None:
    scripted.script = [WHO]
    assert scripted_client.whoami().scopes == ["read"]
    assert scripted.requests[0].headers["authorization"] == "Bearer secret-key"
    assert "secret-key" not in repr(scripted_client)


@pytest.mark.parametrize(
    "refusal",
    [
        problem(429, "requests_in_flight", retry_after_ms=30),
        problem(503, "provider_down", retry_after_ms=30),
        answer(502, b"<html>bad gateway</html>"),
        BROKEN,
    ],
)
def test_a_read_is_repeated(
    scripted: ScriptedServer, scripted_client: Contexture, refusal: bytes
) -> None:
    scripted.script = [refusal, refusal, WHO]
    assert scripted_client.whoami().tenant == "local"
    assert len(scripted.requests) == 3


async def test_a_read_is_repeated_asynchronously(
    scripted: ScriptedServer, scripted_async_client: AsyncContexture
) -> None:
    scripted.script = [problem(503, "provider_down", retry_after_ms=1), BROKEN, WHO]
    assert (await scripted_async_client.whoami()).tenant == "local"
    assert len(scripted.requests) == 3


def test_the_wait_is_at_least_what_the_server_asks(
    scripted: ScriptedServer, scripted_client: Contexture
) -> None:
    scripted.script = [problem(429, "requests_in_flight", retry_after_ms=300), WHO]
    began = time.monotonic()
    scripted_client.whoami()
    assert time.monotonic() - began >= 0.3


def test_retry_after_of_a_proxy_counts(
    scripted: ScriptedServer, scripted_client: Contexture
) -> None:
    scripted.script = [answer(503, b"busy", retry_after="1"), WHO]
    began = time.monotonic()
    scripted_client.whoami()
    assert time.monotonic() - began >= 1


def test_tries_are_bounded(scripted: ScriptedServer, scripted_client: Contexture) -> None:
    scripted.script = [problem(503, "provider_down", retry_after_ms=1)] * 9
    with pytest.raises(UnavailableError):
        scripted_client.whoami()
    assert len(scripted.requests) == 5


def test_a_wait_beyond_the_deadline_is_not_begun(
    scripted: ScriptedServer, scripted_client: Contexture
) -> None:
    scripted.script = [problem(429, "requests_in_flight", retry_after_ms=60_000)]
    began = time.monotonic()
    with pytest.raises(RateLimitedError) as caught:
        scripted_client.whoami()
    assert caught.value.retry_after == 60
    assert time.monotonic() - began < 2


def test_silence_is_a_deadline_and_the_server_hears_of_it(scripted: ScriptedServer) -> None:
    silent = threading.Event()
    scripted.script = [lambda connection: (silent.wait(10), None)[1]]
    with Contexture(scripted.url, timeout=0.3) as client, pytest.raises(DeadlineExceededError):
        client.whoami()
    silent.set()
    assert 0 < int(scripted.requests[0].headers["x-timeout-ms"]) < 300


def test_no_server_is_a_connection_error() -> None:
    with ScriptedServer() as server:
        url = server.url
    with (
        Contexture(url, retry=RetryPolicy(tries_max=2, backoff_seconds=0.01)) as client,
        pytest.raises(ConnectionFailedError) as caught,
    ):
        client.whoami()
    assert caught.value.code == "connection_failed"
    assert caught.value.status is None


def test_a_put_without_fence_is_repeated(
    scripted: ScriptedServer, scripted_client: Contexture
) -> None:
    scripted.script = [BROKEN, answer(202, RECEIPT)]
    assert scripted_client.documents.put("c", "a", "text").version == 3
    assert scripted.requests[0].body == scripted.requests[1].body


@pytest.mark.parametrize("fence", [{"if_match": 2}, {"create_only": True}])
def test_a_fenced_put_is_repeated_only_if_nothing_happened(
    scripted: ScriptedServer, scripted_client: Contexture, fence: dict[str, object]
) -> None:
    refused = problem(429, "requests_in_flight", retry_after_ms=1)
    scripted.script = [refused, BROKEN, answer(202, RECEIPT)]
    with pytest.raises(ConnectionFailedError):
        scripted_client.documents.put("c", "a", "text", **fence)  # type: ignore[arg-type]
    assert len(scripted.requests) == 2


def test_a_replay_is_not_repeated_after_503(
    scripted: ScriptedServer, scripted_client: Contexture
) -> None:
    scripted.script = [problem(503, "unknown_outcome", retry_after_ms=1)]
    with pytest.raises(UnavailableError):
        scripted_client.dead_letters.replay()
    assert len(scripted.requests) == 1


def test_with_options_shares_connections_and_changes_only_what_is_said(
    scripted: ScriptedServer, scripted_client: Contexture
) -> None:
    scripted.script = [problem(503, "provider_down", retry_after_ms=1)] * 2
    with pytest.raises(UnavailableError):
        scripted_client.with_options(retry=RetryPolicy(tries_max=1)).whoami()
    assert len(scripted.requests) == 1
    assert scripted.requests[0].headers["authorization"] == "Bearer secret-key"


@pytest.mark.parametrize(
    ("document_id", "path"),
    [
        ("ops/deploy.md", "/v1/collections/c/documents/ops/deploy.md"),
        ("a b?c#d%e", "/v1/collections/c/documents/a%20b%3Fc%23d%25e"),
        ("./a/./b", "/v1/collections/c/documents/%2E/a/%2E/b"),
        ("größe", "/v1/collections/c/documents/gr%C3%B6%C3%9Fe"),
    ],
)
def test_ids_survive_the_path(
    scripted: ScriptedServer, scripted_client: Contexture, document_id: str, path: str
) -> None:
    scripted.script = [answer(200, {"document_id": document_id, "version": 1})]
    scripted_client.documents.get("c", document_id)
    assert scripted.requests[0].target == path


@pytest.mark.parametrize("body", [b"no json", b"[]", b'{"groups": []}', b'{"tenant": 3}'])
def test_a_broken_answer_is_an_error(
    scripted: ScriptedServer, scripted_client: Contexture, body: bytes
) -> None:
    scripted.script = [answer(200, body)]
    with pytest.raises(ContextureError) as caught:
        scripted_client.whoami()
    assert caught.value.code == "unexpected_response"


def test_retry_after_is_seconds_or_a_date() -> None:
    now = datetime(2026, 10, 21, 7, 28, 0, tzinfo=timezone.utc)
    assert parse_retry_after("3") == 3
    assert parse_retry_after("Wed, 21 Oct 2026 07:28:30 GMT", now) == 30
    assert parse_retry_after("Wed, 21 Oct 2026 07:27:30 GMT", now) == 0
    assert parse_retry_after("soon") is None
    assert parse_retry_after(None) is None


def test_backoff_doubles_up_to_its_maximum() -> None:
    policy = RetryPolicy(tries_max=2000, backoff_seconds=1, backoff_seconds_max=5)
    attempts = Attempts(Repeat.SAFE, policy, None, jitter=lambda: 1.0)
    waits = [attempts.after_failure(httpx.ReadError("broken")) for _ in range(1500)]
    assert waits[:4] == [1, 2, 4, 5]
    assert set(waits[4:]) == {5}
