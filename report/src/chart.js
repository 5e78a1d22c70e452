// One day's axis, and one session's row on it.

import { bisector } from "d3-array";
import { axisTop } from "d3-axis";
import { select } from "d3-selection";
import { lasting, time } from "./clock.js";
import { h, middle, plural, s, visible } from "./dom.js";
import { colour, markText, holds, OUTCOMES } from "./model.js";
import { icon, shape } from "./symbols.js";

const GAP = 26; // pixels of a stretch in which nothing happened
const BARE = 12; // pixels of a session that only began
const MARGIN = 12;
const MARK_Y = 9;
const BAND_Y = 20;
const BAND = 20;
const CALLS_Y = 43;
const CALLS = 5;
const LANE_Y = 54;
const LANE = 17;
const LANE_BAND = 12;
const LANES = 8;
const LONGEST = 150; // pixels of a subagent's name
const LETTER = 6.3; // pixels of one of its letters, and a little
const LEGIBLE = 8; // letters that a name must keep when it is cut
const NARROW = 3; // bands below this many pixels are no items of their own
const WIDE = 12; // pixels that a mark takes
const NEAR = 9; // marks of one kind closer than this are drawn as one
const TOLD = 3; // marks of a group that are told of one by one
const FAR = 24; // marks may stand this much later than they were

/**
 * Time -> pixels over the stretches in which something happened; what lies between them takes GAP
 * pixels each. `scale.gaps` are those places, `scale.width` the whole.
 */
export function scaleOver(stretches, width) {
  const least = 60000;
  const spans = stretches.map(([start, end]) => [start, Math.max(end, start + least)]);
  for (let i = 1; i < spans.length; i++) spans[i][0] = Math.max(spans[i][0], spans[i - 1][1] + 1);
  for (const span of spans) span[1] = Math.max(span[1], span[0] + least);
  const total = spans.reduce((all, [start, end]) => all + end - start, 0);
  // Many short stretches: the gaps may have half of the width at most.
  const gap = Math.min(GAP, (width - 2 * MARGIN) / 2 / Math.max(1, spans.length - 1));
  const room = width - 2 * MARGIN - gap * (spans.length - 1);
  const domain = [];
  const range = [];
  const gaps = [];
  let x = MARGIN;
  spans.forEach(([start, end], number) => {
    if (number) {
      gaps.push({ from: x, to: x + gap, lasted: start - spans[number - 1][1] });
      x += gap;
    }
    domain.push(new Date(start), new Date(end));
    range.push(x, (x += ((end - start) / total) * room));
  });
  const scale = time.scale().domain(domain).range(range).clamp(true);
  scale.gaps = gaps;
  scale.width = width;
  scale.spans = spans;
  return scale;
}

/** The times to write at an axis: round ones, in no gap, each with room for its text. */
function ticks(scale) {
  const wanted = Math.max(2, Math.floor(scale.width / 90));
  let found = [];
  for (const [start, end] of scale.spans) {
    const share = (scale(end) - scale(start)) / scale.width;
    const part = time.scale().domain([start, end]);
    found.push(...part.ticks(Math.max(1, Math.round(wanted * share * 1.2))));
  }
  let last = -Infinity;
  found = found.filter((at) => {
    const x = scale(at);
    if (x - last < 58 || x < 16 || x > scale.width - 16) return false;
    last = x;
    return true;
  });
  return found.length ? found : [new Date(scale.spans[0][0])];
}

const canvas = (scale, height, attributes) =>
  s("svg", { viewBox: `0 0 ${scale.width} ${height}`, ...attributes });

/** The axis over a day's rows. */
export function axis(scale) {
  const svg = canvas(scale, 24, { class: "axis", "aria-hidden": "true" });
  const at = ticks(scale);
  const fine = at.length > 1 && at[1] - at[0] < 60000;
  select(svg)
    .append("g")
    .attr("transform", "translate(0,23)")
    .call(axisTop(scale).tickValues(at).tickFormat(fine ? time.second : time.clock)
      .tickSize(4).tickPadding(4))
    .call((g) => g.select(".domain").remove());
  for (const gap of scale.gaps) {
    const middleOf = (gap.from + gap.to) / 2;
    // Below the times, which may stand right over it.
    svg.append(s("path", { class: "break", d: `M${middleOf - 3},23l2,-5M${middleOf + 1},23l2,-5` }));
  }
  scale.lines = at;
  return svg;
}

function grid(scale, height) {
  const d = scale.lines.map((at) => `M${scale(at)},0V${height}`).join("");
  const gaps = scale.gaps.map((gap) =>
    s("rect", { class: "gap", x: gap.from, width: gap.to - gap.from, y: 0, height }));
  return [s("path", { class: "grid", d }), ...gaps];
}

// --- lanes ---------------------------------------------------------------------------------------

/** Subagents in as few lanes as hold them, and their names where `named`, without overlap: behind
 * a subagent's bands, or before them where the chart ends. */
function packed(agents, scale, named) {
  const rows = [];
  const sorted = [...agents].sort((one, other) => one.bands[0][0] - other.bands[0][0]);
  for (const agent of sorted) {
    const from = scale(agent.bands[0][0]);
    const to = Math.max(scale(agent.bands[agent.bands.length - 1][1]), from + 2);
    const name = visible(agent.type || "subagent");
    const room = named ? Math.min(LONGEST, LETTER * name.length) + 6 : 0;
    const before = to + room > scale.width && from - room > 0;
    const end = before ? to + 6 : to + Math.max(6, room);
    const row = rows.find((each) => each.end <= (before ? from - room : from));
    if (row) {
      row.end = end;
      row.push({ agent, from, to, name, before });
    } else {
      rows.push(Object.assign([{ agent, from, to, name, before }], { end }));
    }
  }
  return rows;
}

/** The lanes, with names while that takes no more than `most` of them. */
function lanes(agents, scale, most) {
  const named = packed(agents, scale, true);
  return named.length <= most ? { rows: named, named: true }
    : { rows: packed(agents, scale, false), named: false };
}

function item(label, about, ...children) {
  const g = s("g", { class: "item", role: "button", tabindex: "-1", "aria-label": label }, children);
  g.about = { label, ...about };
  return g;
}

/** A name, or its two ends where there is room for no more; "" where that would say nothing. */
const cut = (word, letters) => word.length <= letters ? word
  : letters > LEGIBLE ? middle(word, Math.floor(letters) - 1) : ""; // an ellipsis is as wide as two

/** Pixels, each with the class that has most of it, as one path for each class. */
function paths(pixels, y, height) {
  const drawn = new Map();
  let run = null;
  for (const x of [...pixels.keys()].sort((one, other) => one - other)) {
    const [[name]] = [...pixels.get(x)].sort((one, other) => other[1] - one[1]);
    if (run && run.name === name && run.end === x) run.end = x + 1;
    else drawn.set(name, [...(drawn.get(name) || []), (run = { name, x, end: x + 1 })]);
  }
  return [...drawn].map(([name, found]) => s("path", { class: name, d: found.map((each) =>
    `M${each.x},${y}h${each.end - each.x}v${height}h${each.x - each.end}z`).join("") }));
}

/** Bands: those wide enough are items with a name, of the others each pixel has the longest. */
function bands(rows, scale, y, height, context, who) {
  const { phases, chosen, session } = context;
  const narrow = new Map();
  const found = [];
  for (const [start, end, phase, pinned] of rows) {
    const from = scale(start);
    const width = Math.max(1, scale(end) - from);
    const dim = chosen.size && !chosen.has(phase) ? " dim" : "";
    const name = `band ${colour(phase, phases)}${dim}`;
    if (width < NARROW) {
      for (let x = Math.floor(from); x < from + width; x++) {
        const share = Math.min(scale(end), x + 1) - Math.max(from, x);
        if (!narrow.has(x)) narrow.set(x, new Map());
        narrow.get(x).set(name, (narrow.get(x).get(name) || 0) + share);
      }
      continue;
    }
    const word = phase === null ? "phase not known yet" : visible(phase);
    const label = `${who}${word}${pinned ? ", pinned" : ""}, ${time.clock(start)} to ` +
      `${time.clock(end)}, ${lasting(end - start)}`;
    const rect = s("rect", { class: name, x: from, y, width, height, rx: 2 });
    const shown = phase === null || height < 14 ? "" : cut(word, (width - 9) / 6.6);
    const text = shown ? s("text", { class: "name", x: from + 5, y: y + height / 2 }, shown) : null;
    found.push({ x: from, node: item(label, { at: start, session, kind: "band" }, rect, text) });
  }
  return { paths: paths(narrow, y, height), found };
}

function said(mark) {
  const about = [mark.tool, mark.subject && visible(mark.subject)].filter(Boolean).join(" ");
  return [about, visible(mark.text)].filter(Boolean).join(": ");
}

function markLabel(group) {
  const [mark] = group;
  if (group.length > 1) {
    const until = time.clock(group[group.length - 1].at);
    const first = group.slice(0, TOLD).map(said).filter(Boolean).join("; ");
    const more = group.length > TOLD ? " …" : "";
    return `${plural(group.length, mark.kind)}, ${time.clock(mark.at)} to ${until}: ${first}${more}`;
  }
  const mended = mark.resolved ? ", has succeeded since" : "";
  return `${mark.kind}, ${time.second(mark.at)}${said(mark) ? `: ${said(mark)}` : ""}${mended}`;
}

/** Marks in groups: those of one kind nearer than `near` pixels as one. */
function grouped(all, scale, near) {
  const groups = [];
  const open = {};
  for (const mark of all) {
    const at = scale(mark.at);
    const kind = mark.named ? "named" : mark.kind;
    const last = open[kind];
    if (last && at - last.at < near) last.marks.push(mark);
    else groups.push((open[kind] = { at, near, marks: [mark] }));
  }
  return groups;
}

/** Groups in order, each with its place `x`: no nearer to its neighbours than they are wide. */
function placed(groups, scale) {
  const wide = ({ marks: { length } }) => WIDE + (length > 1 ? 2 + 6 * String(length).length : 0);
  groups.sort((one, other) => one.at - other.at);
  groups.forEach((group, number) => {
    const before = groups[number - 1];
    group.x = Math.max(group.at, before ? before.x + wide(before) : 0);
    group.pushed = group.x > group.at;
  });
  let end = scale.width + WIDE / 2; // and back from the chart's edge
  for (const group of groups.slice().reverse()) end = group.x = Math.min(group.x, end - wide(group));
  return groups;
}

/** Groups that push each other, each run an array. */
function runs(groups) {
  const found = [];
  for (const group of groups) {
    if (group.pushed) found[found.length - 1].push(group);
    else found.push([group]);
  }
  return found;
}

/** Marks; where they crowd, in larger groups, so that none stands far from its time. */
function marks(all, scale, context) {
  let groups = placed(grouped(all, scale, NEAR), scale);
  for (;;) {
    const crowds = runs(groups).filter((run) => run.some(({ at, x }) => x - at > FAR) &&
      run.some(({ near }) => near < scale.width));
    if (!crowds.length) break;
    const again = new Set(crowds.flat());
    const larger = crowds.flatMap((run) => grouped(
      run.flatMap((group) => group.marks).sort((one, other) => one.at - other.at), scale,
      1.5 * Math.max(...run.map(({ near }) => near))));
    groups = placed(groups.filter((group) => !again.has(group)).concat(larger), scale);
  }
  return groups.map(({ x, marks: group }) => {
    const [mark] = group;
    const kinds = context.kinds;
    const fits = (!kinds.size || kinds.has(mark.kind)) &&
      (!context.words.length || group.some((each) => holds(markText(each), context.words)));
    const faint = group.every((each) => each.automatic || each.resolved);
    const label = markLabel(group);
    const at = s("g", { transform: `translate(${x},${MARK_Y})` },
      s("rect", { class: "reach", x: -7, y: -9, width: 14, height: 18 }),
      shape(mark.kind, faint),
      group.length > 1 ? s("text", { class: "many", x: 6, y: 0 }, String(group.length)) : null);
    const node = item(label, { at: mark.at, session: context.session, kind: mark.kind }, at);
    if (!fits) node.classList.add("dim");
    return { x, node };
  });
}

/** All calls as one path, thin lines a pixel apart at the least. */
function strokes(calls, scale, y, height) {
  const seen = new Set();
  for (const call of calls) seen.add(Math.round(scale(call[0])));
  return [...seen].map((x) => `M${x + 0.5},${y}v${height}`).join("");
}

/** The row of a session: what it did on a day, or in all. */
export function row(part, scale, context) {
  const { session } = part;
  const most = context.lanes || LANES;
  const { rows, named } = lanes(part.agents, scale, most);
  const shown = rows.slice(0, most);
  const height = LANE_Y + shown.length * LANE + (rows.length > most ? LANE : 0);
  const svg = canvas(scale, height, {
    class: "row",
    role: "group",
    "aria-label": `${session.short}: phases, marks and subagents in order of time`,
  });
  svg.append(...grid(scale, height));
  const all = part.bands.map((band) => band[1]).concat(part.bands.map((band) => band[0]));
  if (all.length) {
    const from = scale(Math.min(...all));
    const to = scale(Math.max(...all));
    svg.append(s("path", { class: "life", d: `M${from},${BAND_Y + BAND / 2}H${to}` }));
  } else if (session.bare) {
    svg.append(s("path", { class: "life", d: `M${scale(session.started)},${BAND_Y + BAND / 2}h${BARE}` }));
  }
  const mine = { ...context, session };
  const main = bands(part.bands, scale, BAND_Y, BAND, mine, "");
  const placed = marks(part.marks, scale, mine);
  svg.append(...main.paths);
  svg.append(s("path", { class: "calls", d: strokes(part.calls, scale, CALLS_Y, CALLS) }));
  if (part.earlier.length) {
    const most = Math.max(...part.earlier.map(([, count]) => count));
    const d = part.earlier.map(([at, count]) => {
      const from = scale(at);
      const width = Math.max(1, scale(at + 900000) - from);
      const tall = Math.max(1, (count / most) * CALLS);
      return `M${from},${CALLS_Y + CALLS}v${-tall}h${width}v${tall}z`;
    });
    svg.append(s("path", { class: "earlier", d: d.join("") }));
  }
  const items = [...main.found, ...placed];
  items.sort((one, other) => one.x - other.x);
  svg.append(...items.map(({ node }) => node));
  shown.forEach((placedAgents, number) => {
    const y = LANE_Y + number * LANE;
    for (const { agent, from, to, name, before } of placedAgents) {
      const label = `subagent ${name} ${visible(agent.id)}, ${time.clock(agent.started)} ` +
        `to ${time.clock(agent.last_active)}, ${plural(agent.calls, "call")}`;
      const drawn = bands(agent.bands, scale, y, LANE_BAND, mine, "");
      const rects = drawn.found.map(({ node }) => node.firstChild);
      const line = s("path", { class: "life", d: `M${from},${y + LANE_BAND / 2}H${to}` });
      const room = before ? from - 5 : scale.width - to - 5;
      const word = named ? cut(name, Math.min(LONGEST, room) / LETTER) : "";
      const text = word ? s("text", { class: "agent", x: before ? from - 5 : to + 5, y: y + LANE_BAND / 2,
        "text-anchor": before ? "end" : null }, word) : null;
      svg.append(item(label, { at: agent.started, session, kind: "subagent" },
        line, ...drawn.paths, ...rects, text));
    }
  });
  if (rows.length > most) {
    const rest = rows.slice(most).reduce((sum, each) => sum + each.length, 0);
    svg.append(s("text", { class: "agent", x: MARGIN, y: LANE_Y + most * LANE + 6 },
      `and ${plural(rest, "more subagent")}`));
  }
  if (context.found.size) {
    const hits = part.calls.filter((call) => context.found.has(call[4]) || context.found.has(call[3]));
    svg.append(s("path", { class: "hits", d: strokes(hits, scale, BAND_Y - 2, CALLS_Y + CALLS + 2 - BAND_Y) }));
  }
  svg.shown = part;
  svg.scale = scale;
  return svg;
}

// --- what the pointer or the focus is on ---------------------------------------------------------

const byStart = bisector((call) => call[0]).right;

/** The call under a place of a row, or the nearest within four pixels; null when there is none. */
function callAt(svg, x) {
  const { shown: part, scale } = svg;
  const at = scale.invert(x).getTime();
  const slack = Math.max(1, scale.invert(x + 4).getTime() - at);
  const last = byStart(part.calls, at + slack);
  for (let i = last - 1; i >= Math.max(0, last - 40); i--) {
    const [start, lasted] = part.calls[i];
    if (start + lasted + slack >= at) return part.calls[i];
  }
  return null;
}

/** Show what is under the pointer, or focused, in one box that follows it. */
export function tips(root, data) {
  const tip = document.getElementById("tip");
  const show = (x, y, ...lines) => {
    tip.replaceChildren(...lines.map((line) => h("div", {}, line)));
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    const left = Math.min(Math.max(8, x - box.width / 2), innerWidth - box.width - 8);
    const above = y - box.height - 12;
    tip.style.setProperty("left", `${left}px`);
    tip.style.setProperty("top", `${above < 4 ? y + 16 : above}px`);
  };
  const hide = () => (tip.hidden = true);
  root.addEventListener("pointermove", (event) => {
    const svg = event.target.closest("svg.row");
    if (!svg) return hide();
    const on = event.target.closest(".item");
    const box = svg.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * svg.scale.width;
    const call = on && on.about.kind !== "band" ? null : callAt(svg, x);
    const lines = on ? [on.about.label] : [];
    if (call) {
      const what = `${data.texts[call[3]]} ${visible(data.texts[call[4]])}`;
      const how = OUTCOMES[call[5]];
      lines.push(`${time.second(call[0])}  ${middle(what, 110)}  (${lasting(call[1])}${how && `, ${how}`})`);
    }
    if (!lines.length) return hide();
    show(event.clientX, event.clientY, ...lines);
  });
  root.addEventListener("pointerleave", hide);
  root.addEventListener("focusin", (event) => {
    const on = event.target.closest(".item");
    if (!on || !on.matches(":focus-visible")) return;
    const box = on.getBoundingClientRect();
    show(box.left + Math.min(box.width, 200) / 2, box.top, on.about.label);
  });
  root.addEventListener("focusout", hide);
  addEventListener("scroll", hide, { passive: true });
}

/** Arrow keys within a day: left and right along a row, up and down between rows. */
export function arrows(day) {
  const rows = () => [...day.querySelectorAll("svg.row")].map((svg) => [...svg.querySelectorAll(".item")])
    .filter((items) => items.length);
  const first = day.querySelector(".item");
  if (first) first.setAttribute("tabindex", "0");
  day.addEventListener("keydown", (event) => {
    const on = event.target.closest(".item");
    if (!on) return;
    const all = rows();
    const r = all.findIndex((items) => items.includes(on));
    const i = all[r].indexOf(on);
    const x = on.getBoundingClientRect().left;
    const nearest = (items) => items && items.reduce((one, other) =>
      Math.abs(other.getBoundingClientRect().left - x) < Math.abs(one.getBoundingClientRect().left - x)
        ? other : one);
    const to = {
      ArrowLeft: () => all[r][i - 1],
      ArrowRight: () => all[r][i + 1],
      ArrowUp: () => nearest(all[r - 1]),
      ArrowDown: () => nearest(all[r + 1]),
      Home: () => all[r][0],
      End: () => all[r][all[r].length - 1],
    }[event.key];
    if (to) {
      event.preventDefault();
      const next = to();
      if (!next) return;
      on.setAttribute("tabindex", "-1");
      next.setAttribute("tabindex", "0");
      next.focus();
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      on.dispatchEvent(new CustomEvent("choose", { bubbles: true, detail: on.about }));
    }
  });
  day.addEventListener("click", (event) => {
    const on = event.target.closest(".item");
    if (on) on.dispatchEvent(new CustomEvent("choose", { bubbles: true, detail: on.about }));
  });
}

/** The legend's picture of a phase. */
export const swatch = (phase, phases) =>
  s("svg", { class: "icon", viewBox: "0 0 14 14", "aria-hidden": "true" },
    s("rect", { class: `band ${colour(phase, phases)}`, x: 1, y: 1, width: 12, height: 12, rx: 2 }));

export { icon };
