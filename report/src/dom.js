// Elements made by name, with text as text. Nothing here, or in any other file, takes markup: the
// page forbids it to itself (require-trusted-types-for in the policy of page.html).

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** An HTML element; "on..." attributes are listeners, strings among the children are text. */
export const h = (tag, attributes = {}, ...children) =>
  fill(document.createElement(tag), attributes, children);

/** The same for SVG. */
export const s = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS(SVG, tag), attributes, children);

/** Text of the state in an element of its own: its direction cannot reach its neighbours. */
export const own = (text, attributes = {}) => h("bdi", attributes, visible(text));

const HIDDEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;
const JOINER = "\u200d"; // holds emoji together

/** Recorded text with what would not be seen made visible: controls, marks of direction. */
export function visible(text) {
  return String(text).replace(HIDDEN, (letter) => {
    if (letter === JOINER) return letter;
    if (/[\t\n\r]/.test(letter)) return " ";
    return `\u27e8U+${letter.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}\u27e9`;
  });
}

/** "1 session", "2 sessions". */
export const plural = (count, noun) =>
  `${count.toLocaleString("en")} ${count === 1 ? noun : noun.replace(/y$/, "ie")}${count === 1 ? "" : "s"}`;

/** What leads to the rest of a list; on paper, where nothing can be pressed, how much that is. */
export const rest = (step, left, noun, show) => h("button", { type: "button", class: "more", onclick: show },
  h("span", { class: "screen" }, `Show ${Math.min(left, step)} more of ${plural(left, noun)}`),
  h("span", { class: "paper" }, `and ${plural(left, `more ${noun}`)}`));

/** A text cut in its middle: both ends of a path or a command tell the most. */
export function middle(text, most) {
  const letters = Array.from(text);
  if (letters.length <= most) return text;
  const tail = Math.floor(most / 2);
  return `${letters.slice(0, most - tail - 1).join("")}\u2026${letters.slice(-tail).join("")}`;
}
