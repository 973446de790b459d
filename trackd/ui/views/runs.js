/** The runs of one or several experiments: filter, sort, columns, tree, selection, and their charts. */

import { address, changeVersion, get, onChange, post, trackingUri } from "../api.js";
import { debounce, fill, h, icon, iconButton } from "../dom.js";
import { count, counted, oneLine } from "../format.js";
import { asked, confirmed, dialog, example, menu, say } from "../parts/dialog.js";
import { filterBox } from "../parts/filter.js";
import { NOTE_TAG, noteEditor } from "../parts/note.js";
import { NAME, orderOf, parseColumn, pickColumns, picked, split, tableColumn, usualColumns, valueOf, writeColumn } from "../parts/run_columns.js";
import { RunList, asTree } from "../parts/run_list.js";
import { Table } from "../parts/table.js";
import { editTag, tagEditor } from "../parts/tags.js";
import { go, link, load } from "../router.js";

/** @typedef {import("../parts/run_columns.js").Chosen} Chosen */
/** @typedef {import("../parts/run_list.js").Run} Run */

/** Charts can show so many runs at once. */
const MOST_CHARTED = 100, MOST_EXPORTED = 150;

/** @type {import("../router.js").Show} */
export async function showRuns({ el, params, state, signal, title }) {
  const ids = [...new Set(params.ids.split(",").filter(Boolean))];
  const experimentsComing = Promise.all(ids.map(async (id) => (await get("2.0/mlflow/experiments/get", { experiment_id: id }, { signal })).experiment));
  // Whatever is wrong is said where it is waited for.
  experimentsComing.catch(() => {});
  const list = new RunList(ids, signal, () => redraw());
  const tab = state.get("tab") || "runs";
  let stage = state.get("stage") === "deleted" ? "DELETED_ONLY" : "ACTIVE_ONLY";
  let filter = state.get("filter") || "";
  const memory = `trackd.columns.${ids.join()}`;
  /** @type {Chosen[] | null} null for the usual ones */
  let columns = remembered();
  /** @type {{chosen: Chosen, descending: boolean} | null} */
  let order = orderFrom(state.get("sort"));
  let tree = state.get("tree") !== "no";
  const open = new Set(state.all("open"));
  /** @type {import("../parts/run_columns.js").Keys} */ let keys = { metrics: [], params: [], tags: [] };
  /** @type {Map<string, string>} */ const names = new Map();

  const complete = tab === "runs" || tab === "charts";
  if (!complete) state.set({ tab: null });

  /** @type {Table<Run>} */
  const table = new Table({
    label: "Runs", key: (run) => run.id, name: (run) => run.name, href: (run) => link("experiments", run.experiment, "runs", run.id),
    sort: (id) => sort(id), select: () => showChosen(), look: (run) => run.stage === "deleted" ? "deleted" : "",
    arrange: (order) => setColumns(order.map((id) => shown().find((each) => each.id === id)).filter((each) => each !== undefined)),
    resize: (id, width) => setColumns(shown().map((each) => each.id === id ? { ...each, width } : each)),
    depth: (run) => (tree ? run.depth : 0), expanded: (run) => (tree && run.children ? run.open : null), expand,
    seen: (first, last) => seen(first, last),
  });
  signal.addEventListener("abort", () => table.destroy());

  const heading = h("div", { class: "heading" });
  const headline = h("span", { class: "muted", role: "status" });
  const chosen = h("div", { class: "chosen", hidden: true });
  const body = h("div", { class: "fill" });
  const box = filterBox({
    value: filter, apply: (text) => { filter = text; state.set({ filter }, { push: true }); return start(true); },
    keys: () => ({ metrics: keys.metrics.map((each) => each.key), params: keys.params.map((each) => each.key), tags: keys.tags.map((each) => each.key) }),
    values: (id) => {
      const [kind, key] = split(id.replace(/[`"]/g, ""));
      return [...new Set(list.runs.slice(0, 2000).map((run) => (kind.startsWith("param") ? run.params : run.tags).get(key)).filter((each) => each !== undefined))].sort().slice(0, 50);
    },
  });
  const stages = h("select", { "aria-label": "Which runs" }, h("option", { value: "active" }, "Active"), h("option", { value: "deleted", selected: stage === "DELETED_ONLY" }, "Deleted"));
  const treeButton = iconButton("tree", "Nested runs below their parents", () => {
    tree = !tree;
    state.set({ tree: tree ? null : "no" });
    redraw();
  });
  const tabs = h("nav", { class: "tabs", "aria-label": "Parts of the experiment" });
  fill(el, heading, tabs, h("div", { class: "bar" }, box.el, stages, treeButton,
    h("button", { type: "button", onclick: pick }, icon("columns"), "Columns"),
    menu([icon("download"), "Export"], () => [{ label: "All of this search as CSV", act: () => save("csv", filter) }, { label: "All of this search as JSON", act: () => save("json", filter) }]), headline), chosen, body);
  showTabs();

  // Columns

  function remembered() {
    const own = state.all("col");
    let words = own;
    if (!own.length) try {
      words = JSON.parse(localStorage.getItem(memory) || "[]");
    } catch {
      words = [];
    }
    const found = words.map((each) => parseColumn(String(each))).filter((each) => each !== null);
    if (!found.length) return null;
    if (!own.length) state.set({ col: found.map(writeColumn) });
    return found.some((each) => each.id === NAME) ? found : [/** @type {Chosen} */ (parseColumn(NAME)), ...found];
  }

  /** @type {Chosen[]} */ let usual = [];
  function shown() { return columns || usual; }

  /** @param {Chosen[] | null} next */
  function setColumns(next) {
    columns = next;
    const words = (columns || []).map(writeColumn);
    localStorage.setItem(memory, JSON.stringify(words));
    state.set({ col: words });
    drawColumns();
    seen();
  }

  function drawColumns() {
    table.order = order && { id: order.chosen.id, descending: order.descending };
    table.setColumns(shown().map((each) => tableColumn(each, names)));
  }

  async function pick() {
    await loadKeys();
    await pickColumns(shown(), keys, (next) => setColumns(next), () => { setColumns(null); return shown(); });
  }

  async function loadKeys() { keys = await get("trackd/keys", { experiment_ids: ids }, { signal }); }

  // Order

  /** @returns {{chosen: Chosen, descending: boolean} | null} */
  function orderFrom(/** @type {string | null} */ words) {
    const found = words && parseColumn(words.replace(/^-/, ""));
    return found ? { chosen: found, descending: words.startsWith("-") } : null;
  }

  function sort(/** @type {string} */ id) {
    const column = shown().find((each) => each.id === id);
    if (!column) return;
    const same = order?.chosen.id === id && order.chosen.pick === column.pick;
    const [kind, key] = split(id);
    // First the direction that one most likely wants: high accuracies, low losses, latest runs, names from a.
    const first = kind === "metrics" ? picked({ ...column, pick: column.pick === "last" ? "best" : column.pick }) === "max" : kind === "attributes" && /time|duration/.test(key);
    order = !same ? { chosen: column, descending: first } : order?.descending === first ? { chosen: column, descending: !first } : null;
    state.set({ sort: order ? `${order.descending ? "-" : ""}${writeColumn({ ...order.chosen, width: column.width })}` : null }, { push: true });
    start(true);
  }

  /** Least and greatest values, durations and datasets are nothing that the server sorts by. */
  function sorted(/** @type {Run[]} */ runs) {
    if (!order || orderOf(order.chosen)) return runs;
    const { chosen: by, descending } = order;
    const values = new Map(runs.map((run) => [run, valueOf(by, run)]));
    const none = (/** @type {any} */ value) => value === undefined || value === "" || Number.isNaN(value);
    return runs.slice().sort((a, b) => {
      const x = values.get(a), y = values.get(b);
      if (none(x) || none(y)) return Number(none(x)) - Number(none(y));
      return (/** @type {any} */ (x) < /** @type {any} */ (y) ? -1 : x === y ? 0 : 1) * (descending ? -1 : 1);
    });
  }

  // Runs

  async function start(top = false) {
    const by = order && orderOf(order.chosen);
    try {
      await list.start({ filter, order: by ? [`${by} ${order?.descending ? "DESC" : "ASC"}`] : [], stage });
      box.complain(null);
    } catch (error) {
      if (/** @type {any} */ (error).status === 400) {
        // With nothing else to show, the runs without the filter are better than none.
        if (filter && !list.runs.length && !list.whole) {
          const wanted = filter;
          filter = "";
          await start();
          filter = wanted;
        }
        box.complain(/** @type {Error} */ (error).message);
        return;
      }
      throw error;
    }
    drawColumns();
    if (top) table.el.scrollTop = 0;
  }

  function redraw() {
    if (!usual.length || !list.search.filter) {
      const next = usualColumns(list.runs, ids.length > 1);
      const same = next.map((each) => each.id).join("\n") === usual.map((each) => each.id).join("\n");
      if (!usual.length || (!same && list.runs.length <= 200)) {
        usual = next;
        if (!columns) drawColumns();
      }
    }
    const nested = list.runs.some((run) => run.tags.has("mlflow.parentRunId"));
    treeButton.hidden = !nested;
    treeButton.setAttribute("aria-pressed", String(tree));
    const runs = sorted(list.runs);
    const { filter: active } = list.search;
    fill(headline, list.whole ? counted(list.runs.length, "run") : `${count(list.runs.length)} runs so far`, order && !orderOf(order.chosen) && !list.whole && ", sorted among these");
    if (list.runs.length || body.firstChild !== table.el) {
      if (list.runs.length) { if (tab !== "charts" && body.firstChild !== table.el) fill(body, table.el); }
      else if (tab !== "charts") fill(body, nothing(active));
    }
    if (!list.runs.length && tab !== "charts") fill(body, nothing(active));
    table.setRows(tree && nested ? asTree(runs, open) : runs);
    charted();
  }

  function nothing(/** @type {string} */ active) {
    if (active) return h("div", { class: "empty" }, h("h2", {}, "No run fits the filter"), h("p", {}, h("button", { type: "button", onclick: () => { box.input.value = ""; filter = ""; state.set({ filter }, { push: true }); start(); } }, "Show all runs")));
    if (stage !== "ACTIVE_ONLY") return h("div", { class: "empty" }, h("p", {}, "No run of this experiment is deleted."));
    const name = names.get(ids[0]) || "Default";
    return h("div", { class: "empty" }, h("h2", {}, "No runs yet"), h("p", {}, "Run this where your training code runs; the run appears here by itself:"),
      example(`import mlflow\nmlflow.set_tracking_uri("${trackingUri()}"); mlflow.set_experiment(${JSON.stringify(name)})\nwith mlflow.start_run(): mlflow.log_params({"lr": 0.01}); mlflow.log_metric("loss", 0.25, step=1)`));
  }

  function expand(/** @type {Run} */ run, /** @type {boolean} */ on) {
    if (on) open.add(run.id);
    else open.delete(run.id);
    state.set({ open: [...open].slice(0, 100) });
    run.open = on;
    table.forget(new Set([run.id]));
    redraw();
  }

  /** @type {{first: number, last: number}} */ let range = { first: 0, last: 0 };
  const summarise = debounce(async () => {
    const wanted = shown().filter((each) => each.id.startsWith("metrics.") && picked(each) !== "last").map((each) => split(each.id)[1]);
    const by = order && !orderOf(order.chosen) && order.chosen.id.startsWith("metrics.") ? split(order.chosen.id)[1] : null;
    const visible = table.rows.slice(range.first, range.last);
    let news = await list.summarise(visible, wanted);
    if (by) news = await list.summarise(list.runs, [by]) || news;
    if (news) {
      table.forget(new Set((by ? table.rows : visible).map((run) => run.id)));
      if (by) redraw();
    }
  }, 60);
  function seen(first = range.first, last = range.last) {
    range = { first, last };
    if (shown().some((each) => picked(each) !== "last")) summarise();
    if (list.token && !list.loading && last >= table.rows.length - 1) list.more(list.runs.length + 10_000);
  }

  // Selection

  function selection() { return list.runs.filter((run) => table.selected.has(run.id)); }

  function showChosen() {
    charted();
    const runs = selection();
    chosen.hidden = !runs.length;
    if (!runs.length) return;
    const runIds = runs.map((run) => run.id);
    const each = async (/** @type {(id: string) => Promise<unknown>} */ act, /** @type {string} */ done) => {
      for (const id of runIds) await act(id);
      table.setSelected([]);
      say(`${counted(runs.length, "run")} ${done}.`);
      await list.refresh([]);
    };
    const buttons = stage !== "ACTIVE_ONLY" ? [h("button", { type: "button", onclick: () => each((id) => post("2.0/mlflow/runs/restore", { run_id: id }), "restored") }, "Restore")] : [
      h("button", { type: "button", class: "primary", onclick: () => go("compare", { runs: runIds }) }, "Compare"),
      h("button", { type: "button", onclick: () => editTag("", "", (key, value) => each((id) => post("2.0/mlflow/runs/set-tag", { run_id: id, key, value }), "tagged"), `Tag ${counted(runs.length, "run")}`) }, "Tag"),
      h("button", { type: "button", onclick: () => move(runIds) }, "Move"),
      runs.length === 1 && h("button", { type: "button", onclick: () => asked("Rename run", "Name", runs[0].name, "Rename", (name) => each((id) => post("2.0/mlflow/runs/update", { run_id: id, run_name: name }), "renamed")) }, "Rename"),
      h("button", { type: "button", onclick: () => confirmed("Delete runs", `${counted(runs.length, "run")} go${runs.length === 1 ? "es" : ""} to the trash, from where ${runs.length === 1 ? "it" : "they"} can be restored.`, "Delete", () => each((id) => post("2.0/mlflow/runs/delete", { run_id: id }), "deleted")) }, icon("bin"), "Delete"),
    ];
    const some = `attributes.run_id IN (${runIds.map((id) => `'${id}'`).join(",")})`;
    fill(chosen, h("strong", {}, `${count(runs.length)} selected`), buttons,
      runs.length <= MOST_EXPORTED && menu(["Export"], () => [{ label: "Selected as CSV", act: () => save("csv", some) }, { label: "Selected as JSON", act: () => save("json", some) }]),
      h("button", { type: "button", class: "plain", onclick: () => table.setSelected([]) }, "Clear"));
  }

  function save(/** @type {string} */ format, /** @type {string} */ wanted) {
    const { order: by } = list.search;
    h("a", { href: address("ajax-api/trackd/runs/export", { experiment_ids: ids, filter: wanted, order_by: by, run_view_type: stage, format }), download: "" }).click();
  }

  async function move(/** @type {string[]} */ runIds) {
    const { experiments = [] } = await get("trackd/experiments", {}, { signal });
    const field = h("select", { autofocus: true }, experiments.filter((/** @type {any} */ each) => ids.length > 1 || each.experiment_id !== ids[0]).map((/** @type {any} */ each) => h("option", { value: each.experiment_id }, oneLine(each.name, 80))));
    if (!field.options.length) return say("There is no other experiment to move them to; create one first.", true);
    await dialog(`Move ${counted(runIds.length, "run")}`, [h("label", { class: "field" }, h("span", {}, "To the experiment"), field), h("p", { class: "muted" }, "Their artifacts stay where they are.")], {
      action: "Move",
      act: async () => {
        await post("trackd/runs/move", { run_ids: runIds, experiment_id: field.value });
        table.setSelected([]);
        say(`${counted(runIds.length, "run")} moved.`);
        await list.refresh([]);
      },
    });
  }

  // Charts

  /** @type {{el: HTMLElement, update: (ids: string[]) => unknown} | null} */ let charts = null;
  let drawn = "";
  const charted = debounce(() => {
    if (!charts || signal.aborted) return;
    const runs = selection();
    const now = (runs.length ? runs : sorted(list.runs)).slice(0, MOST_CHARTED).map((run) => run.id);
    if (now.join() === drawn) return;
    drawn = now.join();
    charts.update(now);
  }, 100);

  function showTabs() {
    const plain = ids.join(",");
    fill(tabs, [["Runs", null], ["Charts", "charts"]].map(([words, value]) => h("a", { href: link("experiments", plain), "aria-current": (value || "runs") === tab ? "page" : null, onclick: (/** @type {MouseEvent} */ event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      state.set({ tab: value || null }, { push: true });
      dispatchEvent(new HashChangeEvent("hashchange"));
    } }, words)), h("a", { href: link("experiments", plain, "models") }, "Models"));
  }

  // The experiments themselves

  function showHeading(/** @type {any[]} */ experiments) {
    for (const each of experiments) names.set(each.experiment_id, each.name);
    title(experiments.map((each) => each.name).join(", "));
    const only = experiments.length === 1 ? experiments[0] : null;
    if (!only) return fill(heading, h("h1", {}, experiments.map((each, n) => [n ? ", " : "", h("a", { href: link("experiments", each.experiment_id) }, oneLine(each.name, 60))]).flat()));
    const id = only.experiment_id, active = only.lifecycle_stage === "active";
    const tags = new Map((only.tags || []).map((/** @type {any} */ tag) => [tag.key, tag.value]));
    const note = noteEditor({
      text: tags.get(NOTE_TAG) || "", editable: active,
      read: async () => {
        const now = (await get("2.0/mlflow/experiments/get", { experiment_id: id }, { signal })).experiment;
        return (now.tags || []).find((/** @type {any} */ tag) => tag.key === NOTE_TAG)?.value || "";
      },
      write: (text) => post("2.0/mlflow/experiments/set-experiment-tag", { experiment_id: id, key: NOTE_TAG, value: text }),
    });
    const about = h("details", { class: "about", open: false }, h("summary", {}, "About"),
      h("div", { class: "facts" }, h("span", {}, "Id ", h("code", {}, id)), h("span", { class: "cut", title: only.artifact_location }, "Artifacts ", h("code", {}, only.artifact_location))),
      tagEditor({ tags, editable: active, put: (key, value) => post("2.0/mlflow/experiments/set-experiment-tag", { experiment_id: id, key, value }), drop: (key) => post("2.0/mlflow/experiments/delete-experiment-tag", { experiment_id: id, key }) }).el,
      note.el);
    const summary = (tags.get(NOTE_TAG) || "").split("\n")[0].replace(/[#*_`>]/g, "").trim();
    fill(heading, h("div", { class: "bar" }, h("h1", {}, oneLine(only.name, 300)), !active && h("span", { class: "chip" }, "deleted"),
      active && menu([icon("more")], () => [
        { label: "Rename", act: () => asked("Rename experiment", "Name", only.name, "Rename", async (name) => { await post("2.0/mlflow/experiments/update", { experiment_id: id, new_name: name }); only.name = name; showHeading([only]); }) },
        { label: "Delete", danger: true, act: () => confirmed("Delete experiment", "The experiment and its runs go to the trash, from where they can be restored.", "Delete", async () => { await post("2.0/mlflow/experiments/delete", { experiment_id: id }); location.hash = "#/"; }) },
      ], { class: "icon-button", "aria-label": "What to do with this experiment" }),
      summary && h("span", { class: "muted cut" }, oneLine(summary, 160))), about);
  }

  stages.addEventListener("change", () => {
    stage = stages.value === "deleted" ? "DELETED_ONLY" : "ACTIVE_ONLY";
    state.set({ stage: stages.value === "deleted" ? "deleted" : null }, { push: true });
    table.setSelected([]);
    start(true);
  });

  const version = await changeVersion(signal);
  const starting = start();
  const experiments = await experimentsComing;
  showHeading(experiments);
  if (experiments.some((each) => each.lifecycle_stage !== "active") && stage === "ACTIVE_ONLY" && !state.get("stage")) {
    stage = "DELETED_ONLY";
    stages.value = "deleted";
    await start();
  }
  await starting;
  if (tab === "charts") {
    const { metricCharts } = await load("parts/metric_charts.js");
    if (signal.aborted) return;
    const made = charts = metricCharts({ state, signal });
    el.classList.add("scrolls");
    fill(body, made.el);
    charted();
  }
  onChange(() => list.refresh(table.rows.slice(range.first, range.last)), signal, version);
  loadKeys();
}
