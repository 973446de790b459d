"""Charts and comparison as a person uses them. Run by ``test_charts`` under the environment ``BROWSER``."""

import csv
import io
import os
import re
import subprocess
import time
import xml.etree.ElementTree as xml
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, Download, Locator, Page, expect

from tests.launch import ROOT, Running
from tests.ui.browser import chromium, clean_page
from tests.ui.chart_data import fill_for_stories


class Site(NamedTuple):
    """A server with runs, and a browser."""

    base: str
    runs: Dict[str, str]
    browser: Browser

    def compare(self, names: List[str], **state: str) -> str:
        """The address of a comparison."""
        query = [("runs", self.runs[name]) for name in names] + list(state.items())
        return f"{self.base}/#/compare?{urlencode(query)}"

    @property
    def sweep(self) -> List[str]:
        """The names of a hundred runs."""
        return sorted(name for name in self.runs if name.startswith("run-"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One server and one browser for all stories."""
    folder = tmp_path_factory.mktemp("charts")
    runs = fill_for_stories(folder / "mlruns")
    with Running(folder) as server, chromium() as browser:
        yield Site(f"http://127.0.0.1:{server.port}", runs, browser)


@pytest.fixture
def page(site: Site) -> Iterator[Page]:
    """A page in which nothing may go wrong."""
    with clean_page(site.browser) as page:
        yield page


def chart(page: Page, name: str) -> Locator:
    """The card of a chart, once it has its points."""
    card = page.locator("figure.chart-card").and_(page.get_by_label(name, exact=True))
    expect(card.locator("[data-points]")).to_be_visible()
    return card


def shown(card: Locator) -> int:
    """How many points a chart shows."""
    return int(card.locator("[data-points]").get_attribute("data-points") or "-1")


def drag(page: Page, card: Locator, start: float, end: float) -> None:
    """Drag over a part of a chart, given in parts of its width."""
    box = card.locator(".chart-canvas").bounding_box()
    assert box
    high = box["y"] + box["height"] * 0.4
    page.mouse.move(box["x"] + box["width"] * start, high)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * (start + end) / 2, high + 2)
    page.mouse.move(box["x"] + box["width"] * end, high + 3)
    page.mouse.up()


def point_at(page: Page, card: Locator, across: float, down: float = 0.5) -> Locator:
    """Point at a place of a chart; what it says there."""
    box = card.locator(".chart-canvas").bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * across, box["y"] + box["height"] * down)
    tip = card.locator(".chart-tip")
    expect(tip).to_be_visible()
    return tip


def choose(card: Locator, entry: str) -> None:
    """An entry of a chart's menu."""
    card.get_by_label("Options of").click()
    card.get_by_role("button", name=re.compile(rf"^(✓ )?{re.escape(entry)}$")).click()


def saved(page: Page, card: Locator, entry: str) -> bytes:
    """The file that an entry of the menu saves."""
    with page.expect_download() as waiting:
        choose(card, entry)
    download: Download = waiting.value
    return Path(download.path()).read_bytes()


def test_curves_grow_while_a_real_client_logs(site: Site, page: Page) -> None:
    command = [os.environ["TRACKD_TEST_MLFLOW"], str(ROOT / "tests/ui/live_logger.py"), site.base, "6"]
    env = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env) as client:
        assert client.stdin and client.stdout
        run_id = client.stdout.readline().strip()
        page.goto(f"{site.base}/#/compare?runs={run_id}")
        card = chart(page, "growing")
        assert shown(card) == 1
        for count in range(2, 7):
            client.stdin.write("\n")
            client.stdin.flush()
            assert client.stdout.readline()
            # Two seconds from the write to the picture; the rest is for a busy machine.
            expect(card.locator("[data-points]")).to_have_attribute("data-points", str(count), timeout=6000)
    assert client.returncode == 0


def test_a_drag_zooms_down_to_every_point_and_the_address_keeps_it(site: Site, page: Page) -> None:
    page.goto(site.compare(["long"]))
    card = chart(page, "loss")
    state = card.locator("[data-points]")
    assert state.get_attribute("data-raw") == "false" and shown(card) < 6000
    expect(card.locator(".chart-note")).to_contain_text("of 100,000 points")
    for _ in range(3):
        drag(page, card, 0.40, 0.55)
        page.wait_for_timeout(400)
    expect(state).to_have_attribute("data-raw", "true")
    few = shown(card)
    assert 50 < few < 2000
    page.reload()
    card = chart(page, "loss")
    expect(card.locator("[data-points]")).to_have_attribute("data-points", str(few))
    canvas = card.locator(".chart-canvas")
    canvas.hover()
    page.wait_for_timeout(500)
    page.mouse.wheel(0, 600)
    page.wait_for_timeout(500)
    assert shown(chart(page, "loss")) > few, "the wheel zooms out"
    canvas.dblclick()
    expect(card.locator("[data-points]")).to_have_attribute("data-raw", "false")
    assert "c.loss" not in page.url


def test_pointing_reads_all_curves_and_so_does_the_keyboard(site: Site, page: Page) -> None:
    page.goto(site.compare(["one", "two"]))
    card = chart(page, "val/loss")
    tip = point_at(page, card, 0.5)
    expect(tip).to_contain_text("Step ")
    for name in ("one", "two"):
        expect(tip).to_contain_text(name)
    card.locator(".chart-canvas").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    expect(card.locator("[aria-live]")).to_contain_text("Step 1")
    expect(card.locator("[aria-live]")).to_contain_text("two 2.05")
    page.keyboard.press("+")
    expect(page).to_have_url(re.compile("val%2Floss"))
    page.keyboard.press("0")
    expect(page).not_to_have_url(re.compile("val%2Floss"))


def test_a_log_axis_clipped_outliers_and_marks_for_what_is_no_number(site: Site, page: Page) -> None:
    page.goto(site.compare(["one"]))
    card = chart(page, "train/loss")
    frame = card.locator(".chart-frame")
    plain = frame.screenshot()
    choose(card, "Log y axis")
    expect(page).to_have_url(re.compile("ly"))
    page.wait_for_timeout(200)
    logarithmic = frame.screenshot()
    assert logarithmic != plain
    choose(card, "Log y axis")
    choose(card, "Clip outliers")
    page.wait_for_timeout(200)
    assert frame.screenshot() not in (plain, logarithmic)
    box = card.locator(".chart-canvas").bounding_box()
    assert box
    choose(card, "Show as table")
    table = card.get_by_role("table")
    expect(table).to_contain_text("NaN")
    expect(table).to_contain_text("Infinity")
    expect(table.get_by_role("row")).to_have_count(201)
    expect(card.locator(".chart-note")).to_have_text("200 points")


def test_smoothing_keeps_the_raw_line_and_is_in_the_address(site: Site, page: Page) -> None:
    page.goto(site.compare(["one"]))
    card = chart(page, "val/loss")
    page.get_by_label("Smoothing").evaluate("e => { e.value = '0.9'; e.dispatchEvent(new Event('input')); }")
    expect(page).to_have_url(re.compile("smooth=0.9"))
    expect(point_at(page, card, 0.6)).to_contain_text(re.compile(r"[\d.]+ \([\d.]+\)"))
    page.reload()
    card = chart(page, "val/loss")
    expect(point_at(page, card, 0.6)).to_contain_text(re.compile(r"[\d.]+ \([\d.]+\)"))


def test_several_metrics_share_a_chart_that_can_be_pinned_and_moved(site: Site, page: Page) -> None:
    page.goto(site.compare(["one", "two"]))
    chart(page, "val/loss")
    page.get_by_text("Add chart").click()
    page.get_by_role("group", name="Metrics of the new chart").get_by_label("train/loss").check()
    page.get_by_role("group", name="Metrics of the new chart").get_by_label("val/loss").check()
    page.get_by_role("button", name="Add", exact=True).click()
    card = chart(page, "train/loss, val/loss")
    assert shown(card) == 500
    page.get_by_label("Pin val/loss").click()
    page.reload()
    chart(page, "train/loss, val/loss")
    names = page.locator(".chart-slot").evaluate_all("all => all.map((one) => one.dataset.chart)")
    assert names == ["val/loss", '["train/loss","val/loss"]', "train/loss"]


def test_a_hundred_runs_lie_over_each_other_and_group_by_a_param(site: Site, page: Page) -> None:
    page.goto(site.compare(site.sweep))
    card = chart(page, "loss")
    assert shown(card) == 20_000
    expect(point_at(page, card, 0.5)).to_contain_text("and 88 more")
    page.get_by_label("run-042").uncheck()
    expect(card.locator("[data-points]")).to_have_attribute("data-points", "19800")
    page.get_by_label("Group by").select_option("params:optimizer")
    for group in ("adam (33)", "sgd (33)", "rmsprop (33)"):
        expect(card.locator(".chart-legend")).to_contain_text(f"optimizer = {group}")
    expect(point_at(page, card, 0.5)).to_contain_text("…")
    page.reload()
    expect(chart(page, "loss").locator(".chart-legend")).to_contain_text("optimizer = adam (33)")
    page.get_by_label("X axis").select_option("metric:accuracy")
    expect(page).to_have_url(re.compile("x=metric"))


def test_a_brush_on_an_axis_leaves_the_runs_that_pass_through(site: Site, page: Page) -> None:
    page.goto(site.compare(site.sweep, tab="parallel"))
    chart_ = page.locator("[data-kept]")
    expect(chart_).to_have_attribute("data-kept", "100")
    axis = page.get_by_role("slider", name=re.compile("Selection on optimizer"))
    box = axis.bounding_box()
    assert box
    page.mouse.move(box["x"] + 12, box["y"] + box["height"] - 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 12, box["y"] + box["height"] * 0.8)
    page.mouse.move(box["x"] + 12, box["y"] + box["height"] * 0.67)
    page.mouse.up()
    expect(chart_).to_have_attribute("data-kept", "34")
    page.reload()
    expect(page.locator("[data-kept]")).to_have_attribute("data-kept", "34")
    rows = list(csv.reader(io.StringIO(saved(page, page.locator(".chart-card"), "Save as CSV").decode("utf-8-sig"))))
    assert len(rows) == 35 and {row[rows[0].index("optimizer")] for row in rows[1:]} == {"adam"}
    page.get_by_role("slider", name=re.compile("Selection on optimizer")).focus()
    page.keyboard.press("Escape")
    expect(page.locator("[data-kept]")).to_have_attribute("data-kept", "100")


@pytest.mark.parametrize("tab", ["scatter", "contour", "box"])
def test_runs_are_points_a_map_or_boxes(site: Site, page: Page, tab: str) -> None:
    page.goto(site.compare(site.sweep, tab=tab, px="params:lr", py="metrics:loss", pz="metrics:accuracy"))
    card = page.locator("figure.chart-card")
    expect(card.locator("[data-points]")).to_have_attribute("data-points", "100")
    box = card.locator(".chart-canvas").bounding_box()
    assert box
    if tab == "box":
        page.get_by_label("By").select_option("params:optimizer")
        expect(point_at(page, card, 0.5)).to_contain_text("median")
        expect(card.locator(".chart-tip")).to_contain_text("33 runs")
    else:
        page.get_by_label("Log x").check()
        card.locator(".chart-canvas").focus()
        page.keyboard.press("Home")
        expect(card.locator("[aria-live]")).to_contain_text("lr")
    svg = xml.fromstring(saved(page, card, "Save as SVG"))
    assert svg.tag.endswith("svg") and len(list(svg.iter())) > 60


def test_only_differences_are_left_where_they_are_asked_for(site: Site, page: Page) -> None:
    page.goto(site.compare(["run-000", "run-001", "run-002"], tab="sides"))
    table = page.get_by_role("table")
    expect(table.get_by_role("rowheader", name="seed")).to_be_visible()
    page.get_by_label("Only differences").check()
    expect(table.get_by_role("rowheader", name="seed")).to_have_count(0)
    expect(table.get_by_role("rowheader", name="lr", exact=True)).to_be_visible()
    expect(table).to_contain_text("3 of 4 differ")
    page.reload()
    expect(page.get_by_role("table").get_by_role("rowheader", name="seed")).to_have_count(0)
    page.get_by_label("Search keys").fill("opt")
    expect(page.get_by_role("rowheader", name="lr", exact=True)).to_have_count(0)


def test_a_chart_is_saved_as_png_svg_and_csv(site: Site, page: Page) -> None:
    page.goto(site.compare(["one", "two"]))
    card = chart(page, "val/loss")
    png = saved(page, card, "Save as PNG")
    assert png.startswith(b"\x89PNG\r\n") and len(png) > 10_000
    svg = xml.fromstring(saved(page, card, "Save as SVG"))
    texts = ["".join(each.itertext()) for each in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert {"val/loss", "Step", "one", "two"} <= set(texts)
    rows = list(csv.DictReader(io.StringIO(saved(page, card, "Save as CSV").decode("utf-8-sig"))))
    assert len(rows) == 100 and {row["run"] for row in rows} == {"one", "two"}
    first = next(row for row in rows if row["run"] == "two" and row["step"] == "0")
    assert float(first["value"]) == 2.1 and first["time"] == "2023-11-14T22:13:20.000Z"


def test_hostile_text_is_text_and_a_narrow_screen_has_no_second_scroll_bar(site: Site) -> None:
    with clean_page(site.browser, color_scheme="dark") as page:
        page.set_viewport_size({"width": 400, "height": 800})
        for tab in ("curves", "parallel", "scatter", "sides"):
            page.goto(site.compare(["one", "two"], tab=tab, px="params:hostile", axis="params:hostile"))
            page.reload()
            page.locator("canvas, .sides").first.wait_for()
            page.wait_for_timeout(300)
            assert page.evaluate("document.documentElement.scrollWidth") <= 400, tab
        expect(page.get_by_role("table")).to_contain_text("<script>alert")


def test_nothing_to_compare_says_what_to_do(site: Site, page: Page) -> None:
    page.goto(f"{site.base}/#/compare")
    expect(page.get_by_role("heading", name="No runs to compare")).to_be_visible()
    begin = time.monotonic()
    page.goto(f"{site.base}/#/compare?runs={'0' * 32}")
    expect(page.locator(".empty")).to_be_visible()
    assert time.monotonic() - begin < 30
