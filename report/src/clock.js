// Times: recorded in UTC, shown as the reader's own or as UTC.

import { scaleTime, scaleUtc } from "d3-scale";
import { timeFormat, utcFormat } from "d3-time-format";

const FORMATS = {
  clock: "%H:%M",
  second: "%H:%M:%S",
  day: "%A, %-d %B %Y",
  short: "%-d %b",
  full: "%Y-%m-%d %H:%M",
  key: "%Y-%m-%d",
};

function formats(make) {
  const all = {};
  for (const [name, specifier] of Object.entries(FORMATS)) {
    const format = make(specifier);
    all[name] = (at) => format(new Date(at));
  }
  return all;
}

const LOCAL = {
  ...formats(timeFormat),
  scale: scaleTime,
  midnight: (at) => new Date(at).setHours(0, 0, 0, 0),
  next: (at) => {
    const date = new Date(at);
    return new Date(date.getFullYear(), date.getMonth(), date.getDate() + 1).getTime();
  },
};

const UTC = {
  ...formats(utcFormat),
  scale: scaleUtc,
  midnight: (at) => new Date(at).setUTCHours(0, 0, 0, 0),
  next: (at) => new Date(at).setUTCHours(24, 0, 0, 0),
};

let clock = LOCAL;

export const useUtc = (utc) => {
  clock = utc ? UTC : LOCAL;
};

export const time = new Proxy({}, { get: (_, name) => clock[name] });

/** The reader's time zone as its name or its distance from UTC. */
export const zone = () => Intl.DateTimeFormat().resolvedOptions().timeZone || "local time";

/** "2026-11-23 09:12 to 10:40": the day once, and one time where both are the same minute. */
export function period(from, to) {
  const [one, other] = [time.full(from), time.full(to)];
  if (one === other) return one;
  return `${one} to ${time.key(from) === time.key(to) ? time.clock(to) : other}`;
}

/** Milliseconds for people: "42 s", "7 min", "3 h 5 min". */
export function lasting(milliseconds) {
  const seconds = Math.round(milliseconds / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const rest = minutes % 60;
  return `${Math.floor(minutes / 60).toLocaleString("en")} h${rest ? ` ${rest} min` : ""}`;
}
