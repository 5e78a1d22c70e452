"""The whole API against a plain dictionary: any verbs, in any order, killed anywhere.

Hypothesis runs sequences of verbs over a real state directory and holds what it finds there, after
each of them, against a model in memory. Any verb may be killed: it runs in a forked child that
dies at its n-th call that changes a disk. What is found then is what was there before, or what a
step of the verb was to leave, and never a mixture.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from lib import checkpoints
from lib import state as api
from lib.checkpoints import FILES, PHASE, SAFETY, UNDONE
from lib.recording import journal
from lib.state import State

SESSION = "one"
OWN = "session-one"
"""The checkpoint that the hooks keep for the session; a person may use its name as well."""

SAFETIES_KEPT = 3
"""Fewer than in earnest, so that a short sequence gets there."""

# --- the model ---------------------------------------------------------------------------------


@dataclass
class Session:
    """What the journal's records come to. `request` is the phase that this request is in."""

    phase: str | None = None
    pinned: bool = False
    request: str | None = None
    files: list[str] = field(default_factory=list)
    requests: int = 0
    calls: int = 0

    def enter(self, phase: str) -> None:
        """Infer a phase: looking around does not end one."""
        if phase != "scout" or self.request in (None, "scout"):
            self.request = phase
            if not self.pinned:
                self.phase = phase

    def published(self) -> dict:
        """PHASE and FILES, as keys."""
        return {FILES: self.files} if self.phase is None else {PHASE: self.phase, FILES: self.files}


@dataclass
class Kept:
    """A checkpoint."""

    trigger: str
    keys: dict
    session: Session | None


@dataclass
class World:
    """All that a state directory holds. Checkpoints are in the order in which they were made."""

    keys: dict = field(default_factory=dict)
    session: Session | None = None
    checkpoints: dict[str, Kept] = field(default_factory=dict)

    def everything(self, known: bool) -> dict:
        """The keys, in a known session with its own among them."""
        if not known or self.session is None:
            return dict(self.keys)
        plain = {key: value for key, value in self.keys.items() if key not in (PHASE, FILES)}
        return {**plain, **self.session.published()}

    def keep(self, name: str, known: bool, trigger: str = "manual") -> None:
        """Make a checkpoint, in place of any of that name."""
        self.checkpoints.pop(name, None)
        self.checkpoints[name] = deepcopy(Kept(trigger, self.everything(known), self.session))

    def put_back(self, kept: Kept, known: bool) -> None:
        """Set the keys to a checkpoint's, and in a known session its phase and files too."""
        self.keys = deepcopy(kept.keys)
        if known and self.session is not None:
            phase = kept.keys.get(PHASE)
            was = kept.session
            self.session.pinned = bool(was and was.pinned and was.phase == phase)
            self.session.phase = self.session.request = phase
            self.session.files = list(kept.keys.get(FILES, []))

    def of_trigger(self, trigger: str) -> list[str]:
        """The checkpoints that restores, or undos, made by themselves: oldest first."""
        return [name for name, kept in self.checkpoints.items() if kept.trigger == trigger]

    def text(self) -> str:
        """All of it as JSON: 1, 1.0 and True differ there as they should."""
        return json.dumps(asdict(self), sort_keys=True)


def observed(directory: Path) -> World:
    """What a process that has just begun finds, by the API alone."""
    plain, known = State(directory, ""), State(directory, SESSION)
    world = World({key: plain.load_state(key, "gone") for key in plain.keys()})
    try:
        world.session = _session(known.live())
    except api.UnknownSession:
        assert known.load_state(PHASE, "none") == "none"
    else:
        assert known.load_state(PHASE, "none") == (world.session.phase or "none")
        assert known.load_state(FILES, "none") == world.session.files
    for about in plain.checkpoints():
        document = plain.read_checkpoint(about["name"])
        keys = {key: kept["value"] for key, kept in document["keys"].items()}
        session = document["session"] and _session(document["session"])
        world.checkpoints[about["name"]] = Kept(document["trigger"], keys, session)
    return world


def _session(live: dict) -> Session:
    return Session(
        live["current_phase"],
        live["phase_pinned"],
        live["fold"]["request_phase"],
        list(live["files_processed"]),
        live["counts"]["requests"],
        live["counts"]["calls"],
    )


# --- the death of a process --------------------------------------------------------------------

CHANGING = ("mkdir", "write", "fsync", "replace", "unlink")


def run_and_die(verb: Callable[[], object], calls: int) -> bool:
    """Run `verb` in a child that dies at its call number `calls`; whether it ended before that."""
    child = os.fork()
    if not child:
        try:
            _die_at(calls)
            verb()
            os._exit(0)
        finally:
            os._exit(2)
    _, status = os.waitpid(child, 0)
    code = os.WEXITSTATUS(status)
    assert code in (0, 1), "the verb failed where it was to be killed"
    return code == 0


def _die_at(calls: int) -> None:
    """Let this process die at a call: before it, or for a `write` in the middle of it."""
    left = [calls]

    def dying(name: str, real: Callable) -> Callable:
        def call(*given: object, **named: object) -> object:
            left[0] -= 1
            if left[0] < 0:
                if name == "write":
                    real(given[0], given[1][: len(given[1]) // 2])
                os._exit(1)
            return real(*given, **named)

        return call

    for name in CHANGING:
        setattr(os, name, dying(name, getattr(os, name)))


# --- the machine -------------------------------------------------------------------------------

KEYS = st.sampled_from(["plan", "Plan", "x" * 128])
NAMES = st.sampled_from(["first", "First", "2nd", OWN])
PHASES = st.sampled_from(["build", "review", "scout", "Ünïcode ☃"])
PATHS = st.lists(st.sampled_from(["a.py", "b/ü.py", "c d.md", "/etc/x"]), unique=True)
VALUES = st.sampled_from([None, "", 0, False, [], {}, 1, 1.0, True, "ü☃\0\ud800"]) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
DEATHS = st.none() | st.integers(0, 4)
LATE_DEATHS = st.none() | st.integers(0, 30)
"""At which call a verb dies, if it does; a verb of few calls has ended before a late one."""


class Machine(RuleBasedStateMachine):
    """A state directory and its model, side by side."""

    base: Path

    def __init__(self) -> None:
        super().__init__()
        self.project = Path(tempfile.mkdtemp(dir=self.base))
        self.directory = self.project / ".claude" / "state"
        self.world = World()
        self.session = ""
        self.state = State(self.directory, "")
        self.calls = 0

    @initialize(initialized=st.sampled_from([True, True, False]))
    def begin(self, initialized: bool) -> None:
        """With a session that has begun; mostly with something to go back to."""
        self.event("Write", "a.py", twice=False, death=None)
        if initialized:
            for number, name in enumerate(("first", "2nd")):
                self.save("plan", number, None)
                self.save(("Plan", "x" * 128)[number], [number], None)
                self.checkpoint(name, None)
            self.delete("Plan", None)

    def teardown(self) -> None:
        shutil.rmtree(self.project)

    def do(
        self,
        verb: Callable[[State], object],
        change: Callable[[World, str], Iterator[None]],
        death: int | None,
    ) -> object:
        """Run a verb; hold what is there against the stages that its model goes through.

        `change` makes the model's changes, with a `yield` after each that is durable by itself.
        It is given the name that the verb chose for a checkpoint, as it turns up on disk.
        """
        result, ended = None, True
        if death is None:
            result = verb(self.state)
        else:
            ended = run_and_die(lambda: verb(self.state), death)
            self.state = State(self.directory, self.session)
        found = observed(self.directory)
        unknown = set(found.checkpoints) - set(self.world.checkpoints)
        stages = [deepcopy(self.world)]
        for _ in change(self.world, min(unknown, default="")):
            stages.append(deepcopy(self.world))
        possible = stages[-1:] if ended else stages[::-1]
        for world in possible:
            if world.text() == found.text():
                self.world = world
                return result
        raise AssertionError(f"found {found.text()}\nof {[each.text() for each in possible]}")

    @property
    def known(self) -> bool:
        return bool(self.session)

    @rule(session=st.sampled_from(["", SESSION, SESSION]))
    def reopen(self, session: str) -> None:
        """As another process would; with a session or none."""
        self.session = session
        self.state = State(self.directory, session)

    # --- keys ---

    @rule(key=KEYS, value=VALUES, death=DEATHS)
    def save(self, key: str, value: object, death: int | None) -> None:
        def change(world: World, _: str) -> Iterator[None]:
            world.keys[key] = value
            yield

        self.do(lambda state: state.save_state(key, value), change, death)

    @rule(key=KEYS, death=DEATHS)
    def delete(self, key: str, death: int | None) -> None:
        there = key in self.world.keys

        def change(world: World, _: str) -> Iterator[None]:
            world.keys.pop(key, None)
            yield

        answer = self.do(lambda state: state.delete_state(key), change, death)
        assert answer is (there if death is None else None)

    @rule(key=KEYS, default=VALUES)
    def load(self, key: str, default: object) -> None:
        value = self.world.keys.get(key, default)
        assert json.dumps(self.state.load_state(key, default)) == json.dumps(value)

    @rule(phase=PHASES | st.none(), death=DEATHS)
    def save_phase(self, phase: str | None, death: int | None) -> None:
        def change(world: World, _: str) -> Iterator[None]:
            if self.known:
                world.session = world.session or Session()
                world.session.phase, world.session.pinned = phase, phase is not None
            else:
                world.keys[PHASE] = phase
            yield

        self.do(lambda state: state.save_state(PHASE, phase), change, death)

    @rule(paths=PATHS, death=DEATHS)
    def save_files(self, paths: list[str], death: int | None) -> None:
        def change(world: World, _: str) -> Iterator[None]:
            if self.known:
                world.session = world.session or Session()
                world.session.files = list(paths)
            else:
                world.keys[FILES] = list(paths)
            yield

        self.do(lambda state: state.save_state(FILES, paths), change, death)

    # --- a session ---

    @precondition(lambda self: self.known)
    @rule(phase=PHASES | st.none(), death=DEATHS)
    def set_phase(self, phase: str | None, death: int | None) -> None:
        def change(world: World, _: str) -> Iterator[None]:
            world.session = world.session or Session()
            inferred = world.session.request or world.session.phase
            world.session.phase = inferred if phase is None else phase
            world.session.pinned = phase is not None
            yield

        self.do(lambda state: state.set_phase(phase), change, death)

    @rule(
        tool=st.sampled_from(["Write", "Read", ""]),
        path=st.sampled_from(["a.py", "new.py", "/etc/x"]),
        twice=st.booleans(),
        death=DEATHS,
    )
    def event(self, tool: str, path: str, twice: bool, death: int | None) -> None:
        """A hook's: a call that ended, told twice by a hook that is registered twice; a request."""
        self.calls += 1
        name = "PostToolUse" if tool else "UserPromptSubmit"
        fields: dict = {"hook_event_name": name, "session_id": SESSION, "cwd": str(self.project)}
        if tool:
            given = {"file_path": path if path[0] == "/" else str(self.project / path)}
            fields.update(tool_name=tool, tool_use_id=f"call{self.calls}", tool_input=given)
        else:
            fields.update(prompt="go", prompt_id=f"prompt{self.calls}")

        def change(world: World, _: str) -> Iterator[None]:
            world.session = session = world.session or Session()
            if not tool:
                session.requests, session.request = session.requests + 1, None
            else:
                session.calls += 1
                session.enter("build" if tool == "Write" else "scout")
                if tool == "Write" and path not in session.files:
                    session.files.append(path)
            yield

        # A hook takes no lock and finishes no restore. One that was killed just before it recorded
        # itself in the journal is recorded there later than what a hook writes meanwhile.
        with self.state.store.lock():
            pass

        def verb(_: State) -> None:
            for _ in range(1 + twice):
                journal.record(journal.Event(fields, name))

        self.do(verb, change, death)

    @precondition(lambda self: self.known and self.world.session)
    @rule(death=LATE_DEATHS)
    def checkpoint_session(self, death: int | None) -> None:
        def change(world: World, _: str) -> Iterator[None]:
            assert world.session
            kept = world.everything(known=True)
            for key, value in deepcopy(world.session.published()).items():
                world.keys[key] = value
                yield
            world.checkpoints.pop(OWN, None)
            world.checkpoints[OWN] = deepcopy(Kept("Stop", kept, world.session))
            yield

        self.do(lambda state: state.checkpoint_session("Stop"), change, death)

    # --- checkpoints ---

    @rule(name=NAMES | st.none(), death=DEATHS)
    def checkpoint(self, name: str | None, death: int | None) -> None:
        def change(world: World, chosen: str) -> Iterator[None]:
            world.keep(name or chosen, self.known)
            yield

        before = set(self.world.checkpoints)
        answer = self.do(lambda state: state.checkpoint(name), change, death)
        made = set(self.world.checkpoints) - before
        if death is None:
            assert answer == name if name else made == {answer}

    @precondition(lambda self: self.world.of_trigger("restore"))
    @rule()
    def name_like_a_safety(self) -> None:
        """A person's checkpoint in place of the one that a restore made: nothing to undo then."""
        self.checkpoint(self.world.of_trigger("restore")[-1], None)

    @precondition(lambda self: self.world.checkpoints)
    @rule(data=st.data(), death=DEATHS)
    def delete_checkpoint(self, data: st.DataObject, death: int | None) -> None:
        name = data.draw(st.sampled_from(sorted(self.world.checkpoints)))

        def change(world: World, _: str) -> Iterator[None]:
            del world.checkpoints[name]
            yield

        answer = self.do(lambda state: state.delete_checkpoint(name), change, death)
        assert answer is (True if death is None else None)

    @precondition(lambda self: self.world.checkpoints)
    @rule(data=st.data(), death=LATE_DEATHS)
    def restore(self, data: st.DataObject, death: int | None) -> None:
        name = data.draw(st.sampled_from(sorted(self.world.checkpoints)))

        def change(world: World, safety: str) -> Iterator[None]:
            kept = world.checkpoints[name]
            world.keep(safety, self.known, "restore")
            yield
            world.put_back(kept, self.known)
            yield
            for trigger in ("restore", "undo"):
                for old in world.of_trigger(trigger)[:-SAFETIES_KEPT]:
                    del world.checkpoints[old]
                    yield

        before = set(self.world.checkpoints)
        safety = self.do(lambda state: state.restore_checkpoint(name), change, death)
        made = set(self.world.checkpoints) - before
        assert all(each.startswith(SAFETY) for each in made)
        assert made == {safety} or death is not None

    @precondition(lambda self: self.world.checkpoints)
    @rule(data=st.data(), key=KEYS, value=VALUES, death=LATE_DEATHS)
    def save_and_restore(
        self, data: st.DataObject, key: str, value: object, death: int | None
    ) -> None:
        """There is something new for the restore to take back."""
        self.save(key, value, None)
        self.restore(data, death)

    @precondition(lambda self: self.world.of_trigger("restore"))
    @rule(key=KEYS, value=VALUES, death=LATE_DEATHS)
    def save_and_undo(self, key: str, value: object, death: int | None) -> None:
        """And for the undo."""
        self.save(key, value, None)
        self.undo(death)

    @rule(death=LATE_DEATHS)
    def undo(self, death: int | None) -> None:
        safeties = self.world.of_trigger("restore")
        if not safeties:
            with pytest.raises(api.UnknownCheckpoint):
                self.state.undo()
            return

        def change(world: World, undone: str) -> Iterator[None]:
            world.keep(undone, self.known, "undo")
            yield
            world.put_back(world.checkpoints[safeties[-1]], self.known)
            yield
            del world.checkpoints[safeties[-1]]
            yield

        before = set(self.world.checkpoints)
        answer = self.do(lambda state: state.undo(), change, death)
        made = set(self.world.checkpoints) - before
        assert all(each.startswith(UNDONE) for each in made)
        assert answer == (safeties[-1] if death is None else None)

    @precondition(lambda self: self.world.checkpoints)
    @rule(data=st.data(), now=st.booleans())
    def diff(self, data: st.DataObject, now: bool) -> None:
        names = st.sampled_from(sorted(self.world.checkpoints))
        before, after = data.draw(names), None if now else data.draw(names)
        one = self.world.checkpoints[before]
        two = Kept("", self.world.everything(self.known), self.world.session)
        if after is not None:
            two = self.world.checkpoints[after]
        told = self.state.diff(before, after)
        own = (PHASE, FILES) if one.session and two.session else ()
        old, new = (
            {key: json.dumps(value) for key, value in kept.keys.items() if key not in own}
            for kept in (one, two)
        )
        shown = {
            key: [json.dumps(value) for value in pair]
            for key, pair in told["keys"]["changed"].items()
        }
        assert shown == {k: [old[k], new[k]] for k in old if k in new and old[k] != new[k]}
        assert set(told["keys"]["added"]) == set(new) - set(old)
        assert set(told["keys"]["removed"]) == set(old) - set(new)
        was, is_now = one.session or Session(), two.session or Session()
        phases = [was.phase, is_now.phase]
        assert told[PHASE] == (phases if was.phase != is_now.phase else None)
        assert set(told[FILES]["added"]) == set(is_now.files) - set(was.files)
        assert set(told[FILES]["removed"]) == set(was.files) - set(is_now.files)

    # --- always ---

    @invariant()
    def nothing_is_lost(self) -> None:
        """The process that goes on sees what a new one sees."""
        assert self.state.keys() == sorted(self.world.keys)
        expected = self.world.keys
        if self.known:  # PHASE and FILES are the session's then, and of no session unknown
            own = self.world.session.published() if self.world.session else {}
            expected = {**self.world.keys, PHASE: "gone", FILES: "gone", **own}
        shown = {key: self.state.load_state(key, "gone") for key in expected}
        assert json.dumps(shown) == json.dumps(expected)
        listed = [about["name"] for about in self.state.checkpoints()]
        assert sorted(listed) == sorted(self.world.checkpoints)
        assert not self.state.sessions.notices


def test_any_sequence_of_verbs_and_deaths_leaves_what_the_model_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKFLOW_STATE_KEY", "a model's")
    monkeypatch.setattr(checkpoints, "SAFETY_KEPT", SAFETIES_KEPT)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # no power is cut here
    monkeypatch.setattr(Machine, "base", tmp_path, raising=False)
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=15,
            stateful_step_count=30,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
