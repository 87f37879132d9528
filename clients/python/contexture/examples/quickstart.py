"""From an empty server to a cited context. CONTEXTURE_SERVER names the server."""

from contexture import Contexture

with Contexture.from_env() as client:
    wiki = {"url_template": "https://wiki.example/{document_id}"}
    client.collections.create("quickstart", settings=wiki)
    text = "# Deploying\n\nPush the tag. The pipeline deploys it to the canary first."
    client.documents.put("quickstart", "ops/deploy.md", text, metadata={"team": "ops"}, wait=True)
    context = client.context("quickstart", "How do we deploy?", budget=500)
    print(context)
    print(context.passages[0].url, context.passages[0].metadata)
    print([document.document_id for document in client.documents.list("quickstart")])
    client.documents.delete("quickstart", "ops/deploy.md", wait=True)
    client.collections.delete("quickstart")
