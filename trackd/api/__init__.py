"""The endpoints: one decorated function each, one module per resource. ``MODULES`` lists those whose routes exist."""

from typing import List

from trackd.api import (
    archives,
    artifacts,
    changes,
    experiments,
    exports,
    health,
    histories,
    keys,
    logged_models,
    metrics,
    model_versions,
    pages,
    previews,
    registered_models,
    runs,
    trash,
)
from trackd.web.router import Route

MODULES = (
    experiments,
    runs,
    metrics,
    histories,
    exports,
    registered_models,
    model_versions,
    keys,
    changes,
    logged_models,
    artifacts,
    archives,
    health,
    pages,
    previews,
    trash,
)


def routes() -> List[Route]:
    """Every route, in the order in which the modules declare them."""
    return [
        route for module in MODULES for function in vars(module).values() for route in getattr(function, "routes", ())
    ]
