"""Where everything lies in MLflow's folder layout, and the one gate from user text to a path.

::

    <root>/<experiment id>/meta.yaml  tags/<key>  datasets/<id>/meta.yaml
    <root>/<experiment id>/<run id>/meta.yaml  params/<key>  tags/<key>  metrics/<key>  artifacts/
    <root>/<experiment id>/<run id>/inputs/<id>/meta.yaml  outputs/<id>/meta.yaml
    <root>/<experiment id>/models/<model id>/meta.yaml  params/<key>  tags/<key>  metrics/<key>  artifacts/
    <root>/models/<model name>/meta.yaml  tags/<key>  aliases/<alias>  .trackd-aliases/<hash>
    <root>/models/<model name>/version-<number>/meta.yaml  tags/<key>        deleted versions stay
    <root>/.trash/<experiment id>/...            deleted experiments; deleted runs stay where they are

MLflow takes every directory in the root for an experiment, so what is trackd's own are plain files in the root that
begin with ``.trackd``. A key with ``/`` is a path of sub-folders. Paths here are relative to the root, with ``/``.
"""

import functools
import os
import re
from typing import Iterable, Iterator, Optional

from trackd.errors import InvalidParameterValue

TRASH = ".trash"
META = "meta.yaml"
PARAMS, TAGS, METRICS = "params", "tags", "metrics"
INPUTS, OUTPUTS, DATASETS, MODELS = "inputs", "outputs", "datasets", "models"
ARTIFACTS, TRACES = "artifacts", "traces"
ALIASES, ODD_ALIASES = "aliases", ".trackd-aliases"

#: Folders of an experiment that are not runs.
NOT_RUNS = frozenset((TAGS, DATASETS, TRACES, MODELS))
#: Folders of the root that are not experiments: the model registry.
NOT_EXPERIMENTS = frozenset((MODELS,))

INDEX = ".trackd-index.db"
LOCK = ".trackd-lock"
#: Prefix of temporary files; they lie in the run's or experiment's own folder.
TEMPORARY = ".trackd-"

EXPERIMENT_ID = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,255}", re.ASCII)

#: The longest file name that Linux and macOS file systems keep, in bytes.
_NAME_BYTES = 255
_WINDOWS_NAMES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
_WINDOWS_CHARACTERS = re.compile(r'[<>:"|?*\\]')


#: A model version's folder.
VERSION = "version-"
_VERSION_FOLDER = re.compile(r"version-([1-9][0-9]{0,17})", re.ASCII)
#: Characters of a name that its stand-in begins with, for people who look into the folder.
_STAND_IN_CHARACTERS = 60


def version_number(folder: str) -> Optional[int]:
    """The number of the version in a folder of this name; ``None`` for another kind of folder."""
    match = _VERSION_FOLDER.fullmatch(folder)
    return int(match.group(1)) if match else None


def is_registry(key: str) -> bool:
    """Whether a folder's name in the index is that of a registered model or of a version of one."""
    return key.startswith(MODELS + "/")


def model_folders(name: str) -> Iterator[str]:
    """Names for the folder of a registered model, the first that is free is taken: its own, where a file system can
    have it, else one made of it. The name itself stands in ``meta.yaml``.

    MLflow's file store takes a folder of any name with that ``meta.yaml``, but refuses to list any of them as long as
    one folder has a % in its name.
    """
    if _is_file_name(name) and "%" not in name:
        yield name
    start = re.sub(r"[^\w-]+", "_", name[:_STAND_IN_CHARACTERS], flags=re.ASCII)
    stem = f"{start}~{_md5(name)}"
    yield stem
    number = 2
    while True:
        yield f"{stem}-{number}"
        number += 1


def alias_name(alias: str, others: Iterable[str], folds: bool) -> str:
    """The file of an alias below its model's folder. One that cannot be a file's name beside those of ``others`` goes
    where MLflow does not look."""
    if _is_file_name(alias) and not (folds and any(folded(alias) == folded(other) != other for other in others)):
        return f"{ALIASES}/{alias}"
    return f"{ODD_ALIASES}/{_md5(alias)}"


def _is_file_name(text: str) -> bool:
    """Whether a folder or file can have this name, beside trackd's own."""
    if text in ("", ".", "..") or "/" in text or "\0" in text or text.startswith(TEMPORARY) or os.sep in text:
        return False
    if len(text.encode("utf-8", "surrogatepass")) > _NAME_BYTES:
        return False
    return os.name != "nt" or not (
        _WINDOWS_NAMES.fullmatch(text) or _WINDOWS_CHARACTERS.search(text) or text[-1] in ". "
    )


def folded(name: str) -> str:
    """What two names have in common that are one to a file system which does not tell cases apart."""
    import unicodedata  # such file systems are few

    return unicodedata.normalize("NFC", name).casefold()


@functools.lru_cache(maxsize=8)
def folds_case(root: str) -> bool:
    """Whether the file system under a store takes ``A`` and ``a`` for one name, as those of macOS and Windows do."""
    return os.path.lexists(f"{root}/{LOCK.upper()}")


def experiment_folder(experiment_id: str, deleted: bool) -> str:
    """The folder of an experiment."""
    return f"{TRASH}/{experiment_id}" if deleted else experiment_id


@functools.lru_cache(maxsize=8192)
def value_name(kind: str, key: str) -> str:
    """The file of a param, tag or metric below its run's or experiment's folder, or ``InvalidParameterValue``.

    ``key`` is user text. Every part of it must be a plain file name, so that no key can name a file outside of
    ``kind``.
    """
    for part in key.split("/"):
        if part in ("", ".", "..") or "\0" in part or len(part.encode("utf-8", "surrogatepass")) > _NAME_BYTES:
            raise _refused(key, "each part between slashes must be a file name of at most 255 bytes")
        if os.name == "nt" and (
            _WINDOWS_NAMES.fullmatch(part) or _WINDOWS_CHARACTERS.search(part) or part[-1] in ". "
        ):
            raise _refused(key, "Windows does not allow this file name")
    if os.sep != "/" and os.sep in key:
        raise _refused(key, "it holds a path separator")
    return f"{kind}/{key}"


def _refused(key: str, why: str) -> InvalidParameterValue:
    return InvalidParameterValue(f"The key {key!r} cannot be kept in a folder: {why}. Choose another name.")


def dataset_id(name: str, digest: str) -> str:
    """The folder name that MLflow's file store derives for a dataset: md5 of name and digest."""
    return _md5(name + digest)


def input_id(source_id: str, run_id: str) -> str:
    """The folder name that MLflow's file store derives for an input of a run: md5 of both ids."""
    return _md5(source_id + run_id)


def _md5(text: str) -> str:
    from hashlib import md5  # loads OpenSSL, for inputs only

    return md5(text.encode("utf-8")).hexdigest()
