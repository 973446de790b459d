/** All experiments: search, open one or several, create, rename, delete, restore. The first thing one sees. */

import { get, onChange, post, trackingUri } from "../api.js";
import { debounce, fill, h, icon } from "../dom.js";
import { count, counted, oneLine, when } from "../format.js";
import { asked, confirmed, dialog, example, menu, say } from "../parts/dialog.js";
import { NOTE_TAG } from "../parts/note.js";
import { Table } from "../parts/table.js";
import { go, link } from "../router.js";

/** @typedef {{experiment_id: string, name: string, lifecycle_stage: string, creation_time?: number, last_update_time?: number, tags?: {key: string, value: string}[], runs: {active: number, deleted: number, running: number, last_start_time: number | null}}} Experiment */

/** @type {import("../router.js").Show} */
export async function showExperiments({ el, state, signal, title }) {
  title("Experiments");
  let stage = state.get("stage") === "deleted" ? "DELETED_ONLY" : "ACTIVE_ONLY";
  /** @type {Experiment[]} */ let all = [];
  const search = h("input", { type: "search", placeholder: "Search names and tags", "aria-label": "Search experiments", "data-search": true, value: state.get("q") || "" });
  const stages = h("select", { "aria-label": "Which experiments" }, h("option", { value: "active" }, "Active"), h("option", { value: "deleted", selected: stage === "DELETED_ONLY" }, "Deleted"));
  const headline = h("span", { class: "muted", role: "status" });
  const chosen = h("div", { class: "chosen", hidden: true });
  const body = h("div", { class: "fill" });
  fill(el, h("div", { class: "bar" }, h("h1", {}, "Experiments"), headline, h("span", { class: "grow" }), h("span", { class: "search" }, icon("search"), search), stages,
    h("button", { type: "button", class: "primary", onclick: create }, icon("plus"), "New experiment")), chosen, body);

  /** @type {Table<Experiment>} */
  const table = new Table({
    label: "Experiments", key: (row) => row.experiment_id, name: (row) => row.name, href: (row) => link("experiments", row.experiment_id),
    sort: (id) => sort(id), select: () => showChosen(), look: (row) => row.lifecycle_stage === "deleted" ? "deleted" : "",
  });
  signal.addEventListener("abort", () => table.destroy());
  table.order = orderFrom(state.get("sort"));
  setColumns();

  function setColumns() {
    table.setColumns([
      { id: "name", label: "Name", width: 320, sortable: true, fixed: innerWidth > 640, cell: (row) => h("a", { href: link("experiments", row.experiment_id), tabindex: "-1", title: row.name }, oneLine(row.name)) },
      { id: "runs", label: "Runs", width: 90, align: "right", sortable: true, cell: (row) => count(stage === "ACTIVE_ONLY" ? row.runs.active : row.runs.deleted) },
      { id: "running", label: "Running", width: 90, align: "right", sortable: true, cell: (row) => row.runs.running ? h("span", { class: "status RUNNING" }, count(row.runs.running)) : "" },
      { id: "last", label: "Last run", width: 140, sortable: true, cell: (row) => row.runs.last_start_time ? when(row.runs.last_start_time) : "" },
      { id: "created", label: "Created", width: 140, sortable: true, cell: (row) => when(row.creation_time) },
      { id: "tags", label: "Tags", width: 220, cell: (row) => h("span", { class: "chips" }, tagsOf(row).map((tag) => h("span", { class: "chip", title: `${tag.key}: ${tag.value}` }, oneLine(`${tag.key}: ${tag.value}`, 40)))) },
      { id: "note", label: "Note", width: 260, cell: (row) => h("span", { class: "muted" }, oneLine(noteOf(row), 120)) },
      { id: "actions", label: "", width: 60, cell: (row) => menu([icon("more")], () => actions(row), { class: "icon-button", "aria-label": `What to do with ${row.name}`, tabindex: "-1" }) },
    ]);
  }

  function draw(top = false) {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = all.filter((row) => {
      const text = `${row.name}\n${row.experiment_id}\n${tagsOf(row).map((tag) => `${tag.key}: ${tag.value}`).join("\n")}`.toLowerCase();
      return words.every((word) => text.includes(word));
    });
    if (table.order) {
      const { id, descending } = table.order;
      const value = VALUES[id];
      found.sort((a, b) => byValue(value(a), value(b)) * (descending ? -1 : 1));
    }
    fill(headline, found.length < all.length ? `${count(found.length)} of ${count(all.length)}` : counted(all.length, "experiment"));
    if (stage === "ACTIVE_ONLY" && !words.length && all.every((row) => !row.runs.active && !row.runs.deleted) && all.length < 2) fill(body, welcome(), found.length > 0 && table.el);
    else if (!found.length) fill(body, h("div", { class: "empty" }, h("p", {}, words.length ? "No experiment has these words in its name, id or tags." : "No experiment is deleted.")));
    else fill(body, table.el);
    table.setRows(found, { top });
  }

  async function load() {
    const before = stage;
    const answer = await get("trackd/experiments", { view_type: stage }, { signal });
    if (before !== stage) return load();
    // What has not changed stays the same object, whose row is not made anew.
    const old = new Map(all.map((row) => [row.experiment_id, row]));
    all = (answer.experiments || []).map((/** @type {Experiment} */ row) => JSON.stringify(old.get(row.experiment_id)) === JSON.stringify(row) ? old.get(row.experiment_id) : row);
    draw();
    return answer.version;
  }

  function sort(/** @type {string} */ id) {
    const { order } = table;
    table.order = order?.id !== id ? { id, descending: !["name"].includes(id) } : { id, descending: !order.descending };
    state.set({ sort: (table.order.descending ? "-" : "") + id }, { push: true });
    setColumns();
    draw(true);
  }

  function showChosen() {
    const ids = [...table.selected].filter((id) => all.some((row) => row.experiment_id === id));
    chosen.hidden = !ids.length;
    if (!ids.length) return;
    const each = async (/** @type {string} */ verb) => {
      for (const id of ids) await post(`2.0/mlflow/experiments/${verb}`, { experiment_id: id });
      table.setSelected([]);
      await load();
    };
    fill(chosen, h("strong", {}, `${ids.length} selected`),
      stage === "ACTIVE_ONLY" ? [
        h("button", { type: "button", onclick: () => go("experiments", ids.join(",")) }, "Open together"),
        h("button", { type: "button", onclick: () => confirmed("Delete experiments", `${counted(ids.length, "experiment")} and their runs go to the trash, from where they can be restored.`, "Delete", () => each("delete")) }, icon("bin"), "Delete"),
      ] : h("button", { type: "button", onclick: () => each("restore") }, "Restore"),
      h("button", { type: "button", class: "plain", onclick: () => table.setSelected([]) }, "Clear"));
  }

  /** @returns {import("../parts/dialog.js").Entry[]} */
  function actions(/** @type {Experiment} */ row) {
    const id = row.experiment_id;
    if (stage !== "ACTIVE_ONLY") return [{ label: "Restore", act: async () => { await post("2.0/mlflow/experiments/restore", { experiment_id: id }); say(`${row.name} is back.`); await load(); } }];
    return [
      { label: "Rename", act: () => asked("Rename experiment", "Name", row.name, "Rename", async (name) => { await post("2.0/mlflow/experiments/update", { experiment_id: id, new_name: name }); await load(); }) },
      { label: "Delete", danger: true, act: () => confirmed("Delete experiment", `“${oneLine(row.name, 80)}” and its ${counted(row.runs.active, "run")} go to the trash, from where they can be restored.`, "Delete", async () => { await post("2.0/mlflow/experiments/delete", { experiment_id: id }); await load(); }) },
    ];
  }

  async function create() {
    const name = h("input", { type: "text", autofocus: true, autocomplete: "off" });
    const place = h("input", { type: "text", autocomplete: "off", placeholder: "where the server keeps them" });
    await dialog("New experiment", [h("label", { class: "field" }, h("span", {}, "Name"), name), h("label", { class: "field" }, h("span", {}, "Artifact location (optional)"), place)], {
      action: "Create",
      act: async () => {
        const made = await post("2.0/mlflow/experiments/create", { name: name.value, ...(place.value ? { artifact_location: place.value } : {}) });
        go("experiments", made.experiment_id);
      },
    });
  }

  const remember = debounce(() => state.set({ q: search.value }), 250);
  search.addEventListener("input", () => { draw(true); remember(); });
  search.addEventListener("keydown", (event) => { if (event.key === "ArrowDown" || event.key === "Enter") { event.preventDefault(); table.activate(0); } });
  stages.addEventListener("change", async () => {
    stage = stages.value === "deleted" ? "DELETED_ONLY" : "ACTIVE_ONLY";
    state.set({ stage: stages.value === "deleted" ? "deleted" : null }, { push: true });
    table.setSelected([]);
    await load();
  });
  onChange(load, signal, await load());
}

/** @type {Record<string, (row: Experiment) => string | number>} */
const VALUES = { name: (row) => row.name.toLowerCase(), runs: (row) => row.runs.active, running: (row) => row.runs.running, last: (row) => row.runs.last_start_time || 0, created: (row) => row.creation_time || 0 };

function byValue(/** @type {string | number} */ a, /** @type {string | number} */ b) {
  return typeof a === "string" ? a.localeCompare(String(b), undefined, { numeric: true }) : a - Number(b);
}

function orderFrom(/** @type {string | null} */ text) {
  const id = (text || "").replace(/^-/, "");
  return id in VALUES ? { id, descending: text !== id } : null;
}

function tagsOf(/** @type {Experiment} */ row) {
  return (row.tags || []).filter((tag) => !tag.key.startsWith("mlflow."));
}

function noteOf(/** @type {Experiment} */ row) {
  return (row.tags || []).find((tag) => tag.key === NOTE_TAG)?.value || "";
}

function welcome() {
  return h("div", { class: "empty" }, h("h2", {}, "Nothing is logged yet"), h("p", {}, "Run this where your training code runs, and watch the run appear here:"),
    example(`import mlflow\nmlflow.set_tracking_uri("${trackingUri()}")\nwith mlflow.start_run(): mlflow.log_metric("loss", 0.25)`));
}
