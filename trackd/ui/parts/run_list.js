/** The runs of a search: page after page of them, kept up to date while others write, as a list or as a tree. */

import { post } from "../api.js";

/**
 * @typedef {{id: string, name: string, status: string, start: number, end: number, experiment: string, user: string, stage: string,
 *   metrics: Map<string, any>, params: Map<string, string>, tags: Map<string, string>, datasets: {name: string, digest: string, context: string}[],
 *   summary: Map<string, {min?: number, max?: number}>, fresh: Set<string>, stamp: string, depth: number, children: number, open: boolean}} Run
 * @typedef {{filter: string, order: string[], stage: string}} Search
 */

const FIRST_PAGE = 100, PAGE_SIZE = 1000, LIVE_PAGE = 200;
/** So many are loaded at once; more when somebody scrolls there. */
const MOST_LOADED = 10_000;

/** A run as the pages know it. @returns {Run} */
export function runOf(/** @type {any} */ raw) {
  const { info, data, inputs } = raw;
  const tags = pairs(data.tags);
  return {
    id: info.run_id, name: info.run_name || tags.get("mlflow.runName") || info.run_id, status: info.status, start: info.start_time || 0, end: info.end_time || 0,
    experiment: info.experiment_id, user: tags.get("mlflow.user") || info.user_id || "", stage: info.lifecycle_stage,
    metrics: new Map((data.metrics || []).map((/** @type {any} */ each) => [each.key, each.value])), params: pairs(data.params), tags,
    datasets: (inputs?.dataset_inputs || []).map((/** @type {any} */ { dataset, tags: labels }) => ({ name: dataset.name, digest: dataset.digest, context: pairs(labels).get("mlflow.data.context") || "" })),
    summary: new Map(), fresh: new Set(), stamp: JSON.stringify(raw), depth: 0, children: 0, open: false,
  };
}

/** @returns {Map<string, string>} */
function pairs(/** @type {{key: string, value: string}[] | undefined} */ items) {
  return new Map((items || []).map(({ key, value }) => [key, value]));
}

export class RunList {
  /** @param {string[]} experiments @param {AbortSignal} signal @param {() => void} changed called after every page */
  constructor(experiments, signal, changed) {
    this.experiments = experiments;
    this.signal = signal;
    this.changed = changed;
    /** @type {Run[]} */ this.runs = [];
    /** @type {Search} */ this.search = { filter: "", order: [], stage: "ACTIVE_ONLY" };
    /** Whether every run is here. */ this.whole = false;
    /** @type {string | null} */ this.token = null;
    this.loading = false;
    this.turn = new AbortController();
  }

  async page(/** @type {number} */ most, /** @type {string | null} */ token = null) {
    const { filter, order, stage } = this.search;
    const signal = AbortSignal.any([this.signal, this.turn.signal]);
    const answer = await post("2.0/mlflow/runs/search", { experiment_ids: this.experiments, filter, order_by: order, run_view_type: stage, max_results: most, ...(token ? { page_token: token } : {}) }, { signal });
    return { runs: (answer.runs || []).map(runOf), token: answer.next_page_token || null };
  }

  /** Begin a search. Fails with the server's words about its filter; the runs of the last one stay then. */
  async start(/** @type {Search} */ search) {
    const before = this.search;
    this.turn.abort();
    this.turn = new AbortController();
    this.search = search;
    let first;
    try {
      first = await this.page(FIRST_PAGE);
    } catch (error) {
      this.search = before;
      throw error;
    }
    this.runs = first.runs;
    this.token = first.token;
    this.whole = !first.token;
    this.changed();
    this.more(MOST_LOADED);
  }

  /** Load on, up to so many runs. */
  async more(/** @type {number} */ most) {
    if (this.loading) return;
    this.loading = true;
    try {
      while (this.token && this.runs.length < most) {
        const { turn } = this;
        const { runs, token } = await this.page(PAGE_SIZE, this.token);
        if (turn !== this.turn) continue;
        // What was written since the first page can move a run to a later one.
        const known = new Set(this.runs.map((run) => run.id));
        this.runs = this.runs.concat(runs.filter((/** @type {Run} */ run) => !known.has(run.id)));
        this.token = token;
        this.whole = !token;
        this.changed();
      }
    } catch (error) {
      if (!(error instanceof DOMException) && !this.signal.aborted) throw error;
    } finally {
      this.loading = false;
      if (this.token && this.runs.length < Math.min(most, FIRST_PAGE + 1) && !this.signal.aborted) this.more(most);
    }
  }

  /** The same search again, because something was written. @param {Run[]} visible what is on the screen now */
  async refresh(visible) {
    const { turn } = this;
    const few = this.whole && this.runs.length <= PAGE_SIZE;
    const first = await this.page(few ? PAGE_SIZE : LIVE_PAGE);
    if (turn !== this.turn) return;
    const old = new Map(this.runs.map((run) => [run.id, run]));
    const keep = (/** @type {Run} */ run) => {
      const was = old.get(run.id);
      if (!was) return run;
      if (was.stamp === run.stamp) return was;
      run.summary = was.summary;
      return run;
    };
    const now = first.runs.map(keep);
    if (few) {
      this.runs = now;
      this.token = first.token;
      this.whole = !first.token;
      if (first.token) this.more(MOST_LOADED);
    } else {
      const there = new Set(now.map((/** @type {Run} */ run) => run.id));
      const doubtful = [...new Set([...this.runs.slice(0, LIVE_PAGE), ...visible])].filter((run) => !there.has(run.id)).map((run) => run.id);
      const again = doubtful.length ? ((await post("trackd/runs/list", { run_ids: doubtful }, { signal: this.signal })).runs || []).map(runOf) : [];
      if (turn !== this.turn) return;
      const stage = this.search.stage === "ACTIVE_ONLY" ? "active" : "deleted";
      /** @type {Map<string, Run>} */ const looked = new Map(again.map((/** @type {Run} */ run) => [run.id, keep(run)]));
      const asked = new Set(doubtful);
      this.runs = now.concat(this.runs.filter((run) => !there.has(run.id) && (!asked.has(run.id) || looked.get(run.id)?.stage === stage)).map((run) => looked.get(run.id) || run));
    }
    this.changed();
  }

  /** Fetch least and greatest values of metrics of runs that have changed since; whether there were any. @param {Run[]} runs @param {string[]} keys */
  async summarise(runs, keys) {
    const missing = runs.filter((run) => keys.some((key) => run.metrics.has(key) && !run.fresh.has(key)));
    if (!missing.length || !keys.length) return false;
    const most = Math.max(1, Math.min(1000, Math.floor(20_000 / keys.length)));
    for (let at = 0; at < missing.length; at += most) {
      const part = missing.slice(at, at + most);
      const answer = await post("trackd/metrics/summary", { run_ids: part.map((run) => run.id), metric_keys: keys }, { signal: this.signal });
      const byId = new Map(part.map((run) => [run.id, run]));
      for (const each of answer.metrics || []) byId.get(each.run_id)?.summary.set(each.metric_key, { min: each.min, max: each.max });
      for (const run of part) for (const key of keys) run.fresh.add(key);
    }
    return true;
  }
}

/** Children below their parents, as far as these are open. @param {Run[]} runs @param {Set<string>} open @returns {Run[]} */
export function asTree(runs, open) {
  const ids = new Set(runs.map((run) => run.id));
  /** @type {Map<string, Run[]>} */ const below = new Map();
  /** @type {Run[]} */ const roots = [];
  for (const run of runs) {
    const parent = run.tags.get("mlflow.parentRunId");
    if (parent && parent !== run.id && ids.has(parent)) {
      const siblings = below.get(parent);
      if (siblings) siblings.push(run);
      else below.set(parent, [run]);
    } else roots.push(run);
  }
  /** @type {Run[]} */ const list = [];
  const seen = new Set();
  const add = (/** @type {Run} */ run, /** @type {number} */ depth) => {
    seen.add(run.id);
    run.depth = depth;
    run.children = below.get(run.id)?.length || 0;
    run.open = open.has(run.id);
    list.push(run);
    if (run.open) for (const child of below.get(run.id) || []) if (!seen.has(child.id)) add(child, depth + 1);
  };
  for (const run of roots) add(run, 0);
  // Parents of each other belong to no root.
  if (!roots.length) for (const run of runs) if (!seen.has(run.id)) add(run, 0);
  return list;
}
