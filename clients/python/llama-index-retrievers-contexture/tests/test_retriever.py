"""The retriever against the server of CONTEXTURE_SERVER."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from contexture import Contexture, NotFoundError
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.schema import MetadataMode, NodeWithScore

from llama_index.retrievers.contexture import ContextureRetriever

# A missing server fails the tests: skipping would hide that nothing was tested.
URL = os.environ["CONTEXTURE_SERVER"]
KEY = os.environ.get("CONTEXTURE_API_KEY")
QUESTION = "Where do boats wait for the tide?"


@pytest.fixture(scope="session")
def collection() -> Iterator[str]:
    name = f"li-{uuid.uuid4().hex[:12]}"
    template = {"url_template": "https://wiki.example/{document_id}"}
    with Contexture(URL, KEY) as client:
        client.collections.create(name, settings=template)
        for number in range(5):
            text = f"# Harbour {number}\n\nBoats wait for the tide behind pier {number}."
            client.documents.put(
                name, f"harbour-{number}.md", text, metadata={"number": number}, wait=True
            )
        yield name
        client.collections.delete(name)


def check(found: list[NodeWithScore], count: int, collection: str) -> None:
    assert len(found) == count
    best = found[0].node
    number = best.metadata["number"]
    assert f"pier {number}" in best.get_content()
    assert best.ref_doc_id == best.metadata["document_id"] == f"harbour-{number}.md"
    assert best.metadata["version"] == 1
    assert best.metadata["url"] == f"https://wiki.example/harbour-{number}.md"
    assert best.metadata["end_byte"] > best.metadata["start_byte"] >= 0
    with Contexture(URL, KEY) as client:
        view = client.documents.get(collection, best.metadata["document_id"], chunks=True)
        hits = client.search(collection, QUESTION, top_k=count).results
    assert view.chunks
    assert best.node_id in [chunk.chunk_id for chunk in view.chunks]
    assert [one.node.node_id for one in found] == [hit.chunk_id for hit in hits]
    assert [one.score for one in found] == [hit.score for hit in hits]


@pytest.mark.parametrize("top_k", [1, 3])
def test_retrieve(collection: str, top_k: int) -> None:
    retriever = ContextureRetriever(collection, url=URL, api_key=KEY, top_k=top_k)
    assert isinstance(retriever, BaseRetriever)
    check(retriever.retrieve(QUESTION), top_k, collection)
    # Each run has an event loop of its own, so connections of the first must not be used again.
    for _ in range(2):
        check(asyncio.run(retriever.aretrieve(QUESTION)), top_k, collection)


def test_filter(collection: str) -> None:
    retriever = ContextureRetriever(collection, url=URL, api_key=KEY, filter="number = 3")
    assert [one.node.metadata["number"] for one in retriever.retrieve(QUESTION)] == [3]


def test_models_do_not_read_the_place(collection: str) -> None:
    (found,) = ContextureRetriever(collection, url=URL, api_key=KEY, top_k=1).retrieve(QUESTION)
    read = found.node.get_content(metadata_mode=MetadataMode.LLM)
    assert "start_byte" not in read
    assert "number: " in read


def test_a_query_engine_answers_with_it(collection: str) -> None:
    retriever = ContextureRetriever(collection, url=URL, api_key=KEY, top_k=2)
    response = RetrieverQueryEngine.from_args(retriever, llm=MockLLM()).query(QUESTION)
    # The mock repeats its prompt.
    assert "behind pier" in str(response)
    assert len(response.source_nodes) == 2


def test_errors_come_through() -> None:
    with pytest.raises(NotFoundError):
        ContextureRetriever("never-made", url=URL, api_key=KEY).retrieve(QUESTION)


def test_the_example() -> None:
    path = Path(__file__).parents[1] / "examples" / "retrieve.py"
    run = subprocess.run(
        [sys.executable, str(path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == 0, run.stderr
    assert "canary first" in run.stdout
