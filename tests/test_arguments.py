"""The command lines of commands other than server."""

import pytest

from trackd.arguments import Flag, UsageError, flags, flags_help

KNOWN = (Flag("--older-than", "TIME", "How long ago."), Flag("--dry-run", "", "Only look."))


def test_flags_take_their_value_in_both_forms_and_the_last_counts() -> None:
    words = ["--older-than", "1d", "FROM", "--older-than=-2d", "--dry-run", "TO"]
    assert flags(words, KNOWN, 2) == ({"--older-than": "-2d", "--dry-run": "true"}, ["FROM", "TO"])


@pytest.mark.parametrize("words, text", [
    (["--oldr-than", "1d"], "did you mean --older-than"),
    (["--older-than"], "--older-than needs a value: --older-than TIME"),
    (["--dry-run=1"], "--dry-run takes no value"),
    (["extra"], "unknown argument 'extra'"),
    (["-x"], "unknown flag '-x'"),
])
def test_a_mistake_gets_a_sentence(words: "list[str]", text: str) -> None:
    with pytest.raises(UsageError, match=text):
        flags(words, KNOWN)


def test_the_help_names_every_flag() -> None:
    lines = flags_help("trackd gc", "What it does.", KNOWN)
    assert lines[0] == "usage: trackd gc" and any("--older-than TIME  How long ago." in line for line in lines)
