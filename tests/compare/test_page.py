"""The page: what is in its text, and what a browser shows of it."""

import re
from collections.abc import Iterator

import numpy as np
import pytest

from esrt_core.compare.gain import Score
from esrt_core.compare.page import comparison_page
from esrt_core.evaluation.comparison import Candidate
from esrt_core.media.frame import Frame
from tests.compare.browser import browser, missing, screenshot

RED, BLUE, GRAY = (255, 0, 0), (0, 0, 255), (90, 90, 90)


def plain(color: tuple[int, int, int], side: int) -> Frame:
    return Frame((np.full((side, side, 3), color, np.uint8),))


def make_page(name: str = "a.png") -> str:
    candidates = [Candidate("bicubic", plain(RED, 800)), Candidate("ESRT (tiny)", plain(BLUE, 800))]
    scores = [Score("bicubic", 30.0, 0.0), Score("ESRT (tiny)", 31.256, 1.256)]
    return comparison_page(name, plain(GRAY, 200), candidates, scores)


def test_the_page_loads_nothing() -> None:
    page = make_page()
    sources = re.findall(r'(?:src|href|srcset|action)="([^"]*)"', page)
    assert len(sources) == 3 * 3
    assert all(source.startswith("data:image/webp;base64,") for source in sources)
    assert "http:" not in page
    assert "https:" not in page
    assert "url(" not in page
    assert "default-src 'none'" in page
    assert len(page) < 40_000


def test_names_cannot_become_markup() -> None:
    page = make_page("<b>\"'&\udcff\n.png")
    assert "<b>" not in page
    assert "&lt;b&gt;&quot;&#x27;&amp;\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}.png" in page
    page.encode("utf-8")


def test_the_figures_are_there_and_may_be_missing() -> None:
    assert '<th scope="row">ESRT (tiny)</th><td>31.26</td><td>+1.26</td>' in make_page()
    frames = [Candidate("bicubic", plain(RED, 8)), Candidate("b", plain(BLUE, 8))]
    page = comparison_page("a", plain(GRAY, 4), frames, [Score("bicubic", None, None), Score("b", None, None)])
    assert '<th scope="row">b</th><td></td><td></td>' in page
    assert '<th scope="col">above bicubic</th>' in page


def test_gains_of_a_damaged_picture_are_said_to_be_expected() -> None:
    frames = [Candidate("bicubic", plain(RED, 8)), Candidate("b", plain(BLUE, 8))]
    scores = [Score("bicubic", 30.0, 0.0), Score("b", 31.0, 1.2)]
    page = comparison_page("a", plain(GRAY, 4), frames, scores, is_damaged=True)
    assert "reduced, damaged alike and enlarged again" in page
    assert '<th scope="col">expected above bicubic</th>' in page


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Window"]:
    if reason := missing():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("page")
    path = folder / "page.html"
    path.write_text(make_page(), encoding="utf-8")
    with browser(folder / "profile", 400, 800) as driver:
        yield Window(driver, path.as_uri())


class Window:
    """Look at the page as a person does: keys, pointer and pixels."""

    def __init__(self, driver, address: str) -> None:  # type: ignore[no-untyped-def]
        self.driver, self._address = driver, address

    def open(self) -> None:
        self.driver.get(self._address)

    def find(self, selector: str):  # type: ignore[no-untyped-def]
        return self.driver.find_element("css selector", selector)

    def middle_row(self) -> np.ndarray:
        """Return the pixels (W, 3) of a line across the first picture."""
        pixels = screenshot(self.find(".stage").screenshot_as_png)
        row: np.ndarray = pixels[len(pixels) // 2]
        return row

    def share(self, color: tuple[int, int, int]) -> float:
        return float((self.middle_row() == color).all(axis=1).mean())


@pytest.mark.slow
def test_the_line_is_in_the_middle_at_first(window: Window) -> None:
    window.open()
    row = window.middle_row()
    assert (row[5] == RED).all()
    assert (row[-5] == BLUE).all()
    assert window.share(RED) == pytest.approx(0.5, abs=0.02)


@pytest.mark.slow
def test_arrow_keys_move_the_line(window: Window) -> None:
    window.open()
    from selenium.webdriver.common.keys import Keys

    body = window.find("body")
    for _ in range(3):  # two menus, then the first slider
        body.send_keys(Keys.TAB)
        body = window.driver.switch_to.active_element
    assert body.get_attribute("type") == "range"
    body.send_keys(Keys.ARROW_RIGHT * 20)
    assert window.share(RED) == pytest.approx(0.7, abs=0.02)
    body.send_keys(Keys.HOME)
    assert window.share(BLUE) > 0.98
    body.send_keys(Keys.END)
    assert window.share(RED) > 0.98
    assert body.get_attribute("aria-valuetext") == "100 % bicubic, the rest ESRT (tiny)"


@pytest.mark.slow
def test_dragging_on_a_picture_moves_the_line(window: Window) -> None:
    window.open()
    from selenium.webdriver.common.action_chains import ActionChains

    stage = window.find(".stage")
    quarter = stage.size["width"] // 4
    ActionChains(window.driver).move_to_element(stage).click_and_hold().move_by_offset(-quarter, 0).release().perform()
    assert window.share(RED) == pytest.approx(0.25, abs=0.02)
    assert window.find("input").get_property("value") == "25"


@pytest.mark.slow
def test_other_candidates_can_be_chosen(window: Window) -> None:
    window.open()
    window.find("#left option:nth-child(1)").click()
    assert window.share(GRAY) == pytest.approx(0.5, abs=0.02)
    window.find("#left option:nth-child(3)").click()  # the one on the right: the two change places
    assert window.share(BLUE) == pytest.approx(0.5, abs=0.02)
    assert window.share(GRAY) == pytest.approx(0.5, abs=0.02)


@pytest.mark.slow
def test_it_fits_on_a_phone_and_says_nothing_in_the_console(window: Window) -> None:
    window.open()
    wide = window.driver.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
    assert wide[0] <= wide[1] == 400
    assert window.find("input").size["height"] >= 44
    assert window.driver.get_log("browser") == []
