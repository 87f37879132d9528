"""What integrations into frameworks share: both clients of one server, and metadata of hits."""

from __future__ import annotations

import asyncio
import weakref
from typing import Any

from ._async import AsyncContexture
from ._drive import TIMEOUT_DEFAULT, URL_DEFAULT
from ._sync import Contexture
from .models import SearchHit


class ClientPair:
    """A synchronous client and an asynchronous one of the same server, made when they are needed.

    Frameworks call one object from several event loops, but connections belong to one loop, so each
    loop gets a client of its own. A client that was given is used everywhere, and never closed.
    """

    def __init__(
        self,
        url: str = URL_DEFAULT,
        api_key: str | None = None,
        *,
        timeout: float = TIMEOUT_DEFAULT,
        client: Contexture | None = None,
        async_client: AsyncContexture | None = None,
    ) -> None:
        self._url = url
        self._api_key = api_key
        self._timeout = timeout
        self._client = client
        self._async_client = async_client
        self._by_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncContexture] = (
            weakref.WeakKeyDictionary()
        )

    @property
    def blocking(self) -> Contexture:
        """The synchronous client."""
        if self._client is None:
            self._client = Contexture(self._url, self._api_key, timeout=self._timeout)
        return self._client

    @property
    def awaited(self) -> AsyncContexture:
        """The asynchronous client of the running event loop."""
        if self._async_client is not None:
            return self._async_client
        loop = asyncio.get_running_loop()
        client = self._by_loop.get(loop)
        if client is None:
            client = AsyncContexture(self._url, self._api_key, timeout=self._timeout)
            self._by_loop[loop] = client
        return client


def hit_metadata(hit: SearchHit) -> dict[str, Any]:
    """Returns a document's own metadata and, over it, where the hit comes from.

    The keys: document_id, version, start_byte, end_byte, score; heading, title, url, collection and
    groups where there are such.
    """
    place = {
        "document_id": hit.document_id,
        "version": hit.version,
        "start_byte": hit.start_byte,
        "end_byte": hit.end_byte,
        "score": hit.score,
    }
    told = {
        "heading": hit.heading or None,
        "title": hit.title,
        "url": hit.url,
        "collection": hit.collection,
        "groups": hit.groups,
    }
    given = {key: value for key, value in told.items() if value is not None}
    # A citation must be right, so these keys win over the document's own.
    return {**hit.metadata, **place, **given}
