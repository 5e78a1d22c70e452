"""Documents that machines of the earlier version left in a server, in rows and references."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lib.errors import NewerVersion
from lib.format.file_table import Table
from lib.recording import journal
from lib.stores import CHECKPOINTS, KEYS
from lib.stores.open import open_store
from lib.stores.redis import push, timestamps
from lib.stores.redis.document_text import outgoing
from tests.redis_server import Server
from tests.store_contract import about, session_document

PREFIX = "workflow-state:{test/project}:"
FILES = {f"f{number}": about(number) for number in range(30)}


@pytest.fixture(autouse=True)
def _project(monkeypatch):
    monkeypatch.setenv("WORKFLOW_STATE_PROJECT", "test/project")
    monkeypatch.setenv("WORKFLOW_STATE_KEY", "shared by the machines")


@pytest.fixture
def server(tmp_path):
    server = Server(tmp_path / "server")
    yield server
    server.kill()


class Earlier:
    """A machine of the earlier version: its SQLite store, and what it sent of that."""

    def __init__(self, server: Server, place: Path) -> None:
        place.mkdir()
        self.client = server.client()
        self.store = open_store("sqlite", str(place / ".claude" / "state"))

    def save(self, name: str, value: object, at: str = "") -> None:
        document = {"value": value, "timestamp": at or journal.now()}
        self.store.write(KEYS, name, self.store.sign(name, document))

    def checkpoint(self, name: str, files: dict) -> None:
        document = session_document(name, Table(files))
        self.store.write(CHECKPOINTS, name, self.store.sign(name, document))

    def send(self, collection: str, name: str) -> None:
        """Send a document as that version did: references, and rows beside them."""
        execute = self.store.database.open().execute
        data = execute("SELECT data FROM documents WHERE name = ?", (name,)).fetchone()[0]
        each, document = f"{collection}/{name}", self.store.read(collection, name)
        self.client.set(f"{PREFIX}format", "1")
        self.client.hset(f"{PREFIX}stamps", each, timestamps.saved(document, data, ""))
        self.client.hset(f"{PREFIX}befores", each, "")
        self.client.hset(f"{PREFIX}documents", each, data)
        for row in execute('SELECT list, since, name, place, row, "check" FROM rows').fetchall():
            self.client.zadd(f"{PREFIX}rows:{row[0]}", {json.dumps(row[1:]): row[1]})


@pytest.fixture
def earlier(server, tmp_path):
    return Earlier(server, tmp_path / "earlier")


@pytest.fixture
def machine(server, tmp_path):
    """Makes machines of today's version."""

    def make(name: str):
        (tmp_path / name).mkdir()
        return open_store(server.url, str(tmp_path / name / ".claude" / "state"))

    return make


def files_of(store, name: str) -> dict:
    return dict(store.read(CHECKPOINTS, name)["session"]["files_processed"])


def test_it_is_pulled_and_sent_in_todays_form(server, earlier, machine):
    earlier.checkpoint("c", FILES)
    earlier.checkpoint("c", {**FILES, "f7": about(77), "new": about(78)})
    earlier.save("plan", {"step": 1})
    earlier.send(CHECKPOINTS, "c")
    earlier.send(KEYS, "plan")
    one = machine("one")
    one.exchange(10)
    server.client().delete(*[f"{PREFIX}{name}" for name in ("stamps", "documents", "befores")])
    two = machine("two")
    two.exchange(10)
    for store in (one, two):
        assert files_of(store, "c") == {**FILES, "f7": about(77), "new": about(78)}
        assert store.read(CHECKPOINTS, "c").trust == "ours"
        assert store.read(KEYS, "plan")["value"] == {"step": 1}
        assert (store.pending(), store.notices, store.elsewhere()) == (0, [], ["c"])


def test_a_machine_that_was_updated_sends_what_it_has_and_keeps_its_secrets(
    server, earlier, machine
):
    store = machine("updated")
    value = {"password": "correct-horse"}
    store.write(KEYS, "login", store.sign("login", {"value": value, "timestamp": journal.now()}))
    # It sent the key when it was of the earlier version.
    timestamp = timestamps.saved(store.read(KEYS, "login"), b"as it was", "")
    with store.lock():
        store.note(KEYS, "login", store.known(KEYS, "login")[0], timestamp, theirs=False)
    masked = outgoing(KEYS, "login", store.read(KEYS, "login"))
    for name, data in (("stamps", timestamp), ("documents", masked)):
        server.client().hset(f"{PREFIX}{name}", "keys/login", data)
    other = machine("other")
    other.exchange(10)  # it is the first to send the key in today's form
    store.exchange(10)
    assert store.read(KEYS, "login")["value"] == value
    assert other.read(KEYS, "login")["value"] == {"password": "***"}
    assert (store.pending(), store.notices) == (0, [])


def test_what_is_sent_later_in_the_earlier_form_is_pulled(earlier, machine):
    one = machine("one")
    one.exchange(10)
    for step in range(2):
        earlier.save(f"plan{step}", step)
        earlier.send(KEYS, f"plan{step}")
        one.exchange(10)
        assert one.read(KEYS, f"plan{step}")["value"] == step
    assert one.notices == []


def test_after_todays_form_the_server_is_refused_by_the_earlier_version(server, machine):
    one = machine("one")
    one.write(KEYS, "plan", {"value": 1, "timestamp": journal.now()})
    one.exchange(10)
    assert server.client().get(f"{PREFIX}format") == b"2"  # which that version compares with 1


def test_what_is_signed_with_another_key_is_pulled_and_left_to_who_has_the_key(
    server, earlier, machine, monkeypatch
):
    with monkeypatch.context() as other:
        other.setenv("WORKFLOW_STATE_KEY", "another")
        earlier.checkpoint("c", FILES)
    earlier.send(CHECKPOINTS, "c")
    one = machine("one")
    one.exchange(10)
    one.exchange(10)
    assert files_of(one, "c") == FILES
    assert one.read(CHECKPOINTS, "c").trust == "foreign"
    assert (one.pending(), one.unsent()) == (0, [])
    assert not server.client().exists(f"{PREFIX}texts")
    monkeypatch.setenv("WORKFLOW_STATE_KEY", "another")
    machine("two").exchange(10)
    monkeypatch.setenv("WORKFLOW_STATE_KEY", "shared by the machines")
    one.exchange(10)
    assert server.client().hkeys(f"{PREFIX}texts") == [b"checkpoints/c"]
    assert (files_of(one, "c"), one.notices) == (FILES, [])


@pytest.mark.parametrize("ours", ["2026-01-01", "2026-01-03"], ids=["earlier", "later"])
def test_of_two_that_have_not_seen_each_other_the_other_is_kept(earlier, machine, ours):
    """The background push does not pull: it leaves what it would replace unseen to the next one."""
    one, two = machine("one"), machine("two")
    earlier.save("plan", "theirs", "2026-01-02T00:00:00.000Z")
    earlier.send(KEYS, "plan")
    one.write(KEYS, "plan", {"value": "ours", "timestamp": f"{ours}T00:00:00.000Z"})
    one.exchange(10, take=False)
    assert one.pending() == 1
    one.exchange(10)
    two.exchange(10)
    won, lost = ("theirs", b"ours") if ours < "2026-01-02" else ("ours", b"theirs")
    assert [store.read(KEYS, "plan")["value"] for store in (one, two)] == [won, won]
    kept = one.database.open().execute("SELECT data, wrong FROM damaged").fetchall()
    assert [lost in data for data, _ in kept] == [True]
    assert kept[0][1] in (push.LOSES, push.WINS)
    assert one.pending() == 0


def test_what_was_removed_by_the_earlier_version_stays_removed(server, earlier, machine):
    earlier.save("plan", 1, "2026-01-01T00:00:00.000Z")
    earlier.send(KEYS, "plan")
    one = machine("one")
    one.exchange(10)
    client, each = server.client(), "keys/plan"
    before = client.hget(f"{PREFIX}timestamps", each).decode()
    removed = timestamps.removed(KEYS, "plan", "2026-01-02T00:00:00.000Z", before)
    client.hset(f"{PREFIX}stamps", each, removed)
    client.hset(f"{PREFIX}befores", each, before)
    client.hdel(f"{PREFIX}documents", each)
    one.exchange(10)
    two = machine("two")
    two.exchange(10)
    assert [store.read(KEYS, "plan") for store in (one, two)] == [None, None]
    assert one.notices == []


def test_a_checkpoint_without_all_its_rows_is_not_pulled(server, earlier, machine):
    earlier.checkpoint("c", FILES)
    earlier.send(CHECKPOINTS, "c")
    earlier.save("plan", 1)
    earlier.send(KEYS, "plan")
    client = server.client()
    client.zpopmin(client.keys(f"{PREFIX}rows:*")[0])
    one = machine("one")
    one.exchange(10)
    assert (one.names(CHECKPOINTS), one.names(KEYS)) == ([], ["plan"])
    assert "checkpoints/c there is none of ours" in one.notices[0]


def test_a_later_version_of_it_is_refused(server, machine):
    server.client().set(f"{PREFIX}format", "3")
    with pytest.raises(NewerVersion, match="version '3', this is version 2"):
        machine("one").exchange(10)
