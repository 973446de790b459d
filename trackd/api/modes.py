"""Which routes a mode of the server switches off: ``--no-serve-artifacts`` and ``--artifacts-only``."""

import re
from typing import Optional

from trackd.config import Config
from trackd.web.router import Route

_PROXY = re.compile(r"/(ajax-)?api/2\.0/mlflow-artifacts/")
#: What is neither about artifacts nor about experiments, runs and models.
_ALWAYS = re.compile(r"/(health|version)|/(ajax-)?api/3\.0/mlflow/server-info")
_TRACKING = re.compile(r"/(ajax-)?api/.*|/get-artifact|/model-versions/get-artifact")


def off(route: Route, config: Config) -> Optional[str]:
    """Why the route is switched off, in MLflow's words; ``None`` if it is not."""
    path = route.path[len(config.static_prefix) :] if not route.bare else route.path
    if _PROXY.match(path):
        if config.serve_artifacts or config.artifacts_only:
            return None
        return (
            f"Endpoint: {path} disabled due to the mlflow server running with `--no-serve-artifacts`. To enable "
            "artifacts server functionality, run `mlflow server` with `--serve-artifacts`"
        )
    if config.artifacts_only and not _ALWAYS.fullmatch(path) and _TRACKING.fullmatch(path):
        return (
            f"Endpoint: {path} disabled due to the mlflow server running in `--artifacts-only` mode. To enable "
            "tracking server functionality, run `mlflow server` without `--artifacts-only`"
        )
    return None
