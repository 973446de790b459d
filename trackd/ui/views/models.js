/** Registered models, and prompts, which are registered models of a kind of their own. */

import { get, trackingUri } from "../api.js";
import { debounce, fill, h, icon } from "../dom.js";
import { counted, oneLine, when } from "../format.js";
import { example } from "../parts/dialog.js";
import { Table } from "../parts/table.js";
import { link } from "../router.js";

/** @typedef {{name: string, creation_timestamp?: number, last_updated_timestamp?: number, description?: string, latest_versions?: any[], tags?: {key: string, value: string}[], aliases?: {alias: string, version: string}[]}} Model */

const IS_PROMPT = "tags.`mlflow.prompt.is_prompt`";

/** @type {import("../router.js").Show} */
export function showModels(view) { return list(view, false); }

/** @type {import("../router.js").Show} */
export function showPrompts(view) { return list(view, true); }

/** @param {import("../router.js").View} view @param {boolean} prompts */
async function list({ el, state, signal, title }, prompts) {
  const noun = prompts ? "prompt" : "model", words = prompts ? "Prompts" : "Models";
  title(words);
  const search = h("input", { type: "search", placeholder: "Search names", "aria-label": `Search ${noun}s`, "data-search": true, value: state.get("q") || "" });
  const headline = h("span", { class: "muted", role: "status" }), body = h("div", { class: "fill" });
  fill(el, h("div", { class: "bar" }, h("h1", {}, words), headline, h("span", { class: "grow" }), h("span", { class: "search" }, icon("search"), search)), body);
  /** @type {Table<Model>} */
  const table = new Table({ label: words, key: (row) => row.name, href: (row) => link(`${noun}s`, row.name) });
  signal.addEventListener("abort", () => table.destroy());
  const latest = (/** @type {Model} */ row) => Math.max(0, ...(row.latest_versions || []).map((each) => Number(each.version)));
  table.setColumns([
    { id: "name", label: "Name", width: 300, cell: (row) => h("a", { href: link(`${noun}s`, row.name), tabindex: "-1", title: row.name }, oneLine(row.name)) },
    { id: "version", label: "Latest version", width: 120, align: "right", cell: (row) => latest(row) || "" },
    { id: "aliases", label: "Aliases", width: 220, cell: (row) => h("span", { class: "chips" }, (row.aliases || []).map((each) => h("span", { class: "chip" }, `@ ${each.alias}: v${each.version}`))) },
    ...(prompts ? [] : [{ id: "stages", label: "Stages", width: 180, cell: (/** @type {Model} */ row) => h("span", { class: "chips" }, (row.latest_versions || []).filter((each) => each.current_stage && each.current_stage !== "None").map((each) => h("span", { class: "chip" }, `${each.current_stage}: v${each.version}`))) }]),
    { id: "updated", label: "Changed", width: 140, cell: (row) => when(row.last_updated_timestamp) },
    { id: "tags", label: "Tags", width: 200, cell: (row) => h("span", { class: "chips" }, (row.tags || []).filter((tag) => !/^_?mlflow[._]/.test(tag.key)).map((tag) => h("span", { class: "chip", title: `${tag.key}: ${tag.value}` }, oneLine(`${tag.key}: ${tag.value}`, 40)))) },
    { id: "description", label: "Description", width: 260, cell: (row) => h("span", { class: "muted" }, oneLine(row.description || "", 120)) },
  ]);
  const load = async () => {
    // A pattern: what has a meaning in it is taken for any character.
    const name = search.value.trim().replace(/['%\\]/g, "_");
    const filter = [prompts ? `${IS_PROMPT} = 'true'` : "", name ? `name ILIKE '%${name}%'` : ""].filter(Boolean).join(" AND ");
    /** @type {Model[]} */ let rows = [];
    let token = "";
    do {
      const answer = await get("2.0/mlflow/registered-models/search", { filter: filter || undefined, max_results: 1000, page_token: token || undefined }, { signal });
      rows = rows.concat(answer.registered_models || []);
      token = answer.next_page_token || "";
    } while (token && rows.length < 10_000);
    fill(headline, counted(rows.length, noun));
    fill(body, rows.length ? table.el : name ? h("div", { class: "empty" }, h("p", {}, `No ${noun} has this in its name.`)) : nothing(prompts));
    table.setRows(rows);
  };
  const again = debounce(() => { state.set({ q: search.value }); load(); }, 200);
  search.addEventListener("input", again);
  search.addEventListener("keydown", (event) => { if (event.key === "ArrowDown" || event.key === "Enter") { event.preventDefault(); table.activate(0); } });
  await load();
}

/** @param {boolean} prompts */
function nothing(prompts) {
  return h("div", { class: "empty" }, h("h2", {}, prompts ? "No prompts yet" : "No registered models yet"), h("p", {}, prompts ? "Register one, and every version of it is kept here:" : "Register a model of a run, and its versions are kept here:"),
    example(prompts ? `import mlflow\nmlflow.set_tracking_uri("${trackingUri()}")\nmlflow.genai.register_prompt(name="summary", template="Summarise in {{n}} sentences: {{text}}")`
      : `import mlflow\nmlflow.set_tracking_uri("${trackingUri()}")\nmlflow.register_model("runs:/<run id>/model", "my-model")`));
}
