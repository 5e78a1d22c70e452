// The days, each with its sessions on one axis.

import { arrows, axis, row, scaleOver, tips } from "./chart.js";
import { lasting, time } from "./clock.js";
import { details } from "./details.js";
import { h, own, plural } from "./dom.js";
import { days, stretches } from "./model.js";

const GAP = 40 * 60000; // a longer time without anything is drawn short
const LABELS = 240; // pixels beside the charts, on a wide page
const PAPER = { width: 690, labels: 150 }; // A4 and Letter, within their margins

/** The state of a session in a word or two, where it is worth one. */
const CONDITIONS = { crashed: "crashed", alive: "still running", cleared: "cleared" };

export class Timeline {
  /** `root`: the section; `data`: the model. */
  constructor(root, data) {
    this.root = root;
    this.data = data;
    this.open = new Map(); // "<day> <session>" -> what of it is unfolded: name -> whether
    this.paper = false; // drawn for a printer
    tips(root, data);
    root.addEventListener("choose", (event) => this.choose(event));
  }

  /** Draw the sessions that fit, as `context` says. */
  draw(sessions, context) {
    this.context = { ...context, phases: this.data.phases };
    const all = this.paper ? PAPER.width : this.root.clientWidth;
    const labels = this.paper ? PAPER.labels : all >= 720 ? LABELS : 0;
    const width = Math.max(280, all - labels);
    this.full = Math.max(280, all - (this.paper ? 0 : labels ? 32 : 20)); // less the padding
    const title = h("h2", { id: "timeline-title" }, "Timeline");
    const help = h("p", { class: "hint" },
      "Open a session to read what happened in it. In a chart, the arrow keys go from one phase or mark ",
      "to the next, Enter opens it. Times without work are drawn short (//).");
    const found = days(sessions).map((day) => this.day(day, width));
    this.root.replaceChildren(title, help, ...(found.length ? found
      : [h("p", { class: "nothing" }, "No session fits the search and the filters.")]));
  }

  day(day, width) {
    const scale = scaleOver(stretches(day.parts, GAP), width);
    const spent = day.parts.reduce((all, { bands }) =>
      all + bands.reduce((sum, [start, end]) => sum + end - start, 0), 0);
    const head = h("h3", { id: `day-${time.key(day.from)}`, tabindex: "-1" },
      time.day(day.from + 1), h("span", { class: "aside" },
        ` ${plural(day.parts.length, "session")}, ${lasting(spent)} of work`));
    const top = h("div", { class: "session top" }, h("div", { class: "label" }), axis(scale));
    const rows = day.parts
      .sort((one, other) => first(one) - first(other))
      .map((part) => this.session(part, scale, day));
    const section = h("section", { class: "day", "aria-labelledby": head.id }, head, top, ...rows);
    arrows(section);
    return section;
  }

  session(part, scale, day) {
    const { session } = part;
    const key = `${time.key(day.from)} ${session.id}`; // the same in another time zone
    const place = h("div", { class: "place", id: `d-${day.from}-${session.id}` });
    const button = h("button", {
      type: "button", class: "title", "aria-expanded": "false", "aria-controls": place.id,
      onclick: () => toggle(!this.open.has(key)),
    }, session.title ? own(session.title) : h("i", {}, "No request recorded"));
    const toggle = (open) => {
      if (!open) this.open.delete(key);
      else if (!this.open.has(key)) this.open.set(key, new Map());
      button.setAttribute("aria-expanded", String(open));
      place.replaceChildren(...(open ? [details(session, this.data, this.context, this.full,
        (id) => this.go(id), this.open.get(key))] : []));
    };
    const condition = CONDITIONS[session.condition];
    const about = h("div", { class: "about" },
      h("span", { class: "code" }, own(session.short)),
      ` ${session.started < day.from ? `since ${time.short(session.started)}` : time.clock(session.started)}`,
      condition ? [" · ", h("span", { class: session.condition }, condition)] : null,
      session.before ? [" · continues ", this.data.byId.has(session.before)
        ? h("button", { type: "button", class: "link", onclick: () => this.go(session.before),
          "aria-label": `continues session ${session.before.slice(0, 8)}, go there` },
        session.before.slice(0, 8)) : session.before.slice(0, 8)] : null);
    const label = h("div", { class: "label" }, button, about);
    const whole = h("div", { class: "session", "data-session": session.id },
      label, row(part, scale, this.context), place);
    if (this.open.has(key)) toggle(true);
    whole.toggle = toggle;
    return whole;
  }

  choose({ target, detail }) {
    const whole = target.closest(".session");
    if (!whole) return; // in a session's own chart
    whole.toggle(true);
    const stamp = new Date(detail.at).toISOString();
    const entry = [...whole.querySelectorAll(".log time")].find((each) => each.dateTime === stamp);
    const to = entry ? entry.closest("li") : whole.querySelector(".details");
    this.show(to);
  }

  /** Lead to a session's row. */
  go(id) {
    const whole = [...this.root.querySelectorAll(".session")]
      .find((each) => each.dataset.session === id);
    if (whole) this.show(whole.querySelector(".title"), whole);
    else this.root.dispatchEvent(new CustomEvent("hidden-session", { detail: id }));
  }

  show(element, flashed = element) {
    if (!element.matches("button")) element.setAttribute("tabindex", "-1");
    element.focus({ preventScroll: true });
    element.scrollIntoView({ block: "center" });
    flashed.classList.add("flash");
    setTimeout(() => flashed.classList.remove("flash"), 1600);
  }
}

const first = ({ session, bands, marks, from }) => Math.min(bands.length ? bands[0][0] : Infinity,
  marks.length ? marks[0].at : Infinity, session.started < from ? Infinity : session.started);
