"""The Redis store: the contract, what other machines see, and the faults of networks and servers."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
import zlib
from pathlib import Path
from types import SimpleNamespace

import pytest

from lib.commands.sync import sync
from lib.disk import locks
from lib.errors import Damaged, NewerVersion, StoreError
from lib.format.documents import verdict_on
from lib.format.file_table import Table
from lib.install.doctor import state as doctor
from lib.maintenance import retention
from lib.recording import journal
from lib.state import State
from lib.stores import CHECKPOINTS, KEYS
from lib.stores.document_checks import SIZE_LIMIT
from lib.stores.open import open_store
from lib.stores.redis import document_text, push
from lib.stores.redis import store as redis
from lib.stores.redis.connection import place_of
from lib.stores.redis.project_name import normalised, project_name
from tests.conftest import ROOT, Hooks
from tests.redis_server import Server, free_port
from tests.store_contract import about, call, session_document
from tests.test_sqlite_store import TestSqlite as OnThisMachine

PROJECT = "test/project"
PREFIX = f"workflow-state:{{{PROJECT}}}:"


@pytest.fixture(autouse=True)
def _project(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same project and the same key on every machine of a test; busy is told at once."""
    monkeypatch.setenv("WORKFLOW_STATE_PROJECT", PROJECT)
    monkeypatch.setenv("WORKFLOW_STATE_KEY", "shared by the machines")
    monkeypatch.setattr(locks, "LOCK_SECONDS", 0.1)


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("redis"))
    yield server
    server.kill()


@pytest.fixture
def server(shared_server):
    """A server that holds nothing, and is as others find it afterwards."""
    shared_server.client().flushall()
    return shared_server


@pytest.fixture
def own_server(tmp_path):
    """A server that a test may mistreat."""
    server = Server(tmp_path / "server")
    yield server
    server.kill()


def machine(tmp_path: Path, name: str) -> str:
    """The state directory of the project on a machine."""
    (tmp_path / name).mkdir(exist_ok=True)
    return str(tmp_path / name / ".claude" / "state")


def everything(url: str, directory: str) -> dict:
    """All documents of a store, tables as dicts."""
    store, found = open_store(url, directory), {}
    for collection in (KEYS, CHECKPOINTS):
        for name in store.names(collection):
            if name.startswith(("before-restore-", "before-undo-", "before-migrate-")):
                continue  # for taking back what was done on this machine
            try:
                document = store.read(collection, name)
                each = dict(document)
            except NewerVersion:
                continue
            each["check"] = verdict_on(name, document)  # here of references to rows, there of all
            session = each.get("session")
            if session:
                tables = ("files_processed", "files_read")
                each["session"] = {
                    key: list(value.items()) if key in tables else value
                    for key, value in session.items()
                }
            if "value" in each and hasattr(each["value"], "table"):
                each["value"] = list(each["value"] or ())
            each["keys"] = {
                key: {**kept, "value": repr(list(kept["value"] or ()))}
                for key, kept in each.get("keys", {}).items()
                if isinstance(kept["value"], list) or hasattr(kept["value"], "table")
            }
            found[collection, name] = each
    return found


def quarantined(store) -> list[bytes]:
    """What a store has quarantined."""
    return [data for (data,) in store.database.open().execute("SELECT data FROM damaged")]


def on_server(server) -> dict[str, bytes]:
    """The documents in a server."""
    found = server.client().hgetall(f"{PREFIX}texts")
    return {name.decode(): zlib.decompress(text) for name, text in found.items()}


class TestRedis(OnThisMachine):
    """The whole contract; and whatever a case leaves, another machine has."""

    @pytest.fixture
    def where(self, server, tmp_path):
        (tmp_path / "project").mkdir()
        return server.url, str(tmp_path / "project" / ".claude" / "state")

    @pytest.fixture(autouse=True)
    def _another_machine_has_it(self, where, tmp_path, monkeypatch):
        yield
        monkeypatch.setenv("WORKFLOW_STATE_KEY", "shared by the machines")
        open_store(*where).exchange(60)
        other = machine(tmp_path, "elsewhere")
        open_store(where[0], other).exchange(60)
        assert everything(where[0], other) == everything(*where)


class TestManyMachines:
    def test_what_one_saves_another_loads(self, server, tmp_path):
        one, two = (open_store(server.url, machine(tmp_path, name)) for name in ("one", "two"))
        one.write(KEYS, "plan", one.sign("plan", {"value": [1], "timestamp": journal.now()}))
        one.exchange(10)
        assert two.read(KEYS, "plan") is None
        two.exchange(10)
        assert two.read(KEYS, "plan")["value"] == [1]
        assert two.read(KEYS, "plan").trust == "ours"

    def test_what_was_saved_last_counts_whoever_sends_first(self, server, tmp_path):
        one, two = (open_store(server.url, machine(tmp_path, name)) for name in ("one", "two"))
        one.write(KEYS, "plan", {"value": "earlier", "timestamp": "2026-01-01T00:00:00.000Z"})
        two.write(KEYS, "plan", {"value": "later", "timestamp": "2026-01-02T00:00:00.000Z"})
        for first, second in ((two, one), (one, two), (two, one)):
            first.exchange(10)
            second.exchange(10)
        assert [store.read(KEYS, "plan")["value"] for store in (one, two)] == ["later", "later"]

    def test_who_sends_an_earlier_one_last_does_not_replace_the_later(self, server, tmp_path):
        one, two = (open_store(server.url, machine(tmp_path, name)) for name in ("one", "two"))
        one.write(KEYS, "plan", {"value": "earlier", "timestamp": "2026-01-01T00:00:00.000Z"})
        two.write(KEYS, "plan", {"value": "later", "timestamp": "2026-01-02T00:00:00.000Z"})
        two.exchange(10, take=False)
        one.exchange(10, take=False)
        fresh = open_store(server.url, machine(tmp_path, "fresh"))
        fresh.exchange(10)
        one.exchange(10)
        assert [store.read(KEYS, "plan")["value"] for store in (fresh, one)] == ["later", "later"]

    @pytest.mark.parametrize("take", [True, False], ids=["taken", "sent"])
    def test_what_loses_against_another_machine_is_kept(self, server, tmp_path, take):
        one, two = (open_store(server.url, machine(tmp_path, name)) for name in ("one", "two"))
        one.write(KEYS, "plan", {"value": "earlier", "timestamp": "2026-01-01T00:00:00.000Z"})
        two.write(KEYS, "plan", {"value": "later", "timestamp": "2026-01-02T00:00:00.000Z"})
        two.exchange(10)
        one.exchange(10, take=take)
        one.exchange(10)
        assert one.read(KEYS, "plan")["value"] == "later"
        kept = one.database.open().execute("SELECT name, wrong, data FROM damaged").fetchall()
        assert [(name, wrong) for name, wrong, _ in kept] == [
            ("plan", "was saved on another machine meanwhile, and later")
        ]
        assert b"earlier" in kept[0][2]
        assert [notice for notice in one.notices if "key plan" in notice] == one.notices[:take]

    def test_what_loses_after_it_was_sent_is_kept_by_both(self, server, tmp_path):
        one, two = (open_store(server.url, machine(tmp_path, name)) for name in ("one", "two"))
        two.write(KEYS, "plan", {"value": "earlier", "timestamp": "2026-01-01T00:00:00.000Z"})
        two.exchange(10)
        one.write(KEYS, "plan", {"value": "later", "timestamp": "2026-01-02T00:00:00.000Z"})
        one.exchange(10, take=False)
        two.exchange(10)
        for store in (one, two):
            assert store.read(KEYS, "plan")["value"] == "later"
            assert [b"earlier" in data for data in quarantined(store)] == [True]

    def test_who_has_seen_the_other_is_later_whatever_the_clock_says(self, server, tmp_path):
        one, two = (open_store(server.url, machine(tmp_path, name)) for name in ("one", "two"))
        one.write(KEYS, "plan", {"value": 1, "timestamp": "2027-01-01T00:00:00.000Z"})
        for number, (mine, other) in enumerate([(two, one), (one, two), (two, one)]):
            other.exchange(10)
            mine.exchange(10)
            mine.write(KEYS, "plan", {"value": number, "timestamp": "2026-01-01T00:00:00.000Z"})
            mine.exchange(10, take=False)
            other.exchange(10)
            assert other.read(KEYS, "plan")["value"] == number
        assert quarantined(one) + quarantined(two) == []

    def test_an_earlier_removal_does_not_remove_what_was_saved_later(
        self, server, tmp_path, monkeypatch
    ):
        one, two = (open_store(server.url, machine(tmp_path, name)) for name in ("one", "two"))
        one.write(KEYS, "plan", {"value": 1, "timestamp": "2026-01-01T00:00:00.000Z"})
        one.exchange(10)
        two.exchange(10)
        with monkeypatch.context() as then:
            then.setattr(journal, "now", lambda: "2026-01-02T00:00:00.000Z")
            one.delete(KEYS, "plan")
        two.write(KEYS, "plan", {"value": 2, "timestamp": "2026-01-03T00:00:00.000Z"})
        two.exchange(10)
        one.exchange(10, take=False)
        one.exchange(10)
        two.exchange(10)
        assert [store.read(KEYS, "plan")["value"] for store in (one, two)] == [2, 2]

    def test_an_answer_that_was_lost_makes_no_conflict(self, server, tmp_path, monkeypatch):
        store = open_store(server.url, machine(tmp_path, "one"))
        value = {"password": "correct-horse"}
        store.write(KEYS, "plan", store.sign("plan", {"value": value, "timestamp": journal.now()}))
        with monkeypatch.context() as cut:
            cut.setattr(push.Push, "_arrived", lambda *_: 1 / 0)
            with pytest.raises(StoreError):
                store.exchange(10)
        assert b"***" in on_server(server)["keys/plan"]
        server.client().config_resetstat()
        store.exchange(10)
        assert store.read(KEYS, "plan")["value"] == value
        assert (store.pending(), quarantined(store), store.notices) == (0, [], [])
        assert "cmdstat_evalsha" not in server.client().info("commandstats")  # not sent again

    def test_a_secret_that_no_other_machine_has_is_kept_when_one_saves_there(
        self, server, tmp_path
    ):
        one, two = (open_store(server.url, machine(tmp_path, name)) for name in ("one", "two"))
        value = {"password": "correct-horse", "step": 1}
        one.write(KEYS, "plan", one.sign("plan", {"value": value, "timestamp": journal.now()}))
        one.exchange(10)
        two.exchange(10)
        value = {**two.read(KEYS, "plan")["value"], "step": 2}
        two.write(KEYS, "plan", two.sign("plan", {"value": value, "timestamp": journal.now()}))
        two.exchange(10)
        one.exchange(10)
        assert one.read(KEYS, "plan")["value"] == {"password": "***", "step": 2}
        assert [b"correct-horse" in data for data in quarantined(one)] == [True]
        assert "held secrets that no other machine has" in one.notices[0]

    @pytest.mark.parametrize("removed", [False, True], ids=["replaced", "removed"])
    def test_what_is_ours_is_kept_when_who_has_no_key_replaces_it(
        self, server, tmp_path, monkeypatch, removed
    ):
        one, two = (open_store(server.url, machine(tmp_path, name)) for name in ("one", "two"))
        one.write(KEYS, "plan", one.sign("plan", {"value": 1, "timestamp": journal.now()}))
        one.exchange(10)
        with monkeypatch.context() as other:
            other.setenv("WORKFLOW_STATE_KEY", "another")
            two.exchange(10)
            if removed:
                two.delete(KEYS, "plan")
            else:
                two.write(KEYS, "plan", two.sign("plan", {"value": 2, "timestamp": journal.now()}))
            two.exchange(10)
        one.exchange(10)
        assert one.names(KEYS) == [] if removed else one.read(KEYS, "plan")["value"] == 2
        assert [b'"value": 1' in data for data in quarantined(one)] == [True]
        assert "has not your key" in one.notices[0]

    def test_two_copies_of_a_checkout_go_on_apart(self, server, tmp_path, monkeypatch):
        """Containers from one image: both go on from the same database, and a third reads both."""
        first = machine(tmp_path, "image")
        monkeypatch.setenv("WORKFLOW_STATE_STORE", server.url)
        for number in range(5):
            journal.write(first, "s", call(number))
        State(first, "s").checkpoint_session("Stop")
        open_store(server.url, first).exchange(10)
        copies = []
        for number, name in enumerate(("one", "two")):
            copies.append(machine(tmp_path, name))
            shutil.copytree(first, copies[-1])
            for step in range(2):
                journal.write(copies[-1], "s", call(100 * number + 50 + step))
            State(copies[-1], "s").checkpoint(f"copy-{name}")
        for directory in (*copies, *copies):
            open_store(server.url, directory).exchange(10)
        third = machine(tmp_path, "third")
        open_store(server.url, third).exchange(10)
        for directory in (*copies, third):
            for number, name in enumerate(("one", "two")):
                kept = State(directory, "").read_checkpoint(f"copy-{name}")["session"]
                paths = [f"f{each}" for each in range(5)]
                paths += [f"f{100 * number + 50 + step}" for step in range(2)]
                assert list(kept["files_processed"]) == paths

    def test_all_keys_are_taken_at_once(self, server, tmp_path):
        """A restore changes all of them, or none: also for who looks from elsewhere."""
        one, two = (open_store(server.url, machine(tmp_path, name)) for name in ("one", "two"))
        with one.lock():
            for number in range(300):
                one.write(KEYS, f"k{number}", {"value": 1, "timestamp": journal.now()})
        one.exchange(10)
        server.client().config_resetstat()
        two.exchange(10)
        assert len(two.names(KEYS)) == 300
        assert server.client().info("commandstats")["cmdstat_hmget"]["calls"] == 2

    def test_what_was_kept_for_an_undo_stays_on_its_machine(self, server, tmp_path):
        directories = [machine(tmp_path, name) for name in ("one", "two")]
        states = []
        for directory in directories:
            state = State(directory, "")
            state.store = state.sessions.store = open_store(server.url, directory)
            states.append(state)
        one, two = states
        one.save_state("plan", 1)
        one.checkpoint("good")
        one.save_state("plan", 2)
        one.restore_checkpoint("good")
        for state in states:
            state.store.exchange(10)
        assert two.store.names(CHECKPOINTS) == ["good"]
        assert len(one.store.names(CHECKPOINTS)) == 2

    def test_what_every_stop_publishes_leaves_nothing_behind(self, server, tmp_path):
        one, two = (open_store(server.url, machine(tmp_path, name)) for name in ("one", "two"))
        for store, day in ((one, "1"), (two, "2")):
            at = f"2026-01-0{day}T00:00:00.000Z"
            store.write(KEYS, "current_phase", {"value": day, "timestamp": at})
        two.exchange(10)
        one.exchange(10)
        assert one.read(KEYS, "current_phase")["value"] == "2"
        assert not one.database.open().execute("SELECT * FROM damaged").fetchall()
        assert not one.notices

    def test_two_at_once_send_nothing_twice(self, server, tmp_path):
        directory = machine(tmp_path, "one")
        store = open_store(server.url, directory)
        with store.lock():
            for number in range(300):
                store.write(KEYS, f"k{number}", {"value": "x" * 500, "timestamp": journal.now()})
        server.client().config_resetstat()
        threads = [
            threading.Thread(target=lambda: open_store(server.url, directory).exchange(60, False))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert store.pending() == 0
        assert server.client().info("commandstats")["cmdstat_evalsha"]["calls"] <= 2

    def test_what_a_machine_left_that_is_no_more_goes_at_last(self, server, tmp_path, monkeypatch):
        gone, here = machine(tmp_path, "container"), machine(tmp_path, "here")
        for number, day in enumerate(("01T00", "02T00", "31T12")):
            session = f"s{number}"
            at = f"2026-01-{day}:00:00.000Z"
            with monkeypatch.context() as then:
                then.setattr(journal, "now", lambda at=at: at)
                journal.write(gone, session, call(number))
                state = State(gone, session)
                state.store = open_store(server.url, gone)
                state.sessions.store = state.store
                state.checkpoint_session("Stop")
        state.store.exchange(10)
        state = State(here, "")
        state.store = open_store(server.url, here)
        state.store.exchange(10)
        assert len([name for name in on_server(server) if "session-s" in name]) == 3
        monkeypatch.setattr(retention, "NEWEST", 1)
        retention.tidy(state)  # by a clock that is far ahead of theirs
        assert state.store.names(CHECKPOINTS) == ["session-s1", "session-s2"]
        state.store.exchange(10)
        assert len([name for name in on_server(server) if "session-s" in name]) == 2
        fresh = open_store(server.url, machine(tmp_path, "fresh"))
        fresh.exchange(10)
        assert everything(server.url, fresh.directory) == everything(server.url, here)

    def test_what_is_damaged_here_is_not_removed_elsewhere_but_taken_anew(self, server, tmp_path):
        one, two = (open_store(server.url, machine(tmp_path, name)) for name in ("one", "two"))
        one.write(KEYS, "plan", {"value": 1, "timestamp": journal.now()})
        one.exchange(10)
        one.database.open().execute("UPDATE documents SET data = ?", (b"{",))
        with pytest.raises(Damaged), one.lock():
            one.read(KEYS, "plan")
        one.exchange(10)
        two.exchange(10)
        assert [store.read(KEYS, "plan")["value"] for store in (one, two)] == [1, 1]

    def test_what_one_removes_goes_everywhere(self, server, tmp_path):
        one, two = (open_store(server.url, machine(tmp_path, name)) for name in ("one", "two"))
        one.write(KEYS, "plan", {"value": 1, "timestamp": journal.now()})
        one.exchange(10)
        two.exchange(10)
        two.delete(KEYS, "plan")
        two.exchange(10)
        one.exchange(10)
        assert (one.names(KEYS), two.names(KEYS)) == ([], [])
        one.write(KEYS, "plan", {"value": 2, "timestamp": journal.now()})
        one.exchange(10)
        two.exchange(10)
        assert two.read(KEYS, "plan")["value"] == 2

    def test_only_what_is_new_is_sent(self, server, tmp_path, monkeypatch):
        directory = machine(tmp_path, "one")
        monkeypatch.setenv("WORKFLOW_STATE_STORE", server.url)
        for number in range(1000):
            journal.write(directory, "s", call(number))
        State(directory, "s").checkpoint_session("Stop")
        State(directory, "s").checkpoint("named")
        State(directory, "s").save_state("plan", 1)
        open_store(server.url, directory).exchange(10)
        before = server.client().hgetall(f"{PREFIX}timestamps")
        journal.write(directory, "s", call(0))
        State(directory, "s").checkpoint_session("Stop")
        sent = server.client().info()["total_net_input_bytes"]
        open_store(server.url, directory).exchange(10)
        assert server.client().info()["total_net_input_bytes"] - sent < 70_000
        after = server.client().hgetall(f"{PREFIX}timestamps")
        changed = {name.decode() for name in after if after[name] != before[name]}
        assert changed <= {"checkpoints/session-s", *push.PUBLISHED}

    def test_nothing_pending_sends_nothing(self, server, tmp_path):
        store = open_store(server.url, machine(tmp_path, "one"))
        store.write(KEYS, "plan", {"value": 1, "timestamp": journal.now()})
        assert store.pending() == 1
        store.exchange(10)
        assert store.pending() == 0
        before = server.client().info("commandstats").get("cmdstat_hset", {}).get("calls")
        store.exchange(10)
        after = server.client().info("commandstats").get("cmdstat_hset", {}).get("calls")
        assert before == after

    def test_a_session_of_another_machine_is_continued(self, server, tmp_path, monkeypatch):
        one, two = machine(tmp_path, "one"), machine(tmp_path, "two")
        monkeypatch.setenv("WORKFLOW_STATE_STORE", server.url)
        for number in range(20):
            journal.write(one, "s", call(number))
        State(one, "s").checkpoint_session("Stop")
        open_store(server.url, one).exchange(10)
        open_store(server.url, two).exchange(10)
        continues = {"session": "s", "checkpoint": True, "source": "startup"}
        journal.write(two, "t", {"event": "SessionStart", "continues": continues}, call(77))
        State(two, "t").checkpoint_session("Stop")
        open_store(server.url, two).exchange(10)
        journal.write(one, "s", call(88))
        State(one, "s").checkpoint_session("Stop")
        for directory in (one, two, one):
            open_store(server.url, directory).exchange(10)
        expected = [f"f{number}" for number in range(20)]
        for directory in (one, two):
            state = State(directory, "")
            for session, last in (("s", "f88"), ("t", "f77")):
                document = state.read_checkpoint(f"session-{session}")
                assert list(document["session"]["files_processed"]) == [*expected, last]

    def test_a_later_format_is_refused_and_left_as_it_is(self, server, tmp_path):
        store = open_store(server.url, machine(tmp_path, "one"))
        server.client().set(f"{PREFIX}format", 3)
        store.write(KEYS, "plan", {"value": 1, "timestamp": journal.now()})
        with pytest.raises(NewerVersion, match="version '3'"):
            store.exchange(10)
        assert len(server.client().keys()) == 1

    def test_a_document_that_is_too_large_stays_here_and_is_told(
        self, server, tmp_path, monkeypatch
    ):
        monkeypatch.setattr(push, "SIZE_LIMIT", 1 << 20)
        store = open_store(server.url, machine(tmp_path, "one"))
        store.write(KEYS, "large", {"value": "x" * (2 << 20), "timestamp": journal.now()})
        store.write(KEYS, "small", {"value": "x", "timestamp": journal.now()})
        store.exchange(10)
        assert list(on_server(server)) == ["keys/small"]
        assert store.pending() == 1
        assert "has 2 MB, and a server gets at most 1: it stays on this machine" in store.notices[0]
        monkeypatch.setenv("WORKFLOW_STATE_STORE", server.url)
        subject = SimpleNamespace(state=State(store.directory, ""), directory=store.directory)
        assert "1 document is pending" in sync(subject.state, None)[1][0]
        assert "pending: 1" in doctor.check_store(subject).said

    def test_what_is_sent_again_stays_another_machines(self, server, tmp_path):
        one, two = (open_store(server.url, machine(tmp_path, name)) for name in ("one", "two"))
        made = {"name": "c", "created": journal.now(), "keys": {}}
        one.write(CHECKPOINTS, "c", one.sign("c", made))
        one.exchange(10)
        two.exchange(10)
        before = server.client().hgetall(f"{PREFIX}timestamps")
        server.client().flushall()
        two.exchange(10)
        assert server.client().hgetall(f"{PREFIX}timestamps") == before
        assert (one.elsewhere(), two.elsewhere()) == ([], ["c"])

    def test_sixty_machines_at_once_lose_nothing(self, server, tmp_path):
        code = (
            f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
            "from lib.recording import journal\n"
            "from lib.stores.open import open_store\n"
            "for number in range(int(sys.argv[1]), 60, 4):\n"
            f"    store = open_store({server.url!r}, f'{tmp_path}/m{{number}}/.claude/state')\n"
            "    for name in (f'k{number}', 'shared'):\n"
            "        store.write('keys', name, {'value': number, 'timestamp': journal.now()})\n"
            "    store.exchange(60, take=False)\n"
        )
        for number in range(60):
            machine(tmp_path, f"m{number}")
        running = [subprocess.Popen([sys.executable, "-c", code, str(n)]) for n in range(4)]
        assert [each.wait(120) for each in running] == [0] * 4
        fresh = open_store(server.url, machine(tmp_path, "fresh"))
        fresh.exchange(60)
        assert len(fresh.names(KEYS)) == 61
        found = {fresh.read(KEYS, "shared")["value"]}
        for number in range(60):  # each of the others is kept where it lost, or by who replaced it
            store = open_store(server.url, machine(tmp_path, f"m{number}"))
            found |= {json.loads(data)["value"] for data in quarantined(store)}
        assert found == set(range(60))


class TestSecrets:
    PASSWORD = "hunter2-correct-horse"

    def dump(self, server) -> str:
        assert sorted(server.client().keys()) == [
            f"{PREFIX}{name}".encode() for name in ("format", "replaced", "texts", "timestamps")
        ]
        return repr([on_server(server), server.client().hgetall(f"{PREFIX}timestamps")])

    def test_are_masked_before_they_leave_the_machine(self, server, tmp_path, monkeypatch):
        directory = machine(tmp_path, "one")
        monkeypatch.setenv("WORKFLOW_STATE_STORE", server.url)
        state = State(directory, "")
        value = {"password": self.PASSWORD, "note": f"token={self.PASSWORD}", "safe": "stays"}
        state.save_state("plan", value)
        state.checkpoint("named")
        state.store.exchange(10)
        assert self.PASSWORD not in self.dump(server)
        assert "stays" in self.dump(server)
        assert state.load_state("plan") == value
        other = machine(tmp_path, "two")
        open_store(server.url, other).exchange(10)
        assert State(other, "").load_state("plan") == {
            "password": "***",
            "note": "token=***",
            "safe": "stays",
        }
        assert State(other, "").restore_checkpoint("named")

    @pytest.mark.parametrize(
        "address",
        [
            "redis://user:{}@127.0.0.1:{}/0",
            "redis://user:{}@127.0.0.1:port/0",
            "rediss://user:{}@127.0.0.1:{}/0?ssl_cert_reqs=nonsense",
            "redis://user:{}@[::1/0",
        ],
    )
    def test_a_password_is_in_no_error_and_not_on_the_disk(self, tmp_path, address):
        url = address.format(self.PASSWORD, free_port())
        store = open_store(url, machine(tmp_path, "one"))
        store.write(KEYS, "plan", {"value": 1, "timestamp": journal.now()})
        with pytest.raises(StoreError) as told:
            store.exchange(5)
        chain, error = [], told.value
        while error is not None and len(chain) < 9:
            chain.append(f"{error!r} {error}")
            error = None if error.__suppress_context__ else error.__context__
        assert self.PASSWORD not in "".join(chain)
        for path in tmp_path.rglob("*"):
            assert not path.is_file() or self.PASSWORD.encode() not in path.read_bytes()


ADDRESSES = {
    "redis://h:1/0?password=hun@ter2": "redis://...",
    "redis://u:hunter2@h:1/0": "redis://h:1/0",
    "redis://:hun?ter2@h": "redis://...",
    "redis://:hun#ter2@h/0": "redis://...",
    "redis://:hun/ter2@h": "redis://h",
    "redis://u:p@hun?ter2@h": "redis://...",
    "redis://u:hunter2": "redis://...",
    "rediss://[::1]:6379/1?ssl_cert_reqs=none": "rediss://[::1]:6379/1",
    "unix://u:hunter2@/run/redis.sock?db=1": "unix:///run/redis.sock",
}


@pytest.mark.parametrize(("url", "place"), ADDRESSES.items())
def test_a_server_is_told_without_user_and_password(url, place):
    assert place_of(url) == place


class TestFaults:
    """Nothing is lost, and nothing is there twice."""

    @pytest.fixture
    def busy(self, own_server, tmp_path, monkeypatch):
        """A machine where many documents are pending."""
        directory = machine(tmp_path, "one")
        monkeypatch.setenv("WORKFLOW_STATE_STORE", own_server.url)
        store = open_store(own_server.url, directory)
        with store.lock():
            for number in range(150):
                store.write(KEYS, f"k{number}", {"value": "x" * 2000, "timestamp": journal.now()})
            for number in range(3):
                files = Table({f"d{number}/f{each}": about(each) for each in range(400)})
                name = f"c{number}"
                store.write(CHECKPOINTS, name, store.sign(name, session_document(name, files)))
        return directory

    def arrived(self, url: str, tmp_path: Path, directory: str, name: str = "fresh") -> bool:
        fresh = machine(tmp_path, name)
        open_store(url, fresh).exchange(60)
        return everything(url, fresh) == everything(url, directory)

    def test_a_server_that_is_gone_is_told_and_what_is_pending_is_sent_later(
        self, own_server, tmp_path, busy
    ):
        own_server.kill()
        with pytest.raises(StoreError, match="ConnectionError"):
            open_store(own_server.url, busy).exchange(5)
        assert open_store(own_server.url, busy).pending() == 153
        own_server.start()
        open_store(own_server.url, busy).exchange(60)
        assert open_store(own_server.url, busy).pending() == 0
        assert self.arrived(own_server.url, tmp_path, busy)

    def test_a_server_that_stands_still_is_given_up(self, own_server, tmp_path, busy):
        own_server.signal(signal.SIGSTOP)
        with pytest.raises(StoreError):
            open_store(own_server.url, busy).exchange(0.3)
        own_server.signal(signal.SIGCONT)
        open_store(own_server.url, busy).exchange(60)
        assert self.arrived(own_server.url, tmp_path, busy)

    def test_a_name_that_does_not_resolve_is_given_up(self, tmp_path, busy, monkeypatch):
        """Looking up a name heeds no timeout; here it takes far longer than there is time."""
        ended = threading.Event()
        monkeypatch.setattr(redis, "connect", lambda *_: ended.wait(5))
        try:
            with pytest.raises(StoreError, match="has not answered"):
                open_store("redis://nowhere.example.org", busy).exchange(0.2)
        finally:
            ended.set()

    def test_a_server_killed_in_the_middle_has_what_it_confirmed(self, own_server, tmp_path, busy):
        code = (
            f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
            "from lib.stores.redis import push\n"
            "from lib.stores.open import open_store\n"
            "push.BATCH_BYTES = 0\n"
            "print('begun', flush=True)\n"
            f"open_store({own_server.url!r}, {busy!r}).exchange(60)\n"
        )
        for sent in (3, 20, 60):
            with subprocess.Popen(
                [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
            ) as running:
                assert running.stdout.readline() == b"begun\n"
                client = own_server.client()
                while running.poll() is None:
                    stats = client.info("commandstats")
                    if stats.get("cmdstat_evalsha", {"calls": 0})["calls"] >= sent:
                        break
                own_server.kill()
                running.communicate(timeout=60)
            own_server.start()
        open_store(own_server.url, busy).exchange(60)
        assert open_store(own_server.url, busy).pending() == 0
        assert self.arrived(own_server.url, tmp_path, busy)

    def test_a_sender_killed_in_the_middle_sends_nothing_twice(self, own_server, tmp_path, busy):
        code = (
            f"import os, sys; sys.path.insert(0, {str(ROOT)!r})\n"
            "from lib.stores.redis import push\n"
            "from lib.stores.open import open_store\n"
            "push.BATCH_BYTES = 0\n"
            "real, left = push.Push._arrived, int(sys.argv[1])\n"
            "def arrived(self, *given):\n"
            "    global left\n"
            "    left -= 1\n"
            "    if not left: os._exit(9)\n"
            "    real(self, *given)\n"
            "push.Push._arrived = arrived\n"
            f"open_store({own_server.url!r}, {busy!r}).exchange(60)\n"
        )
        for left in (1, 2, 5, 30, 40):
            done = subprocess.run([sys.executable, "-c", code, str(left)], check=False, timeout=60)
            assert done.returncode == 9
        open_store(own_server.url, busy).exchange(60)
        assert open_store(own_server.url, busy).pending() == 0
        assert len(on_server(own_server)) == 153
        assert self.arrived(own_server.url, tmp_path, busy)

    def test_a_server_out_of_memory_is_told_and_what_is_pending_is_sent_later(
        self, own_server, tmp_path, busy
    ):
        client = own_server.client()
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", client.info("memory")["used_memory"] + 50_000)
        with pytest.raises(StoreError, match="OutOfMemory"):
            open_store(own_server.url, busy).exchange(60)
        assert State(busy, "").load_state("k7") == "x" * 2000
        client.config_set("maxmemory", 0)
        open_store(own_server.url, busy).exchange(60)
        assert self.arrived(own_server.url, tmp_path, busy)

    def test_a_replica_that_lags_gets_what_it_lacks(self, own_server, tmp_path, busy, monkeypatch):
        replica = Server(tmp_path / "replica", "--replicaof", f"127.0.0.1 {own_server.port}")
        try:
            open_store(own_server.url, busy).exchange(60)
            while replica.client().info("replication")["master_link_status"] != "up":
                pass
            own_server.client().wait(1, 0)
            replica.client().replicaof("NO", "ONE")  # from here on it hears nothing any more
            store = open_store(own_server.url, busy)
            store.write(KEYS, "late", {"value": "late", "timestamp": journal.now()})
            files = store.read(CHECKPOINTS, "c0")["session"]["files_processed"]
            files["late.py"] = about(77)
            store.write(CHECKPOINTS, "c0", store.sign("c0", session_document("c0", files)))
            store.exchange(60)
            assert store.pending() == 0
            own_server.kill()
            moved = open_store(replica.url, busy)
            moved.exchange(60)
            moved.exchange(60)
            assert self.arrived(replica.url, tmp_path, busy)
        finally:
            replica.kill()

    def test_a_replica_without_the_last_write_replaces_nothing(self, own_server, tmp_path, busy):
        replica = Server(tmp_path / "replica", "--replicaof", f"127.0.0.1 {own_server.port}")
        try:
            store = open_store(own_server.url, busy)
            store.exchange(60)
            while replica.client().info("replication")["master_link_status"] != "up":
                pass
            own_server.client().wait(1, 0)
            replica.client().replicaof("NO", "ONE")
            store.write(KEYS, "k7", {"value": "newer", "timestamp": journal.now()})
            store.delete(KEYS, "k8")
            store.exchange(60)
            own_server.kill()
            moved = open_store(replica.url, busy)
            moved.exchange(60)
            assert moved.read(KEYS, "k7")["value"] == "newer"
            assert moved.read(KEYS, "k8") is None
            assert (moved.pending(), quarantined(moved)) == (0, [])
            assert self.arrived(replica.url, tmp_path, busy)
        finally:
            replica.kill()

    def test_what_a_server_evicted_is_sent_again_and_lost_nowhere(self, own_server, tmp_path, busy):
        one, two = (open_store(own_server.url, each) for each in (busy, machine(tmp_path, "two")))
        one.exchange(60)
        two.exchange(60)
        own_server.client().delete(f"{PREFIX}texts")
        for store in (two, one, two):
            store.exchange(60)
        assert self.arrived(own_server.url, tmp_path, busy)

    @pytest.mark.parametrize("form", ["today", "earlier"])
    def test_one_document_of_a_stranger_costs_the_others_nothing(self, own_server, tmp_path, form):
        client = own_server.client()
        late = "2099-01-01T00:00:00.000Z 000000 x"
        table = {"list": 7, "mark": 1, "count": 1, "next": 1, "rows": 1, "paths": 1}
        head = {"v": 1, "created": "x", "keys": {}}
        hostile = {
            "keys/deep": b'{"value": ' + b"[" * 20_000 + b"]" * 20_000 + b"}",
            "keys/none": b"no JSON",
            "keys/bytes": b"\xff\xfe",
            "keys/list": b"[]",
            "keys/bomb": b'{"value": "' + b"x" * (SIZE_LIMIT + 1) + b'"}',
            "checkpoints/keys": b'{"v": 1, "created": "x"}',
            "keys/../../x": b'{"value": 1}',
            "elsewhere/x": b'{"value": 1}',
        }
        if form == "earlier":
            del hostile["keys/bomb"]
            for name, list_ in (("rows", 1 << 64), ("torn", 7), ("lost", 8)):
                rows = {"session/files_processed": {**table, "list": list_}}
                whole = {**head, "name": name, "session": {}, "rows": rows}
                hostile[f"checkpoints/{name}"] = json.dumps(whole).encode()
            client.zadd(f"{PREFIX}rows:7", {b"[1": 1})
        timestamps, texts = ("timestamps", "texts") if form == "today" else ("stamps", "documents")
        for name, data in hostile.items():
            client.hset(PREFIX + timestamps, name, late)
            packed = zlib.compress(data) if form == "today" else data
            client.hset(PREFIX + texts, name, packed)
        client.hset(PREFIX + timestamps, b"keys/\xff", b"\xff")
        if form == "today":
            for name, text in (("plain", b'{"value": 1}'), ("cut", zlib.compress(b"[]")[:-1])):
                client.hset(PREFIX + timestamps, f"keys/{name}", late)
                client.hset(PREFIX + texts, f"keys/{name}", text)
        one = open_store(own_server.url, machine(tmp_path, "one"))
        one.write(KEYS, "good", {"value": 1, "timestamp": journal.now()})
        one.exchange(10)
        two = open_store(own_server.url, machine(tmp_path, "two"))
        two.exchange(10)
        for store in (one, two):
            assert store.names(KEYS) == ["good"]
            assert store.names(CHECKPOINTS) == []
            refused = [each for each in store.notices if "none of ours" in each]
            assert len(refused) == 8

    @pytest.mark.parametrize(
        "said",
        [
            b":1\r\n",
            b":abc\r\n",
            b"$abc\r\n",
            b"*-5\r\n",
            b"*1\r\n" * 2000,
            b"-FORMAT x\r\n",
            b"\0" * 99,
        ],
        ids=repr,
    )
    def test_whatever_answers_it_is_told_in_one_line(self, tmp_path, busy, said):
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port = listening.getsockname()[1]

            def answer() -> None:
                with contextlib.suppress(OSError):
                    while True:
                        with contextlib.closing(listening.accept()[0]) as client:
                            while client.recv(1 << 16):
                                client.sendall(said)

            threading.Thread(target=answer, daemon=True).start()
            with pytest.raises(StoreError, match=f"127.0.0.1:{port}"):
                open_store(f"redis://127.0.0.1:{port}", busy).exchange(0.5)

    def test_a_server_that_was_emptied_gets_everything_again(self, own_server, tmp_path, busy):
        open_store(own_server.url, busy).exchange(60)
        own_server.client().flushall()
        open_store(own_server.url, busy).exchange(60)
        assert self.arrived(own_server.url, tmp_path, busy)


def test_a_text_of_a_server_takes_no_more_than_a_document_takes(monkeypatch):
    monkeypatch.setattr(document_text, "SIZE_LIMIT", 1 << 20)
    assert document_text.unpacked(zlib.compress(bytes(1 << 20))) == bytes(1 << 20)
    bomb = zlib.compress(bytes(64 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="too long"):
            document_text.unpacked(bomb)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


class TestTls:
    PASSWORD = "correct-horse-battery"

    @pytest.fixture
    def tls(self, tmp_path):
        folder = tmp_path / "tls"
        folder.mkdir()
        subprocess.run(
            "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost "
            "-addext subjectAltName=IP:127.0.0.1,DNS:localhost -keyout key.pem -out cert.pem".split(),
            cwd=folder,
            check=True,
            capture_output=True,
        )
        port = free_port()
        files = {"cert": "cert.pem", "key": "key.pem", "ca-cert": "cert.pem"}
        options = [
            each
            for name, file in files.items()
            for each in (f"--tls-{name}-file", str(folder / file))
        ]
        options += ["--tls-auth-clients", "no", "--tls-port", str(port), "--port", "0"]
        (folder / "users.acl").write_text(
            "user default off\n"
            f"user worker on >{self.PASSWORD} ~workflow-state:* +@all -@dangerous\n"
        )
        server = object.__new__(Server)
        server.folder, server.port = folder, port
        server.options = (*options, "--aclfile", str(folder / "users.acl"))
        from tests.redis_server import need

        need()
        server.start()
        yield server, folder / "cert.pem"
        server.kill()

    def test_a_user_and_a_password_over_tls(self, tls, tmp_path, monkeypatch):
        server, certificate = tls
        query = f"?ssl_ca_certs={certificate}"
        address = f"rediss://worker:{self.PASSWORD}@127.0.0.1:{server.port}/0{query}"
        store = open_store(address, machine(tmp_path, "one"))
        store.write(KEYS, "plan", {"value": 1, "timestamp": journal.now()})
        store.exchange(10)
        monkeypatch.setenv("WORKFLOW_STATE_REDIS_USER", "worker")
        monkeypatch.setenv("WORKFLOW_STATE_REDIS_PASSWORD", self.PASSWORD)
        bare = f"rediss://127.0.0.1:{server.port}/0{query}"
        other = open_store(bare, machine(tmp_path, "two"))
        other.exchange(10)
        assert other.read(KEYS, "plan")["value"] == 1

    def test_a_wrong_password_is_told_without_it(self, tls, tmp_path):
        server, certificate = tls
        address = f"rediss://worker:wrong-{self.PASSWORD}@127.0.0.1:{server.port}/0"
        store = open_store(f"{address}?ssl_ca_certs={certificate}", machine(tmp_path, "one"))
        with pytest.raises(StoreError, match="Authentication") as told:
            store.exchange(10)
        assert self.PASSWORD not in str(told.value)

    def test_a_certificate_that_nobody_vouches_for_is_refused(self, tls, tmp_path):
        server, _ = tls
        address = f"rediss://worker:{self.PASSWORD}@127.0.0.1:{server.port}/0"
        with pytest.raises(StoreError):
            open_store(address, machine(tmp_path, "one")).exchange(10)


class TestHooks:
    @pytest.fixture
    def machines(self, server, tmp_path):
        """Two machines with the project, each with a home of its own."""
        found = []
        for name in ("one", "two"):
            project, home = tmp_path / name / "project", tmp_path / name / "home"
            project.mkdir(parents=True)
            home.mkdir()
            environment = {
                "WORKFLOW_STATE_STORE": server.url,
                "WORKFLOW_STATE_PROJECT": PROJECT,
                "WORKFLOW_STATE_KEY": "shared",
            }
            found.append(Hooks(project, home, environment))
        return found

    def work(self, hooks):
        hooks.prompt("one", "Write it.")
        for number in range(3):
            path = hooks.project / f"f{number}.py"
            path.write_text(str(number))
            hooks.call("one", "Write", f"t{number}", {"file_path": str(path)})
        hooks.stop("one")
        done = hooks.cli("sync")
        assert (done.returncode, done.stderr) == (0, "")

    def test_a_session_on_another_machine_continues_and_says_so(self, machines):
        one, two = machines
        self.work(one)
        told = two.start("two")
        assert "continues session one" in told
        assert "Files changed (3)" in told
        assert "Write it." in told
        assert "gone" in told  # the files are not on this machine

    def test_ones_own_session_comes_before_one_that_may_be_at_work_elsewhere(self, machines):
        one, two = machines
        two.prompt("own", "Mine.")
        two.end("own")
        self.work(one)  # later, and not known to have ended
        assert "continues session own" in two.start("two")

    def test_one_that_ended_elsewhere_is_continued_when_it_is_the_latest(self, machines):
        """Its end is sent by itself: a container may be gone the next moment."""
        one, two = machines
        two.prompt("own", "Mine.")
        two.end("own")
        one.prompt("one", "Write it.")
        one.call("one", "Write", "t1", {"file_path": f"{one.project}/f1.py"})
        one.stop("one")
        one.end("one")
        told = two.start("two")
        assert "continues session one" in told
        assert "f1.py" in told

    def test_one_that_is_alive_in_another_checkout_of_this_machine_is_not_continued(self, machines):
        one, two = machines
        one.environment["CLAUDE_PID"] = str(os.getpid())
        self.work(one)
        told = two.start("two")
        assert "continues" not in told
        assert json.loads(two.cli("sessions", "--json").stdout)[0]["condition"] == "alive"

    def test_both_are_told_when_two_machines_work_on_the_same_file(self, machines):
        one, two = machines
        for hooks, session in ((one, "one"), (two, "two")):
            hooks.prompt(session)
            for name in ("both.py", f"{session}.py"):
                path = f"{hooks.project}/{name}"
                hooks.call(session, "Write", f"{session}{name}", {"file_path": path})
            hooks.stop(session)
            assert hooks.cli("sync").returncode == 0
        for hooks, session, other in ((one, "one", "two"), (two, "two", "one")):
            told = hooks.start(session, "compact")
            assert f"not known to have ended: session {other} of the machine" in told
            assert 'works on the same files: "both.py")' in told

    def test_of_another_machine_only_who_shares_a_file_is_told(self, machines):
        one, two = machines
        self.work(one)
        two.prompt("two")
        two.call("two", "Write", "t", {"file_path": f"{two.project}/own.py"})
        assert "machine" not in two.start("two", "compact")

    def test_under_another_key_the_user_is_told_and_claude_is_not(self, machines):
        one, two = machines
        self.work(one)
        two.environment["WORKFLOW_STATE_KEY"] = "another"
        event = {"hook_event_name": "SessionStart", "session_id": "two", "source": "startup"}
        output = two.send({**event, "cwd": str(two.project)})
        assert "f1.py" not in output
        assert "signed with another key" in json.loads(output)["systemMessage"]

    def test_a_stop_needs_no_server(self, machines):
        one, two = machines
        good = one.environment["WORKFLOW_STATE_STORE"]
        one.environment["WORKFLOW_STATE_STORE"] = f"redis://127.0.0.1:{free_port()}/0"
        one.prompt("one", "Write it.")
        one.call("one", "Write", "t1", {"file_path": str(one.project / "f1.py")})
        one.stop("one")
        assert list(one.show("one")["files_processed"]) == ["f1.py"]
        one.environment["WORKFLOW_STATE_STORE"] = good
        assert one.cli("sync").returncode == 0
        assert "f1.py" in two.start("two")

    def test_a_stop_sends_in_the_background(self, machines, server):
        one, two = machines
        one.prompt("one", "Write it.")
        one.call("one", "Write", "t1", {"file_path": str(one.project / "f1.py")})
        one.stop("one")
        until = time.monotonic() + 60
        while "checkpoints/session-one" not in on_server(server) and time.monotonic() < until:
            pass
        assert "f1.py" in two.start("two")

    def test_a_start_without_a_server_tells_what_is_here(self, machines):
        one, _ = machines
        self.work(one)
        one.environment["WORKFLOW_STATE_STORE"] = f"redis://127.0.0.1:{free_port()}/0"
        event = {"hook_event_name": "SessionStart", "session_id": "next", "source": "startup"}
        output = json.loads(one.send({**event, "cwd": str(one.project)}))
        assert "f1.py" in output["hookSpecificOutput"]["additionalContext"]
        assert "what is pending stays pending" in output["systemMessage"]

    def test_the_doctor_tells_whether_the_server_can_be_reached(self, machines, server):
        one, _ = machines
        self.work(one)

        def found():
            checks = json.loads(one.cli("doctor", "--json").stdout)["checks"]
            return next(each for each in checks if each["check"] == "store")

        assert found()["state"] == "ok"
        one.environment["WORKFLOW_STATE_STORE"] = f"redis://x:hunter2@127.0.0.1:{free_port()}/0"
        assert found()["state"] == "mend"
        assert "ConnectionError" in found()["said"]
        assert "hunter2" not in str(found())


REMOTES = {
    "https": "https://github.com/owner/name.git",
    "https with a user and a password": "https://user:secret@GitHub.com/owner/name.git",
    "https with a port": "https://github.com:443/owner/name/",
    "ssh": "ssh://git@github.com/owner/name",
    "ssh with a port": "ssh://git@github.com:22/owner/name.git",
    "scp": "git@github.com:owner/name.git",
    "scp without a user": "github.com:owner/name",
    "git": "git://github.com/owner/name.git",
    "with a token in its query": "https://github.com/owner/name.git?private_token=hunter2",
    "with a fragment": "https://github.com/owner/name#hunter2",
    "in other case": "git@GitHub.com:Owner/Name.git",
}


CONFIGURATIONS = {
    "another case": '[Remote "origin"]\n\tURL = git@github.com:owner/name.git\n',
    "one line": '[remote "origin"] url = git@github.com:owner/name.git\n',
    "a comment behind it": '[remote "origin"]\n\turl = github.com:owner/name ; mine\n',
    "a comment before it": '[remote "origin"]\n#url = x:y/z\n;url = x:y/z\nurl = github.com:owner/name\n',
    "continuation lines": '[remote "origin"]\n\turl = git@github.com:ow\\\nner/name\n',
    "quotes": '[remote "origin"]\n\turl = "https://github.com/owner/name" # mine\n',
    "insteadOf": '[url "git@github.com:"]\ninsteadOf = gh:\n[remote "origin"]\nurl = gh:owner/name\n',
    "a dot": "[remote.origin]\nurl = github.com:owner/name\n",
    "the only one": '[remote "up.\\"stream"]\n\turl = git@github.com:owner/name\n',
    "the first of two": '[remote "a"]\nurl = h:o/n\n[remote "origin"]\nurl = github.com:owner/name\n',
}


class TestIdentity:
    @pytest.mark.parametrize("remote", REMOTES.values(), ids=REMOTES)
    def test_all_forms_of_a_remote_are_one_project(self, remote):
        assert normalised(remote) == "github.com/owner/name"

    @pytest.mark.parametrize(
        "remote",
        [
            *("", "/srv/git/name.git", "../name", "file:///srv/name", "./a:b"),
            *("C:/x/y", "C:\\x", "ext::sh -c x"),
        ],
    )
    def test_a_path_names_nothing_on_another_machine(self, remote):
        assert normalised(remote) == ""

    @pytest.mark.parametrize(
        "remote", ["ssh://git@[::1]:22/o/N", "git@[::1]:o/N", "http://[::1]/o/N"]
    )
    def test_an_address_in_brackets_is_a_host(self, remote):
        assert normalised(remote) == "[::1]/o/N"

    @pytest.mark.parametrize("with_git", [True, False], ids=["git", "no git"])
    @pytest.mark.parametrize("configuration", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
    def test_whatever_git_takes_for_a_remote_is_one(
        self, configuration, with_git, tmp_path, monkeypatch
    ):
        monkeypatch.delenv("WORKFLOW_STATE_PROJECT")
        subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
        with open(tmp_path / ".git" / "config", "a", encoding="utf-8") as file:
            file.write(configuration)
        if not with_git:
            monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
        assert project_name(f"{tmp_path}/.claude/state") == "github.com/owner/name"

    def test_what_git_refuses_is_read_without_it(self, tmp_path, monkeypatch):
        monkeypatch.delenv("WORKFLOW_STATE_PROJECT")
        subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
        with open(tmp_path / ".git" / "config", "a", encoding="utf-8") as file:
            file.write(
                '[core]\n\trepositoryformatversion = 99\n[remote "origin"]\n\turl = h.org:o/n\n'
            )
        assert project_name(f"{tmp_path}/.claude/state") == "h.org/o/n"

    def test_a_state_directory_elsewhere_is_of_the_project_that_is_worked_on(
        self, tmp_path, monkeypatch
    ):
        monkeypatch.delenv("WORKFLOW_STATE_PROJECT")
        project = tmp_path / "project"
        subprocess.run(["git", "init", "-q", str(project)], check=True)
        git = ["git", "-C", str(project), "remote", "add", "origin", REMOTES["scp"]]
        subprocess.run(git, check=True)
        monkeypatch.delenv("CLAUDE_PROJECT_DIR", raising=False)
        monkeypatch.chdir(project)
        assert project_name(f"{tmp_path}/elsewhere") == "github.com/owner/name"

    def test_two_names_are_two_projects(self, monkeypatch):
        found = []
        for name in ("a b", "a_b", "a%20b", "a{b", "tëam/Name-1.2"):
            monkeypatch.setenv("WORKFLOW_STATE_PROJECT", name)
            found.append(project_name("/nowhere/.claude/state"))
        assert found == ["a%20b", "a_b", "a%2520b", "a%7Bb", "tëam/Name-1.2"]

    def test_it_is_found_in_git_also_in_a_linked_worktree(self, tmp_path, monkeypatch):
        monkeypatch.delenv("WORKFLOW_STATE_PROJECT")
        main, linked = tmp_path / "main", tmp_path / "linked"
        git = ["git", "-c", "user.name=n", "-c", "user.email=e@example.org", "-C", str(main)]
        subprocess.run(["git", "init", "-q", str(main)], check=True)
        subprocess.run([*git, "remote", "add", "origin", REMOTES["scp"]], check=True)
        subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
        subprocess.run([*git, "worktree", "add", "-q", str(linked)], check=True)
        for project in (main, linked):
            assert project_name(f"{project}/.claude/state") == "github.com/owner/name"

    def test_without_a_remote_it_is_asked_for(self, tmp_path, monkeypatch):
        monkeypatch.delenv("WORKFLOW_STATE_PROJECT")
        with pytest.raises(StoreError, match="WORKFLOW_STATE_PROJECT"):
            project_name(machine(tmp_path, "one"))


def test_a_python_without_the_package_is_told_how_to_get_it(tmp_path, monkeypatch, server):
    store = open_store(server.url, machine(tmp_path, "one"))
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(StoreError, match="pip install redis"):
        store.exchange(5)


def test_the_client_is_loaded_by_an_exchange_only():
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from lib.stores.open import open_store\n"
        "open_store('redis://127.0.0.1:1/0', '/nonexistent')\n"
        "sys.exit('redis' in sys.modules or 'threading' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-I", "-S", "-c", code], check=False).returncode == 0
