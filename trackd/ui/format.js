/** Numbers, times, durations and sizes as people write them; the exact value is for hovering. */

import { h } from "./dom.js";

/** Four significant digits. Takes what the API sends: numbers, and "NaN", "Infinity" as text. */
export function number(/** @type {any} */ value) {
  const x = Number(value);
  if (Number.isNaN(x)) return "NaN";
  // The API keeps infinite values as the largest double.
  if (Math.abs(x) >= Number.MAX_VALUE) return x > 0 ? "∞" : "−∞";
  if (x === 0) return "0";
  const size = Math.abs(x);
  if (Number.isInteger(x) && size < 1e9) return minus(x.toLocaleString("en-US"));
  if (size >= 1e9 || size < 1e-4) {
    const [digits, power] = x.toExponential(3).split("e");
    return minus(`${Number(digits)}e${power.replace("+", "")}`);
  }
  if (size >= 1000) return minus(x.toLocaleString("en-US", { maximumFractionDigits: 1 }));
  return minus(String(Number(x.toPrecision(4))));
}

function minus(/** @type {string} */ text) {
  return text.replace(/-/g, "−");
}

/** 12,345 */
export function count(/** @type {number} */ n) {
  return n.toLocaleString("en-US");
}

/** "1 run", "12,345 runs" */
export function counted(/** @type {number} */ n, /** @type {string} */ noun) {
  return `${count(n)} ${noun}${n === 1 ? "" : "s"}`;
}

/** Milliseconds: 820 ms, 12.3 s, 4 min 10 s, 2 h 5 min, 3 d 4 h. */
export function duration(/** @type {number} */ ms) {
  if (!(ms >= 0)) return "–";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const s = ms / 1000;
  if (s < 59.95) return `${Number(s.toFixed(1))} s`;
  const minutes = Math.floor(Math.round(s) / 60);
  if (minutes < 60) return two(minutes, "min", Math.round(s) % 60, "s");
  const hours = Math.floor(Math.round(s / 60) / 60);
  if (hours < 48) return two(hours, "h", Math.round(s / 60) % 60, "min");
  return two(Math.floor(hours / 24), "d", hours % 24, "h");
}

function two(/** @type {number} */ a, /** @type {string} */ one, /** @type {number} */ b, /** @type {string} */ other) {
  return b ? `${a} ${one} ${b} ${other}` : `${a} ${one}`;
}

/** Bytes: 0 B, 12 kB, 3.4 MB. */
export function size(/** @type {number} */ n) {
  if (n < 1000) return `${n} B`;
  const power = Math.min(Math.floor(Math.log10(n) / 3), 5);
  const x = n / 1000 ** power;
  return `${x < 99.5 ? Number(x.toPrecision(2)) : Math.round(x)} ${["", "k", "M", "G", "T", "P"][power]}B`;
}

/** A moment in the local time zone, to the second. */
export function exactTime(/** @type {number} */ ms) {
  return new Date(ms).toLocaleString(undefined, { dateStyle: "full", timeStyle: "long" });
}

/** Minutes ago, today's time, or the date; no more than one needs. */
export function shortTime(/** @type {number} */ ms, now = Date.now()) {
  const ago = now - ms;
  if (ago >= 0 && ago < 60_000) return "just now";
  if (ago >= 0 && ago < 3_600_000) return `${Math.floor(ago / 60_000)} min ago`;
  const date = new Date(ms), today = new Date(now);
  const clock = date.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", hour12: false });
  if (date.toDateString() === today.toDateString()) return `today ${clock}`;
  const day = date.toLocaleDateString("en-GB", { day: "numeric", month: "short", ...(date.getFullYear() === today.getFullYear() ? {} : { year: "numeric" }) });
  return `${day} ${clock}`;
}

/** A time element, or a dash for none. */
export function when(/** @type {number | undefined} */ ms) {
  if (!ms) return h("span", { class: "muted" }, "–");
  return h("time", { datetime: new Date(ms).toISOString(), title: exactTime(ms) }, shortTime(ms));
}

/** A metric's value; the exact one on hover. */
export function value(/** @type {any} */ x) {
  return h("span", { class: "number", title: String(x) }, number(x));
}

/** One line of text, cut; control characters and line breaks as signs. */
export function oneLine(/** @type {string} */ text, most = 200) {
  const line = (text.length > most ? text.slice(0, most) + "…" : text).replace(/\s*[\r\n]+\s*/g, " ↵ ");
  return line;
}
