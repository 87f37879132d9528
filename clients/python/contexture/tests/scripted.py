"""An HTTP server on a real socket that answers by a script and keeps what it was asked."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Answer = bytes | Callable[["socket.socket"], None]
"""Bytes to send, or what to do with the connection; afterwards it is closed."""


@dataclass
class Request:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.body.splitlines()]


def answer(status: int, body: Any = None, **headers: str) -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(content)}", "connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def problem(status: int, code: str, **more: Any) -> bytes:
    body = {"title": "X", "status": status, "detail": "it is so", "code": code, **more}
    return answer(status, body)


def unfinished(body: bytes, type: str = "text/event-stream") -> bytes:
    """The head and first chunk of a stream; then the connection ends before the stream does."""
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {type}\r\ntransfer-encoding: chunked\r\n\r\n"
    return head.encode() + f"{len(body):x}\r\n".encode() + body + b"\r\n"


def ndjson(*values: Any) -> bytes:
    body = b"".join(json.dumps(value).encode() + b"\n" for value in values)
    return answer(200, body)


BROKEN = b""
"""The connection is closed without an answer."""


class ScriptedServer:
    def __init__(self) -> None:
        self.script: list[Answer] = []
        self.requests: list[Request] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> ScriptedServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # Shutdown wakes the thread that accepts; closing alone does not.
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(10)
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        stream = connection.makefile("rb")
        start = stream.readline().decode()
        if not start:
            return
        method, target, _ = start.split(" ", 2)
        headers = {}
        while (line := stream.readline().decode().strip()) != "":
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        body = stream.read(int(headers.get("content-length", 0)))
        self.requests.append(Request(method, target, headers, body))
        step = self.script.pop(0) if self.script else problem(500, "script_ended")
        if callable(step):
            step(connection)
        else:
            connection.sendall(step)
