"""The label page's calls: token, names, what a row tells, repetition, and what cannot be stored."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra [label] is not installed")

from fastapi.testclient import TestClient

from plaudit.curation.label.app import create_app, valid_name
from plaudit.curation.label.queue import Queue
from plaudit.curation.label.store import LabelStore, left_side

TOKEN = "a-token-of-the-test"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LabelStore]:
    path = tmp_path / "queue.jsonl"
    rows = [{"prompt": f"ask {i}", "chosen": f"good {i}", "rejected": f"<b>bad</b> {i}"} for i in range(5)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with LabelStore(tmp_path / "labels.db", Queue(path)) as opened:
        yield opened


def client_of(store: LabelStore, *, token: str | bytes = TOKEN, **options: Any) -> TestClient:
    app = create_app(store, TOKEN, title="queue.jsonl", **options)
    return TestClient(app, base_url="http://127.0.0.1", headers={"X-Label-Token": token})


@pytest.fixture
def client(store: LabelStore) -> TestClient:
    return client_of(store)


def judgement(row: int = 0, choice: str = "left", annotator: str = "anna", key: str = "") -> dict[str, Any]:
    return {"annotator": annotator, "row": row, "choice": choice, "key": key or f"{annotator}-{row}-key"}


def test_only_the_token_opens_rows_and_judgements(store: LabelStore) -> None:
    for token in ("", "wrong", "a-token-of-the-tesT", "ü".encode()):
        stranger = client_of(store, token=token)
        assert stranger.get("/api/session").status_code == 403
        assert stranger.get("/api/state", params={"annotator": "anna"}).status_code == 403
        assert stranger.post("/api/judgements", json=judgement()).status_code == 403
        assert stranger.post("/api/undo", json={"annotator": "anna", "judgement": 1}).status_code == 403
    assert store.judgements() == 0


def test_the_page_comes_without_data_and_runs_no_script_but_its_own(store: LabelStore) -> None:
    stranger = client_of(store, token="")
    for path, kind in (("/", "text/html"), ("/page.css", "text/css"), ("/page.js", "text/javascript")):
        answer = stranger.get(path)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith(kind)
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "ask 0" not in answer.text
    assert stranger.get("/docs").status_code == 404


def test_another_host_name_is_refused(store: LabelStore) -> None:
    app = create_app(store, TOKEN)
    assert TestClient(app, base_url="http://evil.example").get("/").status_code == 400


def test_a_row_is_shown_by_sides_that_say_nothing_of_its_label(client: TestClient, store: LabelStore) -> None:
    answer = client.get("/api/state", params={"annotator": " anna "})
    item = answer.json()["item"]
    texts = {"a": [["", "good 0"]], "b": [["", "<b>bad</b> 0"]]}
    left = left_side(store.fingerprint, "anna", 0)
    assert item == {
        "row": 0,
        "prompt": [["", "ask 0"]],
        "left": texts[left],
        "right": texts["b" if left == "a" else "a"],
    }
    assert answer.json()["progress"] == {"done": 0, "left": 5, "skipped": 0}
    assert answer.json()["undo"] is None
    assert not {"chosen", "rejected", '"a"', '"b"'} & set(answer.text.split())


def test_a_judgement_is_stored_and_the_next_row_comes(client: TestClient, store: LabelStore) -> None:
    answer = client.post("/api/judgements", json=judgement()).json()
    assert answer["item"]["row"] == 1
    assert answer["undo"]["choice"] == "left"
    assert store.judgements() == 1
    back = client.post("/api/undo", json={"annotator": "anna", "judgement": answer["undo"]["judgement"]}).json()
    assert back["item"]["row"] == 0
    assert store.judgements() == 0


def test_the_same_judgement_twice_changes_nothing(client: TestClient, store: LabelStore) -> None:
    once = client.post("/api/judgements", json=judgement())
    twice = client.post("/api/judgements", json=judgement())
    assert (once.status_code, once.json()) == (twice.status_code, twice.json())
    assert store.judgements() == 1
    other = client.post("/api/judgements", json=judgement(choice="right", key="another-key"))
    assert other.status_code == 409
    assert "judged this row otherwise" in other.json()["detail"]


def test_an_unknown_row_is_404(client: TestClient) -> None:
    answer = client.post("/api/judgements", json=judgement(row=5))
    assert answer.status_code == 404
    assert "there is no row 5; the queue has 5, numbered from 0" in answer.json()["detail"]


@pytest.mark.parametrize(
    "change",
    [
        {"choice": "a"},
        {"row": -1},
        {"row": 2**62},
        {"row": "x"},
        {"key": "short"},
        {"key": "no; sql"},
        {"annotator": "  "},
        {"annotator": "x" * 61},
        {"annotator": "a\x00b"},
        {"comment": "not a field"},
    ],
)
def test_what_is_no_judgement_is_refused(client: TestClient, store: LabelStore, change: dict[str, Any]) -> None:
    assert client.post("/api/judgements", json=judgement() | change).status_code == 422
    assert store.judgements() == 0


def test_a_page_for_one_annotator_takes_no_other_name(store: LabelStore) -> None:
    client = client_of(store, annotator="anna")
    assert client.get("/api/session").json() == {"title": "queue.jsonl", "annotator": "anna", "annotators": ["anna"]}
    assert client.get("/api/state", params={"annotator": "ben"}).status_code == 409
    assert client.post("/api/judgements", json=judgement(annotator="ben")).status_code == 409
    assert client.post("/api/judgements", json=judgement()).status_code == 200


def test_annotators_at_once_lose_no_judgement(client: TestClient, store: LabelStore) -> None:
    def work(name: str) -> int:
        state = client.get("/api/state", params={"annotator": name}).json()
        while state["item"] is not None:
            body = judgement(state["item"]["row"], "right", name)
            state = client.post("/api/judgements", json=body).json()
            assert client.post("/api/judgements", json=body).status_code == 200  # a repetition in between
        return int(state["progress"]["done"])

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, ["anna", "ben", "cleo", "dan"])) == [5] * 4
    assert store.judgements() == 20
    assert client.get("/api/session").json()["annotators"] == ["anna", "ben", "cleo", "dan"]


def test_a_judgement_that_cannot_be_written_is_503_and_can_be_sent_again(
    client: TestClient, store: LabelStore, tmp_path: Path
) -> None:
    store._database.execute("PRAGMA busy_timeout = 50")
    other = sqlite3.connect(tmp_path / "labels.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    answer = client.post("/api/judgements", json=judgement())
    assert answer.status_code == 503
    assert "labels.db is locked by another program" in answer.json()["detail"]
    other.execute("ROLLBACK")
    other.close()
    assert client.post("/api/judgements", json=judgement()).status_code == 200
    assert store.judgements() == 1


def test_names_are_tidied() -> None:
    assert valid_name("  Anna   Maria ") == "Anna Maria"
    assert valid_name("李雷") == "李雷"
    with pytest.raises(ValueError, match="1 to 60 printable"):
        valid_name("\u200b")
