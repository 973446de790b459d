"""Reading a run's or experiment's folder as it is on disk: whole or damaged, ours or MLflow's.

Whatever cannot be read becomes a ``Problem`` with its path; the rest is read all the same. Nothing here writes.
"""

import errno
import math
import os
import stat
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

from trackd.entities import (
    ACTIVE,
    DELETED,
    RUN_STATUS,
    Dataset,
    DatasetInput,
    Experiment,
    Metric,
    ModelInput,
    ModelOutput,
    Param,
    Run,
    RunInfo,
    Tag,
)
from trackd.store.base import Problem
from trackd.store.file import layout
from trackd.store.file.metafile import MetafileError, load

#: Files larger than this are no tag, param or meta.yaml; read anyway they would fill the memory.
LARGEST_VALUE = 16 * 1024 * 1024

#: A metric file of this size holds some ten million points; read at once it must fit into the memory.
LARGEST_METRIC = 1024 * 1024 * 1024

#: name below the folder -> (size in bytes, modification time in ns). Size -1: the last line has no end yet.
Stats = Dict[str, Tuple[int, int]]
Report = Callable[[str, str], None]


class RunFolder(NamedTuple):
    """A run as its folder holds it. ``run.metrics`` has the current point of the metrics that were read."""

    run: Run
    deleted_time: Optional[int]
    dataset_ids: List[str]
    stats: Stats


class ExperimentFolder(NamedTuple):
    """An experiment as its folder holds it."""

    experiment: Experiment
    datasets: Dict[str, Dataset]
    stats: Stats


def list_folders(path: str, report: Report) -> List[str]:
    """Names of the sub-folders (a link to a folder counts), without those whose name begins with a dot."""
    names = []
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if not entry.name.startswith(".") and is_folder(entry, report):
                    names.append(entry.name)
    except OSError as error:
        report(path, f"cannot be listed: {error.strerror}")
    return names


def is_folder(entry: "os.DirEntry[str]", report: Report) -> bool:
    """Whether it is a folder or a link to one; a link in a loop must not hide what lies beside it."""
    try:
        return entry.is_dir()
    except OSError as error:
        report(entry.path, f"cannot be looked at: {error.strerror}")
        return False


def stat_files(path: str, kinds: Tuple[str, ...], report: Report) -> Stats:
    """Every regular file of a run or experiment that matters: its ``meta.yaml`` and those below ``kinds``."""
    found: Stats = {}
    _stat_one(path, layout.META, found, report)
    for kind in kinds:
        _walk(path, kind, found, report)
    return found


RUN_KINDS = (layout.PARAMS, layout.TAGS, layout.METRICS, layout.INPUTS, layout.OUTPUTS)
EXPERIMENT_KINDS = (layout.TAGS, layout.DATASETS)
LOGGED_MODEL_KINDS = (layout.PARAMS, layout.TAGS, layout.METRICS)
REGISTERED_MODEL_KINDS = (layout.TAGS, layout.ALIASES, layout.ODD_ALIASES)
MODEL_VERSION_KINDS = (layout.TAGS,)


def kinds_of(key: str) -> Tuple[str, ...]:
    """What matters in a folder by its name in the index: of an experiment, a run, a logged model ..."""
    if layout.is_registry(key):
        return REGISTERED_MODEL_KINDS if key.count("/") == 1 else MODEL_VERSION_KINDS
    return (EXPERIMENT_KINDS, RUN_KINDS, LOGGED_MODEL_KINDS)[key.count("/")]


def _stat_one(path: str, name: str, found: Stats, report: Report) -> None:
    try:
        status = os.lstat(f"{path}/{name}")
    except FileNotFoundError:
        report(f"{path}/{name}", "is missing")
        return
    except OSError as error:
        report(f"{path}/{name}", f"cannot be looked at: {error.strerror}")
        return
    if stat.S_ISREG(status.st_mode):
        found[name] = (status.st_size, status.st_mtime_ns)
    else:
        report(f"{path}/{name}", "is not a plain file")


def _walk(path: str, kind: str, found: Stats, report: Report) -> None:
    """Add the files below ``path/kind``. Links, pipes and sockets are reported, not followed or opened."""
    pending = [kind]
    while pending:
        name = pending.pop()
        try:
            with os.scandir(f"{path}/{name}") as entries:
                for entry in entries:
                    if not is_text(entry.name):
                        report(f"{path}/{name}/{entry.name!a}", "has a name that is not UTF-8")
                    elif entry.is_file(follow_symlinks=False):
                        status = entry.stat(follow_symlinks=False)
                        found[f"{name}/{entry.name}"] = (status.st_size, status.st_mtime_ns)
                    elif entry.is_dir(follow_symlinks=False):
                        pending.append(f"{name}/{entry.name}")
                    else:
                        report(entry.path, "is not a plain file (links are not followed)")
        except FileNotFoundError:
            continue  # a run without params has no such folder; one that vanished is noticed at the next look
        except OSError as error:
            report(f"{path}/{name}", f"cannot be listed: {error.strerror}")


def is_text(name: str) -> bool:
    """Whether a file name is text; others come from the system with lone surrogates (PEP 383)."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def read_file(path: str) -> bytes:
    """The whole file; ``OSError`` if it is not a plain file of a sane size."""
    return _read(path, LARGEST_VALUE)


# Not blocking on a pipe, not following a link: what is not a plain file is refused before anything is read.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


def _read(path: str, limit: int, size: int = -1) -> bytes:
    """The first ``size`` bytes of a plain file (-1: all) of at most ``limit`` bytes."""
    descriptor = os.open(path, _FLAGS)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a plain file", path)
        if status.st_size > limit:
            raise OSError(errno.EFBIG, f"larger than {limit >> 20} MiB", path)
        wanted = status.st_size if size < 0 else min(size, status.st_size)
        data = os.read(descriptor, wanted) if wanted else b""
        while len(data) < wanted:
            more = os.read(descriptor, wanted - len(data))
            if not more:
                break
            data += more
        return data
    finally:
        os.close(descriptor)


def read_pieces(path: str, start: int, end: int, size: int = 1 << 17) -> Iterator[bytes]:
    """The bytes of a plain file from ``start`` to ``end``, or to its own end, in pieces; ``OSError`` for another."""
    descriptor = os.open(path, _FLAGS)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a plain file", path)
        os.lseek(descriptor, start, os.SEEK_SET)
        while start < end:
            piece = os.read(descriptor, min(size, end - start))
            if not piece:
                break
            start += len(piece)
            yield piece
    finally:
        os.close(descriptor)


def read_meta(path: str, report: Report) -> Optional[Dict[str, object]]:
    """A ``meta.yaml`` as a dict; ``None`` and a report if it cannot be read."""
    try:
        return load(read_file(path))
    except OSError as error:
        report(path, f"cannot be read: {error.strerror}")
    except MetafileError as error:
        report(path, f"is damaged: {error}")
    return None


def read_values(path: str, kind: str, stats: Stats, report: Report) -> Iterator[Tuple[str, str]]:
    """Key and text of each file below ``kind``."""
    prefix = kind + "/"
    for name in sorted(name for name in stats if name.startswith(prefix)):
        try:
            yield name[len(prefix) :], read_file(f"{path}/{name}").decode("utf-8")
        except OSError as error:
            report(f"{path}/{name}", f"cannot be read: {error.strerror}")
        except UnicodeDecodeError as error:
            report(f"{path}/{name}", f"is not UTF-8 text (byte {error.start})")


class Meta:
    """Typed access to a ``meta.yaml``; every surprise is a ``MetafileError`` that names the key."""

    def __init__(self, values: Dict[str, object]) -> None:
        self._values = values

    def text(self, key: str) -> str:
        """A string that must be there; numbers are taken as text (old MLflow wrote ids as numbers)."""
        value = self._values.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if not isinstance(value, str):
            raise MetafileError(f"{key} should be a text, but is {value!r}")
        return value

    def text_or_none(self, key: str) -> Optional[str]:
        """A string, or ``None``."""
        return None if self._values.get(key) is None else self.text(key)

    def number(self, key: str) -> Optional[int]:
        """An integer that fits 64 bits, or ``None``."""
        value = self._values.get(key)
        if value is None:
            return None
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not -(2**63) <= value < 2**63:
            raise MetafileError(f"{key} should be a whole number, but is {value!r}")
        return value


def read_experiment(
    path: str, experiment_id: str, deleted: bool, stats: Stats, report: Report
) -> Optional[ExperimentFolder]:
    """The experiment in this folder; ``None`` and a report if its ``meta.yaml`` does not say."""
    values = read_meta(f"{path}/{layout.META}", report)
    if values is None:
        return None
    meta = Meta(values)
    try:
        if meta.text("experiment_id") != experiment_id:
            raise MetafileError(f"experiment_id is {meta.text('experiment_id')!r}, not the folder's name")
        experiment = Experiment(
            experiment_id,
            meta.text("name"),
            meta.text("artifact_location"),
            DELETED if deleted else ACTIVE,
            meta.number("creation_time"),
            meta.number("last_update_time"),
            [Tag(key, value) for key, value in read_values(path, layout.TAGS, stats, report)],
        )
    except MetafileError as error:
        report(f"{path}/{layout.META}", f"is damaged: {error}")
        return None
    return ExperimentFolder(experiment, _read_datasets(path, stats, report), stats)


def _read_datasets(path: str, stats: Stats, report: Report) -> Dict[str, Dataset]:
    datasets = {}
    for name in stats:
        parts = name.split("/")
        if len(parts) != 3 or parts[0] != layout.DATASETS or parts[2] != layout.META:
            continue
        values = read_meta(f"{path}/{name}", report)
        if values is None:
            continue
        meta = Meta(values)
        try:
            datasets[parts[1]] = Dataset(
                meta.text("name"),
                meta.text("digest"),
                meta.text("source_type"),
                meta.text("source"),
                meta.text_or_none("schema"),
                meta.text_or_none("profile"),
            )
        except MetafileError as error:
            report(f"{path}/{name}", f"is damaged: {error}")
    return datasets


def read_run(
    path: str, experiment_id: str, run_id: str, stats: Stats, unchanged: Stats, report: Report
) -> Optional[RunFolder]:
    """The run in this folder; ``None`` and a report if its ``meta.yaml`` does not say.

    Metrics whose size and time are as in ``unchanged`` are not read again and not among ``run.metrics``.
    """
    values = read_meta(f"{path}/{layout.META}", report)
    if values is None:
        return None
    try:
        info, deleted_time = _read_info(Meta(values), experiment_id, run_id)
    except MetafileError as error:
        report(f"{path}/{layout.META}", f"is damaged: {error}")
        return None
    metrics = []
    prefix = layout.METRICS + "/"
    for name in [name for name in stats if name.startswith(prefix)]:
        if unchanged.get(name) != stats[name]:
            latest, whole = read_latest(f"{path}/{name}", name[len(prefix) :], report)
            if latest is not None:
                metrics.append(latest)
            if not whole:
                stats[name] = (-1, stats[name][1])
    inputs, models, outputs, dataset_ids = _read_links(path, stats, report)
    run = Run(
        info,
        metrics,
        [Param(key, value) for key, value in read_values(path, layout.PARAMS, stats, report)],
        [Tag(key, value) for key, value in read_values(path, layout.TAGS, stats, report)],
        inputs,
        models,
        outputs,
    )
    return RunFolder(run, deleted_time, dataset_ids, stats)


def _read_info(meta: Meta, experiment_id: str, run_id: str) -> Tuple[RunInfo, Optional[int]]:
    found = meta.text_or_none("run_id") or meta.text("run_uuid")
    if found != run_id:
        raise MetafileError(f"run_id is {found!r}, not the folder's name")
    if meta.text("experiment_id") != experiment_id:
        raise MetafileError(f"experiment_id is {meta.text('experiment_id')!r}, but the run lies in {experiment_id!r}")
    status = meta.number("status")
    if status is not None and status not in RUN_STATUS:
        raise MetafileError(f"status should be 1 to 5, but is {status}")
    stage = meta.text_or_none("lifecycle_stage") or ACTIVE
    if stage not in (ACTIVE, DELETED):
        raise MetafileError(f"lifecycle_stage should be active or deleted, but is {stage!r}")
    info = RunInfo(
        run_id,
        experiment_id,
        meta.text_or_none("run_name") or meta.text_or_none("name"),
        meta.text_or_none("user_id"),
        RUN_STATUS[status or 1],
        meta.number("start_time"),
        meta.number("end_time"),
        meta.text("artifact_uri"),
        stage,
    )
    return info, meta.number("deleted_time")


def _read_links(
    path: str, stats: Stats, report: Report
) -> Tuple[List[DatasetInput], List[ModelInput], List[ModelOutput], List[str]]:
    """Inputs and outputs. A dataset input carries its tags here; which dataset it is, the list of ids says."""
    datasets: List[DatasetInput] = []
    models: List[ModelInput] = []
    outputs: List[ModelOutput] = []
    ids: List[str] = []
    links = [name for name in stats if name.startswith((layout.INPUTS + "/", layout.OUTPUTS + "/"))]
    # MLflow keeps no order among inputs: the time they were logged is the best there is.
    for name in sorted(links, key=lambda name: (stats[name][1], name)):
        values = read_meta(f"{path}/{name}", report) if name.endswith("/" + layout.META) else None
        if values is None:
            continue
        meta = Meta(values)
        try:
            if name.startswith(layout.OUTPUTS + "/"):
                outputs.append(ModelOutput(meta.text("destination_id"), meta.number("step") or 0))
            elif meta.text("source_type") == "MODEL":
                models.append(ModelInput(meta.text("source_id")))
            else:
                ids.append(meta.text("source_id"))
                tags = values.get("tags")
                pairs = tags.items() if isinstance(tags, dict) else ()
                empty = Dataset("", "", "", "")
                datasets.append(DatasetInput(empty, [Tag(str(key), str(value)) for key, value in pairs]))
        except MetafileError as error:
            report(f"{path}/{name}", f"is damaged: {error}")
    return datasets, models, outputs, ids


def _run_point(key: str, fields: List[bytes]) -> Metric:
    """The point of a run's line: ``timestamp value [step] [dataset name, digest] [model id]``, 2 to 6 fields."""
    return Metric(key, float(fields[1]), int(fields[0]), int(fields[2]) if len(fields) > 2 else 0)


def parse_points(
    data: bytes, key: str, path: str, report: Report, read: Callable[[str, List[bytes]], Metric] = _run_point
) -> Tuple[List[Metric], bool]:
    """The points in a metric file, in file order, and whether the last line is complete.

    ``read`` makes a point of the fields of a line, or raises ``ValueError`` or ``IndexError``: such a line is skipped
    and reported, and so is a last line without its end: it may still be growing.
    """
    lines = data.split(b"\n")
    whole = lines.pop() == b""
    points = []
    for number, line in enumerate(lines, 1):
        try:
            point = read(key, line.split())
            if not (-(2**63) <= point.timestamp < 2**63 and -(2**63) <= point.step < 2**63):
                raise ValueError("out of range")
            points.append(point)
        except (ValueError, IndexError):
            report(path, f"line {number} is not a metric line and was skipped: {line[:60]!r}")
    if not whole:
        report(path, f"the last line ({len(lines) + 1}) has no end and was skipped")
    return points, whole


def rank(metric: Metric) -> Tuple[int, int, float]:
    """A run's current point is the one with the highest rank; NaN counts as 0, as in MLflow's SQL store."""
    return metric.step, metric.timestamp, 0.0 if math.isnan(metric.value) else metric.value


def read_latest(path: str, key: str, report: Report) -> Tuple[Optional[Metric], bool]:
    """The current point of a metric file, and whether its last line is complete."""
    try:
        points, whole = parse_points(_read(path, LARGEST_METRIC), key, path, report)
    except OSError as error:
        report(path, f"cannot be read: {error.strerror}")
        return None, True
    if not points:
        report(path, "holds no point")
        return None, whole
    return max(points, key=rank), whole


def read_points(
    path: str, key: str, report: Report, read: Callable[[str, List[bytes]], Metric]
) -> Tuple[List[Metric], bool]:
    """All points of a metric file, as ``parse_points`` has them; none of one that cannot be read."""
    try:
        return parse_points(_read(path, LARGEST_METRIC), key, path, report, read)
    except OSError as error:
        report(path, f"cannot be read: {error.strerror}")
        return [], True


def read_history(path: str, key: str, size: int) -> Optional[List[Metric]]:
    """The points in the first ``size`` bytes (-1: all); ``None`` if the file is shorter than that."""
    try:
        data = _read(path, LARGEST_METRIC, size)
    except FileNotFoundError:
        return None
    except OSError:
        return []  # damaged, and reported where the run was read; its run has no current point of it either
    if len(data) < size:
        return None
    return parse_points(data, key, path, lambda where, what: None)[0]


def collect(problems: List[Problem]) -> Report:
    """A ``Report`` that fills a list."""
    return lambda where, what: problems.append(Problem(where, what))
