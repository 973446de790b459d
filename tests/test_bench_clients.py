"""The benchmark of the client runs and prints every row."""

import pytest

from tests.bench import clients


@pytest.mark.slow
def test_the_quick_benchmark_of_the_client_has_every_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert clients.main(["--quick"]) == 0
    rows = capsys.readouterr().out.splitlines()[2:]
    assert [row.split()[0] for row in rows] == ["import", "100", "100", "spooling", "trackd"]
    assert all("ok" in row or "over" in row for row in rows)


def test_a_row_says_whether_it_keeps_its_budget() -> None:
    rows = [clients.Row("import", 50, "ms", 10.0, 1000.0), clients.Row("log", 2000, "/s", 1000.0, 100.0)]
    head, first, second = clients.table(rows)
    assert head[-1] == "trackd : mlflow"
    assert (first[2], first[-1]) == ("ok", "100x") and (second[2], second[-1]) == ("over", "10x")
