"""Every operation that is one request, as a function from arguments to a `Call`.

`_sync` and `_async` turn each into a method; its documentation is the method's.
"""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ._call import (
    JSON,
    Call,
    answer_as,
    answer_list,
    body,
    document_segments,
    given,
    no_answer,
    query,
    segment,
)
from .models import (
    Collection,
    Context,
    DeadLetter,
    DeadLetterGroup,
    DeleteReport,
    Document,
    DocumentView,
    DropReport,
    Generation,
    PipelineInfo,
    Receipt,
    ReindexDone,
    ReplayReport,
    SearchResults,
    Section,
    Settings,
    Status,
    UsageReport,
    Whoami,
)
from .retry import Repeat

Collections = str | Sequence[str] | Mapping[str, float]
"""One collection, several, or several with a weight each."""
MinVersions = Mapping[str, int] | Iterable[Receipt]
"""Versions that an answer must have seen: by document, or receipts of puts."""

ONCE = Repeat.ONLY_IF_NOTHING_HAPPENED


def in_collection(collection: str, rest: str = "") -> str:
    """Returns a path below a collection."""
    return f"/v1/collections/{segment(collection)}{rest}"


def of_document(collection: str, document_id: str) -> str:
    """Returns the path of a document."""
    return in_collection(collection, "/documents/" + document_segments(document_id))


def settings_json(settings: Settings | Mapping[str, str | None]) -> dict[str, Any]:
    """Returns settings as JSON; of a mapping None stays, because it removes a key."""
    if isinstance(settings, Settings):
        return given(**dataclasses.asdict(settings))
    return dict(settings)


# Collections.


def create_collection(
    name: str,
    *,
    pipeline: str | None = None,
    settings: Settings | Mapping[str, str] | None = None,
) -> Call[Collection]:
    """Creates a collection, or returns it if it exists with the same pipeline.

    ``pipeline`` is the name of a configured pipeline or TOML. Raises `ConflictError`
    (``pipeline_differs``) if the collection has another pipeline.
    """
    wanted = given(
        name=name,
        pipeline=pipeline,
        settings=None if settings is None else settings_json(settings),
    )
    return Call(
        "POST", "/v1/collections", answer_as(Collection), headers=JSON, content=body(wanted)
    )


def get_collection(name: str) -> Call[Collection]:
    """Returns a collection with its settings and counts."""
    return Call("GET", in_collection(name), answer_as(Collection))


def update_settings(name: str, settings: Settings | Mapping[str, str | None]) -> Call[Collection]:
    """Changes settings of a collection: of a mapping, None removes a key; absent ones stay."""
    changes = body({"settings": settings_json(settings)})
    return Call("PATCH", in_collection(name), answer_as(Collection), headers=JSON, content=changes)


def delete_collection(name: str) -> Call[None]:
    """Deletes a collection with everything in it. Needs the scope ``admin``."""
    return Call("DELETE", in_collection(name), no_answer)


# Documents.


def put_document(
    collection: str,
    document_id: str,
    text: str | None = None,
    *,
    body: bytes | None = None,
    media_type: str | None = None,
    title: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    groups: Iterable[str] | None = None,
    version: int | None = None,
    if_match: int | None = None,
    create_only: bool = False,
    wait: bool = False,
) -> Call[Receipt]:
    """Puts one document, as ``text`` or as the bytes of ``body``.

    The answer comes once it is stored durably; with ``wait`` once queries see it, at most for the
    client's timeout (the receipt's ``state`` then says how far it is). Without ``version`` the next
    one is taken, and content that is stored already is a duplicate, so repeating does no harm.
    ``if_match`` puts only if the newest version is this one, ``create_only`` only if there is none;
    else `PreconditionFailedError`. ``groups=[]`` admits nobody, None everyone of the tenant.
    Raises `DocumentDiedError` if the document that was waited for could not be indexed.
    """
    value = document_json(
        Document(document_id, text, body, media_type, title, metadata, _list(groups), version)
    )
    del value["id"]
    headers = {**JSON, **_fence(if_match, create_only)}
    return Call(
        "PUT",
        of_document(collection, document_id),
        answer_as(Receipt),
        params=_wait(wait),
        headers=headers,
        content=_encode(value),
        # A fence that was passed does not hold for the second of two equal requests.
        repeat=Repeat.SAFE if len(headers) == len(JSON) else ONCE,
        wait_visible=wait,
    )


def document_json(document: Document | Mapping[str, Any]) -> dict[str, Any]:
    """Returns a document as JSON, with its id. A mapping is taken to be that already."""
    if isinstance(document, Mapping):
        if "id" not in document:
            raise ValueError("a document needs an 'id'")
        return dict(document)
    if (document.text is None) == (document.body is None):
        raise ValueError(f"document '{document.id}' needs either text or body")
    encoded = None if document.body is None else base64.b64encode(document.body).decode("ascii")
    return given(
        id=document.id,
        text=document.text,
        body_base64=encoded,
        media_type=document.media_type,
        title=document.title,
        metadata=None if document.metadata is None else dict(document.metadata),
        groups=document.groups,
        version=document.version,
    )


def get_document(
    collection: str,
    document_id: str,
    *,
    chunks: bool = False,
    text: bool = False,
    groups: bool = False,
) -> Call[DocumentView]:
    """Returns a document with its versions; chunks, text and groups if they are asked for."""
    wanted = [name for name, on in (("chunks", chunks), ("text", text), ("groups", groups)) if on]
    params = {"include": ",".join(wanted)} if wanted else {}
    return Call("GET", of_document(collection, document_id), answer_as(DocumentView), params=params)


def delete_document(
    collection: str,
    document_id: str,
    *,
    version: int | None = None,
    if_match: int | None = None,
    wait: bool = False,
) -> Call[Receipt]:
    """Deletes a document, by a version of its own. With ``wait`` queries no longer see it."""
    headers = _fence(if_match, False)
    return Call(
        "DELETE",
        of_document(collection, document_id),
        answer_as(Receipt),
        params={**query(version=version), **_wait(wait)},
        headers=headers,
        repeat=ONCE if headers else Repeat.SAFE,
        wait_visible=wait,
    )


def delete_by_filter(
    collection: str,
    *,
    ids: Iterable[str] | None = None,
    prefix: str | None = None,
    filter: str | None = None,
    dry_run: bool = False,
) -> Call[DeleteReport]:
    """Deletes the documents with these ids, this prefix of ids, or this filter on metadata."""
    wanted = given(ids=_list(ids), prefix=prefix, filter=filter)
    if not wanted:
        raise ValueError("delete_by_filter needs ids, prefix or filter")
    return Call(
        "POST",
        in_collection(collection, "/documents/delete"),
        answer_as(DeleteReport),
        headers=JSON,
        content=_encode({**wanted, "dry_run": dry_run}),
    )


# Questions.


def context(
    collections: Collections,
    question: str,
    *,
    budget: int,
    tokenizer: str | None = None,
    format: str | None = None,
    top_k: int | None = None,
    filter: str | None = None,
    fusion: str | None = None,
    rerank: bool | None = None,
    min_versions: MinVersions | None = None,
    explain: bool | None = None,
    order: str | None = None,
    cutoff: float | None = None,
    passages_per_document_max: int | None = None,
    reserve_answer: int | None = None,
    reserve_question: bool | None = None,
    sections: Iterable[Section | Mapping[str, Any]] | None = None,
    continuable: bool | None = None,
    continuation: str | None = None,
    include_groups: bool | None = None,
) -> Call[Context]:
    """Returns one block of text for a prompt, of at most ``budget`` tokens, with its passages.

    ``collections`` is a name, several names, or a mapping of names to weights.
    """
    parts = None if sections is None else [_section_json(one) for one in sections]
    wanted = given(
        question=question,
        budget=budget,
        tokenizer=tokenizer,
        format=format,
        top_k=top_k,
        filter=filter,
        fusion=fusion,
        rerank=rerank,
        min_versions=_min_versions_json(min_versions),
        explain=explain,
        order=order,
        cutoff=cutoff,
        passages_per_document_max=passages_per_document_max,
        reserve_answer=reserve_answer,
        reserve_question=reserve_question,
        sections=parts,
        continuable=continuable,
        continuation=continuation,
        include_groups=include_groups,
    )
    path, wanted = _asked(collections, "context", wanted)
    return Call("POST", path, answer_as(Context), headers=JSON, content=_encode(wanted))


def search(
    collections: Collections,
    question: str,
    *,
    top_k: int | None = None,
    filter: str | None = None,
    fusion: str | None = None,
    rerank: bool | None = None,
    min_versions: MinVersions | None = None,
    include_groups: bool | None = None,
) -> Call[SearchResults]:
    """Returns ranked chunks, best first, of one collection or of several."""
    wanted = given(
        question=question,
        top_k=top_k,
        filter=filter,
        fusion=fusion,
        rerank=rerank,
        min_versions=_min_versions_json(min_versions),
        include_groups=include_groups,
    )
    path, wanted = _asked(collections, "search", wanted)
    return Call("POST", path, answer_as(SearchResults), headers=JSON, content=_encode(wanted))


# Dead letters.


def dead_letter_reasons(
    *,
    collection: str | None = None,
    reason: str | None = None,
    stage: str | None = None,
    since_ms: int | None = None,
) -> Call[list[DeadLetterGroup]]:
    """Returns dead letters grouped by reason and stage."""
    params = query(collection=collection, reason=reason, stage=stage, since_ms=since_ms)
    parse = answer_list("reasons", DeadLetterGroup)
    return Call("GET", "/v1/dead-letters/reasons", parse, params=params)


def get_dead_letter(id: int) -> Call[DeadLetter]:
    """Returns one dead letter."""
    return Call("GET", f"/v1/dead-letters/{int(id)}", answer_as(DeadLetter))


def replay_dead_letters(
    *,
    ids: Iterable[int] | None = None,
    collection: str | None = None,
    reason: str | None = None,
    stage: str | None = None,
    since_ms: int | None = None,
    dry_run: bool = False,
) -> Call[ReplayReport]:
    """Sends the dead letters that match through the stages again."""
    wanted = given(
        ids=_list(ids), collection=collection, reason=reason, stage=stage, since_ms=since_ms
    )
    content = _encode({**wanted, "dry_run": dry_run})
    return Call(
        "POST",
        "/v1/dead-letters/replay",
        answer_as(ReplayReport),
        headers=JSON,
        content=content,
        repeat=ONCE,
    )


def drop_dead_letters(
    *,
    ids: Iterable[int] | None = None,
    collection: str | None = None,
    reason: str | None = None,
    stage: str | None = None,
    since_ms: int | None = None,
    dry_run: bool = False,
) -> Call[DropReport]:
    """Forgets the dead letters that match."""
    wanted = given(
        ids=_list(ids), collection=collection, reason=reason, stage=stage, since_ms=since_ms
    )
    content = _encode({**wanted, "dry_run": dry_run})
    return Call(
        "POST",
        "/v1/dead-letters/drop",
        answer_as(DropReport),
        headers=JSON,
        content=content,
        repeat=ONCE,
    )


# Re-indexing.


def start_reindex(
    collection: str,
    pipeline: str,
    *,
    documents_per_second: int | None = None,
    provider_percent: int | None = None,
) -> Call[Generation]:
    """Begins to build a generation under another pipeline, beside the one that serves."""
    pace = _pace(documents_per_second, provider_percent)
    return _reindex(collection, "", Generation, {"pipeline": pipeline, **pace})


def reindex_status(collection: str) -> Call[Generation]:
    """Returns the generation that is being built; `NotFoundError` if there is none."""
    return Call("GET", in_collection(collection, "/reindex"), answer_as(Generation))


def list_generations(collection: str) -> Call[list[Generation]]:
    """Returns the live generations in the order of their numbers."""
    parse = answer_list("generations", Generation)
    return Call("GET", in_collection(collection, "/generations"), parse)


def pause_reindex(collection: str) -> Call[Generation]:
    """Stops building for now."""
    return _reindex(collection, "/pause", Generation, {})


def resume_reindex(
    collection: str,
    *,
    documents_per_second: int | None = None,
    provider_percent: int | None = None,
) -> Call[Generation]:
    """Goes on building, at another pace if one is given."""
    pace = _pace(documents_per_second, provider_percent)
    return _reindex(collection, "/resume", Generation, pace)


def cancel_reindex(collection: str) -> Call[ReindexDone]:
    """Gives up the generation that is being built."""
    return _reindex(collection, "/cancel", ReindexDone, {})


def activate_reindex(collection: str, *, allow_failed: bool = False) -> Call[ReindexDone]:
    """Lets the generation serve that was built."""
    return _reindex(collection, "/activate", ReindexDone, {"allow_failed": allow_failed})


def rollback_reindex(collection: str) -> Call[ReindexDone]:
    """Lets the generation serve again that served before."""
    return _reindex(collection, "/rollback", ReindexDone, {})


def drop_generation(
    collection: str, *, generation: int | None = None, grace_ms: int = 0
) -> Call[ReindexDone]:
    """Drops a kept generation after a time of grace; without a number the oldest one."""
    wanted = given(generation=generation, grace_ms=grace_ms)
    return _reindex(collection, "/drop", ReindexDone, wanted)


# The service.


def status() -> Call[Status]:
    """Returns counts of every collection, providers, and what was used."""
    return Call("GET", "/v1/status", answer_as(Status))


def usage(*, days: int | None = None) -> Call[UsageReport]:
    """Returns what embedding cost in the last ``days``, by model."""
    return Call("GET", "/v1/usage", answer_as(UsageReport), params=query(days=days))


def pipelines() -> Call[list[PipelineInfo]]:
    """Returns the configured pipelines."""
    return Call("GET", "/v1/pipelines", answer_list("pipelines", PipelineInfo))


def whoami() -> Call[Whoami]:
    """Returns the tenant, groups and scopes of the credential."""
    return Call("GET", "/v1/whoami", answer_as(Whoami))


def health() -> Call[dict[str, Any]]:
    """Returns ``{"status": "ok"}``; needs no credential."""
    return Call("GET", "/healthz", lambda response: dict(response.json()))


# Parts.

# The parameter `body` of `put_document` hides the function.
_encode = body


def _list(values: Iterable[Any] | None) -> list[Any] | None:
    if isinstance(values, str):
        raise TypeError("a list of strings is needed, not one string")
    return None if values is None else list(values)


def _fence(if_match: int | None, create_only: bool) -> dict[str, str]:
    fence = {} if if_match is None else {"if-match": f'"{int(if_match)}"'}
    if create_only:
        fence["if-none-match"] = "*"
    return fence


def _wait(wait: bool) -> dict[str, str]:
    return {"wait": "visible"} if wait else {}


def _section_json(section: Section | Mapping[str, Any]) -> dict[str, Any]:
    return dict(section) if isinstance(section, Mapping) else given(**dataclasses.asdict(section))


def _min_versions_json(wanted: MinVersions | None) -> list[dict[str, Any]] | None:
    if wanted is None:
        return None
    if isinstance(wanted, Mapping):
        pairs = list(wanted.items())
    else:
        pairs = [(receipt.document_id, receipt.version) for receipt in wanted]
    return [{"document_id": document, "version": version} for document, version in pairs]


def _asked(
    collections: Collections, verb: str, wanted: dict[str, Any]
) -> tuple[str, dict[str, Any]]:
    if isinstance(collections, str):
        return in_collection(collections, f"/{verb}"), wanted
    if isinstance(collections, Mapping):
        named = [{"name": name, "weight": weight} for name, weight in collections.items()]
    else:
        named = [{"name": name} for name in collections]
    return f"/v1/{verb}", {"collections": named, **wanted}


def _pace(documents_per_second: int | None, provider_percent: int | None) -> dict[str, Any]:
    pace = given(documents_per_second=documents_per_second, provider_percent=provider_percent)
    return {"pace": pace} if pace else {}


def _reindex(collection: str, verb: str, cls: Any, wanted: dict[str, Any]) -> Call[Any]:
    return Call(
        "POST",
        in_collection(collection, f"/reindex{verb}"),
        answer_as(cls),
        headers=JSON,
        content=_encode(wanted),
        repeat=ONCE,
    )
