"""Our hooks in a settings file's text: they come and go, every other byte stays."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lib.install import hook_commands
from lib.install import registered as registration
from lib.install.registered import Unfit, is_ours, registered, with_hooks, without
from tests.conftest import ROOT, SCRIPTS

OURS = hook_commands.personal("/home/you/.workflow-state", "/usr/bin/python3.11")
EVENTS = [*SCRIPTS, "Notification", "SubagentStop"]
"""A machine may be busy."""


# --- settings files of every shape -------------------------------------------------------------

names = st.text(max_size=6) | st.sampled_from(["env", "permissions", "model", "statusLine"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8) | st.sampled_from(["{", '"', "\\", "],", "\u2028", "é", "// no comment"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
their_hook = st.fixed_dictionaries(
    {"type": st.just("command"), "command": st.sampled_from(["true", "./hooks/stop.py", "a \\ b"])},
    optional={"timeout": st.integers(1, 600), "args": st.lists(st.text(max_size=3), max_size=2)},
)
their_group = st.fixed_dictionaries(
    {"hooks": st.lists(their_hook, max_size=2)}, optional={"matcher": st.text(max_size=4)}
)
their_hooks = st.dictionaries(
    st.sampled_from(EVENTS), st.lists(their_group, max_size=3), max_size=4
)


@st.composite
def files(draw, hooks=their_hooks) -> str:
    """The text of a settings file, laid out as somebody might."""
    said = draw(st.dictionaries(names, values, max_size=4))
    said.pop("hooks", None)
    pairs = list(said.items())
    if draw(st.booleans()):
        pairs.insert(draw(st.integers(0, len(pairs))), ("hooks", draw(hooks)))
    indent = draw(st.sampled_from([None, 1, 2, 4, "\t"]))
    separators = draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,", " : ")]))
    ascii_only = draw(st.booleans())
    text = json.dumps(dict(pairs), indent=indent, separators=separators, ensure_ascii=ascii_only)
    text = text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    if draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    head = draw(st.sampled_from(["", "\ufeff", "\n", "  "]))
    return head + text + draw(st.sampled_from(["", "\n", "\r\n", "\n\n "]))


def said(text: str) -> object:
    """What a text says, the order of keys and what was said twice included."""
    return json.loads(text.lstrip("\ufeff"), object_pairs_hook=lambda pairs: ["object", *pairs])


def without_ours(text: str) -> object:
    """What a text says but for our hooks: taken out of the value, not of the text."""
    value = json.loads(text.lstrip("\ufeff"))
    for groups in value["hooks"].values():
        groups[:] = [group for group in groups if not _is_ours(group)]
    return value


def _is_ours(group: dict) -> bool:
    return any(is_ours(hook.get("command", "")) for hook in group["hooks"])


@given(files())
def test_adding_changes_nothing_else(text):
    added = with_hooks(text, OURS)
    assert registered(added) == {event: [line] for event, line in OURS.items()}
    before = json.loads(text.lstrip("\ufeff"))
    after = without_ours(added)
    for event in OURS:
        before.setdefault("hooks", {}).setdefault(event, [])
    assert after == before
    kept = [key for key in before if key != "hooks"]
    assert [key for key in after if key != "hooks"] == kept
    assert added.startswith(text[:1]) or text[0] == "{"


@given(files())
def test_taking_out_what_was_added_gives_the_same_settings(text):
    gone = without(with_hooks(text, OURS))
    assert registered(gone) == {}
    if not hollow(text):
        assert gone == text
    else:  # an empty list of ours and one of theirs are alike
        now, was = json.loads(gone.lstrip("\ufeff")), json.loads(text.lstrip("\ufeff"))
        assert pruned(now) == pruned(was)


def hollow(text: str) -> bool:
    root = registration.parse(text)
    hooks = root.get("hooks")
    lists = hooks.members if hooks else []
    return not all(part.members for part in [root, *([hooks] if hooks else []), *lists])


def pruned(value: dict) -> dict:
    hooks = {event: groups for event, groups in value.get("hooks", {}).items() if groups}
    return {
        **{k: v for k, v in value.items() if k != "hooks"},
        **({"hooks": hooks} if hooks else {}),
    }


@given(files())
@example("{}")
@example('{"a": 1}')
def test_what_is_added_is_laid_out_as_the_file_is(text):
    added = with_hooks(text, OURS)
    if "\n" not in text.strip() and text.strip() not in ("{}", "\ufeff{}"):
        assert "\n" not in added.strip()
    bare = r"(?<!\r)\n"
    if "\r\n" in text and not re.search(bare, text):
        assert not re.search(bare, added)


UNFIT = {
    "[]": "line 1, column 1: the settings must be an object",
    '{"hooks": []}': 'line 1, column 11: "hooks" must be an object',
    '{"hooks": null}': 'line 1, column 11: "hooks" must be an object',
    '{"hooks": {"Stop": {}}}': 'line 1, column 20: "hooks"."Stop" must be an array',
}


@pytest.mark.parametrize("text", UNFIT)
def test_what_claude_code_would_not_take_is_not_added_to(text):
    with pytest.raises(Unfit) as caught:
        with_hooks(text, OURS)
    assert str(caught.value).startswith(UNFIT[text])


def test_of_two_members_of_one_name_the_last_counts():
    text = '{"hooks": {"Stop": []}, "hooks": {"Stop": [{"hooks": []}]}}'
    added = with_hooks(text, OURS)
    assert registered(added).keys() == SCRIPTS.keys()
    assert json.loads(added)["hooks"]["Stop"][0] == {"hooks": []}
    assert without(added) == text


# --- whose a hook is ---------------------------------------------------------------------------


def example_of(name: str) -> dict[str, list[dict]]:
    return json.loads((ROOT / name).read_text())["hooks"]


def test_the_files_that_are_copied_by_hand_are_recognised():
    for name in ("settings.example.json", "hooks/hooks.json"):
        text = (ROOT / name).read_text()
        if name.startswith("settings"):
            assert registered(text).keys() == SCRIPTS.keys()
            assert without(text) == "{}\n"
        for event, groups in example_of(name).items():
            assert hook_commands.SCRIPTS[event][1] == groups[0]["hooks"][0]["timeout"]


OUR_LINES = [
    *OURS.values(),
    *hook_commands.shared().values(),
    *hook_commands.personal("/opt/it's here", "/usr/bin/python3").values(),
    'python3 -I -S "${WORKFLOW_STATE_HOME:-$HOME/.workflow-state}/hooks/stop.py" || exit 1',
    "python3 ~/.workflow-state/hooks/post_tool.py",
    "python3 -I -S /home/you/src/workflow-state/hooks/pre_tool.py",
]
THEIR_LINES = [
    "",
    # Run as we run ours, in a folder that says nothing of whose it is.
    "python3 -I -S /opt/theirs/hooks/stop.py || exit 1",
    'python3 -I -S "/opt/their bundle/hooks/session_start.py" || exit 1',
    "/home/you/my-workflow-state/hooks/stop.py",
    "python3 .claude/hooks/stop.py",
    "/home/you/workflow-state/.claude/hooks/stop.py",
    "python3 -I -S /opt/theirs/hooks/stop.py",
    "workflow-state/bin/workflow-state status",
    "/home/you/.workflow-state/hooks/notify.py",
    "/home/you/.workflow-state/hooks/stop_python",
]


@pytest.mark.parametrize("line", OUR_LINES)
def test_is_ours(line):
    assert is_ours(line)


@pytest.mark.parametrize("line", THEIR_LINES)
def test_is_not_ours(line):
    assert not is_ours(line)


def settings_of(lines: dict[str, list[str]]) -> str:
    groups = {
        event: [{"hooks": [{"type": "command", "command": line} for line in each]}]
        for event, each in lines.items()
    }
    return json.dumps({"hooks": groups})


def test_a_start_in_a_folder_of_any_name_is_ours_where_the_rest_of_the_bundle_is():
    here = '"/opt/some bundle"'
    ours = {event: hook_commands.command(event, here, "python3.9") for event in SCRIPTS}
    ours["SessionStart"] = f"python3 -I -S {here}/hooks/session_start.py || exit 1"
    theirs = "python3 -I -S /opt/theirs/hooks/session_start.py || exit 1"
    both = {**{event: [line] for event, line in ours.items()}}
    both["SessionStart"] = [theirs, ours["SessionStart"]]
    text = settings_of(both)
    assert registered(text) == {event: [line] for event, line in ours.items()}
    assert without(text) == settings_of({"SessionStart": [theirs]})


def test_ours_among_theirs_is_taken_out_alone():
    mine = {
        "type": "command",
        "command": "python3",
        "args": ["-I", "-S", "/workflow-state/hooks/stop.py"],
    }
    theirs = {"type": "command", "command": "true"}
    text = json.dumps(
        {
            "hooks": {
                "Stop": [{"matcher": "*", "hooks": [mine, theirs]}],
                "SubagentStop": [{"hooks": [mine]}],
            }
        }
    )
    assert json.loads(without(text)) == {"hooks": {"Stop": [{"matcher": "*", "hooks": [theirs]}]}}
