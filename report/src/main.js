// The page: head, overview, filters, and the parts that follow them.

import { sum } from "d3-array";
import { useUtc, time, lasting, period, zone } from "./clock.js";
import { h, own, plural, s, visible } from "./dom.js";
import { Files, MOST_DAYS } from "./files.js";
import { calendar as calendarOf, colour, haystack, holds, read, textsWith, days as daysOf } from "./model.js";
import { icon, KINDS } from "./symbols.js";
import { swatch } from "./chart.js";
import { Timeline } from "./timeline.js";

const data = read();
const $ = (id) => document.getElementById(id);
const KIND_WORDS = {
  request: "requests", checkpoint: "checkpoints", restore: "restores",
  interruption: "interruptions", failure: "failures",
};

const wanted = { query: "", phases: new Set(), kinds: new Set() };
const timeline = new Timeline($("timeline"), data);
const files = new Files($("files"), data);

/** What the reader chose last time, where the browser keeps it for a file. */
const kept = {
  get(name) {
    try {
      return localStorage.getItem(`workflow-state ${name}`);
    } catch {
      return null;
    }
  },
  set(name, value) {
    try {
      localStorage.setItem(`workflow-state ${name}`, value);
    } catch {
      // it is chosen again next time
    }
  },
};

function choice(text, name, options, value, change) {
  return h("label", { class: "choice" }, text, " ",
    h("select", { name, onchange: (event) => {
      kept.set(name, event.target.value);
      change(event.target.value);
    } }, options.map(([key, word]) => h("option", { value: key, selected: key === value }, word))));
}

function head() {
  document.title = `${visible(data.project)}: workflow-state report`;
  const theme = kept.get("theme") || "auto";
  const clock = kept.get("clock") || "local";
  const paint = (value) => {
    if (value === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = value;
  };
  paint(theme);
  useUtc(clock === "utc");
  $("head").replaceChildren(
    h("div", {},
      h("p", { class: "kind" }, "workflow-state report"),
      h("h1", {}, own(data.project)),
      h("p", { class: "sub" }, h("span", { id: "span" }))),
    h("div", { class: "choices" },
      choice("Times", "clock", [["local", zone()], ["utc", "UTC"]], clock, (value) => {
        useUtc(value === "utc");
        all();
      }),
      choice("Colours", "theme", [["auto", "as the system"], ["light", "light"], ["dark", "dark"]], theme, paint)));
}

function span() {
  const from = Math.min(...data.sessions.map((session) => session.started));
  const to = Math.max(...data.sessions.map((session) => session.last_active));
  $("span").textContent = `${period(from, to)}, as of ${time.full(data.generated)}`;
}

/** "file changed" -> "files changed", unless it is one. */
const several = (name, count) =>
  count === 1 || name.startsWith("of ") ? name : name.replace(/^\w+/, "$&s");

function overview() {
  const all = data.sessions;
  const over = (count) => sum(all, count);
  const mended = over((session) => session.marks.filter((mark) => mark.kind === "failure" && mark.resolved).length);
  const tiles = [
    ["session", all.length, over((session) => session.condition === "crashed" ? 1 : 0), "crashed"],
    ["of work", lasting(over((session) => session.active))],
    ["call", over((session) => session.counts.calls)],
    ["failure", over((session) => session.totals.failure), mended, "have succeeded since"],
    ["interruption", over((session) => session.totals.interruption)],
    ["subagent", over((session) => session.agents.length)],
    ["file changed", data.files.filter((file) => file.changes).length],
    ["checkpoint by hand", data.checkpoints.filter((each) => each.trigger === "manual").length],
  ];
  $("overview").replaceChildren(
    h("h2", { id: "overview-title", class: "unseen" }, "Overview"),
    h("dl", { class: "tiles" }, tiles.filter(([, value]) => value).map(([name, value, part, word]) =>
      h("div", {}, h("dt", {}, several(name, value), part ? h("span", {}, `, ${part.toLocaleString("en")} ${word}`) : null),
        h("dd", {}, value.toLocaleString("en"))))),
    calendar());
}

/** The days as bars of work by phase; each leads to its day. */
function calendar() {
  const all = new Map(daysOf(data.sessions).map((day) => [day.from, day]));
  const found = calendarOf(data.sessions, MOST_DAYS)
    .map((from) => all.get(from) || { from, parts: [] });
  if (found.length < 2) return "";
  const spent = found.map(({ parts }) => {
    const byPhase = new Map();
    for (const { bands } of parts) {
      for (const [start, end, phase] of bands) byPhase.set(phase, (byPhase.get(phase) || 0) + end - start);
    }
    return byPhase;
  });
  const totals = spent.map((byPhase) => [...byPhase.values()].reduce((one, other) => one + other, 0));
  const most = Math.max(...totals, 1);
  return h("ol", { class: `calendar${found.length > 14 ? " many" : ""}`, "aria-label": "Days; each leads to its part of the timeline" },
    found.map((day, number) => {
      let y = 60;
      const rects = [null, ...data.phases].filter((phase) => spent[number].get(phase)).map((phase) => {
        const height = (spent[number].get(phase) / most) * 60;
        y -= height;
        return s("rect", { class: `band ${colour(phase, data.phases)}`, x: 0, width: 10, y, height });
      });
      const words = time.short(day.from + 1).split(" ");
      const newMonth = !number || time.short(found[number - 1].from + 1).split(" ")[1] !== words[1];
      const named = newMonth || number % 7 === 0 ? "named" : null;
      const rest = [newMonth ? "" : ` ${words[1]}`, `, ${day.parts.length
        ? `${plural(day.parts.length, "session")}, ${lasting(totals[number])}` : "nothing"}`].join("");
      const under = [h("span", {}, words[0]), " ", h("span", { class: "month" }, newMonth ? words[1] : ""),
        h("span", { class: "unseen" }, rest)];
      const bars = s("svg", { viewBox: "0 0 10 60", preserveAspectRatio: "none", "aria-hidden": "true" }, ...rects);
      if (!day.parts.length) return h("li", { class: named }, bars, under);
      return h("li", { class: named }, h("a", {
        href: `#day-${time.key(day.from)}`, title: `${words.join(" ")}${newMonth ? rest : rest.slice(rest.indexOf(","))}`,
        onclick: (event) => {
          const to = $(`day-${time.key(day.from)}`);
          event.preventDefault();
          if (!to) return;
          to.focus({ preventScroll: true });
          to.scrollIntoView({ block: "start" });
        },
      }, bars, under));
    }));
}

function filters() {
  const toggle = (set, value, picture, word, count) => h("button", {
    type: "button", class: "chip", "aria-pressed": String(set.has(value)), "data-value": value,
    onclick: (event) => {
      set[set.has(value) ? "delete" : "add"](value);
      event.currentTarget.setAttribute("aria-pressed", String(set.has(value)));
      update();
    },
  }, picture, own(word), count === undefined ? null : h("span", { class: "count" }, count.toLocaleString("en")));
  const spent = new Map();
  for (const session of data.sessions) {
    for (const [phase, time_] of session.phases) spent.set(phase, (spent.get(phase) || 0) + time_);
  }
  const counts = new Map();
  for (const kind of KINDS) {
    const count = sum(data.sessions, (session) => session.totals[kind]);
    if (count) counts.set(kind, count);
  }
  const kept = data.checkpoints.filter((each) => data.byId.has(each.session)).length;
  if (kept) counts.set("checkpoint", (counts.get("checkpoint") || 0) + kept);
  let waiting = 0;
  $("filters").replaceChildren(
    h("search", {},
      h("label", { for: "query", class: "unseen" }, "Search requests, commands, files, errors, sessions"),
      h("input", {
        id: "query", type: "search", autocomplete: "off", spellcheck: "false",
        placeholder: "Search requests, commands, files …",
        oninput: (event) => {
          wanted.query = event.target.value;
          clearTimeout(waiting);
          waiting = setTimeout(update, 80);
        },
      })),
    h("div", { class: "chips", role: "group", "aria-label": "Only sessions with these phases" },
      data.phases.filter((phase) => spent.has(phase)).map((phase) =>
        toggle(wanted.phases, phase, swatch(phase, data.phases), phase))),
    h("div", { class: "chips", role: "group", "aria-label": "Only sessions with these marks" },
      KINDS.filter((kind) => counts.has(kind)).map((kind) =>
        toggle(wanted.kinds, kind, icon(kind), KIND_WORDS[kind], counts.get(kind)))),
    h("p", { class: "result" },
      h("span", { id: "result", role: "status" }),
      h("button", { type: "button", id: "clear", class: "link", hidden: true, onclick: clear }, "Show all")));
}

function clear() {
  wanted.query = "";
  wanted.phases.clear();
  wanted.kinds.clear();
  $("query").value = "";
  for (const chip of document.querySelectorAll(".chip")) chip.setAttribute("aria-pressed", "false");
  update();
  $("query").focus();
}

/** Draw what follows the filters. */
function update() {
  const words = wanted.query.toLowerCase().split(/\s+/).filter(Boolean);
  const { phases, kinds } = wanted;
  const sessions = data.sessions.filter((session) =>
    (!phases.size || [...phases].some((phase) => session.phases.has(phase))) &&
    (!kinds.size || [...kinds].some((kind) => session.kinds.has(kind))) &&
    (!words.length || holds(haystack(data, session), words)));
  timeline.draw(sessions, { words, chosen: phases, kinds, found: textsWith(data, words) });
  const fitting = files.draw({ words });
  const narrowed = words.length || phases.size || kinds.size;
  $("clear").hidden = !narrowed;
  $("result").textContent = narrowed
    ? `${sessions.length} of ${plural(data.sessions.length, "session")}` +
      `, ${fitting.toLocaleString("en")} of ${plural(data.files.length, "file")}. ` : "";
}

function checkpoints() {
  const rows = data.checkpoints.slice().reverse();
  const by = { manual: "by hand", restore: "before a restore", undo: "before an undo" };
  $("checkpoints").replaceChildren(...(rows.length ? [
    h("h2", { id: "checkpoints-title" }, "Checkpoints kept"),
    h("p", { class: "hint" }, "Besides these, each session has one that is renewed whenever Claude stops."),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Checkpoints" }, h("table", {},
      h("thead", {}, h("tr", {}, [["Name"], ["Made"], ["How", "wide"], ["Phase"], ["Files", "number wide"],
        ["Keys", "number wide"], ["Session"]].map(([text, name]) => h("th", { scope: "col", class: name }, text)))),
      h("tbody", {}, rows.map((each) => h("tr", {},
        h("th", { scope: "row", class: "code" }, own(each.name)),
        h("td", {}, time.full(each.at)),
        h("td", { class: "wide" }, by[each.trigger] || visible(each.trigger)),
        h("td", {}, each.phase ? [swatch(each.phase, data.phases), " ", own(each.phase)] : "–"),
        h("td", { class: "number wide" }, each.files),
        h("td", { class: "number wide" }, each.keys.length),
        h("td", {}, each.session && data.byId.has(each.session) ? h("button", { type: "button", class: "link",
          onclick: () => timeline.go(each.session) }, each.session.slice(0, 8)) : "–"))))))] : []));
  $("checkpoints").hidden = !rows.length;
}

function notes() {
  $("notes").hidden = !data.notes.length;
  $("notes").replaceChildren(
    h("h2", { id: "notes-title" }, "Not on this page"),
    h("ul", {}, data.notes.map((note) => h("li", {}, visible(note)))));
  $("foot").replaceChildren(
    h("p", {}, "Recorded by workflow-state in ", own(data.directory, { class: "code" }),
      ". A phase is inferred from what Claude did, unless it was pinned; after ",
      `${lasting(data.quiet)} without a record nothing is drawn, because nothing is known. `,
      "This file holds paths, commands and requests: think before you send it."));
}

function all() {
  span();
  overview();
  checkpoints();
  notes();
  update();
}

head();
filters();
all();

timeline.root.addEventListener("hidden-session", ({ detail }) => {
  clear();
  timeline.go(detail);
});
files.root.addEventListener("look-for", ({ detail }) => {
  $("query").value = wanted.query = detail;
  update();
  $("query").focus();
});
addEventListener("keydown", (event) => {
  const typing = event.target.matches("input, select, textarea");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    $("query").focus();
  } else if (event.key === "Escape" && event.target.id === "query") {
    clear();
  }
});

let width = timeline.root.clientWidth;
const redraw = () => {
  if (timeline.root.clientWidth !== width) {
    width = timeline.root.clientWidth;
    update();
  }
};
new ResizeObserver(() => requestAnimationFrame(redraw)).observe(timeline.root);
addEventListener("beforeprint", () => {
  timeline.paper = true;
  update();
});
addEventListener("afterprint", () => {
  timeline.paper = false;
  update();
});
performance.mark("ready");
