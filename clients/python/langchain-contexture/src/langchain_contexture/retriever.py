"""A retriever over search."""

from __future__ import annotations

from typing import Any

from contexture import SearchResults
from contexture.integrations import hit_metadata
from langchain_core.callbacks import (
    AsyncCallbackManagerForRetrieverRun,
    CallbackManagerForRetrieverRun,
)
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever

from ._server import ServerFields


class ContextureRetriever(ServerFields, BaseRetriever):
    """Returns the ``k`` best chunks as documents; their ids are the chunks' ids.

    ``metadata`` has the document's own and document_id, version, start_byte, end_byte, score, and
    title, url, heading and collection where there are such. ``k`` and ``filter`` may be given to
    ``invoke`` as well.
    """

    k: int = 10

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        k: int | None = None,
        filter: str | None = None,
    ) -> list[Document]:
        arguments = self._arguments(k, filter)
        return _documents(self._clients.blocking.search(self.collection, query, **arguments))

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        k: int | None = None,
        filter: str | None = None,
    ) -> list[Document]:
        arguments = self._arguments(k, filter)
        return _documents(await self._clients.awaited.search(self.collection, query, **arguments))

    def _arguments(self, k: int | None, filter: str | None) -> dict[str, Any]:
        top_k = self.k if k is None else k
        return {**self.options, "top_k": top_k, "filter": self.filter if filter is None else filter}


def _documents(found: SearchResults) -> list[Document]:
    return [
        Document(id=hit.chunk_id, page_content=hit.text, metadata=hit_metadata(hit))
        for hit in found.results
    ]
