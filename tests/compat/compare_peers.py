"""For developers: sends all steps to two fresh servers and prints what differs.

``python3 -m tests.compat.compare_peers URL-A URL-B``. Two fresh MLflow servers must not differ in anything: that is how
the normaliser was checked.
"""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from tests.compat.differ import differences, run
from tests.compat.peers import Peer
from tests.compat.steps import STEPS


def main() -> None:
    """Print each step whose answers differ; with one URL, all answers as JSON lines."""
    with ThreadPoolExecutor() as pool:
        answers = list(pool.map(lambda url: run(Peer(url, urlsplit(url).port or 80), STEPS), sys.argv[1:]))
    if len(answers) == 1:
        for name, answer in answers[0].items():
            print(json.dumps({"step": name, **answer}, ensure_ascii=False))
        return
    differing = 0
    for name in answers[0]:
        found = differences(answers[0][name], answers[1][name])
        if found:
            differing += 1
            print(f"{name}\n    " + "\n    ".join(found[:8]))
    print(f"{len(STEPS)} steps, {differing} differ")


if __name__ == "__main__":
    main()
