"""The label page in a real browser: by keyboard, taken back, killed, and gone on with."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from plaudit.curation.label.queue import Queue
from plaudit.curation.label.store import left_side, read_judgements

pytestmark = pytest.mark.slow

pytest.importorskip("fastapi", reason="the extra [label] is not installed")
playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
HOSTILE = "<img src=x onerror='document.title = `broken`'><script>document.title = 'broken'</script> **two**"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here")
    with playwright_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def queue(tmp_path: Path) -> Path:
    long = "\n".join(f"line {n} of a long answer" for n in range(300))
    rows: list[dict[str, Any]] = [
        {"prompt": f"ask {i}", "response_a": f"one {i}", "response_b": f"two {i}"} for i in range(4)
    ]
    rows[1] |= {"response_a": HOSTILE, "response_b": long}
    turns = ["Hello.", "Hi, how can I help?", "Which is better?"]
    roles = ["user", "assistant", "user"]
    rows[2]["prompt"] = [{"role": role, "content": text} for role, text in zip(roles, turns)]
    path = tmp_path / "queue.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def serve(queue: Path) -> Iterator[Callable[..., tuple[subprocess.Popen[str], str]]]:
    """``serve("--overlap", "2")``: the command in a process of its own, and its address."""
    started = []

    def start(*arguments: str) -> tuple[subprocess.Popen[str], str]:
        command = [sys.executable, "-m", "plaudit", "data", "label", str(queue), "--no-browser", *arguments]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stderr is not None
        address = next((line for line in process.stderr if line.startswith("label at ")), None)
        assert address is not None, "the page did not start"
        return process, address.removeprefix("label at ").strip()

    yield start
    for process in started:
        process.kill()
        process.communicate()


def open_page(browser: Any, address: str, name: str | None = None, **options: Any) -> Any:
    page = browser.new_page(**({"viewport": {"width": 1280, "height": 800}} | options))
    page.set_default_timeout(60_000)
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.goto(address)
    if name is not None:
        page.get_by_label("Name").fill(name)
        page.keyboard.press("Enter")
    page.locator("#work").wait_for()
    return page


def press(page: Any, key: str, counts: str) -> None:
    page.keyboard.press(key)
    playwright_api.expect(page.locator("#counts")).to_have_text(counts, timeout=60_000)


def verdicts(queue: Path) -> list[tuple[str, int, str, bool]]:
    history = read_judgements(queue.with_name("queue.labels.db"), Queue(queue))
    return [(entry.annotator, entry.row, entry.verdict, entry.undone is not None) for entry in history]


def test_labels_survive_a_kill_and_the_page_goes_on(browser, serve, queue: Path) -> None:
    process, address = serve()
    page = open_page(browser, address, "anna")
    assert page.locator("#prompt-text").inner_text() == "ask 0"
    press(page, "a", "1 done · 3 left")
    press(page, "ArrowRight", "2 done · 2 left")
    press(page, "u", "1 done · 3 left")
    press(page, "t", "2 done · 2 left")
    press(page, "s", "2 done · 2 left (1 skipped)")
    assert page.locator("#prompt-text").inner_text() == "ask 3"

    process.kill()  # SIGKILL: no chance to say goodbye
    process.wait()
    page.keyboard.press("b")
    page.locator("#problem").wait_for()
    assert "The server does not answer" in page.locator("#problem").inner_text()
    assert page.locator("#prompt-text").inner_text() == "ask 3"  # the row stays until it is stored

    fingerprint = Queue(queue)
    list(fingerprint)
    side = {row: left_side(fingerprint.fingerprint, "anna", row) for row in range(4)}
    other = {"a": "b", "b": "a"}
    expected = [("anna", 0, side[0], False), ("anna", 1, other[side[1]], True)]
    expected += [("anna", 1, "tie", False), ("anna", 2, "skip", False)]
    assert verdicts(queue) == expected

    _, address = serve()
    page = open_page(browser, address, "anna")
    assert page.locator("#counts").inner_text() == "2 done · 2 left (1 skipped)"
    assert page.locator("#prompt-text").inner_text() == "ask 3"
    press(page, "b", "3 done · 1 left (1 skipped)")
    press(page, "a", "4 done · 0 left")
    assert page.locator("#done").is_visible()
    press(page, "u", "3 done · 1 left (1 skipped)")  # the last row can be taken back too
    press(page, "ArrowLeft", "4 done · 0 left")
    expected += [("anna", 3, other[side[3]], False), ("anna", 2, side[2], True), ("anna", 2, side[2], False)]
    assert verdicts(queue) == expected
    assert page.errors == []


def test_texts_are_never_executed_and_scroll_in_their_pane(browser, serve, queue: Path) -> None:
    _, address = serve("--annotator", "anna")
    page = open_page(browser, address)
    press(page, "t", "1 done · 3 left")
    texts = {page.locator(f"#{side}-text").inner_text() for side in ("left", "right")}
    assert HOSTILE in texts
    assert page.locator(".text img, .text script").count() == 0
    assert page.title() == "queue.jsonl · plaudit label"
    fits = "document.documentElement.scrollHeight <= innerHeight && document.documentElement.scrollWidth <= innerWidth"
    for width, height in ((1000, 700), (1280, 800), (1920, 1080)):
        page.set_viewport_size({"width": width, "height": height})
        assert page.evaluate(fits)
    long = page.locator(".side .text").filter(has_text="line 299")
    assert long.evaluate("pane => pane.scrollHeight > pane.clientHeight")
    page.keyboard.press("ArrowDown")
    page.wait_for_function("[...document.querySelectorAll('.side .text')].some(pane => pane.scrollTop > 0)")
    press(page, "t", "2 done · 2 left")
    assert page.evaluate("[...document.querySelectorAll('.side .text')].every(pane => pane.scrollTop === 0)")
    assert page.locator("#prompt-text .role").all_inner_texts() == ["User", "Assistant", "User"]
    assert page.errors == []


def test_focus_and_dialogs_leave_the_keys_alone(browser, serve, queue: Path) -> None:
    _, address = serve()
    page = open_page(browser, address, "  Anna   Maria ")
    assert page.locator("#who").inner_text() == "Anna Maria"
    assert page.evaluate("document.activeElement.id") == "work"
    page.keyboard.press("?")
    assert page.get_by_role("dialog").is_visible()
    page.keyboard.press("a")  # behind a dialog no key judges
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.id") == "work"
    page.keyboard.press("Control+b")  # nor one that belongs to the browser
    page.get_by_role("button", name="A is better").click()
    playwright_api.expect(page.locator("#counts")).to_have_text("1 done · 3 left", timeout=60_000)
    assert page.evaluate("document.activeElement.id") == "work"  # so Space presses no button again
    page.keyboard.press(" ")
    press(page, "A", "2 done · 2 left")
    assert [row for _, row, _, _ in verdicts(queue)] == [0, 1]


def test_two_browsers_label_as_two_annotators(browser, serve, queue: Path) -> None:
    _, address = serve("--overlap", "1")
    first, second = open_page(browser, address, "anna"), open_page(browser, address, "ben")
    assert first.locator("#prompt-text").inner_text() == "ask 0"
    assert second.locator("#prompt-text").inner_text() == "ask 1"
    press(first, "a", "1 done · 3 left")
    press(second, "a", "1 done · 2 left")
    assert [(who, row) for who, row, _, _ in verdicts(queue)] == [("anna", 0), ("ben", 1)]


def test_a_page_of_an_earlier_start_says_so(browser, serve) -> None:
    _, address = serve("--annotator", "anna")
    page = browser.new_page()
    page.goto(address.split("#")[0] + "#token=old")
    page.locator("#problem").wait_for(timeout=60_000)
    assert "Wrong token: open the address that plaudit data label printed" in page.locator("#problem").inner_text()
    assert page.locator("#work").is_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_has_a_picture(browser, serve, queue: Path, scheme: str) -> None:
    """Pictures to look at go to the folder that PLAUDIT_SCREENSHOTS names."""
    _, address = serve("--annotator", "anna")
    page = open_page(browser, address, color_scheme=scheme)
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == {"light": "rgb(245, 244, 241)", "dark": "rgb(22, 24, 27)"}[scheme]
    if folder := os.environ.get("PLAUDIT_SCREENSHOTS"):
        page.screenshot(path=str(Path(folder, f"label-{scheme}.png")))
