"""Runs for charts: written into a folder by the store itself, before a server looks at it."""

import math
import random
import sys
from pathlib import Path
from typing import Dict, List, Sequence

from trackd.entities import ACTIVE, Metric, Param, RunInfo, Tag
from trackd.store import open_store
from trackd.store.base import Store

START = 1_700_000_000_000
HOSTILE = '<script>alert("x")</script>\u202e' + "x" * 3000


class Filler:
    """Writes runs; ``runs`` has their ids by name."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.random = random.Random(7)
        self.runs: Dict[str, str] = {}

    def experiment(self, name: str) -> str:
        """A new experiment."""
        with self.store.transaction() as tx:
            return tx.add_experiment(name, None, (), START, "mlflow-artifacts:")

    def run(self, name: str, experiment: str, params: Dict[str, str], tags: Sequence[Tag] = ()) -> str:
        """A new run."""
        run_id = f"{self.random.getrandbits(128):032x}"
        uri = f"mlflow-artifacts:/{experiment}/{run_id}/artifacts"
        info = RunInfo(run_id, experiment, name, "ann", "FINISHED", START, START + 90_000, uri, ACTIVE)
        with self.store.transaction() as tx:
            tx.add_run(info, [Tag("mlflow.runName", name), *tags])
            tx.add_params(run_id, [Param(key, value) for key, value in params.items()])
        self.runs[name] = run_id
        return run_id

    def log(self, run_id: str, key: str, values: List[float]) -> None:
        """Points at the steps 0, 1, 2 ..., a second apart."""
        for first in range(0, len(values), 50_000):
            part = values[first : first + 50_000]
            points = [Metric(key, value, START + 1000 * (first + n), first + n) for n, value in enumerate(part)]
            with self.store.transaction() as tx:
                tx.add_metrics(run_id, points)

    def sweep(self, count: int, points: int) -> str:
        """An experiment of runs that differ in three params, with two curves each."""
        experiment = self.experiment(f"sweep-{count}")
        for number in range(count):
            rate = 10 ** self.random.uniform(-4, -1)
            optimizer = ("adam", "sgd", "rmsprop")[number % 3]
            best = abs(math.log10(rate) + 2.3) * 0.3 + 0.1 * (number % 3)
            params = {"lr": f"{rate:.5f}", "optimizer": optimizer, "depth": str(number % 5), "seed": "1"}
            run_id = self.run(f"run-{number:03}", experiment, params)
            noise = self.random.gauss
            curve = [best + 2 * math.exp(-6 * n / points) + noise(0, 0.03) for n in range(points)]
            self.log(run_id, "loss", curve)
            self.log(run_id, "accuracy", [1 - value / 3 for value in curve])
        return experiment

    def many(self, count: int) -> str:
        """An experiment of runs with two params and two metrics each, each a second after the one before."""
        experiment = self.experiment(f"many-{count}")
        for first in range(0, count, 200):
            with self.store.transaction() as tx:
                for number in range(first, min(first + 200, count)):
                    run_id, start = f"{self.random.getrandbits(128):032x}", START + 1000 * number
                    uri = f"mlflow-artifacts:/{experiment}/{run_id}/artifacts"
                    name = f"many-{number:05}"
                    info = RunInfo(run_id, experiment, name, "ann", "FINISHED", start, start + 900, uri, ACTIVE)
                    tx.add_run(info, [Tag("mlflow.runName", name)])
                    tx.add_params(run_id, [Param("lr", str(number / count)), Param("depth", str(number % 7))])
                    tx.add_metrics(run_id, [Metric(key, self.random.random(), start, 0) for key in ("acc", "loss")])
        return experiment

    def long(self, name: str, points: int) -> str:
        """A run with one long curve that has one peak."""
        run_id = self.run(name, self.experiment(name), {"lr": "0.1"})
        walk = [0.0]
        while len(walk) < points:
            walk.append(walk[-1] + self.random.gauss(0, 1))
        walk[points // 3] = 1e6
        self.log(run_id, "loss", walk)
        return run_id

    def wide(self, name: str, keys: int) -> str:
        """A run with very many metrics of a few points each."""
        run_id = self.run(name, self.experiment(name), {})
        for first in range(0, keys, 500):
            points = [
                Metric(f"layer_{number // 100:02}/m{number:04}", self.random.random(), START + step, step)
                for number in range(first, min(first + 500, keys))
                for step in range(3)
            ]
            with self.store.transaction() as tx:
                tx.add_metrics(run_id, points)
        return run_id


def fill_for_stories(folder: Path) -> Dict[str, str]:
    """What the stories are told on; ids by name."""
    store = open_store(str(folder), sync="off")
    try:
        filler = Filler(store)
        filler.sweep(100, 200)
        filler.long("long", 100_000)
        nan, infinite = float("nan"), float("inf")
        for name, factor in (("one", 1.0), ("two", 2.0)):
            params = {"lr": "0.1", "depth": str(factor), "hostile": HOSTILE}
            run_id = filler.run(name, "0", params, [Tag("note", HOSTILE)])
            values = [factor * math.exp(-n / 50) for n in range(200)]
            values[20], values[40], values[60] = nan, infinite, 1e9
            filler.log(run_id, "train/loss", values)
            filler.log(run_id, "val/loss", [factor * math.exp(-n / 40) + 0.1 for n in range(50)])
        return filler.runs
    finally:
        store.close()


if __name__ == "__main__":
    print(fill_for_stories(Path(sys.argv[1])))
