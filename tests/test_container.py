"""What `doctor` says in a container: whether the home, where the key is, outlives it."""

from __future__ import annotations

import pytest

from lib.install.doctor import container
from lib.install.doctor.finding import Subject

ROOT = "27 1 0:21 / / rw,relatime - {} none rw\n"
PROC = "22 27 0:22 / /proc rw - proc proc rw\n"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A machine whose marks, mounts and first process are files here."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("WORKFLOW_STATE_DIR", "WORKFLOW_STATE_KEY", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(container, "MARKS", (str(tmp_path / "mark"),))
    monkeypatch.setattr(container, "MOUNTS", str(tmp_path / "mounts"))
    monkeypatch.setattr(container, "FIRST", str(tmp_path / "first"))
    (tmp_path / "mounts").write_text(ROOT.format("overlay") + PROC)
    return tmp_path


def check():
    return container.check_container(Subject("/p", "/p/.claude/state"))


@pytest.mark.parametrize("mark", ["mark", "first"])
def test_where_home_goes_with_the_container_it_says_what_to_set(place, mark, monkeypatch):
    (place / mark).write_text("PATH=/bin\0container=podman\0")
    finding = check()
    assert finding.state == "note"
    assert f"{place}/home" in finding.said
    assert "WORKFLOW_STATE_DIR to a directory that is kept" in finding.mend
    assert "WORKFLOW_STATE_KEY to a secret" in finding.mend
    monkeypatch.setenv("WORKFLOW_STATE_KEY", "x")
    assert "WORKFLOW_STATE_KEY" not in check().mend
    monkeypatch.setenv("WORKFLOW_STATE_DIR", "/kept")
    assert check().state == "ok"


def test_a_home_that_is_mounted_is_kept(place):
    (place / "mark").write_text("")
    volume = f"30 27 8:1 /v {place}/home rw - ext4 /dev/sda1 rw\n"
    (place / "mounts").write_text(ROOT.format("overlay") + volume)
    assert check().state == "ok"


def test_the_last_mount_on_a_place_counts_and_its_name_is_decoded():
    mounts = ROOT.format("overlay") + "".join(
        f"3{number} 27 8:1 / /my\\040home rw shared:1 - {kind} x rw\n"
        for number, kind in enumerate(("overlay", "xfs"))
    )
    assert container.file_system(mounts, "/my home/.local") == "xfs"
    assert container.file_system(mounts, "/my homes") == "overlay"
    assert container.file_system("", "/") == ""


@pytest.mark.parametrize(("mark", "kind"), [("other", "overlay"), ("mark", "ext4")])
def test_elsewhere_there_is_nothing_to_say(place, mark, kind):
    (place / mark).write_text("")
    (place / "mounts").write_text(ROOT.format(kind))
    assert check().state == "ok"
