"""A day with workflow-state in under a minute: `make demo`.

Events that Claude Code sent while it worked are handed to the real scripts, the way
settings.example.json registers them, in a throw-away project with a throw-away home. What the
tools did is done for real, so that files, git and the disk agree; the crash is a real SIGKILL.
Everything that is said to be so is checked: what is not ends the demo with exit status 1.

The events are as they were recorded, but for the ids and names in WORDS below.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUNDLE = HERE.parent
WIDTH = 96

MONDAY = "d6a969a8-3d03-4b09-8fb5-4f59bd4c306c"
TUESDAY = "9c837d72-7c45-473e-bb85-83b2c0307590"

WORDS = {
    # two sessions out of the recordings of four
    "5e1a9add-9a33-4eba-9baa-6428603187d9": MONDAY,
    "fc877593-30de-4dc3-917f-5bf10c5ca242": MONDAY,
    # requests, commands and files that read like work: the recorded ones were "go" and "a.txt"
    "please do the work MARK-PROMPT": "Write a parser, measure it and run the tests.",
    '"prompt": "go"': '"prompt": "Now the documentation, with subagents."',
    "CASE kill-parallel.": "Put it together in main.py, then migrate the data.",
    "CASE autocompact.": "Go on.",
    "echo hi; echo err >&2; echo made > b.txt": "wc -l parser.py > sizes.txt",
    "echo out; echo bad >&2; exit 3": "make test",
    "Exit code 3": "Exit code 2",
    "echo three > s3.txt": "echo three > notes.txt",
    "echo begin > kp.begin; sleep 3; echo end > kp.end": "touch half-migrated; sleep 60",
    "a.txt": "parser.py",
    "p1.txt": "lexer.py",
    "p2.txt": "tokens.py",
    "s1.txt": "docs.md",
    "w.txt": "main.py",
    "missing.txt": "grammar.py",
}


# --- the client's part: a process of its own, so that it can be killed -------------------------


def client() -> None:
    """Hand each line's events to the registered hooks, all at once; answer with what they print.

    A tool runs between its PreToolUse and what follows it, as in Claude Code.
    """
    registered = json.loads((BUNDLE / "settings.example.json").read_text())["hooks"]
    shells: dict[str, subprocess.Popen[bytes]] = {}
    for line in sys.stdin:
        events = json.loads(line)
        hooks = []
        for event in events:
            if event.get("tool_use_id") in shells:
                shells.pop(event["tool_use_id"]).wait()
            (group,) = registered[event["hook_event_name"]]
            environment = {
                **os.environ,
                "CLAUDE_PROJECT_DIR": event["cwd"],
                "CLAUDE_CODE_SESSION_ID": event["session_id"],
                "CLAUDE_PID": str(os.getpid()),
            }
            hooks.append(
                subprocess.Popen(
                    ["/bin/sh", "-c", group["hooks"][0]["command"]],
                    env=environment,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                )
            )
        for hook, event in zip(hooks, events):
            hook.stdin.write(json.dumps(event).encode())
            hook.stdin.close()
        answers = [
            [hook.stdout.read().decode(), hook.stderr.read().decode(), hook.wait()]
            for hook in hooks
        ]
        for event in events:
            if event["hook_event_name"] == "PreToolUse":
                use_tool(event, shells)
        print(json.dumps(answers), flush=True)


def use_tool(event: dict, shells: dict) -> None:
    """Do what the tool did when the events were recorded."""
    given = event["tool_input"]
    if event["tool_name"] == "Write":
        Path(given["file_path"]).write_text(given["content"])
    elif event["tool_name"] == "Edit":
        path = Path(given["file_path"])
        path.write_text(path.read_text().replace(given["old_string"], given["new_string"]))
    elif event["tool_name"] == "Bash":
        shells[event["tool_use_id"]] = subprocess.Popen(
            ["/bin/sh", "-c", given["command"]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


class Client:
    """The demo's end of such a process."""

    def __init__(self, world: World) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__, "client"],
            cwd=world.project,
            env=world.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )

    def play(self, events: list[dict]) -> str:
        """Send events in their order, parallel calls at once; what Claude was told, if anything."""
        told = ""
        for group in in_parallel(events):
            self.process.stdin.write(json.dumps(group).encode() + b"\n")
            self.process.stdin.flush()
            answers = self.process.stdout.readline()
            expect(answers != b"", "the process that plays the client has died")
            for event, (out, err, code) in zip(group, json.loads(answers)):
                name = event["hook_event_name"]
                expect((code, err) == (0, ""), f"{name}: the hook exited {code} and said: {err}")
                expect(name == "SessionStart" or out == "", f"{name}: the hook printed {out}")
                if out:
                    told = json.loads(out)["hookSpecificOutput"]["additionalContext"]
        return told

    def kill(self) -> None:
        """SIGKILL, with everything it runs: as when the machine goes down."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.close()

    def close(self) -> None:
        """Wait for its end."""
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


def in_parallel(events: list[dict]) -> list[list[dict]]:
    """Events in groups that the client sends at once: neighbours about calls of the same tool."""
    groups: list[list[dict]] = []
    for event in events:
        last = groups[-1][-1] if groups else {}
        same = ("hook_event_name", "tool_name")
        if "tool_name" in event and all(event[name] == last.get(name) for name in same):
            groups[-1].append(event)
        else:
            groups.append([event])
    return groups


# --- the world of the demo ---------------------------------------------------------------------


class World:
    """A home and a project under a temporary directory, and an environment made from nothing."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.project = top / "project"
        self.project.mkdir()
        # As a user would have it: the bundle at ~/.workflow-state, a python3 on the PATH.
        (top / ".workflow-state").symlink_to(BUNDLE)
        (top / "bin").mkdir()
        python = top / "bin" / "python3"
        python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
        python.chmod(0o755)
        self.environment = {
            "PATH": f"{top / 'bin'}:{os.environ.get('PATH', os.defpath)}",
            "HOME": str(top),
            "LC_ALL": "C",
            "PYTHONIOENCODING": "utf-8",
        }
        (self.project / "README.md").write_text("hello\n")
        (self.project / "main.py").write_text("pass\n")
        self.git("init", "-q")
        self.git("add", "-A")
        self.git("-c", "user.name=demo", "-c", "user.email=@", "commit", "-qm", "start")

    def git(self, *arguments: str) -> str:
        """What git prints in the project."""
        return self.run(["git", "-c", "init.defaultBranch=main", *arguments])

    def run(self, command: list[str]) -> str:
        """What a command prints in the project; it must succeed."""
        done = subprocess.run(
            command,
            cwd=self.project,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )
        expect(done.returncode == 0, f"{' '.join(command)}: {done.stderr}")
        return done.stdout

    def ask(self, *arguments: str) -> str:
        """What workflow-state answers."""
        return self.run([sys.executable, str(BUNDLE / "bin" / "workflow-state"), *arguments])

    def state(self) -> dict:
        """All that it knows of the session active last."""
        return json.loads(self.ask("show", "--json"))

    def type(self, *arguments: str) -> str:
        """The same as `ask`, as it looks in a terminal."""
        answer = self.ask(*arguments)
        print(f"\n  $ workflow-state {' '.join(map(shlex.quote, arguments))}")
        show(answer, "  ")
        return answer

    def recorded(self, name: str) -> list[dict]:
        """The events of a file beside this one, as they would be in this project."""
        text = (HERE / f"{name}.jsonl").read_text(encoding="utf-8")
        for theirs, ours in WORDS.items():
            text = text.replace(theirs, ours)
        # Ids start anew in every recording.
        text = text.replace("toolu_mock_", f"toolu_{name}_")
        text = text.replace("/home/dev/project", str(self.project))
        return [json.loads(line) for line in text.strip().split("\n")]


def say(title: str, text: str) -> None:
    """A new part of the story."""
    print(f"\n{title}\n{'=' * len(title)}")
    print(textwrap.fill(" ".join(text.split()), WIDTH))


def show(text: str, margin: str) -> None:
    """Text of the product, wrapped where a terminal would break it anywhere."""
    for line in text.splitlines():
        lines = textwrap.wrap(
            line,
            WIDTH,
            initial_indent=margin,
            subsequent_indent=f"{margin}    ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        print("\n".join(lines) if len(margin + line) > WIDTH else f"{margin}{line}".rstrip())


def quote(told: str) -> None:
    """What Claude is told."""
    print("\n  Claude is told:")
    show(told, "  | ")


def expect(holds: bool, otherwise: str) -> None:
    """End the demo when something is not as it says."""
    if not holds:
        sys.stdout.flush()
        raise SystemExit(f"demo: {' '.join(otherwise.split())}")


def wait_for(path: Path) -> None:
    """Wait for a file that another process is about to make."""
    give_up = time.monotonic() + 10
    while not path.exists():
        expect(time.monotonic() < give_up, f"{path.name} never came")
        time.sleep(0.01)


# --- the story ---------------------------------------------------------------------------------


def story(world: World) -> None:
    """Two sessions, a crash between them."""
    first = Client(world)
    try:
        work(world, first)
        subagents(world, first)
        keep(world)
        crash(world, first)
    finally:
        if first.process.poll() is None:
            first.kill()
    second = Client(world)
    try:
        start_again(world, second)
        compact(world, second)
        restore(world)
        end(world, second)
    finally:
        if second.process.poll() is None:
            second.kill()


def work(world: World, claude: Client) -> None:
    """Start, a request with parallel calls and two failures, Stop."""
    start, *events = world.recorded("work")
    say(
        "1. A session starts and works",
        "Nothing is known yet, so Claude is told nothing. Then it writes and edits files, two "
        "calls at a time where it can; `make test` fails and so does reading a file that is "
        "not there. When Claude stops, the session is checkpointed.",
    )
    expect(claude.play([start]) == "", "the first session was told something")
    claude.play(events)
    answer = world.type("status")
    expect(f"{MONDAY} (alive)" in answer, "the session is not alive")
    expect("test (inferred" in answer, "the phase is not test")
    expect("4 changed, 2 read" in answer, "the files are not counted")
    expect("10 ended, 2 failed" in answer, "the calls are not counted")
    expect(world.state()["last_checkpoint"] == f"session-{MONDAY}", "no checkpoint was made")


def subagents(world: World, claude: Client) -> None:
    """Three subagents, two of them at once."""
    say(
        "2. Subagents work for it",
        "Three subagents, two of them at the same time. What they change counts for the session, "
        "with their names. notes.txt and sizes.txt were made by shell commands: git tells.",
    )
    claude.play(world.recorded("subagents"))
    world.type("show")
    files = world.state()["files_processed"]
    made = ["parser.py", "lexer.py", "tokens.py", "sizes.txt", "docs.md", "notes.txt"]
    expect(list(files) == made, f"files changed are {list(files)}")
    expect(files["docs.md"]["agent"] == "a973b386e72f52169", "docs.md has not its subagent")
    expect(files["parser.py"]["count"] == 2, "parser.py was not counted twice")


def keep(world: World) -> None:
    """A key and a checkpoint by hand."""
    say(
        "3. Someone keeps a plan and a checkpoint",
        "Keys are named JSON values; a checkpoint by hand holds all of them and the session.",
    )
    world.type("set", "plan", '{"step": 2, "of": 5}')
    world.type("checkpoint", "documented")


def crash(world: World, claude: Client) -> None:
    """SIGKILL in the middle of a Bash call."""
    say(
        "4. A crash in the middle of a call",
        "Claude changes main.py and is in the middle of a command when it is killed with SIGKILL. "
        "No hook ran for that. Every call that had ended is on disk all the same.",
    )
    claude.play(world.recorded("crash"))
    wait_for(world.project / "half-migrated")
    claude.kill()
    answer = world.type("status")
    expect(f"{MONDAY} (crashed)" in answer, "the session is not told to have crashed")
    expect("in flight   Bash touch half-migrated" in answer, "the call is not in flight")
    world.type("log", "-n", "4")
    expect(world.state()["files_processed"]["main.py"]["count"] == 1, "main.py was lost")


def start_again(world: World, claude: Client) -> None:
    """The next session, after the disk has changed."""
    say(
        "5. The next day",
        "In the meantime lexer.py was edited by hand and tokens.py deleted. A new session starts, "
        "with a new id and an empty conversation. It continues the one that crashed.",
    )
    (world.project / "lexer.py").write_text("edited by hand\n")
    (world.project / "tokens.py").unlink()
    start, *events = world.recorded("compaction")
    told = claude.play([start])
    quote(told)
    for fact in (
        f"This session continues session {MONDAY}, which ended without a word",
        "Phase: build (inferred)",
        'Interrupted: Bash "touch half-migrated; sleep 60"',
        "Files changed (7)",
        '"docs.md" (Write, created, by a subagent',
        '"lexer.py" changed',
        '"tokens.py" gone',
        'Bash "make test": "Exit code 2"',
        'Last request: "Put it together in main.py, then migrate the data."',
    ):
        expect(fact in told, f"Claude was not told: {fact}")
    claude.play([event for event in events if event.get("tool_name") or "prompt" in event])


def compact(world: World, claude: Client) -> None:
    """A compaction by the client itself."""
    say(
        "6. A compaction",
        "The conversation grew too long and the client replaced it by a summary. The session is "
        "checkpointed before, and Claude is told again afterwards.",
    )
    events = world.recorded("compaction")
    claude.play([event for event in events if event["hook_event_name"] == "PreCompact"])
    told = claude.play([event for event in events if event.get("source") == "compact"])
    quote(told)
    expect("Files changed (" in told and '"parser.py"' in told, "the files were lost")
    expect('Last request: "Go on."' in told, "the request was lost")
    claude.play([event for event in events if event["hook_event_name"] == "Stop"])


def restore(world: World) -> None:
    """To a checkpoint and back."""
    say(
        "7. Back to a checkpoint, and undo",
        "The plan went on, and a key was added. Restoring sets the keys, the phase and the list of "
        "files to exactly what the checkpoint holds; undo goes back to what was before. Neither "
        "touches your files.",
    )
    world.type("set", "plan", '{"step": 3, "of": 5}')
    world.type("set", "owner", "ana")
    before = world.type("diff", "documented")
    world.type("restore", "documented")
    expect(json.loads(world.ask("get", "plan", "--json"))["step"] == 2, "plan was not restored")
    expect("owner" not in world.ask("get"), "a newer key stayed")
    again = world.type("diff", "documented")
    expect("Nothing differs" in again, "the restored state is not the checkpoint's")
    world.type("undo")
    expect(world.ask("diff", "documented") == before, "undo did not go back")
    world.type("get", "plan")


def end(world: World, claude: Client) -> None:
    """A clean end, and what is left on disk."""
    say(
        "8. What is on disk",
        "The session ends. All of it is in one directory, which git does not see:",
    )
    events = world.recorded("compaction")
    claude.play([event for event in events if event["hook_event_name"] == "SessionEnd"])
    claude.close()
    expect("(stopped)" in world.type("status"), "the session has not stopped")
    print("\n  .claude/state/")
    state = world.project / ".claude" / "state"
    for path in sorted(state.rglob("*")):
        depth = len(path.relative_to(state).parts)
        size = "" if path.is_dir() else f"{path.stat().st_size} bytes"
        name = "    " * depth + path.name + ("/" if path.is_dir() else "")
        print(f"  {name:<62}{size:>12}".rstrip())
    expect(".claude" not in world.git("status", "--porcelain"), "git sees the state")


def main() -> int:
    """The demo, and nothing left behind."""
    if shutil.which("git") is None:
        raise SystemExit("demo: it needs git, and there is none on the PATH")
    top = Path(tempfile.mkdtemp(prefix="workflow-state-demo-")).resolve()
    try:
        story(World(top))
    finally:
        shutil.rmtree(top)
    say("That was it", f"Everything above was checked, and {top} is gone again.")
    return 0


if __name__ == "__main__":
    if sys.argv[1:] == ["client"]:
        client()
    else:
        raise SystemExit(main())
