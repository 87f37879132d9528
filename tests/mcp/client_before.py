"""The Python SDK's first major version, which speaks the revisions before 2026-07-28."""

import asyncio
import os
from datetime import timedelta

import httpx
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

from checks import check_server, expect, expect_failure

URL = os.environ["MCP_URL"] + "/mcp"


async def over_http(key, use):
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {key}"}, timeout=30) as http:
        async with streamable_http_client(URL, http_client=http) as (read, write, _):
            await use(read, write)


async def over_stdio(data, variables, use):
    env = {"PATH": os.environ["PATH"], **variables}
    server = StdioServerParameters(command=os.environ["BINARY"], args=["mcp", "--data", data], env=env)
    async with stdio_client(server) as (read, write):
        await use(read, write)


def checking(what):
    async def use(read, write):
        async with ClientSession(read, write, read_timeout_seconds=timedelta(seconds=30)) as session:
            agreed = await session.initialize()
            expect(agreed.protocolVersion == "2025-11-25", f"{what}: {agreed.protocolVersion}")
            expect(agreed.serverInfo.name == "contexture", agreed.serverInfo)

            async def list_tools():
                return wire(await session.list_tools())

            async def call_tool(name, arguments):
                return wire(await session.call_tool(name, arguments))

            await check_server(list_tools, call_tool)
        print(f"ok: Python mcp 1, {what}", flush=True)

    return use


async def refused(read, write):
    async with ClientSession(read, write, read_timeout_seconds=timedelta(seconds=10)) as session:
        await session.initialize()
        await session.list_tools()


def wire(result):
    return result.model_dump(mode="json", by_alias=True, exclude_none=True)


async def main():
    key, served = os.environ["MCP_KEY"], os.environ["SERVED_DATA"]
    await over_http(key, checking("HTTP"))
    await over_stdio(served, {"CONTEXTURE_API_KEY": key}, checking("stdio to a server"))
    await over_stdio(os.environ["FREE_DATA"], {}, checking("stdio alone"))
    wrong = "a-wrong-key-of-nobody"
    await expect_failure(lambda: over_http(wrong, refused), "HTTP")
    print("ok: Python mcp 1, wrong key over HTTP", flush=True)
    await expect_failure(lambda: over_stdio(served, {"CONTEXTURE_API_KEY": wrong}, refused), "stdio")
    print("ok: Python mcp 1, wrong key over stdio", flush=True)


asyncio.run(asyncio.wait_for(main(), 120))
