"""`export` and `import`: all of it, byte for byte, or nothing; from anybody's hands."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from lib.commands import transfer
from lib.errors import StateError, Unreadable
from lib.format import documents
from lib.maintenance.archive_format import opened
from lib.maintenance.importing import Staging
from lib.recording import journal
from lib.state import State
from lib.terminal.progress import Progress
from tests import warm
from tests.conftest import ROOT, Hooks
from tests.terminal import Terminal

CLI = ROOT / "bin" / "workflow-state"


def run(hooks, *arguments: str, code: int = 0, **options) -> str:
    done = hooks.cli(*arguments, **options)
    assert done.returncode == code, (arguments, done.stdout, done.stderr)
    if code == 1:
        assert done.stdout == ""
        assert done.stderr.startswith("workflow-state: ")
        assert done.stderr.count("\n") == 1, done.stderr
        return done.stderr
    assert done.stderr == ""
    return done.stdout


@pytest.fixture
def worked(hooks):
    """Two sessions, of which one stopped, keys and a named checkpoint."""
    hooks.start("S-One")  # with capitals: its file has a digest in its name
    hooks.prompt("S-One", "add a parser")
    given = {"file_path": str(hooks.project / "a.py")}
    hooks.call("S-One", "Write", "1", given, {"type": "create"})
    hooks.stop("S-One")
    hooks.prompt("two")
    for arguments in (("set", "plan", '{"step": 1}'), ("set", "Note", "x"), ("checkpoint", "mine")):
        assert hooks.cli(*arguments).returncode == 0
    return hooks


@pytest.fixture
def exported(worked, tmp_path):
    """The file of it."""
    file = tmp_path / "state.tar"
    run(worked, "export", "-o", str(file))
    return file


def another(tmp_path: Path, name: str = "other", home: Path | None = None) -> Hooks:
    """An empty project; of another user, unless a home is given."""
    project = tmp_path / name / "project"
    project.mkdir(parents=True)
    hooks = Hooks(project, home or tmp_path / name / "home")
    hooks.home.mkdir(exist_ok=True)
    if home is None:  # there the key shows what is whose
        hooks.choose()
    return hooks


def tree(directory: Path) -> dict[str, bytes]:
    """What a state directory holds, but for what every one has."""
    common = {".gitignore", "README", ".lock", "project.json", "view.json"}
    return {
        str(path.relative_to(directory)).replace("keys/", ""): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and path.name not in common
    }


# --- out and in --------------------------------------------------------------------------------


def test_what_comes_in_is_what_went_out(worked, exported, tmp_path):
    other = another(tmp_path, home=worked.home)
    shown = run(other, "import", str(exported))
    assert shown == f"Imported 2 sessions, 2 checkpoints, 4 keys from {exported}.\n"
    assert tree(other.directory) == tree(worked.directory)
    for path in other.directory.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path
    for session in ("S-One", "two"):
        assert other.show(session) == worked.show(session)
    assert run(other, "get", "plan") == '{\n  "step": 1\n}\n'
    assert run(other, "trust", "--dry-run").startswith("Everything in")


def test_which_session_was_active_last_is_kept(worked, tmp_path):
    sessions = worked.directory / "sessions"
    for number, path in enumerate(sorted(sessions.iterdir(), reverse=True)):
        os.utime(path, ns=(0, 1_700_000_000_123_456_789 + number))
    run(worked, "export", "-o", str(tmp_path / "f"))
    other = another(tmp_path, home=worked.home)
    run(other, "import", str(tmp_path / "f"))
    for path in sessions.iterdir():
        copy = other.directory / "sessions" / path.name
        assert copy.stat().st_mtime_ns == path.stat().st_mtime_ns
    assert other.show()["session_id"] == worked.show()["session_id"]


def test_the_file_is_private_and_the_same_state_gives_the_same_bytes(worked, exported, tmp_path):
    assert exported.stat().st_mode & 0o777 == 0o600
    run(worked, "export", "-o", str(tmp_path / "again"))
    assert (tmp_path / "again").read_bytes() == exported.read_bytes()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".tmp-")] == []


def test_stdout_and_stdin_do_as_well(worked, exported, tmp_path):
    other = another(tmp_path)
    command = f'"{sys.executable}" "{CLI}" %s'
    for arguments in ("export", "export -o -", "export --json"):
        piped = subprocess.run(
            ["/bin/sh", "-c", command % arguments],
            cwd=worked.project,
            env=worked.env(),
            capture_output=True,
            check=True,
        )
        assert (piped.stdout, piped.stderr) == (exported.read_bytes(), b"")
    done = subprocess.run(
        ["/bin/sh", "-c", command % "import -"],
        cwd=other.project,
        env=other.env(),
        input=piped.stdout,
        capture_output=True,
        check=True,
    )
    assert done.stdout.startswith(b"Imported 2 sessions")


@pytest.mark.parametrize("kind", ["theirs", "an earlier export", "link"])
def test_a_file_that_is_there_stays_unless_it_is_forced(worked, exported, tmp_path, kind):
    file = tmp_path / "keep.txt"
    file.write_bytes(exported.read_bytes() if kind == "an earlier export" else b"a letter\n")
    name = tmp_path / "link" if kind == "link" else file
    if kind == "link":
        name.symlink_to(file)
    before = file.read_bytes(), file.stat().st_ino
    done = worked.cli("export", "-o", str(name))
    assert (done.returncode, done.stdout) == (1, "")
    said = f"workflow-state: {name} is there; nothing was exported: --force replaces it\n"
    assert done.stderr == said
    assert (file.read_bytes(), file.stat().st_ino) == before
    assert list(tmp_path.glob(".tmp-*")) == []
    run(worked, "export", "-o", str(name), "--force")
    assert file.read_bytes() == exported.read_bytes()
    assert name.is_symlink() is (kind == "link")


def test_a_file_that_appears_meanwhile_stays(worked, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(worked.home))
    file = tmp_path / "keep.txt"

    def write(state, out, step):
        file.write_text("a letter\n")
        return {}

    monkeypatch.setattr(transfer, "write_export", write)
    with pytest.raises(StateError, match="is there; nothing was exported"):
        transfer._to_file(State(str(worked.directory), ""), str(file), False, Progress(""))
    assert file.read_text() == "a letter\n"


def test_a_tar_reads_it_and_its_digests_are_right(worked, exported):
    with tarfile.open(exported) as file:
        members = {member.name: file.extractfile(member).read() for member in file}
    assert list(members)[0] == ".export.json"
    assert json.loads(members[".export.json"]) == {"format": "workflow-state export", "v": 1}
    listed = json.loads(members.pop(".manifest.json"))["members"]
    del members[".export.json"]
    assert members == tree(worked.directory)
    assert {
        name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in members.items()
    } == {
        name: {k: v for k, v in about.items() if k != "mtime_ns"} for name, about in listed.items()
    }


def test_as_json(worked, exported, tmp_path):
    told = json.loads(run(worked, "export", "-o", str(exported), "--force", "--json"))
    assert told == {
        "file": str(exported),
        "bytes": exported.stat().st_size,
        "keys": 4,
        "checkpoints": 2,
        "sessions": 2,
    }
    other = another(tmp_path)
    told = json.loads(run(other, "import", str(exported), "--json"))
    assert set(told["new"]) == set(tree(worked.directory))
    assert told["longer"] == told["same"] == told["kept"] == []
    assert told["foreign"]["records"] == 7
    assert told["foreign"]["checkpoints"] == 2


def test_a_line_that_is_being_written_stays_behind(worked, tmp_path):
    path = worked.directory / "sessions" / "two.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + b'\n{"v":1,"at":"2026')
    run(worked, "export", "-o", str(tmp_path / "f"))
    with tarfile.open(tmp_path / "f") as file:
        assert file.extractfile("sessions/two.jsonl").read() == whole + b"\n"


def test_what_is_damaged_is_left_out_and_told(worked, tmp_path):
    (worked.directory / "keys/plan.json").write_bytes(b"{")
    done = worked.cli("export", "-o", str(tmp_path / "f"))
    assert done.returncode == 0
    assert "left out: " in done.stderr
    assert "plan.json" in done.stderr
    other = another(tmp_path)
    run(other, "import", str(tmp_path / "f"))
    assert "plan" not in run(other, "get").split()


LONG = "k" * 128


def test_names_of_any_length_and_case_travel(hooks, tmp_path):
    hooks.prompt("x" * 300)
    hooks.prompt("with spaces\nand more")
    for name in (LONG, LONG.upper()):
        run(hooks, "set", name, "1")
        run(hooks, "checkpoint", name)
    run(hooks, "export", "-o", str(tmp_path / "f"))
    other = another(tmp_path, home=hooks.home)
    run(other, "import", str(tmp_path / "f"))
    assert tree(other.directory) == tree(hooks.directory)


BIG = ["x" * 100] * 30_000


def test_more_than_one_chunk_travels(hooks, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(hooks.home))
    hooks.prompt("s")
    hooks.stop("s")
    State(hooks.directory, "").save_state("big", BIG)
    run(hooks, "export", "-o", str(tmp_path / "f"))
    other = another(tmp_path, home=hooks.home)
    run(other, "import", str(tmp_path / "f"))
    assert tree(other.directory) == tree(hooks.directory)


# --- whose it is -------------------------------------------------------------------------------


def test_another_user_s_records_are_theirs_until_they_are_adopted(worked, exported, tmp_path):
    other = another(tmp_path)
    shown = run(other, "import", str(exported))
    assert "Another user or machine wrote 7 records, 2 checkpoints, 4 keys" in shown
    started = {"hook_event_name": "SessionStart", "session_id": "new", "source": "startup"}
    output = json.loads(other.send(started))
    assert "hookSpecificOutput" not in output
    assert "`workflow-state trust` adopts them" in output["systemMessage"]
    assert other.cli("restore", "mine").returncode == 1
    run(other, "trust")
    assert "continues session" in other.start("newer")
    run(other, "restore", "mine")


def test_one_s_own_stay_one_s_own(worked, exported, tmp_path):
    shutil.rmtree(worked.directory)
    assert "Another" not in run(worked, "import", str(exported))
    assert "continues session two" in worked.start("new")


# --- what is here already ----------------------------------------------------------------------


def test_what_is_recorded_here_is_not_touched_without_merge(worked, exported, tmp_path):
    other = another(tmp_path, home=worked.home)
    run(other, "set", "plan", "mine")
    before = tree(other.directory)
    assert "--merge" in run(other, "import", str(exported), code=1)
    assert tree(other.directory) == before


def test_a_merge_only_adds(worked, exported, tmp_path):
    other = another(tmp_path, home=worked.home)
    run(other, "set", "plan", "mine")
    run(other, "set", "own", "1")
    other.prompt("two", "something else")
    run(other, "checkpoint", "mine")
    before = tree(other.directory)
    shown = run(other, "import", str(exported), "--merge").splitlines()
    assert shown[0].startswith("Imported 1 session, 1 checkpoint, 3 keys")
    assert shown[1:] == [
        "Kept as it is here: checkpoint mine",
        "Kept as it is here: key plan",
        "Kept as it is here: session two",
    ]
    after = tree(other.directory)
    assert {name: after[name] for name in before} == before
    assert other.show("S-One")["files_processed"].keys() == {"a.py"}


def test_a_session_that_went_on_in_the_file_goes_on_here(worked, exported, tmp_path):
    other = another(tmp_path, home=worked.home)
    run(other, "import", str(exported))
    given = {"file_path": str(worked.project / "b.py")}
    worked.call("S-One", "Write", "2", given, {"type": "create"})
    worked.stop("S-One")
    run(worked, "export", "-o", str(tmp_path / "later"))
    shown = run(other, "import", str(tmp_path / "later"), "--merge")
    assert "Goes on: session S-One~" in shown
    assert "Goes on: checkpoint session-S-One." in shown
    assert tree(other.directory)["checkpoints/mine.json"]
    assert list(other.show("S-One")["files_processed"]) == ["a.py", "b.py"]
    # the older file has nothing to say to that any more
    before = tree(other.directory)
    run(other, "import", str(exported), "--merge")
    assert tree(other.directory) == before


def test_what_is_here_already_is_no_error(worked, exported):
    before = tree(worked.directory)
    shown = run(worked, "import", str(exported))
    assert shown == f"There is nothing in {exported} that is missing here.\n"
    assert tree(worked.directory) == before


def test_a_session_that_is_running_is_not_written_over(worked, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(worked.home))
    other = another(tmp_path, home=worked.home)
    alive = {"event": "UserPromptSubmit", "pid": os.getpid(), "host": os.uname().nodename}
    journal.write(str(worked.directory), "running", alive)
    run(worked, "export", "-o", str(tmp_path / "first"))
    run(other, "import", str(tmp_path / "first"))
    journal.write(str(worked.directory), "running", {"event": "Stop"})
    run(worked, "export", "-o", str(tmp_path / "second"))
    before = tree(other.directory)
    told = run(other, "import", str(tmp_path / "second"), "--merge", code=1)
    assert "session running is running here" in told
    assert tree(other.directory) == before


def test_a_dry_run_only_says(worked, exported, tmp_path):
    other = another(tmp_path, home=worked.home)
    shown = run(other, "import", str(exported), "--dry-run")
    assert shown.startswith("Would import 2 sessions, 2 checkpoints, 4 keys")
    assert not other.directory.exists()
    before = tree(worked.directory)
    run(worked, "import", str(exported), "--dry-run")
    assert tree(worked.directory) == before


# --- bad files ---------------------------------------------------------------------------------


def members_of(file: Path) -> dict[str, bytes]:
    with tarfile.open(file) as archived:
        return {each.name: archived.extractfile(each).read() for each in archived}


def packed(members: list, manifest: dict | None = None) -> bytes:
    """An export of these members: names with bytes, or TarInfo as they are; the manifest fits."""
    out = io.BytesIO()
    listed = {}
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as file:

        def put(name: str, data: bytes) -> None:
            about = tarfile.TarInfo(name)
            about.size = len(data)
            file.addfile(about, io.BytesIO(data))

        put(".export.json", b'{"format": "workflow-state export", "v": 1}\n')
        for each in members:
            if isinstance(each, tarfile.TarInfo):
                file.addfile(each)
                listed[each.name] = {"size": 0, "sha256": hashlib.sha256(b"").hexdigest()}
            else:
                put(*each)
                digest = hashlib.sha256(each[1]).hexdigest()
                listed[each[0]] = {"size": len(each[1]), "sha256": digest}
        document = documents.signed(".manifest.json", manifest or {"members": listed})
        put(".manifest.json", document.data)
    return out.getvalue()


def odd(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    about = tarfile.TarInfo(name)
    about.type, about.linkname = kind, target
    return about


KEY = b'{"value": 1, "timestamp": "2026-11-23T12:00:00.000Z"}\n'
POINT = '{"v": %d, "name": "%s", "created": "2026-11-23T12:00:00.000Z", "keys": {}}\n'

HOSTILE = {
    "a path upwards": [("../plan.json", KEY)],
    "a path upwards in a collection": [("checkpoints/../../plan.json", KEY)],
    "an absolute path": [("/plan.json", KEY)],
    "an absolute path in tmp": [("/tmp/evil.json", KEY)],
    "a dot in front": [("./plan.json", KEY)],
    "a file of the state's own": [(".gitignore", b"")],
    "an intent": [(".restore.json", b"{}")],
    "a plan": [(".plan.json", b"{}")],
    "a collection that is none": [("other/plan.json", KEY)],
    "a collection that is keys": [("keys/plan.json", KEY)],
    "a folder in a collection": [("sessions/a/b.jsonl", b"")],
    "another suffix": [("plan.txt", KEY)],
    "a journal as a key": [("plan.jsonl", b"")],
    "a name of a device": [("con.json", KEY)],
    "a stem that is not its name's": [("Plan~0000000000000000.json", KEY)],
    "capitals without a digest": [("Plan.json", KEY)],
    "a session that is no stem": [("sessions/a b.jsonl", b"")],
    "a session of no name": [("sessions/.jsonl", b"")],
    "a NUL": [("sessions/a\0b.jsonl", b"")],
    "a symlink": [odd("plan.json", tarfile.SYMTYPE, "/etc/passwd")],
    "a symlink for a collection": [odd("sessions", tarfile.SYMTYPE, "/tmp")],
    "a hard link": [odd("plan.json", tarfile.LNKTYPE, "/etc/passwd")],
    "a FIFO": [odd("plan.json", tarfile.FIFOTYPE)],
    "a device": [odd("plan.json", tarfile.CHRTYPE)],
    "a folder": [odd("sessions", tarfile.DIRTYPE)],
    "a member twice": [("plan.json", KEY), ("plan.json", KEY)],
    "a key that is no JSON": [("plan.json", b"{")],
    "a key without a value": [("plan.json", b"{}")],
    "a key that nests too deeply": [("plan.json", b'{"value": ' + b"[" * 200_000 + b"1}")],
    "a checkpoint that is a list": [("checkpoints/one.json", b"[]")],
    "a checkpoint without keys": [("checkpoints/one.json", b'{"v": 1, "name": "one"}')],
    "a checkpoint of a later version": [("checkpoints/one.json", (POINT % (2, "one")).encode())],
    "a checkpoint of another name": [("checkpoints/one.json", (POINT % (1, "two")).encode())],
}


def refused(hooks, file: Path, tmp_path: Path) -> str:
    """The file is refused, by an empty project and by a busy one, and nothing is changed."""
    before = tree(hooks.directory)
    told = run(hooks, "import", str(file), "--merge", code=1)
    assert "nothing was changed" in told
    assert tree(hooks.directory) == before
    assert not list(hooks.directory.glob(".import*"))
    empty = another(tmp_path, "empty")
    run(empty, "import", str(file), code=1)
    assert list(empty.project.iterdir()) == []
    return told


@pytest.mark.parametrize("members", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_member_is_refused(worked, tmp_path, members):
    file = tmp_path / "f"
    file.write_bytes(packed([("first.json", KEY), *members]))
    refused(worked, file, tmp_path)
    assert not Path("/tmp/evil.json").exists()


def test_what_is_put_together_by_hand_comes_in_when_it_is_right(tmp_path):
    """Else none of the above would prove anything."""
    file, other = tmp_path / "f", another(tmp_path)
    point = (POINT % (1, "one")).encode()
    file.write_bytes(packed([("plan.json", KEY), ("checkpoints/one.json", point)]))
    run(other, "import", str(file))
    assert tree(other.directory) == {"plan.json": KEY, "checkpoints/one.json": point}


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_of_any_length_is_not_read_into_memory(worked, tmp_path, kind):
    about = tarfile.TarInfo("plan.json")
    about.type, about.size = kind, (1 << 33) - 1
    data = packed([])
    file = tmp_path / "f"
    file.write_bytes(data[:1024] + about.tobuf(tarfile.USTAR_FORMAT) + bytes(1 << 20))
    assert "no plain file" in refused(worked, file, tmp_path)


def test_a_member_that_the_disk_has_no_room_for_is_refused_before_it_is_read(worked, tmp_path):
    about = tarfile.TarInfo("sessions/huge.jsonl")
    about.size = 1 << 50
    file = tmp_path / "f"
    file.write_bytes(packed([])[:1024] + about.tobuf(tarfile.PAX_FORMAT) + bytes(1 << 20))
    before = tree(worked.directory)
    told = run(worked, "import", str(file), "--merge", code=1)
    assert "has no room for it" in told
    assert tree(worked.directory) == before


def changed(data: bytes, member: str) -> bytes:
    """A byte of a member's contents flipped."""
    with tarfile.open(fileobj=io.BytesIO(data)) as file:
        at = file.getmember(member).offset_data + 5
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


DAMAGE = {
    "no bytes": lambda data: b"",
    "a text": lambda data: b"hello, this is no tar\n" * 100,
    "another tar": lambda data: data[1024:],
    "gzip": lambda data: b"\x1f\x8b\x08\x00" + data,
    "zstd": lambda data: b"\x28\xb5\x2f\xfd" + data,
    "a later version": lambda data: data.replace(b'"v": 1}\n', b'"v": 2}\n', 1),
    "another format": lambda data: data.replace(b"workflow-state export", b"workflow-state expert"),
    "a byte of a key": lambda data: changed(data, "plan.json"),
    "a byte of a journal": lambda data: changed(data, "sessions/two.jsonl"),
    "a byte of a checkpoint": lambda data: changed(data, "checkpoints/mine.json"),
    "a byte of the manifest": lambda data: changed(data, ".manifest.json"),
    "a member more behind its end": lambda data: (
        data.rstrip(b"\0") + bytes(-len(data.rstrip(b"\0")) % 512) + data
    ),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_file_is_refused(worked, exported, tmp_path, damage):
    file = tmp_path / "f"
    file.write_bytes(damage(exported.read_bytes()))
    refused(worked, file, tmp_path)


def test_a_manifest_that_lists_more_or_less_is_refused(worked, exported, tmp_path):
    members = members_of(exported)
    manifest = json.loads(members.pop(".manifest.json"))
    del members[".export.json"]
    file = tmp_path / "f"
    missing = [(name, data) for name, data in members.items() if name != "plan.json"]
    file.write_bytes(packed(missing, manifest))
    assert "plan.json is not what" in refused(worked, file, tmp_path)
    del manifest["members"]["plan.json"]
    file.write_bytes(packed(list(members.items()), manifest))
    assert "plan.json is not what" in refused(worked, file, tmp_path / "again")


def test_a_file_that_is_cut_anywhere_is_refused(worked, exported, tmp_path, monkeypatch):
    """In this process, for the many places; the manifest's last byte is the first that will do."""
    monkeypatch.setenv("HOME", str(worked.home))
    data = exported.read_bytes()
    with tarfile.open(exported) as file:
        last = file.getmember(".manifest.json")
    end = last.offset_data + (last.size + 511) // 512 * 512
    state = State(str(worked.directory), "")
    cuts = [*range(0, end, 211), end - 1]
    for cut in cuts:
        source = io.BufferedReader(io.BytesIO(data[:cut]))
        with pytest.raises(Unreadable):
            with Staging(state) as staging:
                staging.fill(opened(source), None)
    assert not list(worked.directory.glob(".import*"))
    with Staging(state) as staging:
        staging.fill(opened(io.BufferedReader(io.BytesIO(data[:end]))), None)
        assert len(staging.members) == 8


BAD = {
    "a file that is not there": ("import", "nowhere.tar"),
    "a folder": ("import", "."),
    "an export to nowhere": ("export", "-o", "no/such/folder/f"),
    "an export onto a folder": ("export", "-o", "."),
}


@pytest.mark.parametrize("arguments", BAD.values(), ids=BAD)
def test_bad_arguments_are_told_in_one_line(worked, arguments):
    run(worked, *arguments, code=1)


def test_nothing_recorded_is_nothing_to_export(hooks, tmp_path):
    assert "nothing is recorded" in run(hooks, "export", "-o", str(tmp_path / "f"), code=1)
    assert not (tmp_path / "f").exists()
    assert list(tmp_path.glob(".tmp-*")) == []
    assert not hooks.directory.exists()


def test_a_full_disk_behind_stdout_is_said(worked):
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, str(CLI), "export"],
            cwd=worked.project, env=worked.env(), stdout=full, stderr=subprocess.PIPE, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == (
        b"workflow-state: the export could not be written: No space left on device\n"
    )


@pytest.mark.parametrize("arguments", [("export", "-o"), ("import",)], ids=" ".join)
def test_a_session_cannot_be_picked(worked, exported, arguments):
    """Else it would be taken for the only one in the file."""
    before = exported.read_bytes()
    done = worked.cli("--session", "two", *arguments, str(exported))
    assert done.returncode == 2
    assert "an export has the whole state: leave out --session" in done.stderr
    assert exported.read_bytes() == before


def test_an_export_that_fails_leaves_the_file_of_before(worked, exported):
    before = exported.read_bytes()
    (worked.directory / "checkpoints").rename(worked.directory / "gone")
    (worked.directory / "checkpoints").symlink_to("gone")
    run(worked, "export", "-o", str(exported), "--force", code=1)
    assert exported.read_bytes() == before
    assert list(exported.parent.glob(".tmp-*")) == []


def test_a_device_is_written_to(worked):
    run(worked, "export", "-o", "/dev/null")
    assert Path("/dev/null").is_char_device()
    assert "No space left" in run(worked, "export", "-o", "/dev/full", code=1)


def test_a_terminal_is_not_written_to(worked):
    command = [worked.python, str(CLI), "export"]
    with Terminal(command, worked.project, worked.env()) as terminal:
        assert terminal.wait() == 1
        assert "name a file with -o FILE" in terminal.shown


def test_a_reader_that_has_seen_enough_is_no_error(worked, monkeypatch):
    monkeypatch.setenv("HOME", str(worked.home))
    State(worked.directory, "").save_state("big", BIG)
    done = subprocess.run(
        ["/bin/sh", "-c", f'"{sys.executable}" "{CLI}" export | head -c 1'],
        cwd=worked.project,
        env=worked.env(),
        capture_output=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == (b".", b"")


# --- interrupted -------------------------------------------------------------------------------

STRIKE = """
import os, sys
place, number, sig = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.utime", "os.link"}
left = number
def strike(event, given):
    global left
    if event in CHANGES or (event == "open" and type(given[2]) is int and given[2] & os.O_CREAT):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), sig)
sys.path.insert(0, place)
from lib.commands.main import main
sys.addaudithook(strike)
sys.argv[1:] = sys.argv[4:]
code = main()
os._exit(77 if left > 0 else code)
"""
"""Runs the command line; a signal comes before its n-th change of the disk, 77 if never."""


def struck(hooks, number: int, sig: int, *arguments: str) -> int:
    command = ["-c", STRIKE, str(ROOT), str(number), str(int(sig)), *arguments]
    done = warm.run(command, hooks.project, hooks.env())
    assert done.returncode in (77, -sig, 130), done.stderr
    return done.returncode


@pytest.mark.parametrize(
    ("sig", "merge"),
    [(signal.SIGKILL, False), (signal.SIGKILL, True), (signal.SIGINT, True)],
    ids=["SIGKILL, into nothing", "SIGKILL, a merge", "SIGINT, a merge"],
)
def test_an_import_that_was_interrupted_can_be_run_again(hooks, tmp_path, sig, merge):
    hooks.prompt("s")
    hooks.stop("s")
    run(hooks, "set", "plan", "1")
    run(hooks, "export", "-o", str(tmp_path / "first"))
    hooks.prompt("s", "more")
    hooks.stop("s")
    run(hooks, "set", "later", "1")
    run(hooks, "export", "-o", str(tmp_path / "second"))
    new = tree(hooks.directory)
    arguments = ["import", str(tmp_path / "second"), *["--merge"] * merge]
    base = another(tmp_path, "base", home=hooks.home)
    if merge:
        run(base, "import", str(tmp_path / "first"))
    old = tree(base.directory)
    seen = set()
    for number in range(1, 200, 2):
        other = another(tmp_path, f"{number}", home=hooks.home)
        if merge:
            shutil.copytree(base.directory, other.directory)
        code = struck(other, number, sig, *arguments)
        left = recorded(other)
        assert all(data in (old.get(name), new[name]) for name, data in left.items()), number
        if sig == signal.SIGINT and left != new:
            assert not list(other.directory.glob(".import-*"))
        run(other, "checkpoints")  # no other command has to finish anything
        assert recorded(other) == left
        run(other, *arguments)
        assert recorded(other) == new, number
        seen.add("old" if left == old else "new" if left == new else "part")
        shutil.rmtree(other.project)
        if code == 77:
            break
    assert seen == {"old", "part", "new"}


def recorded(hooks) -> dict[str, bytes]:
    """A state less the files that a killed process was about to write."""
    return {
        name: data
        for name, data in tree(hooks.directory).items()
        if not name.startswith(".import-") and not Path(name).name.startswith(".tmp-")
    }


def test_what_hooks_record_between_an_import_and_the_same_again_stays(worked, exported, tmp_path):
    """Killed at each step, then used by hooks and by hand, then imported once more."""
    for number in range(1, 200, 4):
        other = another(tmp_path, f"{number}", home=worked.home)
        code = struck(other, number, signal.SIGKILL, "import", str(exported))
        other.prompt("two", "of this machine")
        other.prompt("new", "also of this machine")
        run(other, "set", "plan", '"of this machine"')
        before = recorded(other)
        if not (other.directory / "sessions" / "S-One~.jsonl").exists() and code != 77:
            assert "use --merge" in run(other, "import", str(exported), code=1)
        run(other, "import", str(exported), "--merge")
        after = recorded(other)
        assert {name: after[name] for name in before} == before, number
        assert other.show("two")["last_request"] == "of this machine"
        assert list(other.show("S-One")["files_processed"]) == ["a.py"]
        shutil.rmtree(other.project)
        if code == 77:
            break


@pytest.mark.parametrize(
    "sig", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM], ids=lambda sig: sig.name
)
def test_an_export_that_is_interrupted_leaves_the_file_of_before(worked, exported, sig):
    exported.write_bytes(b"before")
    for number in range(1, 30):
        code = struck(worked, number, sig, "export", "-o", str(exported), "--force")
        if code == 77:
            break
        assert exported.read_bytes() == b"before"
        if sig != signal.SIGKILL:
            assert list(exported.parent.glob(".tmp-*")) == []
    assert number > 2
    assert tarfile.is_tarfile(exported)


def test_without_a_key_what_comes_in_is_another_user_s(worked, exported, tmp_path):
    other = another(tmp_path)
    environment = {name: value for name, value in other.env().items() if name != "HOME"}
    shown = run(other, "import", str(exported), env=environment)
    assert "Another user or machine wrote 7 records, 2 checkpoints, 4 keys" in shown


def test_what_a_killed_import_left_goes_when_it_is_old(worked, exported):
    left = worked.directory / ".import-0123456789abcdef"
    left.mkdir()
    run(worked, "import", str(exported), "--dry-run")
    assert left.exists()
    os.utime(left, (1, 1))
    run(worked, "import", str(exported), "--dry-run")
    assert not left.exists()
