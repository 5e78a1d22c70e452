// What a mark looks like. Shapes differ as well as colours.

import { symbol, symbolDiamond, symbolTimes, symbolTriangle } from "d3-shape";
import { s } from "./dom.js";

const RESTORE = "M-3.6,-2.6A4.6,4.6,0,1,1,-4.5,1.2M-3.9,-6.4V-2.3H0.2";
const INTERRUPTION = "M-4,-5H-1V5H-4ZM1,-5H4V5H1Z";

const SHAPES = {
  request: { d: symbol(symbolTriangle, 42)(), turn: 180 },
  checkpoint: { d: symbol(symbolDiamond, 52)() },
  restore: { d: RESTORE, line: true },
  interruption: { d: INTERRUPTION },
  failure: { d: symbol(symbolTimes, 60)(), line: true },
};

export const KINDS = Object.keys(SHAPES);

/** The shape of a kind of mark, centred; `faint`: automatic, or mended since. */
export function shape(kind, faint = false) {
  const { d, turn, line } = SHAPES[kind];
  const name = `mark ${kind}${line ? " line" : ""}${faint ? " faint" : ""}`;
  return s("path", { d, class: name, transform: turn ? `rotate(${turn})` : null });
}

/** The same as a picture of its own, for a legend or a list. */
export const icon = (kind, faint) =>
  s("svg", { class: "icon", viewBox: "-8 -8 16 16", "aria-hidden": "true" }, shape(kind, faint));
