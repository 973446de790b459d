/** The charts of one or many runs, as a part of a view: `el` shows them, `update` says which runs. */

import { onChange } from "../api.js";
import { Board } from "../charts/board.js";
import { loadRuns } from "../charts/data.js";

/** Settings are in `state`, under names that begin with "c."; `only` chooses among the metrics.
 * @param {{state: import("../router.js").State, signal: AbortSignal, only?: (key: string) => boolean}} view */
export function metricCharts({ state, signal, only }) {
  const board = new Board({
    get: (name) => state.get(`c.${name}`),
    all: (name) => state.all(`c.${name}`),
    set: (patch) => state.set(Object.fromEntries(Object.entries(patch).map(([name, value]) => [`c.${name}`, value]))),
  }, only);
  /** @type {string[]} */ let ids = [];
  const load = async () => board.setRuns(await loadRuns(ids, signal));
  signal.addEventListener("abort", () => board.destroy());
  onChange(load, signal);
  return {
    el: board.el,
    update(/** @type {string[]} */ runIds) {
      ids = runIds;
      return load();
    },
  };
}
