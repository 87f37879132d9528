"""The context within a budget of tokens, as a step of a chain."""

from __future__ import annotations

from typing import Any

from contexture import Context
from langchain_core.runnables import RunnableConfig, RunnableSerializable

from ._server import ServerFields


class ContextureContext(ServerFields, RunnableSerializable[str, str]):
    """Takes a question and returns one text for the prompt, of at most ``budget`` tokens.

    ``budget`` and ``filter`` may be given to ``invoke`` as well. ``tokenizer`` is that of the model
    that will read it, such as ``gpt-4o``.
    """

    budget: int
    tokenizer: str | None = None
    format: str | None = None

    def invoke(self, input: str, config: RunnableConfig | None = None, **kwargs: Any) -> str:
        """Returns the context of a question."""
        return self._call_with_config(self._text, input, config, run_type="retriever", **kwargs)

    async def ainvoke(self, input: str, config: RunnableConfig | None = None, **kwargs: Any) -> str:
        """Returns the context of a question."""
        return await self._acall_with_config(
            self._atext, input, config, run_type="retriever", **kwargs
        )

    def answer(self, question: str, **arguments: Any) -> Context:
        """Returns the whole answer: text, passages, tokens."""
        wanted = self._arguments(arguments)
        return self._clients.blocking.context(self.collection, question, **wanted)

    async def aanswer(self, question: str, **arguments: Any) -> Context:
        """Returns the whole answer: text, passages, tokens."""
        wanted = self._arguments(arguments)
        return await self._clients.awaited.context(self.collection, question, **wanted)

    def _text(self, question: str, **arguments: Any) -> str:
        return self.answer(question, **arguments).context

    async def _atext(self, question: str, **arguments: Any) -> str:
        return (await self.aanswer(question, **arguments)).context

    def _arguments(self, arguments: dict[str, Any]) -> dict[str, Any]:
        ours = {
            "budget": self.budget,
            "tokenizer": self.tokenizer,
            "format": self.format,
            "filter": self.filter,
        }
        return {**self.options, **ours, **arguments}
