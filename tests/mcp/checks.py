"""What every client of the Python SDK checks, whatever its version and transport."""

import json
import os

TOOLS = ["get_context", "search", "fetch", "list_collections"]
HINTS = {"readOnlyHint": True, "destructiveHint": False, "idempotentHint": True, "openWorldHint": False}


def expect(condition, what):
    if not condition:
        raise AssertionError(what)


def note_text(result, budget):
    """Keeps a text block, whose tokens another program counts at the end."""
    meta = result["_meta"]
    with open(os.environ["MCP_TEXTS"], "a", encoding="utf-8") as texts:
        entry = {"text": result["content"][0]["text"], "budget": budget, "tokens": meta["contexture/tokens"],
                 "tokenizer": meta["contexture/tokenizer"]}
        texts.write(json.dumps(entry) + "\n")


async def check_server(list_tools, call_tool):
    """`list_tools()` and `call_tool(name, arguments)` return results as they are on the wire."""
    tools = (await list_tools())["tools"]
    expect([tool["name"] for tool in tools] == TOOLS, f"tools: {tools}")
    for tool in tools:
        hints = {name: tool["annotations"].get(name) for name in HINTS}
        expect(hints == HINTS, f"annotations of {tool['name']}: {hints}")
        expect(tool["inputSchema"]["additionalProperties"] is False, f"schema of {tool['name']}")
        expect(len(tool["description"].split()) < 80, f"description of {tool['name']}")
        expect((tool.get("outputSchema") is not None) == (tool["name"] in ("search", "fetch")), tool["name"])

    await check_context(call_tool)
    await check_documents(call_tool)

    listed = await call_tool("list_collections", {})
    expect(text_of(listed) == "handbook: 2 documents\nnotes: 1 document", listed)

    for name, arguments, wanted in [
        ("get_context", {"question": "leave?", "budget": 3}, ["unknown_field", "'budget'", "max_tokens"]),
        ("get_context", {"question": "leave?", "max_tokens": 3}, ["invalid_field", "max_tokens", "200", "20000"]),
        ("get_context", {}, ["missing_field", "question"]),
        ("get_context", {"question": "leave?"}, ["missing_field", "collection", "handbook, notes"]),
        ("get_context", {"question": "leave?", "collection": "nowhere"}, ["unknown_collection"]),
        ("get_context", {"question": "leave?", "collection": "notes", "continuation": "000000000000"},
         ["unknown_continuation", "leave it out"]),
        ("fetch", {"id": "handbook/nothing.md"}, ["unknown_document"]),
        ("fetch", {"id": "nothing"}, ["invalid_id"]),
        ("list_collections", {"prefix": "a"}, ["unknown_field", "no arguments"]),
    ]:
        refused = await call_tool(name, arguments)
        expect(refused["isError"] is True, f"{name} {arguments}: {refused}")
        for part in wanted:
            expect(part in text_of(refused), f"{name} {arguments}: {text_of(refused)}")


async def check_context(call_tool):
    for budget in (200, 1000, None):
        arguments = {"question": "How many days of leave do I have?", "collection": "handbook"}
        if budget:
            arguments["max_tokens"] = budget
        answer = await call_tool("get_context", arguments)
        expect("30 days of leave" in text_of(answer), answer)
        expect(answer.get("structuredContent") is None, "a context is text only")
        expect(answer["_meta"]["contexture/budget"] == (budget or 4000), answer["_meta"])
        for name in ("bound", "degraded", "snapshot", "continuation"):
            expect(f"contexture/{name}" in answer["_meta"], answer["_meta"])
        note_text(answer, budget or 4000)
    arguments = {"question": "Who pays for meals on a trip?", "collection": "handbook",
                 "continuation": answer["_meta"]["contexture/continuation"]}
    continued = await call_tool("get_context", arguments)
    expect("40 euros" in text_of(continued), continued)
    first_passage = text_of(answer).split("30 days")[0]
    expect(text_of(continued).startswith(first_passage), "the continued context starts with the one before")
    note_text(continued, 4000)
    arguments = {"question": "leave", "collection": "handbook", "filter": "exists(nothing)", "max_tokens": 200}
    nothing = await call_tool("get_context", arguments)
    expect(not nothing.get("isError") and text_of(nothing), nothing)
    note_text(nothing, 200)


async def check_documents(call_tool):
    found = await call_tool("search", {"query": "days of leave"})
    results = found["structuredContent"]["results"]
    expect(json.loads(text_of(found)) == found["structuredContent"], "the same as text and as JSON")
    expect(all(sorted(result) == ["id", "title", "url"] for result in results), results)
    expect(results[0]["id"].startswith("handbook/"), results)
    expect(any(result["id"].startswith("notes/") for result in results), results)
    document = await call_tool("fetch", {"id": results[0]["id"]})
    fetched = document["structuredContent"]
    expect(json.loads(text_of(document)) == fetched, "the same as text and as JSON")
    expect(sorted(fetched) == ["id", "metadata", "text", "title", "url"], fetched)
    expect(fetched["text"].startswith("# ") and fetched["metadata"]["truncated"] is False, fetched)


def text_of(result):
    blocks = result["content"]
    expect(len(blocks) == 1 and blocks[0]["type"] == "text", f"one text block: {blocks}")
    return blocks[0]["text"]


async def expect_failure(connect, what):
    """A wrong key must end in an error, and must not hang."""
    try:
        await connect()
    except BaseException as error:  # noqa: B036 (groups of exceptions are no Exception)
        return error
    raise AssertionError(f"{what}: no error")
