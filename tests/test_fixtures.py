"""This version reads what the first version wrote: tests/fixtures, through the real scripts.

fixtures/README.md says what each fixture is. Each test works on a copy.
"""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest

from lib.state import State
from tests.conftest import ROOT, Hooks
from tests.fixtures import answers, make
from tests.redis_server import Server

FIXTURES = ROOT / "tests" / "fixtures"


def names(pattern: str) -> list[str]:
    return sorted(path.name.partition(".")[0] for path in FIXTURES.glob(pattern))


def expected(name: str) -> dict:
    return json.loads((FIXTURES / name / "expected.json").read_text())


def data(name: str) -> bytes:
    return gzip.decompress((FIXTURES / name).read_bytes())


class Reader:
    """Opens fixtures, in one home."""

    def __init__(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.place = place
        self.monkeypatch = monkeypatch

    def open(self, fixture: str = "", store: str = "json", name: str = "project") -> Hooks:
        """A copy of a fixture, or an empty project."""
        project, home = self.place / name, self.place / "home"
        project.mkdir()
        home.mkdir(exist_ok=True)
        variables = {"WORKFLOW_STATE_STORE": store, "WORKFLOW_STATE_KEY": make.KEY}
        variables["WORKFLOW_STATE_PROJECT"] = "you/project"
        for each, value in variables.items():
            self.monkeypatch.setenv(each, value)
        if fixture:
            make.unpack((FIXTURES / f"{fixture}.tar.gz").read_bytes(), project)
        return Hooks(project, home, variables)


@pytest.fixture
def reader(tmp_path, monkeypatch) -> Reader:
    return Reader(tmp_path, monkeypatch)


def state(hooks: Hooks) -> State:
    """The state where it is: in the project until a session has started there."""
    return State(hooks.directory if hooks.directory.exists() else hooks.view, "")


def asked(hooks: Hooks) -> dict:
    """What this version says, as JSON has it."""

    def ask(*arguments: str):
        done = hooks.cli(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return json.loads(json.dumps(answers.answers(state(hooks), ask)))


def outline(hooks: Hooks) -> dict:
    return answers.outline(state(hooks))


def differences(before: object, now: object, where: str = "") -> list[str]:
    """Where an answer differs from the first version's. An object may have more members now."""
    if isinstance(before, dict) and isinstance(now, dict):
        pairs = [
            (value, now.get(key, "nothing"), f"{where}.{key}") for key, value in before.items()
        ]
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        pairs = [(*pair, f"{where}[{at}]") for at, pair in enumerate(zip(before, now))]
    else:
        return [] if before == now else [f"{where}: {before!r:.300} is now {now!r:.300}"]
    return [each for pair in pairs for each in differences(*pair)]


# --- states ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("store", "name"), [("json", "state"), ("sqlite", "state"), ("sqlite", "many")]
)
def test_the_answers_stay(reader, store, name):
    hooks = reader.open(f"{store}/{name}", store)
    assert differences(expected(store)[name], asked(hooks)) == []


@pytest.mark.parametrize("store", ["json", "sqlite"])
def test_a_start_tells_where_the_last_session_stood(reader, store):
    hooks = reader.open(f"{store}/state", store)
    for name in ("kept.txt", "made.txt", "notes.md", "src/parser.py"):
        os.utime(hooks.project / name)  # so the digests have to tell
    told = hooks.start("the-next")
    facts = expected(store)["told"]
    assert len(facts) > 10
    assert [fact for fact in facts if fact not in told] == []
    assert "not yours" not in told  # another user's request
    assert "On disk since" not in told  # the files are as the fingerprints say
    assert hooks.show("the-next")["continues"] == "S-One~ae38002cd1cad612"


@pytest.mark.parametrize(
    ("store", "name", "session", "path"),
    [
        ("json", "state", "S-One", "src/parser.py"),
        ("sqlite", "state", "S-One", "src/parser.py"),
        ("sqlite", "many", "many", "made/0007.txt"),
    ],
)
def test_a_session_goes_on(reader, store, name, session, path):
    hooks = reader.open(f"{store}/{name}", store)
    before = hooks.show(session)
    hooks.start(session, "resume")
    for each in (path, "new.txt"):
        given = {"file_path": str(hooks.project / each)}
        hooks.call(session, "Write", each, given, {"type": "create"})
    hooks.stop(session)
    now = hooks.show(session)
    assert list(now["files_processed"]) == [*before["files_processed"], "new.txt"]
    assert now["files_processed"][path]["count"] == before["files_processed"][path]["count"] + 1
    assert now["counts"]["calls"] == before["counts"]["calls"] + 2
    assert (now["started"], now["current_phase"]) == (before["started"], before["current_phase"])
    assert now["last_checkpoint_at"] != before["last_checkpoint_at"]


@pytest.mark.parametrize("store", ["json", "sqlite"])
def test_the_last_restore_can_be_undone(reader, store):
    hooks = reader.open(f"{store}/state", store)
    assert hooks.cli("get", "later").returncode == 1
    assert hooks.cli("undo").returncode == 0
    assert json.loads(hooks.cli("get", "later").stdout) == [1, 2.5, None]
    assert hooks.cli("restore", "Second").returncode == 0
    assert hooks.cli("restore", "session-stranger").returncode == 1  # of another user's key


def test_quarantined_files_stay_and_stale_temporary_files_go(reader):
    hooks = reader.open("json/state")
    stale = sorted(hooks.view.rglob(".tmp-*"))
    quarantined = sorted(hooks.view.rglob("*.damaged-*"))
    assert (len(stale), len(quarantined)) == (2, 2)
    for path in stale:
        os.utime(path, (1, 1))
    hooks.start("the-next")
    assert sorted(hooks.view.rglob(".tmp-*")) == []
    assert sorted(hooks.view.rglob("*.damaged-*")) == quarantined


def test_a_start_keeps_the_rows_of_every_checkpoint(reader):
    hooks = reader.open("sqlite/many", "sqlite")
    hooks.start("the-next")
    found = {each["name"]: each for each in asked(hooks)["checkpoints"]}
    for each in expected("sqlite")["many"]["checkpoints"]:
        assert differences(each, found[each["name"]]) == []


# --- what was interrupted ----------------------------------------------------------------------


@pytest.mark.parametrize("name", names("restore/*.tar.gz"))
def test_a_killed_restore_is_finished_or_has_not_begun(reader, name):
    store, _, phase = name.partition("-")
    hooks = reader.open(f"restore/{name}", store)
    wanted = expected("restore")["before" if phase == "kept" else "after"]
    assert outline(hooks) == wanted
    assert hooks.cli("set", "plan", "9").returncode == 0  # the next writer finishes it
    assert not (hooks.directory / ".restore.json").exists()
    wanted["keys"] = [[key, "9" if key == "plan" else value] for key, value in wanted["keys"]]
    assert outline(hooks) == wanted
    assert hooks.cli("undo").returncode == 0
    assert outline(hooks)["keys"] == expected("restore")["before"]["keys"]


@pytest.mark.parametrize("name", names("import/*-*.tar.gz"))
def test_a_killed_import_can_be_run_again(reader, tmp_path, name):
    wanted = expected("import")[name.partition("-")[0]]
    hooks = reader.open(f"import/{name}", wanted.pop("store"))
    file = tmp_path / "late.tar"
    file.write_bytes(data("import/late.tar.gz"))
    done = hooks.cli("import", str(file), *wanted.pop("arguments"))
    assert done.returncode == 0, done.stderr
    assert outline(hooks) == wanted
    assert not (hooks.directory / ".import").exists()


# --- exports, servers, settings ----------------------------------------------------------------


@pytest.mark.parametrize(("name", "store"), [("json", "sqlite"), ("sqlite", "json")])
def test_an_empty_project_imports_an_export(reader, tmp_path, name, store):
    hooks = reader.open(store=store)
    hooks.choose()
    (tmp_path / "state.tar").write_bytes(data(f"export/{name}.tar.gz"))
    assert hooks.cli("import", str(tmp_path / "state.tar")).returncode == 0
    assert differences(expected("export")[name], asked(hooks)) == []


@pytest.fixture
def server(tmp_path):
    server = Server(tmp_path / "server")
    make.load(server.client(), data("redis/server.jsonl.gz"))
    yield server
    server.kill()


def synced(hooks: Hooks) -> Hooks:
    done = hooks.cli("sync")
    assert done.returncode == 0, done.stderr
    return hooks


def test_a_new_machine_takes_everything_from_the_server(reader, server):
    hooks = synced(reader.open(store=server.url))
    assert differences(expected("redis")["taken"], asked(hooks)) == []


def test_a_machine_reads_its_own_copy_without_the_server(reader):
    for name in ("machine", "other"):
        hooks = reader.open(f"redis/{name}", "redis://127.0.0.1:1/0", name)
        assert differences(expected("redis")[name], asked(hooks)) == []


@pytest.mark.parametrize(("machine", "dump"), [("machine", "server"), ("half", "half")])
def test_a_machine_sends_its_pending_changes(reader, server, machine, dump):
    make.load(server.client(), data(f"redis/{dump}.jsonl.gz"))
    synced(reader.open(f"redis/{machine}", server.url, "machine"))
    new = synced(reader.open("", server.url, "new"))
    assert differences(expected("redis")["given"], asked(new)) == []
    other = synced(reader.open("redis/other", server.url, "other"))
    assert differences(expected("redis")["other, later"], asked(other)) == []


@pytest.mark.parametrize(
    ("file", "options"), [("settings.local.json", []), ("settings.json", ["--shared"])]
)
def test_a_registration_is_replaced_and_removed(hooks, file, options):
    settings = hooks.project / ".claude" / file
    settings.parent.mkdir()
    settings.write_bytes((FIXTURES / "settings" / file).read_bytes())
    assert hooks.cli("install", *options).returncode == 0
    registered = json.loads(settings.read_text())["hooks"]
    commands = {
        event: [hook["command"] for group in groups for hook in group["hooks"]]
        for event, groups in registered.items()
    }
    assert commands["Stop"].pop(0) == "say done"
    assert {event: len(each) for event, each in commands.items()} == dict.fromkeys(make.SCRIPTS, 1)
    assert "/home/you" not in settings.read_text()
    assert hooks.cli("uninstall", *options).returncode == 0
    before = (FIXTURES / "settings" / "before.json").read_text()
    assert json.loads(settings.read_text()) == json.loads(before)
