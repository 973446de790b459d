/** Columns of the table of runs: which there are, how they are written in a URL, what is in their cells, and the dialog that picks them. */

import { fill, h, icon, iconButton } from "../dom.js";
import { count, duration, number, oneLine, when } from "../format.js";
import { link } from "../router.js";
import { dialog } from "./dialog.js";

/**
 * @typedef {import("./run_list.js").Run} Run
 * @typedef {"last" | "min" | "max" | "best"} Pick which of a metric's values
 * @typedef {{id: string, pick: Pick, width: number}} Chosen
 * @typedef {{metrics: {key: string, runs: number}[], params: {key: string, runs: number}[], tags: {key: string, runs: number}[]}} Keys
 */

/** @type {Record<string, {label: string, width: number, order?: string, align?: "right", cell: (run: Run, names: Map<string, string>) => import("../dom.js").Child, value: (run: Run) => string | number}>} */
const ATTRIBUTES = {
  run_name: { label: "Run", width: 230, order: "attributes.run_name", value: (run) => run.name, cell: (run) => h("a", { href: link("experiments", run.experiment, "runs", run.id), tabindex: "-1", title: run.name }, oneLine(run.name)) },
  status: { label: "Status", width: 105, order: "attributes.status", value: (run) => run.status, cell: (run) => status(run.status) },
  start_time: { label: "Started", width: 125, order: "attributes.start_time", value: (run) => run.start, cell: (run) => when(run.start) },
  end_time: { label: "Ended", width: 125, order: "attributes.end_time", value: (run) => run.end, cell: (run) => when(run.end) },
  duration: { label: "Duration", width: 105, align: "right", value: lasted, cell: (run) => h("span", { title: run.end ? `${(run.end - run.start) / 1000} s` : "" }, run.start ? duration(lasted(run)) : "") },
  user: { label: "User", width: 90, order: "tags.`mlflow.user`", value: (run) => run.user, cell: (run) => text(run.user) },
  source: { label: "Source", width: 130, order: "tags.`mlflow.source.name`", value: (run) => run.tags.get("mlflow.source.name") || "", cell: source },
  dataset: { label: "Dataset", width: 140, value: (run) => run.datasets[0]?.name || "", cell: (run) => h("span", { class: "chips" }, run.datasets.map((each) => h("span", { class: "chip", title: `${each.name}, digest ${each.digest}${each.context ? `, for ${each.context}` : ""}` }, oneLine(each.name, 40)))) },
  tags: { label: "Tags", width: 180, value: (run) => ownTags(run).join(), cell: (run) => h("span", { class: "chips" }, ownTags(run).map(([key, value]) => h("span", { class: "chip", title: `${key}: ${value}` }, oneLine(`${key}: ${value}`, 40)))) },
  experiment: { label: "Experiment", width: 150, value: (run) => Number(run.experiment), cell: (run, names) => text(names.get(run.experiment) || run.experiment) },
  note: { label: "Note", width: 200, order: "tags.`mlflow.note.content`", value: (run) => run.tags.get("mlflow.note.content") || "", cell: (run) => text(run.tags.get("mlflow.note.content") || "") },
  run_id: { label: "Run id", width: 150, order: "attributes.run_id", value: (run) => run.id, cell: (run) => h("code", {}, run.id) },
};
export const NAME = "attributes.run_name";
const WIDE = { metrics: 115, params: 110, tags: 120 };
const LOWER = /(^|[^a-z])(loss|error|err|mae|mse|rmse|mape|nll|perplexity|ppl|wer|cer|fid|latency|time|duration|regret|divergence|kl|fpr|fnr)([^a-z]|$)/i;

/** Whether less is better, as far as a metric's name tells. */
export function lowerIsBetter(/** @type {string} */ key) { return LOWER.test(key); }

function lasted(/** @type {Run} */ run) {
  return run.end ? run.end - run.start : run.status === "RUNNING" && run.start ? Date.now() - run.start : NaN;
}

function text(/** @type {string} */ words) { return words ? h("span", { title: words.slice(0, 1000) }, oneLine(words)) : ""; }

/** @returns {[string, string][]} */
function ownTags(/** @type {Run} */ run) { return [...run.tags].filter(([key]) => !key.startsWith("mlflow.")); }

/** A run's status with its colour. */
export function status(/** @type {string} */ name) {
  return h("span", { class: `status ${name}` }, name ? name[0] + name.slice(1).toLowerCase() : "");
}

function source(/** @type {Run} */ run) {
  const name = run.tags.get("mlflow.source.name") || "", commit = run.tags.get("mlflow.source.git.commit") || "";
  return name ? h("span", { title: commit ? `${name}, commit ${commit}` : name }, oneLine(name.split("/").pop() || name, 60), commit && h("small", {}, ` ${commit.slice(0, 7)}`)) : "";
}

/** What the text of a column in a URL means: `metrics.acc`, `max@metrics.acc`, `:200@params.lr`. @returns {Chosen | null} */
export function parseColumn(/** @type {string} */ words) {
  const found = /^(?:(min|max|best)?(?::(\d{1,4}))?@)?((attributes|metrics|params|tags)\.([^]+))$/.exec(words);
  if (!found || (found[4] === "attributes" && !Object.hasOwn(ATTRIBUTES, found[5]))) return null;
  return { id: found[3], pick: /** @type {Pick} */ (found[1] || "last"), width: Number(found[2]) || standardWidth(found[3]) };
}

export function writeColumn(/** @type {Chosen} */ { id, pick, width }) {
  const before = `${pick === "last" ? "" : pick}${width === standardWidth(id) ? "" : `:${width}`}`;
  return before ? `${before}@${id}` : id;
}

function standardWidth(/** @type {string} */ id) {
  const [kind, key] = split(id);
  return kind === "attributes" ? ATTRIBUTES[key].width : WIDE[/** @type {"metrics"} */ (kind)];
}

/** @returns {[string, string]} */
export function split(/** @type {string} */ id) {
  const at = id.indexOf(".");
  return [id.slice(0, at), id.slice(at + 1)];
}

/** A column that nobody has changed. @returns {Chosen} */
export function column(/** @type {string} */ id) { return { id, pick: "last", width: standardWidth(id) }; }

/** What is shown until somebody chooses: what tells these runs apart. @param {Run[]} runs @param {boolean} several experiments */
export function usualColumns(runs, several) {
  /** @type {Map<string, number>} */ const metrics = new Map();
  /** @type {Map<string, Set<string>>} */ const params = new Map();
  for (const run of runs.slice(0, 100)) {
    for (const key of run.metrics.keys()) if (!key.startsWith("system/")) metrics.set(key, (metrics.get(key) || 0) + 1);
    for (const [key, value] of run.params) params.set(key, (params.get(key) || new Set()).add(value));
  }
  const often = [...metrics].sort((a, b) => b[1] - a[1]).slice(0, 5).map(([key]) => `metrics.${key}`);
  const telling = [...params].sort((a, b) => Number(b[1].size > 1) - Number(a[1].size > 1)).slice(0, 5).map(([key]) => `params.${key}`);
  const some = (/** @type {(run: Run) => unknown} */ test) => runs.some(test);
  return [NAME, "attributes.status", "attributes.start_time", "attributes.duration", ...(several ? ["attributes.experiment"] : []), ...often, ...telling,
    ...(some((run) => run.tags.has("mlflow.source.name")) ? ["attributes.source"] : []), ...(some((run) => run.datasets.length) ? ["attributes.dataset"] : []), ...(some((run) => ownTags(run).length) ? ["attributes.tags"] : [])].map(column);
}

/** Which of least and greatest a column shows. @returns {"last" | "min" | "max"} */
export function picked(/** @type {Chosen} */ { id, pick }) {
  return pick === "best" ? (lowerIsBetter(split(id)[1]) ? "min" : "max") : pick;
}

/** What a column holds of a run, to sort by; undefined for nothing. @returns {string | number | undefined} */
export function valueOf(/** @type {Chosen} */ chosen, /** @type {Run} */ run) {
  const [kind, key] = split(chosen.id);
  if (kind === "attributes") return ATTRIBUTES[key].value(run);
  if (kind === "params") return run.params.get(key);
  if (kind === "tags") return run.tags.get(key);
  const which = picked(chosen);
  const last = run.metrics.get(key);
  return which === "last" || last === undefined ? last === undefined ? undefined : Number(last) : run.summary.get(key)?.[which];
}

/** How the server sorts by a column; null where it cannot. */
export function orderOf(/** @type {Chosen} */ chosen) {
  const [kind, key] = split(chosen.id);
  if (kind === "attributes") return ATTRIBUTES[key].order || null;
  return picked(chosen) === "last" ? `${kind}.${quoted(key)}` : null;
}

/** A key as the search grammar wants it. */
export function quoted(/** @type {string} */ key) {
  if (/^[A-Za-z_]\w*$/.test(key)) return key;
  return key.includes("`") ? `"${key}"` : `\`${key}\``;
}

/** @param {Chosen} chosen @param {Map<string, string>} names of experiments @returns {import("./table.js").Column<Run>} */
export function tableColumn(chosen, names) {
  const [kind, key] = split(chosen.id);
  const base = { id: chosen.id, width: chosen.width, sortable: true };
  if (kind === "attributes") {
    const { label, align, cell } = ATTRIBUTES[key];
    return { ...base, label, align, fixed: chosen.id === NAME && innerWidth > 640, cell: (run) => cell(run, names) };
  }
  if (kind !== "metrics") return { ...base, label: key, cell: (run) => text((kind === "params" ? run.params : run.tags).get(key) || "") };
  return {
    ...base, label: key, align: "right", note: chosen.pick === "last" ? "" : chosen.pick,
    cell: (run) => {
      const value = valueOf(chosen, run);
      return value === undefined ? (run.metrics.has(key) ? h("span", { class: "muted" }, "…") : "") : h("span", { title: String(value) }, number(value));
    },
  };
}

const MOST_SHOWN = 150;

/**
 * The dialog that picks columns. `change` is called with each new choice.
 * @param {Chosen[]} start @param {Keys} keys @param {(chosen: Chosen[]) => void} change @param {() => Chosen[]} usual
 */
export function pickColumns(start, keys, change, usual) {
  let chosen = start;
  const search = h("input", { type: "search", placeholder: "Find a column", "aria-label": "Find a column", autofocus: true });
  const there = h("div", { class: "pick-list" }), mine = h("ol", { class: "pick-mine" });
  const set = (/** @type {Chosen[]} */ next) => {
    chosen = next;
    change(chosen);
    draw();
  };
  const draw = () => {
    const words = search.value.toLowerCase();
    const groups = /** @type {[string, string, string[]][]} */ ([["About the run", "attributes", Object.keys(ATTRIBUTES)], ["Metrics", "metrics", keys.metrics.map((each) => each.key)], ["Params", "params", keys.params.map((each) => each.key)], ["Tags", "tags", keys.tags.map((each) => each.key)]]);
    fill(there, groups.map(([label, kind, all]) => {
      const found = all.filter((key) => (kind === "attributes" ? ATTRIBUTES[key].label : key).toLowerCase().includes(words));
      return found.length > 0 && h("fieldset", {}, h("legend", {}, label, h("small", {}, ` ${count(found.length)}`)), found.slice(0, MOST_SHOWN).map((key) => {
        const id = `${kind}.${key}`;
        return h("label", { title: key }, h("input", { type: "checkbox", checked: chosen.some((each) => each.id === id), disabled: id === NAME, onchange: (/** @type {Event} */ event) => set(/** @type {HTMLInputElement} */ (event.target).checked ? [...chosen, column(id)] : chosen.filter((each) => each.id !== id)) }), " ", kind === "attributes" ? ATTRIBUTES[key].label : oneLine(key, 80));
      }), found.length > MOST_SHOWN && h("small", {}, `${count(found.length - MOST_SHOWN)} more; type to find them.`));
    }));
    fill(mine, chosen.filter((each) => each.id !== NAME).map((each, n, all) => {
      const [kind, key] = split(each.id), name = kind === "attributes" ? ATTRIBUTES[key].label : key;
      const swap = (/** @type {number} */ by) => {
        const next = chosen.slice(), at = next.indexOf(each);
        next.splice(at, 1);
        next.splice(at + by, 0, each);
        set(next);
        /** @type {HTMLElement | undefined} */ (mine.children[n + by]?.querySelectorAll("button")[by < 0 ? 0 : 1])?.focus();
      };
      return h("li", {}, h("span", { class: "cut", title: name }, name),
        kind === "metrics" && h("select", { "aria-label": `Which value of ${name}`, onchange: (/** @type {Event} */ event) => set(chosen.map((other) => other === each ? { ...each, pick: /** @type {Pick} */ (/** @type {HTMLSelectElement} */ (event.target).value) } : other)) },
          ["last", "min", "max", "best"].map((pick) => h("option", { value: pick, selected: pick === each.pick }, pick === "best" ? `best (${lowerIsBetter(key) ? "min" : "max"})` : pick))),
        h("button", { type: "button", class: "icon-button", "aria-label": `Move ${name} up`, disabled: n === 0, onclick: () => swap(-1) }, "↑"),
        h("button", { type: "button", class: "icon-button", "aria-label": `Move ${name} down`, disabled: n === all.length - 1, onclick: () => swap(1) }, "↓"),
        iconButton("close", `Leave out ${name}`, () => set(chosen.filter((other) => other !== each))));
    }));
  };
  search.addEventListener("input", draw);
  draw();
  return dialog("Columns", [h("div", { class: "picker" },
    h("div", {}, h("span", { class: "search" }, icon("search"), search), there),
    h("div", {}, h("div", { class: "bar" }, h("h3", {}, "Shown, from left to right"), h("span", { class: "grow" }), h("button", { type: "button", onclick: () => set(usual()) }, "Reset")), mine))], { wide: true });
}
