// The client against the server of CONTEXTURE_SERVER.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { Contexture, ContextureError } from "@contexture/client";

// A missing server fails the tests: skipping would hide that nothing was tested.
const url = process.env["CONTEXTURE_SERVER"];
if (url === undefined) throw new Error("CONTEXTURE_SERVER names no server");
const apiKey = process.env["CONTEXTURE_API_KEY"];
const client = new Contexture({ url, ...(apiKey === undefined ? {} : { apiKey }) });

const name = `ts-${randomUUID().slice(0, 8)}`;
const other = `${name}-b`;
const DEPLOY = "# Deploying\n\nPush the tag. The pipeline deploys it to the canary first.";

before(async () => {
  await client.createCollection(name, { settings: { url_template: "https://wiki.example/{document_id}" } });
  await client.createCollection(other);
  await client.put(name, "ops/deploy.md", { text: DEPLOY, title: "Deploys", metadata: { team: "ops" } }, { wait: true });
  await client.put(other, "canary.md", "# Canary\n\nA canary is a yellow bird.", { wait: true });
});

after(async () => {
  await client.deleteCollection(name);
  await client.deleteCollection(other);
});

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

const refuses = (status: number, code: string) => (error: unknown): boolean =>
  error instanceof ContextureError && error.status === status && error.code === code;

test("collections", async () => {
  assert.equal((await client.getCollection(name)).settings.url_template, "https://wiki.example/{document_id}");
  const listed = await all(client.listCollections({ prefix: name, limit: 1 }));
  assert.deepEqual(listed.map((one) => one.name), [name, other]);
  const changed = await client.updateSettings(other, { url_metadata_key: "link" });
  assert.equal(changed.settings.url_metadata_key, "link");
  await assert.rejects(client.getCollection("never-made"), refuses(404, "unknown_collection"));
});

test("a document comes back, and a fence holds", async () => {
  const view = await client.get(name, "ops/deploy.md", ["chunks", "text"]);
  assert.deepEqual([view.version, view.state, view.title], [1, "visible", "Deploys"]);
  assert.match(view.text ?? "", /canary/);
  assert.match(view.chunks?.[0]?.text ?? "", /canary/);
  const again = await client.put(name, "ops/deploy.md", { text: DEPLOY, title: "Deploys", metadata: { team: "ops" } });
  assert.equal(again.intake, "duplicate");
  await assert.rejects(client.put(name, "ops/deploy.md", "new", { createOnly: true }), refuses(412, "document_exists"));
  await assert.rejects(client.put(name, "ops/deploy.md", "new", { ifMatch: 7 }), refuses(412, "version_mismatch"));
});

test("a context cites what it holds", async () => {
  const answer = await client.context(name, "How do we deploy to the canary?", { budget: 300 });
  assert.ok(answer.tokens > 0 && answer.tokens <= 300);
  assert.match(answer.context, /canary/);
  const [passage] = answer.passages;
  assert.deepEqual(
    [passage?.document_id, passage?.title, passage?.url, passage?.metadata],
    ["ops/deploy.md", "Deploys", "https://wiki.example/ops/deploy.md", { team: "ops" }],
  );
  const many = await client.context({ [name]: 0.5, [other]: 1 }, "canary", { budget: 400 });
  assert.deepEqual(new Set(many.passages.map((one) => one.collection)), new Set([name, other]));
});

test("search ranks chunks", async () => {
  const { results } = await client.search(name, "How do we deploy?", { top_k: 1 });
  assert.equal(results.length, 1);
  assert.equal(results[0]?.document_id, "ops/deploy.md");
  const several = await client.search([name, other], "canary");
  assert.deepEqual(new Set(several.results.map((hit) => hit.collection)), new Set([name, other]));
});

test("many documents, pages, events and deletes", async () => {
  const collection = `${name}-many`;
  await client.createCollection(collection);
  const documents = Array.from({ length: 25 }, (_, number) => ({
    id: `n/${String(number).padStart(2, "0")}.md`,
    text: `# Note ${number}`,
    metadata: { number },
  }));
  const seen = new Set<string>();
  let watching: Promise<void> | undefined;
  await new Promise<void>((onOpen) => {
    watching = (async () => {
      for await (const event of client.events(collection, { onOpen })) {
        assert.equal(event.kind, "visible");
        seen.add(event.document_id);
        if (seen.size === 25) break;
      }
    })();
  });
  const results = await all(client.putMany(collection, [...documents, { id: "", text: "no id" }]));
  assert.deepEqual(results.map((result) => result.error === undefined), [...Array(25).fill(true), false]);
  assert.equal(results[25]?.error?.status, 400);
  await watching;
  const listed = await all(client.list(collection, { prefix: "n/", limit: 10 }));
  assert.deepEqual(listed.map((one) => one.document_id).sort(), documents.map((one) => one.id));
  await client.delete(collection, "n/00.md", { wait: true });
  const report = await client.deleteByFilter(collection, { filter: "number = 1" });
  assert.deepEqual([report.matched, report.deleted], [1, 1]);
  await client.deleteCollection(collection);
});

test("every other operation is in api, typed", async () => {
  const { data } = await client.api.GET("/v1/whoami");
  assert.ok(data?.scopes.includes("read"));
});

test("the example", async () => {
  const example = fileURLToPath(new URL("../examples/quickstart.js", import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [example]);
  assert.match(stdout, /https:\/\/wiki\.example\/ops\/deploy\.md/);
});
