// The current TypeScript SDK: both of its lifecycles, over HTTP and stdio.

import assert from "node:assert/strict";

import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import type { Transport, VersionNegotiationMode } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";

import { checkServer, env, expectFailure } from "./checks.js";

const MODES: [VersionNegotiationMode, string][] = [
  ["auto", "2026-07-28"],
  [{ pin: "2026-07-28" }, "2026-07-28"],
  ["legacy", "2025-11-25"],
];

function http(key: string): Transport {
  const headers = { authorization: `Bearer ${key}` };
  return new StreamableHTTPClientTransport(new URL(`${env("MCP_URL")}/mcp`), { requestInit: { headers } });
}

function stdio(data: string, variables: Record<string, string>): Transport {
  return new StdioClientTransport({ command: env("BINARY"), args: ["mcp", "--data", data], env: variables });
}

async function connected(transport: Transport, mode: VersionNegotiationMode): Promise<Client> {
  const client = new Client({ name: "test", version: "1" }, { versionNegotiation: { mode } });
  await client.connect(transport);
  return client;
}

for (const [mode, version] of MODES) {
  const shownMode = typeof mode === "string" ? mode : mode.pin;
  const key = { CONTEXTURE_API_KEY: env("MCP_KEY") };
  const servers: [string, () => Transport][] = [
    ["HTTP", () => http(env("MCP_KEY"))],
    ["stdio to a server", () => stdio(env("SERVED_DATA"), key)],
    ["stdio alone", () => stdio(env("FREE_DATA"), {})],
  ];
  for (const [what, open] of servers) {
    const client = await connected(open(), mode);
    assert.equal(client.getNegotiatedProtocolVersion(), version);
    await checkServer({
      listTools: () => client.listTools(),
      callTool: (name, toolArguments) => client.callTool({ name, arguments: toolArguments }),
    });
    await client.close();
    console.log(`ok: TypeScript client 2, ${what}, ${shownMode}`);
  }
  const wrong = "a-wrong-key-of-nobody";
  const overHttp = await expectFailure(async () => (await connected(http(wrong), mode)).listTools());
  console.log(`ok: TypeScript client 2, wrong key over HTTP, ${shownMode}: ${overHttp}`);
  const overStdio = await expectFailure(async () => {
    const transport = stdio(env("SERVED_DATA"), { CONTEXTURE_API_KEY: wrong });
    return (await connected(transport, mode)).listTools();
  });
  console.log(`ok: TypeScript client 2, wrong key over stdio, ${shownMode}: ${overStdio}`);
}
