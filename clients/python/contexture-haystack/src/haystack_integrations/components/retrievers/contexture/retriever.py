"""A retriever over search."""

from __future__ import annotations

from typing import Any

from haystack import Document, component, default_from_dict, default_to_dict
from haystack.utils import Secret, deserialize_secrets_inplace

from contexture import AsyncContexture, Contexture, SearchResults
from contexture.integrations import ClientPair, hit_metadata

from .filters import filter_text

_KEY = Secret.from_env_var("CONTEXTURE_API_KEY", strict=False)


@component
class ContextureRetriever:
    """Returns the ``top_k`` best chunks as documents; their ids are the chunks' ids.

    A document's ``meta`` has the document's own and document_id, version, start_byte, end_byte,
    score, and title, url, heading and collection where there are such.
    """

    def __init__(
        self,
        collection: str | list[str] | dict[str, float],
        *,
        url: str = "http://127.0.0.1:7070",
        api_key: Secret | None = _KEY,
        timeout: float = 30.0,
        top_k: int = 10,
        filters: dict[str, Any] | str | None = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        """Takes a collection, several, or several with a weight each.

        ``filters`` are Haystack's, or text in Contexture's language, such as ``team = "ops"``.
        ``options`` are more arguments of the client's ``search``. Without a key in the environment
        none is sent.
        """
        self.collection = collection
        self.url = url
        self.api_key = api_key
        self.timeout = timeout
        self.top_k = top_k
        self.filters = filters
        self.options = options
        # Checked now, not when the pipeline runs.
        filter_text(filters)
        self._clients: ClientPair | None = None

    def warm_up(self) -> None:
        """Resolves the key. Connections are made by the first run."""
        if self._clients is None:
            key = None if self.api_key is None else self.api_key.resolve_value()
            self._clients = ClientPair(self.url, key, timeout=self.timeout)

    def to_dict(self) -> dict[str, Any]:
        """Returns what makes this component again; of the key, where it is found."""
        return default_to_dict(
            self,
            collection=self.collection,
            url=self.url,
            api_key=None if self.api_key is None else self.api_key.to_dict(),
            timeout=self.timeout,
            top_k=self.top_k,
            filters=self.filters,
            options=self.options,
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ContextureRetriever:
        """Makes the component again."""
        deserialize_secrets_inplace(data["init_parameters"], keys=["api_key"])
        made: ContextureRetriever = default_from_dict(cls, data)
        return made

    @component.output_types(documents=list[Document])
    def run(
        self, query: str, top_k: int | None = None, filters: dict[str, Any] | str | None = None
    ) -> dict[str, list[Document]]:
        """Returns ``documents``, best first. ``top_k`` and ``filters`` win over the component's."""
        client: Contexture = self._pair().blocking
        return _documents(client.search(self.collection, query, **self._wanted(top_k, filters)))

    @component.output_types(documents=list[Document])
    async def run_async(
        self, query: str, top_k: int | None = None, filters: dict[str, Any] | str | None = None
    ) -> dict[str, list[Document]]:
        """Returns ``documents``, as `run`, without blocking."""
        client: AsyncContexture = self._pair().awaited
        wanted = self._wanted(top_k, filters)
        return _documents(await client.search(self.collection, query, **wanted))

    def _pair(self) -> ClientPair:
        if self._clients is None:
            self.warm_up()
        assert self._clients is not None
        return self._clients

    def _wanted(self, top_k: int | None, filters: dict[str, Any] | str | None) -> dict[str, Any]:
        text = filter_text(self.filters if filters is None else filters)
        count = self.top_k if top_k is None else top_k
        return {**(self.options or {}), "top_k": count, "filter": text}


def _documents(found: SearchResults) -> dict[str, list[Document]]:
    documents = [
        Document(id=hit.chunk_id, content=hit.text, meta=hit_metadata(hit), score=hit.score)
        for hit in found.results
    ]
    return {"documents": documents}
