"""The current Python SDK: both of its lifecycles, over HTTP and stdio."""

import asyncio
import os

import httpx2
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from checks import check_server, expect, expect_failure

URL = os.environ["MCP_URL"] + "/mcp"
VERSIONS = {"auto": "2026-07-28", "2026-07-28": "2026-07-28", "legacy": "2025-11-25"}


def stdio(place, variables):
    # Only what is named reaches the process.
    env = {"PATH": os.environ["PATH"], **variables}
    return StdioServerParameters(command=os.environ["BINARY"], args=["mcp", *place], env=env)


async def check(server, mode, what):
    async with Client(server, mode=mode, read_timeout_seconds=30) as client:
        expect(client.protocol_version == VERSIONS[mode], f"{what}: {client.protocol_version}")

        async def list_tools():
            return wire(await client.list_tools())

        async def call_tool(name, arguments):
            return wire(await client.call_tool(name, arguments))

        await check_server(list_tools, call_tool)
    print(f"ok: Python mcp 2, {what}, {mode}", flush=True)


def wire(result):
    return result.model_dump(mode="json", by_alias=True, exclude_none=True)


async def with_key(key, use):
    async with httpx2.AsyncClient(headers={"authorization": f"Bearer {key}"}, timeout=30) as http:
        await use(streamable_http_client(URL, http_client=http))


async def main():
    for mode in VERSIONS:
        async def use(transport):
            await check(transport, mode, "HTTP")

        await with_key(os.environ["MCP_KEY"], use)
        key = {"CONTEXTURE_API_KEY": os.environ["MCP_KEY"]}
        served, free = ["--data", os.environ["SERVED_DATA"]], ["--data", os.environ["FREE_DATA"]]
        for what, place, variables in [
            ("stdio to the server of a data directory", served, key),
            ("stdio with --server", ["--server", os.environ["MCP_URL"]], key),
            ("stdio with a variable", [], {"CONTEXTURE_SERVER": os.environ["MCP_URL"], **key}),
            ("stdio alone", free, {}),
        ]:
            await check(stdio(place, variables), mode, what)

        async def refused(transport):
            async with Client(transport, mode=mode, read_timeout_seconds=10) as client:
                await client.list_tools()

        error = await expect_failure(lambda: with_key("a-wrong-key-of-nobody", refused), f"HTTP, {mode}")
        print(f"ok: Python mcp 2, wrong key over HTTP, {mode}: {shown(error)}", flush=True)
        wrong = stdio(served, {"CONTEXTURE_API_KEY": "a-wrong-key-of-nobody"})
        error = await expect_failure(lambda: refused(wrong), f"stdio, {mode}")
        print(f"ok: Python mcp 2, wrong key over stdio, {mode}: {shown(error)}", flush=True)


def shown(error):
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"[:160]


asyncio.run(asyncio.wait_for(main(), 240))
