// All that is known of one session, as text: what a screen reader, a search and a printer can use.

import { lasting, period, time } from "./clock.js";
import { h, own, plural, rest, visible } from "./dom.js";
import { axis, row, scaleOver, swatch } from "./chart.js";
import { holds, markText, OUTCOMES, part, stretches } from "./model.js";
import { icon } from "./symbols.js";

const AT_ONCE = 200;

const WORDS = {
  request: "Request",
  checkpoint: "Checkpoint",
  restore: "Restored",
  interruption: "Interrupted",
  failure: "Failed",
};

/** Whether a restore took back another: it went to what that one had kept before. */
const undone = ({ kind, text }) => kind === "restore" && text.startsWith("before-restore-");

const stamp = (at) => h("time", { datetime: new Date(at).toISOString() }, time.second(at));

/** A list that grows by AT_ONCE rows when asked. */
function growing(rows, list, render, noun) {
  let shown = 0;
  const more = h("div");
  const grow = () => {
    const first = shown;
    list.append(...rows.slice(shown, shown + AT_ONCE).map(render));
    shown = Math.min(rows.length, shown + AT_ONCE);
    const left = rows.length - shown;
    more.replaceChildren(...(left ? [rest(AT_ONCE, left, noun, grow)] : []));
    if (first && list.children[first]) {
      list.children[first].setAttribute("tabindex", "-1");
      list.children[first].focus();
    }
  };
  grow();
  return more;
}

function entry(mark, session) {
  const who = mark.agent >= 0 ? session.agents[mark.agent] : null;
  const about = mark.tool ? [own(mark.tool, { class: "tool" }), " ", own(mark.subject || "", { class: "code" })] : [];
  const text = mark.text
    ? [mark.tool ? ": " : "", own(mark.text, { class: mark.kind === "request" ? "said" : "" })] : [];
  return h("li", { class: `entry ${mark.kind}` },
    stamp(mark.at),
    icon(mark.kind, mark.automatic || Boolean(mark.resolved)),
    h("span", {},
      h("b", {}, undone(mark) ? "Undone, back to" : WORDS[mark.kind]), " ", ...about, ...text,
      who ? h("span", { class: "aside" }, ` by subagent `, own(who.type || who.id)) : null,
      mark.resolved ? h("span", { class: "aside" }, ` (has succeeded at ${time.second(mark.resolved)})`) : null));
}

function facts(session, data, go) {
  const link = (id) => {
    const other = data.byId.get(id);
    const name = id.slice(0, 8);
    return other ? h("button", { type: "button", class: "link", onclick: () => go(id) }, name)
      : h("span", {}, name, " (no longer recorded)");
  };
  const how = session.continues || {};
  const counts = session.counts;
  const rows = [
    ["Session", own(session.id, { class: "code" })],
    ["Active", `${period(session.started, session.last_active)}, ${lasting(session.active)} of work`],
    ["Ended", session.ended ? `${time.full(session.ended.at)} (${visible(session.ended.reason)})`
      : session.condition === "alive" ? "still running" : "without a word: crashed or killed"],
    ["Continues", session.before
      ? [link(session.before), how.was ? `, which had ${how.was === "alive" ? "not ended" : how.was}` : "",
        how.assumed ? " (assumed)" : ""] : null],
    ["Continued by", session.after.length
      ? session.after.flatMap((id, number) => [number ? ", " : "", link(id)]) : null],
    ["Client", session.client ? own(session.client) : null],
    ["Calls", [`${counts.calls.toLocaleString("en")} ended`,
      counts.failed ? `, ${counts.failed.toLocaleString("en")} failed` : "",
      counts.interrupted ? `, ${counts.interrupted.toLocaleString("en")} interrupted` : "",
      counts.no_result ? `, ${counts.no_result.toLocaleString("en")} denied or refused` : ""].join("")],
    ["Subagents", session.agents.length ? subagents(session) : null],
  ];
  return h("dl", { class: "facts" }, rows.filter(([, value]) => value)
    .map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

/** "2 general-purpose, 1 docs-writer". */
function subagents(session) {
  const counts = new Map();
  for (const { type, id } of session.agents) counts.set(type || id, (counts.get(type || id) || 0) + 1);
  return [...counts].flatMap(([name, count], number) => [number ? ", " : "", `${count} `, own(name)]);
}

function phasesOf(session, data) {
  const all = [...session.phases].sort((one, other) => other[1] - one[1]);
  if (!all.length) return null;
  return h("ul", { class: "spent", "aria-label": "Time in each phase" }, all.map(([phase, spent]) =>
    h("li", {}, swatch(phase, data.phases), " ", own(phase), " ", h("b", {}, lasting(spent)))));
}

/** A session's own chart, as wide as the page, with a lane for every subagent. */
function chart(session, data, context, width) {
  const whole = part(session, -Infinity, Infinity);
  const scale = scaleOver(stretches([whole], 20 * 60000), width);
  return h("div", { class: "own-chart" }, axis(scale), row(whole, scale, { ...context, lanes: Infinity }));
}

function callRow(call, session, data) {
  const [at, lasted, agent, tool, subject, how] = call;
  const who = agent >= 0 ? own(session.agents[agent].type || session.agents[agent].id) : "";
  const cell = (name, text) => h("td", { role: "cell", class: name }, text);
  return h("tr", { role: "row", class: how === 1 ? "failed" : null },
    cell("at", stamp(at)),
    cell("tool", own(data.texts[tool])),
    cell("subject code", own(data.texts[subject])),
    cell("who", who),
    cell("took number", lasting(lasted)),
    cell("how", OUTCOMES[how]));
}

/** A table; its roles are said, because a narrow page lays the rows of calls out as blocks. */
function table(name, caption, heads, body) {
  body.setAttribute("role", "rowgroup");
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h("table", { class: name, role: "table" }, h("caption", { class: "unseen" }, caption),
      h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, heads.map((head) =>
        h("th", { scope: "col", role: "columnheader" }, head)))), body));
}

/** What is unfolded stays so in `opened`, however often the page is drawn anew. */
function fold(summary, open, opened, name, make) {
  const details = h("details", {}, h("summary", {
    onclick: () => opened.set(name, !details.open),
  }, summary));
  const render = () => {
    if (details.open && details.children.length === 1) details.append(...make());
  };
  details.addEventListener("toggle", render);
  details.open = opened.has(name) ? opened.get(name) : open;
  render();
  return details;
}

/** The text under a session's row. `go(id)` leads to another session; `opened`: name -> whether. */
export function details(session, data, context, width, go, opened) {
  const { words, found } = context;
  const all = session.marks.filter((mark) => !context.kinds.size || context.kinds.has(mark.kind));
  const fitting = all.filter((mark) => holds(markText(mark), words));
  const marks = words.length && fitting.length ? fitting : all;
  const list = h("ol", { class: "log" });
  const more = growing(marks, list, (mark) => entry(mark, session), "entry");
  const hits = words.length ? session.calls.filter((call) => found.has(call[4]) || found.has(call[3])) : [];
  const calls = hits.length ? hits : session.calls;
  const select = (noun, shown, of) => shown === of ? plural(of, noun)
    : `${shown.toLocaleString("en")} of ${plural(of, noun)}, those that match`;
  return h("div", { class: "details" },
    chart(session, data, context, width),
    phasesOf(session, data),
    facts(session, data, go),
    marks.length ? h("h4", {}, `What happened`, h("span", { class: "aside" },
      marks.length < session.marks.length ? ` ${marks.length} of ${session.marks.length} entries` : "")) : null,
    list, more,
    session.calls.length ? fold(select("call", calls.length, session.calls.length), hits.length > 0, opened, "calls", () => {
      const body = h("tbody");
      const grow = growing(calls, body, (call) => callRow(call, session, data), "call");
      return [table("calls", `Calls of session ${session.short}`,
        ["At", "Tool", "About", "Subagent", "Took", "Outcome"], body), grow];
    }) : null,
    session.files.length ? fold(plural(session.files_touched, "file"), false, opened, "files", () => {
      const body = h("tbody");
      const grow = growing(session.files, body, ([file, changes, reads]) => h("tr", { role: "row" },
        h("td", { role: "cell", class: "code" }, own(data.files[file].path)),
        h("td", { role: "cell", class: "number" }, changes || ""),
        h("td", { role: "cell", class: "number" }, reads || "")), "file");
      return [table("", `Files of session ${session.short}`, ["File", "Changed", "Read"], body), grow];
    }) : null);
}
