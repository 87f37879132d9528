"""What the synchronous and the asynchronous driver share: requests, and the state of a flow."""

from __future__ import annotations

import functools
import inspect
import mimetypes
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

from ._call import Call
from ._flows import Effect, FilePart, Flow
from ._version import __version__

URL_DEFAULT = "http://127.0.0.1:7070"
TIMEOUT_DEFAULT = 30.0
CONNECT_SECONDS_MAX = 10.0


def client_headers(api_key: str | None, headers: Mapping[str, str] | None) -> dict[str, str]:
    """Returns the headers of every request."""
    ours = {"user-agent": f"contexture-python/{__version__}", "accept": "application/json"}
    if api_key is not None:
        ours["authorization"] = f"Bearer {api_key}"
    return {**ours, **(headers or {})}


def build_request(
    http: httpx.Client | httpx.AsyncClient, call: Call[Any], timeout: float | None, *, stream: bool
) -> httpx.Request:
    """Returns the request of a call.

    The server gets a little less time than this side has, so that its answer about a deadline,
    which says more, comes first. A stream has no deadline; ``timeout`` then bounds its silence.
    """
    headers, params = dict(call.headers), dict(call.params)
    if timeout is not None and not stream:
        server_ms = max(1, int(1000 * (timeout - min(0.25, timeout / 10))))
        headers["x-timeout-ms"] = str(server_ms)
        if call.wait_visible:
            params["timeout_ms"] = str(server_ms)
    return http.build_request(
        call.method,
        call.path,
        # httpx takes an empty mapping to mean "no query".
        params=params or None,
        headers=headers,
        content=call.content,
        timeout=httpx.Timeout(timeout, connect=_least(timeout, CONNECT_SECONDS_MAX)),
    )


def _least(timeout: float | None, most: float) -> float:
    return most if timeout is None else min(timeout, most)


class Exchange:
    """The state of one flow: what its last effect brought, and its open response."""

    def __init__(self, flow: Flow[Any]) -> None:
        self.flow = flow
        self.outcome: Any = None
        self.failure: httpx.TransportError | None = None

    def resume(self) -> Effect:
        """Returns the flow's next effect; raises ``StopIteration`` with its result at its end."""
        outcome, failure = self.outcome, self.failure
        self.outcome = self.failure = None
        if failure is not None:
            return self.flow.throw(failure)
        return self.flow.send(outcome)


class Finished:
    """A flow's result."""

    def __init__(self, value: Any) -> None:
        self.value = value


def as_method(operation: Callable[..., Any], method: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a method the name, documentation and signature of its operation, with ``self``."""
    functools.update_wrapper(method, operation)
    # Bound methods drop the first parameter of what they wrap, which would be an argument here.
    del method.__wrapped__  # type: ignore[attr-defined]
    signature = inspect.signature(operation)
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    method.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[own, *signature.parameters.values()], return_annotation=inspect.Signature.empty
    )
    return method


def read_files(
    files: Iterable[str | os.PathLike[str]], base: str | os.PathLike[str] | None
) -> Iterator[FilePart]:
    """Yields files as parts, read when they are needed. An id is the path from ``base``.

    Without ``base`` it is the file's name.
    """
    for file in files:
        path = Path(file)
        document_id = path.name if base is None else path.relative_to(base).as_posix()
        yield FilePart(document_id, path.read_bytes(), mimetypes.guess_type(path.name)[0])
