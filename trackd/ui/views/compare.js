/** Runs side by side: `#/compare?runs=id&runs=id`, or as MLflow's pages have it, `#/compare-runs?runs=["id","id"]`. */

import { Compare } from "../charts/compare.js";
import { MOST_RUNS } from "../charts/board.js";
import { h } from "../dom.js";
import { link } from "../router.js";

/** @type {import("../router.js").Show} */
export function showCompare({ el, state, signal, title }) {
  const ids = asked(state.all("runs"));
  title(`Compare ${ids.length} runs`);
  if (!ids.length) {
    el.append(h("div", { class: "empty" }, h("h1", {}, "No runs to compare"), h("p", {}, "Choose some in the table of an experiment's runs, then Compare."), h("p", {}, h("a", { class: "button", href: "#/" }, "All experiments"))));
    return;
  }
  el.append(h("h1", {}, ids.length === 1 ? "1 run" : `${ids.length} runs compared`), ids.length > MOST_RUNS ? h("p", { class: "muted" }, `Charts show the first ${MOST_RUNS}.`) : "");
  new Compare(el, ids, state, signal, (run) => link("experiments", run.experiment, "runs", run.id));
}

/** Ids from one list in JSON or from many names. @returns {string[]} */
function asked(/** @type {string[]} */ values) {
  const ids = values.flatMap((value) => {
    if (!value.startsWith("[")) return [value];
    try {
      return JSON.parse(value).map(String);
    } catch { /* a link that somebody has cut short */ return []; }
  });
  return [...new Set(ids)].slice(0, 1000);
}
