// Events for ever: a broken stream goes on behind the last event that was handed out, or the last place told.

import { errorFromProblem, errorFromResponse, type Problem } from "./errors.js";
import { Attempts, type Fetch, type RetryPolicy, sleep } from "./retry.js";
import { parseJson, serverSentEvents } from "./streams.js";
import type { DocumentEvent } from "./types.js";

const KINDS: readonly string[] = ["visible", "deleted", "dead"];

/** Where to listen, and how. */
export interface EventSource {
  url: string;
  headers: Headers;
  fetch: Fetch;
  policy: RetryPolicy;
  after: string | undefined;
  onOpen: (() => void) | undefined;
  signal: AbortSignal | undefined;
}

export async function* followEvents(source: EventSource): AsyncGenerator<DocumentEvent> {
  const attempts = new Attempts(source.policy, true, undefined);
  let cursor = source.after;
  while (!source.signal?.aborted) {
    const events = openEvents(source, cursor);
    try {
      for (;;) {
        let step: Awaited<ReturnType<typeof events.next>>;
        try {
          step = await events.next();
        } catch (cause) {
          if (source.signal?.aborted) return;
          await sleep(attempts.afterFailure(cause), source.signal);
          break;
        }
        if (step.done) {
          const wait = step.value === undefined ? attempts.afterFailure(new Error("the stream ended")) : attempts.afterRefusal(step.value);
          await sleep(wait, source.signal);
          break;
        }
        const event = step.value;
        if (event?.name === "error") {
          // A server that stops says so, and another takes its place; the rest is final.
          await sleep(attempts.afterRefusal(errorFromProblem(parseJson<Problem>(event.data))), source.signal);
          break;
        }
        attempts.progressed();
        if (event === null) continue;
        cursor = event.id || cursor;
        if (!KINDS.includes(event.name)) continue;
        const data = parseJson<Omit<DocumentEvent, "kind" | "cursor">>(event.data);
        yield { ...data, kind: event.name as DocumentEvent["kind"], cursor: event.id };
      }
    } catch (error) {
      // Waiting was aborted, which is the caller's way to stop.
      if (source.signal?.aborted) return;
      throw error;
    } finally {
      await events.return(undefined);
    }
  }
}

async function* openEvents(source: EventSource, cursor: string | undefined) {
  const url = new URL(source.url);
  if (cursor !== undefined) url.searchParams.set("after", cursor);
  const init = source.signal === undefined ? {} : { signal: source.signal };
  const response = await source.fetch(new Request(url, { headers: source.headers, ...init }));
  if (!response.ok) return await errorFromResponse(response);
  source.onOpen?.();
  yield* serverSentEvents(response.body);
  return undefined;
}
