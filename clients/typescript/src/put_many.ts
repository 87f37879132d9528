// Many documents, in requests of bounded size: at most one of them is in memory, and can be sent again.
//
// They go up one after the other, because `fetch` promises no answer before a request has ended: an endless
// one could fill the connection both ways and stand still.

import { ContextureError, errorFromProblem, errorFromResponse, type Problem } from "./errors.js";
import { Attempts, type Fetch, type RetryPolicy, sleep } from "./retry.js";
import { lines, parseJson } from "./streams.js";
import type { NewDocument, PutResult, Receipt } from "./types.js";

export const BATCH_DOCUMENTS_MAX = 256;
export const BATCH_BYTES_MAX = 4 * 1024 * 1024;

type ResultLine = Receipt | { document_id?: string; line?: number; error: Problem };

/** Where and how `putMany` sends. */
export interface PutManyTarget {
  url: string;
  headers: Headers;
  fetch: Fetch;
  policy: RetryPolicy;
  timeoutMs: number;
}

/** Yields one result for each document, in order, as they are answered. */
export async function* putMany(
  target: PutManyTarget,
  documents: Iterable<NewDocument> | AsyncIterable<NewDocument>,
): AsyncGenerator<PutResult> {
  const encoder = new TextEncoder();
  let batch: string[] = [];
  let bytes = 0;
  let index = 0;
  for await (const document of documents) {
    if (typeof document.id !== "string") throw new TypeError("a document needs an id");
    const line = `${JSON.stringify(document)}\n`;
    batch.push(line);
    bytes += encoder.encode(line).length;
    if (batch.length < BATCH_DOCUMENTS_MAX && bytes < BATCH_BYTES_MAX) continue;
    yield* putBatch(target, batch, index);
    index += batch.length;
    batch = [];
    bytes = 0;
  }
  if (batch.length > 0) yield* putBatch(target, batch, index);
}

async function* putBatch(target: PutManyTarget, batch: string[], index: number): AsyncGenerator<PutResult> {
  const attempts = new Attempts(target.policy, true, target.timeoutMs);
  let answered = 0;
  while (answered < batch.length) {
    let throttled: ContextureError | undefined;
    // What a caller does between two results must not pass for a failure of the connection.
    const results = readResults(target, batch.slice(answered));
    for (;;) {
      let step: IteratorResult<ResultLine, ContextureError | undefined>;
      try {
        step = await results.next();
      } catch (cause) {
        // An answer that cannot be read would not be better the next time.
        if (cause instanceof ContextureError) throw cause;
        await sleep(attempts.afterFailure(cause));
        break;
      }
      if (step.done) {
        if (step.value !== undefined) await sleep(attempts.afterRefusal(step.value));
        else if (answered < batch.length) await sleep(attempts.afterFailure(new Error("the answer ended early")));
        break;
      }
      const result = putResult(index + answered, step.value);
      if (result.error?.status === 429 || result.error?.status === 503) {
        throttled = result.error;
        break;
      }
      // An error of neither a document nor a line is about the stream, which ends with it.
      if (result.error !== undefined && result.documentId === undefined && !("line" in step.value)) throw result.error;
      answered += 1;
      attempts.progressed();
      yield result;
      if (answered === batch.length) break;
    }
    await results.return(undefined);
    if (throttled === undefined) continue;
    // What was accepted behind this document is sent again after it, so that the order of one document's
    // versions stays that of the input.
    let wait: number;
    try {
      wait = attempts.afterRefusal(throttled);
    } catch {
      // The tries stay used up: the documents behind it are not waited for as long.
      yield { index: index + answered, documentId: undefined, error: throttled };
      answered += 1;
      continue;
    }
    await sleep(wait);
  }
}

/** Yields the lines of one request's answer; returns the error of an answer that is no success. */
async function* readResults(
  target: PutManyTarget,
  batch: string[],
): AsyncGenerator<ResultLine, ContextureError | undefined> {
  const request = new Request(target.url, { method: "POST", headers: target.headers, body: batch.join("") });
  const response = await target.fetch(request);
  if (!response.ok) return await errorFromResponse(response);
  for await (const line of lines(response.body, target.timeoutMs)) {
    if (line.trim()) yield parseJson<ResultLine>(line);
  }
  return undefined;
}

function putResult(index: number, line: ResultLine): PutResult {
  if ("error" in line) return { index, documentId: line.document_id, error: errorFromProblem(line.error) };
  return { index, documentId: line.document_id, receipt: line };
}
