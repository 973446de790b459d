"""A whole project on one database: MLflow, then trackd, then MLflow again; the counts agree at every step."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests import environments
from tests.compat import peers
from trackd.app import routes

pytestmark = pytest.mark.compat

HAS_REGISTRY = any(route.path.endswith("/registered-models/search") for route in routes())


@pytest.mark.skipif(not HAS_REGISTRY, reason="needs registered models")
@pytest.mark.parametrize(
    "release", [environments.MLFLOW_2_22, environments.MLFLOW_3], ids=lambda release: release.name
)
def test_a_project_moves_from_mlflow_to_trackd_and_back(release: environments.Environment, tmp_path: Path) -> None:
    try:
        python = environments.ready(release)
    except environments.Unavailable as error:
        pytest.skip(str(error))
    variables = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "TRACKD_"))}
    done = subprocess.run(
        [str(python), str(peers.REPOSITORY / "examples" / "switch_servers.py"), "my.db"],
        cwd=str(tmp_path),
        env={
            **variables, "PYTHONPATH": str(peers.REPOSITORY), "MLFLOW_DISABLE_TELEMETRY": "true",
            "GIT_PYTHON_REFRESH": "quiet",
        },
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=180,
    )
    assert done.returncode == 0 and "all counts agree" in done.stdout, done.stdout
    lines = re.findall(r"(MLflow|trackd) +(\d+) runs, (\d+) metrics, (\d+) params, (\d+) versions", done.stdout)
    assert [row[1:] for row in lines if row[0] == "MLflow"] == [
        (str(4 * n), str(300 * n), str(20 * n), str(4 * n)) for n in (1, 1, 2, 3, 4)
    ]
    assert [row[1] for row in lines if row[0] == "trackd"] == ["4", "8", "12"]
