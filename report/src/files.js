// Files by heat: how often each was changed and read, and on which days.

import { max } from "d3-array";
import { scaleThreshold } from "d3-scale";
import { time } from "./clock.js";
import { h, middle, own, rest, s, visible } from "./dom.js";
import { calendar, holds } from "./model.js";

const AT_ONCE = 40;
export const MOST_DAYS = 62;

const touches = (file) => file.changes + file.reads;

const ORDERS = {
  heat: ["most touched", (one, other) => touches(other) - touches(one)],
  changes: ["most changed", (one, other) => other.changes - one.changes],
  last: ["touched last", (one, other) => other.last - one.last],
  path: ["name", (one, other) => (one.path < other.path ? -1 : 1)],
};

export class Files {
  constructor(root, data) {
    this.root = root;
    this.data = data;
    this.order = "heat";
    this.shown = AT_ONCE;
  }

  /** How many files fit. */
  draw({ words }) {
    this.words = words;
    const fitting = this.data.files
      .filter((file) => holds(file.path.toLowerCase(), words))
      .sort(ORDERS[this.order][1]);
    const choice = h("select", { onchange: (event) => {
      this.order = event.target.value;
      this.draw({ words: this.words });
      this.root.querySelector("select").focus();
    } }, Object.entries(ORDERS).map(([name, [text]]) =>
      h("option", { value: name, selected: name === this.order }, text)));
    const more = fitting.length - this.shown;
    this.root.replaceChildren(
      h("div", { class: "head" }, h("h2", { id: "files-title" }, "Files"),
        this.data.files.length > 1 ? h("label", { class: "choice" }, "Order ", choice) : null),
      fitting.length ? this.table(fitting.slice(0, this.shown), fitting)
        : h("p", { class: "nothing" },
          this.data.files.length ? "No file fits the search." : "No file was changed or read."),
      more > 0 ? rest(5 * AT_ONCE, more, "file", () => {
        const from = this.shown;
        this.shown += 5 * AT_ONCE;
        this.draw({ words: this.words });
        this.root.querySelectorAll("tbody tr")[from].querySelector("button").focus();
      }) : "",
    );
    return fitting.length;
  }

  table(files, fitting) {
    const days = calendar(this.data.sessions, MOST_DAYS);
    const most = max(files, (file) => max(this.byDay(file).values())) || 1;
    const step = scaleThreshold([most / 8, most / 4, most / 2, (most * 3) / 4], [1, 2, 3, 4, 5]);
    const longest = max(fitting, touches) || 1;
    const heads = [["File"], ["Changed", "number"], ["Read", "number"], ["Touches by day", "days"],
      ["Last", "number"], ["Sessions", "number wide"]];
    return h("table", { class: "files" },
      h("caption", { class: "unseen" }, "Files, with how often they were changed and read, and when"),
      h("thead", {}, h("tr", {}, heads.map(([text, name]) =>
        h("th", { scope: "col", class: name }, text,
          name === "days" && days.length ? h("span", { class: "aside" },
            ` ${[...new Set([days[0], days[days.length - 1]])].map((day) => time.short(day + 1)).join(" – ")}`)
            : null)))),
      h("tbody", {}, files.map((file) => h("tr", {},
        h("th", { scope: "row" }, h("button", {
          type: "button", class: "link code", title: visible(file.path),
          "aria-label": `${visible(file.path)}: search for it`,
          onclick: () => this.root.dispatchEvent(new CustomEvent("look-for",
            { bubbles: true, detail: file.path })),
        }, own(middle(visible(file.path), 64))),
        file.outcome === "created" || file.outcome === "deleted"
          ? h("span", { class: "aside" }, ` ${file.outcome}`) : null,
        s("svg", { class: "length", viewBox: "0 0 100 3", preserveAspectRatio: "none", "aria-hidden": "true" },
          s("rect", { class: "bar", width: (100 * touches(file)) / longest, height: 3 }))),
        h("td", { class: "number" }, file.changes ? file.changes.toLocaleString("en") : "–"),
        h("td", { class: "number" }, file.reads ? file.reads.toLocaleString("en") : "–"),
        h("td", { class: "days" }, this.strip(file, days, step)),
        h("td", { class: "number" }, time.short(file.last)),
        h("td", { class: "number wide" }, file.sessions)))));
  }

  byDay(file) {
    const found = new Map();
    for (const [quarter, changed, read] of file.quarters) {
      const day = time.midnight(quarter * 900000);
      found.set(day, (found.get(day) || 0) + changed + read);
    }
    return found;
  }

  strip(file, days, step) {
    const counts = this.byDay(file);
    const cells = days.map((day, number) => {
      const count = counts.get(day) || 0;
      return s("rect", { class: `heat-${count ? step(count) : 0}`, x: number * 10, width: 9, height: 9, rx: 1.5 });
    });
    const said = days.filter((day) => counts.get(day))
      .map((day) => `${time.short(day + 1)}: ${counts.get(day)}`).join(", ");
    const svg = s("svg", { class: "strip", viewBox: `0 0 ${days.length * 10 - 1} 9`, role: "img",
      "aria-label": said || "none", "preserveAspectRatio": "none" }, s("title", {}, said), ...cells);
    svg.style.setProperty("max-width", `${days.length * 18}px`);
    return svg;
  }
}
