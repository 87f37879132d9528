// An HTTP server on a real socket that answers by a script and keeps what it was asked.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Asked {
  method: string;
  url: string;
  headers: IncomingMessage["headers"];
  body: string;
}

export type Step = (response: ServerResponse) => void;

export function answer(status: number, body?: unknown, headers: Record<string, string> = {}): Step {
  return (response) => {
    response.writeHead(status, headers);
    response.end(typeof body === "string" ? body : JSON.stringify(body ?? ""));
  };
}

export function problem(status: number, code: string, more: object = {}): Step {
  const body = { title: "X", status, detail: "it is so", code, ...more };
  return answer(status, body, { "content-type": "application/problem+json" });
}

export const ndjson = (...values: unknown[]): Step =>
  answer(200, values.map((value) => `${JSON.stringify(value)}\n`).join(""));

/** The head and first chunk of a stream; then the connection ends before the stream does. */
export const unfinished = (body: string): Step => (response) => {
  response.writeHead(200);
  response.write(body, () => response.destroy());
};

/** The connection is closed without an answer. */
export const broken: Step = (response) => {
  response.destroy();
};

export const silent: Step = () => undefined;

export async function scripted(...script: Step[]): Promise<{ url: string; asked: Asked[]; close: () => Promise<void> }> {
  const asked: Asked[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const body = Buffer.concat(chunks).toString();
      asked.push({ method: request.method ?? "", url: request.url ?? "", headers: request.headers, body });
      (script.shift() ?? problem(500, "script_ended"))(response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked, close };
}
