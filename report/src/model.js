// The data as the page asks for it. docs/report.md describes what the file holds.

import { sum } from "d3-array";
import { visible } from "./dom.js";
import { time } from "./clock.js";

const BUILT_IN = ["scout", "plan", "build", "test", "ship"];
const SPARE = 5; // colours for phases of a project's own

export const OUTCOMES = ["", "failed", "interrupted", "no result", "under way"];

export function read() {
  const data = JSON.parse(document.getElementById("data").textContent);
  const phases = data.phases.slice();
  const byId = new Map();
  for (const session of data.sessions) {
    byId.set(session.id, session);
    session.short = session.id.slice(0, 8);
    session.marks.push(
      ...session.requests.map((request) => ({ ...request, kind: "request" })),
    );
  }
  for (const checkpoint of data.checkpoints) {
    const session = byId.get(checkpoint.session);
    if (session) {
      const text = checkpoint.name;
      session.marks.push({ at: checkpoint.at, kind: "checkpoint", text, named: true });
    }
  }
  for (const session of data.sessions) {
    session.marks.sort((one, other) => one.at - other.at);
    session.title = session.requests.length ? visible(session.requests[0].text) : "";
    session.active = sum(session.bands, (band) => band[1] - band[0]);
    session.phases = new Map();
    for (const [start, end, phase] of session.bands) {
      if (phase === null) continue;
      if (!phases.includes(phase)) phases.push(phase);
      session.phases.set(phase, (session.phases.get(phase) || 0) + end - start);
    }
    session.agents.forEach((agent) => agent.bands.forEach(([, , phase]) => {
      if (phase !== null && !phases.includes(phase)) phases.push(phase);
    }));
    session.kinds = new Set(session.marks.map((mark) => mark.kind));
    session.bare = ![session.bands, session.marks, session.calls, session.earlier_calls, session.agents]
      .some((rows) => rows.length); // it only began
    session.before = session.continues && session.continues.session !== session.id
      ? session.continues.session : null;
    session.after = data.sessions
      .filter((other) => other.continues && other.continues.session === session.id)
      .filter((other) => other !== session)
      .map((other) => other.id);
  }
  return { ...data, phases, byId };
}

/** The class that has a phase's colour. */
export function colour(phase, phases) {
  if (phase === null) return "ph-none";
  const known = BUILT_IN.indexOf(phase);
  if (known >= 0) return `ph-${known}`;
  const others = phases.filter((name) => !BUILT_IN.includes(name));
  return `ph-${BUILT_IN.length + (others.indexOf(phase) % SPARE)}`;
}

/** What a session did on one day: its parts between two midnights; null when nothing. */
export function part(session, from, to) {
  const within = (rows) =>
    rows
      .filter((row) => row[0] < to && row[1] >= from)
      .map((row) => [Math.max(row[0], from), Math.min(row[1], to), ...row.slice(2)]);
  const bands = within(session.bands);
  const marks = session.marks.filter((mark) => mark.at >= from && mark.at < to);
  const calls = session.calls.filter((call) => call[0] < to && call[0] + call[1] >= from);
  const earlier = session.earlier_calls.filter((row) => row[0] >= from && row[0] < to);
  const agents = session.agents
    .map((agent) => ({ ...agent, bands: within(agent.bands) }))
    .filter((agent) => agent.bands.length);
  const began = session.bare && session.started >= from && session.started < to;
  if (!began && !bands.length && !marks.length && !calls.length && !earlier.length) return null;
  return { session, bands, marks, calls, earlier, agents, from, to };
}

/** The stretches of time in which anything of these parts happened, merged over short gaps. */
export function stretches(parts, gap) {
  const found = [];
  for (const { session, bands, marks, agents, calls, earlier } of parts) {
    if (session.bare) found.push([session.started, session.started]);
    for (const [at] of earlier) found.push([Math.max(at, session.started), Math.max(at, session.started)]);
    for (const [start, end] of bands) found.push([start, end]);
    for (const agent of agents) for (const [start, end] of agent.bands) found.push([start, end]);
    for (const { at } of marks) found.push([at, at]);
    for (const [start] of calls) found.push([start, start]);
  }
  found.sort((one, other) => one[0] - other[0]);
  const merged = [];
  for (const [start, end] of found) {
    const last = merged[merged.length - 1];
    if (last && start - last[1] <= gap) last[1] = Math.max(last[1], end);
    else merged.push([start, end]);
  }
  return merged;
}

/** Days, the newest first, each with what its sessions did. */
export function days(sessions) {
  const found = new Map();
  for (const session of sessions) {
    // By its stretches, not day by day: a clock that was not set yet began in 1970.
    const seen = new Set();
    for (const [start, end] of stretches([part(session, -Infinity, Infinity)], 0)) {
      for (let from = time.midnight(start); from <= end; from = time.next(from)) {
        if (seen.has(from)) continue;
        seen.add(from);
        const to = time.next(from);
        const about = part(session, from, to);
        if (!about) continue;
        if (!found.has(from)) found.set(from, { from, to, parts: [] });
        found.get(from).parts.push(about);
      }
    }
  }
  return [...found.values()].sort((one, other) => other.from - one.from);
}

/** The midnights from the first day to the last, at most `most`, the last. */
export function calendar(sessions, most) {
  const found = [];
  if (!sessions.length) return found;
  let day = time.midnight(Math.min(...sessions.map((session) => session.started)));
  const last = Math.max(...sessions.map((session) => session.last_active));
  while (day <= last) {
    found.push(day);
    day = time.next(day);
  }
  return found.slice(-most);
}

/** Search: whether every word of a query is in a text. Words are lower case. */
export const holds = (text, words) => words.every((word) => text.includes(word));

/** The numbers of the texts that hold all words. */
export function textsWith(data, words) {
  data.lower = data.lower || data.texts.map((text) => text.toLowerCase());
  const found = new Set();
  if (words.length) {
    data.lower.forEach((text, number) => holds(text, words) && found.add(number));
  }
  return found;
}

/** Everything of a session that can be searched, in lower case. */
export function haystack(data, session) {
  if (!session.haystack) {
    const numbers = new Set();
    for (const call of session.calls) numbers.add(call[3]).add(call[4]);
    session.haystack = [
      session.id,
      session.client || "",
      session.condition,
      ...session.marks.map((mark) => `${mark.tool || ""} ${mark.subject || ""} ${mark.text}`),
      ...session.agents.map((agent) => `${agent.type} ${agent.id}`),
      ...session.files.map(([file]) => data.files[file].path),
      ...[...numbers].map((number) => data.texts[number]),
    ].join("\n").toLowerCase();
  }
  return session.haystack;
}

export const markText = (mark) =>
  `${mark.tool || ""} ${mark.subject || ""} ${mark.text}`.toLowerCase();
