/** What charts ask the server for. */

import { post } from "../api.js";

/** Windows of histories; see docs/api.md. */
export function history(question, signal) {
  return post("trackd/metrics/history", question, { signal });
}

/** Runs by id, whole. */
export async function loadRuns(ids, signal) {
  const answer = ids.length ? await post("trackd/runs/list", { run_ids: ids }, { signal }) : {};
  return (answer.runs || []).map(({ info, data }) => ({
    id: info.run_id, name: info.run_name || info.run_id.slice(0, 8), status: info.status, start: info.start_time || 0, end: info.end_time || 0,
    experiment: info.experiment_id, params: pairs(data.params), tags: pairs(data.tags),
    metrics: new Map((data.metrics || []).map((one) => [one.key, Number(one.value)])),
  }));
}

function pairs(items) {
  return new Map((items || []).map(({ key, value }) => [key, value]));
}
