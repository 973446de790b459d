"""The pattern that sources of new model versions must have: MLFLOW_CREATE_MODEL_VERSION_SOURCE_VALIDATION_REGEX.

Python's regular expressions can take years for a text of forty characters, and hold the interpreter's lock all
the while: no other request would be answered, and nothing inside of the process can end it. So the match is made in a
process of its own, which is asked over a pipe and ended when it takes longer than ``PATIENCE``; the source is refused
then, as one that was not found to be allowed. The process is started with the first question and stays; it is small
(10 MB), knows nothing but the pattern, and ends with the server, whose end of the pipe closes. At most ``WORKERS``
questions are asked at a time, so that those who wait longest are the sources that the pattern is bad at.
"""

import json
import os
import re
import subprocess
import sys
import threading
from typing import List, Optional

from trackd.errors import InvalidParameterValue
from trackd.fields.kinds import shown

VARIABLE = "MLFLOW_CREATE_MODEL_VERSION_SOURCE_VALIDATION_REGEX"

#: Seconds that a match may take. A sane pattern takes some microseconds; the first answer waits for the process.
PATIENCE = 1.0
#: The same, when the process must be started first; machines may be busy.
START_PATIENCE = 15.0
WORKERS = 2

# Answers each line, a JSON string, with a line: 1 if the pattern is found in it, else 0; first a line when it is ready.
_PROGRAM = """
import json, re, sys
search = re.compile(json.loads(sys.argv[1])).search
print("ready", flush=True)
for line in sys.stdin:
    print(int(search(json.loads(line)) is not None), flush=True)
"""


def problem() -> Optional[str]:
    """What is wrong with the pattern in the environment, as a sentence; ``None`` if there is none or it is sound."""
    pattern = os.environ.get(VARIABLE)
    if not pattern:
        return None
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        return f"{VARIABLE} is {shown(pattern)}, which is no regular expression: {error}"
    return None


def check_source(source: str) -> None:
    """400 for a source in which the pattern in the environment is not found, or not found in time."""
    pattern = os.environ.get(VARIABLE)
    if not pattern:
        return
    found = _matcher(pattern).search(source)
    if found is None:
        raise InvalidParameterValue(
            f"Invalid model version source {shown(source)}: looking for {VARIABLE} in it took too long."
        )
    if not found:
        raise InvalidParameterValue(
            f"Invalid model version source {shown(source)}: {VARIABLE}, which the server was started with, is not "
            "found in it."
        )


class Matcher:
    """Looks for one pattern in texts, each time for ``PATIENCE`` seconds at most."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self._idle: List["subprocess.Popen[str]"] = []
        self._gate = threading.Semaphore(WORKERS)

    def search(self, text: str) -> Optional[bool]:
        """Whether the pattern is found in the text; ``None`` if the time did not suffice to know."""
        with self._gate:
            process = self._take()
            if process is None:
                return None
            answer = _ask(process, json.dumps(text) + "\n", PATIENCE)
            if answer in ("0\n", "1\n"):
                self._idle.append(process)
                return answer == "1\n"
            return None

    def _take(self) -> Optional["subprocess.Popen[str]"]:
        """A process that is ready for a question."""
        while self._idle:
            process = self._idle.pop()
            if process.poll() is None:
                return process
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _PROGRAM, json.dumps(self.pattern)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="ascii",
        )
        return process if _ask(process, "", START_PATIENCE) == "ready\n" else None


def _ask(process: "subprocess.Popen[str]", line: str, patience: float) -> str:
    """The line that the process answers; empty, with the process ended, if it does not in time."""
    assert process.stdin is not None and process.stdout is not None
    late = threading.Timer(patience, process.kill)
    late.daemon = True
    late.start()
    try:
        process.stdin.write(line)
        process.stdin.flush()
        answer = process.stdout.readline()
    except OSError:
        answer = ""  # it ended before it could be asked
    finally:
        late.cancel()
    if not answer:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()
    return answer


_matchers: List[Matcher] = []


def _matcher(pattern: str) -> Matcher:
    """The one matcher; the environment of a server does not change, that of a test does."""
    if not _matchers or _matchers[0].pattern != pattern:
        _matchers[:] = [Matcher(pattern)]
    return _matchers[0]
