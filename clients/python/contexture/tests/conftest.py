"""A running server, named by CONTEXTURE_SERVER, and scripted ones for faults."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from scripted import ScriptedServer

from contexture import AsyncContexture, Contexture, RetryPolicy


@pytest.fixture(scope="session")
def server_url() -> str:
    # A missing server fails the tests: skipping would hide that nothing was tested.
    return os.environ["CONTEXTURE_SERVER"]


@pytest.fixture
def client(server_url: str) -> Iterator[Contexture]:
    with Contexture(server_url, os.environ.get("CONTEXTURE_API_KEY")) as client:
        yield client


@pytest_asyncio.fixture
async def async_client(server_url: str) -> AsyncIterator[AsyncContexture]:
    async with AsyncContexture(server_url, os.environ.get("CONTEXTURE_API_KEY")) as client:
        yield client


@pytest.fixture
def collection(client: Contexture) -> Iterator[str]:
    name = f"t-{uuid.uuid4().hex[:12]}"
    client.collections.create(name)
    yield name
    client.collections.delete(name)


@pytest.fixture
def scripted() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


QUICK = RetryPolicy(backoff_seconds=0.01, backoff_seconds_max=0.02)


@pytest.fixture
def scripted_client(scripted: ScriptedServer) -> Iterator[Contexture]:
    with Contexture(scripted.url, "secret-key", timeout=5, retry=QUICK) as client:
        yield client


@pytest_asyncio.fixture
async def scripted_async_client(scripted: ScriptedServer) -> AsyncIterator[AsyncContexture]:
    async with AsyncContexture(scripted.url, "secret-key", timeout=5, retry=QUICK) as client:
        yield client
