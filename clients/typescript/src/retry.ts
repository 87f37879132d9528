// When a call is repeated, and how long it waits before: after 429, after 502, 503 and broken
// connections where repeating does no harm. Tries and the deadline bound it.

import { ContextureError, errorFromResponse } from "./errors.js";

/** How often and how patiently calls are repeated. `triesMax: 1` repeats nothing. */
export interface RetryPolicy {
  triesMax: number;
  backoffMs: number;
  backoffMsMax: number;
}

export const RETRY_DEFAULT: RetryPolicy = { triesMax: 5, backoffMs: 200, backoffMsMax: 10_000 };

export type Fetch = (request: Request) => Promise<Response>;

/** Node's code of a connection that was never made: the request did not leave. */
const NEVER_SENT = new Set(["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "UND_ERR_CONNECT_TIMEOUT"]);

/** Waits; ends early, with its reason, when the signal aborts. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    }, ms);
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}

/** The tries of one call, counted against its policy and its deadline. */
export class Attempts {
  #failed = 0;
  #deadline: number | undefined;

  constructor(
    private readonly policy: RetryPolicy,
    private readonly safe: boolean,
    private readonly timeoutMs: number | undefined,
  ) {
    this.progressed();
  }

  /** Milliseconds that are left, at least one; undefined: no deadline. */
  remainingMs(): number | undefined {
    return this.#deadline === undefined ? undefined : Math.max(1, this.#deadline - Date.now());
  }

  /** Starts the count anew, because something was received. */
  progressed(): void {
    this.#failed = 0;
    this.#deadline = this.timeoutMs === undefined ? undefined : Date.now() + this.timeoutMs;
  }

  /** Milliseconds to wait after a broken connection, or throws. */
  afterFailure(cause: unknown): number {
    const outOfTime = this.#deadline !== undefined && Date.now() >= this.#deadline;
    const timedOut = cause instanceof DOMException && cause.name === "TimeoutError";
    const error = outOfTime && timedOut
      ? new ContextureError(`no answer within ${this.timeoutMs} ms`, "deadline_exceeded")
      : new ContextureError(`connection failed: ${causeText(cause)}`, "connection_failed", undefined, undefined, undefined, { cause });
    if (outOfTime || !(this.safe || wasNeverSent(cause))) throw error;
    return this.#wait(error);
  }

  /** Milliseconds to wait after this answer, or throws it. */
  afterRefusal(error: ContextureError): number {
    // 429 means that nothing was accepted; 503 leaves it open.
    const again = error.status === 429 || (this.safe && (error.status === 502 || error.status === 503));
    if (!again) throw error;
    return this.#wait(error);
  }

  #wait(error: ContextureError): number {
    this.#failed += 1;
    if (this.#failed >= this.policy.triesMax) throw error;
    const grown = Math.min(this.policy.backoffMs * 2 ** (this.#failed - 1), this.policy.backoffMsMax);
    // Never sooner than asked; a little later, so that callers do not return all at once.
    const ms = error.retryAfterMs === undefined
      ? (grown * (1 + Math.random())) / 2
      : error.retryAfterMs * (1 + Math.random() / 4);
    if (this.#deadline !== undefined && Date.now() + ms >= this.#deadline) throw error;
    return ms;
  }
}

function causeText(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  // Node says "fetch failed", and why in the cause.
  return cause.cause instanceof Error ? `${cause.message}: ${cause.cause.message}` : cause.message;
}

function wasNeverSent(cause: unknown): boolean {
  const inner = cause instanceof Error ? (cause.cause as { code?: unknown } | undefined) : undefined;
  return typeof inner?.code === "string" && NEVER_SENT.has(inner.code);
}

/** Whether a request may be sent again when nobody knows whether it was done. */
export function isSafeToRepeat(request: Request): boolean {
  // A fence that was passed does not hold for the second of two equal requests.
  if (request.headers.has("if-match") || request.headers.has("if-none-match")) return false;
  if (request.method !== "POST") return true;
  // Questions change nothing, and the same document again is a duplicate.
  return /\/(context|search|collections|documents|documents\/delete)$/.test(new URL(request.url).pathname);
}

/**
 * A `fetch` that repeats. The deadline bounds all tries together, and the server is told what is left, a little
 * less, so that its answer about a deadline, which says more, comes first. Bodies are read within it, so that a
 * broken one counts as a failure.
 */
export function retryingFetch(base: Fetch, policy: RetryPolicy, timeoutMs: number): Fetch {
  return async (request) => {
    const attempts = new Attempts(policy, isSafeToRepeat(request), timeoutMs);
    for (;;) {
      try {
        const response = await sendOnce(base, request, attempts.remainingMs() ?? timeoutMs, false);
        if (response.ok || ![429, 502, 503].includes(response.status)) return response;
        const error = await errorFromResponse(response.clone());
        let wait: number;
        try {
          wait = attempts.afterRefusal(error);
        } catch {
          return response;
        }
        await sleep(wait, request.signal);
      } catch (cause) {
        if (request.signal.aborted) throw request.signal.reason;
        await sleep(attempts.afterFailure(cause), request.signal);
      }
    }
  };
}

/** A `fetch` that does not repeat. Its deadline is for the head of the answer; the body stays open. */
export function streamingFetch(base: Fetch, timeoutMs: number): Fetch {
  return (request) => sendOnce(base, request, timeoutMs, true);
}

async function sendOnce(base: Fetch, request: Request, timeoutMs: number, stream: boolean): Promise<Response> {
  const given = new AbortController();
  const timer = setTimeout(
    () => given.abort(new DOMException(`no answer within ${timeoutMs} ms`, "TimeoutError")),
    timeoutMs,
  );
  const onAbort = (): void => given.abort(request.signal.reason);
  request.signal.addEventListener("abort", onAbort, { once: true });
  try {
    const copy = new Request(request.clone(), { signal: given.signal });
    if (!stream) copy.headers.set("x-timeout-ms", String(serverMs(timeoutMs)));
    const response = await base(copy);
    if (stream && response.ok) return response;
    const body = await response.arrayBuffer();
    return new Response(body.byteLength === 0 ? null : body, response);
  } finally {
    clearTimeout(timer);
    if (!stream) request.signal.removeEventListener("abort", onAbort);
  }
}

/** What the server gets of the time that this side has. */
export function serverMs(timeoutMs: number): number {
  return Math.max(1, Math.floor(timeoutMs - Math.min(250, timeoutMs / 10)));
}
