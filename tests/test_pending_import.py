"""What an import of the first version left when it was killed is finished by the next import.

tests/fixtures has what that version itself left; here are the cases that it could not leave.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile

import pytest

from lib.format import documents
from tests.test_transfer import another, run, tree, worked  # noqa: F401

KEY = b'{"value": 1, "timestamp": "2026-11-23T12:00:00.000Z"}\n'


@pytest.fixture
def file(worked, tmp_path):  # noqa: F811
    """The export of another project of the same user."""
    run(worked, "export", "-o", str(tmp_path / "state.tar"))
    return tmp_path / "state.tar"


@pytest.fixture
def interrupted(worked, file, tmp_path, monkeypatch):  # noqa: F811
    """A project whose import of the file was killed when the plan was written."""
    other = another(tmp_path, home=worked.home)
    run(other, "set", "own", "1")
    folder = other.directory / ".import"
    with tarfile.open(file) as archive:
        # What it holds was made by the fixture above. Some 3.11 know the attribute, and not the argument.
        archive.extraction_filter = lambda member, _: member
        archive.extractall(folder)  # noqa: S202
    for name in (".export.json", ".manifest.json"):
        (folder / name).unlink()
    members = {
        str(path.relative_to(folder)): {
            "size": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in folder.rglob("*")
        if path.is_file()
    }
    monkeypatch.setenv("HOME", str(worked.home))
    plan = documents.signed(".plan.json", {"v": 1, "members": members})
    (folder / ".plan.json").write_bytes(plan.data)
    return other


@pytest.fixture
def small(interrupted, worked, tmp_path):  # noqa: F811
    """The export of a third project, with one key."""
    third = another(tmp_path, "third", home=worked.home)
    run(third, "set", "third", "3")
    run(third, "export", "-o", str(tmp_path / "small.tar"))
    return tmp_path / "small.tar"


def test_the_next_import_finishes_it_whatever_it_imports(interrupted, worked, small):  # noqa: F811
    done = interrupted.cli("import", str(small), "--merge")
    assert done.returncode == 0
    assert "finished an import that an earlier version had begun" in done.stderr
    here = tree(interrupted.directory)
    assert {name: here[name] for name in tree(worked.directory)} == tree(worked.directory)
    assert run(interrupted, "get").split() == sorted(
        ["own", "third", *run(worked, "get").split()], key=str
    )
    assert not (interrupted.directory / ".import").exists()


def test_no_other_command_does(interrupted):
    before = tree(interrupted.directory)
    assert run(interrupted, "get") == "own\n"
    run(interrupted, "checkpoints")
    assert tree(interrupted.directory) == before


def test_a_dry_run_does_not(interrupted, file):
    before = tree(interrupted.directory)
    run(interrupted, "import", str(file), "--merge", "--dry-run")
    assert tree(interrupted.directory) == before


def test_what_was_recorded_since_stays(interrupted, file):
    interrupted.prompt("two", "of this machine")
    (interrupted.directory / "keys/plan.json").write_bytes(KEY)
    done = interrupted.cli("import", str(file), "--merge")
    for member in ("plan.json", "sessions/two.jsonl"):
        assert f"{member} was left out: it differs from what is here" in done.stderr
    assert run(interrupted, "get", "plan") == "1\n"
    assert interrupted.show("two")["last_request"] == "of this machine"


def test_one_that_is_not_the_users_is_quarantined(interrupted, small):
    """Else who can write into a clone could put their files among somebody else's."""
    planted = interrupted.directory / ".import"
    (planted / "evil.json").write_bytes(KEY)
    about = {"size": len(KEY), "sha256": hashlib.sha256(KEY).hexdigest()}
    (planted / ".plan.json").write_text(json.dumps({"v": 1, "members": {"evil.json": about}}))
    done = interrupted.cli("import", str(small), "--merge")
    assert "is not an import of this user's; its bytes are kept in .import.damaged-" in done.stderr
    assert run(interrupted, "get") == "own\nthird\n"


def test_what_is_no_folder_is_quarantined(interrupted, small):
    shutil.rmtree(interrupted.directory / ".import")
    (interrupted.directory / ".import").write_bytes(b"no folder")
    done = interrupted.cli("import", str(small), "--merge")
    assert "its bytes are kept in .import.damaged-" in done.stderr


def test_a_file_that_changed_since_is_left(interrupted, small):
    (interrupted.directory / ".import" / "plan.json").write_bytes(KEY)
    done = interrupted.cli("import", str(small), "--merge")
    assert "has files that changed since they were verified: plan.json" in done.stderr
    assert "plan" not in run(interrupted, "get").split()
    assert "Note" in run(interrupted, "get").split()
    assert (interrupted.directory / ".import" / "plan.json").read_bytes() == KEY
