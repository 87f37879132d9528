// What every client of the TypeScript SDK checks, whatever its version and transport.

import { appendFileSync } from "node:fs";
import assert from "node:assert/strict";

/** The part of a result that the checks read. */
export interface ToolResult {
  content?: unknown;
  structuredContent?: unknown;
  isError?: unknown;
  _meta?: unknown;
}

/** A client of either version. */
export interface CheckedClient {
  listTools(): Promise<{ tools: { name: string; annotations?: object; inputSchema: object }[] }>;
  callTool(name: string, toolArguments: Record<string, unknown>): Promise<ToolResult>;
}

const HINTS = { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false };

export function env(name: string): string {
  const value = process.env[name];
  assert.ok(value, `${name} is set`);
  return value;
}

export async function checkServer(client: CheckedClient): Promise<void> {
  const { tools } = await client.listTools();
  assert.deepEqual(tools.map((tool) => tool.name), ["get_context", "search", "fetch", "list_collections"]);
  for (const tool of tools) {
    assert.deepEqual({ ...tool.annotations, ...HINTS }, tool.annotations);
    assert.equal((tool.inputSchema as { additionalProperties?: unknown }).additionalProperties, false);
  }

  const question = "How many days of leave do I have?";
  const context = await client.callTool("get_context", { question, collection: "handbook", max_tokens: 300 });
  assert.match(textOf(context), /30 days of leave/);
  assert.equal(context.structuredContent, undefined);
  noteText(context, 300);
  const continuation = (context._meta as Record<string, unknown>)["contexture/continuation"];
  const meals = { question: "Who pays for meals on a trip?", collection: "handbook", continuation };
  const continued = await client.callTool("get_context", meals);
  assert.ok(textOf(continued).startsWith(textOf(context).split("30 days")[0] ?? ""));
  noteText(continued, 4000);

  const found = await client.callTool("search", { query: "days of leave" });
  assert.deepEqual(JSON.parse(textOf(found)), found.structuredContent);
  const [best] = (found.structuredContent as { results: { id: string }[] }).results;
  const document = await client.callTool("fetch", { id: best?.id });
  assert.deepEqual(JSON.parse(textOf(document)), document.structuredContent);

  const unknown = await client.callTool("search", { query: "leave", top_k: 3 });
  assert.equal(unknown.isError, true);
  assert.equal(textOf(unknown), "unknown_field: there is no argument 'top_k'; search takes query");
  const outside = await client.callTool("get_context", { question, collection: "handbook", max_tokens: 20001 });
  assert.equal(outside.isError, true);
  assert.match(textOf(outside), /^invalid_field: max_tokens must be a whole number from 200 to 20000, not 20001$/);
}

/** A wrong key must end in an error, and must not hang. */
export async function expectFailure(connect: () => Promise<unknown>): Promise<string> {
  let error: unknown;
  try {
    await connect();
  } catch (caught) {
    error = caught;
  }
  assert.ok(error instanceof Error, "no error");
  return `${error.name}: ${error.message}`.slice(0, 160);
}

function textOf(result: ToolResult): string {
  const blocks = result.content as { type: string; text: string }[];
  assert.equal(blocks.length, 1);
  assert.equal(blocks[0]?.type, "text");
  return blocks[0]?.text ?? "";
}

function noteText(result: ToolResult, budget: number): void {
  const meta = result._meta as Record<string, unknown>;
  const entry = {
    text: textOf(result),
    budget,
    tokens: meta["contexture/tokens"],
    tokenizer: meta["contexture/tokenizer"],
  };
  appendFileSync(env("MCP_TEXTS"), `${JSON.stringify(entry)}\n`);
}
