// The TypeScript SDK's first major version, which speaks the revisions before 2026-07-28.

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js";

import { checkServer, env, expectFailure } from "./checks.js";

function http(key: string): Transport {
  const headers = { authorization: `Bearer ${key}` };
  return new StreamableHTTPClientTransport(new URL(`${env("MCP_URL")}/mcp`), { requestInit: { headers } }) as Transport;
}

function stdio(data: string, variables: Record<string, string>): Transport {
  return new StdioClientTransport({ command: env("BINARY"), args: ["mcp", "--data", data], env: variables });
}

async function connected(transport: Transport): Promise<Client> {
  const client = new Client({ name: "test", version: "1" });
  await client.connect(transport);
  return client;
}

const servers: [string, Transport][] = [
  ["HTTP", http(env("MCP_KEY"))],
  ["stdio to a server", stdio(env("SERVED_DATA"), { CONTEXTURE_API_KEY: env("MCP_KEY") })],
  ["stdio alone", stdio(env("FREE_DATA"), {})],
];
for (const [what, transport] of servers) {
  const client = await connected(transport);
  await checkServer({
    listTools: () => client.listTools(),
    callTool: (name, toolArguments) => client.callTool({ name, arguments: toolArguments }),
  });
  await client.close();
  console.log(`ok: TypeScript sdk 1, ${what}`);
}
const wrong = "a-wrong-key-of-nobody";
const overHttp = await expectFailure(async () => (await connected(http(wrong))).listTools());
console.log(`ok: TypeScript sdk 1, wrong key over HTTP: ${overHttp}`);
const overStdio = await expectFailure(async () => {
  const transport = stdio(env("SERVED_DATA"), { CONTEXTURE_API_KEY: wrong });
  return (await connected(transport)).listTools();
});
console.log(`ok: TypeScript sdk 1, wrong key over stdio: ${overStdio}`);
