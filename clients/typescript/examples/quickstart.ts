// From an empty server to a cited context. CONTEXTURE_SERVER names the server.
import { Contexture } from "@contexture/client";

const client = new Contexture({ url: process.env["CONTEXTURE_SERVER"] ?? "http://127.0.0.1:7070" });
await client.createCollection("quickstart-ts", { settings: { url_template: "https://wiki.example/{document_id}" } });
const text = "# Deploying\n\nPush the tag. The pipeline deploys it to the canary first.";
await client.put("quickstart-ts", "ops/deploy.md", { text, metadata: { team: "ops" } }, { wait: true });
const context = await client.context("quickstart-ts", "How do we deploy?", { budget: 500 });
console.log(context.context, context.passages[0]?.url, context.passages[0]?.metadata);
for await (const document of client.list("quickstart-ts")) console.log(document.document_id);
await client.delete("quickstart-ts", "ops/deploy.md", { wait: true });
await client.deleteCollection("quickstart-ts");
