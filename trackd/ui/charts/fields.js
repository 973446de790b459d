/** What runs are compared by: params and last values of metrics, as numbers or as words. */

/** The value of ``params:key`` or ``metrics:key``; ``undefined`` where a run has none. */
export function valueOf(run, id) {
  const key = id.slice(id.indexOf(":") + 1);
  return id.startsWith("metrics:") ? run.metrics.get(key) : run.params.get(key);
}

/** Every param and metric of the runs, params first; ``numeric``: all values are numbers. */
export function fieldsOf(runs) {
  const found = [];
  for (const kind of ["params", "metrics"]) {
    const keys = [...new Set(runs.flatMap((run) => [...run[kind].keys()]))].sort();
    for (const key of keys) {
      const id = `${kind}:${key}`;
      const values = runs.map((run) => valueOf(run, id));
      const there = values.filter((value) => value !== undefined && value !== "");
      const numeric = there.length > 0 && there.every((value) => String(value).trim() !== "" && !Number.isNaN(Number(value)));
      const words = numeric ? [] : [...new Set(there.map(String))].sort();
      found.push({ id, label: key, numeric, differs: new Set(values.map(String)).size > 1, words });
    }
  }
  return found;
}

/** The place of a run on a field: its number, or that of its word; NaN where it has none. */
export function placeOf(field, run) {
  const value = valueOf(run, field.id);
  if (value === undefined || value === "") return NaN;
  return field.numeric ? Number(value) : field.words.indexOf(String(value));
}

/** The field of this id; else the first that differs between runs and fits. */
export function pick(fields, id, wanted = (_) => true) {
  return fields.find((field) => field.id === id) || fields.find((field) => field.differs && wanted(field)) || fields.find(wanted) || fields[0];
}
