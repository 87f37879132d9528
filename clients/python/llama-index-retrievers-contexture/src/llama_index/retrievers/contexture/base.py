"""A retriever over search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.callbacks.base import CallbackManager
from llama_index.core.schema import (
    NodeRelationship,
    NodeWithScore,
    QueryBundle,
    RelatedNodeInfo,
    TextNode,
)

from contexture import AsyncContexture, Contexture, SearchHit
from contexture.integrations import ClientPair, hit_metadata

# They help to cite, not to answer, so models and embedders do not read them.
_NOT_READ = ["document_id", "version", "start_byte", "end_byte", "score", "collection", "groups"]


class ContextureRetriever(BaseRetriever):  # type: ignore[misc,unused-ignore]
    """Returns the ``top_k`` best chunks as nodes; their ids are the chunks' ids.

    ``collection`` is a name, several, or a mapping of names to weights; ``filter`` a condition on
    metadata, such as ``team = "ops"``; ``options`` more arguments of the client's ``search``. A
    node's ``metadata`` has the document's own and document_id, version, start_byte, end_byte,
    score, and title, url, heading and collection where there are such; its source is the document.
    """

    def __init__(
        self,
        collection: str | Sequence[str] | Mapping[str, float],
        *,
        url: str = "http://127.0.0.1:7070",
        api_key: str | None = None,
        timeout: float = 30.0,
        top_k: int = 10,
        filter: str | None = None,
        options: Mapping[str, Any] | None = None,
        client: Contexture | None = None,
        async_client: AsyncContexture | None = None,
        callback_manager: CallbackManager | None = None,
        verbose: bool = False,
    ) -> None:
        super().__init__(callback_manager=callback_manager, verbose=verbose)
        self._collection = collection
        self._arguments = {**(options or {}), "top_k": top_k, "filter": filter}
        self._clients = ClientPair(
            url, api_key, timeout=timeout, client=client, async_client=async_client
        )

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        question = query_bundle.query_str
        found = self._clients.blocking.search(self._collection, question, **self._arguments)
        return [_node(hit) for hit in found.results]

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        question = query_bundle.query_str
        found = await self._clients.awaited.search(self._collection, question, **self._arguments)
        return [_node(hit) for hit in found.results]


def _node(hit: SearchHit) -> NodeWithScore:
    node = TextNode(
        id_=hit.chunk_id,
        text=hit.text,
        metadata=hit_metadata(hit),
        excluded_llm_metadata_keys=_NOT_READ,
        excluded_embed_metadata_keys=_NOT_READ,
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=hit.document_id)},
    )
    return NodeWithScore(node=node, score=hit.score)
