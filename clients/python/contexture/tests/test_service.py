"""Every operation against a running server."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from contexture import (
    AsyncContexture,
    ConflictError,
    Contexture,
    Document,
    DocumentDiedError,
    InvalidRequestError,
    NotFoundError,
    PreconditionFailedError,
    Receipt,
    Section,
    Settings,
)

DEPLOY = "# Deploying\n\nPush the tag. The pipeline deploys it to the canary first."
BACKUP = "# Backups\n\nA backup of the ledger is made every night and kept for a year."


@pytest.fixture
def filled(client: Contexture, collection: str) -> str:
    put = client.documents.put
    put(collection, "ops/deploy.md", DEPLOY, title="Deploys", metadata={"team": "ops"}, wait=True)
    put(collection, "ops/backup.md", BACKUP, metadata={"team": "data"}, wait=True)
    return collection


def test_collections(client: Contexture) -> None:
    name = f"t-{uuid.uuid4().hex[:12]}"
    settings = Settings(url_template="https://wiki.example/{document_id}")
    made = client.collections.create(name, settings=settings)
    assert (made.name, made.settings) == (name, settings)
    assert "embedder" in made.pipeline
    assert client.collections.create(name).name == name
    second = client.collections.create(f"{name}-2")
    listed = client.collections.list(prefix=name, page_size=1)
    assert [one.name for one in listed] == [name, second.name]
    changed = client.collections.update_settings(
        name, {"url_template": None, "url_metadata_key": "link"}
    )
    assert changed.settings == Settings(url_metadata_key="link")
    assert client.collections.get(name).settings == changed.settings
    client.collections.delete(name)
    client.collections.delete(second.name)
    with pytest.raises(NotFoundError) as caught:
        client.collections.get(name)
    assert caught.value.code == "unknown_collection"


def test_a_bad_name_and_another_pipeline_are_refused(client: Contexture, collection: str) -> None:
    with pytest.raises(InvalidRequestError):
        client.collections.create("Not A Name")
    with pytest.raises(ConflictError) as caught:
        client.collections.create(collection, pipeline=HASH)
    assert caught.value.code == "pipeline_differs"


def test_a_document_comes_back(client: Contexture, filled: str) -> None:
    view = client.documents.get(filled, "ops/deploy.md", chunks=True, text=True, groups=True)
    assert (view.version, view.state, view.deleted) == (1, "visible", False)
    assert (view.title, view.metadata) == ("Deploys", {"team": "ops"})
    assert view.text is not None
    assert "canary" in view.text
    assert view.groups is None
    assert view.chunks is not None
    assert "canary" in view.chunks[0].text
    assert [version.version for version in view.versions] == [1]
    plain = client.documents.get(filled, "ops/deploy.md")
    assert (plain.chunks, plain.text) == (None, None)


def test_putting_again_is_a_duplicate(client: Contexture, filled: str) -> None:
    receipt = client.documents.put(
        filled, "ops/deploy.md", DEPLOY, title="Deploys", metadata={"team": "ops"}
    )
    assert (receipt.intake, receipt.version) == ("duplicate", 1)


def test_fences(client: Contexture, filled: str) -> None:
    put = client.documents.put
    with pytest.raises(PreconditionFailedError) as caught:
        put(filled, "ops/deploy.md", "# New", create_only=True)
    assert caught.value.code == "document_exists"
    with pytest.raises(PreconditionFailedError) as caught:
        put(filled, "ops/deploy.md", "# New", if_match=7)
    assert caught.value.code == "version_mismatch"
    assert put(filled, "ops/deploy.md", "# New", if_match=1).version == 2


def test_bytes_and_a_document_that_dies(client: Contexture, collection: str) -> None:
    receipt = client.documents.put(
        collection, "a.html", body=b"<h1>Head</h1><p>Body</p>", media_type="text/html", wait=True
    )
    assert receipt.state == "visible"
    with pytest.raises(DocumentDiedError) as caught:
        client.documents.put(collection, "bad.txt", body=b"\xff\xfe\xfa\x00\xff", wait=True)
    assert caught.value.status == 422
    letters = list(client.dead_letters.list(collection=collection))
    assert [letter.document_id for letter in letters] == ["bad.txt"]
    assert client.dead_letters.get(letters[0].id) == letters[0]
    (group,) = client.dead_letters.reasons(collection=collection)
    assert (group.code, group.count) == (letters[0].reason.code, 1)
    assert client.dead_letters.replay(collection=collection, dry_run=True).matched == 1
    dropped = client.dead_letters.drop(collection=collection)
    assert (dropped.matched, dropped.dropped, dropped.dry_run) == (1, 1, False)


def test_many_documents_and_pages(client: Contexture, collection: str) -> None:
    many = [Document(f"n/{number:02}.md", f"# Note {number}") for number in range(25)]
    many.append(Document("", "no id"))
    results = list(client.documents.put_many(collection, many))
    assert [result.ok for result in results] == [True] * 25 + [False]
    assert isinstance(results[25].error, InvalidRequestError)
    listed = list(client.documents.list(collection, prefix="n/", page_size=10))
    assert sorted(one.document_id for one in listed) == [one.id for one in many[:25]]


def test_files(client: Contexture, collection: str, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    paths = [tmp_path / "one.md", tmp_path / "sub" / "two.txt"]
    for path in paths:
        path.write_text(f"# About {path.stem}\n\nThis file is {path.stem}.")
    results = list(client.documents.put_files(collection, paths, base=tmp_path))
    assert [result.raise_for_error().document_id for result in results] == ["one.md", "sub/two.txt"]


def test_deleting(client: Contexture, filled: str) -> None:
    client.documents.delete(filled, "ops/deploy.md", wait=True)
    with pytest.raises(NotFoundError):
        client.documents.delete(filled, "never.md")
    kept = [one.document_id for one in client.documents.list(filled)]
    assert kept == ["ops/backup.md"]
    dry = client.documents.delete_by_filter(filled, filter='team = "data"', dry_run=True)
    assert (dry.matched, dry.deleted, dry.dry_run) == (1, 0, True)
    assert client.documents.delete_by_filter(filled, prefix="ops/").deleted == 1
    with pytest.raises(ValueError, match="needs ids"):
        client.documents.delete_by_filter(filled)


def test_a_context_cites_what_it_holds(client: Contexture, filled: str) -> None:
    template = Settings(url_template="https://wiki.example/{document_id}")
    client.collections.update_settings(filled, template)
    answer = client.context(filled, "How do we deploy to the canary?", budget=300)
    assert 0 < answer.tokens <= answer.budget == 300
    assert "canary" in str(answer)
    best = max(answer.passages, key=lambda passage: passage.score)
    assert (best.document_id, best.title) == ("ops/deploy.md", "Deploys")
    assert best.url == "https://wiki.example/ops/deploy.md"
    assert best.metadata == {"team": "ops"}
    narrowed = client.context(filled, "canary", budget=300, filter='team = "data"')
    assert {passage.document_id for passage in narrowed.passages} == {"ops/backup.md"}
    with pytest.raises(InvalidRequestError) as caught:
        client.context(filled, "canary", budget=-1)
    assert caught.value.field == "budget"


def test_sections_and_receipts(client: Contexture, filled: str) -> None:
    receipt = client.documents.put(filled, "new.md", "# New\n\nA zebra crossed the street.")
    answer = client.context(
        filled,
        "zebra",
        budget=300,
        min_versions=[receipt],
        sections=[Section("Rules", share=0.5), Section("Nights", question="backup every night")],
    )
    assert {passage.section for passage in answer.passages} <= {"Rules", "Nights"}
    assert "zebra" in answer.context


def test_several_collections(client: Contexture, filled: str) -> None:
    other = f"{filled}-b"
    client.collections.create(other)
    client.documents.put(other, "canary.md", "# Canary\n\nA canary is a yellow bird.", wait=True)
    hits = client.search([filled, other], "canary").results
    assert {hit.collection for hit in hits} == {filled, other}
    weighted = client.context({filled: 0.2, other: 1.0}, "canary", budget=400)
    assert {passage.collection for passage in weighted.passages} == {filled, other}
    client.collections.delete(other)


def test_search_ranks_chunks(client: Contexture, filled: str) -> None:
    found = client.search(filled, "How do we deploy to the canary?", top_k=1)
    (hit,) = found.results
    assert (hit.document_id, hit.title, hit.metadata) == (
        "ops/deploy.md",
        "Deploys",
        {"team": "ops"},
    )
    assert hit.end_byte > hit.start_byte
    assert client.search(filled, "nothing", top_k=1, filter='team = "none"').results == []


def test_events_follow_documents(client: Contexture, collection: str) -> None:
    with client.events(collection) as events:
        client.documents.put(collection, "a.md", "# A", wait=True)
        client.documents.delete(collection, "a.md", wait=True)
        first, second = next(events), next(events)
    assert [(event.kind, event.document_id) for event in (first, second)] == [
        ("visible", "a.md"),
        ("deleted", "a.md"),
    ]
    with client.events(collection, after=first.cursor) as again:
        after = next(again)
    assert (after.kind, after.version, after.cursor) == ("deleted", second.version, second.cursor)


def test_the_service_tells_about_itself(client: Contexture, filled: str) -> None:
    assert client.health() == {"status": "ok"}
    assert "read" in client.whoami().scopes
    assert [one.name for one in client.pipelines() if one.default] == ["default"]
    assert filled in [one.collection for one in client.status().collections]
    assert client.usage(days=7).days == 7
    assert client.audit(filled).missing == 0
    assert client.repair(filled).missing == 0


HASH = '[embedder]\nkind = "hash"\ndims = 64\ntokens_max = 256\n'


def test_reindexing(client: Contexture, filled: str) -> None:
    reindex = client.reindex
    assert [one.state for one in reindex.generations(filled)] == ["active"]
    with pytest.raises(NotFoundError) as caught:
        reindex.status(filled)
    assert caught.value.code == "no_reindex"
    started = reindex.start(filled, HASH, documents_per_second=100)
    assert (started.state, started.generation) == ("building", 2)
    assert reindex.pause(filled).paused
    assert not reindex.resume(filled).paused
    deadline = time.monotonic() + 30
    while not reindex.status(filled).caught_up:
        assert time.monotonic() < deadline, "it does not catch up"
        time.sleep(0.05)
    questions = [{"text": "How do we deploy to the canary?"}]
    report = reindex.compare(filled, questions=questions, top_k=2, require=["overlap@2>=0"])
    assert report.generations == {"a": 1, "b": 2}
    assert (report.questions, report.failed) == (1, 0)
    assert report.overlap is not None
    assert report.requirements[0]["met"] is True
    assert reindex.activate(filled).generation == 2
    assert reindex.rollback(filled).generation == 1
    assert reindex.drop(filled, grace_ms=60_000).generation == 2
    again = reindex.start(filled, HASH.replace("64", "32"))
    assert reindex.cancel(filled).generation == again.generation


async def test_the_asynchronous_client_does_the_same(
    async_client: AsyncContexture, collection: str
) -> None:
    client = async_client
    receipt = await client.documents.put(collection, "deploy.md", DEPLOY, wait=True)
    assert receipt == Receipt("deploy.md", 1, receipt.intake, "visible")
    assert (await client.context(collection, "canary", budget=200)).passages
    assert (await client.search(collection, "canary")).results
    many = [Document(f"{number}.md", f"# {number}") for number in range(3)]
    assert [one.ok async for one in client.documents.put_many(collection, many)] == [True] * 3
    listed = [one.document_id async for one in client.documents.list(collection, page_size=2)]
    assert len(listed) == 4
    async with client.events(collection) as events:
        await client.documents.put(collection, "told.md", "# Told")
        event = await anext(events)
        while event.document_id != "told.md":
            event = await anext(events)
        assert event.kind == "visible"
    assert (await client.audit(collection)).missing == 0
    with pytest.raises(NotFoundError):
        await client.documents.get(collection, "never.md")


@pytest.mark.parametrize(
    ("example", "told"),
    [("quickstart.py", "https://wiki.example/ops/deploy.md"), ("bulk.py", "300 visible")],
)
def test_examples(server_url: str, example: str, told: str) -> None:
    path = Path(__file__).parents[1] / "examples" / example
    environment = {**os.environ, "CONTEXTURE_SERVER": server_url}
    run = subprocess.run(
        [sys.executable, str(path)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert told in run.stdout


def test_the_readme(
    server_url: str, client: Contexture, capsys: pytest.CaptureFixture[str]
) -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    code = readme.partition("```python\n")[2].partition("```")[0]
    exec(code.replace("http://127.0.0.1:7070", server_url), {})
    assert "https://wiki.example/ops/deploy.md {'team': 'ops'}" in capsys.readouterr().out
    client.collections.delete("handbook")
