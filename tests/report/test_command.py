"""`workflow-state report` as a person runs it: where the file goes, and what it never overwrites."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import resource
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from lib.report.page import MARK, as_json
from tests.conftest import ROOT

CLI = [sys.executable, str(ROOT / "bin" / "workflow-state"), "report"]
DATA = re.compile(r'<script type="application/json" id="data">(.*?)</script>', re.DOTALL)


@pytest.fixture
def worked(hooks):
    """A session that wrote a file and stopped."""
    hooks.start("s")
    hooks.prompt("s", "add a parser")
    hooks.call("s", "Write", "1", {"file_path": str(hooks.project / "a.py")}, {"type": "create"})
    hooks.stop("s")
    return hooks


def run(hooks, *arguments: str, code: int = 0, **options) -> str:
    done = hooks.cli("report", *arguments, **options)
    assert done.returncode == code, (arguments, done.stdout, done.stderr)
    if code:
        assert (done.stdout == "") == ("--json" not in arguments)
        return done.stderr
    assert done.stderr == ""
    return done.stdout


def data_in(page: str) -> dict:
    (found,) = DATA.findall(page)
    return json.loads(found)


def listed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- where it goes -----------------------------------------------------------------------------


def test_without_a_name_it_lies_in_the_state_directory_for_its_owner_alone(worked):
    said = run(worked)
    where = worked.directory / "report.html"
    assert said.startswith(f"{where} (1 session, 0.1 MB); open it in a browser.")
    assert stat.S_IMODE(where.stat().st_mode) == 0o600
    assert where.read_bytes().startswith(MARK)
    assert data_in(where.read_text())["sessions"][0]["requests"][0]["text"] == "add a parser"
    assert not [name for name in listed(worked.directory) if name.startswith(".tmp")]


def test_it_goes_where_o_says(worked):
    run(worked, "-o", "mine.html")
    assert (worked.project / "mine.html").read_bytes().startswith(MARK)
    assert stat.S_IMODE((worked.project / "mine.html").stat().st_mode) == 0o600


def test_to_stdout_it_is_the_same_page(worked):
    run(worked, "-o", "mine.html")
    before = len(listed(worked.project))
    page, file = run(worked, "-o", "-"), (worked.project / "mine.html").read_text()
    assert DATA.sub("", page) == DATA.sub("", file)
    one, two = data_in(page), data_in(file)
    assert one.pop("generated") >= two.pop("generated")
    assert one == two
    assert len(listed(worked.project)) == before


def test_json_is_the_data_of_the_page(worked):
    data = json.loads(run(worked, "--json"))
    page = data_in(run(worked, "-o", "-"))
    data.pop("generated"), page.pop("generated")
    assert data == page
    assert "report.html" not in listed(worked.directory)


def test_of_one_session(worked):
    worked.start("other", "startup")
    data = json.loads(run(worked, "--json", "--session", "s"))
    assert [session["id"] for session in data["sessions"]] == ["s"]
    assert len(json.loads(run(worked, "--json"))["sessions"]) == 2


# --- what it replaces --------------------------------------------------------------------------


def test_an_older_report_is_replaced(worked):
    run(worked, "-o", "mine.html")
    before = (worked.project / "mine.html").stat().st_ino
    run(worked, "-o", "mine.html")
    assert (worked.project / "mine.html").stat().st_ino != before
    assert listed(worked.project) == [".claude", "mine.html"]


def test_another_file_stays_unless_it_is_forced(worked):
    file = worked.project / "notes.html"
    file.write_text("<!doctype html>\nmine")
    told = run(worked, "-o", "notes.html", code=1)
    assert told == (
        "workflow-state: notes.html is there and is no report of workflow-state; "
        "--force replaces it\n"
    )
    assert file.read_text() == "<!doctype html>\nmine"
    run(worked, "-o", "notes.html", "--force")
    assert file.read_bytes().startswith(MARK)


@pytest.mark.parametrize("target", ["a report", "another file", "nothing"])
def test_a_symlink_is_never_followed(worked, target):
    precious = worked.project / "precious"
    if target == "a report":
        precious.write_bytes(MARK + b"precious")
    elif target == "another file":
        precious.write_text("precious")
    before = precious.read_bytes() if target != "nothing" else None
    (worked.project / "link.html").symlink_to(precious)
    assert "is a symlink; --force replaces it" in run(worked, "-o", "link.html", code=1)
    run(worked, "-o", "link.html", "--force")
    assert not (worked.project / "link.html").is_symlink()
    assert (precious.read_bytes() if precious.exists() else None) == before


BAD = {
    "a directory": (("-o", "folder"), "folder is a directory; name a file in it"),
    "a directory with a slash": (("-o", "folder/"), "folder/ is a directory"),
    "a pipe": (("-o", "pipe", "--force"), "pipe is no plain file; for a pipe use -o -"),
    "a folder that is not there": (("-o", "no/a.html"), "no: No such file or directory"),
    "json into a file": (("-o", "a.html", "--json"), "leave out -o or --json"),
    "an unknown session": (("--session", "nobody"), "no record of session nobody"),
    "a time with nothing after it": (("--since", "2200-01-01"), "nothing is recorded since then"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_done_is_said_and_nothing_written(worked, case):
    (worked.project / "folder").mkdir()
    os.mkfifo(worked.project / "pipe")
    before = listed(worked.project)
    arguments, said = BAD[case]
    told = run(worked, *arguments, code=1)
    assert told.startswith("workflow-state: ")
    assert told.count("\n") == 1
    assert said in told
    assert listed(worked.project) == before
    assert listed(worked.project / "folder") == []


def test_nothing_recorded_is_said(hooks):
    told = run(hooks, code=1)
    assert "nothing is recorded in" in told
    assert "no report was written" in told


@pytest.mark.parametrize("when", ["yesterday", "7", "2026-13-01", "2026-11-31", "7y", ""])
def test_a_time_that_is_none_is_refused(worked, when):
    told = run(worked, "--since", when, code=2)
    assert f"{when!r} is no time: use a date (2026-11-23, UTC) or an age (12h, 7d, 2w)" in told


@pytest.mark.parametrize(
    "when", ["1h", "2w", "2020-01-01", "2020-01-01T10:30", "2020-01-01T10:30Z"]
)
def test_times_that_are_understood(worked, when):
    assert len(json.loads(run(worked, "--json", "--since", when))["sessions"]) == 1


# --- a bad day ---------------------------------------------------------------------------------


def test_a_disk_that_is_full_leaves_the_older_report(worked):
    run(worked, "-o", "mine.html")
    before = (worked.project / "mine.html").read_bytes()

    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    told = run(worked, "-o", "mine.html", code=1, preexec_fn=small)
    assert told == "workflow-state: mine.html: File too large; no report was written\n"
    assert (worked.project / "mine.html").read_bytes() == before
    assert listed(worked.project) == [".claude", "mine.html"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda each: each.name)
def test_a_report_that_is_ended_leaves_no_half_file(worked, number):
    """At the moment before it gets its name: what is there is whole, and goes."""
    end = (
        "import os, sys\nsys.path.insert(0, sys.argv.pop(1))\nfrom lib.commands.main import main\n"
        "number = int(sys.argv.pop(1))\n"
        "sys.addaudithook(lambda name, given: name == 'os.link' and os.kill(os.getpid(), number))\n"
        "sys.exit(main())"
    )
    before = listed(worked.directory)
    done = subprocess.run(
        [sys.executable, "-c", end, str(ROOT), str(int(number)), "report"],
        cwd=worked.project, env=worked.env(), capture_output=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (-number, b"", b"")
    assert listed(worked.directory) == before


def test_a_report_that_is_interrupted_says_nothing(worked):
    options = {"cwd": worked.project, "env": worked.env()}
    with subprocess.Popen(
        [*CLI, "-o", "-"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options
    ) as process:
        # It is in the middle: a pipe holds less than the page.
        assert process.stdout.read(1) == b"<"
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == b""
        assert process.wait(timeout=60) == 130


def test_a_reader_that_has_seen_enough_is_no_error(worked):
    command = f"'{CLI[0]}' '{CLI[1]}' report -o - | head -c 10"
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=worked.project,
        env=worked.env(),
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == (b"<!doctype ", b"")


# --- what the page is --------------------------------------------------------------------------

HOSTILE = (
    "</script><script>alert(1)</script><!--<script> & \u2028\u2029 \"'` \u202e\U0001f980 \ud800"
)


def test_data_cannot_end_its_element():
    text = as_json({HOSTILE: [HOSTILE]})
    assert re.fullmatch(r"[ -~]*", text)
    assert not set("<>&") & set(text)
    assert json.loads(text) == {HOSTILE: [HOSTILE]}


def test_a_page_with_hostile_texts_is_printable_and_has_the_elements_of_any_other(worked):
    tags = re.compile(r"<[a-z/!]+", re.IGNORECASE)
    plain = run(worked, "-o", "-")
    worked.prompt("s", HOSTILE.replace("\ud800", ""))
    named = {"file_path": str(worked.project / "</script><img src=x>\u202e.py")}
    worked.call("s", "Write", "2", named, {"type": "create"})
    page = run(worked, "-o", "-")
    assert re.fullmatch(r"[\n -~]*", page)
    assert tags.findall(page) == tags.findall(plain)
    told = data_in(page)["sessions"][0]
    assert told["requests"][1]["text"].startswith("</script><script>alert(1)</script>")
    assert "</script><img src=x>\u202e.py" in [file["path"] for file in data_in(page)["files"]]


def test_only_the_script_and_the_style_of_the_page_may_run():
    page = (ROOT / "lib" / "report" / "page.html").read_text()
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    allowed = dict(part.split(" ", 1) for part in policy.split("; "))
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    for name, text in (("style-src", style), ("script-src", script)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert allowed[name] == f"'sha256-{digest}'"
    assert allowed["default-src"] == "'none'"
    assert "unsafe" not in policy
    assert page.encode().startswith(MARK)
    assert len(page) < 150_000
    for package in ("d3-scale", "d3-axis", "d3-array", "d3-shape", "d3-selection"):
        assert package in page.rpartition("<!--")[2]  # its licence
