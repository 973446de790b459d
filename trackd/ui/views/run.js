/** One run: what it is, what was logged to it, its charts and its artifacts. */

import { address, changeVersion, get, onChange, post } from "../api.js";
import { fill, h, icon } from "../dom.js";
import { count, duration, exactTime, number, oneLine, size, when } from "../format.js";
import { asked, confirmed, copied, dialog, example, menu, say } from "../parts/dialog.js";
import { artifactTree } from "../parts/files.js";
import { NOTE_TAG, noteEditor } from "../parts/note.js";
import { runOf } from "../parts/run_list.js";
import { status } from "../parts/run_columns.js";
import { Table } from "../parts/table.js";
import { tagEditor } from "../parts/tags.js";
import { go, link, load } from "../router.js";

/** @typedef {import("../parts/run_list.js").Run} Run */

const TABS = { overview: "Overview", charts: "Charts", system: "System metrics", artifacts: "Artifacts" };
/** What MLflow's links call them. @type {Record<string, string>} */
const OTHERS = { "model-metrics": "charts", "system-metrics": "system", artifacts: "artifacts" };

/** @type {import("../router.js").Show} */
export async function showRun({ el, params, state, signal, title }) {
  const [kind, ...rest] = (params.rest || "").split("/");
  const wanted = state.get("tab") || OTHERS[kind] || "overview";
  const tab = Object.hasOwn(TABS, wanted) ? wanted : "overview";
  const fetched = async () => (await get("2.0/mlflow/runs/get", { run_id: params.run }, { signal })).run;
  const version = await changeVersion(signal);
  let raw = await fetched();
  let run = runOf(raw);
  const { experiment } = await get("2.0/mlflow/experiments/get", { experiment_id: run.experiment }, { signal });
  el.classList.add("scrolls");

  const heading = h("div", { class: "heading" }), body = h("div", { class: "fill" });
  const tabs = h("nav", { class: "tabs", "aria-label": "Parts of the run" });
  fill(el, heading, tabs, body);
  /** @type {((run: Run) => void)[]} */ const updates = [];

  const showHeading = () => {
    title(run.name);
    const active = run.stage === "active";
    fill(heading,
      h("nav", { class: "path", "aria-label": "Where this is" }, h("a", { href: "#/" }, "Experiments"), "›", h("a", { href: link("experiments", run.experiment) }, oneLine(experiment.name, 80)), "›"),
      h("div", { class: "bar" }, h("h1", {}, oneLine(run.name, 300)), status(run.status), !active && h("span", { class: "chip" }, "deleted"), h("span", { class: "grow" }),
        menu([icon("more")], () => active ? [
          { label: "Rename", act: () => asked("Rename run", "Name", run.name, "Rename", async (name) => { await post("2.0/mlflow/runs/update", { run_id: run.id, run_name: name }); await refresh(); }) },
          { label: "Compare with others", act: () => go("experiments", run.experiment) },
          ...(run.status === "RUNNING" ? [{ label: "Mark as killed", act: () => confirmed("Mark as killed", "The run is shown as ended. A program that still logs to it can go on.", "Mark as killed", async () => { await post("2.0/mlflow/runs/update", { run_id: run.id, status: "KILLED", end_time: Date.now() }); await refresh(); }) }] : []),
          { label: "Delete", danger: true, act: () => confirmed("Delete run", `“${oneLine(run.name, 80)}” goes to the trash, from where it can be restored.`, "Delete", async () => { await post("2.0/mlflow/runs/delete", { run_id: run.id }); say("The run is in the trash."); await refresh(); }) },
        ] : [{ label: "Restore", act: async () => { await post("2.0/mlflow/runs/restore", { run_id: run.id }); await refresh(); } }], { class: "icon-button", "aria-label": "What to do with this run" })));
  };
  const showTabs = () => {
    const system = [...run.metrics.keys()].some((key) => key.startsWith("system/"));
    fill(tabs, Object.entries(TABS).filter(([name]) => name !== "system" || system || tab === "system").map(([name, words]) => h("a", { href: link("experiments", run.experiment, "runs", run.id, name === "overview" ? {} : { tab: name }), "aria-current": name === tab ? "page" : null }, words)));
  };

  async function refresh() {
    raw = await fetched();
    const now = runOf(raw);
    const tagged = run.stage !== now.stage;
    run = now;
    if (tagged) dispatchEvent(new HashChangeEvent("hashchange"));
    showHeading();
    showTabs();
    for (const update of updates) update(run);
  }

  showHeading();
  showTabs();
  if (tab === "charts" || tab === "system") await showCharts();
  else if (tab === "artifacts") await showArtifacts();
  else await showOverview();
  onChange(refresh, signal, version);

  async function showCharts() {
    const keys = () => [...run.metrics.keys()].filter((key) => key.startsWith("system/"));
    if (!run.metrics.size) return fill(body, h("div", { class: "empty" }, h("h2", {}, "No metrics yet"), example(`mlflow.log_metric("loss", 0.25, step=1, run_id="${run.id}")`)));
    if (tab === "system") {
      const sheet = metricTable(run, keys, signal, () => keys());
      updates.push(sheet.update);
      fill(body, h("div", { class: "short" }, sheet.el));
    }
    const { metricCharts } = await load("parts/metric_charts.js");
    if (signal.aborted) return;
    const charts = metricCharts({ state, signal, ...(tab === "system" ? { only: (/** @type {string} */ key) => key.startsWith("system/") } : {}) });
    body.append(charts.el);
    await charts.update([run.id]);
  }

  async function showArtifacts() {
    const at = (/** @type {string} */ path) => ({ run_id: run.id, path });
    fill(body, await artifactTree({
      path: state.get("path") || (kind === "artifacts" ? rest.join("/") : ""), choose: (path) => state.set({ path, tab: "artifacts" }), signal,
      empty: () => h("div", { class: "empty" }, h("h2", {}, "No artifacts yet"), h("p", {}, "Files that a run logs are kept here:"), example(`import mlflow\nwith mlflow.start_run(run_id="${run.id}"):\n    mlflow.log_artifact("confusion_matrix.png")`)),
      source: {
        list: async (path) => (await get("2.0/mlflow/artifacts/list", path ? at(path) : { run_id: run.id }, { signal })).files || [],
        file: (path) => address("get-artifact", at(path)), frame: (path) => address("ajax-api/trackd/preview", at(path)),
        zip: (path) => address("ajax-api/trackd/artifacts/zip", path ? at(path) : { run_id: run.id }), load: (path) => `runs:/${run.id}/${path}`,
      },
    }));
  }

  async function showOverview() {
    const active = run.stage === "active";
    const note = noteEditor({
      text: run.tags.get(NOTE_TAG) || "", editable: active,
      read: async () => runOf(await fetched()).tags.get(NOTE_TAG) || "",
      write: (text) => post("2.0/mlflow/runs/set-tag", { run_id: run.id, key: NOTE_TAG, value: text }),
    });
    const tags = tagEditor({
      tags: new Map(run.tags), editable: active,
      put: (key, value) => post("2.0/mlflow/runs/set-tag", { run_id: run.id, key, value }), drop: (key) => post("2.0/mlflow/runs/delete-tag", { run_id: run.id, key }),
    });
    const facts = h("dl", { class: "about-run" }), metrics = metricTable(run, () => [...run.metrics.keys()].filter((key) => !key.startsWith("system/")), signal, (words) => [...run.metrics.keys()].filter((key) => words ? true : !key.startsWith("system/")));
    const pairs = paramTable(run);
    const used = h("div", { class: "fill-none" });
    fill(body, h("div", { class: "overview" },
      h("div", { class: "side" }, h("section", { class: "card" }, facts, h("h3", {}, "Tags"), tags.el), h("section", { class: "card" }, h("h3", {}, "Note"), note.el), used),
      h("div", { class: "sheets" }, h("section", { class: "card sheet" }, metrics.bar, metrics.el), h("section", { class: "card sheet" }, pairs.bar, pairs.el))));
    const children = h("span", { class: "chips" });
    const show = () => {
      fill(facts, [...factsOf(run, raw), ...(children.firstChild ? [["Nested runs", children]] : [])].map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]).flat());
      fill(used, inputsOf(raw, run));
    };
    show();
    updates.push(show, metrics.update, pairs.update, () => note.update(run.tags.get(NOTE_TAG) || ""), () => tags.update(new Map(run.tags)));
    await family(run, children, signal);
    show();
  }
}

/** @returns {[string, import("../dom.js").Child][]} */
function factsOf(/** @type {Run} */ run, /** @type {any} */ raw) {
  const tag = (/** @type {string} */ name) => run.tags.get(`mlflow.${name}`) || "";
  const parent = tag("parentRunId"), commit = tag("source.git.commit"), repository = tag("source.git.repoURL");
  /** @type {[string, import("../dom.js").Child | false][]} */ const all = [
    ["Run id", copied(run.id)],
    ["Started", when(run.start)],
    ["Duration", run.start ? h("span", { title: run.end ? `ended ${exactTime(run.end)}` : "" }, duration((run.end || Date.now()) - run.start), run.end ? "" : " so far") : false],
    ["User", run.user],
    ["Source", tag("source.name") && h("span", {}, tag("source.name"), tag("source.branch") ? ` on ${tag("source.branch")}` : "")],
    ["Commit", commit && h("span", {}, copied(commit, commit.slice(0, 12)), repository ? ` of ${oneLine(repository, 120)}` : "")],
    ["Parent", parent && h("a", { href: link("experiments", run.experiment, "runs", parent) }, parent)],
    ["Artifacts", copied(raw.info.artifact_uri)],
  ];
  return all.filter(/** @returns {each is [string, import("../dom.js").Child]} */ (each) => !!each[1]);
}

/** Put links to the runs below this one. @param {Run} run @param {HTMLElement} place @param {AbortSignal} signal */
async function family(run, place, signal) {
  const { runs = [] } = await post("2.0/mlflow/runs/search", { experiment_ids: [run.experiment], filter: `tags.\`mlflow.parentRunId\` = '${run.id}'`, max_results: 50 }, { signal });
  fill(place, runs.map((/** @type {any} */ { info }) => h("a", { class: "chip", href: link("experiments", info.experiment_id, "runs", info.run_id) }, oneLine(info.run_name || info.run_id, 40))));
}

/** Datasets and models that went in and came out. @param {any} raw @param {Run} run */
function inputsOf(raw, run) {
  const models = [...(raw.inputs?.model_inputs || []).map((/** @type {any} */ each) => ["in", each.model_id]), ...(raw.outputs?.model_outputs || []).map((/** @type {any} */ each) => [`out, step ${each.step || 0}`, each.model_id])];
  const data = raw.inputs?.dataset_inputs || [];
  if (!models.length && !data.length) return null;
  return h("section", { class: "card" }, h("h3", {}, "Inputs and outputs"),
    data.map((/** @type {any} */ { dataset, tags = [] }) => h("p", {}, h("button", { type: "button", class: "chip", onclick: () => showDataset(dataset) }, oneLine(dataset.name, 80)), " ", h("small", {}, `dataset, digest ${dataset.digest}`), tags.map((/** @type {any} */ tag) => tag.key === "mlflow.data.context" && h("small", {}, `, for ${tag.value}`)))),
    models.map(([way, id]) => h("p", {}, h("a", { class: "chip", href: link("experiments", run.experiment, "models", id) }, id), " ", h("small", {}, `model, ${way}`))));
}

function showDataset(/** @type {any} */ dataset) {
  const pretty = (/** @type {string | undefined} */ text) => {
    try {
      return JSON.stringify(JSON.parse(text || ""), null, 2);
    } catch {
      return text || "";
    }
  };
  dialog(dataset.name, [h("dl", { class: "about-run" }, h("dt", {}, "Digest"), h("dd", {}, copied(dataset.digest)), h("dt", {}, "Source"), h("dd", {}, dataset.source_type)),
    ["source", "schema", "profile"].map((part) => dataset[part] && [h("h3", {}, part[0].toUpperCase() + part.slice(1)), h("pre", { class: "text", tabindex: "0" }, pretty(dataset[part]))]).flat()].flat(), { wide: true });
}

/**
 * Metrics with their last, least and greatest values, to be searched.
 * @param {Run} first @param {() => string[]} all keys without a search @param {AbortSignal} signal @param {(words: string) => string[]} searched keys that a search looks through
 */
function metricTable(first, all, signal, searched) {
  let run = first;
  const search = h("input", { type: "search", placeholder: "Search metrics", "aria-label": "Search metrics", "data-search": true });
  const headline = h("small", {});
  let order = { id: "key", descending: false };
  /** @type {Map<string, any>} */ const known = new Map();
  /** @type {Table<string>} */
  const table = new Table({ label: "Metrics", key: (key) => key, sort: (id) => { order = { id, descending: order.id === id ? !order.descending : id !== "key" }; heads(); draw(); }, seen: (from, to) => summarise(table.rows.slice(from, to)) });
  signal.addEventListener("abort", () => table.destroy());
  const value = (/** @type {any} */ x, /** @type {string} */ words = "") => x === undefined ? "" : h("span", { title: `${x}${words}` }, number(x));
  const heads = () => {
    table.order = order;
    table.setColumns([
      { id: "key", label: "Metric", width: 220, sortable: true, cell: (key) => h("span", { title: key }, oneLine(key)) },
      { id: "last", label: "Last", width: 100, align: "right", sortable: true, cell: (key) => value(run.metrics.get(key)) },
      { id: "min", label: "Min", width: 100, align: "right", cell: (key) => value(known.get(key)?.min, ` at step ${known.get(key)?.min_step}`) },
      { id: "max", label: "Max", width: 100, align: "right", cell: (key) => value(known.get(key)?.max, ` at step ${known.get(key)?.max_step}`) },
      { id: "count", label: "Points", width: 80, align: "right", cell: (key) => known.has(key) ? count(known.get(key).count) : "" },
    ]);
  };
  const draw = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const keys = (words.length ? searched(search.value) : all()).filter((key) => words.every((word) => key.toLowerCase().includes(word)));
    keys.sort((a, b) => (order.id === "key" ? a.localeCompare(b, undefined, { numeric: true }) : Number(run.metrics.get(a)) - Number(run.metrics.get(b))) * (order.descending ? -1 : 1));
    fill(headline, words.length ? `${count(keys.length)} of ${count(run.metrics.size)}` : count(keys.length));
    table.setRows(keys);
  };
  /** @type {Set<string>} */ const asking = new Set();
  const summarise = async (/** @type {string[]} */ keys) => {
    const missing = keys.filter((key) => !known.has(key) && !asking.has(key));
    if (!missing.length) return;
    for (const key of missing) asking.add(key);
    const answer = await post("trackd/metrics/summary", { run_ids: [run.id], metric_keys: missing }, { signal });
    for (const key of missing) {
      asking.delete(key);
      known.set(key, {});
    }
    for (const each of answer.metrics || []) known.set(each.metric_key, each);
    table.forget(new Set(missing));
  };
  search.addEventListener("input", draw);
  heads();
  draw();
  return {
    el: table.el, bar: h("div", { class: "bar" }, h("h3", {}, "Metrics"), headline, h("span", { class: "grow" }), h("span", { class: "search" }, icon("search"), search)),
    update: (/** @type {Run} */ now) => {
      const before = run;
      run = now;
      const changed = [...now.metrics].filter(([key, last]) => before.metrics.get(key) !== last).map(([key]) => key);
      if (now.stamp === before.stamp) return;
      for (const key of changed) known.delete(key);
      if (now.metrics.size !== before.metrics.size) draw();
      table.forget(new Set(changed));
    },
  };
}

/** Params, to be searched. */
function paramTable(/** @type {Run} */ first) {
  let run = first;
  const search = h("input", { type: "search", placeholder: "Search params", "aria-label": "Search params" }), headline = h("small", {});
  /** @type {Table<[string, string]>} */ const table = new Table({ label: "Params", key: ([key]) => key });
  table.setColumns([{ id: "key", label: "Param", width: 220, cell: ([key]) => h("span", { title: key }, oneLine(key)) }, { id: "value", label: "Value", width: 320, cell: ([key, value]) => long(key, value) }]);
  const draw = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = [...run.params].filter(([key, value]) => words.every((word) => `${key}\n${value}`.toLowerCase().includes(word)));
    fill(headline, count(found.length));
    table.setRows(found);
  };
  search.addEventListener("input", draw);
  draw();
  return { el: table.el, bar: h("div", { class: "bar" }, h("h3", {}, "Params"), headline, h("span", { class: "grow" }), h("span", { class: "search" }, icon("search"), search)), update: (/** @type {Run} */ now) => { const changed = now.params.size !== run.params.size; run = now; if (changed) draw(); } };
}

/** A value that may be too long for a line: all of it in a dialog. */
function long(/** @type {string} */ key, /** @type {string} */ value) {
  if (value.length < 60 && !value.includes("\n")) return h("span", { title: value }, value);
  return h("button", { type: "button", class: "bare", title: "Show all of it", onclick: () => dialog(key, [h("pre", { class: "text", tabindex: "0" }, value), h("small", {}, size(value.length).replace(/B$/, "characters"))], { wide: true }) }, oneLine(value));
}
