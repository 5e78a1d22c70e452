"""lib/format/types.py and docs/format.md name the same members; and no code loads the types."""

from __future__ import annotations

import ast
import json
import re

import pytest

from lib.session.states import empty
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "format.md").read_text()
TREE = ast.parse((ROOT / "lib" / "format" / "types.py").read_text())
CLASSES = {node.name: node for node in TREE.body if isinstance(node, ast.ClassDef)}
EXAMPLE = json.loads(re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)[-1])


def members(name):
    """The members of a class and of those that it extends."""
    node = CLASSES[name]
    own = {each.target.id for each in node.body if isinstance(each, ast.AnnAssign)}
    bases = [base.id for base in node.bases if isinstance(base, ast.Name) and base.id in CLASSES]
    return own.union(*map(members, bases))


def section(title):
    """What stands under a heading, as far as the next."""
    return re.search(rf"^#+ {title}\n(.*?)(?=^#)", PAGE, re.DOTALL | re.MULTILINE).group(1)


def quoted(text):
    """The words of a text in backquotes or in double quotes: names of members."""
    return set(re.findall(r"`([a-z_]+)`", text)) | set(re.findall(r'"([a-z_]+)"', text))


def rows(text, column=1):
    """The names in one column of the tables of a text, their heads left out."""
    cells = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return set().union(*[quoted(cell[column - 1].replace("|", "")) for cell in cells[1:]])


def row(text, name):
    """The names in the description of a table's row."""
    (line,) = [line for line in text.splitlines() if line.startswith(f"| `{name}`")]
    return quoted(line.split(" | ", 1)[1])


CLIENT, OURS = section("Records of the client's events"), section("Records of our own")
STATE, DOCUMENTS = section("A session's state"), section("Keys and checkpoints")
FRAME = {"v", "at", "event", "check"}
FILE, CALL = re.search(
    r"^About a file: (.*?)A call in a\nlist has (.*?)\n\n", STATE, re.DOTALL | re.MULTILINE
).groups()

PAGES = {
    "Record": FRAME | rows(CLIENT.split("`continues` is")[0]) | rows(OURS, 2),
    "Continues": quoted(re.search(r"`continues` is `(.*?)`", CLIENT).group(1))
    | quoted(" ".join(re.findall(r"^- (.*?)[:,]", CLIENT, re.MULTILINE)))
    | quoted(" ".join(re.findall(r"Or (`.*?`),", CLIENT))),
    "SessionState": rows(STATE),
    "Ended": row(STATE, "ended"),
    "Process": row(STATE, "process"),
    "Counts": row(STATE, "counts"),
    "FileRow": quoted(re.sub(r"\(.*?\)", "", FILE, flags=re.DOTALL)),
    "Call": quoted(CALL)
    | row(STATE, "in_flight")
    | row(STATE, "interrupted")
    | row(STATE, "failures"),
    "KeyDocument": quoted(re.search(r"A key is `(.*?)`", DOCUMENTS).group(1)),
    "Checkpoint": rows(DOCUMENTS),
    "Mark": row(DOCUMENTS, "journal") | {"skipped", "unread", "anew"},  # in no checkpoint
}


@pytest.mark.parametrize("name", PAGES)
def test_a_type_has_the_members_that_the_page_describes(name):
    assert members(name) == PAGES[name]


def test_the_types_have_the_members_of_the_example():
    session = EXAMPLE["session"]
    assert set(EXAMPLE) == members("Checkpoint")
    assert set(EXAMPLE["journal"]) <= members("Mark")
    assert set(session) == members("SessionState") == set(empty("one"))
    assert set(session["fold"]) == members("Fold") - {"pending"} == set(empty("one")["fold"])
    assert set(session["fold"]["applied"]) == members("Applied")
    assert set(session["counts"]) == members("Counts")
    for about in session["files_processed"].values():
        assert set(about) == members("FileRow")
    for key in EXAMPLE["keys"].values():
        assert set(key) == members("KeyDocument")


def test_no_code_loads_the_types():
    for path in [*(ROOT / "lib").rglob("*.py"), *(ROOT / "hooks").glob("*.py")]:
        tree = ast.parse(path.read_text())
        checked = [
            inner
            for node in ast.walk(tree)
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
            for inner in ast.walk(node)
        ]
        loaded = [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module and node.module.endswith("types")
        ]
        assert not [node for node in loaded if node not in checked], path
