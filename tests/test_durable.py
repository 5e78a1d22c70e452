"""Changes on disk: whole or not at all, synced in the right order, on any file system."""

from __future__ import annotations

import errno
import os
import stat
import time

import pytest

from lib.disk import durable

HERE, PATH = "in an open folder", "by a path"


@pytest.fixture(params=[HERE, PATH])
def place(request, tmp_path):
    """How a name is made, and the folder that goes with it."""
    if request.param == PATH:
        yield (lambda name: f"{tmp_path}/{name}"), None
        return
    folder = os.open(tmp_path, os.O_RDONLY)
    yield (lambda name: name), folder
    os.close(folder)


NOBODY = 65534
"""A user who is not root, by number."""


class Refusing:
    """The fsync of a file system that answers so for a directory, and what was synced."""

    def __init__(self, monkeypatch, number: int = 0) -> None:
        self.number, self.synced, self._fsync = number, [], os.fsync
        monkeypatch.setattr(os, "fsync", self)

    def __call__(self, descriptor: int) -> None:
        directory = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        self.synced.append("directory" if directory else "file")
        if directory and self.number:
            raise OSError(self.number, os.strerror(self.number))
        self._fsync(descriptor)


def listed(folder) -> dict:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# --- files -------------------------------------------------------------------------------------


def test_a_file_is_replaced(place, tmp_path):
    name, folder = place
    for content in (b"old", b"new and longer", bytearray(b"last")):
        durable.replace(name("a"), content, folder)
        assert listed(tmp_path) == {"a": content}
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o600


def test_a_file_has_the_mode_that_was_asked_for(place, tmp_path):
    name, folder = place
    durable.replace(name("a"), b"", folder, mode=0o400)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o400


def test_a_function_writes_what_is_too_long_for_memory(place, tmp_path):
    name, folder = place

    def content(descriptor: int) -> None:
        for part in (b"one ", b"two"):
            durable.write_all(descriptor, part)

    durable.replace(name("a"), content, folder)
    assert listed(tmp_path) == {"a": b"one two"}


def test_a_short_write_goes_on(place, tmp_path, monkeypatch):
    name, folder = place
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:2]))
    durable.replace(name("a"), b"seven b", folder)
    assert listed(tmp_path) == {"a": b"seven b"}


@pytest.mark.parametrize("call", ["write", "fsync", "close", "replace"])
def test_a_call_that_fails_leaves_the_old_file(place, tmp_path, monkeypatch, call):
    name, folder = place
    durable.replace(name("a"), b"old", folder)
    real = getattr(os, call)

    def full(*given, **more):
        if call == "close":
            real(*given)
        raise OSError(errno.ENOSPC, "No space left on device", *given[:1])

    with monkeypatch.context() as patched:
        patched.setattr(os, call, full)
        with pytest.raises(OSError, match="No space left on device") as raised:
            durable.replace(name("a"), b"new", folder)
    assert durable.TEMPORARY not in str(raised.value)
    assert listed(tmp_path) == {"a": b"old"}


def test_a_check_that_fails_leaves_the_old_file(place, tmp_path):
    name, folder = place
    durable.replace(name("a"), b"old", folder)
    seen = []

    def check() -> None:
        seen.extend(sorted(listed(tmp_path).values()))
        raise KeyError("changed meanwhile")

    with pytest.raises(KeyError):
        durable.replace(name("a"), b"new", folder, check=check)
    assert seen == [b"new", b"old"], "the check comes last, once the new file is whole"
    assert listed(tmp_path) == {"a": b"old"}


def test_a_file_is_created_once(place, tmp_path):
    name, folder = place
    durable.create(name("a"), b"first", folder)
    with pytest.raises(FileExistsError):
        durable.create(name("a"), b"second", folder)
    assert listed(tmp_path) == {"a": b"first"}
    assert (tmp_path / "a").stat().st_nlink == 1


def test_a_new_file_is_not_written_through_a_link(place, tmp_path):
    name, folder = place
    (tmp_path / "there").write_bytes(b"kept")
    (tmp_path / "link").symlink_to("there")
    with pytest.raises(FileExistsError):
        durable.write_new(name("link"), b"new", folder)
    durable.replace(name("link"), b"new", folder)
    assert listed(tmp_path) == {"there": b"kept", "link": b"new"}
    assert not (tmp_path / "link").is_symlink()


def test_a_file_is_renamed_and_removed(place, tmp_path):
    name, folder = place
    durable.replace(name("a"), b"1", folder)
    durable.replace(name("b"), b"2", folder)
    durable.rename(name("a"), name("b"), folder)
    assert listed(tmp_path) == {"b": b"1"}
    assert durable.remove(name("b"), folder) is True
    assert durable.remove(name("b"), folder) is False
    assert listed(tmp_path) == {}


def test_a_relative_path_is_one_in_the_current_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    durable.replace("a", b"1")
    durable.make_directories("b/c", 0o700)
    assert durable.remove("a")
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == ["b", "b/c"]


def test_old_temporary_files_go_and_no_others(tmp_path):
    hours_ago = time.time() - 2 * durable.RETIRED
    for name in (".tmp-old", ".tmp-new", "old"):
        (tmp_path / name).write_bytes(b"")
        if name.endswith("old"):
            os.utime(tmp_path / name, (hours_ago, hours_ago))
    folder = os.open(tmp_path, os.O_RDONLY)
    durable.clean_up(folder)
    os.close(folder)
    assert sorted(listed(tmp_path)) == [".tmp-new", "old"]


# --- syncs -------------------------------------------------------------------------------------

CHANGES = {
    "replace": lambda name, folder: durable.replace(name("new"), b"2", folder),
    "create": lambda name, folder: durable.create(name("new"), b"2", folder),
    "rename": lambda name, folder: durable.rename(name("a"), name("new"), folder),
    "remove": lambda name, folder: durable.remove(name("a"), folder),
    "make_directory": lambda name, folder: (
        durable.make_directories(name("new"), 0o700)
        if folder is None
        else durable.make_directory(folder, "new", 0o700)
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_directory_is_synced_after_the_file(place, tmp_path, monkeypatch, change):
    name, folder = place
    (tmp_path / "a").write_bytes(b"1")
    seen = Refusing(monkeypatch)
    CHANGES[change](name, folder)
    writes = change in ("replace", "create")
    assert seen.synced == (["file", "directory"] if writes else ["directory"])


@pytest.mark.parametrize("number", ["EINVAL", "ENOTSUP", "EROFS"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_file_system_that_syncs_no_directory_is_used(
    place, tmp_path, monkeypatch, change, number
):
    name, folder = place
    (tmp_path / "a").write_bytes(b"1")
    seen = Refusing(monkeypatch, getattr(errno, number))
    CHANGES[change](name, folder)
    assert "directory" in seen.synced
    assert (tmp_path / "new").exists() or change == "remove"


@pytest.mark.parametrize("change", ["replace", "create", "rename", "remove"])
def test_a_change_that_may_be_lost_is_reported(place, tmp_path, monkeypatch, change):
    name, folder = place
    (tmp_path / "a").write_bytes(b"1")
    Refusing(monkeypatch, errno.EIO)
    with pytest.raises(durable.NotDurable) as raised:
        CHANGES[change](name, folder)
    assert raised.value.errno == errno.EIO
    assert raised.value.filename == name("a" if change == "remove" else "new")
    assert "the change is made, but a power cut may undo it" in str(raised.value)
    assert (tmp_path / "new").exists() or change == "remove"
    assert not list(tmp_path.glob(durable.TEMPORARY + "*"))


def test_a_file_that_cannot_be_synced_is_not_put_in_place(place, tmp_path, monkeypatch):
    name, folder = place

    def fsync(_descriptor: int) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="Invalid argument"):
        durable.replace(name("a"), b"1", folder)
    assert listed(tmp_path) == {}


# --- directories -------------------------------------------------------------------------------


def test_directories_are_made_with_a_mode_and_their_parents(tmp_path):
    durable.make_directories(f"{tmp_path}/a/b/c/", 0o700)
    durable.make_directories(f"{tmp_path}/a/b/c", 0o755)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in sorted(tmp_path.rglob("*"))]
    assert modes == [0o700] * 3


def test_each_directory_that_is_made_has_its_name_synced(tmp_path, monkeypatch):
    seen = Refusing(monkeypatch)
    durable.make_directories(f"{tmp_path}/a/b/c", 0o700)
    assert seen.synced == ["directory"] * 3
    durable.make_directories(f"{tmp_path}/a/b/c", 0o700)
    assert seen.synced == ["directory"] * 3


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_parent_that_may_be_written_and_not_read_is_used(tmp_path):
    folder = os.open(tmp_path, os.O_RDONLY)  # its parents may be closed to another user
    child = os.fork()
    if not child:
        try:
            if not os.geteuid():  # root reads every directory
                os.fchown(folder, NOBODY, NOBODY)
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            os.fchdir(folder)
            os.fchmod(folder, 0o300)
            durable.replace("a", b"1")
            os._exit(0)
        finally:
            os._exit(1)
    os.close(folder)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    tmp_path.chmod(0o700)
    assert listed(tmp_path) == {"a": b"1"}
