"""Projects with days of work in them, made in seconds: the client's events under a clock of ours.

Each event goes through the code of the hooks, `journal.record`, `lineage.choose` and
`State.checkpoint_session`; only the clock is ours, because nobody waits for a week.
"""

from __future__ import annotations

import calendar
import os
import random
import time
from pathlib import Path

import pytest

from lib.recording import journal
from lib.session import lineage
from lib.state import State

DAY = 86400.0


def at(text: str) -> float:
    """A time of UTC, "2026-11-23 09:00", in seconds since the epoch."""
    return float(calendar.timegm(time.strptime(text, "%Y-%m-%d %H:%M")))


class World:
    """A project with an empty state directory, and its clock."""

    def __init__(self, project: Path, home: Path, patch: pytest.MonkeyPatch) -> None:
        self.project = project
        self.home = home
        self.clock = at("2026-11-16 08:00")
        self.calls = 0
        for path in (project, home):
            path.mkdir(parents=True, exist_ok=True)
        patch.setenv("HOME", str(home))
        patch.setenv("CLAUDE_PROJECT_DIR", str(project))
        patch.setenv("AI_AGENT", "claude-code/2.1.330")
        patch.setattr(journal, "time", lambda: self.clock)
        self.directory = journal.find_state(str(project))

    def choose(self, patch: pytest.MonkeyPatch) -> None:
        """From now on the state lies in a directory of the user's choice: there the key decides."""
        patch.setenv("WORKFLOW_STATE_DIR", str(self.home / "chosen"))
        self.directory = journal.find_state(str(self.project))

    def state(self, session: str = "") -> State:
        return State(self.directory, session)

    def session(self, identifier: str) -> Session:
        return Session(self, identifier)


class Session:
    """A session that somebody works in; every verb moves the clock on."""

    def __init__(self, world: World, identifier: str) -> None:
        self.world = world
        self.id = identifier
        self.agent: dict[str, str] = {}

    def event(self, name: str, **fields: object) -> journal.Event:
        given = {"hook_event_name": name, "session_id": self.id, "cwd": str(self.world.project)}
        return journal.Event({**given, **self.agent, **fields}, name)

    def send(self, name: str, facts: dict | None = None, **fields: object) -> None:
        event = self.event(name, **fields)
        journal.record(event, **(facts or {}))
        where = f"{self.world.directory}/sessions/{event.session}.jsonl"
        os.utime(where, (self.world.clock, self.world.clock))

    def wait(self, seconds: float) -> Session:
        self.world.clock += seconds
        return self

    def start(self, source: str = "startup") -> Session:
        sessions = self.world.state(self.id).sessions
        continues, _ = lineage.choose(sessions, self.id, source)
        self.send("SessionStart", {"continues": continues} if continues else {}, source=source)
        return self.wait(6)

    def ask(self, text: str, **fields: object) -> Session:
        self.world.calls += 1
        self.send("UserPromptSubmit", prompt=text, prompt_id=f"p{self.world.calls}", **fields)
        return self.wait(8)

    def begin(self, tool: str, **given: str) -> dict[str, object]:
        self.world.calls += 1
        about = {
            "tool_name": tool,
            "tool_use_id": f"toolu_{self.world.calls:06d}",
            "tool_input": given,
        }
        self.send("PreToolUse", **about)
        return about

    def call(self, tool: str, seconds: float = 3, error: str = "", **given: str) -> Session:
        about = self.begin(tool, **given)
        self.wait(seconds)
        if error:
            self.send("PostToolUseFailure", error=error, **about)
        else:
            self.send("PostToolUse", tool_response={}, **about)
        return self.wait(2)

    def path(self, name: str) -> str:
        return str(self.world.project / name)

    def read(self, *names: str) -> Session:
        for name in names:
            self.call("Read", 1, file_path=self.path(name))
        return self

    def edit(self, *names: str) -> Session:
        for name in names:
            self.call("Edit", 4, file_path=self.path(name))
        return self

    def write(self, *names: str) -> Session:
        """New files, which are on the disk too."""
        for name in names:
            path = self.world.project / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"# {name}\n")
            about = self.begin("Write", file_path=str(path))
            self.wait(4).send("PostToolUse", tool_response={"type": "create"}, **about)
        return self.wait(2)

    def run(self, command: str, seconds: float = 20, error: str = "") -> Session:
        return self.call("Bash", seconds, error, command=command)

    def stop(self, name: str = "Stop", **fields: object) -> Session:
        self.send(name, **fields)
        session = self.event(name).session
        self.world.state(session).checkpoint_session(name)
        return self.wait(30)

    def end(self, reason: str = "prompt_input_exit") -> Session:
        self.send("SessionEnd", reason=reason)
        return self.wait(10)

    def sub(self, agent: str, kind: str) -> Session:
        """The same session, as one of its subagents."""
        other = Session(self.world, self.id)
        other.agent = {"agent_id": agent, "agent_type": kind}
        return other


FILES = (
    "src/server.py src/routes/bookings.py src/routes/tides.py src/models/berth.py "
    "src/models/vessel.py src/store/postgres.py src/store/migrations/0007_berths.sql "
    "src/tides/forecast.py src/tides/harmonics.py src/auth/session.py tests/test_bookings.py "
    "tests/test_forecast.py tests/test_auth.py docs/api.md README.md pyproject.toml"
).split()


FIRST = "7d0c1f5e-3a52-4a8e-9b1d-5f0a6c2e9b41"
MONDAY = at("2026-11-16 08:12")


def week(world: World) -> World:
    """Five days of a small web service: sessions, some at once, and what goes wrong."""
    for day in (_overlapping_berths, _subagents, _forecast, _passkey, _import, _release):
        day(world)
    return world


def _overlapping_berths(world: World) -> None:
    world.clock = MONDAY
    one = world.session(FIRST)
    one.start().ask("Read the booking service and tell me where overlapping berths are allowed.")
    one.read(*FILES[:6]).call("Grep", 2, pattern="overlap").wait(90).read(*FILES[7:9]).wait(60)
    one.stop().wait(400)
    one.ask("Plan a fix: no two bookings of a berth may overlap.", permission_mode="plan")
    one.call("Task", 40, description="Survey how others lock rows", permission_mode="plan")
    one.read(FILES[5], FILES[6]).wait(240)
    one.call("ExitPlanMode", 20, plan="...").wait(30)
    one.edit(FILES[6], FILES[5], FILES[1]).wait(200).edit(FILES[1], FILES[3]).wait(80)
    one.run("python -m pytest -q", 42, "Exit code 1")
    one.read("tests/test_bookings.py").edit(FILES[1], "tests/test_bookings.py").wait(120)
    one.run("python -m pytest -q", 45).wait(20)
    one.stop()
    world.state(one.id).checkpoint("before-migration")
    one.wait(900)


def _subagents(world: World) -> None:
    one = world.session(FIRST)
    one.ask("Good. Now migrate the berths and update the docs, with subagents.")
    agents = [("a1f4", "general-purpose"), ("b7c2", "docs-writer"), ("c9e8", "general-purpose")]
    began = world.clock
    ends = []
    for number, (name, kind) in enumerate(agents):
        world.clock = began + 15 * number
        sub = one.sub(name, kind)
        for turn in range(4 + 2 * number):
            sub.read(FILES[(number * 5 + turn) % 16]).wait(25 + 9 * turn)
            sub.edit(("docs/api.md", "README.md")[turn % 2] if number == 1 else FILES[4 + number])
        if number == 2:
            sub.run("python -m pytest tests/test_forecast.py", 30, "Exit code 2")
            sub.edit("src/tides/forecast.py").run("python -m pytest tests/test_forecast.py", 30)
        ends.append(world.clock)
    world.clock = max(ends) + 20
    one.edit(FILES[6]).run("python -m pytest -q", 50).stop().wait(300)
    one.ask("Commit it.").run("git add -A && git commit -m 'Refuse overlapping bookings'", 4)
    one.run("git push", 6).stop().end()


def _forecast(world: World) -> None:
    world.clock = MONDAY + 1.4 * 3600  # beside the first, in the same project
    two = world.session("2e91b7aa-64d3-4c0f-8a7e-1c5d0b3f8e92")
    two.start().ask("The forecast page is slow. Find out why.")
    two.read(*FILES[7:9]).run("python -m cProfile -m src.tides.forecast", 75).wait(130)
    two.edit("src/tides/harmonics.py").wait(160).edit("src/tides/forecast.py", FILES[8])
    two.run("python -m pytest tests/test_forecast.py", 31).wait(20).stop().wait(700)
    two.ask("Cache the constituents per station.").edit(FILES[8], FILES[7]).wait(240)
    two.run("python -m pytest -q", 48).stop("PreCompact", trigger="auto").start("compact")
    two.edit(FILES[8]).wait(60).run("git commit -am 'Cache tidal constituents'", 3).stop()


def _passkey(world: World) -> None:
    world.clock = MONDAY + DAY + 1800  # continues the second, which was killed
    three = world.session("b45f0c9d-1e77-4f3b-a2c6-90d81e3a7f15")
    three.start().ask("Add sign-in with a passkey.")
    three.read("src/auth/session.py", "src/server.py").call("WebSearch", 6, query="passkeys")
    three.wait(200).call("EnterPlanMode", 2).wait(420).call("ExitPlanMode", 20, plan="...")
    for turn in range(7):
        three.edit("src/auth/session.py").wait(70 + 20 * turn)
        three.edit(("src/server.py", "tests/test_auth.py", "src/models/vessel.py")[turn % 3])
        if turn in (2, 4, 6):
            error = "" if turn == 6 else "Exit code 1"
            three.run("python -m pytest tests/test_auth.py", 38, error)
    three.stop().wait(600)
    three.ask("Run the whole suite and start the server.")
    three.run("python -m pytest -q", 55)
    three.begin("Bash", command="python -m src.server --reload")
    three.wait(540)
    three.ask("Stop that. Only check that it imports.").run("python -c 'import src.server'", 2)
    three.stop()
    three.wait(1500).ask("Try the other library for the challenge.")
    three.edit("src/auth/session.py", "pyproject.toml").run("pip install webauthn", 35).wait(200)
    three.run("python -m pytest tests/test_auth.py", 36, "Exit code 1").stop()
    world.state(three.id).restore_checkpoint("before-migration")
    three.wait(60)
    world.state(three.id).undo()
    three.wait(240).ask("No, go back to the first one.").edit("src/auth/session.py").wait(90)
    three.run("python -m pytest tests/test_auth.py", 36).stop().end("clear")

    four = world.session("e0a36d18-95b4-4d2c-b7f1-6a4c2d9e0b73")
    four.start("clear").ask("Write the API documentation for passkeys.").read("docs/api.md")
    four.edit("docs/api.md", "README.md").wait(120).edit("docs/api.md").wait(200).stop()
    four.wait(200).ask("Ship it.").run("git commit -am 'Sign in with a passkey'", 3)
    four.run("git push", 5, "Exit code 1").run("git pull --rebase", 6).run("git push", 5)
    four.stop().end()


def _import(world: World) -> None:
    world.clock = MONDAY + 3 * DAY + 7200
    five = world.session("91c7e2f4-0d68-4ba9-8e35-7b2f1a6d4c08")
    five.start().ask("Import last year's bookings from the CSV export.")
    five.run("head -3 export.csv", 1).read(FILES[3]).wait(80)
    five.call("Write", 5, file_path=five.path("tools/import_bookings.py")).wait(200)
    five.run("python tools/import_bookings.py --dry-run export.csv", 64, "Exit code 1")
    five.edit("tools/import_bookings.py").wait(60)
    five.run("python tools/import_bookings.py --dry-run export.csv", 61).stop().wait(240)
    world.state(five.id).checkpoint("before-import")
    five.ask("Import them for real.")
    five.begin("Bash", command="python tools/import_bookings.py export.csv")  # and the power went
    world.clock += 1500
    six = world.session("c3d2a901-77e5-4b16-9f08-e2a4b6c8d0f1")
    six.start().ask("Where did the import stop? Go on from there.")
    six.run("psql -c 'select count(*) from bookings'", 2).read("tools/import_bookings.py")
    six.edit("tools/import_bookings.py").wait(90)
    six.run("python tools/import_bookings.py --resume export.csv", 480).wait(30)
    six.run("python -m pytest -q", 52).stop().end()


def _release(world: World) -> None:
    world.clock = MONDAY + 4 * DAY + 3600
    seven = world.session("5b8e4d27-c1f0-4a93-8d6e-f37a0b91c2e4")
    seven.start().ask("Review the week's changes before the release.")
    seven.run("git log --oneline v1.3..", 1).run("git diff v1.3.. --stat", 1).read(*FILES[:10])
    began = world.clock
    for number in range(5):
        world.clock = began + 20 + 35 * (number % 3)
        sub = seven.sub(f"r{number}", "code-reviewer")
        for turn in range(5 + number % 3):
            sub.read(FILES[(number * 3 + turn) % 14]).wait(30)
    world.clock = began + 420
    seven.stop("StopFailure", error="rate_limit")
    seven.wait(900).ask("Go on.").edit("CHANGELOG.md", "pyproject.toml").wait(90)
    seven.run("make test", 120).stop()
    world.state(seven.id).checkpoint("release-1.4")
    seven.wait(120).ask("Tag and publish 1.4.").run("git tag v1.4 && git push --tags", 6)
    seven.run("twine upload dist/*", 14).stop().end()


def many(world: World, sessions: int = 50, calls: int = 195, days: int = 30) -> World:
    """Sessions of about 2 * `calls` records each, a few of them at the same time."""
    chance = random.Random(7)  # noqa: S311 - the same project every time
    first = at("2026-10-20 07:00")
    names = [f"src/{room}/{name}.py" for room in "api core jobs store ui".split() for name in NAMES]
    for number in range(sessions):
        # Every fifth beside the one before.
        slot = number - (number % 5 == 4)
        world.clock = first + slot * days * DAY / sessions + (number % 5 == 4) * 900
        session = world.session(f"{number:08x}-0000-4000-8000-{chance.getrandbits(48):012x}")
        session.start()
        for turn in range(5):
            session.ask(f"Request {turn} of session {number}: make it better.")
            for _ in range(calls // 5):
                worker = session
                if chance.random() < 0.2:
                    worker = session.sub(f"{turn}{chance.randrange(3)}", "general-purpose")
                one = chance.choice(names)
                kind = chance.random()
                if kind < 0.45:
                    worker.read(one)
                elif kind < 0.8:
                    worker.edit(one)
                else:
                    error = "Exit code 1" if chance.random() < 0.25 else ""
                    worker.run(chance.choice(COMMANDS), 10, error)
            session.stop().wait(chance.random() * 1500)
        if number % 3:
            session.end()
    return world


NAMES = "accounts billing cache events feed images jobs keys limits mail notes queue".split()
COMMANDS = ["pytest -q", "make", "git commit -am next", "git status", "python -m http.server"]
