"""Nodes for a question. CONTEXTURE_SERVER names the server."""

import os

from contexture import Contexture

from llama_index.retrievers.contexture import ContextureRetriever

url = os.environ.get("CONTEXTURE_SERVER", "http://127.0.0.1:7070")

with Contexture(url) as client:
    client.collections.create("llama-index-example")
    text = "# Deploying\n\nPush the tag. The pipeline deploys it to the canary first."
    client.documents.put("llama-index-example", "deploy.md", text, wait=True)

    retriever = ContextureRetriever("llama-index-example", url=url, top_k=3)
    for found in retriever.retrieve("How do we deploy?"):
        print(found.score, found.node.ref_doc_id, found.node.get_content())
    # RetrieverQueryEngine.from_args(retriever, llm=…) answers with it.
    client.collections.delete("llama-index-example")
