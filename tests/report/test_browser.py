"""The pages of the digits run in headless Chromium."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raykd.artifacts import RunDirectory
from raykd.report.comparison import write_comparison
from raykd.report.finished import read_finished

pytestmark = pytest.mark.slow
playwright = pytest.importorskip("playwright.sync_api")

CHROMIUM = "/usr/bin/chromium"
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync")  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    assert shutil.which(CHROMIUM), f"{CHROMIUM} is missing: apt-get install chromium"
    with tempfile.TemporaryDirectory() as profile, playwright.sync_playwright() as started:
        context = started.chromium.launch_persistent_context(profile, executable_path=CHROMIUM, args=FLAGS)
        yield context
        context.close()


class Opened:
    """A page with what it said and asked for."""

    def __init__(self, browser: Any, file: str, **media: Any) -> None:
        self.page = browser.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.set_viewport_size({"width": media.pop("width", 1280), "height": 900})
        self.page.emulate_media(**media)
        self.page.goto(f"file://{file}")

    def column(self, number: int) -> list[str]:
        """Sort values of a column of the results, top to bottom."""
        cells = self.page.locator("table.sortable").first.locator(f"tbody tr > :nth-child({number})")
        values: list[str] = cells.evaluate_all(
            "cells => cells.map(cell => cell.dataset.value ?? cell.textContent.trim())"
        )
        return values


@pytest.fixture(scope="module", params=["report", "comparison"])
def file(request: Any, digits_run: tuple[RunDirectory, dict[str, Any]], tmp_path_factory: Any) -> str:
    directory, _ = digits_run
    if request.param == "report":
        return directory.path("report.html")
    page = tmp_path_factory.mktemp("pages") / "comparison.html"
    write_comparison([read_finished(directory.root)] * 2, page)
    return str(page)


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 360)])
def test_page_opens_quietly_and_fits(browser: Any, file: str, scheme: str, width: int) -> None:
    opened = Opened(browser, file, color_scheme=scheme, width=width)
    assert opened.said == []
    assert [url for url in opened.asked if not url.startswith("data:")] == [f"file://{file}"]
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
    ground = opened.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(21, 24, 28)")
    names = opened.page.locator("svg[role=img]").evaluate_all("all => all.map(one => one.getAttribute('aria-label'))")
    assert names
    assert all(names)
    opened.page.close()


def test_headings_sort_the_results_and_give_the_old_order_back(browser: Any, file: str) -> None:
    opened = Opened(browser, file)
    before = opened.column(2)
    heading = opened.page.locator("table.sortable").first.locator("thead th").nth(1)
    orders = []
    for _ in range(3):
        heading.get_by_role("button").click()
        orders.append((heading.get_attribute("aria-sort"), opened.column(2)))
    numbers = sorted(before, key=float)
    assert [order for order, _ in orders] == ["descending", "ascending", "none"]
    assert [values for _, values in orders] == [numbers[::-1], numbers, before]
    first = opened.page.locator("table.sortable").first.locator("thead th").first
    first.get_by_role("button").click()
    assert first.get_attribute("aria-sort") == "ascending"
    assert opened.said == []
    opened.page.close()


def test_every_table_can_be_taken_home_as_csv(browser: Any, file: str, tmp_path: Path) -> None:
    opened = Opened(browser, file)
    link = opened.page.locator("a[download]").first
    with opened.page.expect_download() as found:
        link.click()
    found.value.save_as(tmp_path / "taken.csv")
    beside = Path(file).with_suffix("") / found.value.suggested_filename
    assert (tmp_path / "taken.csv").read_bytes() == beside.read_bytes()
    opened.page.close()


def test_page_can_be_read_without_its_script_and_printed(browser: Any, file: str, tmp_path: Path) -> None:
    text = Path(file).read_text()
    before, script, after = text.partition("<script>")
    assert script
    bare = tmp_path / "bare.html"
    bare.write_text(before + after.partition("</script>")[2])
    opened = Opened(browser, str(bare))
    assert len(opened.column(2)) >= 2
    printed = opened.page.pdf(path=tmp_path / "page.pdf", prefer_css_page_size=True)
    assert printed.startswith(b"%PDF")
    opened.page.close()
