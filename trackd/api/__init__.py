"""The endpoints: one decorated function each, one module per resource. ``MODULES`` lists those whose routes exist."""

from typing import List

from trackd.api import changes, experiments, exports, health, histories, keys, logged_models, metrics, runs
from trackd.web.router import Route

MODULES = (experiments, runs, metrics, histories, exports, keys, changes, logged_models, health)


def routes() -> List[Route]:
    """Every route, in the order in which the modules declare them."""
    return [
        route for module in MODULES for function in vars(module).values() for route in getattr(function, "routes", ())
    ]
