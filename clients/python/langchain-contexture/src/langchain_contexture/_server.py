"""The fields that name a server, and its clients."""

from __future__ import annotations

from typing import Any

from contexture import AsyncContexture, Contexture
from contexture.integrations import ClientPair
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr


class ServerFields(BaseModel):
    """Which collections to ask, of which server."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    collection: str | list[str] | dict[str, float]
    """A collection, several, or several with a weight each."""
    url: str = "http://127.0.0.1:7070"
    api_key: SecretStr | None = None
    timeout: float = 30.0
    """Seconds of one call, all its tries together."""
    filter: str | None = None
    """A condition on metadata, such as ``team = "ops"``."""
    options: dict[str, Any] = Field(default_factory=dict)
    """More arguments of the client's method, such as ``{"rerank": True}``."""
    client: Contexture | None = Field(default=None, exclude=True, repr=False)
    """A client to use instead of ``url`` and ``api_key``."""
    async_client: AsyncContexture | None = Field(default=None, exclude=True, repr=False)
    """The same for asynchronous calls."""

    _clients: ClientPair = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        """Makes the clients, which connect when they are first used."""
        super().model_post_init(context)
        key = None if self.api_key is None else self.api_key.get_secret_value()
        self._clients = ClientPair(
            self.url,
            key,
            timeout=self.timeout,
            client=self.client,
            async_client=self.async_client,
        )
