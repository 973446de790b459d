"""Which metrics, params and tags there are, and how many runs: /api/trackd, for completion and headlines."""

from typing import Any, Dict

from trackd import fields
from trackd.api.context import Context
from trackd.web.router import route

#: Keys of one kind in an answer.
MOST_KEYS = 10_000


@route("GET", "/api/trackd/keys")
def keys(ctx: Context, experiment_ids: fields.ExperimentIds) -> Dict[str, Any]:
    """List the keys of metrics, params and tags of experiments' runs, each with the number of runs that have it."""
    found = ctx.store.list_keys(fields.unique(experiment_ids), MOST_KEYS)
    return {kind: [{"key": key, "runs": runs} for key, runs in rows] for kind, rows in found.items()}


@route("GET", "/api/trackd/counts")
def counts(ctx: Context) -> Dict[str, Any]:
    """Count the runs of each experiment that has any: active, deleted, running; and say when the last one started."""
    return {"experiments": [each._asdict() for each in ctx.store.count_runs()]}
