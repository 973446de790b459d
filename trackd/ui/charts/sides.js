/** Params, tags and metrics of runs side by side, and only what differs if that is asked for. */

import { h } from "../dom.js";
import { formatDuration, formatNumber, formatTime } from "./scale.js";

/** Rows that are shown at first of each kind, and with each "more". */
const ROWS = 200;

export function sides(runs, only, search, link) {
  const about = ([["Run id", (run) => run.id], ["Status", (run) => run.status.toLowerCase()],
    ["Start", (run) => (run.start ? formatTime(run.start) : "")], ["Duration", (run) => (run.end && run.start ? formatDuration(run.end - run.start) : "")]]);
  const kinds = /** @type {any[]} */ ([
    ["Parameters", keys(runs, "params"), (run, key) => run.params.get(key)],
    ["Metrics", keys(runs, "metrics"), (run, key) => (run.metrics.has(key) ? formatNumber(run.metrics.get(key)) : undefined)],
    ["Tags", keys(runs, "tags").filter((key) => !key.startsWith("mlflow.")), (run, key) => run.tags.get(key)],
  ]);
  const body = h("tbody", {});
  const row = (name, values) => {
    const differs = new Set(values).size > 1;
    if (only && !differs) return null;
    return h("tr", { class: differs ? "differs" : "" }, h("th", { scope: "row", title: name }, name), ...values.map((value) => h("td", value === undefined ? { class: "missing" } : { title: value }, value === undefined ? "–" : value)));
  };
  for (const [name, value] of only ? [] : about) body.append(row(name, runs.map(value)) || "");
  for (const [title, all, value] of kinds) {
    const rows = all.filter((key) => key.toLowerCase().includes(search.toLowerCase())).map((key) => row(key, runs.map((run) => value(run, key)))).filter((one) => one !== null);
    body.append(h("tr", { class: "kind" }, h("th", { scope: "rowgroup", colspan: runs.length + 1 }, `${title} `, h("span", { class: "count" }, only ? `${rows.length} of ${all.length} differ` : String(rows.length)))));
    body.append(...rows.slice(0, ROWS));
    let at = ROWS;
    if (rows.length <= at) continue;
    const more = h("tr", { class: "more" }, h("td", { colspan: runs.length + 1 }, h("button", { type: "button", onclick: () => {
      more.before(...rows.slice(at, at + ROWS));
      at += ROWS;
      if (at >= rows.length) more.remove();
    } }, "Show more")));
    body.append(more);
  }
  return h("div", { class: "sides", tabindex: 0, role: "region", "aria-label": "Runs side by side" }, h("table", {},
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Run"), ...runs.map((run) => h("th", { scope: "col", title: run.name }, h("a", { href: link(run) }, run.name))))), body));
}

function keys(runs, kind) {
  return [...new Set(runs.flatMap((run) => [...run[kind].keys()]))].sort();
}

/** The same as rows for CSV. */
export function sidesTable(runs) {
  const rows = [];
  for (const kind of ["params", "metrics", "tags"]) {
    for (const key of keys(runs, kind)) rows.push([`${kind}.${key}`, ...runs.map((run) => run[kind].get(key) ?? "")]);
  }
  return { head: ["", ...runs.map((run) => run.name)], rows: [["run_id", ...runs.map((run) => run.id)], ...rows] };
}
