"""The pages as a person uses them, on data from a real MLflow client. Run by ``test_pages`` under ``BROWSER``."""

import os
import re
import signal
import threading
import time
import zipfile
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Iterator, List, NamedTuple

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.compat.workers import Worker
from tests.launch import Running
from tests.ui.browser import chromium, clean_page

AXE = Path(os.environ["TRACKD_TEST_AXE"]).read_text(encoding="utf-8")


class Site(NamedTuple):
    """A server, a browser, and an MLflow client in a process of its own."""

    server: Running
    browser: Browser
    client: Worker

    @property
    def base(self) -> str:
        """The address of the server."""
        return f"http://127.0.0.1:{self.server.port}{self.server.prefix}"

    def log(self, task: str, *arguments: Any) -> Any:
        """Do a task of ``client_tasks`` on this server."""
        names = ("experiment", "runs", "parent") if task == "sweep" else ()
        return self.client.do(task, uri=self.base, **dict(zip(names, arguments)))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One of each for all stories."""
    folder = tmp_path_factory.mktemp("pages")
    worker = Worker(Path(os.environ["TRACKD_TEST_MLFLOW"]), folder, "tests.ui.client_tasks")
    try:
        with Running(folder) as server, chromium() as browser:
            yield Site(server, browser, worker)
    finally:
        worker.stop()


@pytest.fixture
def page(site: Site) -> Iterator[Page]:
    """A page in which nothing may go wrong."""
    with clean_page(site.browser) as page:
        page.set_default_timeout(10_000)
        yield page


@contextmanager
def page_with(browser: Browser, expected: str, **options: Any) -> Iterator[Page]:
    """A page whose console may have errors of one kind: those that the story itself provokes."""
    context = browser.new_context(**options)
    page = context.new_page()
    page.set_default_timeout(10_000)
    wrong: List[str] = []
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    try:
        yield page
        assert [each for each in wrong if expected not in each] == []
    finally:
        context.close()


def row(page: Page, text: str) -> Locator:
    """The row of a table that has this text."""
    return page.get_by_role("row").filter(has_text=text)


def test_who_comes_first_is_told_what_to_run_and_sees_the_run_without_a_reload(site: Site, page: Page) -> None:
    asked: List[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(site.base)
    expect(page.get_by_text("Nothing is logged yet")).to_be_visible()
    # The page itself, and three more.
    assert len(asked) <= 4, asked
    code = page.locator("pre").inner_text()
    assert len(code.splitlines()) == 3 and f'set_tracking_uri("{site.base}")' in code
    site.client.do("begin", uri=site.base, experiment="Default", name="first")
    expect(row(page, "Default")).to_contain_text("1", timeout=4000)
    row(page, "Default").get_by_role("link").click()
    expect(row(page, "first")).to_contain_text("Running")


def test_an_experiment_is_created_found_described_renamed_deleted_and_restored(site: Site, page: Page) -> None:
    page.goto(site.base)
    page.get_by_role("button", name="New experiment").click()
    page.get_by_label("Name", exact=True).fill("vision/cifar")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="vision/cifar")).to_be_visible()
    expect(page.get_by_text('mlflow.set_experiment("vision/cifar")')).to_be_visible()
    page.get_by_text("About").click()
    page.get_by_role("button", name="Add a note").click()
    page.get_by_label("Note, in Markdown").fill("# Plan\n\n- warm **up**\n\n<script>alert(1)</script>")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".markdown strong")).to_have_text("up")
    expect(page.locator(".markdown")).to_contain_text("<script>alert(1)</script>")
    page.get_by_role("button", name="Tag", exact=True).click()
    page.get_by_label("Key", exact=True).fill("team")
    page.get_by_label("Value").fill("vision")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("link", name="trackd, home").click()
    page.keyboard.press("/")
    page.keyboard.type("team: vis")
    expect(page.get_by_role("status").first).to_contain_text("1 of")
    row(page, "vision/cifar").locator("summary").click()
    page.get_by_role("button", name="Rename").click()
    page.get_by_label("Name", exact=True).fill("vision/cifar-10")
    page.keyboard.press("Enter")
    expect(row(page, "vision/cifar-10")).to_be_visible()
    row(page, "vision/cifar-10").locator("summary").click()
    page.locator(".menu-list").get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("No experiment has these words")).to_be_visible()
    page.get_by_label("Which experiments").select_option("deleted")
    row(page, "vision/cifar-10").locator("summary").click()
    page.get_by_role("button", name="Restore").click()
    page.get_by_label("Which experiments").select_option("active")
    expect(row(page, "vision/cifar-10")).to_be_visible()


def test_the_best_run_is_found_compared_and_its_picture_seen(site: Site, page: Page) -> None:
    """What a new user wants: the best of many, why it differs from the second, its confusion matrix."""
    site.log("sweep", "best-of", 200)
    page.goto(site.base)
    page.get_by_role("link", name="best-of").click()
    expect(page.get_by_text("200 runs")).to_be_visible()
    page.get_by_role("button", name=re.compile("^acc")).click()
    first, second = page.locator("tbody tr:not([style])").nth(0), page.locator("tbody tr:not([style])").nth(1)
    expect(first).to_contain_text("trial-199")
    expect(first.locator("span[title='1']").first).to_have_text("1")
    first.get_by_role("checkbox").check()
    second.get_by_role("checkbox").check()
    page.get_by_role("button", name="Compare").click()
    expect(page).to_have_url(re.compile("#/compare"))
    expect(page.get_by_text("trial-199").first).to_be_visible()
    page.go_back()
    expect(page).to_have_url(re.compile("sort=-metrics.acc"))
    expect(page.locator("tbody tr:not([style])").nth(0)).to_contain_text("trial-199")
    run = site.client.do("artifacts", uri=site.base, experiment="pictures")
    page.goto(f"{site.base}/#/experiments/{experiment_of(site, run)}/runs/{run}/artifacts/confusion_matrix.png")
    picture = page.locator("img.picture")
    expect(picture).to_be_visible()
    expect(page.get_by_text("16 × 16 pixels")).to_be_visible()


def experiment_of(site: Site, run: str) -> str:
    """The id of a run's experiment."""
    answer = site.server.ask("GET", f"/api/2.0/mlflow/runs/get?run_id={run}")[1]
    found = re.search(r'"experiment_id":\s*"(\d+)"', answer)
    assert found
    return found.group(1)


def test_a_filter_is_completed_and_its_mistake_shown_where_it_is(site: Site) -> None:
    run = site.log("sweep", "filtered", 6)[0]
    experiment = experiment_of(site, run)
    with page_with(site.browser, "400 (Bad Request)") as page:
        page.goto(f"{site.base}/#/experiments/{experiment}")
        expect(page.get_by_text("6 runs")).to_be_visible()
        page.keyboard.press("/")
        page.keyboard.type("metrics.ac")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        page.keyboard.type("> 0.6 AND (par")
        expect(page.get_by_role("option", name="params.model")).to_be_visible()
        page.keyboard.type("ams.model = ")
        expect(page.get_by_role("option", name="'cnn'")).to_be_visible()
        page.keyboard.type("'cnn' OR NOT tags.stage = 'dev')")
        page.keyboard.press("Escape")
        page.keyboard.press("Enter")
        expect(page.get_by_text("3 runs")).to_be_visible()
        address = page.url
        box = page.get_by_label("Filter runs")
        box.fill("metrics.acc > abc")
        box.press("Escape")
        box.press("Enter")
        expect(page.get_by_role("alert").locator("mark")).to_have_text("abc")
        expect(page.get_by_role("alert")).to_contain_text("expected a number")
        page.goto(address)
        page.reload()
        expect(page.get_by_text("3 runs")).to_be_visible()


def test_columns_are_chosen_moved_and_remembered_and_the_url_carries_them(site: Site, page: Page) -> None:
    run = site.log("sweep", "columns", 5)[0]
    page.goto(f"{site.base}/#/experiments/{experiment_of(site, run)}")
    page.get_by_role("button", name="Columns").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Which value of acc").select_option("max")
    dialog.get_by_label("Which value of val/loss").select_option("best")
    dialog.get_by_label("Find a column").fill("Run id")
    dialog.get_by_role("checkbox", name="Run id").check()
    dialog.get_by_role("button", name="Move acc up").click()
    page.keyboard.press("Escape")
    heads = page.get_by_role("columnheader")
    expect(heads.filter(has_text="acc")).to_contain_text("max")
    expect(heads.filter(has_text="Run id")).to_be_visible()
    page.get_by_role("button", name="val/loss").click()
    expect(page.locator("tbody tr:not([style])").nth(0)).to_contain_text("trial-4")
    page.get_by_role("button", name=re.compile("^Status")).focus()
    page.keyboard.press("Alt+ArrowRight")
    with clean_page(site.browser) as other:
        other.goto(page.url)
        expect(other.get_by_role("columnheader").filter(has_text="acc")).to_contain_text("max")
        expect(other.locator("tbody tr:not([style])").nth(0)).to_contain_text("trial-4")
    page.goto(f"{site.base}/#/")
    page.goto(f"{site.base}/#/experiments/{experiment_of(site, run)}")
    expect(heads.filter(has_text="Run id")).to_be_visible()


def test_arrows_and_enter_walk_a_tree_of_runs_and_going_back_returns(site: Site, page: Page) -> None:
    runs = site.log("sweep", "nested", 3, True)
    page.goto(f"{site.base}/#/experiments/{experiment_of(site, runs[0])}")
    expect(page.get_by_text("4 runs")).to_be_visible()
    expect(row(page, "trial-0")).to_have_count(0)
    row(page, "sweep").focus()
    page.keyboard.press("ArrowRight")
    expect(row(page, "trial-2")).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    expect(page.get_by_text("1 selected")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("trial-")
    expect(page.get_by_text("Parent")).to_be_visible()
    page.go_back()
    expect(row(page, "trial-2")).to_be_visible()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Search or filter in this view")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_chosen_runs_are_tagged_moved_exported_deleted_and_restored(site: Site, page: Page) -> None:
    runs = site.log("sweep", "chosen", 4)
    site.log("sweep", "elsewhere", 1)
    page.goto(f"{site.base}/#/experiments/{experiment_of(site, runs[0])}")
    row(page, "trial-0").get_by_role("checkbox").check()
    row(page, "trial-1").get_by_role("checkbox").check()
    page.get_by_role("button", name="Tag", exact=True).click()
    page.get_by_label("Key", exact=True).fill("quality")
    page.get_by_label("Value").fill("good")
    page.get_by_role("button", name="Save").click()
    expect(row(page, "trial-1")).to_contain_text("quality: good")
    row(page, "trial-0").get_by_role("checkbox").check()
    with page.expect_download() as download:
        page.locator(".chosen").get_by_text("Export").click()
        page.get_by_role("button", name="Selected as CSV").click()
    table = Path(download.value.path()).read_text(encoding="utf-8-sig")
    assert "trial-0" in table and "trial-2" not in table
    page.get_by_role("button", name="Move").click()
    page.get_by_label("To the experiment").select_option(label="elsewhere")
    page.get_by_role("dialog").get_by_role("button", name="Move").click()
    expect(row(page, "trial-0")).to_have_count(0)
    row(page, "trial-2").get_by_role("checkbox").check()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(row(page, "trial-2")).to_have_count(0)
    page.get_by_label("Which runs").select_option("deleted")
    row(page, "trial-2").get_by_role("checkbox").check()
    page.get_by_role("button", name="Restore").click()
    page.get_by_label("Which runs").select_option("active")
    expect(row(page, "trial-2")).to_be_visible()


def test_many_runs_are_scrolled_and_few_rows_are_made(site: Site, page: Page) -> None:
    made = site.server.ask("POST", "/api/2.0/mlflow/experiments/create", '{"name": "many"}')[1]
    experiment = re.findall(r"\d+", made)[0]
    connection = HTTPConnection("127.0.0.1", site.server.port)
    for n in range(1500):
        body = f'{{"experiment_id": "{experiment}", "run_name": "run-{n}", "start_time": {n + 1}}}'
        connection.request("POST", "/api/2.0/mlflow/runs/create", body, {"Content-Type": "application/json"})
        connection.getresponse().read()
    connection.close()
    page.goto(f"{site.base}/#/experiments/{experiment}")
    expect(page.get_by_text("1,500 runs")).to_be_visible()
    expect(page.get_by_role("treegrid")).to_have_attribute("aria-rowcount", "1501")
    page.locator(".table").evaluate("table => { table.scrollTop = table.scrollHeight }")
    expect(row(page, "run-0")).to_be_visible()
    assert page.locator("tbody tr").count() < 80


def test_a_run_grows_while_one_looks_and_is_described_in_place(site: Site, page: Page) -> None:
    run = site.client.do("begin", uri=site.base, experiment="live", name="growing")
    page.goto(f"{site.base}/#/experiments/{experiment_of(site, run)}/runs/{run}")
    expect(page.get_by_role("heading", name="growing")).to_be_visible()
    site.client.do("point", uri=site.base, run_id=run, key="loss", value=0.123456, step=1)
    expect(row(page, "loss")).to_contain_text("0.1235", timeout=4000)
    site.client.do("metrics", uri=site.base, run_id=run, many=1000)
    page.get_by_label("Search metrics").fill("0777")
    expect(row(page, "layer_0777/norm")).to_contain_text("111")
    page.get_by_role("button", name="Tag", exact=True).click()
    page.get_by_label("Key", exact=True).fill("stage")
    page.get_by_label("Value").fill("dev")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("button", name="stage dev").click()
    page.get_by_label("Value").fill("prod")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".chip").filter(has_text="prod")).to_be_visible()
    page.get_by_role("button", name="Remove the tag stage").click()
    expect(page.locator(".chip").filter(has_text="prod")).to_have_count(0)
    page.get_by_role("link", name="Charts").click()
    expect(page.locator("figure.chart-card").first).to_be_visible()


def test_of_two_who_edit_a_note_the_second_is_told(site: Site, page: Page) -> None:
    run = site.client.do("begin", uri=site.base, experiment="live", name="described")
    address = f"{site.base}/#/experiments/{experiment_of(site, run)}/runs/{run}"
    with clean_page(site.browser) as other:
        for each in (page, other):
            each.goto(address)
            each.get_by_role("button", name="Add a note").click()
        other.get_by_label("Note, in Markdown").fill("theirs")
        other.get_by_role("button", name="Save").click()
        expect(other.locator(".markdown")).to_have_text("theirs")
        page.get_by_label("Note, in Markdown").fill("mine")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("dialog")).to_contain_text("Somebody else has changed this note")
        expect(page.get_by_role("dialog")).to_contain_text("theirs")
        page.get_by_role("button", name="Cancel").last.click()
        expect(page.get_by_label("Note, in Markdown")).to_have_value("mine")
        page.get_by_role("button", name="Save").click()
        page.get_by_role("button", name="Save mine over it").click()
        expect(page.locator(".markdown")).to_have_text("mine")
        expect(other.locator(".markdown")).to_have_text("mine", timeout=4000)


def test_artifacts_are_shown_as_what_they_are_and_run_nothing_here(site: Site) -> None:
    run = site.client.do("artifacts", uri=site.base, experiment="artifacts")
    # Chromium says on the console that the locked-up page was refused what it tried.
    with page_with(site.browser, "Blocked a frame") as page:
        page.on("dialog", lambda dialog: pytest.fail(dialog.message))
        page.goto(f"{site.base}/#/experiments/{experiment_of(site, run)}/runs/{run}?tab=artifacts")
        tree = page.get_by_role("tree")

        def choose(*path: str) -> None:
            for name in path:
                tree.get_by_role("treeitem").filter(has_text=name).first.click()

        choose("logs", "train.log")
        expect(page.locator(".preview pre")).to_contain_text("epoch 1\nepoch 2")
        choose("code", "train.py")
        expect(page.locator(".preview .word").first).to_have_text("def")
        choose("conf", "config.json")
        expect(page.locator(".preview pre")).to_contain_text('"size": 1.0')
        choose("data", "table.csv")
        expect(page.get_by_text("3,000 rows, 3 columns")).to_be_visible()
        expect(row(page, "row 0").last).to_contain_text('a, "b"')
        choose("eval", "table.json")
        expect(page.get_by_text("2 rows, 2 columns")).to_be_visible()
        choose("images")
        expect(page.get_by_text("step 2 (3 of 3)")).to_be_visible()
        page.get_by_role("slider").press("ArrowLeft")
        expect(page.get_by_alt_text("sample at step 1")).to_be_visible()
        choose("plot.svg")
        expect(page.get_by_text("9 × 9 pixels")).to_be_visible()
        choose("README.md")
        expect(page.locator(".preview em")).to_have_text("model")
        choose("weights.bin")
        expect(page.get_by_text("This is no text (3 kB)")).to_be_visible()
        choose("beep.wav")
        expect(page.locator("audio")).to_be_visible()
        choose("paper.pdf")
        expect(page.locator("iframe")).to_be_visible()
        choose("report.html")
        frame = page.frame_locator("iframe")
        expect(frame.get_by_text("ran in null")).to_be_visible()
        expect(frame.get_by_text("locked up")).to_be_visible()
        assert page.title() == "with-artifacts · trackd"
        with page.expect_download() as download:
            page.get_by_role("link", name="Download", exact=True).click()
        assert download.value.suggested_filename == "report.html"
        choose("code")
        with page.expect_download() as download:
            page.get_by_role("link", name="Download as zip").click()
        with zipfile.ZipFile(str(download.value.path())) as archive:
            assert [name.split("/")[-1] for name in archive.namelist()] == ["train.py"]


def test_models_versions_aliases_stages_and_prompts(site: Site, page: Page) -> None:
    run = site.client.do("artifacts", uri=site.base, experiment="models")
    site.client.do("registry", uri=site.base, run_id=run)
    page.goto(site.base)
    page.get_by_role("link", name="Models", exact=True).click()
    row(page, "churn").get_by_role("link").click()
    expect(page.locator(".markdown strong")).to_have_text("churn")
    expect(row(page, "v2")).to_contain_text("@ champion")
    page.get_by_role("button", name="Add an alias to version 3").click()
    page.get_by_role("dialog").get_by_role("textbox").fill("candidate")
    page.get_by_role("dialog").get_by_role("button", name="Set").click()
    expect(row(page, "v3")).to_contain_text("@ candidate")
    row(page, "v3").get_by_role("link").first.click()
    expect(page.get_by_role("heading", name="churn v3")).to_be_visible()
    expect(page.get_by_role("link", name="with-artifacts")).to_be_visible()
    page.get_by_label("Stage").select_option("Production")
    page.get_by_role("dialog").get_by_role("button", name="Move").click()
    expect(page.get_by_text("Version 3 is in Production.")).to_be_visible()
    page.get_by_role("link", name="Prompts").click()
    row(page, "summary").get_by_role("link").click()
    expect(page.locator("pre.text")).to_contain_text("Be exact.")
    page.get_by_label("Compare with").select_option("1")
    expect(page.locator(".diff .gone")).to_contain_text("Be brief.")
    expect(page.locator(".diff .came")).to_contain_text("Be exact.")
    page.reload()
    expect(page.locator(".diff .came")).to_contain_text("Be exact.")


def test_a_logged_model_leads_to_its_run_and_says_how_to_load_it(site: Site, page: Page) -> None:
    made = site.client.do("logged_model", uri=site.base, experiment="logged")
    page.goto(f"{site.base}/#/experiments/{made['experiment_id']}")
    page.get_by_role("link", name="Models").last.click()
    expect(row(page, "classifier")).to_contain_text("0.875")
    row(page, "classifier").get_by_role("link").first.click()
    expect(page.get_by_role("heading", name="classifier")).to_be_visible()
    page.get_by_role("treeitem").filter(has_text="MLmodel").click()
    expect(page.locator(".preview")).to_contain_text("python_function")
    expect(page.locator(".preview")).to_contain_text(f'load_model("models:/{made["model_id"]}")')
    expect(row(page, "age")).to_contain_text("double")
    page.get_by_role("link", name=made["run_id"]).click()
    expect(page.get_by_role("heading", name="trained")).to_be_visible()
    page.get_by_role("link", name="System metrics").click()
    expect(row(page, "system/cpu_utilization_percentage").first).to_contain_text("42")
    expect(page.locator("figure.chart-card")).to_have_count(1)


def test_the_trash_says_how_large_it_is_and_what_leaves_it_is_gone(site: Site, page: Page) -> None:
    run = site.client.do("artifacts", uri=site.base, experiment="rubbish")
    site.server.ask("POST", "/api/2.0/mlflow/runs/delete", f'{{"run_id": "{run}"}}')
    page.goto(site.base)
    page.get_by_role("link", name="Trash").click()
    found = row(page, "with-artifacts")
    expect(found).to_contain_text(re.compile(r"\d+ kB"))
    found.get_by_role("checkbox").check()
    page.get_by_role("button", name="Delete 1 for good").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete for good").click()
    expect(found).to_have_count(0)
    assert site.server.ask("GET", f"/api/2.0/mlflow/runs/get?run_id={run}")[0] == 404


def test_hostile_text_is_text_and_breaks_no_layout(site: Site, page: Page) -> None:
    made = site.client.do("hostile", uri=site.base)
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    experiment, run = made["experiment_id"], made["run_id"]
    for path in ("", f"experiments/{experiment}", f"experiments/{experiment}/runs/{run}", "models"):
        page.goto(f"{site.base}/#/{path}")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        if path != "models":
            expect(page.get_by_text("<script>alert(1)</script>").first).to_be_visible()
        page.wait_for_timeout(150)
        assert overflow(page) <= 0, path
    page.goto(f"{site.base}/#/experiments/{experiment}/runs/{run}")
    expect(row(page, "nan")).to_contain_text("NaN")
    expect(row(page, "inf")).to_contain_text("∞")
    page.goto(f"{site.base}/#/experiments/{experiment}/runs/{run}?tab=artifacts")
    page.get_by_role("treeitem").first.click()
    expect(page.locator(".preview pre")).to_contain_text("<script>alert(1)</script>")
    assert page.locator("main script, main img:not(.picture)").count() == 0


def overflow(page: Page) -> int:
    """By how many pixels the page is wider than the window."""
    widths = "[document.documentElement, document.querySelector('main')].map(each => each.scrollWidth - innerWidth)"
    return int(max(page.evaluate(widths)))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_views_are_accessible_and_fit_a_telephone(site: Site, theme: str) -> None:
    run = site.log("sweep", f"read-{theme}", 3, True)[0]
    experiment = experiment_of(site, run)
    of_experiment = ["", "?tab=charts", f"/runs/{run}", f"/runs/{run}?tab=artifacts", "/models"]
    views = ["", *(f"experiments/{experiment}{path}" for path in of_experiment), "models", "prompts", "trash"]
    with clean_page(site.browser, color_scheme=theme) as page:
        for path in views:
            page.goto(f"{site.base}/#/{path}")
            expect(page.get_by_role("heading", level=1)).to_be_visible()
            page.wait_for_timeout(250)
            serious = page.evaluate(
                f"{AXE}\n;axe.run(document).then(found => found.violations"
                ".filter(each => ['serious', 'critical'].includes(each.impact))"
                ".map(each => each.id + ': ' + each.nodes.slice(0, 3).map(node => node.html.slice(0, 99)).join(' | ')))"
            )
            assert serious == [], (path, serious)
        page.set_viewport_size({"width": 400, "height": 800})
        for path in views:
            page.goto(f"{site.base}/#/{path}")
            expect(page.get_by_role("heading", level=1)).to_be_visible()
            page.wait_for_timeout(150)
            assert overflow(page) <= 0, path


def test_the_theme_is_chosen_and_kept(site: Site, page: Page) -> None:
    page.goto(site.base)
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.get_by_role("button", name="Dark or light").click()
    dark = page.evaluate(ground)
    assert light != dark
    page.reload()
    assert page.evaluate(ground) == dark


def test_a_page_goes_on_by_itself_when_the_server_is_back(site: Site, tmp_path: Path) -> None:
    with page_with(site.browser, "Failed to load resource") as page:
        with Running(tmp_path) as first:
            page.goto(f"http://127.0.0.1:{first.port}/")
            expect(page.get_by_text("Nothing is logged yet")).to_be_visible()
            assert first.stop(signal.SIGTERM) == 0
        expect(page.get_by_text("The server does not answer.")).to_be_visible(timeout=5000)
        again = ("server", "--port", str(first.port))
        with Running(tmp_path, command=again) as second:
            expect(page.get_by_text("The server does not answer.")).to_be_hidden(timeout=5000)
            second.ask("POST", "/api/2.0/mlflow/experiments/create", '{"name": "after"}')
            expect(row(page, "after")).to_be_visible(timeout=5000)


class SubPath(BaseHTTPRequestHandler):
    """A proxy that serves another server below /ml/, which that server does not know."""

    port = 0
    protocol_version = "HTTP/1.1"

    def do(self) -> None:
        """Pass on what is below the path."""
        if not self.path.startswith("/ml/"):
            self.send_error(404)
            return
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        connection = HTTPConnection("127.0.0.1", self.port)
        connection.request(self.command, self.path[3:], body, dict(self.headers))
        answer = connection.getresponse()
        data = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("content-length", "connection", "date", "server", "transfer-encoding"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        connection.close()

    do_GET = do_POST = do

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def below_a_path(port: int) -> Iterator[str]:
    """The address of a proxy to a server on that port."""
    handler = type("Handler", (SubPath,), {"port": port})
    proxy = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=proxy.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{proxy.server_address[1]}/ml"
    finally:
        proxy.shutdown()
        proxy.server_close()


def look_around(page: Page, base: str) -> None:
    """Visit a view of every kind of module."""
    page.goto(base)
    expect(page.get_by_text(f'set_tracking_uri("{base}")')).to_be_visible()
    page.get_by_role("link", name="Default").click()
    expect(page.get_by_text("No runs yet")).to_be_visible()
    page.get_by_role("link", name="Models").first.click()
    expect(page.get_by_text("No registered models yet")).to_be_visible()
    page.get_by_role("link", name="trackd, home").click()
    expect(row(page, "Default")).to_be_visible()


def test_all_works_under_a_prefix_and_behind_a_proxy_below_a_path(site: Site, tmp_path: Path, page: Page) -> None:
    with Running(tmp_path, "--static-prefix", "/team/ml") as server:
        look_around(page, f"http://127.0.0.1:{server.port}/team/ml")
        with below_a_path(server.port) as base:
            look_around(page, f"{base}/team/ml")


def test_what_is_loaded_a_second_time_is_not_sent_again(site: Site, page: Page) -> None:
    page.goto(site.base)
    statuses: List[int] = []
    page.on("response", lambda response: statuses.append(response.status) if "static-files" in response.url else None)
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    time.sleep(0.1)
    assert statuses and set(statuses) <= {200, 304}
    sent = page.evaluate("performance.getEntriesByType('resource').map(each => each.transferSize)")
    assert max(sent[:2]) < 1000, sent
