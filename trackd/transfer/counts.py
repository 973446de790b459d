"""What a copy has read, written and skipped, per kind."""

from typing import Dict, List

#: In the order in which they are shown, with the word for one of them.
KINDS = {
    "experiments": "experiment",
    "runs": "run",
    "points": "point of metrics",
    "params": "param",
    "tags": "tag",
    "inputs": "input",
    "outputs": "output",
    "logged models": "logged model",
    "points of models": "point of a logged model",
    "registered models": "registered model",
    "model versions": "model version",
    "artifacts": "artifact",
    "bytes": "byte of artifacts",
}


class Counts:
    """Skipped is what was at the target already. ``refused`` has a sentence for each thing that could not be kept."""

    def __init__(self) -> None:
        self.read: Dict[str, int] = {}
        self.written: Dict[str, int] = {}
        self.skipped: Dict[str, int] = {}
        self.refused: List[str] = []

    def note(self, kind: str, written: int = 0, skipped: int = 0) -> None:
        """So many were read, and were written or there already."""
        for counts, number in ((self.read, written + skipped), (self.written, written), (self.skipped, skipped)):
            counts[kind] = counts.get(kind, 0) + number

    def table(self) -> List[str]:
        """One line per kind of which there was any."""
        lines = [f"{'':18}{'read':>12}{'written':>12}{'skipped':>12}"]
        for kind in KINDS:
            if self.read.get(kind):
                numbers = (self.read[kind], self.written.get(kind, 0), self.skipped.get(kind, 0))
                lines.append(f"{kind:18}" + "".join(f"{number:12,}" for number in numbers))
        return lines
