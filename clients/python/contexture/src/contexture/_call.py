"""One request and how its answer is read, free of how it is sent."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import httpx

from ._json import R
from ._streams import parse_json
from .retry import Repeat

T = TypeVar("T")

JSON = {"content-type": "application/json"}


@dataclass(frozen=True)
class Call(Generic[T]):
    """A request; ``parse`` reads the answer of a success."""

    method: str
    path: str
    parse: Callable[[httpx.Response], T]
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    repeat: Repeat = Repeat.SAFE
    wait_visible: bool = False
    """The server is to hold the answer until the document is visible, or time is out."""


def answer_as(cls: type[R]) -> Callable[[httpx.Response], R]:
    """Returns a parser of one object."""
    return lambda response: cls.from_json(parse_json(response.content))


def answer_list(key: str, cls: type[R]) -> Callable[[httpx.Response], list[R]]:
    """Returns a parser of the list under a key."""

    def parse(response: httpx.Response) -> list[R]:
        return [cls.from_json(item) for item in parse_json(response.content)[key]]

    return parse


def no_answer(_: httpx.Response) -> None:
    """Reads nothing."""


def segment(name: str) -> str:
    """Returns one path segment."""
    return quote(name, safe="")


def document_segments(document_id: str) -> str:
    """Returns the path of a document's id: its slashes stay, ``.`` segments survive clients."""
    parts = (quote(part, safe="") for part in document_id.split("/"))
    return "/".join({".": "%2E", "..": "%2E%2E"}.get(part, part) for part in parts)


def body(value: Any) -> bytes:
    """Returns JSON as bytes. Raises ``ValueError`` for NaN and infinities."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode()


def given(**values: Any) -> dict[str, Any]:
    """Returns the values that are not None."""
    return {name: value for name, value in values.items() if value is not None}


def query(**values: str | int | bool | None) -> dict[str, str]:
    """Returns query parameters of the values that are not None."""
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in values.items()
        if value is not None
    }
