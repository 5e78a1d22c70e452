"""The page in a real browser: what it shows, how it is used, and what it never does."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, absent

from . import worlds
from .browser import CHROMIUM, Reader, chromium
from .conftest import data_of, page_of

pytestmark = pytest.mark.browser

AXE = ROOT / "report" / "node_modules" / "axe-core" / "axe.min.js"

HOSTILE = {
    "markup": "</script><script>document.title='gone'</script><img src=x onerror=alert(1)>",
    "quotes": "\"'`${alert(1)}&lt;b&gt;&amp;",
    "direction": "invoice\u202egpj.exe",
    "emoji": "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f980",
    "lines": "one\u2028two\u2029three\x07four",
    "arabic": "\u0645\u0631\u062d\u0628\u0627 src/a.py",
}


@pytest.fixture(scope="module")
def patch():
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("CLAUDE", "WORKFLOW_STATE", "XDG_", "AI_AGENT")):
                patch.delenv(name)
        yield patch


@pytest.fixture(scope="module")
def browser():
    if not CHROMIUM:
        absent("Chromium is not installed (Debian: chromium)")
    try:
        import playwright  # noqa: F401 - only whether it is there
    except ImportError:
        absent("playwright is not installed; `make report` brings it")
    with chromium() as browser:
        yield browser


@pytest.fixture
def reader(browser, request):
    """Somebody at a desk; options of a test's `reader` mark change who."""
    reader = Reader(browser, **getattr(request, "param", {}))
    yield reader
    reader.close()
    assert reader.said == []
    assert [url for url in reader.asked if not url.startswith("file://")] == []
    assert len(set(reader.asked)) <= 1


def at(**options):
    return pytest.mark.parametrize("reader", [options], indirect=True)


PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}


@pytest.fixture(scope="module")
def week(tmp_path_factory, patch) -> Path:
    top = tmp_path_factory.mktemp("week")
    world = worlds.week(worlds.World(top / "harbour", top / "home", patch))
    return page_of(world, top / "report.html")


@pytest.fixture(scope="module")
def many(tmp_path_factory, patch) -> Path:
    """50 sessions and 20,000 records."""
    top = tmp_path_factory.mktemp("many")
    world = worlds.many(worlds.World(top / "harbour", top / "home", patch))
    assert sum(session["records"] for session in data_of(world)["sessions"]) >= 20_000
    return page_of(world, top / "report.html")


def texts(tab, selector: str) -> list[str]:
    return tab.eval_on_selector_all(
        selector, "all => all.map(e => (e.innerText ?? e.textContent).trim())"
    )


def rows(tab) -> list[str]:
    return texts(tab, ".session .title")


# --- what it shows -----------------------------------------------------------------------------


def test_the_week_is_there(reader, week):
    tab = reader.open(week)
    assert tab.title() == "harbour: workflow-state report"
    assert texts(tab, "h1") == ["harbour"]
    days = [day.partition(" 2026")[0] for day in texts(tab, ".day h3")]
    assert days == [
        "Friday, 20 November", "Thursday, 19 November", "Tuesday, 17 November",
        "Monday, 16 November",
    ]  # fmt: skip
    assert (
        rows(tab)[-2]
        == "Read the booking service and tell me where overlapping berths are allowed."
    )
    tiles = dict(zip(texts(tab, ".tiles dt"), texts(tab, ".tiles dd")))
    assert tiles["sessions, 2 crashed"] == "7"
    assert tiles["failures, 7 have succeeded since"] == "8"
    assert tiles["interruptions"] == "2"
    assert texts(tab, "#files tbody th .link")[0] == "src/store/migrations/0007_berths.sql"
    assert "before-migration" in texts(tab, "#checkpoints tbody th")


def test_phases_marks_and_subagents_are_drawn_with_names(reader, week):
    tab = reader.open(week)
    labels = tab.eval_on_selector_all(
        ".row .item", "all => all.map(e => e.getAttribute('aria-label'))"
    )
    joined = "\n".join(labels)
    for expected in (
        r"^plan, 09:\d\d to 09:\d\d, \d min$",
        r"^failure, \d\d:\d\d:\d\d: Bash python -m pytest -q: Exit code 1, has succeeded since$",
        r"^failure, \d\d:\d\d:\d\d: rate_limit$",
        r"^interruption, .*: Bash python -m src.server --reload$",
        r"^interruption, .*: Bash python tools/import_bookings.py export.csv: the session crashed",
        r"^2 restores, .*: before-migration; before-restore-",
        r"^checkpoint, .*: release-1.4$",
        r"^request, .*: Ship it.$",
        r"^subagent docs-writer b7c2, \d\d:\d\d to \d\d:\d\d, 12 calls$",
    ):
        assert re.search(expected, joined, re.MULTILINE), expected
    assert {"plan", "build", "test", "scout"} <= set(texts(tab, ".row .name"))
    assert "code-reviewer" in texts(tab, ".row .agent")


def test_a_day_lies_on_one_axis(reader, week):
    """What happened at the same time stands at the same place, in every row of a day."""
    tab = reader.open(week)
    places = tab.evaluate(
        """() => [...document.querySelectorAll('.day')].map(day =>
            [...day.querySelectorAll('svg.row')].map(svg => svg.scale(svg.shown.from + 37e6)))"""
    )
    assert all(len(set(day)) == 1 for day in places)
    shared = tab.evaluate(
        """() => [...document.querySelectorAll('.day')].every(day => {
            const [top, ...rest] = [...day.querySelectorAll('svg.axis, svg.row')]
                .map(svg => svg.getBoundingClientRect());
            return rest.every(box => box.left === top.left && box.width === top.width); })"""
    )
    assert shared


def test_a_session_opens_and_tells_what_happened(reader, week):
    tab = reader.open(week)
    title = tab.get_by_role("button", name="Add sign-in with a passkey.", exact=True)
    assert title.get_attribute("aria-expanded") == "false"
    title.click()
    assert title.get_attribute("aria-expanded") == "true"
    entries = [" ".join(entry.split()) for entry in texts(tab, ".details .log li")]
    assert entries[0] == "09:42:06 Request Add sign-in with a passkey."
    assert any(re.match(r"\S+ Interrupted Bash python -m src.server --reload", e) for e in entries)
    assert any(re.match(r"\S+ Restored before-migration", e) for e in entries)
    facts = dict(zip(texts(tab, ".facts dt"), texts(tab, ".facts dd")))
    assert facts["Continues"] == "2e91b7aa, which had crashed"
    assert facts["Calls"] == "30 ended, 3 failed, 1 interrupted"
    tab.get_by_text("31 calls", exact=True).click()
    reader.until("document.querySelectorAll('.details tbody tr').length === 31")
    title.click()
    assert tab.locator(".details").count() == 0


def test_the_pointer_is_told_the_phase_and_the_call_under_it(reader, week):
    tab = reader.open(week)
    row = tab.locator("[data-session^=c3d2a901] svg.row")
    row.scroll_into_view_if_needed()
    box = row.bounding_box()
    x = row.evaluate("svg => svg.scale(Date.UTC(2026, 10, 19, 10, 56))")
    tab.mouse.move(box["x"] + x, box["y"] + 30)
    one, two = tab.locator("#tip").inner_text().split("\n")
    assert re.match(r"build, 11:\d\d to 12:\d\d, 10 min", one)
    assert re.match(r"11:\d\d:\d\d +Bash python tools/import_bookings.py --resume .*\(8 min\)", two)
    tab.mouse.move(5, 5)
    assert not tab.locator("#tip").is_visible()


def test_continues_leads_to_the_session_before(reader, week):
    tab = reader.open(week)
    tab.get_by_role("button", name="continues session 2e91b7aa, go there", exact=True).click()
    focused = tab.evaluate("document.activeElement.innerText")
    assert focused == "The forecast page is slow. Find out why."


def test_times_are_the_readers_or_utc(reader, week):
    tab = reader.open(week)
    assert "2026-11-16 09:12 to" in tab.inner_text("#span")
    assert texts(tab, ".day h3")[-1].startswith("Monday, 16 November 2026")
    tab.get_by_label("Times").select_option("utc")
    assert "2026-11-16 08:12 to" in tab.inner_text("#span")
    tab.get_by_role("button", name="Add sign-in with a passkey.", exact=True).click()
    assert tab.locator(".log time").first.get_attribute("datetime") == "2026-11-17T08:42:06.000Z"
    assert tab.locator(".log time").first.inner_text() == "08:42:06"


@at(timezone_id="Pacific/Auckland")
def test_days_are_those_of_the_reader(reader, week):
    tab = reader.open(week)
    assert [day.partition(" 2026")[0] for day in texts(tab, ".day h3")][-1] == "Monday, 16 November"
    cells = tab.locator("#files .strip").first.get_attribute("aria-label")
    tab.get_by_label("Times").select_option("utc")
    assert sum(map(int, re.findall(r": (\d+)", cells))) == 15
    assert "20 Nov" in texts(tab, "#files thead th")[3]


def drawn(reader, tmp_path, monkeypatch, work) -> Any:
    """The tab with the report of a project in which `work` was done."""
    world = worlds.World(tmp_path / "harbour", tmp_path / "home", monkeypatch)
    work(world)
    return reader.open(page_of(world, tmp_path / "report.html"))


def test_a_session_that_only_began_has_a_row(reader, tmp_path, monkeypatch):
    """Opened and quit: no request, no call, no phase."""
    tab = drawn(reader, tmp_path, monkeypatch, lambda world: world.session("s").start())
    assert rows(tab) == ["No request recorded"]
    assert "No session fits" not in tab.inner_text("#timeline")
    assert tab.locator("svg.row .life").count() == 1
    tab.get_by_role("button", name="No request recorded").click()
    assert texts(tab, ".facts dd")[:2] == ["s", "2026-11-16 09:00, 0 s of work"]
    assert tab.inner_text("#files .nothing") == "No file was changed or read."
    assert tab.locator("#files select").count() == 0


def test_on_a_later_day_it_says_since_when_a_session_goes_on(reader, tmp_path, monkeypatch):
    def work(world):
        session = world.session("s").start().ask("go").edit("a.py").stop()
        session.wait(2 * worlds.DAY).ask("on").edit("a.py").stop()

    tab = drawn(reader, tmp_path, monkeypatch, work)
    assert texts(tab, ".about") == ["s since 16 Nov · crashed", "s 09:00 · crashed"]


def test_a_day_is_written_once(reader, tmp_path, monkeypatch):
    def work(world):
        world.session("s").start().ask("go").wait(3600).edit("a.py").stop()

    tab = drawn(reader, tmp_path, monkeypatch, work)
    assert tab.inner_text("#span").startswith("2026-11-16 09:00 to 10:00, as of ")
    assert texts(tab, "#files thead th.days") == ["Touches by day 16 Nov"]


def test_a_clock_that_was_not_set_yet_makes_a_day_of_its_own(reader, tmp_path, monkeypatch):
    def work(world):
        then, world.clock = world.clock, 5.0
        session = world.session("s").start().ask("go").edit("a.py")
        world.clock = then
        session.edit("a.py").stop()

    tab = drawn(reader, tmp_path, monkeypatch, work)
    assert [day.partition(" 1 session")[0] for day in texts(tab, ".day h3")] == [
        "Monday, 16 November 2026", "Thursday, 1 January 1970",
    ]  # fmt: skip


def _quick(world):
    """Many short sessions on a day: many breaks of its axis."""
    for number in range(18):
        session = world.session(f"{number:08x}").start().ask(f"quick {number}").read("a.py")
        session.stop().end().wait(2400)


def _crowded(world):
    """Marks and subagents side by side, as far as the right edge."""
    session = world.session("s").start().ask("go")
    for number in range(40):
        session.run("pytest", 20 * (number % 3), "Exit code 1" if number % 3 else "")
        if number % 4 == 0:
            session.sub(f"a{number}", "general-purpose").read("a.py")
        if number % 5 == 0:
            session.stop().ask("on")
    session.sub("last", "general-purpose").read("a.py")


OVERLAPS = """() => {
    const box = (e) => e.getBoundingClientRect();
    const met = (one, other) => one.left < other.right - 0.5 && other.left < one.right - 0.5 &&
        one.top < other.bottom - 0.5 && other.top < one.bottom - 0.5;
    const found = [];
    for (const svg of document.querySelectorAll('svg.axis')) {
        const times = [...svg.querySelectorAll('text')].map(box);
        for (const mark of svg.querySelectorAll('.break'))
            if (times.some((text) => met(text, box(mark)))) found.push('a break over a time');
        times.forEach((one, i) => times.slice(i + 1).forEach((other) =>
            met(one, other) && found.push('a time over a time')));
    }
    for (const svg of document.querySelectorAll('svg.row')) {
        const marks = [...svg.querySelectorAll('.mark')].map((e) => e.closest('.item'));
        const counts = [...svg.querySelectorAll('.many')];
        for (const mark of svg.querySelectorAll('.mark, .many'))
            if (box(mark).right > box(svg).right + 1) found.push('a mark past the edge');
        for (const count of counts) for (const item of marks)
            if (item !== count.closest('.item') && met(box(count), box(item.querySelector('.mark'))))
                found.push('a count over a mark');
        for (const name of svg.querySelectorAll('.agent'))
            if (box(name).right > box(svg).right + 1) found.push(`${name.textContent} past the edge`);
        const names = [...svg.querySelectorAll('.agent, .name')].map(box);
        names.forEach((one, i) => names.slice(i + 1).forEach((other) =>
            met(one, other) && found.push('a name over a name')));
    }
    return found;
}"""


@pytest.mark.parametrize("work", [_quick, _crowded, worlds.week])
@pytest.mark.parametrize(
    "reader",
    [{}, {"viewport": {"width": 360, "height": 740}}],
    indirect=True,
    ids=["desk", "phone"],
)
def test_nothing_is_written_over_anything_else(reader, tmp_path, monkeypatch, work):
    tab = drawn(reader, tmp_path, monkeypatch, work)
    assert tab.locator(".many, .break, .agent").count() > 0
    assert tab.evaluate(OVERLAPS) == []


def test_a_crowd_of_marks_takes_none_from_where_there_is_room(reader, tmp_path, monkeypatch):
    def work(world):
        session = world.session("s").start()
        for number in range(4):
            session.ask(f"alone {number}").wait(500)
        for _ in range(12):
            session.run("pytest", 1, "Exit code 1").ask("on").stop().wait(-20)
        session.wait(500).ask("alone again").wait(60)

    tab = drawn(reader, tmp_path, monkeypatch, work)
    labels = tab.eval_on_selector_all(
        "svg.row .item:has(.mark)", "all => all.map(e => e.getAttribute('aria-label'))"
    )
    alone = [label.partition(": ")[2] for label in labels if label.startswith("request, ")]
    assert [each for each in alone if "alone" in each] == [
        "alone 0", "alone 1", "alone 2", "alone 3", "alone again",
    ]  # fmt: skip
    assert any(re.match(r"\d+ failures, ", label) for label in labels)


def test_a_name_is_cut_only_as_far_as_it_says_something(reader, tmp_path, monkeypatch):
    def work(world):
        session = world.session("s").start().ask("go")
        for seconds in (500, 50, 20):
            world.state("s").set_phase(f"investigate-{seconds}")
            session.wait(seconds).edit("a.py")
        session.stop()

    one, other = texts(drawn(reader, tmp_path, monkeypatch, work), ".row .name")
    assert one == "investigate-500"
    assert re.fullmatch(r"inv\w*…\w*-50", other)


def test_of_bands_too_narrow_to_tell_apart_the_longer_are_seen(reader, tmp_path, monkeypatch):
    def work(world):
        session = world.session("s").start().ask("go")
        for _ in range(700):
            session.edit("a.py").wait(8).run("pytest -q", 5)
        session.stop()

    tab = drawn(reader, tmp_path, monkeypatch, work)
    build, test = (
        sum(float(part) for d in tab.locator(f"path.band.{name}").evaluate_all(
            "all => all.map(e => e.getAttribute('d'))"
        ) for part in re.findall(r"h([\d.]+)v", d))
        for name in ("ph-2", "ph-3")
    )  # fmt: skip
    assert build > 1.5 * test > 0


def test_an_opened_session_has_a_lane_for_every_subagent(reader, tmp_path, monkeypatch):
    def work(world):
        session = world.session("s").start().ask("go")
        began = world.clock
        for number in range(30):
            world.clock = began + 20 * number
            session.sub(f"a{number}", "general-purpose").read("a.py").wait(300).edit("a.py")
        session.stop()

    tab = drawn(reader, tmp_path, monkeypatch, work)
    assert "and 14 more subagents" in texts(tab, "svg.row text")
    tab.get_by_role("button", name="go", exact=True).click()
    chart = tab.locator(".own-chart svg.row")
    assert chart.locator("[aria-label^=subagent]").count() == 30
    assert texts(tab, ".own-chart .agent") == ["general-purpose"] * 30


def test_the_search_ends_where_the_page_does(reader, tmp_path, monkeypatch):
    tab = drawn(reader, tmp_path, monkeypatch, lambda world: world.session("s").start())
    box, edge = (tab.locator(name).bounding_box() for name in ("#query", "#filters"))
    assert box["x"] + box["width"] == edge["x"] + edge["width"]


# --- search and filters ------------------------------------------------------------------------


def search(reader, query: str) -> str:
    """Type a query; returns what is said of the result."""
    reader.tab.get_by_role("searchbox").fill(query)
    reader.until("document.getElementById('result').innerText !== ''")
    return reader.tab.inner_text("#result")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("passkey", "2 of 7 sessions, 0 of 18 files."),  # a request
        ("TWINE upload", "1 of 7 sessions, 0 of 18 files."),  # a command
        ("harmonics", "3 of 7 sessions, 1 of 18 files."),  # a file
        ("rate_limit", "1 of 7 sessions, 0 of 18 files."),  # an error
        ("docs-writer", "1 of 7 sessions, 0 of 18 files."),  # a subagent
        ("c3d2a901", "1 of 7 sessions, 0 of 18 files."),  # an id
        ("rate_limit harmonics", "1 of 7 sessions, 0 of 18 files."),  # every word of it
        ("crashed", "2 of 7 sessions, 0 of 18 files."),
        ("nothing has this", "0 of 7 sessions, 0 of 18 files."),
    ],
)
def test_search_finds(reader, week, query, found):
    tab = reader.open(week)
    assert search(reader, query).strip() == found
    assert len(rows(tab)) == int(found[0])


def test_search_shows_where_in_time_the_calls_are(reader, week):
    tab = reader.open(week)
    assert tab.locator(".hits").count() == 0
    search(reader, "harmonics")
    assert tab.locator(".hits[d^=M]").count() >= 3
    tab.get_by_role("button", name="Show all").click()
    assert (tab.locator(".hits").count(), len(rows(tab))) == (0, 7)
    assert tab.evaluate("document.activeElement.id") == "query"


def test_filters_narrow_to_sessions_with_a_phase_or_a_mark(reader, week):
    tab = reader.open(week)
    plan = tab.get_by_role("button", name="plan", exact=True)
    plan.click()
    assert plan.get_attribute("aria-pressed") == "true"
    assert len(rows(tab)) == 2
    assert tab.locator(".band.dim").count() > 0
    tab.get_by_role("button", name=re.compile("^restores")).click()
    assert rows(tab) == ["Add sign-in with a passkey."]
    assert tab.locator(".item.dim").count() > 0
    plan.click()
    tab.get_by_role("button", name=re.compile("^restores")).click()
    assert len(rows(tab)) == 7
    assert tab.inner_text("#result") == ""


def test_a_file_leads_to_the_sessions_that_touched_it(reader, week):
    tab = reader.open(week)
    tab.get_by_role("button", name="tools/import_bookings.py: search for it", exact=True).click()
    assert rows(tab) == [
        "Import last year's bookings from the CSV export.",
        "Where did the import stop? Go on from there.",
    ]


def test_files_can_be_ordered(reader, week):
    tab = reader.open(week)
    tab.locator("#files select").select_option("path")
    names = texts(tab, "#files tbody th .link")
    assert names == sorted(names)
    tab.locator("#files select").select_option("changes")
    counts = [int(n.replace("\u2013", "0")) for n in texts(tab, "#files tbody td:nth-child(2)")]
    assert counts == sorted(counts, reverse=True)


def test_a_link_to_a_session_that_the_filters_hide_shows_it(reader, week):
    tab = reader.open(week)
    search(reader, "passkey")
    tab.get_by_role("button", name="continues session 2e91b7aa, go there", exact=True).click()
    assert len(rows(tab)) == 7
    assert tab.evaluate("document.activeElement.innerText").startswith("The forecast page is slow.")


# --- keyboard ----------------------------------------------------------------------------------


def focused(tab) -> str:
    return tab.evaluate(
        "document.activeElement.getAttribute('aria-label') || document.activeElement.innerText"
    )


def test_every_day_is_one_stop_and_arrows_go_on_from_there(reader, week):
    tab = reader.open(week)
    stops = tab.eval_on_selector_all(
        ".day", "all => all.map(d => d.querySelectorAll('.item[tabindex=\"0\"]').length)"
    )
    assert stops == [1, 1, 1, 1]
    tab.locator(".day").nth(3).locator(".item[tabindex='0']").focus()
    assert focused(tab).startswith("request, 09:12:06: Read the booking service")
    tab.keyboard.press("ArrowRight")
    assert focused(tab).startswith("scout, 09:12")
    assert tab.locator("#tip").inner_text().startswith("scout, 09:12")
    tab.keyboard.press("ArrowDown")
    assert "2e91b7aa" in tab.evaluate(
        "document.activeElement.closest('svg').getAttribute('aria-label')"
    )
    tab.keyboard.press("ArrowUp")
    tab.keyboard.press("End")
    assert focused(tab).startswith("subagent general-purpose")
    tab.keyboard.press("Home")
    assert focused(tab).startswith("request, 09:12:06")
    tab.keyboard.press("Enter")
    assert (
        focused(tab).split()
        == "09:12:06 Request Read the booking service and tell me where overlapping berths are allowed.".split()
    )
    assert tab.locator(".details").count() == 1


def test_all_of_it_by_keyboard_alone(reader, week):
    tab = reader.open(week)
    tab.keyboard.press("Tab")
    assert focused(tab) == "Skip to the timeline"
    tab.keyboard.press("Enter")
    tab.keyboard.press("/")
    tab.keyboard.type("berths")
    reader.until("document.querySelectorAll('.session .title').length < 7")
    tab.keyboard.press("Escape")
    assert len(rows(tab)) == 7
    reached = set()
    for _ in range(80):
        tab.keyboard.press("Tab")
        reached.add(focused(tab))
    assert {
        "plan",
        "Add sign-in with a passkey.",
        "continues session 2e91b7aa, go there",
    } <= reached
    tab.get_by_role("button", name="Ship", exact=True).or_(
        tab.get_by_role("button", name="ship", exact=True)
    ).focus()
    tab.keyboard.press("Space")
    assert 0 < len(rows(tab)) < 7


def test_the_focus_can_be_seen(reader, week):
    tab = reader.open(week)
    for _ in range(12):
        tab.keyboard.press("Tab")
        style = tab.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert style in ("solid", "auto"), focused(tab)


# --- people ------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["closed", "open", "searched"])
@at()
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(reader, week, state, scheme):
    if not AXE.exists():
        absent("axe-core is not installed; `make report` brings it")
    tab = reader.open(week)
    tab.get_by_label("Colours").select_option(scheme)
    if state == "open":
        tab.get_by_role("button", name="Add sign-in with a passkey.", exact=True).click()
        for summary in tab.locator("summary").all():
            summary.click()
    elif state == "searched":
        search(reader, "harmonics")
        tab.get_by_role("button", name="plan", exact=True).click()
    tab.evaluate(AXE.read_text(encoding="utf-8"))  # by the debugger, which no policy stops
    found = tab.evaluate(
        "axe.run({resultTypes: ['violations']}).then(r => r.violations.map("
        "v => [v.id, v.nodes.length, v.nodes[0].html.slice(0, 200), v.nodes[0].failureSummary]))"
    )
    assert found == []


def ground(tab) -> str:
    return tab.evaluate("getComputedStyle(document.body).backgroundColor")


@pytest.mark.parametrize(
    ("reader", "system", "other"),
    [
        ({"color_scheme": "light"}, "rgb(255, 255, 255)", "dark"),
        ({"color_scheme": "dark"}, "rgb(22, 25, 29)", "light"),
    ],
    indirect=["reader"],
)
def test_colours_follow_the_system_until_they_are_chosen(reader, week, system, other):
    tab = reader.open(week)
    assert ground(tab) == system
    tab.get_by_label("Colours").select_option(other)
    assert ground(tab) != system
    reader.open(week)
    assert ground(tab) != system  # kept
    tab.get_by_label("Colours").select_option("auto")
    assert ground(tab) == system


@at(**PHONE)
def test_a_phone_needs_no_scrolling_sideways(reader, week):
    tab = reader.open(week)
    width = "document.documentElement.scrollWidth"
    assert tab.evaluate(width) == 360
    tab.get_by_role("button", name="Add sign-in with a passkey.", exact=True).tap()
    for summary in tab.locator("summary").all():
        summary.tap()
    assert tab.evaluate(width) == 360
    assert tab.locator("svg.row").first.bounding_box()["width"] == 328


@at(**PHONE)
def test_calls_can_be_read_on_a_phone(reader, week):
    """A row of six columns is laid out as a block there, and stays a row for a screen reader."""
    tab = reader.open(week)
    tab.get_by_role("button", name="Add sign-in with a passkey.", exact=True).tap()
    tab.get_by_text("31 calls", exact=True).tap()
    reader.until("document.querySelectorAll('.details tbody tr').length === 31")
    calls = tab.get_by_role("table", name=re.compile("^Calls of session"))
    assert calls.get_by_role("row").count() == 32
    assert calls.get_by_role("columnheader").count() == 6
    assert calls.get_by_role("row").nth(3).get_by_role("cell").nth(1).is_visible()
    widths = [cell.bounding_box()["width"] for cell in calls.locator("td.subject").all()]
    assert min(widths) > 200


def test_what_is_unfolded_stays_so(reader, week):
    """Through a new width, another clock, a printer."""
    tab = reader.open(week)
    tab.get_by_role("button", name="Add sign-in with a passkey.", exact=True).click()
    tab.get_by_text("31 calls", exact=True).click()
    listed = "document.querySelectorAll('.details tbody tr').length"
    reader.until(f"{listed} === 31")
    tab.set_viewport_size({"width": 900, "height": 800})
    reader.until("document.querySelector('svg.row').scale.width < 700")
    tab.get_by_label("Times").select_option("utc")
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert tab.evaluate(listed) == 31
    tab.get_by_text("31 calls", exact=True).click()
    tab.evaluate("dispatchEvent(new Event('afterprint'))")
    assert tab.locator(".details details[open]").count() == 0


@at(**PHONE)
def test_many_sessions_fit_a_phone_too(reader, many):
    tab = reader.open(many)
    assert tab.evaluate("document.documentElement.scrollWidth") == 360


def test_a_window_that_changes_its_width_is_drawn_anew(reader, week):
    tab = reader.open(week)
    tab.set_viewport_size({"width": 500, "height": 800})
    reader.until("document.querySelector('svg.row').scale.width === 468")


@at(color_scheme="dark")
def test_paper_is_white_as_wide_as_paper_and_without_controls(reader, week, tmp_path):
    tab = reader.open(week)
    tab.get_by_label("Colours").select_option("dark")
    tab.emulate_media(media="print")
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert ground(tab) == "rgb(255, 255, 255)"
    assert tab.evaluate("document.querySelector('svg.row').scale.width") == 540
    assert not tab.get_by_role("searchbox").is_visible()
    assert not tab.get_by_label("Colours").is_visible()
    tab.evaluate("dispatchEvent(new Event('afterprint'))")
    tab.emulate_media(media="screen")
    assert tab.evaluate("document.querySelector('svg.row').scale.width") > 900
    tab.pdf(path=tmp_path / "report.pdf", format="A4")
    assert (tmp_path / "report.pdf").read_bytes()[:5] == b"%PDF-"


def test_paper_parts_no_axis_from_its_rows_and_says_what_is_not_on_it(reader, many):
    tab = reader.open(many)
    tab.locator(".session .title").first.click()
    tab.emulate_media(media="print")
    ends = "all => [...new Set(all.map(e => getComputedStyle(e).breakAfter))]"
    assert tab.eval_on_selector_all(".day h3, .session.top, .details h4", ends) == ["avoid"]
    inside = "all => [...new Set(all.map(e => getComputedStyle(e).breakInside))]"
    assert tab.eval_on_selector_all(".own-chart, .entry", inside) == ["avoid"]
    assert texts(tab, "#files .more") == ["and 20 more files"]


# --- hostile texts -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hostile(tmp_path_factory, patch) -> Path:
    top = tmp_path_factory.mktemp("hostile")
    world = worlds.World(top / "<b>harbour & sons", top / "home", patch)
    session = world.session("s").start()
    for text in HOSTILE.values():
        session.ask(text).edit(text.replace("/", "|")).run(f"echo {text}", 3, f"failed: {text}")
        session.sub(text[:20], text).read("a.py")
    session.stop()
    world.state("s").set_phase("<i>odd</i>")
    session.ask("on").edit("a.py").stop()
    return page_of(world, top / "report.html")


def test_hostile_texts_are_text(reader, hostile):
    tab = reader.open(hostile)
    assert tab.title() == "<b>harbour & sons: workflow-state report"
    for title in tab.locator(".session .title").all():
        title.click()
    for summary in tab.locator("summary").all():
        summary.click()
    assert tab.locator("img, b:has(script), main script, main i:has-text('odd')").count() == 0
    assert tab.locator("script").count() == 2
    requests = texts(tab, ".entry.request .said")
    assert requests[0] == HOSTILE["markup"]
    assert requests[1] == HOSTILE["quotes"]
    assert requests[2] == "invoice⟨U+202E⟩gpj.exe"
    assert requests[3] == HOSTILE["emoji"]
    assert requests[4] == "one⟨U+2028⟩two⟨U+2029⟩three⟨U+0007⟩four"
    assert requests[5] == HOSTILE["arabic"]
    assert "<i>odd</i>" in texts(tab, ".chip bdi")
    assert any("onerror=alert(1)" in name for name in texts(tab, "#files tbody th .link"))


def test_markup_has_no_way_in(reader, hostile):
    """The page's own policy: no markup, no script, no address, though a script asked for it."""
    tab = reader.open(hostile)
    refused = tab.evaluate(
        """async () => {
            const found = [];
            addEventListener('securitypolicyviolation', e => found.push(e.effectiveDirective));
            try { document.body.innerHTML = '<b>'; } catch { found.push('innerHTML'); }
            const script = document.createElement('script');
            try { script.text = 'window.ran = 1'; document.body.append(script); }
            catch { found.push('script'); }
            const image = new Image();
            image.src = 'data:image/gif;base64,R0lGODlhAQABAAAAACw=';
            await fetch('https://example.invalid/').catch(() => found.push('fetch'));
            const end = performance.now() + 10000;
            while (found.length < 5 && performance.now() < end)
                await new Promise(requestAnimationFrame);  // what was refused is told later
            return [found, window.ran]; }"""
    )
    assert {"innerHTML", "script", "fetch", "img-src", "connect-src"} <= set(refused[0])
    assert refused[1] is None
    reader.said.clear()  # the console told of each
    assert [url for url in reader.asked if url.startswith("http")] == []
    del reader.asked[1:]


# --- size --------------------------------------------------------------------------------------


def test_50_sessions_and_20_000_records_open_in_two_seconds(reader, many):
    """What costs time is counted: bytes to parse, elements to draw. The time itself is printed."""
    tab = reader.open(many)
    assert len(rows(tab)) >= 50
    assert many.stat().st_size < 1_500_000
    assert tab.evaluate("document.querySelectorAll('*').length") < 14_000
    ready = tab.evaluate("performance.getEntriesByName('ready')[0].startTime")
    print(f"drawn {ready:.0f} ms after it was asked for")


def test_a_row_has_no_more_elements_than_pixels_can_show(reader, tmp_path, monkeypatch):
    world = worlds.World(tmp_path / "harbour", tmp_path / "home", monkeypatch)
    session = world.session("s").start().ask("go")
    for _ in range(300):
        session.edit("a.py").run("pytest -q", 5, "Exit code 1")
    assert len(data_of(world)["sessions"][0]["bands"]) > 600
    tab = reader.open(page_of(world, tmp_path / "report.html"))
    assert tab.locator("svg.row *").count() < 600


def test_a_session_of_thousands_of_calls_is_listed_in_parts(reader, tmp_path, monkeypatch):
    world = worlds.World(tmp_path / "harbour", tmp_path / "home", monkeypatch)
    session = world.session("s").start().ask("go")
    for number in range(450):
        session.read(f"{number % 90}.py")
    tab = reader.open(page_of(world, tmp_path / "report.html"))
    tab.get_by_role("button", name="go", exact=True).click()
    tab.get_by_text("450 calls", exact=True).click()
    listed = "document.querySelectorAll('.details tbody tr').length"
    reader.until(f"{listed} === 200")
    tab.get_by_role("button", name="Show 200 more of 250 calls").click()
    assert tab.evaluate(listed) == 400
    tab.get_by_role("button", name="Show 50 more of 50 calls").click()
    assert tab.evaluate(listed) == 450
    assert tab.locator("#files tbody tr").count() == 40
    tab.get_by_role("button", name="Show 50 more of 50 files").click()
    assert tab.locator("#files tbody tr").count() == 90


def test_what_is_left_out_is_said_on_the_page(reader, tmp_path, monkeypatch):
    from lib.report import session_timeline

    monkeypatch.setattr(session_timeline, "SESSION_CALLS", 10)
    world = worlds.World(tmp_path / "harbour", tmp_path / "home", monkeypatch)
    world.session("s").start().ask("go").read(*(f"{number}.py" for number in range(40)))
    tab = reader.open(page_of(world, tmp_path / "report.html"))
    assert texts(tab, "#notes li") == [
        "Session s: 30 older calls are counted by the quarter of an hour."
    ]
    assert tab.locator(".earlier[d^=M]").count() == 1


# --- the build ---------------------------------------------------------------------------------


def test_the_page_is_what_its_sources_build(tmp_path):
    if not shutil.which("node"):
        absent("Node.js is not installed (Debian: nodejs npm)")
    if not AXE.exists():
        absent("report/node_modules is not there; `make report` brings it")
    built = tmp_path / "page.html"
    subprocess.run(["node", "build.mjs", str(built)], cwd=ROOT / "report", check=True)
    same = built.read_bytes() == (ROOT / "lib" / "report" / "page.html").read_bytes()
    assert same, "lib/report/page.html is not what report/ builds; run `make report-page`"
