"""What calls do, step by step, without doing any of it: generators that ask for effects.

A driver (`_sync`, `_async`) carries out each effect and sends back its outcome; a broken connection
is thrown into the flow at the effect that met it. So retries, streams and resuming exist once.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import httpx

from ._call import JSON, Call, body, no_answer, query
from ._operations import document_json, in_collection
from ._streams import EventReader, NdjsonReader, ResultsReader, ServerSentEvent, parse_json
from .errors import (
    ContextureError,
    RateLimitedError,
    UnavailableError,
    error_from_answer,
    error_from_problem,
)
from .models import Collection, DeadLetter, DocumentSummary, Event, Progress, PutResult, Receipt
from .retry import Attempts, Repeat, RetryPolicy

T = TypeVar("T")
R = TypeVar("R", Collection, DeadLetter, DocumentSummary)

BATCH_DOCUMENTS_MAX = 256
"""Documents of one request of a stream: they are held in memory until they are answered."""
BATCH_BYTES_MAX = 4 * 1024 * 1024
"""Bytes after which a request of a stream takes no further document."""
STREAM_IDLE_SECONDS = 90.0
"""A stream on which nothing comes for so long, not even a heartbeat, is broken."""

END = object()
"""The outcome of `Take` at the end of the input."""
OPENED = object()
"""An item of `follow_events`: from here on nothing is missed."""


@dataclass(frozen=True)
class Options:
    """How a client calls."""

    timeout: float
    retry: RetryPolicy = field(default_factory=RetryPolicy)


@dataclass(frozen=True)
class Send:
    """Sends a call. Outcome: the whole response."""

    call: Call[Any]
    timeout: float | None


@dataclass(frozen=True)
class Open:
    """Sends a call. Outcome: the response, of a success its head only."""

    call: Call[Any]
    timeout: float


@dataclass(frozen=True)
class Read:
    """Outcome: the next bytes of the open response; None at its end."""


@dataclass(frozen=True)
class Close:
    """Closes the open response."""


@dataclass(frozen=True)
class Sleep:
    """Waits."""

    seconds: float


@dataclass(frozen=True)
class Take:
    """Outcome: the next item of the input, or `END`."""


@dataclass(frozen=True)
class Emit:
    """Hands an item to the caller."""

    item: Any


Effect = Send | Open | Read | Close | Sleep | Take | Emit
Flow = Generator[Effect, Any, T]


def run_call(call: Call[T], options: Options) -> Flow[T]:
    """Sends a call until it succeeds, or raises."""
    attempts = Attempts(call.repeat, options.retry, options.timeout)
    while True:
        try:
            response = yield Send(call, attempts.remaining())
        except httpx.TransportError as failure:
            yield Sleep(attempts.after_failure(failure))
            continue
        if response.is_success:
            return call.parse(response)
        yield Sleep(attempts.after_refusal(_refusal(response)))


def _refusal(response: httpx.Response) -> ContextureError:
    return error_from_answer(response.status_code, response.headers, response.content)


@dataclass(frozen=True)
class Pages:
    """A list that comes in pages: where it is, under which key, and what its items are."""

    path: str
    key: str
    cls: type[Any]
    params: Mapping[str, str]


def list_pages(pages: Pages, options: Options) -> Flow[None]:
    """Emits the items of every page; the next page is fetched when it is needed."""
    cursor: str | None = None
    while True:
        params = {**pages.params, **query(cursor=cursor)}
        call = Call("GET", pages.path, lambda response: parse_json(response.content), params=params)
        page = yield from run_call(call, options)
        for item in page[pages.key]:
            yield Emit(pages.cls.from_json(item))
        cursor = page.get("next_cursor")
        if not cursor:
            return


# Many documents.


class _Reader(Protocol):
    def feed(self, chunk: bytes) -> Iterator[Any]: ...
    def finish(self) -> Iterator[Any]: ...


@dataclass(frozen=True)
class Batching:
    """How items become requests, and answers become results."""

    encode: Callable[[Any], tuple[Any, int]]
    """An item as it is held, and its size in bytes."""
    call: Callable[[list[Any]], Call[Any]]
    reader: Callable[[], _Reader]


def put_many(batching: Batching, options: Options) -> Flow[None]:
    """Emits one `PutResult` for each item of the input, in its order, as they are answered.

    The input goes up in requests of bounded size, one after the other, because an HTTP/1.1 client
    reads no answer before its request has ended: an endless one could fill the connection both
    ways and stand still. At most one such request is in memory, and can be sent again.
    """
    index, ended = 0, False
    while not ended:
        batch: list[Any] = []
        size = 0
        while len(batch) < BATCH_DOCUMENTS_MAX and size < BATCH_BYTES_MAX:
            item = yield Take()
            if item is END:
                ended = True
                break
            encoded, item_bytes = batching.encode(item)
            batch.append(encoded)
            size += item_bytes
        if batch:
            yield from _put_batch(batching, batch, index, options)
            index += len(batch)


def _put_batch(batching: Batching, batch: list[Any], index: int, options: Options) -> Flow[None]:
    attempts = Attempts(Repeat.SAFE, options.retry, options.timeout)
    answered = 0
    while answered < len(batch):
        throttled: ContextureError | None = None
        try:
            response = yield Open(batching.call(batch[answered:]), options.timeout)
            if not response.is_success:
                yield Sleep(attempts.after_refusal(_refusal(response)))
                continue
            reader, ended = batching.reader(), False
            while throttled is None and not ended and answered < len(batch):
                chunk = yield Read()
                ended = chunk is None
                for value in reader.finish() if chunk is None else reader.feed(chunk):
                    if answered == len(batch):
                        raise ContextureError("the server sent more results than documents")
                    result = put_result(index + answered, value)
                    throttled = result.error if _is_throttled(result.error) else None
                    if throttled is not None:
                        break
                    if result.error is not None and _is_of_no_document(value):
                        raise result.error
                    answered += 1
                    attempts.progressed()
                    yield Emit(result)
            yield Close()
            if throttled is not None:
                # What was accepted behind this document is sent again after it, so that the order
                # of one document's versions stays that of the input.
                try:
                    yield Sleep(attempts.after_refusal(throttled))
                except ContextureError as error:
                    # The tries stay used up: the documents behind it are not waited for as long.
                    yield Emit(PutResult(index + answered, None, error=error))
                    answered += 1
            elif answered < len(batch):
                raise httpx.RemoteProtocolError("the answer ended before its last result")
        except httpx.TransportError as failure:
            yield Close()
            yield Sleep(attempts.after_failure(failure))


def _is_of_no_document(value: Mapping[str, Any]) -> bool:
    """Whether an error is about the stream, which ends with it."""
    return value.get("document_id") is None and value.get("line") is None


def _is_throttled(error: ContextureError | None) -> bool:
    return isinstance(error, (RateLimitedError, UnavailableError))


def put_result(index: int, value: Any) -> PutResult:
    """Reads the result of one document."""
    if isinstance(value, dict) and "error" in value:
        document_id = value.get("document_id")
        return PutResult(index, document_id, error=error_from_problem(value["error"]))
    receipt = Receipt.from_json(value)
    return PutResult(index, receipt.document_id, receipt=receipt)


def ndjson(collection: str) -> Batching:
    """Documents as lines of NDJSON; results come as lines while the documents are stored."""

    def encode(document: Any) -> tuple[bytes, int]:
        line = body(document_json(document)) + b"\n"
        return line, len(line)

    def call(lines: list[bytes]) -> Call[Any]:
        headers = {"content-type": "application/x-ndjson", "accept": "application/x-ndjson"}
        path = in_collection(collection, "/documents")
        return Call("POST", path, no_answer, headers=headers, content=b"".join(lines))

    return Batching(encode, call, NdjsonReader)


@dataclass(frozen=True)
class FilePart:
    """A file to put: its id, its bytes and its media type; None lets the server find out."""

    document_id: str
    content: bytes
    media_type: str | None = None

    def encode(self, boundary: str) -> bytes:
        """Returns the file, behind a field with its id, which may hold what a file name may not."""
        named = f'--{boundary}\r\nContent-Disposition: form-data; name="id"\r\n\r\n'
        head = (
            f'\r\n--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="file"\r\n'
        )
        if self.media_type is not None:
            head += f"Content-Type: {self.media_type}\r\n"
        start = named.encode() + self.document_id.encode() + head.encode()
        return start + b"\r\n" + self.content + b"\r\n"


def multipart(collection: str) -> Batching:
    """Files as parts of ``multipart/form-data``."""

    # Random, so that no file can hold it.
    boundary = secrets.token_hex(16)

    def encode(part: FilePart) -> tuple[bytes, int]:
        encoded = part.encode(boundary)
        return encoded, len(encoded)

    def call(parts: list[bytes]) -> Call[Any]:
        headers = {"content-type": f"multipart/form-data; boundary={boundary}"}
        content = b"".join(parts) + f"--{boundary}--\r\n".encode()
        path = in_collection(collection, "/documents")
        return Call("POST", path, no_answer, headers=headers, content=content)

    return Batching(encode, call, ResultsReader)


# Events.


def follow_events(collection: str, after: str | None, options: Options) -> Flow[None]:
    """Emits events for ever, and `OPENED` whenever the stream is open.

    A broken stream goes on behind the last event that was handed out, or the last place told.
    """
    attempts = Attempts(Repeat.SAFE, options.retry, None)
    cursor = after
    while True:
        call = Call(
            "GET",
            in_collection(collection, "/events"),
            no_answer,
            params=query(after=cursor),
            headers={"accept": "text/event-stream"},
        )
        try:
            response = yield Open(call, STREAM_IDLE_SECONDS)
            if not response.is_success:
                yield Sleep(attempts.after_refusal(_refusal(response)))
                continue
            yield Emit(OPENED)
            refused: ContextureError | None = None
            reader = EventReader()
            while refused is None and (chunk := (yield Read())) is not None:
                for event in reader.feed(chunk):
                    if event.name == "error":
                        refused = _streamed_error(event)
                        break
                    cursor = event.id or cursor
                    if event.name in ("visible", "deleted", "dead"):
                        data = {**parse_json(event.data), "kind": event.name, "cursor": event.id}
                        yield Emit(Event.from_json(data))
                if refused is None:
                    attempts.progressed()
            if refused is None:
                raise httpx.RemoteProtocolError("the stream of events ended")
            # A server that stops says so, and another takes its place; the rest is final.
            yield Close()
            yield Sleep(attempts.after_refusal(refused))
        except httpx.TransportError as failure:
            yield Close()
            yield Sleep(attempts.after_failure(failure))


def watch_report(
    call: Call[T], progress: Callable[[Progress], None] | None, options: Options
) -> Flow[T]:
    """Follows a long job and returns its report. It has no deadline: progress shows that it lives.

    It ends with its stream, so a broken connection is an error.
    """
    attempts = Attempts(call.repeat, options.retry, None)
    while True:
        try:
            response = yield Open(call, STREAM_IDLE_SECONDS)
        except httpx.TransportError as failure:
            yield Sleep(attempts.after_failure(failure))
            continue
        if response.is_success:
            break
        yield Sleep(attempts.after_refusal(_refusal(response)))
    try:
        report = yield from _read_report(progress)
    except httpx.TransportError as failure:
        raise ContextureError(
            f"the connection broke before the report came: {failure}", code="connection_failed"
        ) from failure
    yield Close()
    return call.parse(httpx.Response(200, content=report))


def _read_report(progress: Callable[[Progress], None] | None) -> Flow[bytes]:
    reader = EventReader()
    while (chunk := (yield Read())) is not None:
        for event in reader.feed(chunk):
            if event.name == "error":
                raise _streamed_error(event)
            if event.name == "report":
                return event.data.encode()
            if event.name == "progress" and progress is not None:
                progress(Progress.from_json(parse_json(event.data)))
    raise httpx.RemoteProtocolError("the stream ended without a report")


def _streamed_error(event: ServerSentEvent) -> ContextureError:
    try:
        problem = json.loads(event.data)
    except ValueError:
        problem = None
    return error_from_problem(problem if isinstance(problem, dict) else {"detail": event.data})


def watched(
    collection: str, verb: str, parse: Callable[[httpx.Response], T], **more: Any
) -> Call[T]:
    """Returns the call of a job that tells its progress as events."""
    return Call(
        "POST",
        in_collection(collection, f"/{verb}"),
        parse,
        headers={**JSON, "accept": "text/event-stream"},
        content=body(more),
    )
