"""Errors of the client: one class per HTTP status of the server, two for the network.

Every error carries the server's stable ``code``; decide by the class or the code, never by text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any


class ContextureError(Exception):
    """Any failure of a call.

    ``code`` is a stable snake_case name, ``field`` the path of the offending field, ``detail`` one
    line for a person, ``status`` the HTTP status (``None`` where no answer came), ``retry_after``
    the seconds the server asked to wait.
    """

    def __init__(
        self,
        detail: str,
        *,
        code: str = "unexpected_response",
        field: str | None = None,
        status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code
        self.field = field
        self.status = status
        self.retry_after = retry_after

    def __str__(self) -> str:
        place = f", field {self.field}" if self.field else ""
        return f"{self.detail} [{self.code}{place}]"

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions with keyword arguments do not survive pickling (process pools) by themselves.
        return (_unpickle_error, (type(self), self.detail, self.__dict__.copy()))


def _unpickle_error(
    cls: type[ContextureError], detail: str, state: dict[str, Any]
) -> ContextureError:
    error = cls(detail)
    error.__dict__.update(state)
    return error


class InvalidRequestError(ContextureError):
    """400, 405, 413, 415 or 431: the request is wrong, and will be wrong again."""


class AuthenticationError(ContextureError):
    """401: no credential, or an unknown one."""


class PermissionDeniedError(ContextureError):
    """403: the credential lacks a scope; ``detail`` names it."""


class NotFoundError(ContextureError):
    """404: there is no such collection, document or route, or it is not yours."""


class ConflictError(ContextureError):
    """409: it exists in another form, such as this version with other content."""


class PreconditionFailedError(ContextureError):
    """412: a fence (``if_match``, ``create_only``, ``min_versions``) does not hold."""


class DocumentDiedError(ContextureError):
    """422: the document that was waited for could not be indexed; ``detail`` says why."""


class RateLimitedError(ContextureError):
    """429: the server is full; nothing was accepted."""


class InternalServerError(ContextureError):
    """500: a fault of the server."""


class UnavailableError(ContextureError):
    """502 or 503: the server or a provider of it cannot answer now."""


class DeadlineExceededError(ContextureError):
    """408, or the client's ``timeout`` passed before an answer came."""


class ConnectionFailedError(ContextureError):
    """The server could not be reached, or the connection broke."""


_CLASSES: dict[int, type[ContextureError]] = {
    400: InvalidRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    405: InvalidRequestError,
    409: ConflictError,
    412: PreconditionFailedError,
    413: InvalidRequestError,
    415: InvalidRequestError,
    422: DocumentDiedError,
    429: RateLimitedError,
    431: InvalidRequestError,
    500: InternalServerError,
    502: UnavailableError,
    503: UnavailableError,
    408: DeadlineExceededError,
    504: DeadlineExceededError,
}


def error_from_problem(
    problem: Mapping[str, Any], status: int | None = None, retry_after: float | None = None
) -> ContextureError:
    """Returns the error that a problem object (RFC 9457) describes."""
    told = problem.get("status")
    status = status if status is not None else (told if isinstance(told, int) else None)
    wait_ms = problem.get("retry_after_ms")
    if isinstance(wait_ms, (int, float)):
        retry_after = wait_ms / 1000
    field = problem.get("field")
    cls = _CLASSES.get(status, ContextureError) if status is not None else ContextureError
    return cls(
        str(problem.get("detail") or problem.get("title") or f"the server answered {status}"),
        code=str(problem.get("code") or "unexpected_response"),
        field=str(field) if field else None,
        status=status,
        retry_after=retry_after,
    )


def error_from_answer(status: int, headers: Mapping[str, str], body: bytes) -> ContextureError:
    """Returns the error of an answer that is no success, whoever wrote it."""
    try:
        problem = json.loads(body)
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        # A proxy between client and server answers in its own words.
        text = body[:200].decode("utf-8", "replace").strip()
        problem = {"detail": f"HTTP {status}: {text}" if text else f"HTTP {status}"}
    return error_from_problem(problem, status, parse_retry_after(headers.get("retry-after")))


def parse_retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Returns the seconds that a ``Retry-After`` header asks for: a number or an HTTP date."""
    if not value:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=timezone.utc)
    return max(0.0, (when - (now or datetime.now(timezone.utc))).total_seconds())
