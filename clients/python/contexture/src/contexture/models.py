"""What goes in and what comes out, as dataclasses.

Inputs: `Document`, `Section`, `Settings`. All others are results, read with ``from_json``, which
ignores keys of newer servers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ._json import JsonResult
from .errors import ContextureError


@dataclass(frozen=True)
class Document:
    """One document to put, for ``put_many``: ``text`` or ``body``."""

    id: str
    text: str | None = None
    body: bytes | None = None
    media_type: str | None = None
    title: str | None = None
    metadata: Mapping[str, Any] | None = None
    groups: list[str] | None = None
    version: int | None = None


@dataclass(frozen=True)
class Section:
    """One part of a context: its own question and filter, and its share (0 to 1) of the budget."""

    name: str
    question: str | None = None
    filter: str | None = None
    share: float | None = None


@dataclass(frozen=True)
class Settings(JsonResult):
    """Settings of a collection: where the URLs of its documents come from."""

    url_template: str | None = None
    url_metadata_key: str | None = None


@dataclass(frozen=True)
class Counts(JsonResult):
    """Versions of a collection by state, and its documents."""

    accepted: int = 0
    in_flight: int = 0
    visible: int = 0
    superseded: int = 0
    dead: int = 0
    documents: int = 0


@dataclass(frozen=True)
class AuditReport(JsonResult):
    """What an audit found, and what a repair mended."""

    documents: int = 0
    missing: int = 0
    stale: int = 0
    orphan: int = 0
    drift: int = 0
    unsettled: int = 0
    mended: int = 0
    failed: int = 0


@dataclass(frozen=True)
class LastAudit(AuditReport):
    """What the last audit found, and when it ended."""

    at_ms: int = 0


@dataclass(frozen=True)
class Collection(JsonResult):
    """A collection; ``pipeline`` is TOML."""

    name: str
    pipeline: str = ""
    generation: int = 0
    settings: Settings = field(default_factory=Settings)
    counts: Counts = field(default_factory=Counts)
    audit: LastAudit | None = None


@dataclass(frozen=True)
class Receipt(JsonResult):
    """How a document was taken: ``intake`` is accepted, duplicate or superseded."""

    document_id: str
    version: int
    intake: str = ""
    state: str = ""


@dataclass(frozen=True)
class PutResult:
    """The result of one document of ``put_many``: a receipt or an error.

    ``index`` is the document's place in what was given, from 0.
    """

    index: int
    document_id: str | None
    receipt: Receipt | None = None
    error: ContextureError | None = None

    @property
    def ok(self) -> bool:
        """Whether the document was taken."""
        return self.error is None

    def raise_for_error(self) -> Receipt:
        """Returns the receipt, or raises the error."""
        if self.receipt is None:
            raise self.error or ContextureError("a result without receipt")
        return self.receipt


@dataclass(frozen=True)
class Reason(JsonResult):
    """Why a document died."""

    code: str
    detail: str = ""


@dataclass(frozen=True)
class DocumentVersion(JsonResult):
    """One version of a document. Times are milliseconds since the Unix epoch."""

    version: int
    state: str = ""
    deletes: bool = False
    reason: Reason | None = None
    content_hash: str = ""
    body_bytes: int = 0
    chunk_count: int | None = None
    accepted_ms: int = 0
    updated_ms: int = 0


@dataclass(frozen=True)
class Chunk(JsonResult):
    """A chunk and its byte span in the document's normalised text."""

    chunk_id: str
    ordinal: int = 0
    start_byte: int = 0
    end_byte: int = 0
    heading: list[str] = field(default_factory=list)
    text: str = ""


@dataclass(frozen=True)
class DocumentSummary(JsonResult):
    """A document as it stands: ``version`` is the newest, ``visible_version`` what queries find.

    ``groups`` is None where everyone of the tenant may read it, or where they were not asked for.
    """

    document_id: str
    version: int
    state: str = ""
    deleted: bool = False
    visible_version: int | None = None
    title: str | None = None
    url: str | None = None
    media_type: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    groups: list[str] | None = None
    body_bytes: int = 0
    chunk_count: int | None = None
    accepted_ms: int = 0
    updated_ms: int = 0
    reason: Reason | None = None


@dataclass(frozen=True)
class DocumentView(DocumentSummary):
    """A document with its versions, newest first; chunks and text if they were asked for."""

    versions: list[DocumentVersion] = field(default_factory=list)
    chunks: list[Chunk] | None = None
    text: str | None = None


@dataclass(frozen=True)
class DeleteReport(JsonResult):
    """What a delete by filter found and did."""

    matched: int
    deleted: int = 0
    dry_run: bool = False


@dataclass(frozen=True)
class Citation(JsonResult):
    """A place in a document."""

    document_id: str
    version: int
    start_byte: int = 0
    end_byte: int = 0
    collection: str | None = None


@dataclass(frozen=True)
class Passage(JsonResult):
    """A span of one document version, and where it comes from."""

    document_id: str
    version: int
    start_byte: int
    end_byte: int
    text: str
    heading: str = ""
    score: float = 0.0
    section: str | None = None
    collection: str | None = None
    also: list[Citation] = field(default_factory=list)
    title: str | None = None
    url: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    groups: list[str] | None = None


@dataclass(frozen=True)
class Prefix(JsonResult):
    """How much of the context before this one starts with."""

    passages: int = 0
    bytes: int = 0
    tokens: int = 0
    broken_at: int | None = None
    broken_by: str | None = None


@dataclass(frozen=True)
class TraceEntry(JsonResult):
    """What became of one candidate."""

    chunk_id: str
    reason: str = ""
    score: float = 0.0
    gain: float = 0.0
    tokens: int = 0
    kept_bytes: int = 0
    document_id: str | None = None
    version: int | None = None
    start_byte: int | None = None
    end_byte: int | None = None
    collection: str | None = None
    passage: int | None = None
    of: str | None = None


@dataclass(frozen=True)
class Context(JsonResult):
    """The text for a prompt, at most ``budget`` tokens; ``str()`` of it is the text."""

    context: str
    tokens: int = 0
    budget: int = 0
    tokenizer: str = ""
    snapshot: int | None = None
    snapshots: Mapping[str, int] = field(default_factory=dict)
    degraded: list[str] = field(default_factory=list)
    reserved: int = 0
    passages: list[Passage] = field(default_factory=list)
    prefix: Prefix | None = None
    continuation: str | None = None
    bound: float = 0.0
    trace: list[TraceEntry] = field(default_factory=list)

    def __str__(self) -> str:
        return self.context


@dataclass(frozen=True)
class SearchHit(JsonResult):
    """A ranked chunk."""

    chunk_id: str
    document_id: str
    version: int
    start_byte: int
    end_byte: int
    text: str
    heading: str = ""
    score: float = 0.0
    collection: str | None = None
    title: str | None = None
    url: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    groups: list[str] | None = None


@dataclass(frozen=True)
class SearchResults(JsonResult):
    """Ranked chunks, best first."""

    results: list[SearchHit]
    snapshot: int | None = None
    snapshots: Mapping[str, int] = field(default_factory=dict)
    degraded: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Event(JsonResult):
    """What became of a document: ``kind`` is visible, deleted or dead.

    ``cursor`` is where to go on: ``events(collection, after=event.cursor)``.
    """

    kind: str
    document_id: str
    version: int
    reason: Reason | None = None
    at_ms: int = 0
    cursor: str = ""


@dataclass(frozen=True)
class DeadLetter(JsonResult):
    """A document version that was given up."""

    id: int
    collection: str
    document_id: str
    version: int
    stage: str = ""
    reason: Reason = field(default_factory=lambda: Reason(""))
    died_ms: int = 0


@dataclass(frozen=True)
class DeadLetterGroup(JsonResult):
    """Dead letters with one reason and stage, and one of them."""

    code: str
    stage: str = ""
    count: int = 0
    example: DeadLetter | None = None


@dataclass(frozen=True)
class ReplayReport(JsonResult):
    """What a replay of dead letters found and did."""

    matched: int
    replayed: int = 0
    dry_run: bool = False


@dataclass(frozen=True)
class DropReport(JsonResult):
    """What a drop of dead letters found and did."""

    matched: int
    dropped: int = 0
    dry_run: bool = False


@dataclass(frozen=True)
class BuildFailure(JsonResult):
    """A document that a generation cannot have."""

    document_id: str
    version: int = 0
    reason: Reason | None = None


@dataclass(frozen=True)
class Generation(JsonResult):
    """One build of a collection: ``state`` is building, active or kept."""

    generation: int
    state: str = ""
    paused: bool = False
    caught_up: bool = False
    documents: int = 0
    remaining: int = 0
    failed: int = 0
    documents_per_second: float = 0.0
    eta_seconds: float | None = None
    drop_ms: int | None = None
    failures: list[BuildFailure] = field(default_factory=list)


@dataclass(frozen=True)
class ReindexDone(JsonResult):
    """The generation that something was done to."""

    generation: int


@dataclass(frozen=True)
class ComparisonReport(JsonResult):
    """What a comparison of two generations found: ``a`` to compare with, ``b`` to look at.

    The likeness is a mean over the questions that both answered; None if there is none.
    """

    collection: str = ""
    generations: Mapping[str, int] = field(default_factory=dict)
    top_k: int = 0
    budget: int = 0
    tokenizer: str = ""
    questions: int = 0
    failed: int = 0
    degraded: Mapping[str, int] = field(default_factory=dict)
    overlap: float | None = None
    rbo: float | None = None
    kendall_tau: float | None = None
    context_overlap: float | None = None
    a_context_in_b: float | None = None
    b_context_in_a: float | None = None
    judged: Mapping[str, Any] | None = None
    latency_ms: Mapping[str, Any] = field(default_factory=dict)
    latency_ratio: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    requirements: list[Mapping[str, Any]] = field(default_factory=list)
    per_question: list[Mapping[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Progress(JsonResult):
    """How far an audit, a repair or a comparison is."""

    done: int = 0
    total: int = 0
    mended: int = 0


@dataclass(frozen=True)
class CollectionStatus(Counts):
    """How a collection stands."""

    collection: str = ""
    audit: LastAudit | None = None


@dataclass(frozen=True)
class ModelUsage(JsonResult):
    """What embedding with one model cost."""

    model: str
    requests: int = 0
    texts: int = 0
    tokens: int = 0


@dataclass(frozen=True)
class UsageReport(JsonResult):
    """What embedding cost in the last ``days``, by model."""

    days: int = 0
    usage: list[ModelUsage] = field(default_factory=list)


@dataclass(frozen=True)
class Status(JsonResult):
    """Counts of every collection, providers, and what embedding cost in 30 days."""

    collections: list[CollectionStatus] = field(default_factory=list)
    providers: list[Mapping[str, Any]] = field(default_factory=list)
    usage: list[ModelUsage] = field(default_factory=list)


@dataclass(frozen=True)
class PipelineInfo(JsonResult):
    """A configured pipeline; ``pipeline`` is TOML."""

    name: str
    pipeline: str = ""
    default: bool = False


@dataclass(frozen=True)
class Whoami(JsonResult):
    """Who the credential is."""

    tenant: str
    groups: list[str] = field(default_factory=list)
    scopes: list[str] = field(default_factory=list)
