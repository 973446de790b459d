"""All steps of the differential test, in the order in which they are sent."""

from typing import List

from tests.compat import (
    steps_artifacts,
    steps_experiments,
    steps_logged_models,
    steps_metrics,
    steps_registry,
    steps_runs,
    steps_search,
    steps_wire,
)
from tests.compat.differ import Step

STEPS: List[Step] = [
    *steps_experiments.STEPS,
    *steps_runs.STEPS,
    *steps_metrics.STEPS,
    *steps_search.STEPS,
    *steps_logged_models.STEPS,
    *steps_registry.STEPS,
    *steps_artifacts.STEPS,
    *steps_wire.STEPS,
]
