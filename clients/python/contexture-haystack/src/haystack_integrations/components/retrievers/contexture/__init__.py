"""Contexture for Haystack: a retriever over search."""

from .retriever import ContextureRetriever

__all__ = ["ContextureRetriever"]
