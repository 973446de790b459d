/** Two texts, line by line: what went, what came, what stayed. */

import { h } from "../dom.js";

const MOST_CELLS = 4_000_000;

/**
 * The shortest way from one list of lines to the other, as far as lists are not very long.
 * @param {string[]} a @param {string[]} b @returns {{sign: " " | "-" | "+", line: string}[]}
 */
export function changes(a, b) {
  let start = 0, end = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end++;
  const x = a.slice(start, a.length - end), y = b.slice(start, b.length - end);
  const same = (/** @type {string[]} */ lines) => lines.map((line) => ({ sign: /** @type {" "} */ (" "), line }));
  const gone = x.map((line) => ({ sign: /** @type {"-"} */ ("-"), line })), came = y.map((line) => ({ sign: /** @type {"+"} */ ("+"), line }));
  /** @type {{sign: " " | "-" | "+", line: string}[]} */ let middle = [...gone, ...came];
  if (x.length && y.length && x.length * y.length <= MOST_CELLS) {
    const wide = y.length + 1, common = new Uint16Array((x.length + 1) * wide);
    for (let i = x.length - 1; i >= 0; i--) for (let j = y.length - 1; j >= 0; j--) common[i * wide + j] = x[i] === y[j] ? common[(i + 1) * wide + j + 1] + 1 : Math.max(common[(i + 1) * wide + j], common[i * wide + j + 1]);
    middle = [];
    let i = 0, j = 0;
    while (i < x.length || j < y.length) {
      if (i < x.length && j < y.length && x[i] === y[j]) middle.push({ sign: " ", line: x[i] }), i++, j++;
      else if (j >= y.length || (i < x.length && common[(i + 1) * wide + j] >= common[i * wide + j + 1])) middle.push(gone[i++]);
      else middle.push(came[j++]);
    }
  }
  return [...same(a.slice(0, start)), ...middle, ...same(a.slice(a.length - end))];
}

/** @param {string} before @param {string} after @param {string} label */
export function difference(before, after, label) {
  const lines = changes(before.split("\n"), after.split("\n"));
  if (lines.every((each) => each.sign === " ")) return h("p", { class: "muted" }, "Both are the same.");
  const names = { " ": "", "-": "removed: ", "+": "added: " };
  return h("pre", { class: "text diff", tabindex: "0", "aria-label": label }, lines.map(({ sign, line }) => h("div", { class: { " ": "", "-": "gone", "+": "came" }[sign] }, h("span", { class: "hush" }, names[sign]), h("span", { class: "sign", "aria-hidden": "true" }, sign), line || " ")));
}
