"""Judgements are stored once, never deleted, given back in order, and kept apart by queue and process."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plaudit.curation.label.queue import Queue
from plaudit.curation.label.store import (
    ConflictError,
    LabelStore,
    State,
    UnknownRowError,
    default_database,
    left_side,
    read_judgements,
)
from plaudit.errors import ConfigError, DataError, OutputError, RowError


@pytest.fixture
def queue_of(tmp_path: Path) -> Callable[..., Queue]:
    """``queue_of(5)``: a queue of five rows."""

    def make(rows: int, name: str = "queue.jsonl", word: str = "Question") -> Queue:
        path = tmp_path / name
        texts = [{"prompt": f"{word} {i}", "response_a": f"yes {i}", "response_b": f"no {i}"} for i in range(rows)]
        path.write_text("".join(json.dumps(row) + "\n" for row in texts), encoding="utf-8")
        return Queue(path)

    return make


@pytest.fixture
def store(tmp_path: Path, queue_of: Callable[..., Queue]) -> Iterator[LabelStore]:
    with LabelStore(tmp_path / "labels.db", queue_of(4)) as opened:
        yield opened


def row_of(state: State) -> int | None:
    return None if state.item is None else state.item.row


KEYS = iter(f"key-{number:08}" for number in range(10**8))


def judge(store: LabelStore, annotator: str, choice: str) -> State:
    row = row_of(store.state(annotator))
    assert row is not None
    return store.judge(annotator, row, choice, next(KEYS))  # type: ignore[arg-type]


def test_rows_come_in_order_and_skipped_ones_at_the_end(store: LabelStore) -> None:
    seen = []
    for choice in ("left", "skip", "tie", "right"):
        seen.append(row_of(store.state("anna")))
        state = judge(store, "anna", choice)
    assert seen == [0, 1, 2, 3]
    assert (row_of(state), state.done, state.left, state.skipped) == (1, 3, 1, 1)
    state = judge(store, "anna", "skip")
    assert (row_of(state), state.left, state.skipped) == (1, 1, 1)
    state = judge(store, "anna", "left")
    assert (row_of(state), state.done, state.left, state.skipped) == (None, 4, 0, 0)


def test_skipped_rows_come_again_in_the_order_of_the_last_skip(store: LabelStore) -> None:
    for choice in ("skip", "skip", "left", "left"):
        judge(store, "anna", choice)
    assert row_of(store.state("anna")) == 0
    assert row_of(judge(store, "anna", "skip")) == 1


def test_annotators_do_not_see_each_other(store: LabelStore) -> None:
    judge(store, "anna", "left")
    assert row_of(store.state("ben")) == 0
    assert store.state("ben").undo is None
    assert store.annotators() == ["anna"]
    assert store.judgements() == 1


def test_a_judgement_is_of_the_response_and_not_of_the_side(store: LabelStore, tmp_path: Path) -> None:
    for _ in range(4):
        judge(store, "anna", "left")
    sides = [left_side(store.fingerprint, "anna", row) for row in range(4)]
    history = read_judgements(tmp_path / "labels.db", Queue(tmp_path / "queue.jsonl"))
    assert [(e.verdict, e.left) for e in history] == [(side, side) for side in sides]


def test_sides_are_a_fair_coin_of_annotator_and_row() -> None:
    left = [left_side("f", "anna", row) for row in range(1000)]
    assert 440 < left.count("a") < 560
    assert left == [left_side("f", "anna", row) for row in range(1000)]
    assert 440 < sum(a == b for a, b in zip(left, (left_side("f", "ben", row) for row in range(1000)))) < 560


def test_undo_takes_back_one_judgement_after_another_and_keeps_them(store: LabelStore, tmp_path: Path) -> None:
    judge(store, "anna", "left")
    state = judge(store, "anna", "skip")
    assert state.undo_choice == "skip"
    assert state.undo is not None
    state = store.undo("anna", state.undo)
    assert (row_of(state), state.skipped, state.undo_choice) == (1, 0, "left")
    assert state.undo is not None
    state = store.undo("anna", state.undo)
    assert (row_of(state), state.done, state.undo) == (0, 0, None)
    history = read_judgements(tmp_path / "labels.db", Queue(tmp_path / "queue.jsonl"))
    assert len(history) == 2
    assert all(entry.undone for entry in history)


def test_undo_shows_a_row_again_that_was_skipped_before(store: LabelStore) -> None:
    for choice in ("skip", "left", "left", "left"):
        judge(store, "anna", choice)
    state = judge(store, "anna", "tie")
    assert state.item is None
    assert state.undo is not None
    state = store.undo("anna", state.undo)
    assert (row_of(state), state.skipped) == (0, 1)


def test_undo_sent_twice_takes_back_one(store: LabelStore) -> None:
    first = judge(store, "anna", "left").undo
    second = judge(store, "anna", "left").undo
    assert first is not None
    assert second is not None
    with pytest.raises(ConflictError, match="later judgement"):
        store.undo("anna", first)
    assert store.undo("anna", second) == store.undo("anna", second)
    assert store.judgements() == 1
    with pytest.raises(ConflictError, match="no judgement"):
        store.undo("ben", first)


def test_the_same_judgement_twice_is_stored_once(store: LabelStore) -> None:
    once = store.judge("anna", 0, "left", "key-of-one")
    assert store.judge("anna", 0, "left", "key-of-one") == once
    assert store.judge("anna", 0, "left", "from-another-window") == once
    assert store.judgements() == 1
    with pytest.raises(ConflictError, match="judged this row otherwise"):
        store.judge("anna", 0, "right", "third-window")
    with pytest.raises(ConflictError, match="used for another"):
        store.judge("anna", 1, "left", "key-of-one")
    with pytest.raises(UnknownRowError, match="no row 4"):
        store.judge("anna", 4, "left", "key-of-four")
    assert store.undo("anna", once.undo or 0).done == 0
    assert store.judge("anna", 0, "left", "key-of-one").done == 0  # a late repetition brings nothing back


def test_an_overlap_ends_a_row_and_shares_out_the_rest(tmp_path: Path, queue_of: Callable[..., Queue]) -> None:
    with LabelStore(tmp_path / "labels.db", queue_of(3), overlap=1) as store:
        assert row_of(store.state("anna")) == 0
        assert row_of(store.state("ben")) == 1  # the first one is before anna
        state = judge(store, "anna", "left")
        assert (row_of(state), state.done, state.left) == (2, 1, 2)
        state = judge(store, "ben", "left")
        assert (row_of(state), state.left) == (2, 1)  # nothing else is left: better twice than waiting
        judge(store, "anna", "left")
        assert row_of(store.state("ben")) is None
        assert store.state("ben").left == 0
        assert row_of(store.state("cleo")) is None
    with pytest.raises(ConfigError, match="overlap is 0"):
        LabelStore(tmp_path / "labels.db", queue_of(3), overlap=0)


def test_threads_lose_no_judgement(tmp_path: Path, queue_of: Callable[..., Queue]) -> None:
    names = [f"annotator {i}" for i in range(6)]
    with LabelStore(tmp_path / "labels.db", queue_of(10)) as store:

        def work(name: str) -> None:
            state = store.state(name)
            while state.item is not None:
                state = store.judge(name, state.item.row, "left", f"{name}-{state.item.row}")

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(work, names))
        assert store.judgements() == 60


def test_a_database_goes_on_where_it_was(tmp_path: Path, queue_of: Callable[..., Queue]) -> None:
    queue = queue_of(3)
    with LabelStore(tmp_path / "labels.db", queue) as store:
        judge(store, "anna", "left")
        judge(store, "anna", "skip")
        state = store.state("anna")
    with LabelStore(tmp_path / "labels.db", Queue(queue.path)) as store:
        assert store.state("anna") == state


def test_another_queue_is_refused(tmp_path: Path, queue_of: Callable[..., Queue]) -> None:
    LabelStore(tmp_path / "labels.db", queue_of(3)).close()
    other = queue_of(3, "other.jsonl", "Another question")
    with pytest.raises(ConfigError, match="judgements of another queue: .*queue.jsonl"):
        LabelStore(tmp_path / "labels.db", other)
    with pytest.raises(ConfigError, match="judgements of another queue"):
        read_judgements(tmp_path / "labels.db", other)


@pytest.mark.slow
def test_a_second_labeller_is_told_who_has_the_database(store: LabelStore, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from plaudit.curation.label.queue import Queue\n"
        "from plaudit.curation.label.store import LabelStore\n"
        "try: LabelStore(sys.argv[1], Queue(sys.argv[2]))\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    arguments = [str(tmp_path / "labels.db"), str(tmp_path / "queue.jsonl")]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=120)
    assert done.stdout.startswith("OutputError"), done.stderr
    assert f"{tmp_path / 'labels.db'} is in use by another labeller (process " in done.stdout
    assert read_judgements(tmp_path / "labels.db", Queue(tmp_path / "queue.jsonl")) == []  # reading is fine


def test_a_file_that_another_program_has_locked_is_named(store: LabelStore, tmp_path: Path) -> None:
    store._database.execute("PRAGMA busy_timeout = 50")
    other = sqlite3.connect(tmp_path / "labels.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(OutputError, match=r"labels\.db is locked by another program"):
        store.judge("anna", 0, "left", "key-of-one")
    other.execute("ROLLBACK")
    other.close()
    assert store.judge("anna", 0, "left", "key-of-one").done == 1


def test_a_bad_row_leaves_no_database(tmp_path: Path, queue_of: Callable[..., Queue]) -> None:
    queue = queue_of(3)
    with queue.path.open("a", encoding="utf-8") as file:
        file.write('{"prompt": "p"}\n')
    with pytest.raises(RowError, match=r"queue\.jsonl:4"):
        LabelStore(tmp_path / "labels.db", queue)
    assert not (tmp_path / "labels.db").exists()
    with LabelStore(tmp_path / "labels.db", queue_of(3)) as store:  # and the lock is free again
        assert store.rows == 3


def test_what_is_no_database_of_labels_is_refused(tmp_path: Path, queue_of: Callable[..., Queue]) -> None:
    queue = queue_of(2)
    text, other = tmp_path / "text.db", tmp_path / "other.db"
    text.write_text("no database, but long enough to have a header of one hundred bytes " * 3)
    database = sqlite3.connect(other)
    database.execute("CREATE TABLE mine (x)")
    database.close()
    before = text.read_bytes(), other.read_bytes()
    for path in (text, other):
        with pytest.raises(DataError, match="is no database of labels"):
            LabelStore(path, queue)
    assert (text.read_bytes(), other.read_bytes()) == before
    with pytest.raises(OutputError, match="is the queue itself"):
        LabelStore(queue.path, queue)
    with pytest.raises(OutputError, match="is a folder"):
        LabelStore(tmp_path, queue)
    with pytest.raises(DataError, match="no judgements yet: there is no"):
        read_judgements(tmp_path / "nothing.db", queue)


def test_the_database_lies_beside_the_queue() -> None:
    assert default_database("data/queue.jsonl.gz") == Path("data/queue.labels.db")
    assert default_database("folder") == Path("folder.labels.db")


ACTIONS = st.lists(st.sampled_from(["left", "right", "tie", "skip", "undo"]), max_size=12)


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ACTIONS)
def test_any_course_of_actions_agrees_with_a_plain_model(
    tmp_path_factory: pytest.TempPathFactory, queue_of: Callable[..., Queue], actions: list[str]
) -> None:
    """The model: a stack of what stands; undo pops it."""
    path = tmp_path_factory.mktemp("course") / "labels.db"
    stack: list[tuple[int, str]] = []
    store = LabelStore(path, queue_of(4))
    try:
        for action in actions:
            state = store.state("anna")
            if action == "undo":
                if state.undo is None:
                    assert not stack
                    continue
                row, _ = stack.pop()
                assert row_of(store.undo("anna", state.undo)) == row
            elif state.item is not None:
                stack.append((state.item.row, action))
                judge(store, "anna", action)
        judged = {row: choice for row, choice in stack if choice != "skip"}
        order = [row for row, _ in reversed(stack) if row not in judged]
        skipped = list(dict.fromkeys(order))[::-1]
        fresh = [row for row in range(4) if row not in judged and row not in skipped]
        state = store.state("anna")
        assert (state.done, state.left, state.skipped) == (len(judged), 4 - len(judged), len(skipped))
        assert row_of(state) == next(iter([*fresh, *skipped]), None)
        store.close()
        store = LabelStore(path, queue_of(4))  # nothing is lost by closing
        assert store.state("anna") == state
    finally:
        store.close()
