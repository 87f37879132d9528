"""Decoders of streamed answers: they take bytes as they come and return what is complete."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .errors import ContextureError

LINE_BYTES_MAX = 64 * 1024 * 1024
"""A longer line is a broken answer, not a reason to fill the memory."""


class LineBuffer:
    """Splits at line feeds only: JSON text may hold U+2028, which `str.splitlines` would cut."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, chunk: bytes) -> list[bytes]:
        """Returns the lines that this chunk completes, without their ends."""
        if b"\n" not in chunk:
            self._rest += chunk
            if len(self._rest) > LINE_BYTES_MAX:
                raise ContextureError(f"a line of the answer has over {LINE_BYTES_MAX} bytes")
            return []
        *lines, rest = (bytes(self._rest) + chunk).split(b"\n")
        self._rest = bytearray(rest)
        return [line.removesuffix(b"\r") for line in lines]

    def finish(self) -> list[bytes]:
        """Returns the last line, if it had no end."""
        rest, self._rest = bytes(self._rest), bytearray()
        return [rest] if rest else []


class NdjsonReader:
    """JSON values, one a line."""

    def __init__(self) -> None:
        self._lines = LineBuffer()

    def feed(self, chunk: bytes) -> Iterator[Any]:
        """Yields the values that this chunk completes."""
        return map(parse_json, filter(bytes.strip, self._lines.feed(chunk)))

    def finish(self) -> Iterator[Any]:
        """Yields what stands after the last line feed."""
        return map(parse_json, filter(bytes.strip, self._lines.finish()))


class ResultsReader:
    """The items of one ``{"results": [...]}``, which come when all of it is there."""

    def __init__(self) -> None:
        self._body = bytearray()

    def feed(self, chunk: bytes) -> Iterator[Any]:
        """Keeps the chunk; nothing is complete yet."""
        self._body += chunk
        return iter(())

    def finish(self) -> Iterator[Any]:
        """Yields the items."""
        if not self._body:
            return iter(())
        answer = parse_json(bytes(self._body))
        results = answer.get("results") if isinstance(answer, dict) else None
        if not isinstance(results, list):
            raise ContextureError("the server's answer has no 'results'")
        return iter(results)


@dataclass(frozen=True)
class ServerSentEvent:
    """One event of a stream."""

    name: str
    data: str
    id: str


class EventReader:
    """Server-sent events, as the HTML standard has them."""

    def __init__(self) -> None:
        self._lines = LineBuffer()
        self._name = ""
        self._data: list[str] = []
        self._id = ""
        self._placed = False

    def feed(self, chunk: bytes) -> Iterator[ServerSentEvent]:
        """Yields the events that this chunk completes; one without its blank line is dropped.

        An event without data only says the place; its name is empty.
        """
        for line in self._lines.feed(chunk):
            event = self._take(line.decode("utf-8", "replace"))
            if event is not None:
                yield event

    def _take(self, line: str) -> ServerSentEvent | None:
        if not line:
            return self._complete()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._name = value
        elif name == "data":
            self._data.append(value)
        elif name == "id" and "\0" not in value:
            self._id = value
            self._placed = True
        return None

    def _complete(self) -> ServerSentEvent | None:
        name, data, placed = self._name or "message", self._data, self._placed
        self._name, self._data, self._placed = "", [], False
        if data:
            return ServerSentEvent(name, "\n".join(data), self._id)
        return ServerSentEvent("", "", self._id) if placed else None


def parse_json(text: bytes | str) -> Any:
    """Parses JSON of the server; raises ``unexpected_response`` where it is none."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise ContextureError(f"the server's answer is not JSON: {error}") from error
