"""Haystack's filters as conditions in Contexture's language."""

from __future__ import annotations

import json
import re
from typing import Any

# What the server takes as a key. Anything else could smuggle in a condition of its own.
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_COMPARISONS = {"==": "=", "!=": "!=", ">": ">", ">=": ">=", "<": "<", "<=": "<="}


def filter_text(filters: dict[str, Any] | str | None) -> str | None:
    """Returns filters as text; text stays as it is. Raises ``ValueError`` for other shapes."""
    if filters is None or isinstance(filters, str):
        return filters
    return _condition(filters) if filters else None


def _condition(part: dict[str, Any]) -> str:
    operator = part.get("operator")
    if "conditions" in part:
        return _joined(str(operator), [_condition(one) for one in part["conditions"]])
    if "field" not in part or "value" not in part:
        raise ValueError("a filter needs 'field', 'operator' and 'value', or 'conditions'")
    key = str(part["field"]).removeprefix("meta.")
    if not _KEY.fullmatch(key):
        raise ValueError(f"a filter cannot ask for the key {key!r}")
    value = part["value"]
    if operator in ("in", "not in"):
        listed = ", ".join(_value(one) for one in value)
        test = f"{key} in [{listed}]"
        return test if operator == "in" else f"not {test}"
    if value is None and operator in ("==", "!="):
        return f"not exists({key})" if operator == "==" else f"exists({key})"
    if operator not in _COMPARISONS:
        raise ValueError(f"unknown operator {operator!r} in a filter")
    return f"{key} {_COMPARISONS[operator]} {_value(value)}"


def _joined(operator: str, conditions: list[str]) -> str:
    if operator not in ("AND", "OR", "NOT") or not conditions:
        raise ValueError(f"unknown operator {operator!r} in a filter, or no conditions")
    # NOT is true unless all its conditions are.
    text = (" or " if operator == "OR" else " and ").join(f"({one})" for one in conditions)
    return f"not ({text})" if operator == "NOT" else text


def _value(value: Any) -> str:
    if isinstance(value, (str, bool, int, float)):
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    raise ValueError(f"a filter cannot compare with {type(value).__name__}")
