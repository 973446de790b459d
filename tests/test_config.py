"""Settings: flags, environment, defaults, and what a working ``mlflow server`` line means here."""

import json
import os
import subprocess
from pathlib import Path
from typing import Dict, List, Optional

import pytest

from tests import environments
from tests.launch import python_of
from trackd.arguments import UsageError, gunicorn_timeout, help_line, help_text, read
from trackd.config import ARTIFACT_PROXY, NOTED, REFUSED, SETTINGS, WORKS, Config, local_path

#: Every flag of ``mlflow server``, 2.22 and 3.17, with its variable. A compat test asks the real ones.
MLFLOW_OPTIONS = {
    "--backend-store-uri": "MLFLOW_BACKEND_STORE_URI",
    "--read-replica-backend-store-uri": "MLFLOW_READ_REPLICA_BACKEND_STORE_URI",
    "--registry-store-uri": "MLFLOW_REGISTRY_STORE_URI",
    "--default-artifact-root": "MLFLOW_DEFAULT_ARTIFACT_ROOT",
    "--serve-artifacts": "MLFLOW_SERVE_ARTIFACTS",
    "--no-serve-artifacts": "MLFLOW_SERVE_ARTIFACTS",
    "--artifacts-only": "MLFLOW_ARTIFACTS_ONLY",
    "--artifacts-destination": "MLFLOW_ARTIFACTS_DESTINATION",
    "--host": "MLFLOW_HOST",
    "-h": "MLFLOW_HOST",
    "--port": "MLFLOW_PORT",
    "-p": "MLFLOW_PORT",
    "--workers": "MLFLOW_WORKERS",
    "-w": "MLFLOW_WORKERS",
    "--static-prefix": "MLFLOW_STATIC_PREFIX",
    "--allowed-hosts": "MLFLOW_SERVER_ALLOWED_HOSTS",
    "--cors-allowed-origins": "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS",
    "--disable-security-middleware": "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE",
    "--x-frame-options": "MLFLOW_SERVER_X_FRAME_OPTIONS",
    "--gunicorn-opts": "MLFLOW_GUNICORN_OPTS",
    "--waitress-opts": "",
    "--uvicorn-opts": "MLFLOW_UVICORN_OPTS",
    "--dev": "",
    "--expose-prometheus": "MLFLOW_EXPOSE_PROMETHEUS",
    "--app-name": "",
    "--trace-archival-config": "MLFLOW_TRACE_ARCHIVAL_CONFIG",
    "--secrets-cache-ttl": "",
    "--secrets-cache-max-size": "",
    "--workspace-store-uri": "MLFLOW_WORKSPACE_STORE_URI",
    # MLflow reads this variable beside its flags, not through them.
    "--enable-workspaces": "MLFLOW_ENABLE_WORKSPACES",
    "--disable-workspaces": "MLFLOW_ENABLE_WORKSPACES",
}
BY_FLAG = {flag: row for row in SETTINGS for flag in row.flags + row.off}
BY_NAME = {row.name: row for row in SETTINGS}


def refusal(words: List[str], environment: Dict[str, str]) -> str:
    """The sentence with which this command line is refused."""
    with pytest.raises(UsageError) as caught:
        read(words, environment)
    return str(caught.value)


@pytest.mark.parametrize("flag", sorted(MLFLOW_OPTIONS))
def test_every_option_of_mlflow_server_has_a_row_with_the_same_variable(flag: str) -> None:
    assert BY_FLAG[flag].environment == MLFLOW_OPTIONS[flag]


@pytest.mark.compat
@pytest.mark.parametrize("environment", [environments.MLFLOW_3, environments.MLFLOW_2], ids=lambda each: each.name)
def test_every_option_of_mlflow_server_is_known_as_mlflow_has_it_now(environment: environments.Environment) -> None:
    ask = (
        "import json, mlflow.cli; print(json.dumps([[o, p.envvar or '', p.default if isinstance(p.default, (str, int, "
        "type(None))) else '?'] for p in mlflow.cli.cli.commands['server'].params "
        "for o in p.opts + p.secondary_opts]))"
    )
    variables = dict(os.environ, MLFLOW_DISABLE_TELEMETRY="true")
    said = subprocess.run(
        [python_of(environment), "-c", ask], env=variables, capture_output=True, text=True, check=True
    ).stdout
    options = json.loads(said.strip().splitlines()[-1])
    assert len(options) > 15
    for flag, variable, default in options:
        row = BY_FLAG[flag]
        assert variable in (row.environment, ""), flag
        # What is refused must be left out by default, or a plain `mlflow server` would be refused.
        if row.state == REFUSED:
            assert default == row.default, flag


def test_a_flag_beats_the_environment_and_the_environment_beats_the_default() -> None:
    assert read([], {}).port == 5000
    assert read([], {"MLFLOW_PORT": "6000"}).port == 6000
    assert read(["--port", "7000"], {"MLFLOW_PORT": "6000"}).port == 7000


def test_an_empty_variable_counts_as_unset() -> None:
    assert vars(read([], {row.environment: "" for row in SETTINGS if row.environment})) == vars(Config())


def test_without_anything_given_the_settings_are_the_defaults() -> None:
    assert vars(read([], {})) == vars(Config())
    assert Config().notes == []


def test_config_declares_a_type_for_every_setting_that_works() -> None:
    declared = set(Config.__annotations__)
    assert {row.name for row in SETTINGS if row.state == WORKS} <= declared
    assert declared <= set(BY_NAME)


def test_config_takes_no_name_that_is_no_setting() -> None:
    with pytest.raises(TypeError, match="prot"):
        Config(prot=1)


def test_names_flags_and_variables_are_used_once() -> None:
    for used in (
        [row.name for row in SETTINGS],
        [flag for row in SETTINGS for flag in row.flags + row.off],
        [row.environment for row in SETTINGS if row.environment],
    ):
        assert len(used) == len(set(used))


@pytest.mark.parametrize("word", ["1", "true", "True", "YES", "on", "t", "y", " true "])
def test_the_words_for_true_are_those_of_mlflow(word: str) -> None:
    assert read([], {"TRACKD_READ_ONLY": word}).read_only is True


@pytest.mark.parametrize("word", ["0", "false", "FALSE", "no", "off", "f", "n"])
def test_the_words_for_false_are_those_of_mlflow(word: str) -> None:
    assert read([], {"MLFLOW_SERVE_ARTIFACTS": word}).serve_artifacts is False


def test_another_word_for_a_truth_value_is_refused_by_the_name_of_its_variable() -> None:
    said = refusal([], {"MLFLOW_SERVE_ARTIFACTS": "maybe"})
    assert said == "MLFLOW_SERVE_ARTIFACTS: 'maybe' is neither true nor false"


def test_the_flag_that_turns_off_beats_a_variable_that_turns_on() -> None:
    assert read(["--no-serve-artifacts"], {"MLFLOW_SERVE_ARTIFACTS": "true"}).serve_artifacts is False


def test_the_last_of_two_equal_flags_counts() -> None:
    assert read(["--port=1", "-p2", "-p", "3"], {}).port == 3


@pytest.mark.parametrize("words", [["-h", "::1"], ["-h::1"], ["--host", "::1"], ["--host=::1"]])
def test_h_is_the_host_as_in_mlflow(words: List[str]) -> None:
    assert read(words, {}).host == "::1"


@pytest.mark.parametrize(
    "words",
    [
        ["--gunicorn-opts", "--timeout=60"],
        ["--gunicorn-opts=--timeout=60"],
        ["--gunicorn-opts", "--timeout 60"],
        ["--gunicorn-opts", "--log-level debug --timeout 60 --keep-alive 5"],
        ["--gunicorn-opts", "-t 60"],
        ["--gunicorn-opts", "-t60"],
        ["--gunicorn-opts", "--timeout 5 --timeout '60'"],
    ],
)
def test_the_timeout_of_gunicorn_sets_the_read_timeout(words: List[str]) -> None:
    config = read(words, {})
    assert config.read_timeout == 60
    assert config.notes == ["--gunicorn-opts: only --timeout has an effect (read timeout 60 s)"]


def test_gunicorn_options_without_a_timeout_change_nothing_and_are_noted() -> None:
    config = read([], {"MLFLOW_GUNICORN_OPTS": "--log-level debug --timeouts=3 --graceful-timeout=4"})
    assert config.read_timeout is None
    assert config.notes == ["MLFLOW_GUNICORN_OPTS has no effect: trackd does not use gunicorn"]


@pytest.mark.parametrize("artifacts, exposed", [("mlruns", True), (".", True), ("mlruns/a", False), ("ml", False)])
def test_a_folder_of_artifacts_that_holds_the_runs_is_noted(artifacts: str, exposed: bool) -> None:
    config = read(["--artifacts-destination", artifacts], {})
    assert [note.startswith("clients can write over the runs in ./mlruns") for note in config.notes] == [True] * exposed
    assert read(["--artifacts-destination", artifacts, "--no-serve-artifacts"], {}).notes == []


def test_the_own_flag_for_the_read_timeout_beats_that_of_gunicorn() -> None:
    assert read(["--gunicorn-opts=--timeout=60", "--read-timeout=7"], {}).read_timeout == 7


@pytest.mark.parametrize("options", ["--timeout", "--timeout=", "--timeout=soon", "--timeout=-1", "-t 1.5", "-t 1e9",
                                     "--timeout=99999999999999999999", "--timeout=\u0661", "--timeout='"])
def test_a_bad_timeout_is_a_clear_error(options: str) -> None:
    with pytest.raises(UsageError, match="^--gunicorn-opts: "):
        gunicorn_timeout(options)


@pytest.mark.parametrize("name", [row.name for row in SETTINGS if row.state == NOTED])
def test_what_is_about_worker_processes_is_accepted_with_one_note(name: str) -> None:
    row = BY_NAME[name]
    config = read([f"{row.flags[0]}=3" if row.metavar else row.flags[0]], {})
    assert len(config.notes) == 1 and config.notes[0].startswith(row.flags[0])
    assert config.read_timeout is None


@pytest.mark.parametrize("name", [row.name for row in SETTINGS if row.state == REFUSED])
def test_what_is_not_built_is_refused_but_for_its_default(name: str) -> None:
    row = BY_NAME[name]
    other = {60: "61", 1000: "1001"}.get(row.default, "x")
    sentence = refusal([f"{row.flags[0]}={other}" if row.metavar else row.flags[0]], {})
    assert sentence.startswith(row.flags[0]) and "does not have yet" in sentence
    if row.environment:
        given = {row.environment: "true" if isinstance(row.default, bool) else "x"}
        assert refusal([], given).startswith(row.environment)
    if row.default is not None and row.metavar:
        assert vars(read([f"{row.flags[0]}={row.default}"], {})) == vars(Config())
    for off in row.off:
        assert vars(read([off], {})) == vars(Config())


def test_a_registry_may_lie_elsewhere() -> None:
    for uri in ("/elsewhere", "file:///data/models", "sqlite:///models.db"):
        assert read(["--registry-store-uri", uri], {}).registry_store_uri == uri
        assert read([], {"MLFLOW_REGISTRY_STORE_URI": uri}).registry_store_uri == uri
    for uri in ("http://host", "mysql://host/db", "file://host/data"):
        assert refusal(["--registry-store-uri", uri], {}).startswith("--registry-store-uri")


@pytest.mark.parametrize("uri", ["./mlruns", "mlruns", "/data/my runs", "file:///data", "file:mlruns", "C:\\mlruns",
                                 "file://localhost/data"])
def test_a_folder_is_taken_as_the_store(uri: str) -> None:
    assert read(["--backend-store-uri", uri], {}).backend_store_uri == uri


@pytest.mark.parametrize("uri", ["sqlite:///mlflow.db", "sqlite://", "sqlite:////data/my.db?timeout=5"])
def test_a_database_of_sqlite_is_taken_as_the_store(uri: str) -> None:
    config = read(["--backend-store-uri", uri, "--no-serve-artifacts"], {})
    assert config.backend_store_uri == uri
    assert config.default_artifact_root == os.path.abspath("mlruns"), "where MLflow keeps artifacts beside a database"


@pytest.mark.parametrize("uri", ["postgresql://u@h/db", "mysql+pymysql://u@h/db"])
def test_another_database_as_the_store_is_refused(uri: str) -> None:
    assert "sqlite:///my.db" in refusal(["--backend-store-uri", uri], {})


@pytest.mark.parametrize("uri", ["http://localhost:5000", "databricks://x", "s3://bucket", "file://otherhost/data"])
def test_what_is_no_store_is_refused(uri: str) -> None:
    assert repr(uri) in refusal([], {"MLFLOW_BACKEND_STORE_URI": uri})


def test_the_server_keeps_artifacts_in_folders_and_buckets_and_clients_anywhere() -> None:
    for place in ("s3://bucket", "s3://bucket/a/b", "./there", "file:///there"):
        assert read(["--artifacts-destination", place], {}).artifacts_destination == place
    for place in ("gs://bucket", "s3://", "s3:///key", "hdfs://h/p", "mlflow-artifacts:/a"):
        assert "s3://bucket/prefix" in refusal(["--artifacts-destination", place], {})
    assert read(["--default-artifact-root", "s3://bucket/x"], {}).default_artifact_root == "s3://bucket/x"


def test_the_artifact_root_follows_mlflows_rule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    here = Path.cwd()
    assert read([], {}).default_artifact_root == ARTIFACT_PROXY
    assert read(["--no-serve-artifacts"], {}).default_artifact_root == str(here / "mlruns")
    assert read(["--default-artifact-root", "./arts"], {}).default_artifact_root == str(here / "arts")
    assert read(["--default-artifact-root", "file:arts"], {}).default_artifact_root == (here / "arts").as_uri()
    assert read(["--default-artifact-root", "file:///a/b"], {}).default_artifact_root == "file:///a/b"


@pytest.mark.parametrize("value, what", [("a", "does not begin"), ("/a/", "ends with"), ("/", "ends with"),
                                         ("/{a}", "has one of"), ("/a b", "has one of"), ("/a?b", "has one of")])
def test_a_bad_prefix_is_refused(value: str, what: str) -> None:
    assert what in refusal(["--static-prefix", value], {})


@pytest.mark.parametrize("value", ["-1", "65536", "x", "", "5_000", "\u0665", "1e3", " 1"])
def test_a_bad_port_is_refused(value: str) -> None:
    assert refusal([f"--port={value}"], {}) == f"--port: {value!r} is not a whole number from 0 to 65535"


def test_lists_are_separated_by_commas_and_an_empty_one_is_the_default() -> None:
    config = read(["--allowed-hosts", "a.example, *.b.example,,"], {"MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": "https://c"})
    assert config.allowed_hosts == ["a.example", "*.b.example"]
    assert config.cors_allowed_origins == ["https://c"]
    assert read(["--allowed-hosts", ""], {}).allowed_hosts is None


def test_a_value_that_could_break_a_response_header_is_refused() -> None:
    assert "control character" in refusal(["--x-frame-options", "DENY\r\nX: y"], {})
    assert "is not a version number" in refusal(["--mlflow-version", "3.17\n"], {})


@pytest.mark.parametrize("value", ["3.17.2", "2.22.5", "3.0", "3.18.0.dev0", "3.18.0rc1"])
def test_the_version_that_is_told_to_clients_can_be_chosen(value: str) -> None:
    assert read(["--mlflow-version", value], {}).mlflow_version == value
    assert read([], {"TRACKD_MLFLOW_VERSION": value}).mlflow_version == value


@pytest.mark.parametrize(
    "word, said",
    [
        ("--prot=1", "unknown flag '--prot'; did you mean --port?"),
        ("--backend-store", "unknown flag '--backend-store'; did you mean --backend-store-uri?"),
        ("--qqqqq", "unknown flag '--qqqqq'"),
        ("runs", "unknown argument 'runs'"),
        ("", "unknown argument ''"),
        ("-q", "unknown flag '-q'"),
        ("--", "unknown flag '--'"),
    ],
)
def test_an_unknown_flag_is_named_with_the_nearest_one(word: str, said: str) -> None:
    assert refusal([word], {}) == said


def test_a_flag_without_its_value_and_a_value_for_a_flag_without_one_are_refused() -> None:
    assert refusal(["--port"], {}) == "--port needs a value: --port PORT"
    assert refusal(["-p"], {}) == "-p needs a value: -p PORT"
    assert refusal(["--read-only=yes"], {}) == "--read-only takes no value"


def test_the_help_names_every_flag_and_variable() -> None:
    shown = " ".join(help_text("trackd server", "").split())
    for row in SETTINGS:
        for word in (*row.flags, *row.off, row.environment):
            assert word in shown
        assert help_line(row).startswith(row.help.replace("%", "%%"))


@pytest.mark.parametrize(
    "uri, path",
    [("mlruns", "mlruns"), ("file:///a%20b/c", "/a b/c"), ("file:mlruns", "mlruns"), ("file://localhost/a", "/a"),
     ("file://elsewhere/a", None), ("s3://bucket/a", None), ("FILE:///a", "/a"), ("/a:b", "/a:b")],
)
def test_a_file_uri_is_a_path(uri: str, path: Optional[str]) -> None:
    assert local_path(uri) == path
