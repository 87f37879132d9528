"""Contexture for LangChain: a retriever over search, and context within a budget of tokens."""

from .context import ContextureContext
from .retriever import ContextureRetriever

__all__ = ["ContextureContext", "ContextureRetriever"]
