"""Recorded sessions, replayed through the real scripts: the state of each, in full.

`python -m tests.test_recordings` writes tests/expected/ anew from what the scripts say now; read
the difference against the recording before it is kept. Times stand there as "event N": the number
of the recorded line whose hooks were running.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from pathlib import Path

import pytest

from lib.format import records
from lib.format.documents import layout
from lib.recording import journal
from tests.conftest import PAYLOADS, ROOT, SCRIPTS, Hooks, payloads

EXPECTED = ROOT / "tests" / "expected"
NAMES = sorted(path.stem for path in PAYLOADS.glob("*.jsonl"))
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


class Recording:
    """A recording's events, run one after the other in a project."""

    def __init__(self, hooks: Hooks, name: str) -> None:
        self.hooks = hooks
        self.name = name
        self.began: list[tuple[float, int]] = []
        self.sessions: dict[str, None] = {}

    def run(self, copies: int = 1) -> None:
        """Hand every event to its hook, `copies` times as several registrations do."""
        for number, event in enumerate(payloads(self.name, self.hooks.project), 1):
            if event["hook_event_name"] not in SCRIPTS:
                continue
            self.sessions[event["session_id"]] = None
            self.began.append((records.seconds(journal.now()), number))
            for _ in range(copies):
                self.hooks.send(event)

    def event_at(self, at: str) -> str:
        """The event that was under way at a time."""
        moment = records.seconds(at)
        return f"event {max(number for began, number in self.began if began <= moment)}"

    def text(self) -> str:
        """What `show --json` says of every session, as it is kept in tests/expected."""
        states = {session: self.stated(self.hooks.show(session)) for session in self.sessions}
        return layout(states) + "\n"

    def stated(self, state: dict) -> dict:
        """One state, moments by their events, the project where the recording had it."""
        how = state["continues_how"] or {}
        if "offset" in how:  # of bytes, of which two registrations write twice as many
            path = self.hooks.directory / "sessions" / f"{how['session']}.jsonl"
            how["offset"] = TIME.findall(path.read_bytes()[: how["offset"]].decode())[-1]
        text = json.dumps(state, ensure_ascii=False)
        text = text.replace(str(self.hooks.project), "/home/dev/project")
        return json.loads(TIME.sub(lambda match: self.event_at(match[0]), text))


@pytest.fixture(params=NAMES)
def recording(request, hooks) -> Recording:
    return Recording(hooks, request.param)


def expected(name: str) -> str:
    return (EXPECTED / f"{name}.json").read_text()


def test_the_state_after_a_recording(recording):
    recording.hooks.processes = True
    recording.run()
    assert recording.text() == expected(recording.name)


def test_hooks_registered_twice_change_nothing(recording):
    recording.run(copies=2)
    assert recording.text() == expected(recording.name)


def test_every_recording_is_expected():
    assert sorted(path.stem for path in EXPECTED.glob("*.json")) == NAMES


def write() -> None:
    """Write what is expected anew."""
    for name in sys.argv[1:] or NAMES:
        with tempfile.TemporaryDirectory() as top:
            hooks = Hooks(Path(top, "project"), Path(top, "home"))
            hooks.project.mkdir()
            hooks.home.mkdir()
            recording = Recording(hooks, name)
            recording.run()
            (EXPECTED / f"{name}.json").write_text(recording.text())


if __name__ == "__main__":
    write()
