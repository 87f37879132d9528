"""Contexture for LlamaIndex: a retriever over search."""

from llama_index.retrievers.contexture.base import ContextureRetriever

__all__ = ["ContextureRetriever"]
