"""``plaudit data label`` as a user types it."""

from __future__ import annotations

import builtins
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from plaudit.curation.label.queue import Queue
from plaudit.curation.label.store import LabelStore


@pytest.fixture
def queue(write_rows: Callable[..., Path]) -> Path:
    rows = [{"prompt": f"ask {i}", "response_a": f"one {i}", "response_b": f"two {i}"} for i in range(6)]
    return write_rows("queue.jsonl", *rows)


def judge(queue: Path, **verdicts: str) -> None:
    """``judge(queue, anna="llt")``: by side, one character a row."""
    with LabelStore(queue.with_name("queue.labels.db"), Queue(queue)) as store:
        for annotator, choices in verdicts.items():
            for row, choice in enumerate(choices):
                named: Any = {"l": "left", "r": "right", "t": "tie", "s": "skip"}[choice]
                store.judge(annotator, row, named, f"{annotator}-{row}")


def test_the_report_fits_a_terminal_and_comes_as_json(run, queue: Path) -> None:
    judge(queue, anna="lrtl", ben="lrts", **{"Clementine Mountbatten-Windsor the Third": "rr"})
    result = run("data", "label", queue, "--report")
    assert result.exit_code == 0, result.stderr
    for words in ("annotator", "anna", "95% interval", "Cohen's kappa", "Krippendorff's alpha"):
        assert words in result.stdout
    assert "4 of 6 rows judged, 3 of them by several annotators" in result.stderr
    assert max(map(len, result.stdout.splitlines())) <= 80
    found = json.loads(run("data", "label", queue, "--report", "--json").stdout)
    assert found["annotators"]["ben"]["skipped"] == 1
    assert found["everyone"]["judged"] == 9
    assert {pair["first"] for pair in found["pairs"]} == {"Clementine Mountbatten-Windsor the Third", "anna"}


def test_a_report_needs_judgements(run, queue: Path) -> None:
    result = run("data", "label", queue, "--report")
    assert result.exit_code == 2
    assert "no judgements yet: there is no" in result.stderr
    judge(queue)
    result = run("data", "label", queue, "--report")
    assert result.exit_code == 0
    assert "no judgements yet: 0 of 6 rows" in result.stderr


def test_pairs_are_exported_with_counts(run, queue: Path, tmp_path: Path) -> None:
    judge(queue, anna="lrtl", ben="lrtr")
    output = tmp_path / "pairs.jsonl"
    result = run("data", "label", queue, "--export", output, "--ties", "drop", "--aggregate", "majority")
    assert result.exit_code == 0, result.stderr
    assert "to " + str(output) in result.stderr
    assert "2 not judged yet" in result.stderr
    refused = run("data", "label", queue, "--export", output)
    assert refused.exit_code == 2
    assert "exists already" in refused.stderr
    result = run("data", "label", queue, "--export", output, "--overwrite", "--json")
    counts = json.loads(result.stdout)
    assert counts["written"] == 4
    assert counts["unjudged"] == 2
    assert all(
        {"chosen", "rejected", "soft_label", "annotators"} <= json.loads(line).keys()
        for line in output.read_text().splitlines()
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--report", "--export", "x.jsonl"], "one at a time"),
        (["--report", "--port", "8000", "--no-browser"], "--port, --no-browser: no effect here"),
        (["--export", "x.jsonl", "--overlap", "2"], "--overlap: no effect here"),
        (["--ties", "drop"], "--ties: no effect here; belongs to --export"),
        (["--report", "--overwrite"], "--overwrite: no effect here"),
        (["--json"], "--json belongs to --report and --export"),
        (["--no-browser", "--annotator", ""], "annotator is ''; expected a name of 1 to 60"),
        (["--no-browser", "--database", "."], "is a folder"),
        (["--no-browser", "--prompt-column", "task"], "no column 'task' for prompt"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(run, queue: Path, arguments: list[str], message: str) -> None:
    result = run("data", "label", queue, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not queue.with_name("queue.labels.db").exists()


def test_a_bad_row_is_named_or_counted(run, queue: Path) -> None:
    with queue.open("a") as file:
        file.write('{"prompt": "p", "response_a": "x"}\n')
    result = run("data", "label", queue, "--no-browser")
    assert result.exit_code == 2
    assert f"{queue}:7: response_a is there, but response_b is not" in result.stderr
    with LabelStore(queue.with_name("queue.labels.db"), Queue(queue, on_bad_row="skip")) as store:
        store.judge("anna", 0, "left", "anna-key")
    result = run("data", "label", queue, "--report", "--on-bad-row", "skip", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["bad"] == 1
    assert "skipped: " in result.stderr


def test_a_database_that_another_labeller_has_is_named(run, queue: Path) -> None:
    database = queue.with_name("queue.labels.db")
    with LabelStore(database, Queue(queue)):
        result = run("data", "label", queue, "--no-browser")
        assert result.exit_code == 2
        assert f"{database} is in use by another labeller (process {os.getpid()} on " in result.stderr
        assert "or name another --database FILE" in result.stderr
        assert result.stderr.count("\n") == 1
        assert run("data", "label", queue, "--report").exit_code == 0  # reading is fine meanwhile


def test_a_database_of_another_queue_is_refused(run, queue: Path, write_rows: Callable[..., Path]) -> None:
    judge(queue, anna="l")
    other = write_rows("other.jsonl", {"prompt": "p", "response_a": "x", "response_b": "y"})
    result = run("data", "label", other, "--database", queue.with_name("queue.labels.db"), "--no-browser")
    assert result.exit_code == 2
    assert "holds judgements of another queue" in result.stderr


def test_a_port_in_use_is_named(run, queue: Path) -> None:
    pytest.importorskip("fastapi", reason="the extra [label] is not installed")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = run("data", "label", queue, "--no-browser", "--port", str(port))
    assert result.exit_code == 2
    assert f"port {port} of 127.0.0.1 cannot be used" in result.stderr


def test_a_missing_extra_is_named(run, queue: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "uvicorn":
            raise ModuleNotFoundError("No module named 'uvicorn'", name="uvicorn")
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    result = run("data", "label", queue, "--no-browser")
    assert result.exit_code == 2
    assert "the label page needs the extra [label]: pip install 'plaudit[label]'" in result.stderr


@pytest.fixture
def served(queue: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command in a process of its own, and its address."""
    pytest.importorskip("fastapi", reason="the extra [label] is not installed")
    command = [sys.executable, "-m", "plaudit", "data", "label", str(queue), "--no-browser", "--annotator", "anna"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    address = next((line for line in process.stderr if line.startswith("label at ")), "").removeprefix("label at ")
    yield process, address.strip()
    process.kill()
    process.communicate()


def judge_over_http(address: str, row: int) -> dict[str, Any]:
    base, token = re.fullmatch(r"(http://127\.0\.0\.1:\d+)/#token=(\S+)", address).groups()  # type: ignore[union-attr]
    body = json.dumps({"annotator": "anna", "row": row, "choice": "left", "key": f"anna-key-{row}"}).encode()
    headers = {"X-Label-Token": token, "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"{base}/api/judgements", body, headers), timeout=60) as answer:
        document: dict[str, Any] = json.load(answer)
        return document


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_with_what_is_stored(served, run, queue: Path, number: signal.Signals, code: int) -> None:
    process, address = served
    assert judge_over_http(address, 0)["progress"] == {"done": 1, "left": 5, "skipped": 0}
    assert judge_over_http(address, 1)["item"]["row"] == 2
    process.send_signal(number)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == code
    assert f"2 judgements are stored in {queue.with_name('queue.labels.db')}" in stderr
    assert "Traceback" not in stderr
    assert json.loads(run("data", "label", queue, "--report", "--json").stdout)["judgements"] == 2
