/** Notes in Markdown as nodes. What it does not know stays text; links lead to http, https, mailto and views only. */

import { h } from "../dom.js";

const INLINE = /(`+)([\s\S]+?)\1(?!`)|!?\[([^\]]*)\]\(\s*([^\s)]+)(?:\s+"[^"]*")?\s*\)|(\*\*|__)(?=\S)([\s\S]*?\S)\5|([*_])(?=[^\s*_])([\s\S]*?[^\s*_])\7(?!\w)|~~(?=\S)([\s\S]*?\S)~~|(https?:\/\/[^\s<>"')\]]+[^\s<>"')\].,;:!?])|\\([\\`*_[\](){}#+.!~>|-])/g;
const DEEPEST = 8;

/** @typedef {import("../dom.js").Child} Child */

/** @returns {Child[]} */
function inline(/** @type {string} */ text, depth = 0) {
  if (depth > DEEPEST) return [text];
  /** @type {Child[]} */ const out = [];
  let end = 0;
  for (const found of text.matchAll(INLINE)) {
    const [all, , code, words, target, , strong, , weak, struck, bare, literal] = found;
    // An underscore within a word is a letter.
    if (all[0] === "_" && /\w/.test(text[found.index - 1] || "")) continue;
    out.push(text.slice(end, found.index));
    end = found.index + all.length;
    if (code !== undefined) out.push(h("code", {}, code));
    else if (target !== undefined) out.push(anchor(target, all[0] === "!" ? [words || target] : inline(words, depth + 1)));
    else if (strong !== undefined) out.push(h("strong", {}, inline(strong, depth + 1)));
    else if (weak !== undefined) out.push(h("em", {}, inline(weak, depth + 1)));
    else if (struck !== undefined) out.push(h("s", {}, inline(struck, depth + 1)));
    else if (bare !== undefined) out.push(anchor(bare, [bare]));
    else out.push(literal);
  }
  out.push(text.slice(end));
  return out;
}

function anchor(/** @type {string} */ target, /** @type {Child[]} */ words) {
  if (!/^(https?:\/\/|mailto:|#\/)/i.test(target)) return h("span", { title: target }, words);
  return h("a", target.startsWith("#") ? { href: target } : { href: target, target: "_blank", rel: "noopener noreferrer" }, words);
}

/** @returns {HTMLElement} */
export function markdown(/** @type {string} */ text) {
  return h("div", { class: "markdown" }, blocks(text.slice(0, 200_000).replace(/\r\n?/g, "\n").split("\n"), 0));
}

/** @returns {Child[]} */
function blocks(/** @type {string[]} */ lines, /** @type {number} */ depth) {
  /** @type {Child[]} */ const out = [];
  for (let at = 0; at < lines.length;) {
    const line = lines[at];
    const take = (/** @type {(line: string) => boolean} */ test) => {
      const from = at;
      while (at < lines.length && test(lines[at])) at++;
      return lines.slice(from, at);
    };
    const fence = /^ {0,3}(```+|~~~+)/.exec(line), heading = /^(#{1,6})\s+(.*?)\s*#*$/.exec(line);
    if (!line.trim()) at++;
    else if (fence) {
      at++;
      const inside = take((each) => !each.trim().startsWith(fence[1]));
      at++;
      out.push(h("pre", { tabindex: "0" }, h("code", {}, inside.join("\n"))));
    } else if (heading) {
      at++;
      // The page has its own h1.
      out.push(h(/** @type {"h2"} */ (`h${Math.min(heading[1].length + 1, 6)}`), {}, inline(heading[2])));
    } else if (/^ {0,3}([-*_])(\s*\1){2,}\s*$/.test(line)) {
      at++;
      out.push(h("hr"));
    } else if (/^ {0,3}>/.test(line) && depth < DEEPEST) out.push(h("blockquote", {}, blocks(take((each) => /^ {0,3}>/.test(each)).map((each) => each.replace(/^ {0,3}> ?/, "")), depth + 1)));
    else if (BULLET.test(line) && depth < DEEPEST) out.push(list(take((each) => BULLET.test(each) || /^\s+\S/.test(each)), depth));
    else if (line.includes("|") && /^[\s|:-]*-[\s|:-]*$/.test(lines[at + 1] || "")) out.push(grid(take((each) => each.includes("|"))));
    else {
      const inside = take((each) => !!each.trim() && !/^ {0,3}(```|~~~|#{1,6}\s|>)/.test(each) && !BULLET.test(each));
      if (!inside.length) inside.push(lines[at++]);
      out.push(h("p", {}, inline(inside.join("\n"))));
    }
  }
  return out;
}

const BULLET = /^(\s{0,3})([-*+]|\d{1,9}[.)])\s+/;

function list(/** @type {string[]} */ lines, /** @type {number} */ depth) {
  /** @type {string[][]} */ const items = [];
  for (const line of lines) {
    const found = BULLET.exec(line);
    if (found) items.push([line.slice(found[0].length)]);
    else items[items.length - 1].push(line.replace(/^(\t| {1,4})/, ""));
  }
  return h(/\d/.test(lines[0].trim()[0]) ? "ol" : "ul", {}, items.map((item) => {
    const box = /^\[([ xX])\]\s+/.exec(item[0]);
    if (box) item[0] = item[0].slice(box[0].length);
    const [first, ...rest] = item;
    return h("li", {}, box && (box[1] === " " ? "☐ " : "☑ "), inline(first), rest.length > 0 && blocks(rest, depth + 1));
  }));
}

function grid(/** @type {string[]} */ lines) {
  const rows = lines.map((line) => line.trim().replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim()));
  return h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Table" }, h("table", { class: "plain-table" }, h("thead", {}, h("tr", {}, rows[0].map((cell) => h("th", {}, inline(cell))))), h("tbody", {}, rows.slice(2).map((row) => h("tr", {}, row.map((cell) => h("td", {}, inline(cell))))))));
}
