/** Logged models of an experiment, and one of them with its params, metrics and files. */

import { address, get, post } from "../api.js";
import { fill, h } from "../dom.js";
import { counted, oneLine, value, when } from "../format.js";
import { confirmed, copied, example, menu } from "../parts/dialog.js";
import { artifactTree } from "../parts/files.js";
import { Table } from "../parts/table.js";
import { tagEditor } from "../parts/tags.js";
import { go, link } from "../router.js";

/** @typedef {{info: any, data?: {params?: {key: string, value: string}[], metrics?: any[]}}} LoggedModel */

const status = (/** @type {string} */ name) => (name || "").replace("LOGGED_MODEL_", "");
const LOOKS = { READY: "FINISHED", PENDING: "RUNNING", UPLOAD_FAILED: "FAILED" };

function statusOf(/** @type {any} */ info) {
  const name = status(info.status).replace("UPLOAD_FAILED", "FAILED");
  return h("span", { class: `status ${LOOKS[/** @type {"READY"} */ (status(info.status))] || ""}` }, name ? name[0] + name.slice(1).toLowerCase() : "");
}

/** @type {import("../router.js").Show} */
export async function showLoggedModels({ el, params, signal, title }) {
  const ids = params.ids.split(",").filter(Boolean);
  const experiments = await Promise.all(ids.map(async (id) => (await get("2.0/mlflow/experiments/get", { experiment_id: id }, { signal })).experiment));
  const name = experiments.map((each) => each.name).join(", ");
  title(`Models of ${name}`);
  /** @type {LoggedModel[]} */ let models = [];
  let token;
  do {
    /** @type {any} */ const answer = await post("2.0/mlflow/logged-models/search", { experiment_ids: ids, max_results: 500, ...(token ? { page_token: token } : {}) }, { signal });
    models = models.concat(answer.models || []);
    token = answer.next_page_token;
  } while (token && models.length < 5000);
  /** @type {Table<LoggedModel>} */
  const table = new Table({ label: "Logged models", key: (row) => row.info.model_id, href: (row) => link("experiments", row.info.experiment_id, "models", row.info.model_id) });
  signal.addEventListener("abort", () => table.destroy());
  const metrics = [...new Set(models.flatMap((each) => (each.data?.metrics || []).map((metric) => metric.key)))].slice(0, 8);
  const keys = [...new Set(models.flatMap((each) => (each.data?.params || []).map((param) => param.key)))].slice(0, 5);
  table.setColumns([
    { id: "name", label: "Model", width: 220, cell: (row) => h("a", { href: link("experiments", row.info.experiment_id, "models", row.info.model_id), tabindex: "-1" }, oneLine(row.info.name || row.info.model_id)) },
    { id: "status", label: "Status", width: 110, cell: (row) => statusOf(row.info) },
    { id: "created", label: "Created", width: 130, cell: (row) => when(row.info.creation_timestamp_ms) },
    { id: "run", label: "Run", width: 100, cell: (row) => row.info.source_run_id ? h("a", { href: link("experiments", row.info.experiment_id, "runs", row.info.source_run_id), tabindex: "-1" }, row.info.source_run_id.slice(0, 8)) : "" },
    { id: "registered", label: "Registered", width: 160, cell: (row) => h("span", { class: "chips" }, versions(row.info)) },
    ...metrics.map((key) => ({ id: `m.${key}`, label: key, width: 110, align: /** @type {"right"} */ ("right"), cell: (/** @type {LoggedModel} */ row) => { const found = (row.data?.metrics || []).filter((each) => each.key === key).pop(); return found ? value(found.value) : ""; } })),
    ...keys.map((key) => ({ id: `p.${key}`, label: key, width: 110, cell: (/** @type {LoggedModel} */ row) => oneLine((row.data?.params || []).find((each) => each.key === key)?.value || "") })),
  ]);
  const plain = ids.join(",");
  fill(el, h("div", { class: "bar" }, h("h1", {}, oneLine(name, 200)), h("span", { class: "muted" }, counted(models.length, "model"))),
    h("nav", { class: "tabs", "aria-label": "Parts of the experiment" }, h("a", { href: link("experiments", plain) }, "Runs"), h("a", { href: link("experiments", plain, { tab: "charts" }) }, "Charts"), h("a", { href: link("experiments", plain, "models"), "aria-current": "page" }, "Models")),
    models.length ? table.el : h("div", { class: "empty" }, h("h2", {}, "No logged models yet"), h("p", {}, "Models that are logged in this experiment appear here:"), example(`import mlflow\nmlflow.set_experiment(${JSON.stringify(experiments[0]?.name || "Default")})\nmlflow.sklearn.log_model(model, name="model")`)));
  table.setRows(models);
}

/** Versions of registered models that were made of a logged model. */
function versions(/** @type {any} */ info) {
  let found = info.registrations || [];
  const tag = (info.tags || []).find((/** @type {any} */ each) => each.key === "mlflow.modelVersions");
  if (!found.length && tag) try {
    found = JSON.parse(tag.value);
  } catch {
    found = [];
  }
  return found.map((/** @type {any} */ each) => h("a", { class: "chip", href: link("models", String(each.name), "versions", String(each.version)) }, `${oneLine(String(each.name), 40)} v${each.version}`));
}

/** @type {import("../router.js").Show} */
export async function showLoggedModel({ el, params, state, signal, title }) {
  const id = params.model;
  const { model } = await get(`2.0/mlflow/logged-models/${encodeURIComponent(id)}`, {}, { signal });
  /** @type {LoggedModel} */ const { info, data = {} } = model;
  title(info.name || id);
  el.classList.add("scrolls");
  const tags = new Map((info.tags || []).map((/** @type {any} */ tag) => [tag.key, tag.value]));
  const run = info.source_run_id;
  const sheet = (/** @type {string} */ label, /** @type {import("../dom.js").Child[][]} */ rows) => rows.length > 0 && h("section", { class: "card" }, h("h3", {}, label), h("div", { class: "scroll" }, h("table", { class: "plain-table" }, h("tbody", {}, rows.map((cells) => h("tr", {}, cells.map((cell) => h("td", {}, cell))))))));
  const base = `2.0/mlflow/logged-models/${encodeURIComponent(id)}/artifacts`;
  const files = h("div", { class: "fill" });
  fill(el, h("nav", { class: "path", "aria-label": "Where this is" }, h("a", { href: "#/" }, "Experiments"), "›", h("a", { href: link("experiments", info.experiment_id, "models") }, "Models"), "›"),
    h("div", { class: "bar" }, h("h1", {}, oneLine(info.name || id, 200)), statusOf(info), h("span", { class: "grow" }), menu(["⋯"], () => [
      { label: "Delete", danger: true, act: () => confirmed("Delete logged model", "It goes to the trash.", "Delete", async () => { await post(`2.0/mlflow/logged-models/${encodeURIComponent(id)}`, {}, { method: "DELETE" }); go("experiments", info.experiment_id, "models"); }) },
    ], { class: "icon-button", "aria-label": "What to do with this model" })),
    h("div", { class: "columns" }, h("section", { class: "card" }, h("dl", { class: "about-run" },
      h("dt", {}, "Model id"), h("dd", {}, copied(id)), h("dt", {}, "Created"), h("dd", {}, when(info.creation_timestamp_ms)), run && [h("dt", {}, "Run"), h("dd", {}, h("a", { href: link("experiments", info.experiment_id, "runs", run) }, run))], info.model_type && [h("dt", {}, "Type"), h("dd", {}, info.model_type)],
      versions(info).length > 0 && [h("dt", {}, "Registered"), h("dd", { class: "chips" }, versions(info))]), h("h3", {}, "Tags"),
      tagEditor({ tags, put: (key, text) => post(`2.0/mlflow/logged-models/${encodeURIComponent(id)}/tags`, { model_id: id, tags: [{ key, value: text }] }, { method: "PATCH" }), drop: (key) => post(`2.0/mlflow/logged-models/${encodeURIComponent(id)}/tags/${encodeURIComponent(key)}`, { model_id: id, tag_key: key }, { method: "DELETE" }) }).el),
    sheet("Metrics", (data.metrics || []).map((each) => [oneLine(each.key, 100), value(each.value), each.dataset_name ? h("small", {}, `on ${each.dataset_name}`) : ""])), sheet("Params", (data.params || []).map((each) => [oneLine(each.key, 100), oneLine(each.value, 500)]))),
    h("h2", {}, "Files"), files);
  try {
    fill(files, await artifactTree({
      path: state.get("path") || "", choose: (path) => state.set({ path }), signal, empty: () => h("p", { class: "muted empty" }, "No files were logged for this model."),
      source: {
        list: async (path) => (await get(`${base}/directories`, path ? { artifact_directory_path: path } : {}, { signal })).files || [],
        file: (path) => address(`ajax-api/${base}/files`, { artifact_file_path: path }), frame: (path) => address("ajax-api/trackd/preview", { model_id: id, path }),
        zip: (path) => address("ajax-api/trackd/artifacts/zip", path ? { model_id: id, path } : { model_id: id }), load: () => `models:/${id}`,
      },
    }));
  } catch (error) {
    if (!signal.aborted) fill(files, h("p", { class: "wrong", role: "alert" }, error instanceof Error ? error.message : String(error)));
  }
}
