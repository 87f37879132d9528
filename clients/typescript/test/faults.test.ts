// Retries, deadlines, errors and streams, against a server that answers by a script.
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";

import { Contexture, ContextureError, type PutResult } from "@contexture/client";
import { answer, type Asked, broken, ndjson, problem, scripted, silent, type Step, unfinished } from "./scripted.js";

let close: (() => Promise<void>) | undefined;
afterEach(async () => {
  await close?.();
  close = undefined;
});

async function client(...script: Step[]): Promise<{ client: Contexture; asked: Asked[] }> {
  const server = await scripted(...script);
  close = server.close;
  const retry = { backoffMs: 5, backoffMsMax: 10 };
  return { client: new Contexture({ url: server.url, apiKey: "secret-key", timeoutMs: 3000, retry }), asked: server.asked };
}

const COLLECTION = answer(200, { name: "c", newer: { key: 1 } }, { "content-type": "application/json" });
const receipt = (id: string, version = 1) => ({ document_id: id, version, intake: "accepted", state: "accepted" });
const refused = (id: string, status: number, more: object = {}) =>
  ({ document_id: id, error: { status, code: "bytes_in_flight", detail: "full", ...more } });
const documents = (...ids: string[]) => ids.map((id) => ({ id, text: `text of ${id}` }));
const idsOf = (asked: Asked | undefined): string[] =>
  (asked?.body ?? "").trim().split("\n").map((line) => (JSON.parse(line) as { id: string }).id);

function failsWith(status: number | undefined, code: string) {
  return (error: unknown): boolean => {
    assert.ok(error instanceof ContextureError);
    assert.deepEqual([error.status, error.code], [status, code]);
    return true;
  };
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

for (const status of [400, 401, 403, 404, 409, 412, 422, 500, 504]) {
  test(`${status} is thrown at once, with code and field`, async () => {
    const { client: one, asked } = await client(problem(status, "some_code", { field: "a.b" }), COLLECTION);
    await assert.rejects(one.getCollection("c"), (error: unknown) => {
      assert.ok(error instanceof ContextureError);
      assert.equal(error.field, "a.b");
      assert.equal(error.message, "it is so [some_code, field a.b]");
      return failsWith(status, "some_code")(error);
    });
    assert.equal(asked.length, 1);
  });
}

for (const [name, step] of Object.entries({
  "429": problem(429, "requests_in_flight", { retry_after_ms: 20 }),
  "503": problem(503, "provider_down", { retry_after_ms: 20 }),
  "502 of a proxy": answer(502, "<html>bad gateway</html>"),
  "a broken connection": broken,
  "a broken body": unfinished('{"name":'),
})) {
  test(`${name} is repeated`, async () => {
    const { client: one, asked } = await client(step, step, COLLECTION);
    assert.equal((await one.getCollection("c")).name, "c");
    assert.equal(asked.length, 3);
    assert.equal(asked[0]?.headers["authorization"], "Bearer secret-key");
  });
}

test("the wait is at least what the server asks, in the body or the header", async () => {
  const { client: one } = await client(
    problem(429, "requests_in_flight", { retry_after_ms: 200 }),
    answer(503, "busy", { "retry-after": "1" }),
    COLLECTION,
  );
  const began = Date.now();
  await one.getCollection("c");
  assert.ok(Date.now() - began >= 1200);
});

test("tries are bounded", async () => {
  const { client: one, asked } = await client(...Array<Step>(9).fill(problem(503, "down", { retry_after_ms: 1 })));
  await assert.rejects(one.getCollection("c"), failsWith(503, "down"));
  assert.equal(asked.length, 5);
});

test("a wait beyond the deadline is not begun", async () => {
  const { client: one } = await client(problem(429, "requests_in_flight", { retry_after_ms: 60_000 }));
  const began = Date.now();
  await assert.rejects(one.getCollection("c"), failsWith(429, "requests_in_flight"));
  assert.ok(Date.now() - began < 2000);
});

test("silence is a deadline, and the server hears of it", async () => {
  const server = await scripted(silent);
  close = server.close;
  const impatient = new Contexture({ url: server.url, timeoutMs: 200 });
  await assert.rejects(impatient.getCollection("c"), failsWith(undefined, "deadline_exceeded"));
  const told = Number(server.asked[0]?.headers["x-timeout-ms"]);
  assert.ok(told > 0 && told < 200);
});

test("no server is a connection error", async () => {
  const server = await scripted();
  await server.close();
  const one = new Contexture({ url: server.url, retry: { triesMax: 2, backoffMs: 1 } });
  await assert.rejects(one.getCollection("c"), failsWith(undefined, "connection_failed"));
});

test("a put is repeated, a fenced one only if nothing happened", async () => {
  const done = answer(202, receipt("a", 3), { "content-type": "application/json" });
  const { client: one, asked } = await client(broken, done, problem(429, "full", { retry_after_ms: 1 }), broken, done);
  assert.equal((await one.put("c", "ops/a b?.md", "text")).version, 3);
  assert.equal(decodeURIComponent(asked[0]?.url ?? ""), "/v1/collections/c/documents/ops/a b?.md");
  assert.equal(asked[0]?.body, asked[1]?.body);
  await assert.rejects(one.put("c", "a", "text", { ifMatch: 2 }), failsWith(undefined, "connection_failed"));
  assert.equal(asked[3]?.headers["if-match"], '"2"');
  assert.equal(asked.length, 4);
});

test("results come in order, and errors stay results", async () => {
  const bad = { document_id: "b", line: 2, error: { status: 400, code: "unknown_field", field: "texd" } };
  const { client: one, asked } = await client(ndjson(receipt("a"), bad, receipt("c\u2028d", 4)));
  const results = await all(one.putMany("c", documents("a", "b", "c")));
  assert.deepEqual(results.map((result) => [result.index, result.documentId]), [[0, "a"], [1, "b"], [2, "c\u2028d"]]);
  assert.equal(results[1]?.error?.field, "texd");
  assert.equal(results[2]?.receipt?.version, 4);
  assert.deepEqual(idsOf(asked[0]), ["a", "b", "c"]);
});

test("memory is bounded, and input is taken as it is needed", async () => {
  const sizes = [256, 256, 1];
  const { client: one, asked } = await client(...sizes.map((size) => ndjson(...Array(size).fill(receipt("x")))));
  let taken = 0;
  async function* source(): AsyncGenerator<{ id: string; text: string }> {
    for (; taken < 513; taken += 1) yield { id: `${taken}`, text: "x" };
  }
  let ahead = 0;
  let done = 0;
  for await (const _ of one.putMany("c", source())) {
    ahead = Math.max(ahead, taken - done);
    done += 1;
  }
  assert.equal(done, 513);
  assert.ok(ahead <= 256, `${ahead} documents ahead`);
  assert.deepEqual(asked.map((request) => idsOf(request).length), sizes);
});

test("a broken stream goes on behind the last result", async () => {
  const half = unfinished(`${JSON.stringify(receipt("a"))}\n{"docu`);
  const { client: one, asked } = await client(broken, half, ndjson(receipt("b")), ndjson(receipt("c")));
  const results = await all(one.putMany("c", documents("a", "b", "c")));
  assert.deepEqual(results.map((result) => result.documentId), ["a", "b", "c"]);
  assert.deepEqual(asked.map(idsOf), [["a", "b", "c"], ["a", "b", "c"], ["b", "c"], ["c"]]);
});

test("what the server was too busy for is sent again in order", async () => {
  const { client: one, asked } = await client(
    ndjson(receipt("a"), refused("b", 429, { retry_after_ms: 2 }), receipt("c")),
    ndjson(receipt("b"), receipt("c")),
  );
  const results = await all(one.putMany("c", documents("a", "b", "c")));
  assert.deepEqual(results.map((result) => result.documentId), ["a", "b", "c"]);
  assert.deepEqual(idsOf(asked[1]), ["b", "c"]);
});

test("a server that stays busy gives an error per document", async () => {
  const busy = ndjson(refused("a", 429, { retry_after_ms: 1 }));
  const { client: one } = await client(busy, busy, busy, busy, busy, ndjson(receipt("b")));
  const results: PutResult[] = await all(one.putMany("c", documents("a", "b")));
  assert.equal(results[0]?.error?.status, 429);
  assert.equal(results[1]?.receipt?.document_id, "b");
});

test("an unknown collection and a server that stays away end the stream", async () => {
  const { client: one, asked } = await client(problem(404, "unknown_collection"), ...Array<Step>(9).fill(broken));
  await assert.rejects(all(one.putMany("c", documents("a"))), failsWith(404, "unknown_collection"));
  await assert.rejects(all(one.putMany("c", documents("a"))), failsWith(undefined, "connection_failed"));
  assert.equal(asked.length, 6);
});

const visible = (number: number): string =>
  `event: visible\nid: c${number}\ndata: {"document_id":"a",\ndata: "version":${number},"at_ms":1}\n\n`;

test("events go on behind the last one", async () => {
  const { client: one, asked } = await client(
    unfinished(`: hi\n\n${visible(1)}${visible(2)}event: dead\nid: c9`),
    broken,
    problem(503, "stopping", { retry_after_ms: 1 }),
    unfinished(`event: from_the_future\nid: c2b\ndata: {}\n\n${visible(3)}`),
  );
  const cursors: string[] = [];
  for await (const event of one.events("c", { after: "c0" })) {
    assert.equal(event.kind, "visible");
    cursors.push(event.cursor);
    if (cursors.length === 3) break;
  }
  assert.deepEqual(cursors, ["c1", "c2", "c3"]);
  assert.deepEqual(asked.map((request) => request.url.split("?")[1]), ["after=c0", "after=c2", "after=c2", "after=c2"]);
});

test("events go on from the place they began, and after a stop", async () => {
  const stopping = 'event: error\ndata: {"status":503,"code":"shutting_down","retry_after_ms":1}\n\n';
  const gone = 'event: error\ndata: {"status":404,"code":"unknown_collection","detail":"x"}\n\n';
  const { client: one, asked } = await client(
    unfinished("id: c0\n\n"),
    answer(200, visible(1) + stopping),
    answer(200, gone),
  );
  const cursors: string[] = [];
  const following = async (): Promise<void> => {
    for await (const event of one.events("c")) cursors.push(event.cursor);
  };
  await assert.rejects(following(), failsWith(404, "unknown_collection"));
  assert.deepEqual(cursors, ["c1"]);
  assert.deepEqual(asked.map((request) => request.url.split("?")[1]), [undefined, "after=c0", "after=c1"]);
});

test("an error of the stream is not a document's", async () => {
  const stopping = { error: { status: 503, code: "shutting_down", retry_after_ms: 1 } };
  const late = { error: { status: 504, code: "deadline_exceeded" } };
  const { client: one } = await client(ndjson(receipt("a"), stopping), ndjson(receipt("b"), late));
  const ids: (string | undefined)[] = [];
  const putting = async (): Promise<void> => {
    for await (const result of one.putMany("c", documents("a", "b", "c"))) ids.push(result.documentId);
  };
  await assert.rejects(putting(), failsWith(504, "deadline_exceeded"));
  assert.deepEqual(ids, ["a", "b"]);
});

test("a signal ends events", async () => {
  const { client: one } = await client((response) => {
    response.writeHead(200);
    response.write(visible(1));
  });
  const stop = new AbortController();
  const cursors: string[] = [];
  for await (const event of one.events("c", { signal: stop.signal })) {
    cursors.push(event.cursor);
    stop.abort();
  }
  assert.deepEqual(cursors, ["c1"]);
});
