"""Dataclasses from JSON objects.

Keys that a dataclass does not know are ignored, so that a newer server does not break this client.
A missing key takes the field's default; one without a default is an error.
"""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from .errors import ContextureError

R = TypeVar("R", bound="JsonResult")


class JsonResult:
    """A dataclass that is read from JSON."""

    @classmethod
    def from_json(cls: type[R], data: Any) -> R:
        """Reads one object; raises ``unexpected_response`` where it has not this shape."""
        if not isinstance(data, Mapping):
            raise _unexpected(cls, f"is {type(data).__name__}, not an object")
        values = {}
        for name, kind, required in _fields(cast(Any, cls)):
            if name in data and not (data[name] is None and not required and not _nullable(kind)):
                values[name] = _convert(cls, name, kind, data[name])
            elif required:
                raise _unexpected(cls, f"has no '{name}'")
        return cls(**values)


def _unexpected(cls: type, what: str) -> ContextureError:
    return ContextureError(f"the server's {cls.__name__} {what}")


@functools.cache
def _fields(cls: Any) -> list[tuple[str, Any, bool]]:
    hints = typing.get_type_hints(cls)
    missing = dataclasses.MISSING
    return [
        (
            field.name,
            hints[field.name],
            field.default is missing and field.default_factory is missing,
        )
        for field in dataclasses.fields(cls)
        if field.init
    ]


def _members(kind: Any) -> tuple[Any, ...]:
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return typing.get_args(kind)
    return (kind,)


def _nullable(kind: Any) -> bool:
    return type(None) in _members(kind)


def _convert(cls: type, name: str, kind: Any, value: Any) -> Any:
    if kind is Any:
        return value
    members = _members(kind)
    if value is None and type(None) in members:
        return None
    for member in members:
        origin = typing.get_origin(member) or member
        if origin is list and isinstance(value, list):
            (item,) = typing.get_args(member)
            return [_convert(cls, name, item, one) for one in value]
        if isinstance(origin, type) and issubclass(origin, JsonResult):
            return origin.from_json(value)
        if origin is Mapping and isinstance(value, Mapping):
            return dict(value)
        if origin is float and isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
        if origin is int and isinstance(value, bool):
            continue
        if isinstance(origin, type) and isinstance(value, origin):
            return value
    raise _unexpected(cls, f"has a {type(value).__name__} as '{name}'")
