"""The check of the project's build files: would a build publish what was recorded?"""

from __future__ import annotations

import os
import re
from fnmatch import fnmatchcase

from ...errors import StoreError
from ..settings_files import read, values
from .finding import MEND, NOTE, OK, Finding, Subject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_TABLE = re.compile(r"\s*\[+\s*([^\]]+?)\s*\]+\s*(?:#.*)?")
_LIST = re.compile(r"\s*([\w.-]+)\s*=\s*(.*)", re.DOTALL)
_TEXT = re.compile(r"\"([^\"\n]*)\"|'([^'\n]*)'")


def check_published(subject: Subject) -> Finding:
    """Would a package or an image that is built here hold the recorded state?"""
    project = os.path.realpath(subject.project)
    inside = [
        os.path.relpath(place, project)
        for place in {os.path.realpath(subject.directory), f"{project}/.claude/state"}
        if place.startswith(project + "/") and os.path.isdir(place)
    ]
    found = [
        build(subject.project, place)
        for place in sorted(inside)
        for build in (_hatchling, _manifest, _includes, _npm, _gem, _image)
    ]
    for said, mend, state in sorted(filter(None, found), key=lambda each: each[2] != MEND):
        return Finding("published", state, said, mend)
    said = "no build file of the project takes the recorded state along"
    return Finding("published", OK, said if inside else "there is no state in the project")


def _hatchling(project: str, place: str) -> tuple[str, str, str] | None:
    """An sdist of hatchling holds every file, less one .gitignore: it reads no nested one."""
    tables = _tables(f"{project}/pyproject.toml")
    backend = " ".join(tables.get("build-system", {}).get("build-backend", []))
    if backend != "hatchling.build":
        return None
    at = f"{project}/pyproject.toml"
    wanted: list[str] = []
    ignored = _lines(_gitignore(project))
    excluded: list[str] = []
    for table, top in ((tables, "tool.hatch."), (_tables(f"{project}/hatch.toml"), "")):
        for name in (f"{top}build.targets.sdist", f"{top}build"):
            given = table.get(name, {})
            wanted += given.get("only-include", []) + given.get("include", [])
            wanted += given.get("packages", [])
            excluded += given.get("exclude", [])
            ignored = [] if given.get("ignore-vcs") == ["true"] else ignored
    if _covers(ignored + excluded, place) or (wanted and not _covers(wanted, place)):
        return None
    mend = f'add exclude = ["/{_top(place)}"] to [tool.hatch.build.targets.sdist] in {at}'
    return f"an sdist that hatchling builds by {at} would hold {place}", mend, MEND


def _gitignore(folder: str) -> str:
    """The .gitignore that hatchling reads: the next one upwards, as far as the repository goes."""
    while folder and not os.path.isfile(f"{folder}/.gitignore"):
        if os.path.exists(f"{folder}/.git"):
            break
        folder = folder.rpartition("/")[0]
    return f"{folder}/.gitignore"


def _manifest(project: str, place: str) -> tuple[str, str, str] | None:
    """MANIFEST.in of setuptools: the last line that is about the place decides."""
    at = f"{project}/MANIFEST.in"
    taken = False
    for line in _lines(at):
        command, *words = line.split()
        if command in ("graft", "prune"):
            if any(_lies_in(place, word) for word in words):
                taken = command == "graft"
        elif command in ("include", "exclude"):
            if any(fnmatchcase(f"{place}/sessions.json", word) for word in words):
                taken = command == "include"
        elif command in ("recursive-include", "recursive-exclude"):
            if words and _lies_in(place, words[0]) and _takes_documents(words[1:]):
                taken = command == "recursive-include"
        elif command in ("global-include", "global-exclude") and _takes_documents(words):
            taken = command == "global-include"
    if not taken:
        return None
    mend = f"echo 'prune {_top(place)}' >> {at}"
    return f"an sdist that setuptools builds by {at} would hold {place}", mend, MEND


def _includes(project: str, place: str) -> tuple[str, str, str] | None:
    """Builds that take along what they are told to: poetry, pdm, flit, cargo."""
    python, rust = f"{project}/pyproject.toml", f"{project}/Cargo.toml"
    for at, name, key, no in (
        (python, "tool.poetry", "include", "exclude"),
        (python, "tool.pdm.build", "source-includes", "excludes"),
        (python, "tool.pdm.build", "includes", "excludes"),
        (python, "tool.flit.sdist", "include", "exclude"),
        (rust, "package", "include", "exclude"),
    ):
        given = _tables(at).get(name, {})
        if _covers(given.get(key, []), place) and not _covers(given.get(no, []), place):
            said = f'"{key}" of [{name}] in {at} takes {place} along'
            return said, f'add "{_top(place)}" to "{no}" there, or name less in "{key}"', MEND
    return None


def _npm(project: str, place: str) -> tuple[str, str, str] | None:
    """`npm pack` takes every folder along whose own ignore file does not leave it out."""
    at = f"{project}/package.json"
    try:
        package = values(at)
    except StoreError:
        return None
    if not package or package.get("private") is True:
        return None
    if any(os.path.isfile(f"{project}/{place}/{name}") for name in (".gitignore", ".npmignore")):
        return None
    files = package.get("files")
    ignore = f"{project}/.npmignore"
    ignored = _lines(ignore if os.path.isfile(ignore) else f"{project}/.gitignore")
    if isinstance(files, list):
        if not _covers([each for each in files if isinstance(each, str)], place):
            return None
    elif _covers(ignored, place):
        return None
    mend = f'name what belongs in the package in "files" of {at}, without {_top(place)}'
    return f"a package that npm makes by {at} would hold {place}", mend, MEND


def _gem(project: str, place: str) -> tuple[str, str, str] | None:
    """A gem's files are a program's: only what it says of files that begin with a dot is seen."""
    for name in _names(project):
        if name.endswith(".gemspec"):
            text = "\n".join(_lines(f"{project}/{name}"))
            if "FNM_DOTMATCH" in text and ".claude" not in text:
                mend = f'leave out what starts with "{_top(place)}/" in spec.files there'
                return f"the gem of {project}/{name} would hold {place}", mend, MEND
    return None


def _image(project: str, place: str) -> tuple[str, str, str] | None:
    """An image that copies the whole project, and an ignore file that lets the state through."""
    for name in _names(project):
        if not re.fullmatch(r"(Dockerfile|Containerfile)(\..+)?|.+\.Dockerfile", name):
            continue
        copied = [
            word
            for line in _lines(f"{project}/{name}")
            for word in re.sub(r"--\S+", "", line).split()[1:-1]
            if re.match(r"(?i)(copy|add)\s", line) and "--from=" not in line
        ]
        own = f"{project}/{name}.dockerignore"
        ignore = next(
            (at for at in (own, f"{project}/.containerignore") if os.path.isfile(at)),
            f"{project}/.dockerignore",
        )
        whole = any(word in (".", "./", "*", "./*", "/") for word in copied)
        if (whole or _covers(copied, place)) and not _covers(_lines(ignore), place, top=True):
            said = f"an image that is built by {project}/{name} would hold {place}"
            return said, f"echo '{_top(place)}' >> {ignore}", NOTE
    return None


# --- what the files say ------------------------------------------------------------------------


def _covers(patterns: Iterable[str], place: str, top: bool = False) -> bool:
    """Whether patterns as of .gitignore match a folder.

    With `top`, a bare name is one at the top: so .dockerignore has it.
    """
    covered = False
    parts = place.split("/")
    paths = ["/".join(parts[: count + 1]) for count in range(len(parts))]
    for pattern in patterns:
        negated, plain = pattern[:1] == "!", pattern.lstrip("!").strip()
        anchored = top or "/" in plain.strip("/") or plain[:1] == "/"
        plain = re.sub(r"^\./", "", plain).strip("/")
        deep = plain[:3] == "**/"
        plain = re.sub(r"(/\*{1,2})+$", "", re.sub(r"^(\*\*/)+", "", plain))
        tried = paths if anchored and not deep else [*paths, *parts]
        if plain in (".", "*", "**") or any(fnmatchcase(path, plain) for path in tried):
            covered = not negated
    return covered


def _takes_documents(patterns: list[str]) -> bool:
    return any(fnmatchcase("plan.json", pattern) for pattern in patterns)


def _lies_in(place: str, folder: str) -> bool:
    folder = folder.strip("/")
    return folder in (".", "*") or f"{place}/".startswith(f"{folder}/")


def _top(place: str) -> str:
    """What to leave out: Claude Code's own folder holds nothing for others to install."""
    return ".claude" if place.startswith(".claude/") else place


def _names(project: str) -> list[str]:
    try:
        return sorted(os.listdir(project))
    except OSError:
        return []


def _lines(path: str) -> list[str]:
    """A file's lines without comments; [] if it cannot be read."""
    try:
        text = (read(path) or b"").decode("utf-8", "replace")
    except StoreError:
        return []
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _tables(path: str) -> dict[str, dict[str, list[str]]]:
    """What a TOML file says by table and key: texts, lists of texts, and `true`.

    Python 3.9 has no parser of TOML.
    """
    found: dict[str, dict[str, list[str]]] = {}
    table, key, opened = "", "", False
    for line in _lines(path):
        head, entry = _TABLE.fullmatch(line), _LIST.fullmatch(line)
        if head and not opened:
            table = head[1].replace('"', "")
            continue
        begins = not opened and entry is not None
        key = entry[1] if begins and entry else key
        text = entry[2] if begins and entry else line
        if opened or begins:
            texts = [one or other for one, other in _TEXT.findall(text)]
            texts += ["true"] if text.startswith("true") else []
            found.setdefault(table, {}).setdefault(key, []).extend(texts)
        opened = (opened or (begins and text[:1] == "[")) and "]" not in _TEXT.sub("", text)
    return found
