"""The standard tests of retrievers, and ours, against the server of CONTEXTURE_SERVER."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from contexture import Contexture, NotFoundError
from langchain_core.documents import Document
from langchain_core.runnables import RunnableLambda
from langchain_tests.integration_tests import RetrieversIntegrationTests

from langchain_contexture import ContextureContext, ContextureRetriever

# A missing server fails the tests: skipping would hide that nothing was tested.
URL = os.environ["CONTEXTURE_SERVER"]
KEY = os.environ.get("CONTEXTURE_API_KEY")
QUESTION = "Where do boats wait for the tide?"


@pytest.fixture(scope="session")
def collection() -> Iterator[str]:
    name = f"lc-{uuid.uuid4().hex[:12]}"
    with Contexture(URL, KEY) as client:
        client.collections.create(
            name, settings={"url_template": "https://wiki.example/{document_id}"}
        )
        for number in range(5):
            text = f"# Harbour {number}\n\nBoats wait for the tide behind pier {number}."
            client.documents.put(
                name,
                f"harbour-{number}.md",
                text,
                title=f"Harbour {number}",
                # 'version' of the document's own must not hide which version was found.
                metadata={"number": number, "version": "draft"},
                wait=True,
            )
        yield name
        client.collections.delete(name)


class TestStandard(RetrieversIntegrationTests):
    @pytest.fixture(autouse=True)
    def _collection(self, collection: str) -> None:
        self.name = collection

    @property
    def retriever_constructor(self) -> type[ContextureRetriever]:
        return ContextureRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"collection": self.name, "url": URL, "api_key": KEY}

    @property
    def retriever_query_example(self) -> str:
        return QUESTION


def check(documents: list[Document]) -> None:
    best = documents[0]
    number = best.metadata["number"]
    assert best.id
    assert f"pier {number}" in best.page_content
    assert best.metadata["document_id"] == f"harbour-{number}.md"
    assert best.metadata["version"] == 1
    assert best.metadata["title"] == f"Harbour {number}"
    assert best.metadata["url"] == f"https://wiki.example/harbour-{number}.md"
    assert best.metadata["end_byte"] > best.metadata["start_byte"] >= 0
    scores = [document.metadata["score"] for document in documents]
    assert scores == sorted(scores, reverse=True)


def test_documents_say_where_they_come_from(collection: str) -> None:
    retriever = ContextureRetriever(collection=collection, url=URL, api_key=KEY)
    check(retriever.invoke(QUESTION))
    # Each run has an event loop of its own, so connections of the first must not be used again.
    for _ in range(2):
        check(asyncio.run(retriever.ainvoke(QUESTION)))


def test_filters_narrow(collection: str) -> None:
    retriever = ContextureRetriever(
        collection=collection, url=URL, api_key=KEY, filter="number = 3"
    )
    assert [one.metadata["number"] for one in retriever.invoke(QUESTION)] == [3]
    other = retriever.invoke(QUESTION, filter="number = 4")
    assert [one.metadata["number"] for one in other] == [4]


def test_a_clients_own_errors_come_through() -> None:
    with Contexture(URL, KEY) as client:
        retriever = ContextureRetriever(collection="never-made", client=client)
        with pytest.raises(NotFoundError):
            retriever.invoke(QUESTION)


def test_a_key_is_not_shown() -> None:
    retriever = ContextureRetriever(collection="c", api_key="secret-key")
    assert "secret-key" not in repr(retriever)
    assert "secret-key" not in retriever.model_dump_json()


async def test_context_is_a_step_of_a_chain(collection: str) -> None:
    context = ContextureContext(collection=collection, url=URL, api_key=KEY, budget=400)
    chain = context | RunnableLambda(str.upper)
    assert "TIDE" in chain.invoke(QUESTION)
    assert "TIDE" in await chain.ainvoke(QUESTION)
    answer = context.answer(QUESTION)
    assert 0 < answer.tokens <= 400
    small = context.invoke(QUESTION, budget=60)
    assert len(small) < len(context.invoke(QUESTION))
    assert (await context.aanswer(QUESTION)).context == answer.context


def test_the_example(collection: str) -> None:
    path = Path(__file__).parents[1] / "examples" / "chain.py"
    run = subprocess.run(
        [sys.executable, str(path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == 0, run.stderr
    assert "canary first" in run.stdout
