/** A registered model or prompt with its versions: description, tags, aliases, stages, and for prompts the text and a diff. */

import { changeVersion, get, onChange, post } from "../api.js";
import { fill, h, icon, iconButton } from "../dom.js";
import { count, oneLine, when } from "../format.js";
import { asked, confirmed, copied, dialog, example, menu, say } from "../parts/dialog.js";
import { difference } from "../parts/diff.js";
import { noteEditor } from "../parts/note.js";
import { Table } from "../parts/table.js";
import { tagEditor } from "../parts/tags.js";
import { go, link } from "../router.js";

/** @typedef {{name: string, version: string, creation_timestamp: number, current_stage?: string, description?: string, source?: string, run_id?: string, status?: string, model_id?: string, tags?: {key: string, value: string}[], aliases?: string[], user_id?: string}} Version */

const API = "2.0/mlflow";
const STAGES = ["None", "Staging", "Production", "Archived"];
const TEXT_TAG = "mlflow.prompt.text", TYPE_TAG = "_mlflow_prompt_type";
const quiet = (/** @type {string} */ key) => /^_?mlflow[._]/.test(key);
const pairs = (/** @type {{key: string, value: string}[] | undefined} */ tags) => new Map((tags || []).map((tag) => [tag.key, tag.value]));
const own = (/** @type {{key: string, value: string}[] | undefined} */ tags) => new Map((tags || []).filter((tag) => !quiet(tag.key)).map((tag) => [tag.key, tag.value]));

/** Every version, latest first. @returns {Promise<Version[]>} */
async function versionsOf(/** @type {string} */ name, /** @type {AbortSignal} */ signal, prompt = false) {
  const words = name.includes("'") ? `name = "${name}"` : `name = '${name}'`;
  const answer = await get(`${API}/model-versions/search`, { filter: words + (prompt ? " AND tags.`mlflow.prompt.is_prompt` = 'true'" : ""), max_results: 10_000 }, { signal });
  return (answer.model_versions || []).sort((/** @type {Version} */ a, /** @type {Version} */ b) => Number(b.version) - Number(a.version));
}

/** The name, description, tags and what can be done. @param {any} model @param {boolean} prompt @param {AbortSignal} signal */
function heading(model, prompt, signal) {
  const { name } = model, noun = prompt ? "prompt" : "model";
  const note = noteEditor({
    text: model.description || "", label: "Description", read: async () => (await get(`${API}/registered-models/get`, { name }, { signal })).registered_model.description || "",
    write: (text) => post(`${API}/registered-models/update`, { name, description: text }, { method: "PATCH" }),
  });
  const tags = tagEditor({ tags: own(model.tags), put: (key, value) => post(`${API}/registered-models/set-tag`, { name, key, value }), drop: (key) => post(`${API}/registered-models/delete-tag`, { name, key }, { method: "DELETE" }) });
  return h("div", { class: "heading" }, h("nav", { class: "path", "aria-label": "Where this is" }, h("a", { href: link(`${noun}s`) }, prompt ? "Prompts" : "Models"), "›"),
    h("div", { class: "bar" }, h("h1", {}, oneLine(name, 300)), h("span", { class: "grow" }), menu([icon("more")], () => [
      { label: "Rename", act: () => asked(`Rename ${noun}`, "Name", name, "Rename", async (to) => { await post(`${API}/registered-models/rename`, { name, new_name: to }); go(`${noun}s`, to); }) },
      { label: "Delete", danger: true, act: () => confirmed(`Delete ${noun}`, `“${oneLine(name, 80)}” and all of its versions are gone then; there is no trash for them.`, "Delete", async () => { await post(`${API}/registered-models/delete`, { name }, { method: "DELETE" }); go(`${noun}s`); }) },
    ], { class: "icon-button", "aria-label": `What to do with this ${noun}` })), tags.el, note.el);
}

/** Aliases of a version, to be added and removed. @param {string} name @param {Version} version @param {() => Promise<void>} changed */
function aliases(name, version, changed) {
  return h("span", { class: "chips" }, (version.aliases || []).map((alias) => h("span", { class: "chip" }, `@ ${alias}`, iconButton("close", `Remove the alias ${alias}`, async () => { await post(`${API}/registered-models/alias`, { name, alias }, { method: "DELETE" }); await changed(); }))),
    iconButton("plus", `Add an alias to version ${version.version}`, () => asked("New alias", "Alias, such as champion; it leaves the version that has it now", "", "Set", async (alias) => { await post(`${API}/registered-models/alias`, { name, alias, version: version.version }); await changed(); })));
}

/** @type {import("../router.js").Show} */
export async function showModel({ el, params, signal, title }) {
  const { name } = params;
  title(name);
  const fetched = async () => (await get(`${API}/registered-models/get`, { name }, { signal })).registered_model;
  const model = await fetched();
  if (pairs(model.tags).get("mlflow.prompt.is_prompt") === "true") return go("prompts", name);
  /** @type {Table<Version>} */
  const table = new Table({ label: "Versions", key: (row) => row.version, href: (row) => link("models", name, "versions", row.version) });
  signal.addEventListener("abort", () => table.destroy());
  const load = async () => {
    const [versions, now] = await Promise.all([versionsOf(name, signal), fetched()]);
    for (const each of versions) each.aliases = (now.aliases || []).filter((/** @type {any} */ one) => one.version === each.version).map((/** @type {any} */ one) => one.alias);
    fill(body, versions.length ? table.el : h("div", { class: "empty" }, h("p", {}, "This model has no versions yet."), example(`mlflow.register_model("runs:/<run id>/model", ${JSON.stringify(name)})`)));
    table.setRows(versions);
  };
  table.setColumns([
    { id: "version", label: "Version", width: 90, cell: (row) => h("a", { href: link("models", name, "versions", row.version), tabindex: "-1" }, `v${row.version}`) },
    { id: "aliases", label: "Aliases", width: 230, cell: (row) => aliases(name, row, load) },
    { id: "stage", label: "Stage", width: 110, cell: (row) => row.current_stage === "None" ? "" : row.current_stage },
    { id: "created", label: "Created", width: 130, cell: (row) => when(row.creation_timestamp) },
    { id: "run", label: "Run", width: 130, cell: (row) => row.run_id ? h("a", { href: link("experiments", "0", "runs", row.run_id), tabindex: "-1" }, row.run_id.slice(0, 8)) : "" },
    { id: "tags", label: "Tags", width: 180, cell: (row) => h("span", { class: "chips" }, [...own(row.tags)].map(([key, value]) => h("span", { class: "chip" }, oneLine(`${key}: ${value}`, 40)))) },
    { id: "description", label: "Description", width: 260, cell: (row) => h("span", { class: "muted" }, oneLine(row.description || "", 120)) },
  ]);
  const body = h("div", { class: "fill" });
  fill(el, heading(model, false, signal), h("h2", {}, "Versions"), body);
  const before = await changeVersion(signal);
  await load();
  onChange(load, signal, before);
}

/** @type {import("../router.js").Show} */
export async function showModelVersion({ el, params, signal, title }) {
  const { name, version: number } = params;
  title(`${name} v${number}`);
  const fetched = async () => (await get(`${API}/model-versions/get`, { name, version: number }, { signal })).model_version;
  /** @type {Version} */ const version = await fetched();
  const at = { name, version: number };
  const note = noteEditor({ text: version.description || "", label: "Description", read: async () => (await fetched()).description || "", write: (text) => post(`${API}/model-versions/update`, { ...at, description: text }, { method: "PATCH" }) });
  const tags = tagEditor({ tags: own(version.tags), put: (key, value) => post(`${API}/model-versions/set-tag`, { ...at, key, value }), drop: (key) => post(`${API}/model-versions/delete-tag`, { ...at, key }, { method: "DELETE" }) });
  const marks = h("span", {});
  const draw = async () => { fill(marks, aliases(name, await fetched(), draw)); };
  const stage = h("select", { "aria-label": "Stage", onchange: () => dialog(`Move to ${stage.value}`, [h("label", {}, archive, " Archive the versions that are in this stage now")], {
    action: "Move", act: async () => { await post(`${API}/model-versions/transition-stage`, { ...at, stage: stage.value, archive_existing_versions: archive.checked }); version.current_stage = stage.value; say(`Version ${number} is in ${stage.value}.`); },
  }).then((done) => { if (!done) stage.value = version.current_stage || "None"; }) }, STAGES.map((each) => h("option", { value: each, selected: each === version.current_stage }, each)));
  const archive = h("input", { type: "checkbox" });
  el.classList.add("scrolls");
  const run = version.run_id ? await get(`${API}/runs/get`, { run_id: version.run_id }, { signal }).then((answer) => answer.run, () => null) : null;
  const lineage = h("dl", { class: "about-run" }, [
    ["Run", version.run_id && (run ? h("a", { href: link("experiments", run.info.experiment_id, "runs", version.run_id) }, oneLine(run.info.run_name || version.run_id, 80)) : copied(version.run_id))],
    ["Data", run && (run.inputs?.dataset_inputs || []).map((/** @type {any} */ each) => h("span", { class: "chip" }, `${oneLine(each.dataset.name, 60)} ${each.dataset.digest}`))],
    ["Logged model", version.model_id && h("a", { href: link("experiments", run?.info.experiment_id || "0", "models", version.model_id) }, version.model_id)],
    ["Source", version.source && copied(version.source)],
  ].filter(([, value]) => value && (!Array.isArray(value) || value.length)).map(([label, value]) => [h("dt", {}, label), h("dd", {}, value)]).flat());
  fill(el, h("nav", { class: "path", "aria-label": "Where this is" }, h("a", { href: link("models") }, "Models"), "›", h("a", { href: link("models", name) }, oneLine(name, 80)), "›"),
    h("div", { class: "bar" }, h("h1", {}, `${oneLine(name, 300)} v${number}`), marks, h("span", { class: "grow" }), h("label", {}, "Stage ", stage), menu([icon("more")], () => [
      { label: "Delete version", danger: true, act: () => confirmed("Delete version", `Version ${number} is gone then; its files stay where they are.`, "Delete", async () => { await post(`${API}/model-versions/delete`, at, { method: "DELETE" }); go("models", name); }) },
    ], { class: "icon-button", "aria-label": "What to do with this version" })),
    h("div", { class: "columns" },
      h("section", { class: "card" }, h("dl", { class: "about-run" }, h("dt", {}, "Created"), h("dd", {}, when(version.creation_timestamp), version.user_id ? ` by ${version.user_id}` : ""), h("dt", {}, "Status"), h("dd", {}, (version.status || "").toLowerCase())), h("h3", {}, "Tags"), tags.el),
      h("section", { class: "card" }, h("h3", {}, "Lineage"), lineage)),
    h("section", { class: "card" }, h("h3", {}, "Description"), note.el), example(`import mlflow\nmodel = mlflow.pyfunc.load_model("models:/${name}/${number}")`));
  await draw();
}

/** The text of a prompt's version, chats as a conversation. */
function promptText(/** @type {Version} */ version) {
  const tags = pairs(version.tags), text = tags.get(TEXT_TAG) || "";
  if (tags.get(TYPE_TAG) !== "chat") return text;
  try {
    return JSON.parse(text).map((/** @type {any} */ each) => `${each.role}:\n${typeof each.content === "string" ? each.content : JSON.stringify(each.content, null, 2)}`).join("\n\n");
  } catch {
    return text;
  }
}

/** @type {import("../router.js").Show} */
export async function showPrompt({ el, params, state, signal, title }) {
  const { name } = params;
  title(name);
  el.classList.add("scrolls");
  const fetched = async () => (await get(`${API}/registered-models/get`, { name }, { signal })).registered_model;
  const model = await fetched();
  /** @type {Version[]} */ let versions = [];
  const list = h("ol", { class: "versions" }), side = h("div", { class: "preview" });
  const load = async () => {
    const [all, now] = await Promise.all([versionsOf(name, signal, true), fetched()]);
    versions = all;
    for (const each of versions) each.aliases = (now.aliases || []).filter((/** @type {any} */ one) => one.version === each.version).map((/** @type {any} */ one) => one.alias);
    draw();
  };
  const draw = () => {
    const shown = versions.find((each) => each.version === state.get("version")) || versions[0];
    const other = versions.find((each) => each.version === state.get("with"));
    if (!shown) return fill(side, h("p", { class: "muted" }, "This prompt has no versions."));
    fill(list, versions.map((each) => h("li", { class: each === shown ? "here" : "" },
      h("button", { type: "button", class: "bare", "aria-current": each === shown ? "true" : null, onclick: () => { state.set({ version: each.version, with: null }, { push: true }); draw(); } }, h("strong", {}, `v${each.version}`), " ", when(each.creation_timestamp), h("br"), h("span", { class: "muted" }, oneLine(each.description || "", 80))), aliases(name, each, load))));
    const against = h("select", { "aria-label": "Compare with", onchange: () => { state.set({ with: against.value }, { push: true }); draw(); } }, h("option", { value: "" }, "Compare with…"), versions.filter((each) => each !== shown).map((each) => h("option", { value: each.version, selected: each === other }, `v${each.version}`)));
    const variables = [...new Set([...promptText(shown).matchAll(/\{\{\s*([\w.]+)\s*\}\}/g)].map((found) => found[1]))];
    fill(side, h("div", { class: "bar" }, h("h2", {}, other ? `From v${other.version} to v${shown.version}` : `Version ${shown.version}`), h("small", {}, `${count(promptText(shown).length)} characters`), h("span", { class: "grow" }), versions.length > 1 && against),
      variables.length > 0 && h("p", { class: "chips" }, h("span", { class: "muted" }, "Variables"), variables.map((each) => h("code", { class: "chip" }, each))),
      other ? difference(promptText(other), promptText(shown), `From version ${other.version} to ${shown.version}`) : h("pre", { class: "text", tabindex: "0" }, promptText(shown)),
      example(`import mlflow\nprompt = mlflow.genai.load_prompt("prompts:/${name}/${shown.version}")`));
  };
  fill(el, heading(model, true, signal), h("div", { class: "files" }, list, side));
  const before = await changeVersion(signal);
  await load();
  onChange(load, signal, before);
}
