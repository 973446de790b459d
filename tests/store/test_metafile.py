"""``store.file.metafile`` against PyYAML: recorded answers for everyone, the real one in the compat tests.

``metafile_cases.json`` holds pairs of data and the text that MLflow's ``yaml.dump(...)`` (see ``ORACLE``) made of it.
"""

import json
import math
import random
import subprocess
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Tuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.environments import MLFLOW_3, ready
from trackd.store.file.metafile import MetafileError, dump, load
from trackd.store.file.yaml_reader import Reader

CASES: List[Tuple[Dict[str, Any], str]] = json.loads(
    (Path(__file__).parent / "metafile_cases.json").read_text(encoding="utf-8")
)

RUN = {
    "artifact_uri": "mlflow-artifacts:/0/5a29f3d8a1fb4c6c8d2f94e6a6de1f5e/artifacts", "end_time": 1700000000123,
    "entry_point_name": "", "experiment_id": "0", "lifecycle_stage": "active",
    "run_id": "5a29f3d8a1fb4c6c8d2f94e6a6de1f5e", "run_name": "gifted-fox-7", "run_uuid": "0e100000000000000000",
    "source_name": "", "source_type": 4, "source_version": "", "start_time": 1700000000000, "status": 3, "tags": [],
    "user_id": "it's me",
}

#: Prefers what is special to YAML, and words that are long enough to be folded.
_PIECES = [
    "a", "word", "foo bar", " ", "  ", "'", '"', ":", ": ", " #", "#", "-", "- ", "? ", "?", "!", "&", "*", "|", ">",
    "%", "@", "`", "{", "}", "[", "]", ",", "\\", "\n", "\n\n", "\n ", " \n", "\t", "\r", "\x85", "\u2028", "\u2029",
    "\xa0", "é", "日本", "😀", "\0", "\x1b", "\x7f", "\ufeff", "\ufffe", "0", "12", ".", "_", "e", "+", "0x", "0b",
    "1:30", "true", "no", "null", "~", "=", "<<", "---", "...", "2020-01-01", ".inf", "x" * 30, "lorem ipsum " * 9,
    "w" * 90, "é" * 64,
]
TEXTS = st.one_of(
    st.sampled_from(sorted({"", *(str(case[0].get("value")) for case in CASES)})),
    st.lists(st.sampled_from(_PIECES), max_size=30).map("".join),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=200),
)
SCALARS = st.one_of(TEXTS, st.integers(), st.booleans(), st.none(), st.floats(allow_nan=False))
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=8
)
DOCUMENTS = st.dictionaries(TEXTS, VALUES, max_size=4)


@pytest.mark.parametrize("data, text", CASES, ids=range(len(CASES)))
def test_dump_writes_the_bytes_that_pyyaml_writes(data: Dict[str, Any], text: str) -> None:
    assert dump(data).decode("utf-8") == text


@pytest.mark.parametrize("data, text", CASES, ids=range(len(CASES)))
def test_load_reads_what_pyyaml_wrote(data: Dict[str, Any], text: str) -> None:
    assert _exactly(load(text.encode("utf-8"))) == _exactly(data)


def _exactly(data: object) -> str:
    """Tells 1, 1.0 and true apart."""
    return json.dumps(data, sort_keys=True)


@settings(max_examples=150, deadline=None)
@given(DOCUMENTS)
def test_what_was_dumped_loads_as_it_was(data: Dict[str, Any]) -> None:
    assert _exactly(load(dump(data))) == _exactly(data)


def test_load_understands_its_own_nan() -> None:
    value = load(dump({"a": math.nan}))["a"]
    assert isinstance(value, float) and math.isnan(value)


def test_dump_of_a_run_is_the_file_that_mlflow_writes() -> None:
    assert dump(RUN) == (
        b"artifact_uri: mlflow-artifacts:/0/5a29f3d8a1fb4c6c8d2f94e6a6de1f5e/artifacts\n"
        b"end_time: 1700000000123\nentry_point_name: ''\nexperiment_id: '0'\nlifecycle_stage: active\n"
        b"run_id: 5a29f3d8a1fb4c6c8d2f94e6a6de1f5e\nrun_name: gifted-fox-7\nrun_uuid: 0e100000000000000000\n"
        b"source_name: ''\nsource_type: 4\nsource_version: ''\nstart_time: 1700000000000\nstatus: 3\ntags: []\n"
        b"user_id: it's me\n"
    )


SIMPLE: st.SearchStrategy[Dict[str, Any]] = st.dictionaries(
    st.from_regex(r"[A-Za-z_][A-Za-z0-9_.]{0,12}", fullmatch=True),
    st.text("abz019é日.:/+-_=,~ '\"@%&#[]{}\\", max_size=20) | st.integers() | st.none() | st.just([]),
    min_size=1, max_size=6,
)


@settings(max_examples=150, deadline=None)
@given(SIMPLE, st.sampled_from(["{}: {}\n", "{}: '{}'\n", '{}: "{}"\n']))
def test_the_fast_path_and_the_careful_reader_agree(data: Dict[str, Any], form: str) -> None:
    text = "".join(form.format(key, value) for key, value in data.items())
    assert _answer(lambda: load(text.encode("utf-8"))) == _answer(lambda: Reader(text).document())


def _answer(read: Callable[[], object]) -> str:
    try:
        return repr(read())
    except MetafileError as error:
        return str(error)


READ = [
    # Escapes, as PyYAML writes them without allow_unicode.
    ('a: "\\xE9\\u65E5\\U0001F600\\t\\e\\_\\N\\L\\P\\/\\x41"', {"a": "é日😀\t\x1b\xa0\x85\u2028\u2029/A"}),
    ('a: "\\ud83d\\ude00"', {"a": "😀"}),
    # Folded by PyYAML without libyaml, and by libyaml.
    ('a: "one\\\n  \\ two"', {"a": "one two"}),
    ('a: "one\n  \\ two"', {"a": "one  two"}),
    ("a: 'one\n\n\n  two'", {"a": "one\n\ntwo"}),
    ("a: one\n  two\n\n  three\nb: 1", {"a": "one two\nthree", "b": 1}),
    ("a: 'it''s'", {"a": "it's"}),
    # Block scalars.
    ("a: |\n  one\n   two\n\n  three\n\nb: 1", {"a": "one\n two\n\nthree\n", "b": 1}),
    ("a: |-\n  one\n\n", {"a": "one"}),
    ("a: |+\n  one\n\nb: 1", {"a": "one\n\n", "b": 1}),
    ("a: >\n  one\n  two\n\n  three\n   four\n  five\n", {"a": "one two\nthree\n four\nfive\n"}),
    ("a: |2- # with a leading blank\n   one\n", {"a": " one"}),
    ("a: >+\n\n\n", {"a": "\n\n"}),
    # Flow style.
    ("a: [1, x y, 'z', [], {b: c, d, \"e\":1}, ]", {"a": [1, "x y", "z", [], {"b": "c", "d": None, "e": 1}]}),
    ("{a: 1,\n b: [2,\n  # why\n  3]}", {"a": 1, "b": [2, 3]}),
    ("a: {? x : y}", {"a": {"x": "y"}}),
    # Lists, indented or not, nested, on one line.
    ("a:\n- 1\n- b: 2\n  c: 3\n-\n  - 4\n- - 5\n  - 6\n-\nd: 7",
     {"a": [1, {"b": 2, "c": 3}, [4], [5, 6], None], "d": 7}),
    ("a:\n    - 1\n    -   b: 2\n        c: 3\n", {"a": [1, {"b": 2, "c": 3}]}),
    ("? a\n: 1\n? - no\n", MetafileError),
    ("? long\n  key\n: - 1\n? lonely\n", {"long key": [1], "lonely": None}),
    # Hands.
    ("# first\n---\n\na:   1   # one\n  # two\nb:\tx\nc:\n  d: '#'\n...\n# end", {"a": 1, "b": "x", "c": {"d": "#"}}),
    ("\ufeffa: 1\r\nb: two\r\n", {"a": 1, "b": "two"}),
    ("a: x#y: z", MetafileError),
    ("a: x#y:z -? ,[]{}&*!|>'\"%@`", {"a": "x#y:z -? ,[]{}&*!|>'\"%@`"}),
    ("a:\nb: ~\n'c': null\n\"d\": 'null'\n", {"a": None, "b": None, "c": None, "d": "null"}),
    # What plain scalars mean in YAML 1.1.
    ("a: [0, -0, +5, 1_000, 0x1F, -0b11, 017, 1:30, 09, 0o17]", {"a": [0, 0, 5, 1000, 31, -3, 15, 90, "09", "0o17"]}),
    ("a: [1.5, .5, 1., -1_0.5e+3, 1:30.5, 1e5, 1.0e5]", {"a": [1.5, 0.5, 1.0, -10500.0, 90.5, "1e5", "1.0e5"]}),
    ("a: [.inf, -.INF, +.Inf]", {"a": [math.inf, -math.inf, math.inf]}),
    ("a: [yes, No, ON, off, true, False, y, nULL, =]",
     {"a": [True, False, True, False, True, False, "y", "nULL", "="]}),
    ("a: [2020-01-02, 2001-12-14 21:59:43.10 -5]", {"a": ["2020-01-02", "2001-12-14 21:59:43.10 -5"]}),
]


@pytest.mark.parametrize("text, expected", READ)
def test_load_reads_what_others_and_hands_write(text: str, expected: Any) -> None:
    if expected is MetafileError:
        with pytest.raises(MetafileError):
            load(text.encode("utf-8"))
    else:
        assert repr(load(text.encode("utf-8"))) == repr(expected)


DAMAGED = [
    (b"", "nothing in it"),
    (b"\n# only this\n", "nothing in it"),
    (b"\0" * 4096, "line 1: the character U+0000"),
    (b"a: 1\n\x7fELF\x02\x01", "line 2: the character U+007F"),
    (b"a: 1\nb: \xff\xfe", "line 2: not UTF-8"),
    ("a: 1\n".encode("utf-16"), "not UTF-8"),
    ("a: é\n".encode("latin-1"), "line 1: not UTF-8"),
    (b"a: 1\nb: 2\na: 3\n", "line 3: the key 'a' a second time"),
    (b"a: {b: 1, b: 2}\n", "a second time"),
    (b"a: 1\nb: 'cut he", "line 2: quotes that are not closed"),
    (b'a: 1\nb: "cut \\', "line 2: quotes that are not closed"),
    (b"a: 1\nart", "line 2: a line that is not `key: value`"),
    (b"a: [1, 2\n", "in brackets"),
    (b"a: [1 2: 3]\n", "in brackets"),
    (b"a: {b: 1\nc: 2", "in brackets"),
    (b"a: [\n", "the end of the file"),
    (b"a: b: c\n", "line 1: more text"),
    (b"a: 'b' c\n", "line 1: more text"),
    (b"a: - b\n", "line 1: -"),
    (b"a: 1\n  b: 2\n", "line 2: more text"),
    (b"a:\n   b: 1\n  c: 2\n", "line 3: wrong indentation"),
    (b"a:\n  - 1\n    - 2\n- 3\n", "line 4"),
    (b"a:\n\tb: 1\n", "line 2: a tab in the indentation"),
    (b"a: &x 1\nb: *x\n", "line 1: an anchor, alias or tag"),
    (b"a: !!python/object:os.system 1\n", "an anchor, alias or tag"),
    (b"<<: 1\n", "line 1: a merge key"),
    (b"%YAML 1.1\n---\na: 1\n", "line 1: a directive"),
    (b"---\na: 1\n---\nb: 2\n", "line 3: a second document"),
    (b"- a\n", "not a mapping"),
    (b"just text\n", "not a mapping"),
    (b"<html><body>404</body></html>\n", "not a mapping"),
    (b'{"a": 1}\nb: 2\n', "line 2: text outside of the mapping"),
    (b"1: a\n", "the key 1 is not text"),
    (b"yes: a\n", "the key True is not text"),
    (b"[a]: 1\n", "line 1"),
    (b"a: 0x_\n", "line 1: 0x_ is not a number"),
    (b"a: " + b"9" * 5000 + b"\n", "not a number"),
    (b'a: "\\q"\n', "line 1: a wrong escape"),
    (b'a: "\\ud800"\n', "line 1: a wrong escape"),
    (b'a: "\\UFFFFFFFF"\n', "line 1: a wrong escape"),
    (b"a: |x\n", "line 1: an unknown mark"),
    ("a: b\u2028c\n".encode("utf-8"), "line 1: a line separator"),
    (b"a: @b\n", "line 1: @ where a value should begin"),
    (b"a: {?1}\n", "line 1: ? where a value should begin"),
    (b"a: " + b"[" * 100_000, "nested deeper"),
    (b"a:\n" + b"".join(b" " * i + b"- \n" for i in range(200)), "nested deeper"),
    (b"- " * 100_000, "nested deeper"),
]


@pytest.mark.parametrize("data, message", DAMAGED, ids=range(len(DAMAGED)))
def test_damage_is_refused_with_its_line(data: bytes, message: str) -> None:
    with pytest.raises(MetafileError) as caught:
        load(data)
    assert message in str(caught.value) and str(caught.value).startswith("line ")


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=60) | st.lists(st.sampled_from([*_PIECES, "a: ", "\n- "])).map("".join).map(str.encode))
def test_rubbish_never_raises_anything_else(data: bytes) -> None:
    try:
        assert isinstance(load(data), dict)
    except MetafileError as error:
        assert str(error).startswith("line ")


@pytest.mark.parametrize("data", [dump(RUN), CASES[-1][1].encode("utf-8")], ids=["run", "nested"])
def test_a_file_cut_anywhere_is_refused_or_a_mapping(data: bytes) -> None:
    whole = load(data)
    for length in range(len(data)):
        try:
            part = load(data[:length])
        except MetafileError:
            continue
        assert set(part) <= set(whole) and part != whole or length == len(data) - 1


@pytest.mark.parametrize(
    "data", [{"a": "\ud800"}, {"\ud800": "a"}, {"a": object()}, {("a",): 1}, {"a": b"bytes"}, ["a"], {"a": 10**5000}]
)
def test_what_cannot_be_kept_is_refused(data: Any) -> None:
    with pytest.raises(MetafileError):
        dump(data)


def test_nesting_is_refused_before_the_stack_ends_and_what_is_written_can_be_read() -> None:
    data: Dict[str, Any] = {}
    for depth in range(70):
        try:
            written = dump({"a": data})
        except MetafileError:
            assert depth > 20
            break
        assert load(written) == {"a": data}
        data = {"b": [data]}
    else:
        pytest.fail("no limit")


def test_unknown_keys_survive_a_rewrite() -> None:
    data = load(b"zzz: [1, {x: y}]\nname: a\nours: 0x10\n")
    data["name"] = "b"
    assert dump(data) == b"name: b\nours: 16\nzzz:\n- 1\n- x: y\n"


#: Answers a line of JSON with a line of JSON. "dump" is what MLflow calls in utils/yaml_utils.py, plus no aliases.
ORACLE = """
import json, sys, yaml
class Dumper(yaml.CSafeDumper):
    def ignore_aliases(self, data): return True
class PlainDumper(yaml.SafeDumper):
    def ignore_aliases(self, data): return True
class Loader(yaml.CSafeLoader): pass
Loader.add_constructor('tag:yaml.org,2002:timestamp', lambda loader, node: loader.construct_scalar(node))
for line in sys.stdin:
    what, data = json.loads(line)
    if what == 'dump':
        answer = [
            yaml.dump(data, default_flow_style=False, allow_unicode=unicode, Dumper=dumper)
            for unicode in (True, False) for dumper in (Dumper, PlainDumper)
        ]
    else:
        try: answer = repr(yaml.load(data, Loader=Loader))
        except (yaml.YAMLError, ValueError, TypeError, RecursionError): answer = None
    print(json.dumps(answer), flush=True)
"""


@pytest.fixture(scope="module")
def pyyaml() -> Iterator[Callable[[str, object], Any]]:
    """Asks the PyYAML of a real MLflow's environment."""
    process = subprocess.Popen(
        [str(ready(MLFLOW_3)), "-c", ORACLE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin and process.stdout
    stdin, stdout = process.stdin, process.stdout

    def ask(what: str, data: object) -> Any:
        stdin.write(json.dumps([what, data]) + "\n")
        stdin.flush()
        return json.loads(stdout.readline())

    yield ask
    stdin.close()
    process.wait(timeout=10)
    stdout.close()


@pytest.mark.compat
def test_the_recorded_answers_are_pyyamls(pyyaml: Callable[[str, object], Any]) -> None:
    for data, text in CASES:
        assert pyyaml("dump", data)[0] == text


@pytest.mark.compat
@settings(max_examples=1500, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=DOCUMENTS)
def test_dump_equals_pyyaml_and_load_reads_its_variants(
    pyyaml: Callable[[str, object], Any], data: Dict[str, Any]
) -> None:
    mlflow, *variants = pyyaml("dump", data)
    assert dump(data).decode("utf-8") == mlflow
    for text in (mlflow, *variants):
        if "\x85" in text:  # PyYAML without libyaml takes it for printable, and reads a line break back
            continue
        assert _exactly(load(text.encode("utf-8"))) == _exactly(data)


_MARKS = ["\n", "\n  ", "- ", ": ", "? ", '"', "'", " #", "[", "]", "{", "}", ",", "|\n", ">-\n", "\t", "a", "1"]


@pytest.mark.compat
@settings(max_examples=1500, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=DOCUMENTS, seed=st.integers(0, 2**32))
def test_a_changed_file_is_refused_or_read_as_pyyaml_reads_it(
    pyyaml: Callable[[str, object], Any], data: Dict[str, Any], seed: int
) -> None:
    chance = random.Random(seed)
    text = dump(data).decode("utf-8").replace("\u2028", "").replace("\u2029", "")
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(text) + 1)
        text = text[:at] + chance.choice(_MARKS) + text[at + chance.choice([0, 0, 1, 3]):]
    answer = pyyaml("load", text)
    try:
        mine = repr(load(text.encode("utf-8")))
    except MetafileError:
        return
    # Some of what PyYAML refuses is harmless (a key in braces that goes over two lines) and read.
    assert answer is None or mine == answer
