/** One artifact, shown as what it is: picture, sound, film, page, document, table, text, model. */

import { bytes } from "../api.js";
import { h } from "../dom.js";
import { count, number, oneLine, size } from "../format.js";
import { example } from "./dialog.js";
import { markdown } from "./markdown.js";
import { Table } from "./table.js";

/** @typedef {import("./files.js").Source} Source */

const MOST_TEXT = 1_000_000, MOST_COLOURED = 200_000;
const PICTURES = /\.(png|jpe?g|gif|webp|bmp|ico|avif)$/i, SOUNDS = /\.(mp3|wav|ogg|oga|flac|m4a|aac|opus)$/i, FILMS = /\.(mp4|webm|mov|ogv|m4v)$/i;
const CODE = /\.(py|js|mjs|ts|json|ya?ml|toml|cfg|ini|sh|r|R|sql|java|scala|c|cc|cpp|h|go|rs|jl|css|xml|html?|ipynb)$|(^|\/)(MLmodel|MLproject|Dockerfile)$/;

/**
 * @param {{path: string, name: string, file_size?: number}} file @param {Source} source @param {AbortSignal} signal
 * @returns {Promise<import("../dom.js").Child>}
 */
export async function preview({ path, name, file_size: length = 0 }, source, signal) {
  const url = source.file(path);
  if (PICTURES.test(name)) return picture(url, name);
  if (/\.svg$/i.test(name)) return picture(source.frame(path), name);
  if (SOUNDS.test(name)) return h("audio", { controls: true, src: url, "aria-label": name });
  if (FILMS.test(name)) return h("video", { controls: true, src: url, "aria-label": name, class: "picture" });
  if (/\.html?$/i.test(name)) return h("iframe", { class: "page", sandbox: "allow-scripts", referrerpolicy: "no-referrer", src: source.frame(path), title: name });
  if (/\.pdf$/i.test(name)) return h("iframe", { class: "page", referrerpolicy: "no-referrer", src: source.frame(path), title: name });
  if (/\.(parquet|pkl|pickle|pt|pth|ckpt|safetensors|onnx|h5|npy|npz|zip|gz|tar|joblib|bin|so|whl)$/i.test(name)) return binary(length);
  const data = await bytes(url, { signal, limit: MOST_TEXT });
  const text = decoded(data, length > data.length);
  if (text === null) return binary(length);
  const cut = length > data.length && h("p", { class: "muted" }, `The first ${size(data.length)} of ${size(length)}; download it for the rest.`);
  if (/\.(csv|tsv)$/i.test(name)) {
    const [head, ...rows] = separated(text, /\.tsv$/i.test(name) ? "\t" : ",");
    return [cut, head ? grid(head, rows) : h("p", { class: "muted" }, "The file is empty.")];
  }
  if (/\.json$/i.test(name) && !cut) return json(text, source);
  if (/\.(md|markdown)$/i.test(name)) return [cut, markdown(text)];
  if (name === "MLmodel") return [model(text, path, source), code(text)];
  if (!text) return h("p", { class: "muted" }, "The file is empty.");
  return [cut, CODE.test(name) ? code(text) : plain(text)];
}

function picture(/** @type {string} */ url, /** @type {string} */ name) {
  const facts = h("small", {});
  const shown = h("img", { class: "picture", src: url, alt: name, onload: () => facts.append(`${shown.naturalWidth} × ${shown.naturalHeight} pixels`), onerror: () => facts.append("The browser cannot show this picture; download it instead.") });
  return h("a", { href: url, target: "_blank", rel: "noopener" }, shown, h("br"), facts);
}

function binary(/** @type {number} */ length) {
  return h("p", { class: "muted" }, `This is no text (${size(length)}). Download it to look inside.`);
}

/** The text of bytes, or null if they are something else. */
function decoded(/** @type {Uint8Array} */ data, /** @type {boolean} */ cut) {
  if (data.subarray(0, 8000).includes(0)) return null;
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(data, { stream: cut });
  } catch {
    return null;
  }
}

function plain(/** @type {string} */ text) { return h("pre", { class: "text", tabindex: "0" }, text); }

const WORDS = "and as async await break case catch class const continue def del do elif else enum except export extends False false final finally for from func function global go if import in instanceof int interface is lambda let match new nil None nonlocal not null or package pass private public raise return select SELECT FROM WHERE self static struct super switch this throw true True try type typeof use var void while with yield".split(" ").join("|");
const PARTS = new RegExp(`("""[^]*?(?:"""|$)|'''[^]*?(?:'''|$)|"(?:\\\\.|[^"\\\\\\n])*"?|'(?:\\\\.|[^'\\\\\\n])*'?)|((?:#|//).*|/\\*[^]*?(?:\\*/|$))|\\b(${WORDS})\\b|\\b(\\d[\\d_.]*(?:e[+-]?\\d+)?)\\b`, "g");
const LOOKS = ["", "string", "comment", "word", "digit"];

/** Text with strings, comments, words of programming languages and numbers told apart. */
function code(/** @type {string} */ text) {
  const pre = h("pre", { class: "text code", tabindex: "0" });
  if (text.length > MOST_COLOURED) {
    pre.append(text);
    return pre;
  }
  let end = 0;
  for (const found of text.matchAll(PARTS)) {
    pre.append(text.slice(end, found.index), h("span", { class: LOOKS[found.findIndex((each, n) => n && each !== undefined)] }, found[0]));
    end = found.index + found[0].length;
  }
  pre.append(text.slice(end));
  return pre;
}

/** JSON in lines; what log_table and pandas write as a table. @param {string} text @param {Source} source */
function json(text, source) {
  let found;
  try {
    found = JSON.parse(text);
  } catch (error) {
    return [h("p", { class: "wrong" }, `This is not JSON: ${/** @type {Error} */ (error).message}`), plain(text)];
  }
  if (found && Array.isArray(found.columns) && Array.isArray(found.data) && found.data.every(Array.isArray)) return grid(found.columns.map(String), found.data, source);
  // Spaces and line ends are ours, digits are the file's: 1.0 and large integers stay as they are.
  return code(/\n/.test(text.trim()) ? text : spaced(text));
}

function spaced(/** @type {string} */ text) {
  let depth = 0;
  return text.replace(/"(?:\\.|[^"\\])*"|[{[]\s*[}\]]|[{}[\],:]|\s+/g, (part) => {
    if (/^\s/.test(part)) return "";
    if (part === "{" || part === "[") return `${part}\n${"  ".repeat(++depth)}`;
    if (part === "}" || part === "]") return `\n${"  ".repeat(Math.max(0, --depth))}${part}`;
    if (part === ",") return `,\n${"  ".repeat(depth)}`;
    return part === ":" ? ": " : part;
  });
}

/** Rows of text with separators (RFC 4180). @returns {string[][]} */
export function separated(/** @type {string} */ text, separator = ",") {
  /** @type {string[][]} */ const rows = [];
  /** @type {string[]} */ let row = [];
  const cell = new RegExp(`(?:"((?:[^"]|"")*)"?|([^${separator}\\r\\n]*))(${separator}|\\r?\\n|\\r|$)`, "y");
  const body = text.replace(/^\uFEFF/, "");
  for (let at = 0; at < body.length;) {
    cell.lastIndex = at;
    const found = cell.exec(body);
    // Something stands behind a closing quote: taken as it is, up to the next separator.
    const [, inQuotes, bare, end] = found || [null, undefined, body.slice(at, at + 1), ""];
    at = found ? cell.lastIndex : at + 1;
    row.push(inQuotes !== undefined ? inQuotes.replaceAll('""', '"') : bare || "");
    if (end !== separator) {
      if (found) rows.push(row), row = [];
    } else if (at >= body.length) row.push("");
  }
  if (row.length) rows.push(row);
  return rows;
}

/** A table of any size. @param {string[]} head @param {any[][]} rows @param {Source} [source] where pictures in its cells are */
function grid(head, rows, source) {
  /** @typedef {{n: number, cells: any[]}} Row */
  /** @type {Table<Row>} */ const table = new Table({ label: "Table", key: (row) => String(row.n) });
  const numeric = head.map((_, n) => rows.slice(0, 50).every((row) => row[n] === "" || row[n] === null || row[n] === undefined || (typeof row[n] !== "object" && !Number.isNaN(Number(row[n])))));
  table.setColumns([{ id: "#", label: "#", width: 60, align: "right", cell: (row) => h("small", {}, count(row.n + 1)) }, ...head.slice(0, 200).map((label, n) => ({
    id: String(n), label, width: Math.min(360, Math.max(90, 24 + 8 * Math.max(label.length, ...rows.slice(0, 30).map((row) => shownCell(row[n]).length)))), ...(numeric[n] ? { align: /** @type {"right"} */ ("right") } : {}),
    cell: (/** @type {Row} */ row) => {
      const value = row.cells[n];
      if (value && typeof value === "object" && value.type === "image" && source) return h("a", { href: source.file(value.filepath), target: "_blank" }, h("img", { class: "thumb", src: source.file(value.filepath), alt: value.filepath }));
      return h("span", { title: shownCell(value).slice(0, 6000) }, numeric[n] && value !== "" && value !== null && typeof value === "number" ? number(value) : oneLine(shownCell(value)));
    },
  }))]);
  table.setRows(rows.map((cells, n) => ({ n, cells })));
  return [h("p", { class: "muted" }, `${count(rows.length)} rows, ${count(head.length)} columns`), table.el];
}

function shownCell(/** @type {any} */ value) {
  return value === null || value === undefined ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** What one wants of a model: how to load it, and its signature. @param {string} text @param {string} path @param {Source} source */
function model(text, path, source) {
  const flavors = [...(/^flavors:\n((?:[ ]+.*\n?)*)/m.exec(text)?.[1] || "").matchAll(/^ {2}(\w+):/gm)].map((each) => each[1]);
  const where = source.load?.(path.split("/").slice(0, -1).join("/"));
  return [h("div", { class: "facts" }, h("span", {}, "Flavors "), flavors.map((each) => h("span", { class: "chip" }, each))),
    where ? example(`import mlflow\nmodel = mlflow.pyfunc.load_model("${where}")`) : null, signature(text)].filter((each) => each !== null);
}

/** Inputs and outputs of a model as tables; they are JSON in the YAML. */
function signature(/** @type {string} */ text) {
  /** @type {HTMLElement[]} */ const parts = [];
  for (const kind of ["inputs", "outputs", "params"]) {
    const found = new RegExp(`^ {2}${kind}: '((?:[^']|'')*)'`, "m").exec(text);
    if (!found) continue;
    try {
      const fields = JSON.parse(found[1].replaceAll("''", "'").replace(/\n\s+/g, " "));
      parts.push(h("div", {}, h("h3", {}, kind[0].toUpperCase() + kind.slice(1)), h("table", { class: "plain-table" }, h("tbody", {}, fields.slice(0, 200).map((/** @type {any} */ field) => h("tr", {}, h("td", {}, field.name ?? "–"), h("td", { class: "muted" }, field["tensor-spec"] ? `${field["tensor-spec"].dtype} ${JSON.stringify(field["tensor-spec"].shape)}` : shownCell(field.type)), h("td", { class: "muted" }, field.required === false ? "optional" : "")))))));
    } catch {
      // A signature of another form stands in the text below.
      continue;
    }
  }
  return parts.length ? h("div", { class: "columns" }, parts) : null;
}
