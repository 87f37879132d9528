"""The asynchronous client: as `_sync`, with the same operations and flows."""

from __future__ import annotations

import asyncio
import os
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Coroutine,
    Iterable,
    Mapping,
)
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

_Document = Document | Mapping[str, Any]
_Documents = Iterable[_Document] | AsyncIterable[_Document]
P = ParamSpec("P")
T = TypeVar("T")


async def _nothing() -> AsyncIterator[Any]:
    return
    yield


async def _aiter(items: Iterable[Any] | AsyncIterable[Any]) -> AsyncIterator[Any]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item


class _Exchange(Exchange):
    def __init__(
        self, http: httpx.AsyncClient, flow: _flows.Flow[Any], items: AsyncIterator[Any]
    ) -> None:
        super().__init__(flow)
        self._http = http
        self._items = items
        self._response: httpx.Response | None = None
        self._chunks: AsyncIterator[bytes] = _nothing()

    async def next(self) -> _flows.Emit | Finished:
        """Carries out effects up to the next item or the end."""
        while True:
            try:
                effect = self.resume()
            except StopIteration as end:
                return Finished(end.value)
            if isinstance(effect, _flows.Emit):
                return effect
            if isinstance(effect, _flows.Take):
                self.outcome = await anext(self._items, _flows.END)
                continue
            try:
                self.outcome = await self._perform(effect)
            except httpx.TransportError as failure:
                self.failure = failure

    async def _perform(self, effect: _flows.Effect) -> Any:
        if isinstance(effect, _flows.Send):
            request = build_request(self._http, effect.call, effect.timeout, stream=False)
            return await self._http.send(request)
        if isinstance(effect, _flows.Open):
            return await self._open(effect)
        if isinstance(effect, _flows.Read):
            return await anext(self._chunks, None)
        if isinstance(effect, _flows.Sleep):
            return await asyncio.sleep(effect.seconds)
        return await self.close()

    async def _open(self, effect: _flows.Open) -> httpx.Response:
        await self.close()
        request = build_request(self._http, effect.call, effect.timeout, stream=True)
        self._response = await self._http.send(request, stream=True)
        if self._response.is_success:
            self._chunks = self._response.aiter_bytes()
        else:
            await self._response.aread()
        return self._response

    async def close(self) -> None:
        """Closes what is open."""
        response, self._response, self._chunks = self._response, None, _nothing()
        if response is not None:
            await response.aclose()


class _Runner:
    """Where calls go, and how."""

    def __init__(self, http: httpx.AsyncClient, options: _flows.Options) -> None:
        self.http = http
        self.options = options

    async def finish(self, flow: _flows.Flow[T]) -> T:
        exchange = _Exchange(self.http, flow, _nothing())
        try:
            return cast(T, cast(Finished, await exchange.next()).value)
        finally:
            await exchange.close()

    async def iterate(
        self, flow: _flows.Flow[None], items: Iterable[Any] | AsyncIterable[Any] = ()
    ) -> AsyncIterator[Any]:
        exchange = _Exchange(self.http, flow, _aiter(items))
        try:
            while isinstance(step := await exchange.next(), _flows.Emit):
                yield step.item
        finally:
            flow.close()
            await exchange.close()


class _Part:
    """A part of the client."""

    def __init__(self, runner: _Runner) -> None:
        self._runner = runner

    @property
    def _options(self) -> _flows.Options:
        return self._runner.options

    def _list(self, path: str, key: str, cls: type[T], **params: Any) -> AsyncIterator[T]:
        pages = _flows.Pages(path, key, cls, query(**params))
        return self._runner.iterate(_flows.list_pages(pages, self._options))


def _awaited(
    operation: Callable[P, Call[T]],
) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]:
    async def method(self: _Part, /, *args: P.args, **kwargs: P.kwargs) -> T:
        runner = self._runner
        return await runner.finish(_flows.run_call(operation(*args, **kwargs), runner.options))

    return as_method(operation, method)


class AsyncCollections(_Part):
    """``client.collections``."""

    create = _awaited(_operations.create_collection)
    get = _awaited(_operations.get_collection)
    update_settings = _awaited(_operations.update_settings)
    delete = _awaited(_operations.delete_collection)

    def list(self, *, prefix: str | None = None, page_size: int = 100) -> AsyncIterator[Collection]:
        """Yields collections, page after page."""
        return self._list(
            "/v1/collections", "collections", Collection, prefix=prefix, limit=page_size
        )


class AsyncDocuments(_Part):
    """``client.documents``."""

    put = _awaited(_operations.put_document)
    get = _awaited(_operations.get_document)
    delete = _awaited(_operations.delete_document)
    delete_by_filter = _awaited(_operations.delete_by_filter)

    def list(
        self,
        collection: str,
        *,
        prefix: str | None = None,
        filter: str | None = None,
        state: str | None = None,
        page_size: int = 100,
    ) -> AsyncIterator[DocumentSummary]:
        """Yields documents, page after page."""
        path = _operations.in_collection(collection, "/documents")
        narrowed = {"prefix": prefix, "filter": filter, "state": state}
        return self._list(path, "documents", DocumentSummary, **narrowed, limit=page_size)

    def put_many(self, collection: str, documents: _Documents) -> AsyncIterator[PutResult]:
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
    ) -> AsyncIterator[PutResult]:
        """Puts files; an id is the path from ``base``, or the file's name. As ``put_many``."""
        flow = _flows.put_many(_flows.multipart(collection), self._options)
        return self._runner.iterate(flow, read_files(files, base))


class AsyncDeadLetters(_Part):
    """``client.dead_letters``."""

    get = _awaited(_operations.get_dead_letter)
    reasons = _awaited(_operations.dead_letter_reasons)
    replay = _awaited(_operations.replay_dead_letters)
    drop = _awaited(_operations.drop_dead_letters)

    def list(
        self,
        *,
        collection: str | None = None,
        reason: str | None = None,
        stage: str | None = None,
        since_ms: int | None = None,
        page_size: int = 100,
    ) -> AsyncIterator[DeadLetter]:
        """Yields dead letters, page after page."""
        narrowed = {
            "collection": collection,
            "reason": reason,
            "stage": stage,
            "since_ms": since_ms,
        }
        path, key = "/v1/dead-letters", "dead_letters"
        return self._list(path, key, DeadLetter, **narrowed, limit=page_size)


class AsyncReindex(_Part):
    """``client.reindex``."""

    start = _awaited(_operations.start_reindex)
    status = _awaited(_operations.reindex_status)
    generations = _awaited(_operations.list_generations)
    pause = _awaited(_operations.pause_reindex)
    resume = _awaited(_operations.resume_reindex)
    cancel = _awaited(_operations.cancel_reindex)
    activate = _awaited(_operations.activate_reindex)
    rollback = _awaited(_operations.rollback_reindex)
    drop = _awaited(_operations.drop_generation)

    async def compare(
        self,
        collection: str,
        *,
        progress: Callable[[Progress], None] | None = None,
        **request: Any,
    ) -> ComparisonReport:
        """Compares two generations: ``questions``, ``generations``, ``top_k``, ``require``, …"""
        parse = answer_as(ComparisonReport)
        call = _flows.watched(collection, "reindex/compare", parse, **request)
        return await self._runner.finish(_flows.watch_report(call, progress, self._options))


class AsyncEventStream(AsyncIterator[Event]):
    """Events of a collection, for ever. Entering an ``async with`` opens the stream.

    What happens from then on is not missed, and leaving it closes the stream. Without it the first
    event opens the stream.
    """

    def __init__(self, items: AsyncIterator[Any]) -> None:
        self._items = items

    async def __anext__(self) -> Event:
        while (item := await anext(self._items)) is _flows.OPENED:
            pass
        return cast(Event, item)

    async def __aenter__(self) -> AsyncEventStream:
        # The first item: the stream is open.
        await anext(self._items)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the stream."""
        await cast(Any, self._items).aclose()


class AsyncContexture(_Part):
    """A client of one server, for one event loop; close it, or use it in an ``async with``.

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
        transport: httpx.AsyncBaseTransport | None = None,
        verify: Any = True,
    ) -> None:
        http = httpx.AsyncClient(
            base_url=url,
            headers=client_headers(api_key, headers),
            transport=transport,
            verify=verify,
        )
        self._set_up(_Runner(http, _flows.Options(timeout, retry or RetryPolicy())))

    def _set_up(self, runner: _Runner) -> None:
        super().__init__(runner)
        self.collections = AsyncCollections(runner)
        self.documents = AsyncDocuments(runner)
        self.dead_letters = AsyncDeadLetters(runner)
        self.reindex = AsyncReindex(runner)

    @classmethod
    def from_env(cls, **options: Any) -> AsyncContexture:
        """Returns a client by ``CONTEXTURE_SERVER`` and ``CONTEXTURE_API_KEY``."""
        server = os.environ.get("CONTEXTURE_SERVER", URL_DEFAULT)
        return cls(server, os.environ.get("CONTEXTURE_API_KEY"), **options)

    def with_options(
        self, *, timeout: float | None = None, retry: RetryPolicy | None = None
    ) -> AsyncContexture:
        """Returns a client with other options and the same connections."""
        old = self._options
        options = _flows.Options(
            old.timeout if timeout is None else timeout, old.retry if retry is None else retry
        )
        other = object.__new__(type(self))
        other._set_up(_Runner(self._runner.http, options))
        return other

    context = _awaited(_operations.context)
    search = _awaited(_operations.search)
    status = _awaited(_operations.status)
    usage = _awaited(_operations.usage)
    pipelines = _awaited(_operations.pipelines)
    whoami = _awaited(_operations.whoami)
    health = _awaited(_operations.health)

    def events(self, collection: str, *, after: str | None = None) -> AsyncEventStream:
        """Follows what becomes of documents, for ever; a broken connection is taken up again.

        ``after`` is the ``cursor`` of the last event that was seen; without it, it begins now::

            async with client.events("handbook") as events:
                await client.documents.put("handbook", "a.md", "text")
                print(await anext(events))
        """
        flow = _flows.follow_events(collection, after, self._options)
        return AsyncEventStream(self._runner.iterate(flow))

    async def audit(
        self, collection: str, *, progress: Callable[[Progress], None] | None = None
    ) -> AuditReport:
        """Compares index and vectors with the ledger, however long that takes."""
        return await self._watch(collection, "audit", progress)

    async def repair(
        self, collection: str, *, progress: Callable[[Progress], None] | None = None
    ) -> AuditReport:
        """Mends what an audit finds, however long that takes."""
        return await self._watch(collection, "repair", progress)

    async def _watch(
        self, collection: str, verb: str, progress: Callable[[Progress], None] | None
    ) -> AuditReport:
        call = _flows.watched(collection, verb, answer_as(AuditReport))
        return await self._runner.finish(_flows.watch_report(call, progress, self._options))

    async def close(self) -> None:
        """Closes the connections, those of ``with_options`` too."""
        await self._runner.http.aclose()

    async def __aenter__(self) -> AsyncContexture:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._runner.http.base_url)!r})"
