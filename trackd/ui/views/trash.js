/** What is deleted: how large it is, and back or gone for good. */

import { get, post } from "../api.js";
import { fill, h, icon } from "../dom.js";
import { count, counted, oneLine, size } from "../format.js";
import { confirmed, say } from "../parts/dialog.js";
import { Table } from "../parts/table.js";
import { link } from "../router.js";

/** @typedef {{kind: "run" | "experiment" | "model", id: string, experiment_id: string, name: string, files: number, size: number, out_of_reach: string}} Item */

/** @type {import("../router.js").Show} */
export async function showTrash({ el, signal, title }) {
  title("Trash");
  /** @type {Item[]} */ let items = [];
  const headline = h("span", { class: "muted", role: "status" }), chosen = h("div", { class: "bar" }), body = h("div", { class: "fill" });
  fill(el, h("div", { class: "bar" }, h("h1", {}, "Trash"), headline, h("span", { class: "grow" }), chosen), body);
  /** @type {Table<Item>} */
  const table = new Table({ label: "Trash", key: (item) => `${item.kind} ${item.id}`, name: (item) => item.name || item.id, select: () => draw() });
  signal.addEventListener("abort", () => table.destroy());
  table.setColumns([
    { id: "name", label: "Name", width: 300, cell: (item) => item.kind === "model" ? oneLine(item.name || item.id) : h("a", { href: item.kind === "run" ? link("experiments", item.experiment_id, "runs", item.id) : link("experiments", item.id), tabindex: "-1", title: item.name }, oneLine(item.name || item.id)) },
    { id: "kind", label: "What", width: 110, cell: (item) => item.kind },
    { id: "size", label: "Size", width: 100, align: "right", cell: (item) => item.files ? h("span", { title: `${count(item.size)} bytes in ${counted(item.files, "file")}` }, size(item.size)) : "" },
    { id: "experiment", label: "Experiment", width: 110, cell: (item) => item.experiment_id },
    { id: "why", label: "", width: 320, cell: (item) => item.out_of_reach ? h("span", { class: "muted", title: item.out_of_reach }, oneLine(item.out_of_reach)) : "" },
  ]);

  function picked() { return items.filter((item) => table.selected.has(`${item.kind} ${item.id}`)); }

  function draw() {
    const some = picked(), all = !some.length, going = all ? items : some;
    const bytes = going.reduce((sum, item) => sum + item.size, 0);
    fill(headline, items.length ? `${counted(items.length, "item")}, ${size(items.reduce((sum, item) => sum + item.size, 0))} of artifacts` : "");
    fill(chosen, !all && h("button", { type: "button", onclick: () => restore(some) }, `Restore ${count(some.length)}`),
      items.length > 0 && h("button", { type: "button", class: "danger", onclick: () => confirmed(all ? "Empty the trash" : "Delete for good", `${counted(going.length, "item")} with ${size(bytes)} of artifacts will be gone for good. Nobody can bring ${going.length === 1 ? "it" : "them"} back.`, "Delete for good", () => remove(going)) }, icon("bin"), all ? "Empty the trash" : `Delete ${count(some.length)} for good`));
  }

  async function load() {
    items = (await get("trackd/trash", {}, { signal })).items || [];
    fill(body, items.length ? table.el : h("div", { class: "empty" }, h("h2", {}, "The trash is empty"), h("p", {}, "Deleted runs, experiments and models wait here until they are restored or deleted for good.")));
    table.setRows(items);
    draw();
  }

  async function remove(/** @type {Item[]} */ going) {
    const ids = (/** @type {string} */ kind) => going.filter((item) => item.kind === kind).map((item) => item.id);
    const runs = ids("run"), models = ids("model"), experiments = ids("experiment");
    /** @type {string[]} */ const kept = [];
    const ask = async (/** @type {object} */ what) => { kept.push(...((await post("trackd/trash/remove", what, { signal })).kept || [])); };
    for (let at = 0; at < Math.max(runs.length, models.length); at += 500) await ask({ run_ids: runs.slice(at, at + 500), model_ids: models.slice(at, at + 500) });
    if (experiments.length) await ask({ experiment_ids: experiments });
    table.setSelected([]);
    if (kept.length) say(kept.slice(0, 5).join("; "), true);
    else say(`${counted(going.length, "item")} gone for good.`);
    await load();
  }

  async function restore(/** @type {Item[]} */ some) {
    for (const item of some) {
      if (item.kind === "run") await post("2.0/mlflow/runs/restore", { run_id: item.id }, { signal });
      if (item.kind === "experiment") await post("2.0/mlflow/experiments/restore", { experiment_id: item.id }, { signal });
    }
    const models = some.filter((item) => item.kind === "model").length;
    say(models === some.length ? "MLflow's API cannot restore logged models." : `Restored.`, models > 0);
    table.setSelected([]);
    await load();
  }

  await load();
}
