"""A disk that loses power: which worlds may be found after a cut, given the calls that were made.

It keeps to the letter of POSIX. fsync of a file makes its data durable, not its name; fsync of a
directory makes its names durable, not what they name. All else may have reached the disk or not,
in any order: a name without its data, a later rename without an earlier one, an appended tail cut
anywhere or filled with zeros. What ext4, xfs or btrfs leave is among that.
"""

from __future__ import annotations

import itertools
import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

from .strace import Call

Tree = dict[str, "bytes | None"]
"""A world by path: the bytes of each file, None for a directory."""

SUBSETS = 7
"""Up to so many changes of names that are not durable, every subset of them is an outcome.

Beyond it: every prefix, all but any one, and any one alone.
"""

COMBINED = 512
"""Up to so many combinations, every state of a file meets every other's and every subset.

Beyond it every subset meets the files as old as they may be, and new; and each file varies by
itself, while the others are old or new, and the changes of names all missing or all there.
"""

PIECES = 16
"""In so many places what was appended is cut, besides after its first and before its last byte."""

CREATE, TRUNCATE, APPEND = 0o100, 0o1000, 0o2000
HARMLESS = ("flock", "close", "exit_group", "utimensat", "fchmodat")
"""Calls that change no bytes and no names."""

_PATH = re.compile(r'(?:-?\d+<([^>]*)>, )?"([^"]*)"')
_NUMBERS = re.compile(r", (0x[0-9a-f]+|\d+)(?=,|$)")


@dataclass(eq=False)
class File:
    """A file: the bytes that are durable, and every state it went through since."""

    durable: bytes = b""
    since: list[bytes] = field(default_factory=list)

    @property
    def content(self) -> bytes:
        return self.since[-1] if self.since else self.durable

    def outcomes(self) -> list[bytes]:
        """What a cut may leave: oldest first, the newest last."""
        found = [self.durable]
        for old, new in zip([self.durable, *self.since], self.since):
            if new.startswith(old):
                more = len(new) - len(old)
                ends = {len(old) + more * piece // PIECES for piece in range(1, PIECES)}
                ends |= {len(old) + 1, len(new) - 1}
                found += [new[:end] for end in sorted(ends) if len(old) < end < len(new)]
            elif len(new) == len(old):
                changed = [place for place in range(len(new)) if new[place] != old[place]]
                found += [new[:place] + old[place:] for place in changed[len(changed) // 2 :][:1]]
            found.append(new)
        size = len(self.content)
        zeroed = [each + bytes(size - len(each)) for each in found if len(each) < size]
        return list(dict.fromkeys([*found[:-1], *zeroed, self.content]))

    def sync(self) -> None:
        self.durable, self.since = self.content, []


@dataclass(eq=False)
class Directory:
    """A directory: the names that are durable, and the changes of names since, in order."""

    durable: dict[str, File | Directory] = field(default_factory=dict)
    since: list[Change] = field(default_factory=list)

    def names(self, changes: tuple[Change, ...]) -> dict[str, File | Directory]:
        """The names when of the changes since only these have reached the disk."""
        names = dict(self.durable)
        for change in changes:
            if change.where is self:
                change.apply(names)
        return names

    @property
    def content(self) -> dict[str, File | Directory]:
        return self.names(tuple(self.since))

    def sync(self) -> None:
        self.durable, self.since = self.content, []


@dataclass(eq=False)
class Change:
    """Names that one call gave and took in a directory, at once; None takes a name."""

    where: Directory
    names: dict[str, File | Directory | None]

    def apply(self, names: dict[str, File | Directory]) -> None:
        for name, node in self.names.items():
            if node is None:
                names.pop(name, None)
            else:
                names[name] = node


class Disk:
    """The world below `root`, all of it durable, and what calls do to it from there."""

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self._top = _load(root)
        self._changes: list[Change] = []
        self._open: dict[int, tuple[File | Directory, int | None]] = {}

    # --- what is done to it ---

    def carry_out(self, call: Call) -> bool:
        """Do what a call did; whether that may change what a cut leaves."""
        if call.result < 0 or call.name in HARMLESS:
            return False
        action = getattr(self, "_" + call.name, None)
        assert action or not call.writes, f"no model of {call}"
        return bool(action and action(call))

    def _openat(self, call: Call) -> bool:
        (path,) = self._paths(call)
        flags = int(_NUMBERS.findall(call.given)[0], 16)
        node = self._find(path)
        fresh = node is None
        if fresh:
            assert flags & CREATE, f"opens what is not there: {call}"
            node = File()
            self._change(path, node)
        truncates = flags & TRUNCATE and isinstance(node, File)
        if truncates:
            node.since.append(b"")
        self._open[call.result] = (node, None if flags & APPEND else 0)
        return bool(fresh or truncates)

    def _write(self, call: Call) -> bool:
        number = int(call.given.partition("<")[0])
        if number not in self._open:
            return False  # a pipe's
        file, place = self._open[number]
        data = bytes.fromhex(_PATH.search(call.given)[2].replace("\\x", ""))[: call.result]
        start = len(file.content) if place is None else place
        file.since.append(file.content[:start] + data + file.content[start + len(data) :])
        self._open[number] = (file, place if place is None else start + len(data))
        return True

    def _pwrite64(self, call: Call) -> bool:
        file, _ = self._open[int(call.given.partition("<")[0])]
        data = bytes.fromhex(_PATH.search(call.given)[2].replace("\\x", ""))[: call.result]
        start = int(call.given.rpartition(", ")[2], 0)
        file.since.append(file.content[:start] + data + file.content[start + len(data) :])
        return True

    def _fsync(self, call: Call) -> bool:
        node, _ = self._open[int(call.given.partition("<")[0])]
        node.sync()
        self._changes = [change for change in self._changes if change.where is not node]
        return True

    _fdatasync = _fsync

    def _ftruncate(self, call: Call) -> bool:
        file, _ = self._open[int(call.given.partition("<")[0])]
        size = int(_NUMBERS.findall(call.given)[0], 0)
        file.since.append(file.content[:size] + bytes(max(0, size - len(file.content))))
        return True

    def _mkdir(self, call: Call) -> bool:
        self._change(self._paths(call)[0], Directory())
        return True

    _mkdirat = _mkdir

    def _link(self, call: Call) -> bool:
        old, new = self._paths(call)
        self._change(new, self._find(old))
        return True

    _linkat = _link

    def _unlink(self, call: Call) -> bool:
        self._change(self._paths(call)[0], None)
        return True

    _unlinkat = _rmdir = _unlink

    def _rename(self, call: Call) -> bool:
        old, new = self._paths(call)
        assert os.path.dirname(old) == os.path.dirname(new), f"two directories: {call}"
        self._change(new, self._find(old), leaves=os.path.basename(old))
        return True

    _renameat = _renameat2 = _rename

    def _change(self, path: str, node: File | Directory | None, leaves: str = "") -> None:
        where = self._find(os.path.dirname(path))
        gone = {leaves: None} if leaves else {}
        change = Change(where, {**gone, os.path.basename(path): node})
        where.since.append(change)
        self._changes.append(change)

    def _paths(self, call: Call) -> list[str]:
        found = _PATH.findall(call.given)
        return [os.path.join(directory, name) for directory, name in found]

    def _find(self, path: str) -> File | Directory | None:
        node: File | Directory | None = self._top
        for name in os.path.relpath(path, self.root).split("/"):
            if name != ".":
                node = node.content.get(name) if isinstance(node, Directory) else None
        return node

    def new_process(self) -> None:
        """Descriptors are a process's own."""
        self._open.clear()

    # --- what a cut leaves ---

    def outcomes(self) -> Iterator[Tree]:
        """Every world that a power cut may leave now, within the bounds."""
        files = [node for node in self._files() if node.since]
        states = [file.outcomes() for file in files]
        subsets = _subsets(self._changes)
        for subset, chosen in _combinations(subsets, states):
            contents = dict(zip(files, chosen))
            yield dict(_walk(self._top, "", subset, contents))

    def _files(self) -> list[File]:
        """Every file that has, had or may have a name."""
        found: dict[File | Directory, None] = {}
        waiting: list[File | Directory] = [self._top]
        while waiting:
            node = waiting.pop()
            if node in found:
                continue
            found[node] = None
            if isinstance(node, Directory):
                waiting += node.durable.values()
                given = (change.names.values() for change in node.since)
                waiting += [each for each in itertools.chain(*given) if each]
        return [node for node in found if isinstance(node, File)]


def _load(path: Path) -> File | Directory:
    if path.is_dir():
        return Directory({each.name: _load(each) for each in sorted(path.iterdir())})
    return File(path.read_bytes())


def _subsets(changes: list[Change]) -> list[tuple[Change, ...]]:
    """Which of the changes may have reached the disk, each time in order."""
    count = len(changes)
    if count <= SUBSETS:
        masks = itertools.product((False, True), repeat=count)
        return [tuple(itertools.compress(changes, mask)) for mask in masks]
    prefixes = [tuple(changes[:end]) for end in range(count + 1)]
    lacking = [tuple(changes[:one] + changes[one + 1 :]) for one in range(count)]
    return [*prefixes, *lacking, *((change,) for change in changes)]


def _combinations(
    subsets: list[tuple[Change, ...]], states: list[list[bytes]]
) -> Iterator[tuple[tuple[Change, ...], tuple[bytes, ...]]]:
    """Which changes of names meet which state of each file, within `COMBINED`."""
    if len(subsets) * math.prod(map(len, states)) <= COMBINED:
        yield from itertools.product(subsets, itertools.product(*states))
        return
    extremes = [tuple(each[others] for each in states) for others in (0, -1)]
    yield from itertools.product(subsets, extremes)
    for rest in extremes:
        for one, each in enumerate(states):
            for state in each:
                for subset in (subsets[0], max(subsets, key=len)):
                    yield subset, (*rest[:one], state, *rest[one + 1 :])


def _walk(
    directory: Directory, path: str, subset: tuple[Change, ...], contents: dict[File, bytes]
) -> Iterator[tuple[str, bytes | None]]:
    for name, node in sorted(directory.names(subset).items()):
        if isinstance(node, Directory):
            yield path + name, None
            yield from _walk(node, f"{path}{name}/", subset, contents)
        else:
            yield path + name, contents.get(node, node.durable)


def digest(tree: Tree) -> bytes:
    """The same for the same world only."""
    whole = blake2b(digest_size=16)
    for path, content in tree.items():
        whole.update(f"{path}\0{-1 if content is None else len(content)}\0".encode())
        whole.update(content or b"")
    return whole.digest()


def materialise(tree: Tree, root: Path, like: Path) -> None:
    """Make the world `tree` at `root`, private, its files as old as those of `like`."""
    root.mkdir()
    for path, content in tree.items():
        place = root / path
        if content is None:
            place.mkdir(0o700)
            continue
        place.write_bytes(content)
        place.chmod(0o600)
        twin = like / path
        if twin.exists():
            stamp = twin.stat().st_mtime
            os.utime(place, (stamp, stamp))
