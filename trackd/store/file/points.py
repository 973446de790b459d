"""Lines of metric files: one for each point, of a run or of a logged model."""

import re
from typing import List
from urllib.parse import quote, unquote

from trackd.entities import Metric

_SPACE = re.compile(r"\s")
_ENCODED = re.compile(r"%[0-9A-F]{2}")


def line(metric: Metric, run_id: str = "") -> str:
    """``timestamp value step [run id] [dataset name, digest]``, as MLflow's file store writes it.

    A logged model's line has the id of the run that logged it.
    """
    text = f"{metric.timestamp} {metric.value!r} {metric.step}"
    if run_id:
        text += f" {run_id}"
    if metric.dataset_name is not None and metric.dataset_digest is not None:
        text += f" {_field(metric.dataset_name)} {_field(metric.dataset_digest)}"
    return text + "\n"


def model_point(key: str, fields: List[bytes]) -> Metric:
    """The point of a logged model's line, of which the index fills in the model; ``ValueError`` for another line.

    MLflow writes a dataset's name with blanks as it is, and then cannot read the file: all but the last field, which is
    the digest, is the name.
    """
    timestamp, value, step, run_id, *dataset = [field.decode("utf-8") for field in fields]
    if len(dataset) == 1:
        raise ValueError("a dataset has a name and a digest")
    name = _unquoted(" ".join(dataset[:-1])) if dataset else None
    digest = _unquoted(dataset[-1]) if dataset else None
    return Metric(key, float(value), int(timestamp), int(step), None, name, digest, run_id)


def _field(text: str) -> str:
    """A field without white space, which would make MLflow refuse the whole file; percent-encoded where it has some."""
    return quote(text, safe="") if _SPACE.search(text) or _ENCODED.search(text) else text


def _unquoted(field: str) -> str:
    """The text that ``_field`` made into this; one that it cannot have made is MLflow's, and stands for itself."""
    text = unquote(field) if _ENCODED.search(field) else field
    return text if _field(text) == field else field
