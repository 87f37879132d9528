"""The synchronous client."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

import httpx

from . import _flows, _operations
from ._call import Call, answer_as, query
from ._drive import (
    TIMEOUT_DEFAULT,
    URL_DEFAULT,
    Exchange,
    Finished,
    as_method,
    build_request,
    client_headers,
    read_files,
)
from .models import (
    AuditReport,
    Collection,
    ComparisonReport,
    DeadLetter,
    Document,
    DocumentSummary,
    Event,
    Progress,
    PutResult,
)
from .retry import RetryPolicy

P = ParamSpec("P")
T = TypeVar("T")


class _Exchange(Exchange):
    def __init__(self, http: httpx.Client, flow: _flows.Flow[Any], items: Iterator[Any]) -> None:
        super().__init__(flow)
        self._http = http
        self._items = items
        self._response: httpx.Response | None = None
        self._chunks: Iterator[bytes] = iter(())

    def next(self) -> _flows.Emit | Finished:
        """Carries out effects up to the next item or the end."""
        while True:
            try:
                effect = self.resume()
            except StopIteration as end:
                return Finished(end.value)
            if isinstance(effect, _flows.Emit):
                return effect
            if isinstance(effect, _flows.Take):
                self.outcome = next(self._items, _flows.END)
                continue
            try:
                self.outcome = self._perform(effect)
            except httpx.TransportError as failure:
                self.failure = failure

    def _perform(self, effect: _flows.Effect) -> Any:
        if isinstance(effect, _flows.Send):
            request = build_request(self._http, effect.call, effect.timeout, stream=False)
            return self._http.send(request)
        if isinstance(effect, _flows.Open):
            return self._open(effect)
        if isinstance(effect, _flows.Read):
            return next(self._chunks, None)
        if isinstance(effect, _flows.Sleep):
            return time.sleep(effect.seconds)
        return self.close()

    def _open(self, effect: _flows.Open) -> httpx.Response:
        self.close()
        request = build_request(self._http, effect.call, effect.timeout, stream=True)
        self._response = self._http.send(request, stream=True)
        if self._response.is_success:
            self._chunks = self._response.iter_bytes()
        else:
            self._response.read()
        return self._response

    def close(self) -> None:
        """Closes what is open."""
        response, self._response, self._chunks = self._response, None, iter(())
        if response is not None:
            response.close()


class _Runner:
    """Where calls go, and how."""

    def __init__(self, http: httpx.Client, options: _flows.Options) -> None:
        self.http = http
        self.options = options

    def finish(self, flow: _flows.Flow[T]) -> T:
        exchange = _Exchange(self.http, flow, iter(()))
        try:
            return cast(T, cast(Finished, exchange.next()).value)
        finally:
            exchange.close()

    def iterate(self, flow: _flows.Flow[None], items: Iterable[Any] = ()) -> Iterator[Any]:
        exchange = _Exchange(self.http, flow, iter(items))
        try:
            while isinstance(step := exchange.next(), _flows.Emit):
                yield step.item
        finally:
            flow.close()
            exchange.close()


class _Part:
    """A part of the client."""

    def __init__(self, runner: _Runner) -> None:
        self._runner = runner

    @property
    def _options(self) -> _flows.Options:
        return self._runner.options

    def _list(self, path: str, key: str, cls: type[T], **params: Any) -> Iterator[T]:
        pages = _flows.Pages(path, key, cls, query(**params))
        return self._runner.iterate(_flows.list_pages(pages, self._options))


def _blocking(
    operation: Callable[P, Call[T]],
) -> Callable[Concatenate[Any, P], T]:
    def method(self: _Part, /, *args: P.args, **kwargs: P.kwargs) -> T:
        runner = self._runner
        return runner.finish(_flows.run_call(operation(*args, **kwargs), runner.options))

    return as_method(operation, method)


class Collections(_Part):
    """``client.collections``."""

    create = _blocking(_operations.create_collection)
    get = _blocking(_operations.get_collection)
    update_settings = _blocking(_operations.update_settings)
    delete = _blocking(_operations.delete_collection)

    def list(self, *, prefix: str | None = None, page_size: int = 100) -> Iterator[Collection]:
        """Yields collections, page after page."""
        return self._list(
            "/v1/collections", "collections", Collection, prefix=prefix, limit=page_size
        )


class Documents(_Part):
    """``client.documents``."""

    put = _blocking(_operations.put_document)
    get = _blocking(_operations.get_document)
    delete = _blocking(_operations.delete_document)
    delete_by_filter = _blocking(_operations.delete_by_filter)

    def list(
        self,
        collection: str,
        *,
        prefix: str | None = None,
        filter: str | None = None,
        state: str | None = None,
        page_size: int = 100,
    ) -> Iterator[DocumentSummary]:
        """Yields documents, page after page."""
        path = _operations.in_collection(collection, "/documents")
        narrowed = {"prefix": prefix, "filter": filter, "state": state}
        return self._list(path, "documents", DocumentSummary, **narrowed, limit=page_size)

    def put_many(
        self, collection: str, documents: Iterable[Document | Mapping[str, Any]]
    ) -> Iterator[PutResult]:
        """Puts any number of documents and yields one result for each, in order, as they come.

        Nothing happens unless the results are read. Documents are taken as they are needed, and at
        most one request of them is in memory. A refused document is a result with an error; what
        the server was too busy for is sent again first. Raises if the server stays away.
        """
        flow = _flows.put_many(_flows.ndjson(collection), self._options)
        return self._runner.iterate(flow, documents)

    def put_files(
        self,
        collection: str,
        files: Iterable[str | os.PathLike[str]],
        *,
        base: str | os.PathLike[str] | None = None,
    ) -> Iterator[PutResult]:
        """Puts files; an id is the path from ``base``, or the file's name. As ``put_many``."""
        flow = _flows.put_many(_flows.multipart(collection), self._options)
        return self._runner.iterate(flow, read_files(files, base))


class DeadLetters(_Part):
    """``client.dead_letters``."""

    get = _blocking(_operations.get_dead_letter)
    reasons = _blocking(_operations.dead_letter_reasons)
    replay = _blocking(_operations.replay_dead_letters)
    drop = _blocking(_operations.drop_dead_letters)

    def list(
        self,
        *,
        collection: str | None = None,
        reason: str | None = None,
        stage: str | None = None,
        since_ms: int | None = None,
        page_size: int = 100,
    ) -> Iterator[DeadLetter]:
        """Yields dead letters, page after page."""
        narrowed = {
            "collection": collection,
            "reason": reason,
            "stage": stage,
            "since_ms": since_ms,
        }
        path, key = "/v1/dead-letters", "dead_letters"
        return self._list(path, key, DeadLetter, **narrowed, limit=page_size)


class Reindex(_Part):
    """``client.reindex``."""

    start = _blocking(_operations.start_reindex)
    status = _blocking(_operations.reindex_status)
    generations = _blocking(_operations.list_generations)
    pause = _blocking(_operations.pause_reindex)
    resume = _blocking(_operations.resume_reindex)
    cancel = _blocking(_operations.cancel_reindex)
    activate = _blocking(_operations.activate_reindex)
    rollback = _blocking(_operations.rollback_reindex)
    drop = _blocking(_operations.drop_generation)

    def compare(
        self,
        collection: str,
        *,
        progress: Callable[[Progress], None] | None = None,
        **request: Any,
    ) -> ComparisonReport:
        """Compares two generations: ``questions``, ``generations``, ``top_k``, ``require``, …"""
        parse = answer_as(ComparisonReport)
        call = _flows.watched(collection, "reindex/compare", parse, **request)
        return self._runner.finish(_flows.watch_report(call, progress, self._options))


class EventStream(Iterator[Event]):
    """Events of a collection, for ever. Entering a ``with`` opens the stream, leaving it closes it.

    What happens from then on is not missed. Without a ``with`` the first event opens the stream.
    """

    def __init__(self, items: Iterator[Any]) -> None:
        self._items = items

    def __next__(self) -> Event:
        while (item := next(self._items)) is _flows.OPENED:
            pass
        return cast(Event, item)

    def __enter__(self) -> EventStream:
        # The first item: the stream is open.
        next(self._items)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the stream."""
        cast(Any, self._items).close()


class Contexture(_Part):
    """A client of one server. Safe to share between threads; close it, or use it in a ``with``.

    ``timeout`` is the time of one call in seconds, all its tries together.
    """

    def __init__(
        self,
        url: str = URL_DEFAULT,
        api_key: str | None = None,
        *,
        timeout: float = TIMEOUT_DEFAULT,
        retry: RetryPolicy | None = None,
        headers: Mapping[str, str] | None = None,
        transport: httpx.BaseTransport | None = None,
        verify: Any = True,
    ) -> None:
        http = httpx.Client(
            base_url=url,
            headers=client_headers(api_key, headers),
            transport=transport,
            verify=verify,
        )
        self._set_up(_Runner(http, _flows.Options(timeout, retry or RetryPolicy())))

    def _set_up(self, runner: _Runner) -> None:
        super().__init__(runner)
        self.collections = Collections(runner)
        self.documents = Documents(runner)
        self.dead_letters = DeadLetters(runner)
        self.reindex = Reindex(runner)

    @classmethod
    def from_env(cls, **options: Any) -> Contexture:
        """Returns a client by ``CONTEXTURE_SERVER`` and ``CONTEXTURE_API_KEY``."""
        server = os.environ.get("CONTEXTURE_SERVER", URL_DEFAULT)
        return cls(server, os.environ.get("CONTEXTURE_API_KEY"), **options)

    def with_options(
        self, *, timeout: float | None = None, retry: RetryPolicy | None = None
    ) -> Contexture:
        """Returns a client with other options and the same connections."""
        old = self._options
        options = _flows.Options(
            old.timeout if timeout is None else timeout, old.retry if retry is None else retry
        )
        other = object.__new__(type(self))
        other._set_up(_Runner(self._runner.http, options))
        return other

    context = _blocking(_operations.context)
    search = _blocking(_operations.search)
    status = _blocking(_operations.status)
    usage = _blocking(_operations.usage)
    pipelines = _blocking(_operations.pipelines)
    whoami = _blocking(_operations.whoami)
    health = _blocking(_operations.health)

    def events(self, collection: str, *, after: str | None = None) -> EventStream:
        """Follows what becomes of documents, for ever; a broken connection is taken up again.

        ``after`` is the ``cursor`` of the last event that was seen; without it, it begins now::

            with client.events("handbook") as events:
                client.documents.put("handbook", "a.md", "text")
                print(next(events))
        """
        flow = _flows.follow_events(collection, after, self._options)
        return EventStream(self._runner.iterate(flow))

    def audit(
        self, collection: str, *, progress: Callable[[Progress], None] | None = None
    ) -> AuditReport:
        """Compares index and vectors with the ledger, however long that takes."""
        return self._watch(collection, "audit", progress)

    def repair(
        self, collection: str, *, progress: Callable[[Progress], None] | None = None
    ) -> AuditReport:
        """Mends what an audit finds, however long that takes."""
        return self._watch(collection, "repair", progress)

    def _watch(
        self, collection: str, verb: str, progress: Callable[[Progress], None] | None
    ) -> AuditReport:
        call = _flows.watched(collection, verb, answer_as(AuditReport))
        return self._runner.finish(_flows.watch_report(call, progress, self._options))

    def close(self) -> None:
        """Closes the connections, those of ``with_options`` too."""
        self._runner.http.close()

    def __enter__(self) -> Contexture:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._runner.http.base_url)!r})"
