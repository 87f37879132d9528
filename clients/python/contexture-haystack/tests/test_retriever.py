"""The retriever against the server of CONTEXTURE_SERVER."""

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
from contexture import Contexture, InvalidRequestError, NotFoundError
from haystack import Pipeline
from haystack.dataclasses import Document
from haystack.utils import Secret

from haystack_integrations.components.retrievers.contexture import ContextureRetriever
from haystack_integrations.components.retrievers.contexture.filters import filter_text

# A missing server fails the tests: skipping would hide that nothing was tested.
URL = os.environ["CONTEXTURE_SERVER"]
QUESTION = "Where do boats wait for the tide?"


@pytest.fixture(scope="session")
def collection() -> Iterator[str]:
    name = f"hs-{uuid.uuid4().hex[:12]}"
    template = {"url_template": "https://wiki.example/{document_id}"}
    with Contexture.from_env() as client:
        client.collections.create(name, settings=template)
        for number in range(5):
            text = f"# Harbour {number}\n\nBoats wait for the tide behind pier {number}."
            metadata = {"number": number, "kind": "odd" if number % 2 else "even"}
            client.documents.put(name, f"harbour-{number}.md", text, metadata=metadata, wait=True)
        yield name
        client.collections.delete(name)


def check(documents: list[Document], count: int) -> None:
    assert len(documents) == count
    best = documents[0]
    number = best.meta["number"]
    assert best.id
    assert best.content is not None
    assert f"pier {number}" in best.content
    assert best.meta["document_id"] == f"harbour-{number}.md"
    assert best.meta["version"] == 1
    assert best.meta["url"] == f"https://wiki.example/harbour-{number}.md"
    assert best.score == best.meta["score"]


def test_run(collection: str) -> None:
    retriever = ContextureRetriever(collection, url=URL)
    check(retriever.run(QUESTION)["documents"], 5)
    check(retriever.run(QUESTION, top_k=1)["documents"], 1)
    # Each run has an event loop of its own, so connections of the first must not be used again.
    for _ in range(2):
        check(asyncio.run(retriever.run_async(QUESTION, top_k=3))["documents"], 3)


ODD = {"field": "meta.kind", "operator": "==", "value": "odd"}


def test_filters(collection: str) -> None:
    retriever = ContextureRetriever(collection, url=URL, filters=ODD)
    assert {one.meta["number"] for one in retriever.run(QUESTION)["documents"]} == {1, 3}
    other = retriever.run(QUESTION, filters="number = 4")["documents"]
    assert [one.meta["number"] for one in other] == [4]


@pytest.mark.parametrize(
    ("filters", "text"),
    [
        (None, None),
        ({}, None),
        ('a = "b"', 'a = "b"'),
        (ODD, 'kind = "odd"'),
        ({"field": "a", "operator": "in", "value": ["x", 2]}, 'a in ["x", 2]'),
        ({"field": "a", "operator": "not in", "value": [True]}, "not a in [true]"),
        ({"field": "a", "operator": "==", "value": None}, "not exists(a)"),
        ({"field": "a", "operator": ">=", "value": 2.5}, "a >= 2.5"),
        (
            {
                "operator": "AND",
                "conditions": [
                    ODD,
                    {
                        "operator": "NOT",
                        "conditions": [
                            {"field": "a", "operator": "!=", "value": 'say "hi"'},
                            {
                                "operator": "OR",
                                "conditions": [{"field": "b", "operator": "<", "value": 1}],
                            },
                        ],
                    },
                ],
            },
            '(kind = "odd") and (not ((a != "say \\"hi\\"") and ((b < 1))))',
        ),
    ],
)
def test_filters_become_text(filters: Any, text: str | None, collection: str) -> None:
    assert filter_text(filters) == text
    # The server reads it, and refuses by name what no document can pass for want of a key.
    refused = None
    try:
        ContextureRetriever(collection, url=URL).run(QUESTION, filters=text)
    except InvalidRequestError as error:
        refused = error.code
    assert refused in (None, "unknown_filter_key")


@pytest.mark.parametrize(
    "wrong",
    [
        {"field": "a", "operator": "~", "value": 1},
        {"field": "a"},
        {"field": "a = 1 or b", "operator": "==", "value": 1},
        {"operator": "XOR", "conditions": [ODD]},
        {"field": "a", "operator": "==", "value": {"b": 1}},
    ],
)
def test_a_wrong_filter_is_refused_when_it_is_given(wrong: Any) -> None:
    with pytest.raises(ValueError, match="filter"):
        ContextureRetriever("c", filters=wrong)


def test_a_pipeline_survives_its_file(collection: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # A server without keys takes no key; what matters is that the pipeline finds it again.
    key = Secret.from_env_var("OTHER_KEY", strict=False)
    retriever = ContextureRetriever({collection: 0.5}, url=URL, api_key=key, top_k=2, filters=ODD)
    pipeline = Pipeline()
    pipeline.add_component("retriever", retriever)
    text = pipeline.dumps()
    assert "OTHER_KEY" in text
    again = Pipeline.loads(text)
    assert again.get_component("retriever").to_dict() == retriever.to_dict()
    documents = again.run({"retriever": {"query": QUESTION}})["retriever"]["documents"]
    assert {one.meta["collection"] for one in documents} == {collection}


def test_a_key_in_the_open_is_not_written_down() -> None:
    retriever = ContextureRetriever("c", api_key=Secret.from_token("secret-key"))
    with pytest.raises(ValueError, match="serialize"):
        retriever.to_dict()


def test_errors_come_through() -> None:
    with pytest.raises(NotFoundError):
        ContextureRetriever("never-made", url=URL).run(QUESTION)


def test_the_example() -> None:
    path = Path(__file__).parents[1] / "examples" / "pipeline.py"
    run = subprocess.run(
        [sys.executable, str(path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == 0, run.stderr
    assert "canary first" in run.stdout
