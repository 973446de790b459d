"""The trash: /api/trackd/trash. What is deleted, how large it is, and removing it for good as ``trackd gc`` does."""

import time
from typing import Any, Dict, Sequence

from trackd import fields, garbage
from trackd.api.context import Context
from trackd.artifacts.base import Locations
from trackd.artifacts.paths import ArtifactPath
from trackd.errors import InvalidParameterValue
from trackd.web.router import route


class _Reach:
    """Artifacts as ``garbage`` wants them: those that this server reads."""

    def __init__(self, locations: Locations) -> None:
        self._locations = locations

    def measure(self, location: str) -> "tuple[int, int]":
        """See ``garbage.Artifacts``."""
        store, path = self._locations.find(location)
        sizes = [size for _, size in store.walk(path)]
        return len(sizes), sum(sizes)

    def remove(self, location: str) -> None:
        """See ``garbage.Artifacts``."""
        store, path = self._locations.find(location)
        store.delete(path)
        above = ArtifactPath(path.rpartition("/")[0])
        if above and not store.list(above):
            store.delete(above)


def _plan(ctx: Context, wanted: garbage.Wanted) -> garbage.Plan:
    plan = garbage.find(ctx.store, wanted, int(time.time() * 1000))
    return garbage.measure(plan, _Reach(ctx.locations))


def _shown(items: Sequence[garbage.Item]) -> Any:
    return [each._asdict() for each in items] or None


@route("GET", "/api/trackd/trash")
def trash(ctx: Context) -> Dict[str, Any]:
    """List what is deleted and can be removed for good, with the number and bytes of its artifacts."""
    plan = _plan(ctx, garbage.Wanted())
    return {"items": _shown(plan.items), "kept": plan.kept or None}


@route("POST", "/api/trackd/trash/remove")
def remove(
    ctx: Context,
    run_ids: fields.ManyRunIds = (),
    experiment_ids: fields.ExperimentIds = (),
    model_ids: fields.ManyModelIds = (),
) -> Dict[str, Any]:
    """Remove deleted runs, experiments and logged models for good, with their artifacts. There is no way back."""
    if not (run_ids or experiment_ids or model_ids):
        raise InvalidParameterValue("Name what to remove: run_ids, experiment_ids or model_ids.")
    plan = _plan(ctx, garbage.Wanted(0, run_ids, experiment_ids, model_ids))
    outcome = garbage.remove(ctx.store, _Reach(ctx.locations), plan)
    return {"removed": _shown(outcome.removed), "kept": [*plan.kept, *outcome.kept] or None}
