"""The architecture, held by the machine: who imports whom, how large things are, what is written on them."""

import ast
import importlib.util
import re
import sys
import sysconfig
from pathlib import Path
from typing import Dict, Iterator, List, Set, Tuple, Union

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "trackd"
FILES = sorted(PACKAGE.rglob("*.py"))
Function = Union[ast.FunctionDef, ast.AsyncFunctionDef]

MODULE_LINES = 500
#: The client is one file because it is copied alone to hosts that have nothing else. It has the words of a whole
#: package, each a few lines long; what other modules get from being short, it gets from its sections.
LONGER = {"trackd/client.py": 3300}
FUNCTION_LINES = 60
#: Names for places where anything can go.
DUMPING_GROUNDS = {"helper", "helpers", "util", "utils", "common", "misc", "service", "services", "manager", "managers",
                   "handler", "handlers", "impl", "base_impl", "core", "lib", "tools"}

#: "Imports go down only". A module may import what stands in a lower layer, and what stands here under the same name
#: (files of one folder). The longest matching prefix decides.
LAYERS: Tuple[Tuple[str, ...], ...] = (
    ("trackd.__main__",),
    ("trackd.cli",),
    ("trackd.bundle", "trackd.commands"),
    ("trackd.serving",),
    ("trackd.app",),
    ("trackd.api",),
    ("trackd.sync",),
    ("trackd.garbage", "trackd.transfer", "trackd.silence"),
    ("trackd.store", "trackd.artifacts"),
    ("trackd.store.file",),
    ("trackd.store.sql", "trackd.artifacts.local", "trackd.artifacts.s3"),
    ("trackd.artifacts.parts", "trackd.artifacts.s3_client"),
    ("trackd.store.base", "trackd.artifacts.base", "trackd.artifacts.unfinished", "trackd.web.server"),
    ("trackd.binding",),
    ("trackd.search", "trackd.fields", "trackd.wire", "trackd.web", "trackd.web.router", "trackd.web.guard",
     "trackd.arguments"),
    ("trackd.history",),
    ("trackd.entities", "trackd.config", "trackd.web.message", "trackd.search.clause", "trackd.artifacts.paths"),
    ("trackd.errors", "trackd.client"),
    ("trackd",),
)

#: Third-party modules and the one file that may import them.
OPTIONAL = {
    "boto3": "artifacts/s3_client.py", "botocore": "artifacts/s3_client.py",
    # Of whoever asks for a DataFrame or YAML, where they are installed.
    "pandas": "client.py", "yaml": "client.py",
}

#: The nouns of the API that have a file in every layer that knows them.
NOUNS = {"experiments", "runs", "metrics", "registered_models", "model_versions", "logged_models"}

#: Modules of the standard library that only some systems have; Python 3.9 cannot find them elsewhere.
ELSEWHERE = {"fcntl", "msvcrt", "resource", "winreg"}


def is_standard(module: str) -> bool:
    """Whether a top-level module belongs to the standard library."""
    if sys.version_info >= (3, 10):
        return module in sys.stdlib_module_names
    # Python 3.9 has no such list: what lies in its library, and not in site-packages, is it.
    found = importlib.util.find_spec(module)
    if found is None:
        return module in ELSEWHERE
    origin = found.origin or ""
    return origin in ("built-in", "frozen") or (
        origin.startswith(sysconfig.get_path("stdlib")) and "site-packages" not in origin
    )


def module_name(path: Path) -> str:
    """``trackd/web/server.py`` is ``trackd.web.server``; ``trackd/web/__init__.py`` is ``trackd.web``."""
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in FILES}
TREES: Dict[Path, ast.Module] = {path: ast.parse(path.read_text(encoding="utf-8"), str(path)) for path in FILES}


def where(path: Path, node: ast.AST) -> str:
    """``trackd/cli.py:12``, which an editor can open."""
    return f"{path.relative_to(ROOT).as_posix()}:{getattr(node, 'lineno', 1)}"


def imports(path: Path) -> Iterator[Tuple[ast.AST, str]]:
    """Every module that a file imports, anywhere in it; for ``from a import b`` it is ``a.b`` where that is a module.

    Imports for type checkers only (``if TYPE_CHECKING``) count too: a name in a signature is a dependency.
    """
    package = module_name(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node, alias.name
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join(above + ([node.module] if node.module else []))
            for alias in node.names:
                whole = f"{source}.{alias.name}"
                yield node, whole if whole in MODULES else source


def layer(module: str) -> Tuple[int, str]:
    """The number of a module's layer (0 is the top) and the prefix that put it there."""
    found = (-1, "")
    for number, prefixes in enumerate(LAYERS):
        for prefix in prefixes:
            covers = module == prefix or (prefix != "trackd" and module.startswith(prefix + "."))
            if covers and len(prefix) > len(found[1]):
                found = (number, prefix)
    return found


def functions(tree: ast.AST) -> Iterator[Function]:
    """All functions and methods, nested ones included."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_module_has_a_layer_and_imports_only_from_below_it(path: Path) -> None:
    own = module_name(path)
    number, prefix = layer(own)
    assert number >= 0, f"{own} stands in no layer of LAYERS"
    wrong = []
    for node, module in imports(path):
        if module.split(".")[0] != "trackd":
            continue
        below, their_prefix = layer(module)
        if below < number or (below == number and their_prefix != prefix):
            wrong.append(f"{where(path, node)} imports {module}")
    assert not wrong, "\n".join(wrong)


def test_the_api_sees_no_store_but_the_contract() -> None:
    wrong = [
        f"{where(path, node)} imports {module}"
        for path in FILES
        if module_name(path).startswith("trackd.api")
        for node, module in imports(path)
        if re.match(r"trackd\.(store|artifacts)(\.|$)", module)
        and not re.match(r"trackd\.(\w+\.base|artifacts\.paths)$", module)
    ]
    assert not wrong, "\n".join(wrong)


def test_the_web_folder_has_never_heard_of_mlflow() -> None:
    allowed = {"trackd.errors"}
    wrong = [
        f"{where(path, node)} imports {module}"
        for path in FILES
        if module_name(path).startswith("trackd.web")
        for node, module in imports(path)
        if module.startswith("trackd") and not module.startswith("trackd.web") and module not in allowed
    ]
    assert not wrong, "\n".join(wrong)


def test_only_the_standard_library_is_imported() -> None:
    wrong = []
    for path in FILES:
        for node, module in imports(path):
            top = module.split(".")[0]
            if top == "trackd" or is_standard(top):
                continue
            if OPTIONAL.get(top) != path.relative_to(PACKAGE).as_posix():
                wrong.append(f"{where(path, node)} imports {module}")
    assert not wrong, "\n".join(wrong)


def test_modules_are_short() -> None:
    sizes = {path.relative_to(ROOT).as_posix(): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert not {name: size for name, size in sizes.items() if size > LONGER.get(name, MODULE_LINES)}


def test_the_client_imports_nothing_of_ours() -> None:
    """It can be copied alone."""
    path = PACKAGE / "client.py"
    assert [where(path, node) for node, module in imports(path) if module.split(".")[0] == "trackd"] == []


def test_functions_are_short() -> None:
    wrong = []
    for path in FILES:
        for function in functions(TREES[path]):
            size = (function.end_lineno or function.lineno) - function.lineno + 1
            if size > FUNCTION_LINES:
                wrong.append(f"{where(path, function)} {function.name} has {size} lines")
    assert not wrong, "\n".join(wrong)


def test_everything_public_has_a_docstring() -> None:
    wrong = []
    for path in FILES:
        if not ast.get_docstring(TREES[path]):
            wrong.append(f"{where(path, TREES[path])} has none")
        wrong += [f"{where(path, node)} {name} has none" for node, name in undocumented(TREES[path])]
    assert not wrong, "\n".join(wrong)


def undocumented(tree: ast.AST) -> Iterator[Tuple[ast.AST, str]]:
    """Public classes, their public methods, and public functions of a module that have no docstring.

    A method that overrides a documented one of the same file's base class needs none of its own, nor does one
    of a private class.
    """
    classes = {node.name: node for node in ast.iter_child_nodes(tree) if isinstance(node, ast.ClassDef)}
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) or node.name.startswith("_"):
            continue
        if not ast.get_docstring(node):
            yield node, node.name
        if isinstance(node, ast.ClassDef):
            inherits = bool(node.bases) and not {ast.unparse(base) for base in node.bases} & {"NamedTuple", "object"}
            for member in ast.iter_child_nodes(node):
                if not isinstance(member, (ast.FunctionDef, ast.AsyncFunctionDef)) or member.name.startswith("_"):
                    continue
                if not ast.get_docstring(member) and not (inherits and overrides(member.name, node, classes)):
                    yield member, f"{node.name}.{member.name}"


#: Methods of the contracts in ``store.base`` and ``artifacts.base``: documented there, not again in each store.
CONTRACT: Set[str] = {
    member.name
    for contract in ("store", "artifacts")
    for node in ast.walk(TREES[PACKAGE / contract / "base.py"])
    if isinstance(node, ast.ClassDef)
    for member in node.body
    if isinstance(member, ast.FunctionDef)
}


def overrides(name: str, node: ast.ClassDef, classes: Dict[str, ast.ClassDef]) -> bool:
    """Whether a method of that name is documented in the store's contract or in a base class of the same file."""
    if name in CONTRACT:
        return True
    bases = [classes[base.id] for base in node.bases if isinstance(base, ast.Name) and base.id in classes]
    return any(
        isinstance(member, ast.FunctionDef) and member.name == name for base in bases for member in base.body
    )


def test_every_function_has_type_hints() -> None:
    wrong = []
    for path in FILES:
        for function in functions(TREES[path]):
            spec = function.args
            given = spec.posonlyargs + spec.args + spec.kwonlyargs + [a for a in (spec.vararg, spec.kwarg) if a]
            bare = [each.arg for each in given if each.annotation is None and each.arg not in ("self", "cls")]
            if bare or function.returns is None:
                wrong.append(f"{where(path, function)} {function.name}: {', '.join(bare) or 'what it returns'}")
    assert not wrong, "\n".join(wrong)


def test_no_error_is_swallowed() -> None:
    wrong = []
    for path in FILES:
        for attempt in ast.walk(TREES[path]):
            if not isinstance(attempt, ast.Try):
                continue
            for handler in attempt.handlers:
                says_nothing = all(isinstance(each, ast.Pass) or is_ellipsis(each) for each in handler.body)
                # With an else, the error is one of two ways that both go on below: nothing is swallowed.
                if handler.type is None or (says_nothing and not attempt.orelse):
                    wrong.append(where(path, handler))
    assert not wrong, "bare or silent except:\n" + "\n".join(wrong)


def is_ellipsis(node: ast.AST) -> bool:
    """``...`` or a lone string as a statement."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def test_no_module_is_a_dumping_ground() -> None:
    names = [path.relative_to(PACKAGE).with_suffix("").as_posix() for path in FILES]
    assert not [name for name in names if DUMPING_GROUNDS & set(re.split("[_/]", name))]


def test_the_same_noun_is_the_file_name_in_every_layer() -> None:
    """A noun that any layer has a file for is spelt the same in all; what a store keeps, the API has endpoints for."""
    singular = {noun[:-1]: noun for noun in NOUNS}
    wrong = [
        f"{path.relative_to(ROOT).as_posix()} should be {singular[path.stem]}.py"
        for path in FILES
        if path.stem in singular and path.parent.name in ("api", "sql", "file")
    ]
    for noun in NOUNS:
        stores = [kind for kind in ("file", "sql") if (PACKAGE / "store" / kind / f"{noun}.py").exists()]
        if stores and not (PACKAGE / "api" / f"{noun}.py").exists():
            wrong.append(f"store/{stores[0]}/{noun}.py has no api/{noun}.py")
    assert not wrong, "\n".join(wrong)


def test_python_3_9_can_read_every_file() -> None:
    for path in [*FILES, *(ROOT / "tests").rglob("*.py")]:
        ast.parse(path.read_text(encoding="utf-8"), str(path), feature_version=(3, 9))


def test_test_files_have_names_of_their_own() -> None:
    names: Dict[str, List[str]] = {}
    for path in (ROOT / "tests").rglob("test_*.py"):
        names.setdefault(path.name, []).append(path.relative_to(ROOT).as_posix())
    assert not {name: paths for name, paths in names.items() if len(paths) > 1}
