"""A pipeline that fills a prompt. CONTEXTURE_SERVER names the server."""

import os

from contexture import Contexture
from haystack import Pipeline
from haystack.components.builders import PromptBuilder

from haystack_integrations.components.retrievers.contexture import ContextureRetriever

url = os.environ.get("CONTEXTURE_SERVER", "http://127.0.0.1:7070")
template = "{% for document in documents %}{{ document.content }}\n{% endfor %}\nQuestion: {{ q }}"

with Contexture(url) as client:
    client.collections.create("haystack-example")
    text = "# Deploying\n\nPush the tag. The pipeline deploys it to the canary first."
    client.documents.put("haystack-example", "deploy.md", text, wait=True)

    pipeline = Pipeline()
    pipeline.add_component("retriever", ContextureRetriever("haystack-example", url=url, top_k=3))
    pipeline.add_component("prompt", PromptBuilder(template, required_variables=["documents", "q"]))
    pipeline.connect("retriever.documents", "prompt.documents")
    question = "How do we deploy?"
    done = pipeline.run({"retriever": {"query": question}, "prompt": {"q": question}})
    print(done["prompt"]["prompt"])
    client.collections.delete("haystack-example")
