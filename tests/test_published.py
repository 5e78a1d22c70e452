"""What `doctor` says of build files: each build that would publish the state, and no other."""

from __future__ import annotations

import subprocess

import pytest

from lib.install.doctor.finding import Subject
from lib.install.doctor.published import check_published

HATCH = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
SDIST = "[tool.hatch.build.targets.sdist]\n"
COPY = "FROM python:3.13\nCOPY --chown=me . /app\n"

PUBLISHED = {
    "hatchling": ({"pyproject.toml": HATCH}, "an sdist that hatchling builds"),
    "hatchling, and git ignores other things": (
        {"pyproject.toml": HATCH, ".gitignore": "dist/\n*.pyc\n# .claude\n"},
        "hatchling",
    ),
    "hatchling, which takes it back in": (
        {"pyproject.toml": HATCH, ".gitignore": ".claude\n!.claude\n"},
        "hatchling",
    ),
    "hatchling, told to": (
        {"pyproject.toml": f'{HATCH}{SDIST}include = [\n  "src",\n  "/.claude",  # all\n]\n'},
        "hatchling",
    ),
    "hatchling, which asks no git": (
        {
            "pyproject.toml": f"{HATCH}[tool.hatch.build]\nignore-vcs = true\n",
            ".gitignore": ".claude\n",
        },
        "hatchling",
    ),
    "setuptools by graft": ({"MANIFEST.in": "graft .\n"}, "an sdist that setuptools builds"),
    "setuptools by all documents": ({"MANIFEST.in": "global-include *.json\n"}, "setuptools"),
    "setuptools below .claude": ({"MANIFEST.in": "recursive-include .claude *\n"}, "setuptools"),
    "poetry": ({"pyproject.toml": '[tool.poetry]\ninclude = [".claude/**/*"]\n'}, "[tool.poetry]"),
    "pdm": ({"pyproject.toml": '[tool.pdm.build]\nsource-includes = ["."]\n'}, "tool.pdm.build"),
    "flit": ({"pyproject.toml": '[tool.flit.sdist]\ninclude = [".claude"]\n'}, "tool.flit.sdist"),
    "cargo": ({"Cargo.toml": '[package]\ninclude = ["**/*"]\n'}, "[package] in"),
    "npm, and no ignore file": (
        {"package.json": '{"name": "x"}', ".claude/state/.gitignore": None},
        "a package that npm makes",
    ),
    "a gem of all files": (
        {"x.gemspec": 's.files = Dir.glob("**/*", File::FNM_DOTMATCH)\n'},
        "the gem of",
    ),
    "an image": ({"Dockerfile": COPY}, "an image that is built by"),
    "an image that leaves others out": (
        {"Containerfile": "ADD ./ /\n", ".dockerignore": ".git\nstate\n"},
        "an image",
    ),
}

NOT_PUBLISHED = {
    "nothing": {},
    "hatchling, and git ignores it": {"pyproject.toml": HATCH, ".gitignore": "/.claude/\n"},
    "hatchling, and git ignores a part": {"pyproject.toml": HATCH, ".gitignore": ".claude/state/*"},
    "hatchling without it": {"pyproject.toml": f'{HATCH}{SDIST}exclude = ["/.claude"]\n'},
    "hatchling, in its own file": {
        "pyproject.toml": HATCH,
        "hatch.toml": '[build.targets.sdist]\nexclude = [\n  ".*",\n]\n',
    },
    "hatchling, told what": {"pyproject.toml": f'{HATCH}{SDIST}only-include = ["src"]\n'},
    "another backend": {"pyproject.toml": '[build-system]\nbuild-backend = "flit_core.buildapi"\n'},
    "setuptools": {"MANIFEST.in": "graft src\nrecursive-include docs *.json\ninclude *.md\n"},
    "setuptools that prunes": {"MANIFEST.in": "graft .\nprune .claude\n"},
    "poetry": {"pyproject.toml": '[tool.poetry]\ninclude = ["CHANGELOG.md"]\n'},
    "cargo": {"Cargo.toml": '[package]\nname = "x"\n'},
    "npm": {"package.json": '{"name": "x"}'},
    "npm, which is never published": {
        "package.json": '{"private": true}',
        ".claude/state/.gitignore": None,
    },
    "npm, told what": {"package.json": '{"files": ["lib"]}', ".claude/state/.gitignore": None},
    "a gem of what git has": {"x.gemspec": "s.files = `git ls-files -z`.split\n"},
    "an image without it": {"Dockerfile": COPY, ".dockerignore": "**/.claude\n"},
    "an image of a part": {"Dockerfile": "COPY src /app\nCOPY --from=base . /\n"},
    "what is no TOML and no JSON": {"pyproject.toml": "[[[", "package.json": "{"},
}


@pytest.fixture
def project(tmp_path):
    """A project with state in it."""
    place = tmp_path / "project"
    (place / ".claude/state/sessions").mkdir(parents=True)
    (place / ".claude/state/.gitignore").write_text("*\n")
    (place / ".claude/state/sessions/s.jsonl").write_text("{}\n")
    return place


def check(project, files):
    for name, text in files.items():
        if text is None:
            (project / name).unlink()
        else:
            (project / name).write_text(text)
    return check_published(Subject(str(project), str(project / ".claude/state")))


@pytest.mark.parametrize(("files", "said"), PUBLISHED.values(), ids=PUBLISHED)
def test_a_build_that_would_publish_it_is_named_with_a_remedy(project, files, said):
    finding = check(project, files)
    assert finding.state in ("mend", "note")
    assert said in finding.said
    assert ".claude" in finding.said
    assert ".claude" in finding.mend


@pytest.mark.parametrize("files", NOT_PUBLISHED.values(), ids=NOT_PUBLISHED)
def test_no_other_is(project, files):
    assert check(project, files).state == "ok"


def test_a_package_of_a_larger_repository_has_its_gitignore(project):
    (project.parent / ".gitignore").write_text(".claude/\n")
    assert check(project, {"pyproject.toml": HATCH}).state == "ok"
    (project / ".git").mkdir()
    assert check(project, {}).state == "mend"


def test_without_state_in_the_project_there_is_nothing_to_publish(tmp_path):
    (tmp_path / "pyproject.toml").write_text(HATCH)
    finding = check_published(Subject(str(tmp_path), str(tmp_path.parent / "elsewhere")))
    assert (finding.state, finding.said) == ("ok", "there is no state in the project")


def test_a_state_directory_of_another_name_is_looked_for_too(tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "pyproject.toml").write_text(HATCH)
    finding = check_published(Subject(str(tmp_path), str(tmp_path / "kept")))
    assert finding.said.endswith("would hold kept")
    assert '"/kept"' in finding.mend


def test_what_mends_it_is_right(project):
    finding = check(project, {"MANIFEST.in": "graft .\n"})
    subprocess.run(["/bin/sh", "-c", finding.mend], check=True, cwd=project)
    assert check(project, {}).state == "ok"
