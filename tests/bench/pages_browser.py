"""Measures pages in Chromium: ``python -m tests.bench.pages_browser PORT PLAN ROUNDS``; prints milliseconds as JSON.

Times are the page's own: from the start of the navigation, or from the end of a drag, to the frame that shows it.
"""

import json
import sys
from pathlib import Path
from typing import Any, Dict, List
from urllib.parse import urlencode

from playwright.sync_api import Page

from tests.ui.browser import chromium, clean_page

_CHART = "document.querySelector('[data-points]')"
_SCROLL = """async () => {
  const area = [...document.querySelectorAll('*')].filter((one) => one.scrollHeight > one.clientHeight + 1000)
    .sort((a, b) => b.scrollHeight - a.scrollHeight)[0];
  if (!area) return 0;
  const begin = performance.now();
  let frames = 0, now = begin;
  while (now - begin < 2000) {
    area.scrollTop += 60;
    now = await new Promise(requestAnimationFrame);
    frames++;
  }
  return frames / (now - begin) * 1000;
}"""
_LISTEN = """() => {
  document.querySelector('.chart-canvas').addEventListener('pointerup', () => { window.dropped = performance.now(); });
  document.addEventListener('chart-data', () => { window.drawn = performance.now(); });
}"""


def when(page: Page, address: str, condition: str) -> float:
    """Milliseconds from the navigation until the condition holds."""
    page.goto("about:blank")
    page.goto(address, wait_until="commit")
    return frame_of(page, condition)


def frame_of(page: Page, condition: str) -> float:
    """When the condition, an expression, first held at the end of a frame, in the page's milliseconds.

    (Playwright's own way to wait needs ``eval``, which the policy of the pages forbids.)
    """
    wait = "async () => { while (!(%s)) await new Promise(requestAnimationFrame); return performance.now(); }"
    return float(page.evaluate(wait % condition))


def zooms(page: Page, rounds: int) -> List[float]:
    """Milliseconds from the end of each drag to the points of that part."""
    page.evaluate(_LISTEN)
    found = []
    for _ in range(rounds):
        box = page.locator(".chart-canvas").first.bounding_box()
        assert box
        high = box["y"] + box["height"] * 0.4
        page.mouse.move(box["x"] + box["width"] * 0.4, high)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.6, high + 2, steps=2)
        page.evaluate("window.dropped = window.drawn = 0")
        page.mouse.up()
        frame_of(page, "window.dropped && window.drawn > window.dropped")
        found.append(float(page.evaluate("window.drawn - window.dropped")))
        page.wait_for_timeout(150)
    return found


def main(port: int, plan: Dict[str, Any], rounds: int) -> Dict[str, List[float]]:
    """Every row's rounds."""
    base = f"http://127.0.0.1:{port}/"

    def compare(runs: List[str]) -> str:
        return f"{base}#/compare?{urlencode([('runs', run) for run in runs])}"

    found: Dict[str, List[float]] = {}
    with chromium() as browser, clean_page(browser) as page:
        page.goto(base)  # the files of the pages are in the browser's cache, as for anybody who comes again
        page.wait_for_timeout(500)
        found["chart"] = [when(page, compare([plan["long"]]), _CHART)]
        found["chart-again"] = [when(page, compare([plan["long"]]), _CHART) for _ in range(rounds)]
        found["zoom"] = zooms(page, rounds)
        when(page, compare(plan["sweep"]), _CHART)
        found["overlay"] = [when(page, compare(plan["sweep"]), _CHART) for _ in range(rounds)]
        found["wide"] = [when(page, compare([plan["wide"]]), _CHART) for _ in range(rounds)]
        table = f"document.body.innerText.includes('{plan['newest']}')"
        listed = f"{base}#/experiments/{plan['many']}"
        found["list"] = [when(page, listed, table) for _ in range(rounds)]
        page.wait_for_timeout(500)
        found["scroll"] = [float(page.evaluate(_SCROLL)) for _ in range(rounds)]
    return found


if __name__ == "__main__":
    plan_ = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    print(json.dumps(main(int(sys.argv[1]), plan_, int(sys.argv[3]))))
