/** The box for a filter in the search grammar: completes keys, operators and values, and shows where the server found a mistake. */

import { fill, h, icon, iconButton } from "../dom.js";
import { quoted } from "./run_columns.js";

/** @typedef {{insert: string, label: string, hint: string}} Suggestion */

const NAMES = ["run_name", "status", "start_time", "end_time", "user_id", "run_id", "artifact_uri"];
const TEXT = ["=", "!=", "LIKE", "ILIKE", "IN", "NOT IN"], NUMBERS = ["=", "!=", "<", "<=", ">", ">="];
const STATUS = ["RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"];
const PART = /\s*(?:('[^']*'?|"[^"]*"?)|([<>=!]+)|([(),])|((?:[^\s()<>=!,`"']|`[^`]*`?|"[^"]*"?)+))/y;

/**
 * What may stand where the caret is, and where the word begins that it completes.
 * @param {string} before the text up to the caret
 * @param {{metrics: string[], params: string[], tags: string[]}} keys
 * @param {(id: string) => string[]} values that a param or tag has
 * @returns {{from: number, all: Suggestion[]}}
 */
export function suggest(before, keys, values) {
  /** @type {{text: string, kind: string, at: number}[]} */ const parts = [];
  PART.lastIndex = 0;
  for (let found = PART.exec(before); found && found[0]; found = PART.exec(before)) {
    const text = found[0].trimStart();
    parts.push({ text, kind: found[1] ? "value" : found[2] ? "operator" : found[3] ? "sign" : "word", at: PART.lastIndex - text.length });
  }
  const last = parts[parts.length - 1];
  const writes = last && last.kind !== "sign" && last.kind !== "operator" && last.at + last.text.length === before.length && !(last.kind === "value" && /^(['"]).*\1$/.test(last.text) && last.text.length > 1);
  const word = writes ? last.text : "", from = writes ? last.at : before.length;
  const done = writes ? parts.slice(0, -1) : parts;
  const previous = done[done.length - 1]?.text.toUpperCase() ?? "";
  const matching = (/** @type {Suggestion[]} */ all) => all.filter((each) => each.label.toLowerCase().includes(word.toLowerCase()) && each.insert.trim() !== word).slice(0, 60);
  const plain = (/** @type {string[]} */ all, hint = "") => all.map((text) => ({ insert: `${text} `, label: text, hint }));
  if (["", "AND", "OR", "NOT", "("].includes(previous)) {
    const all = [...keys.metrics.map((key) => entry("metrics", key, "metric")), ...keys.params.map((key) => entry("params", key, "param")), ...NAMES.map((key) => entry("attributes", key, "attribute")), ...keys.tags.map((key) => entry("tags", key, "tag")), ...["name", "digest", "context"].map((key) => entry("dataset", key, "dataset"))];
    const found = matching(all);
    const name = word.replace(/['"`%\\]/g, "");
    if (name && !word.includes(".") && !/^(and|or|not)$/i.test(word)) found.push({ insert: `attributes.run_name ILIKE '%${name}%' `, label: `Name contains “${name}”`, hint: "" });
    return { from, all: found };
  }
  const back = done.filter((part) => part.kind === "word" && /^(metrics?|params?|parameters?|tags?|attributes?|attr|run|datasets?)\./.test(part.text));
  const key = back[back.length - 1];
  const beyond = key ? done.slice(done.indexOf(key) + 1).map((part) => part.text.toUpperCase()) : [];
  if (key && !beyond.length) {
    const isNumber = /^metrics?\./.test(key.text) || /\.(start|end)_time$/.test(key.text);
    return { from, all: matching(plain(isNumber ? NUMBERS : [...TEXT, ...(/^(params?|tags?)/.test(key.text) ? ["IS NULL", "IS NOT NULL"] : [])], "")) };
  }
  if (key && beyond.length === 1 && /^([=!]+|I?LIKE)$/.test(beyond[0])) {
    const known = /\.status$/.test(key.text) ? STATUS : values(key.text);
    return { from, all: matching(known.filter((text) => !text.includes("'") && text.length < 100).map((text) => ({ insert: `'${text}' `, label: `'${text}'`, hint: "" }))) };
  }
  if (key && beyond.length >= 2 && !/^([<>=!]+|I?LIKE|IN|,|\()$/.test(previous)) return { from, all: matching(plain(["AND", "OR"])) };
  return { from, all: [] };
}

/** @returns {Suggestion} */
function entry(/** @type {string} */ kind, /** @type {string} */ key, /** @type {string} */ hint) {
  const label = `${kind}.${quoted(key)}`;
  return { insert: `${label} `, label, hint };
}

/**
 * @param {{value: string, keys: () => {metrics: string[], params: string[], tags: string[]}, values: (id: string) => string[], apply: (text: string) => unknown}} options
 */
export function filterBox({ value, keys, values, apply }) {
  const list = h("ul", { role: "listbox", id: "completions", "aria-label": "Completions", hidden: true });
  const input = h("input", { type: "text", value, spellcheck: "false", autocomplete: "off", autocapitalize: "off", role: "combobox", "aria-expanded": "false", "aria-controls": "completions", "aria-autocomplete": "list",
    "aria-label": "Filter runs", placeholder: "Filter, such as metrics.acc > 0.9 AND params.model = 'cnn'", "data-search": true });
  const clear = iconButton("close", "No filter", () => { input.value = ""; close(); apply(""); input.focus(); }, { hidden: !value });
  const wrong = h("div", { class: "filter-wrong", role: "alert", id: "filter-wrong", hidden: true });
  const el = h("div", { class: "filter" }, h("div", { class: "search" }, icon("search"), input, clear, list), wrong);
  /** @type {Suggestion[]} */ let all = [];
  let from = 0, at = -1;

  const close = () => {
    list.hidden = true;
    at = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };
  const open = () => {
    const caret = input.selectionStart ?? input.value.length;
    ({ from, all } = suggest(input.value.slice(0, caret), keys(), values));
    at = -1;
    if (!all.length) return close();
    fill(list, all.map((each, n) => h("li", { role: "option", id: `completion-${n}`, "aria-selected": "false", onmousedown: (/** @type {Event} */ event) => { event.preventDefault(); take(n); } }, h("code", {}, each.label), h("small", {}, each.hint))));
    list.hidden = false;
    input.setAttribute("aria-expanded", "true");
  };
  const mark = (/** @type {number} */ n) => {
    if (at >= 0) list.children[at].setAttribute("aria-selected", "false");
    at = (n + all.length) % all.length;
    const chosen = list.children[at];
    chosen.setAttribute("aria-selected", "true");
    chosen.scrollIntoView({ block: "nearest" });
    input.setAttribute("aria-activedescendant", chosen.id);
  };
  const take = (/** @type {number} */ n) => {
    const caret = input.selectionStart ?? input.value.length;
    const { insert } = all[n];
    input.setRangeText(insert, from, caret, "end");
    open();
  };
  input.addEventListener("input", () => { clear.hidden = !input.value; open(); });
  input.addEventListener("focus", open);
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    const { key } = event;
    if (key === "Enter") {
      event.preventDefault();
      if (at >= 0) take(at);
      else {
        close();
        apply(input.value.trim());
      }
    } else if (key === "Escape" && !list.hidden) {
      event.stopPropagation();
      close();
    } else if (key === "Tab" && at >= 0) {
      event.preventDefault();
      take(at);
    } else if (key === "ArrowDown" || key === "ArrowUp") {
      event.preventDefault();
      if (list.hidden) open();
      if (all.length) mark(at < 0 && key === "ArrowUp" ? all.length - 1 : at + (key === "ArrowDown" ? 1 : -1));
    }
  });

  /** Show the server's words about the filter, with a mark where they say that it is wrong; nothing takes them away. */
  const complain = (/** @type {string | null} */ message) => {
    wrong.hidden = !message;
    input.setAttribute("aria-invalid", String(!!message));
    if (message) input.setAttribute("aria-describedby", "filter-wrong");
    else input.removeAttribute("aria-describedby");
    if (!message) return;
    const place = /at character (\d+)/.exec(message);
    const start = place ? [...input.value].slice(0, Number(place[1]) - 1).join("").length : -1;
    const rest = input.value.slice(Math.max(start, 0));
    const end = start + (/^(?:'[^']*'?|"[^"]*"?|[\w.`/]+|\S)/.exec(rest)?.[0].length || 0);
    fill(wrong, start >= 0 && h("code", {}, input.value.slice(0, start), h("mark", {}, input.value.slice(start, end) || "␣"), input.value.slice(end)), h("span", {}, message));
  };
  return { el, input, complain };
}
