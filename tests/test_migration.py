"""Moving between any two stores: whole, in its order, resumable, with the source left alone."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from pathlib import Path

import pytest

from lib.errors import StoreError
from lib.maintenance.migration import migrate
from lib.recording import journal
from lib.state import State
from lib.stores import CHECKPOINTS, KEYS
from lib.stores.open import open_store
from lib.stores.redis.connection import holds_password
from lib.stores.redis.store import Redis
from tests.installing import trust
from tests.redis_server import Server
from tests.store_contract import PATHS, call

STORES = ("json", "sqlite", "redis")
WAYS = [(source, target) for source in STORES for target in STORES if source != target]


@pytest.fixture
def urls(request, tmp_path, monkeypatch):
    monkeypatch.setenv("WORKFLOW_STATE_PROJECT", "moved")
    found = {"json": "json", "sqlite": f"sqlite:///{tmp_path}/elsewhere.db"}
    callspec = getattr(request.node, "callspec", None)
    if callspec is None or "redis" not in callspec.params["way"]:
        yield found
        return
    server = Server(tmp_path / "server")
    found["redis"] = server.url
    yield found
    server.kill()


@pytest.fixture
def directory(tmp_path) -> str:
    (tmp_path / "project").mkdir()
    return str(tmp_path / "project" / ".claude" / "state")


def fill(directory: str) -> None:
    """A session with checkpoints in several states, keys of all kinds, and a restore."""
    for step in range(4):
        for number in range(step * 5, step * 5 + 8):
            journal.write(directory, "s", call(number))
        journal.write(directory, "s", {**call(100 + step), "path": PATHS[step] or "x"})
        state = State(directory, "s")
        state.save_state("Plan", {"step": step, "text": "\ud800 \u2028"})
        state.checkpoint_session("Stop")
        state.checkpoint(f"Named-{step}")
    State(directory, "s").restore_checkpoint("Named-1")


def content(url: str, directory: str) -> dict:
    """All that a store holds, less its signs."""
    store = open_store(url, directory)
    found = {}
    for name in store.names(CHECKPOINTS):
        whole = State.read_checkpoint(_over(store, directory), name)
        whole.pop("check", None)
        for kept in whole["keys"].values():
            kept.pop("check", None)
        found[name] = json.dumps(whole, sort_keys=True) + repr(
            list((whole["session"] or {}).get("files_processed", ()))
        )
    for name in store.names(KEYS):
        document = store.read(KEYS, name)
        found["key", name] = (repr(document["value"]), document["timestamp"])
        if name == "files_processed":
            found["key", name] = (repr(list(document["value"])), document["timestamp"])
    return found


def shared(found: dict) -> dict:
    """What of it other machines get: not what was kept before a change on this one."""
    return {name: each for name, each in found.items() if not str(name).startswith("before-")}


def _over(store, directory: str) -> State:
    state = State(directory, "")
    state.store = store
    return state


@pytest.mark.parametrize("way", WAYS, ids="-".join)
def test_all_of_it_is_there_as_it_was(way, urls, directory, monkeypatch):
    source, target = urls[way[0]], urls[way[1]]
    monkeypatch.setenv("WORKFLOW_STATE_STORE", source)
    fill(directory)
    before = content(source, directory)
    found = migrate(State(directory, ""), target)
    assert (found["copied"], found["there"], found["left"]) == (len(before), 0, [])
    assert content(target, directory) == before == content(source, directory)
    found = migrate(State(directory, ""), target)
    assert (found["copied"], found["there"]) == (0, len(before))


@pytest.mark.parametrize("way", WAYS, ids="-".join)
def test_work_goes_on_in_the_new_store(way, urls, directory, monkeypatch):
    monkeypatch.setenv("WORKFLOW_STATE_STORE", urls[way[0]])
    fill(directory)
    files = list(State(directory, "s").session_state()["files_processed"])
    migrate(State(directory, ""), urls[way[1]])
    monkeypatch.setenv("WORKFLOW_STATE_STORE", urls[way[1]])
    journal.write(directory, "s", call(777))
    State(directory, "s").checkpoint_session("Stop")
    state = State(directory, "s")
    assert list(state.session_state()["files_processed"]) == [*files, "f777"]
    assert state.restore_checkpoint("Named-2")
    assert state.load_state("Plan")["step"] == 2


def test_many_checkpoints_of_one_session_are_not_many_copies(urls, directory, tmp_path):
    import sqlite3

    fill(directory)
    migrate(State(directory, ""), urls["sqlite"])
    database = sqlite3.connect(tmp_path / "elsewhere.db")
    rows = database.execute("SELECT count(*) FROM rows").fetchone()[0]
    database.close()
    assert rows < 60  # 27 files, at 8 checkpoints and 2 of a restore


def test_one_that_was_ended_goes_on(urls, directory, monkeypatch):
    fill(directory)
    before = content("json", directory)

    class Ended(Exception):
        pass

    def end(done: int, _all: int) -> None:
        if done == 4:
            raise Ended

    with pytest.raises(Ended):
        migrate(State(directory, ""), urls["sqlite"], end)
    found = migrate(State(directory, ""), urls["sqlite"])
    assert (found["copied"], found["there"]) == (len(before) - 4, 4)
    assert content(urls["sqlite"], directory) == before


def test_the_source_is_left_alone_to_the_byte(urls, directory):
    fill(directory)

    def digests() -> dict:
        return {
            path: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in Path(directory).rglob("*")
            if path.is_file()
        }

    before = digests()
    migrate(State(directory, ""), urls["sqlite"])
    assert digests() == before


@pytest.mark.parametrize("way", [("json", "sqlite"), ("sqlite", "json")], ids="-".join)
def test_a_strangers_stays_a_strangers(way, urls, directory, monkeypatch):
    monkeypatch.setenv("WORKFLOW_STATE_STORE", urls[way[0]])
    monkeypatch.setenv("WORKFLOW_STATE_KEY", "a stranger's")
    fill(directory)
    before = content(urls[way[0]], directory)
    monkeypatch.setenv("WORKFLOW_STATE_KEY", "mine")
    migrate(State(directory, ""), urls[way[1]])
    target = open_store(urls[way[1]], directory)
    trusts = {target.read(CHECKPOINTS, name).trust for name in target.names(CHECKPOINTS)}
    assert trusts == {"foreign"}
    assert content(urls[way[1]], directory) == before


def test_what_is_damaged_is_told_and_the_rest_is_copied(urls, directory):
    fill(directory)
    (Path(directory) / "checkpoints" / "Broken.json").write_text("{")
    name = journal.stem("Broken")
    (Path(directory) / "checkpoints" / "Broken.json").rename(
        Path(directory) / "checkpoints" / f"{name}.json"
    )
    found = migrate(State(directory, ""), urls["sqlite"])
    assert found["copied"] > 8
    assert open_store(urls["sqlite"], directory).read(CHECKPOINTS, "Broken") is None


def test_from_sqlite_to_a_server_only_what_others_see_is_sent(directory, monkeypatch, tmp_path):
    server = Server(tmp_path / "server")
    try:
        monkeypatch.setenv("WORKFLOW_STATE_PROJECT", "moved")
        monkeypatch.setenv("WORKFLOW_STATE_STORE", "sqlite")
        fill(directory)
        before = content("sqlite", directory)
        found = migrate(State(directory, ""), server.url)
        assert (found["copied"], found["there"]) == (0, len(before))
        (tmp_path / "other").mkdir()
        other = str(tmp_path / "other" / ".claude" / "state")
        open_store(server.url, other).exchange(60)
        assert content(server.url, other) == shared(before)
    finally:
        server.kill()


@pytest.fixture
def servers(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKFLOW_STATE_PROJECT", "moved")
    found = [Server(tmp_path / f"server{number}") for number in range(2)]
    yield found
    for server in found:
        server.kill()


def test_from_a_server_what_only_other_machines_have_comes_along(
    servers, directory, monkeypatch, tmp_path
):
    monkeypatch.setenv("WORKFLOW_STATE_STORE", servers[0].url)
    fill(directory)
    before = content(servers[0].url, directory)
    open_store(servers[0].url, directory).exchange(60)
    (tmp_path / "other").mkdir()
    other = str(tmp_path / "other" / ".claude" / "state")
    found = migrate(State(other, ""), "json")
    assert (found["copied"], found["left"]) == (len(shared(before)), [])
    assert content("json", other) == shared(before)


def test_from_a_server_that_is_gone_what_is_here_is_copied_and_the_rest_told(
    servers, directory, monkeypatch
):
    monkeypatch.setenv("WORKFLOW_STATE_STORE", servers[0].url)
    fill(directory)
    before = content(servers[0].url, directory)
    servers[0].kill()
    found = migrate(State(directory, ""), "json")
    assert found["copied"] == len(before)
    assert "what only other machines have was not copied" in found["left"][0]
    assert content("json", directory) == before


def test_from_one_server_to_another(servers, directory, monkeypatch, tmp_path):
    monkeypatch.setenv("WORKFLOW_STATE_STORE", servers[0].url)
    fill(directory)
    before = content(servers[0].url, directory)
    migrate(State(directory, ""), servers[1].url)
    servers[0].kill()
    (tmp_path / "other").mkdir()
    other = str(tmp_path / "other" / ".claude" / "state")
    open_store(servers[1].url, other).exchange(60)
    assert content(servers[1].url, other) == shared(before)


FILED = [way for way in WAYS if "redis" not in way]


@pytest.mark.parametrize("way", FILED, ids="-".join)
def test_what_was_removed_does_not_come_back_with_the_way_back(way, urls, directory, monkeypatch):
    there, here = urls[way[0]], urls[way[1]]
    monkeypatch.setenv("WORKFLOW_STATE_STORE", here)
    for key in ("one", "two"):
        State(directory, "").save_state(key, key)
    State(directory, "").checkpoint("only-here")
    migrate(State(directory, ""), there)
    monkeypatch.setenv("WORKFLOW_STATE_STORE", there)
    state = State(directory, "")
    assert state.delete_state("one")
    state.save_state("two", "anew")
    state.delete_checkpoint("only-here")
    found = migrate(state, here)
    assert (found["removed"], found["replaced"], found["left"]) == (["one"], ["two"], [])
    monkeypatch.setenv("WORKFLOW_STATE_STORE", here)
    state = State(directory, "")
    assert (state.keys(), state.load_state("two")) == (["two"], "anew")
    (kept,) = found["kept"]
    assert {each["name"] for each in state.checkpoints()} == {"only-here", kept}
    assert kept.startswith("before-migrate-")
    state.restore_checkpoint(kept)
    assert (state.load_state("one"), state.load_state("two")) == ("one", "two")


@pytest.mark.parametrize("way", FILED, ids="-".join)
def test_what_was_saved_later_there_stays_and_is_told(way, urls, directory, monkeypatch):
    def save(url: str, key: str, value: str, at: str) -> None:
        store = open_store(url, directory)
        store.write(KEYS, key, store.sign(key, {"value": value, "timestamp": at}))
        checkpoint = {"v": 1, "name": key, "created": at, "trigger": value, "keys": {}}
        store.write(CHECKPOINTS, key, store.sign(key, {**checkpoint, "session": None}))

    source, target = urls[way[0]], urls[way[1]]
    monkeypatch.setenv("WORKFLOW_STATE_STORE", source)
    for key, ours, theirs in (("earlier", "2", "1"), ("later", "2", "3")):
        save(source, key, "ours", f"2026-01-0{ours}T00:00:00.000Z")
        save(target, key, "theirs", f"2026-01-0{theirs}T00:00:00.000Z")
    found = migrate(State(directory, ""), target)
    assert sorted(found["later"]) == ["checkpoints later", "keys later"]
    assert (found["replaced"], found["copied"]) == (["earlier"], 2)
    store = open_store(target, directory)
    for key, whose in (("earlier", "ours"), ("later", "theirs")):
        assert store.read(KEYS, key)["value"] == whose
        assert store.read(CHECKPOINTS, key)["trigger"] == whose


def test_of_keys_that_may_only_be_unreadable_none_is_removed(urls, directory, monkeypatch):
    fill(directory)
    migrate(State(directory, ""), urls["sqlite"])
    (Path(directory) / f"keys/{journal.stem('Plan')}.json").write_text("{")
    found = migrate(State(directory, ""), urls["sqlite"])
    assert len(found["left"]) == 1
    assert found["removed"] == []
    assert open_store(urls["sqlite"], directory).read(KEYS, "Plan")["value"]["step"] == 1


def test_from_another_store_what_is_new_is_copied_and_nothing_is_removed(
    urls, directory, monkeypatch
):
    State(directory, "").save_state("old", 1)
    monkeypatch.setenv("WORKFLOW_STATE_STORE", urls["sqlite"])
    state = State(directory, "")
    state.save_state("new", 2)
    found = migrate(state, urls["sqlite"], source="json")
    assert (found["copied"], found["removed"], found["kept"]) == (1, [], [])
    assert state.keys() == ["new", "old"]


def test_at_a_server_nothing_of_others_is_removed_and_nothing_forgotten_is_sent(
    servers, directory, monkeypatch, tmp_path
):
    (tmp_path / "other").mkdir()
    other = str(tmp_path / "other" / ".claude" / "state")
    there = open_store(servers[0].url, other)

    def save(key: str) -> None:
        there.write(KEYS, key, there.sign(key, {"value": "theirs", "timestamp": journal.now()}))
        there.exchange(60)

    save("theirs")
    open_store(servers[0].url, directory).exchange(60)
    # What was left in SQLite when this machine went back to JSON is of no use to others.
    monkeypatch.setenv("WORKFLOW_STATE_STORE", "sqlite")
    for key in ("forgotten", "same"):
        State(directory, "").save_state(key, 1)
    save("same")
    monkeypatch.setenv("WORKFLOW_STATE_STORE", "json")
    State(directory, "").save_state("ours", 1)
    found = migrate(State(directory, ""), servers[0].url)
    assert (found["removed"], found["left"]) == (["forgotten", "same"], [])
    for each in (directory, other):
        store = open_store(servers[0].url, each)
        store.exchange(60)
        assert store.names(KEYS) == ["ours", "same", "theirs"]
        assert store.read(KEYS, "same")["value"] == "theirs"


class TestVerification:
    """After a migration the server is asked, not what is known of it here."""

    @pytest.fixture
    def moved(self, servers, directory, monkeypatch):
        fill(directory)
        assert migrate(State(directory, ""), servers[0].url)["left"] == []
        return open_store(servers[0].url, directory), servers[0].client()

    @pytest.mark.parametrize("what", ["texts", "timestamps"])
    def test_a_document_that_is_not_there_is_missed(self, moved, what):
        store, client = moved
        client.hdel(f"workflow-state:{{moved}}:{what}", "keys/Plan")
        assert store.unsent() == ["keys Plan"]

    def test_an_older_one_is_missed_and_a_later_one_of_another_machine_is_not(self, moved):
        store, client = moved
        for at, missing in (("2020", ["keys Plan"]), ("2999", [])):
            client.hset("workflow-state:{moved}:timestamps", "keys/Plan", f"{at}-01-01 of another")
            assert store.unsent() == missing

    def test_what_has_not_arrived_is_told(self, servers, directory, monkeypatch):
        monkeypatch.setenv("WORKFLOW_STATE_STORE", "sqlite")
        State(directory, "").save_state("plan", 1)
        monkeypatch.setattr(Redis, "exchange", lambda *_: None)  # as one whose time was up
        found = migrate(State(directory, ""), servers[0].url)
        assert found["left"] == ["keys plan has not arrived at the server"]


def test_to_itself_is_refused(directory):
    with pytest.raises(StoreError, match="in use"):
        migrate(State(directory, ""), "json")


@pytest.mark.parametrize(
    "url",
    [
        "redis://:hunter2@h",
        "redis://user:hunter2@h:1/0",
        "redis://user%3Ahunter2@h",
        "redis://h?password=hunter2",
        "redis://h?pass%77ord=hunter2",
        "redis://h?db=1&PASSWORD=hunter2",
        "redis://h?db=1;password=hunter2",
        "redis://h?db=1#password=hunter2",
        "redis://:hun?ter2@h",
        "redis://:hun/ter2@h",
        "redis://user:hunter2",
        "redis://[::1",
        "rediss://h?ssl_password=hunter2",
        "unix://user:hunter2@/run/redis.sock",
    ],
)
def test_what_may_be_a_password_counts_as_one(url):
    assert holds_password(url)


@pytest.mark.parametrize(
    "url",
    [
        *("json", "sqlite", "sqlite:///a:b@c?password=x", "redis://h", "redis://user@h:1/0"),
        *("rediss://[::1]:6379/1?ssl_ca_certs=/a%20b", "unix:///run/redis.sock?db=1"),
    ],
)
def test_an_address_without_a_password_may_be_written(url):
    assert not holds_password(url)


class TestCommand:
    def test_one_command_each_time_from_json_to_sqlite_to_a_server_and_back(self, hooks, tmp_path):
        """As a person does it: nothing is set by hand, hooks get what the settings say."""
        server = Server(tmp_path / "server")
        local = hooks.project / ".claude" / "settings.local.json"
        trust(hooks)
        chosen, files = "json", []
        try:
            hooks.environment["WORKFLOW_STATE_PROJECT"] = "moved"
            for step, to in enumerate(("sqlite", server.url, "json", "sqlite")):
                hooks.prompt("s")
                files.append(f"f{step}.py")
                hooks.call("s", "Write", f"t{step}", {"file_path": f"{hooks.project}/{files[-1]}"})
                hooks.stop("s")
                hooks.environment.pop("WORKFLOW_STATE_STORE", None)  # a terminal has it not
                assert json.loads(hooks.cli("get", "files_processed").stdout) == files
                done = hooks.cli("migrate", "--to", to)
                assert (done.returncode, done.stderr) == (0, "")
                assert f"{local} chooses it" in done.stdout
                assert "once you have trusted" not in done.stdout
                chosen = json.loads(local.read_text())["env"]
                assert chosen["WORKFLOW_STATE_STORE"] == to
                hooks.environment.update(chosen)
            hooks.call("s", "Write", "t9", {"file_path": f"{hooks.project}/last.py"})
            hooks.stop("s")
            assert list(hooks.show("s")["files_processed"]) == [*files, "last.py"]
        finally:
            server.kill()

    def test_the_settings_keep_all_else_and_go_back_to_the_byte(self, hooks):
        local = hooks.project / ".claude" / "settings.local.json"
        local.parent.mkdir()
        before = '{\n\t"env": {"A": "1"},\n\t"model": "opus"\n}'
        local.write_text(before)
        assert hooks.cli("install").returncode == 0
        registered = local.read_text()
        done = hooks.cli("migrate", "--to", "sqlite")
        assert (done.returncode, "once you have trusted the folder" in done.stdout) == (0, True)
        assert local.read_text() == registered.replace(
            '{"A": "1"}', '{"A": "1", "WORKFLOW_STATE_STORE": "sqlite"}'
        )
        trust(hooks)
        assert hooks.cli("migrate", "--to", "json").returncode == 0
        assert local.read_text().count("WORKFLOW_STATE_STORE") == 1
        assert hooks.cli("uninstall").returncode == 0
        assert local.read_text() == before

    def test_for_a_team_or_not_at_all(self, hooks):
        team = hooks.project / ".claude" / "settings.json"
        assert hooks.cli("migrate", "--to", "sqlite", "--copy-only").returncode == 0
        assert not team.exists()
        assert not (hooks.project / ".claude" / "settings.local.json").exists()
        assert hooks.cli("migrate", "--to", "sqlite", "--shared").returncode == 0
        assert json.loads(team.read_text()) == {"env": {"WORKFLOW_STATE_STORE": "sqlite"}}

    def test_a_file_that_cannot_be_changed_stops_it_before_it_begins(self, hooks):
        hooks.cli("set", "plan", "1")
        local = hooks.project / ".claude" / "settings.local.json"
        local.write_text("{,}")
        done = hooks.cli("migrate", "--to", "sqlite")
        assert done.returncode == 1
        assert "line 1, column 2" in done.stderr
        assert not (hooks.directory / "state.sqlite3").exists()

    def test_who_is_running_is_told_and_what_to_run_when_they_have_ended(self, hooks):
        hooks.environment["CLAUDE_PID"] = str(os.getpid())
        hooks.prompt("one")
        told = hooks.cli("migrate", "--to", "sqlite").stdout
        assert "until they end: one." in told
        saved = {**hooks.env(), "WORKFLOW_STATE_STORE": "json"}
        assert hooks.cli("set", "note", "1", env=saved).returncode == 0
        hooks.environment["WORKFLOW_STATE_STORE"] = "sqlite"  # as the settings say by now
        assert hooks.cli("set", "new", "2").returncode == 0
        assert hooks.cli("migrate", "--from", "json", "--to", "sqlite", "--shared").returncode == 2
        command = told.splitlines()[-1].split()
        assert command[0] == "workflow-state"
        done = hooks.cli(*command[1:])
        assert (done.returncode, done.stderr) == (0, "")
        assert hooks.cli("get").stdout.split() == ["new", "note"]

    def test_where_something_was_left_the_new_store_is_not_chosen(self, hooks):
        local = hooks.project / ".claude" / "settings.local.json"
        hooks.cli("set", "k", "1")
        file = hooks.directory / "keys/k.json"
        file.write_text(file.read_text().replace("{\n", '{\n  "v": 2,\n', 1))
        done = hooks.cli("migrate", "--to", "sqlite")
        assert done.returncode == 1
        assert "format version 2" in done.stderr
        assert "run this again" in done.stdout
        assert "WORKFLOW_STATE_STORE" in done.stdout
        assert not local.exists()
        file.unlink()
        assert hooks.cli("migrate", "--to", "sqlite").returncode == 0
        assert local.exists()

    def test_a_server_that_stands_still_is_given_up(self, hooks, tmp_path):
        server = Server(tmp_path / "server")
        try:
            hooks.environment.update(
                WORKFLOW_STATE_PROJECT="moved", WORKFLOW_STATE_STORE=server.url
            )
            hooks.cli("set", "plan", "1")
            assert hooks.cli("sync").returncode == 0
            server.signal(signal.SIGSTOP)
            done = hooks.cli("migrate", "--to", "json", timeout=60)
            assert done.returncode == 1
            assert "what only other machines have was not copied" in done.stderr
        finally:
            server.kill()

    def test_the_doctor_says_when_it_is_time_to(self, hooks, monkeypatch):
        def found():
            checks = json.loads(hooks.cli("doctor", "--json").stdout)["checks"]
            return next(each for each in checks if each["check"] == "store")

        monkeypatch.setenv("HOME", str(hooks.home))
        for count, state in ((10_000, "ok"), (10_001, "note")):
            State(hooks.directory, "s").save_state(
                "files_processed", [f"f{n}" for n in range(count)]
            )
            assert found()["state"] == state
        assert "10001 files" in found()["said"]
        assert hooks.cli(*found()["mend"].split()[1:]).returncode == 0
        hooks.environment["WORKFLOW_STATE_STORE"] = "sqlite"
        assert found()["state"] == "ok"

    def test_a_password_in_the_address_is_neither_printed_nor_kept(self, hooks, tmp_path):
        server = Server(tmp_path / "server", "--requirepass", "hunter2")
        try:
            hooks.environment["WORKFLOW_STATE_PROJECT"] = "moved"
            for url in (f":hunter2@127.0.0.1:{server.port}/0", "user:hunter2@127.0.0.1:1/0"):
                done = hooks.cli("migrate", "--to", f"redis://{url}", "--json")
                assert done.returncode == (1 if ":1/" in url else 0), done.stderr
                assert "hunter2" not in done.stdout + done.stderr
            said = hooks.cli("migrate", "--to", f"redis://:hunter2@127.0.0.1:{server.port}/0")
            assert "written to no file" in said.stdout
        finally:
            server.kill()
        files = [path for path in (hooks.project, hooks.home) for path in path.rglob("*")]
        assert not [path for path in files if path.is_file() and b"hunter2" in path.read_bytes()]


class TestSessions:
    def test_who_is_alive_and_what_two_share(self, hooks):
        hooks.environment["CLAUDE_PID"] = str(os.getpid())
        for session in ("one", "two"):
            hooks.start(session)
            hooks.prompt(session)
            for path in ("both.py", f"{session}.py"):
                hooks.call(
                    session, "Write", f"{session}{path}", {"file_path": f"{hooks.project}/{path}"}
                )
            hooks.stop(session)
        listed = json.loads(hooks.cli("sessions", "--json").stdout)
        assert {each["session_id"]: each["condition"] for each in listed} == {
            "one": "alive",
            "two": "alive",
        }
        assert [each["shares"] for each in listed] == [{"one": ["both.py"]}, {"two": ["both.py"]}]
        assert "one and two both work on: both.py" in hooks.cli("sessions").stdout
        # Each is told at its own start.
        for session in ("one", "two"):
            told = hooks.start(session, "compact")
            assert 'works on the same files: "both.py"' in told

    def test_all_lists_those_that_ended(self, hooks):
        hooks.prompt("one")
        hooks.end("one")
        assert "No session is alive" in hooks.cli("sessions").stdout
        assert "stopped" in hooks.cli("sessions", "--all").stdout


class TestExport:
    """A file of `export` holds whole documents, whatever the store."""

    def test_what_sqlite_exports_json_imports(self, hooks, tmp_path):
        hooks.environment["WORKFLOW_STATE_STORE"] = "sqlite"
        hooks.prompt("s")
        for number in range(3):
            path = {"file_path": f"{hooks.project}/f{number}.py"}
            hooks.call("s", "Write", f"t{number}", path)
            hooks.stop("s")
        hooks.cli("set", "plan", "1")
        hooks.cli("checkpoint", "named")
        before = json.loads(hooks.cli("show", "named", "--json").stdout)
        done = hooks.cli("export", "-o", str(tmp_path / "state.tar"))
        assert (done.returncode, done.stderr) == (0, "")
        hooks.environment["WORKFLOW_STATE_STORE"] = "json"
        (tmp_path / "other").mkdir()
        hooks.project = tmp_path / "other"
        done = hooks.cli("import", str(tmp_path / "state.tar"))
        assert done.returncode == 0, done.stderr
        after = json.loads(hooks.cli("show", "named", "--json").stdout)
        for each in (before, after):
            each.pop("check", None)
            for kept in each["keys"].values():
                kept.pop("check", None)
        assert after == before
        assert after["keys"]["files_processed"]["value"] == ["f0.py", "f1.py", "f2.py"]
        assert hooks.cli("restore", "named").returncode == 0
