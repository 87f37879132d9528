"""Many documents without holding them in memory, asynchronously, and what became of them."""

import asyncio
from collections.abc import Iterator

from contexture import AsyncContexture, Document

COUNT = 300


def notes() -> Iterator[Document]:
    """Yields documents one at a time, as a file or a database would."""
    for number in range(COUNT):
        yield Document(f"note-{number}.md", f"# Note {number}\n\nThe number is {number}.")


async def main() -> None:
    """Puts all notes, and waits until every one is visible."""
    async with AsyncContexture.from_env() as client:
        await client.collections.create("bulk")
        async with client.events("bulk") as events:
            async for result in client.documents.put_many("bulk", notes()):
                result.raise_for_error()
            seen = set()
            async for event in events:
                seen.add(event.document_id)
                if len(seen) == COUNT:
                    break
        print(f"{len(seen)} visible")
        await client.collections.delete("bulk")


asyncio.run(main())
