// Decoders of streamed answers.

import { ContextureError } from "./errors.js";

/** A stream on which nothing comes for so long, not even a heartbeat, is broken. */
export const STREAM_IDLE_MS = 90_000;

/** One event of a stream. */
export interface ServerSentEvent {
  name: string;
  data: string;
  id: string;
}

/** Yields the lines of a body, without their ends. They end at line feeds only. */
export async function* lines(body: ReadableStream<Uint8Array> | null, idleMs = STREAM_IDLE_MS): AsyncGenerator<string> {
  if (body === null) return;
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await withIdle(reader.read(), idleMs);
      const parts = (rest + (done ? decoder.decode() : decoder.decode(value, { stream: true }))).split("\n");
      rest = parts.pop() ?? "";
      for (const part of parts) yield part.endsWith("\r") ? part.slice(0, -1) : part;
      if (done) break;
    }
    if (rest) yield rest;
  } finally {
    // Ends the request if its reader stopped early.
    await reader.cancel().catch(() => undefined);
  }
}

async function withIdle<T>(read: Promise<T>, idleMs: number): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const idle = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new DOMException(`nothing came for ${idleMs} ms`, "TimeoutError")), idleMs);
  });
  try {
    return await Promise.race([read, idle]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Yields the events of a body, as the HTML standard has them; null for a sign of life. An event without data only
 * says the place; its name is empty.
 */
export async function* serverSentEvents(
  body: ReadableStream<Uint8Array> | null,
): AsyncGenerator<ServerSentEvent | null> {
  let name = "";
  let id = "";
  let placed = false;
  let data: string[] = [];
  for await (const line of lines(body)) {
    if (line === "") {
      if (data.length > 0) yield { name: name || "message", data: data.join("\n"), id };
      else if (placed) yield { name: "", data: "", id };
      name = "";
      data = [];
      placed = false;
      continue;
    }
    const colon = line.indexOf(":");
    const key = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (key === "event") name = value;
    else if (key === "data") data.push(value);
    else if (key === "id" && !value.includes("\0")) {
      id = value;
      placed = true;
    }
    if (key === "") yield null;
  }
}

/** Parses JSON of the server. */
export function parseJson<T>(text: string): T {
  try {
    return JSON.parse(text) as T;
  } catch (cause) {
    throw new ContextureError("the server's answer is not JSON", "unexpected_response", undefined, undefined, undefined, { cause });
  }
}
