"""A chain that fills a prompt with context. CONTEXTURE_SERVER names the server."""

import os

from contexture import Contexture
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnablePassthrough

from langchain_contexture import ContextureContext, ContextureRetriever

url = os.environ.get("CONTEXTURE_SERVER", "http://127.0.0.1:7070")

with Contexture(url) as client:
    client.collections.create("langchain-example")
    text = "# Deploying\n\nPush the tag. The pipeline deploys it to the canary first."
    client.documents.put("langchain-example", "deploy.md", text, wait=True)

    retriever = ContextureRetriever(collection="langchain-example", url=url, k=3)
    for document in retriever.invoke("How do we deploy?"):
        print(document.metadata["document_id"], document.metadata["score"])

    context = ContextureContext(collection="langchain-example", url=url, budget=500)
    prompt = ChatPromptTemplate.from_template("{context}\n\nQuestion: {question}")
    chain = {"context": context, "question": RunnablePassthrough()} | prompt  # | model
    print(chain.invoke("How do we deploy?").to_string())
    client.collections.delete("langchain-example")
