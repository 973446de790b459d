"""What a browser shows of 10,000 runs, of a curve of 1,000,000 points, of 100 runs, of 3,000 metrics; and how fast."""

import json
import subprocess
from functools import lru_cache
from pathlib import Path
from typing import Any, Dict, List

from tests import environments
from tests.ui.chart_data import Filler
from trackd.store import open_store

#: Beside the store: what the browser asks for.
PLAN = "pages.json"
REPOSITORY = Path(__file__).resolve().parents[2]


def fill_for_pages(place: Path) -> None:
    """Write the runs into ``place/mlruns``, and which they are beside it."""
    store = open_store(str(place / "mlruns"), sync="off")
    try:
        filler = Filler(store)
        plan: Dict[str, Any] = {"many": filler.many(10_000), "newest": "many-09999"}
        filler.sweep(100, 1000)
        plan["sweep"] = [filler.runs[name] for name in sorted(filler.runs)]
        plan["long"] = filler.long("long", 1_000_000)
        plan["wide"] = filler.wide("wide", 3000)
    finally:
        store.close()
    (place / PLAN).write_text(json.dumps(plan), encoding="utf-8")


@lru_cache(maxsize=1)
def seen(port: int, place: str, rounds: int) -> Dict[str, List[float]]:
    """The rounds of every row, measured by one visit; under ``missing`` why there are none."""
    try:
        python = environments.ready(environments.BROWSER)
    except (environments.Unavailable, subprocess.CalledProcessError) as error:
        return {"missing": [str(error)]}  # type: ignore[list-item]
    done = subprocess.run(
        [str(python), "-m", "tests.bench.pages_browser", str(port), str(Path(place) / PLAN), str(rounds)],
        cwd=str(REPOSITORY), capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    if done.returncode != 0:
        return {"missing": [done.stderr.strip()[-300:]]}  # type: ignore[list-item]
    return dict(json.loads(done.stdout))
