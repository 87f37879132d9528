// Counts the text blocks that the clients got, with a tokenizer that is not ours.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

import { Tiktoken } from "js-tiktoken/lite";
import cl100k from "js-tiktoken/ranks/cl100k_base";

import { env } from "./checks.js";

const encoding = new Tiktoken(cl100k);
const lines = readFileSync(env("MCP_TEXTS"), "utf8").trim().split("\n");
for (const line of lines) {
  const { text, budget, tokens, tokenizer } = JSON.parse(line);
  assert.equal(tokenizer, "cl100k_base");
  const counted = encoding.encode(text, [], []).length;
  assert.equal(counted, tokens, text);
  assert.ok(counted <= budget, `${counted} tokens for a budget of ${budget}`);
}
assert.ok(lines.length > 20, `${lines.length} texts`);
console.log(`ok: ${lines.length} texts counted, none over its budget`);
