"""Journals read back: bytes -> checked records.

A record counts when its line ends, parses and carries the right check; any other line is passed
over and counted by what is wrong with it. Whatever a record is worth, it never costs its
neighbours: writers frame each with a line feed before and after.
"""

from __future__ import annotations

import os
from time import monotonic

from ..errors import StoreError
from ..recording import journal
from .json_text import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from .types import Record

CHUNK = 1 << 20

NEVER = float("inf")
"""A moment that does not come. `math`, which has it too, takes a start longer than this."""
LONGEST = 1 << 20
"""Bytes that no line of ours comes near."""

_SIGNATURE = len("b979464f.")
"""Where the signature begins in a check value."""

_CHECK = _SIGNATURE + 16

OURS = "ours"
FOREIGN = "foreign"
DAMAGED = "damaged"
NEWER = "newer"


def trusts_all() -> bool:
    """Whether the user said that records written by others count as well."""
    return journal.environment("WORKFLOW_STATE_TRUST") == "all"


def users_key(make: bool = False) -> bytes:
    """The user's key, b"" where none can be had; with `make` it is made when missing.

    Raises StoreError when it cannot be read now.
    """
    try:
        return journal.read_key(make)
    except journal.Unusable as error:
        raise StoreError(str(error)) from None


def has_key() -> bool:
    """Whether the user has a key, or has only not needed one yet. Raises StoreError."""
    path = journal.key_path()
    return bool(users_key()) or bool(path and not os.path.lexists(path))


def readers_key(directory: str) -> bytes | None:
    """The key that shows what in a state directory is this user's; None where its place does.

    The user's own place belongs to the user and is closed to others, so all in it counts. Raises
    StoreError.
    """
    return None if is_believed(directory) else users_key()


def is_believed(directory: str) -> bool:
    """Whether only this user can have written in a state directory: it is at home, and private."""
    if not directory or not journal.at_home(directory):
        return False
    try:
        status = os.stat(journal.state_home())
    except FileNotFoundError:
        return True  # it will be made so
    except OSError:
        return False
    return status.st_uid == os.geteuid() and not status.st_mode & 0o022


def verdict(scope: str, body: bytes | bytearray | memoryview, given: str, key: bytes | None) -> str:
    """OURS, FOREIGN (whole, but written under another key or none) or DAMAGED.

    `key` is what `readers_key` returns.
    """
    if key and given[8:] == "." + journal.signature(scope, body, key):
        return OURS
    if len(given) != _CHECK or given[:9] != journal.check(scope, body, b"")[:9]:
        return DAMAGED
    return OURS if key is None or trusts_all() else FOREIGN


def read_line(line: bytes, session: str, key: bytes | None) -> tuple[str, Record]:
    """What a journal's line is worth, and its record: empty unless it is OURS."""
    body, found, rest = line.rpartition(b',"check":"')
    if not found or rest[-2:] != b'"}':
        return DAMAGED, {}
    trust = verdict(session, body, rest[:-2].decode("ascii", "replace"), key)
    if trust == DAMAGED:
        return DAMAGED, {}
    try:
        parsed = loads(body.decode() + "}")
    except (ValueError, RecursionError):
        return DAMAGED, {}
    if not isinstance(parsed, dict) or not isinstance(parsed.get("at"), str):
        return DAMAGED, {}
    if parsed.get("v") != journal.VERSION:
        return NEWER, {}
    record: Any = parsed if trust == OURS else {}
    return trust, record


class Replay:
    """One pass over a journal from a byte offset on, as far as `end` when it is given.

    After it, `offset` is where the next pass goes on: behind the last line that ends in a line
    feed. `problems` counts the lines passed over, by FOREIGN, DAMAGED and NEWER. `passed` is called
    with the offset reached, once a CHUNK. `until` is the moment, by the monotonic clock, after
    which it reads no further CHUNK but the first; then `stopped` is true.
    `directory` is the state directory.
    """

    def __init__(
        self,
        descriptor: int,
        session: str,
        offset: int = 0,
        end: int | None = None,
        passed: Callable[[int], None] | None = None,
        until: float = NEVER,
        directory: str = "",
    ) -> None:
        self.offset = offset
        self.stopped = False
        self._until = until
        self._end = end
        self._passed = passed
        self.problems: dict[str, int] = {}
        self._descriptor = descriptor
        self._session = session
        self._key = readers_key(directory)

    def __iter__(self) -> Iterator[Record]:
        os.lseek(self._descriptor, self.offset, os.SEEK_SET)
        rest = b""
        first = self.offset
        while True:
            if self.offset > first and monotonic() > self._until:
                self.stopped = True
                return
            room = CHUNK if self._end is None else self._end - self.offset - len(rest)
            chunk = os.read(self._descriptor, min(CHUNK, room)) if room > 0 else b""
            if not chunk:
                return
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self.offset += len(line) + 1
                if not line:
                    continue
                trust, record = read_line(line, self._session, self._key)
                if record:
                    yield record
                else:
                    self._pass_over(trust)
            if len(rest) > LONGEST:  # no record of ours: gathering it would take for ever
                self.offset += len(rest)
                rest = b""
                self._pass_over(DAMAGED)
            if self._passed:
                self._passed(self.offset)

    def _pass_over(self, trust: str) -> None:
        self.problems[trust] = self.problems.get(trust, 0) + 1


def mentioning(
    descriptor: int, session: str, signs: tuple[bytes, ...], directory: str
) -> Iterator[Record]:
    """The records of a journal that count, of those whose lines hold one of several texts.

    The other lines are not looked at, which takes a fiftieth of the time.
    """
    key = readers_key(directory)
    os.lseek(descriptor, 0, os.SEEK_SET)
    rest = b""
    while True:
        chunk = os.read(descriptor, CHUNK)
        if not chunk:
            return
        data = rest + chunk
        end = data.rfind(b"\n") + 1
        block, rest = data[:end], data[end:]
        if len(rest) > LONGEST:
            rest = b""  # no record of ours
        place = {sign: block.find(sign) for sign in signs}
        while max(place.values()) >= 0:
            first = min(each for each in place.values() if each >= 0)
            end = block.find(b"\n", first)
            _, record = read_line(block[block.rfind(b"\n", 0, first) + 1 : end], session, key)
            if record:
                yield record
            for sign, each in place.items():
                if 0 <= each < end:
                    place[sign] = block.find(sign, end)


def foreign(descriptor: int, session: str) -> Iterator[tuple[int, bytes]]:
    """The foreign records of a journal: the byte at which each one's signature begins, and the
    user's own signature of it. Both are of one length.
    """
    key = users_key()
    start, rest = 0, b""
    while True:
        chunk = os.pread(descriptor, CHUNK, start + len(rest))
        if not chunk:
            return
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line and read_line(line, session, key)[0] == FOREIGN:
                body, _, given = line.rpartition(b',"check":"')
                signature = journal.signature(session, body, key).encode()
                yield start + len(line) - len(given) + _SIGNATURE, signature
            start += len(line) + 1
        if len(rest) > LONGEST:  # no record of ours
            start, rest = start + len(rest), b""


def check_before(descriptor: int, offset: int) -> str:
    """The check value of the record that ends at a byte offset; "" when none does."""
    start = max(0, offset - 64)
    os.lseek(descriptor, start, os.SEEK_SET)
    line = os.read(descriptor, offset - start).rstrip(b"\n").rpartition(b"\n")[2]
    _, found, check = line.rpartition(b',"check":"')
    return check[:-2].decode("ascii", "replace") if found else ""


def seconds(at: str) -> float:
    """A record's time, as `journal.now` writes it, in seconds since the epoch; 0.0 for no time.

    By arithmetic, because `strptime` brings half of the standard library to every session's start.
    """
    try:
        year, month, day = int(at[0:4]), int(at[5:7]), int(at[8:10])
        clock = int(at[11:13]) * 3600 + int(at[14:16]) * 60 + float(at[17:-1])
    except ValueError:
        return 0.0
    # The days of a year that begins in March do not depend on whether it is a leap year.
    shifted = year - (month < 3)
    days = shifted * 365 + shifted // 4 - shifted // 100 + shifted // 400
    days += (153 * ((month + 9) % 12) + 2) // 5 + day - 1 - 719468
    return days * 86400 + clock
