"""Bad days in the real client: the tools go on, Claude is not bothered, and nothing is lost."""

from __future__ import annotations

import json
import shutil
import threading

import pytest

from lib.telling.context import HIGHEST

from .messages import bash
from .test_sessions import SUMMARISE, SUMMARY


def test_two_sessions_at_once_keep_apart(claude):
    other_has_ended = threading.Event()

    def write_afterwards(_request):
        assert other_has_ended.wait(60)
        return claude.write("ours.py")

    claude.mock.script(write_afterwards, "Done.", to="Make ours")
    claude.mock.script(claude.write("theirs.py"), "Done.", to="Make theirs")
    ours = claude.start("Make ours")
    claude.mock.wait_for(1)
    theirs = claude.run("Make theirs")
    other_has_ended.set()
    done = ours.wait()

    assert "Alive in this project, with work of its own" in theirs.told()
    assert done.session in theirs.told()
    assert "continues session" not in theirs.told()
    assert list(claude.show(done.session)["files_processed"]) == ["ours.py"]
    assert list(claude.show(theirs.session)["files_processed"]) == ["theirs.py"]
    assert claude.show(theirs.session)["continues"] is None


def test_registered_twice_everything_counts_once(claude):
    claude.options = ["--plugin-dir", str(claude.bundle)]
    claude.mock.script([claude.write("a.py"), bash("exit 3")], "Done.", "Going on.")
    first = claude.run("Make a.py")
    events = claude.events()
    assert {event: events.count(event) for event in ("PreToolUse", "Stop")} == {
        "PreToolUse": 4,
        "Stop": 2,
    }
    after = claude.run("Go on", "--continue")

    live = claude.show(first.session)
    assert live["files_processed"]["a.py"]["count"] == 1
    assert (live["counts"]["calls"], live["counts"]["failed"]) == (2, 1)
    assert (live["counts"]["requests"], live["interrupted"]) == (2, [])
    assert "Calls ended in this session: 2, 1 failed." in after.told()


@pytest.mark.parametrize("plugin", [False, True], ids=["settings", "plugin"])
def test_scripts_deleted_under_a_session_stop_no_tool(bare, plugin):
    claude = bare
    if plugin:
        claude.options = ["--plugin-dir", str(claude.bundle)]
    else:
        claude.register()

    def write_without_hooks(_request):
        shutil.rmtree(claude.bundle / "hooks")
        return [claude.write("a.py"), bash("echo x > b.py"), claude.read("a.py")]

    claude.mock.script(claude.write("before.py"), write_without_hooks, "Done.")
    done = claude.start("Make files").wait()

    assert done.code == 0
    assert [error for _, error in done.requests[-1].results().values()] == [False] * 4
    assert (claude.project / "a.py").exists()
    assert (claude.project / "b.py").exists()
    assert "hooks/" not in "".join(done.requests[-1].texts())
    assert {hook["exit_code"] for hook in done.noise()} == {1}
    assert list(claude.show(done.session)["files_processed"]) == ["before.py"]


def test_switched_off_the_hooks_do_nothing(claude):
    claude.environment["WORKFLOW_STATE"] = "off"
    claude.mock.script(claude.write("a.py"), "Done.")
    claude.run("Make a.py")
    assert not claude.state().exists()


def test_a_full_disk_stops_no_tool_and_loses_nothing(claude):
    state = claude.state()
    state.mkdir(mode=0o700, parents=True)
    claude.inside("mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "tmpfs", str(state))
    claude.mock.script(claude.write("a.py"), "Done.")
    first = claude.run("Make a.py")
    claude.inside("dd", "if=/dev/zero", f"of={state}/filler")

    claude.mock.script(claude.write("b.py"), bash("cat b.py"), "Done.")
    second = claude.start("Make b.py").wait()
    assert second.code == 0
    assert [error for _, error in second.requests[-1].results().values()] == [False, False]
    assert (claude.project / "b.py").exists()
    assert "No space left" not in "".join(second.requests[-1].texts())
    # The user is told, in one line each, by every hook that could not record.
    assert {hook["stderr"].count("\n") for hook in second.noise()} == {1}
    assert all("No space left on device" in hook["stderr"] for hook in second.noise())

    claude.inside("rm", f"{state}/filler")
    claude.mock.script("Going on.")
    third = claude.run("Go on")
    assert f"continues session {first.session}" in third.told()
    assert 'Files changed (1): "a.py"' in third.told()


# --- how much the client passes on ---------------------------------------------------------------


def units(text: str) -> int:
    """UTF-16 units, as the client counts."""
    return len(text.encode("utf-16-le")) // 2


def test_the_client_passes_on_as_much_as_is_ever_told(bare):
    claude = bare
    text = ("\N{MUSICAL SYMBOL G CLEF}\N{SNOWMAN}x\n" * HIGHEST)[: HIGHEST * 4 // 5]
    assert units(text) == HIGHEST
    output = {"hookEventName": "SessionStart", "additionalContext": text}
    (claude.top / "output").write_text(json.dumps({"hookSpecificOutput": output}))
    hook = {"type": "command", "command": f"cat '{claude.top / 'output'}'"}
    (claude.project / ".claude").mkdir()
    settings = {"hooks": {"SessionStart": [{"hooks": [hook]}]}}
    (claude.project / ".claude/settings.local.json").write_text(json.dumps(settings))
    claude.mock.script("Yes.")
    (request,) = claude.run("Look").requests
    assert f"SessionStart hook additional context: {text.strip()}" in "".join(request.texts())


def test_what_claude_is_told_at_any_start_arrives_whole(claude):
    claude.environment["WORKFLOW_STATE_CONTEXT"] = str(HIGHEST)
    names = [f"{number:02d} \N{SNOWMAN} {'name ' * 30}.py" for number in range(40)]

    def run(prompt: str, *options: str):
        # Whatever changed on disk since the checkpoint is told too.
        for name in names:
            if (claude.project / name).exists():
                (claude.project / name).write_text(f"{len(claude.mock.requests)}\n")
        return claude.run(prompt, *options)

    commands = [bash(f"exit 3  # {number} {'of many words ' * 20}") for number in range(8)]
    claude.mock.script([claude.write(name) for name in names], commands, "Done.")
    first = run("\N{MUSICAL SYMBOL G CLEF}" * 300)
    claude.mock.script("Started.", "Resumed.", "Forked.", "Compacted.", "Cleared.")
    claude.mock.script(SUMMARY, to=SUMMARISE)
    resume = ["--resume", first.session]
    texts = {}
    for source, options in (
        ("startup", []),
        ("resume", resume),
        ("fork", [*resume, "--fork-session"]),
    ):
        done = run("Go on", *options)
        texts[source] = done.printed()[-1]
        assert done.told() == texts[source]
    for source in ("compact", "clear"):
        command = run(f"/{source}", *resume)
        texts[source] = command.printed()[-1]
        after = run("Go on", "--resume", command.session)
        assert texts[source] in after.requests[-1].told()

    assert all(5000 < units(text) <= HIGHEST for text in texts.values()), texts
    assert "<persisted-output>" not in "".join(claude.mock.requests[-1].texts())
