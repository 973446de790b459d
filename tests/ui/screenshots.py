"""Pictures of the main views, light and dark, for the README: ``python3 -m tests.ui.screenshots``.

Fills a server with runs that look like somebody's, and writes ``docs/screenshots/*.png``, below 150 kB each.
"""

import json
import math
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, List

from tests.launch import PATIENCE, ROOT, Running, environment, python_of

PLACE = ROOT / "docs" / "screenshots"
#: Larger ones are for nobody's README.
MOST_BYTES = 150_000


class Story:
    """A team's experiments, the same at every call."""

    def __init__(self, server: Running, now: int) -> None:
        self.server = server
        self.now = now
        self.dice = random.Random(7)
        self.experiment = self.ask("experiments/create", name="cifar10/resnet")["experiment_id"]
        note = "Baseline **ResNet** on CIFAR-10: which learning rate and depth are worth a long run?"
        self.ask("experiments/set-experiment-tag", experiment_id=self.experiment, key="mlflow.note.content", value=note)
        self.ask("experiments/set-experiment-tag", experiment_id=self.experiment, key="team", value="vision")
        for name in ("nlp/finetune-bert", "tabular/churn"):
            self.ask("experiments/create", name=name)
        self.runs = [self.run(n) for n in range(40)]

    def ask(self, path: str, **body: Any) -> Any:
        """The answer to a POST that must succeed."""
        status, text = self.server.ask("POST", f"/api/2.0/mlflow/{path}", json.dumps(body))
        assert status == 200, text
        return json.loads(text)

    def run(self, number: int) -> str:
        """One training run with its curves."""
        dice, start = self.dice, self.now - (40 - number) * 5_400_000
        rate, model = 10 ** dice.uniform(-4, -1), dice.choice(["resnet18", "resnet34", "vit-small"])
        tags = {"mlflow.source.name": "train.py", "mlflow.user": dice.choice(["ana", "bo", "chen"]), "stage": "dev"}
        made = self.ask(
            "runs/create", experiment_id=self.experiment, run_name=f"{model}-{number:02d}", start_time=start,
            tags=[{"key": key, "value": value} for key, value in tags.items()],
        )
        run = str(made["run"]["info"]["run_id"])
        best = 0.95 - abs(math.log10(rate) + 2.2) * 0.1 + dice.uniform(-0.02, 0.02)
        points = []
        for step in range(60):
            done = 1 - math.exp(-step / 12)
            row = {
                "val/acc": best * done + dice.gauss(0, 0.006),
                "train/loss": 2.3 * math.exp(-step / 11 * best) + 0.05 + dice.gauss(0, 0.015),
                "val/loss": 2.2 * math.exp(-step / 13 * best) + 0.12 + dice.gauss(0, 0.02),
            }
            at = start + step * 30_000
            points += [{"key": key, "value": value, "timestamp": at, "step": step} for key, value in row.items()]
        params = {"lr": f"{rate:.5f}", "model": model, "batch_size": dice.choice(["64", "128", "256"])}
        items = [{"key": key, "value": value} for key, value in params.items()]
        self.ask("runs/log-batch", run_id=run, metrics=points, params=items)
        status = "RUNNING" if number == 39 else "FAILED" if number == 17 else "FINISHED"
        ended = {} if status == "RUNNING" else {"end_time": start + dice.randint(900_000, 5_000_000)}
        self.ask("runs/update", run_id=run, status=status, **ended)
        return run

    def views(self) -> List[List[str]]:
        """Name and place of each picture."""
        runs = "&".join(f"runs={run}" for run in self.runs[-6:])
        return [
            ["experiments", ""],
            ["runs", f"experiments/{self.experiment}?sort=-metrics.val%2Facc"],
            ["charts", f"experiments/{self.experiment}?tab=charts"],
            ["run", f"experiments/{self.experiment}/runs/{self.runs[-2]}"],
            ["compare", f"compare?{runs}"],
        ]


def photograph(base: str, views: List[List[str]], place: Path) -> None:
    """Write a picture of each view in each theme. Runs under the environment ``BROWSER``."""
    from tests.ui.browser import chromium

    with chromium() as browser:
        for theme in ("light", "dark"):
            context = browser.new_context(viewport={"width": 1200, "height": 720}, color_scheme=theme)
            page = context.new_page()
            for name, path in views:
                page.goto(f"{base}/#/{path}")
                page.wait_for_timeout(1200)
                page.screenshot(path=str(place / f"{name}-{theme}.png"))
            context.close()


def main() -> None:
    """Fill a server, and let the environment with the browser take the pictures."""
    from time import time

    from tests.environments import BROWSER

    PLACE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, Running(Path(folder)) as server:
        story = Story(server, int(time() * 1000))
        wanted = json.dumps([f"http://127.0.0.1:{server.port}", story.views(), str(PLACE)])
        variables = {**environment(), "HOME": os.environ.get("HOME", "/root")}
        command = [python_of(BROWSER), "-m", "tests.ui.screenshots", wanted]
        subprocess.run(command, cwd=str(ROOT), env=variables, check=True, timeout=10 * PATIENCE)
    for picture in sorted(PLACE.glob("*.png")):
        size = picture.stat().st_size
        print(f"{picture.relative_to(ROOT)}: {size // 1000} kB")
        assert size < MOST_BYTES, f"{picture.name} has {size} bytes"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        address, pages, into = json.loads(sys.argv[1])
        photograph(address, pages, Path(into))
    else:
        main()
