/** The runs of one or several experiments. */

import { get, onChange, post } from "../api.js";
import { fill, h } from "../dom.js";
import { counted, duration, oneLine, value, when } from "../format.js";
import { Table } from "../parts/table.js";
import { link } from "../router.js";

/** @type {import("../router.js").Show} */
export async function showRuns({ el, params, signal, title }) {
  const ids = params.ids.split(",").filter(Boolean);
  const experiments = await Promise.all(ids.map(async (id) => (await get("2.0/mlflow/experiments/get", { experiment_id: id }, { signal })).experiment));
  title(experiments.map((each) => each.name).join(", "));
  const headline = h("span", { class: "muted", role: "status" });
  /** @type {Table<any>} */
  const table = new Table({ label: "Runs", key: (run) => run.info.run_id, href: (run) => link("experiments", run.info.experiment_id, "runs", run.info.run_id) });
  signal.addEventListener("abort", () => table.destroy());
  fill(el, h("div", { class: "bar" }, h("h1", {}, experiments.map((each) => each.name).join(", ")), headline), table.el);
  const load = async () => {
    const { runs = [] } = await post("2.0/mlflow/runs/search", { experiment_ids: ids, max_results: 1000 }, { signal });
    const metrics = new Set(runs.flatMap((/** @type {any} */ run) => (run.data.metrics || []).map((/** @type {any} */ metric) => metric.key)));
    table.setColumns([
      { id: "name", label: "Run", width: 240, fixed: true, cell: (run) => h("a", { href: link("experiments", run.info.experiment_id, "runs", run.info.run_id), tabindex: "-1" }, oneLine(run.info.run_name || "")) },
      { id: "status", label: "Status", width: 110, cell: (run) => h("span", { class: `status ${run.info.status}` }, run.info.status.toLowerCase()) },
      { id: "start", label: "Started", width: 130, cell: (run) => when(run.info.start_time) },
      { id: "duration", label: "Duration", width: 110, align: "right", cell: (run) => run.info.end_time ? duration(run.info.end_time - run.info.start_time) : "" },
      ...[...metrics].slice(0, 10).map((key) => ({
        id: key, label: key, width: 110, align: /** @type {"right"} */ ("right"),
        cell: (/** @type {any} */ run) => { const found = (run.data.metrics || []).find((/** @type {any} */ metric) => metric.key === key); return found ? value(found.value) : ""; },
      })),
    ]);
    table.setRows(runs);
    fill(headline, counted(runs.length, "run"));
  };
  await load();
  onChange(load, signal);
}
