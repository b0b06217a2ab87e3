"""Judgements in a SQLite file: each is on the disk before the next row is shown, and none is ever deleted.

A judgement that is taken back stays in ``history`` with the time when that was. The file also holds what is shown of
the queue's rows, so that serving needs no queue in memory. Knows nothing of pages, agreement or exports.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeAlias

from plaudit.curation.label.database import (
    APPLICATION_ID,
    SCHEMA,
    VERSION,
    check_same,
    connect,
    explained,
    is_new,
    refuse_other_files,
    take_lock,
    this_process,
    transaction,
)
from plaudit.curation.label.queue import Queue
from plaudit.data.read import suffix_of
from plaudit.errors import ConfigError, DataError, PlauditError

__all__ = [
    "ConflictError",
    "Judgement",
    "LabelStore",
    "Shown",
    "State",
    "UnknownRowError",
    "Verdict",
    "default_database",
    "left_side",
    "read_judgements",
]

Side: TypeAlias = Literal["a", "b"]
Verdict: TypeAlias = Literal["a", "b", "tie", "skip"]
Choice: TypeAlias = Literal["left", "right", "tie", "skip"]

ENDLESS = 2**31
LEASE_SECONDS = 900.0
"""For so long a row that was shown to an annotator counts as theirs, where an overlap is asked for."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A row as an annotator sees it: ``view`` is the queue's (JSON), ``left`` the response on the left."""

    row: int
    view: str
    left: Side


@dataclass(frozen=True, slots=True)
class State:
    """Where an annotator is.

    Attributes:
        item: the next row; None: nothing is left.
        done: rows that this annotator has judged.
        left: rows still to be judged by this annotator.
        skipped: those of them that were skipped.
        undo: the id of what undo takes back; None: nothing.
        undo_choice: what that was, as shown.
    """

    item: Shown | None
    done: int
    left: int
    skipped: int
    undo: int | None
    undo_choice: Choice | None


@dataclass(frozen=True, slots=True)
class Judgement:
    """One standing or undone entry of the history; see the schema."""

    annotator: str
    row: int
    verdict: Verdict
    left: Side
    time: str
    undone: str | None


class ConflictError(PlauditError):
    """What was asked for contradicts what is stored; the message says how."""


class UnknownRowError(PlauditError):
    """There is no row of this number."""


def default_database(queue: str | Path) -> Path:
    """``queue.jsonl`` → ``queue.labels.db`` beside it."""
    path = Path(queue).expanduser()
    return path.with_name(path.name.removesuffix(suffix_of(path) or "") + ".labels.db")


def left_side(fingerprint: str, annotator: str, row: int) -> Side:
    """Which response an annotator sees on the left: a fair coin, seeded by queue, annotator and row."""
    digest = hashlib.blake2b(f"{fingerprint}\0{annotator}\0{row}".encode(), digest_size=1).digest()
    return "a" if digest[0] % 2 else "b"


class LabelStore:
    """The database of one queue, opened for labelling; a context manager. Safe to use from several threads.

    One process at a time labels into a database; reading it meanwhile (`read_judgements`) is fine.

    Args:
        path: of the database; made where it is not there.
        queue: what is to be judged. It is read once, to compare it with what the database holds.
        overlap: so many annotators suffice a row; None: every annotator sees every row.

    Raises:
        ConfigError: the overlap is not positive, or the database belongs to another queue.
        OutputError: the database is in use by another process, or cannot be written.
        DataError, RowError: the queue or the database cannot be read.
    """

    def __init__(self, path: str | Path, queue: Queue, *, overlap: int | None = None) -> None:
        if overlap is not None and overlap < 1:
            raise ConfigError(f"overlap is {overlap}; expected the number of annotators that suffice a row, from 1")
        self.path, self.overlap = Path(path).expanduser(), overlap
        self._mutex = threading.Lock()
        self._leases: dict[int, dict[str, float]] = {}
        refuse_other_files(self.path, queue.path)
        self._lock = take_lock(self.path)
        try:
            self._database = connect(self.path, create=True)
        except BaseException:
            self._lock.release()
            raise
        try:
            with explained(self.path):
                self._prepare(queue)
                self.fingerprint, self.rows = queue.fingerprint, queue.rows
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> LabelStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Gives the database free."""
        self._database.close()
        self._lock.release()

    def _prepare(self, queue: Queue) -> None:
        """Fills a new database in one transaction, or compares an old one with the queue."""
        database = self._database
        if not is_new(database, self.path):
            for _ in queue:
                pass
            check_same(database, self.path, queue)
            database.execute("REPLACE INTO facts VALUES ('process', ?)", (this_process(),))
            return
        try:
            with transaction(database):
                for statement in SCHEMA.split(";\n"):
                    database.execute(statement)
                rows = ((item.number, item.location, item.view) for item in queue)
                database.executemany("INSERT INTO rows VALUES (?, ?, ?)", rows)
                facts = {"version": str(VERSION), "fingerprint": queue.fingerprint, "rows": str(queue.rows)}
                facts |= {"queue": str(queue.path.resolve()), "process": this_process()}
                database.executemany("INSERT INTO facts VALUES (?, ?)", facts.items())
                database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        except BaseException:
            database.close()
            if self.path.stat().st_size == 0:  # nothing was stored: leave no empty file behind
                self.path.unlink()
            raise

    # -- what the page asks for ----------------------------------------------------------------------------------------

    def state(self, annotator: str) -> State:
        """The annotator's next row and progress."""
        with self._mutex, explained(self.path):
            return self._state(annotator)

    def judge(self, annotator: str, row: int, choice: Choice, key: str) -> State:
        """Stores a judgement, or a skip, and gives the next state. Sent again, it changes nothing.

        Args:
            annotator: who judges.
            row: what was shown.
            choice: which side is better, as shown.
            key: unique to this judgement.

        Raises:
            UnknownRowError: there is no such row.
            ConflictError: the annotator has judged the row otherwise, or the key belongs to something else.
            OutputError: it could not be written.
        """
        with self._mutex, explained(self.path):
            if self._database.execute("SELECT 1 FROM rows WHERE row = ?", (row,)).fetchone() is None:
                raise UnknownRowError(f"there is no row {row}; the queue has {self.rows:,}, numbered from 0")
            left = left_side(self.fingerprint, annotator, row)
            verdict = _verdict(choice, left)
            with transaction(self._database):
                if not self._is_stored(annotator, row, verdict, key):
                    self._database.execute(
                        "INSERT INTO history (key, annotator, row, verdict, left_side, time) VALUES (?, ?, ?, ?, ?, ?)",
                        (key, annotator, row, verdict, left, _now()),
                    )
            self._leases.get(row, {}).pop(annotator, None)
            return self._state(annotator)

    def undo(self, annotator: str, entry: int) -> State:
        """Takes back the annotator's last judgement or skip; the next row is then that one. Sent again, no change.

        Args:
            annotator: who judged.
            entry: the id of it, from `State.undo`.

        Raises:
            ConflictError: it is not the annotator's last one.
            OutputError: it could not be written.
        """
        with self._mutex, explained(self.path):
            found = self._database.execute(
                "SELECT row, undone FROM history WHERE id = ? AND annotator = ?", (entry, annotator)
            ).fetchone()
            if found is None:
                raise ConflictError(f"{annotator} has no judgement {entry} to take back; load the page again")
            row, undone = found
            if undone is None:
                last = self._last(annotator)
                if last is None or last[0] != entry:
                    raise ConflictError("a later judgement came in between, from another window; load the page again")
                with transaction(self._database):
                    self._database.execute("UPDATE history SET undone = ? WHERE id = ?", (_now(), entry))
            return self._state(annotator, row if undone is None else None)

    def annotators(self) -> list[str]:
        """Who has judged so far, by name."""
        with self._mutex, explained(self.path):
            names = self._database.execute("SELECT DISTINCT annotator FROM history ORDER BY annotator")
            return [name for (name,) in names]

    def judgements(self) -> int:
        """How many judgements stand."""
        with self._mutex, explained(self.path):
            return self._count("SELECT count(*) FROM history WHERE undone IS NULL AND verdict <> 'skip'")

    # -- with the mutex held -------------------------------------------------------------------------------------------

    def _count(self, query: str, *values: object) -> int:
        return int(self._database.execute(query, values).fetchone()[0])

    def _is_stored(self, annotator: str, row: int, verdict: str, key: str) -> bool:
        """Whether the judgement is there already."""
        same = self._database.execute("SELECT annotator, row, verdict FROM history WHERE key = ?", (key,)).fetchone()
        if same is not None:
            if same != (annotator, row, verdict):
                raise ConflictError("this key was used for another judgement; load the page again")
            return True
        standing = self._database.execute(
            "SELECT verdict FROM history WHERE annotator = ? AND row = ? AND undone IS NULL AND verdict <> 'skip'",
            (annotator, row),
        ).fetchone()
        if standing is not None and standing[0] != verdict:
            raise ConflictError(f"{annotator} has judged this row otherwise, in another window; undo that first")
        return standing is not None

    def _state(self, annotator: str, row: int | None = None) -> State:
        done = self._count(
            "SELECT count(*) FROM history WHERE annotator = ? AND undone IS NULL AND verdict <> 'skip'", annotator
        )
        enough = 0
        if self.overlap is not None:  # rows that others have judged often enough
            enough = self._count(
                "SELECT count(*) FROM (SELECT 1 FROM history WHERE undone IS NULL AND verdict <> 'skip' GROUP BY row "
                "HAVING count(*) >= ? AND sum(annotator = ?) = 0)",
                self.overlap,
                annotator,
            )
        row = self._next(annotator) if row is None else row
        item = None
        if row is not None:
            (view,) = self._database.execute("SELECT view FROM rows WHERE row = ?", (row,)).fetchone()
            item = Shown(row, view, left_side(self.fingerprint, annotator, row))
            if self.overlap is not None:
                self._leases.setdefault(row, {})[annotator] = time.monotonic()
        last = self._last(annotator)
        choice = None if last is None else _choice(last[1], last[2])
        skipped = sum(1 for _ in self._candidates(annotator, skipped=True))
        left = self.rows - done - enough
        return State(item, done, left, skipped, None if last is None else last[0], choice)

    def _last(self, annotator: str) -> tuple[int, Verdict, Side] | None:
        found: tuple[int, Verdict, Side] | None = self._database.execute(
            "SELECT id, verdict, left_side FROM history WHERE annotator = ? AND undone IS NULL "
            "ORDER BY id DESC LIMIT 1",
            (annotator,),
        ).fetchone()
        return found

    def _next(self, annotator: str) -> int | None:
        """The first row that is open to the annotator: in the queue's order, the skipped ones last.

        With an overlap, rows that are before enough others just now come only where nothing else is left.
        """
        taken: int | None = None
        for skipped in (False, True):
            for row, judged in self._candidates(annotator, skipped=skipped):
                if self.overlap is None or judged + self._leased(row, annotator) < self.overlap:
                    return row
                taken = row if taken is None else taken
        return taken

    def _candidates(self, annotator: str, *, skipped: bool) -> Iterator[tuple[int, int]]:
        """Rows that the annotator has not judged, with the number of their judgements, fewer than the overlap."""
        enough = ENDLESS if self.overlap is None else self.overlap
        if skipped:
            query = (
                "SELECT row, (SELECT count(*) FROM history o WHERE o.row = h.row AND o.undone IS NULL "
                "AND o.verdict <> 'skip') AS judged FROM history h WHERE annotator = ? AND undone IS NULL "
                "GROUP BY row HAVING min(verdict = 'skip') AND judged < ? ORDER BY max(id)"
            )
        else:
            query = (
                "SELECT row, (SELECT count(*) FROM history o WHERE o.row = r.row AND o.undone IS NULL "
                "AND o.verdict <> 'skip') AS judged FROM rows r WHERE NOT EXISTS (SELECT 1 FROM history h "
                "WHERE h.annotator = ? AND h.row = r.row AND h.undone IS NULL) AND judged < ? ORDER BY row"
            )
        with closing(self._database.execute(query, (annotator, enough))) as cursor:
            yield from cursor

    def _leased(self, row: int, annotator: str) -> int:
        """Before how many other annotators the row is just now."""
        since = time.monotonic() - LEASE_SECONDS
        return sum(when > since for name, when in self._leases.get(row, {}).items() if name != annotator)


def read_judgements(path: str | Path, queue: Queue) -> list[Judgement]:
    """Everything in the history, in the order in which it came; also while someone labels.

    Memory grows with the number of judgements, not with the queue. The queue is read once, unless it has just been.

    Raises:
        DataError: there is no database, or it is none of labels.
        ConfigError: it belongs to another queue.
        OutputError: another program has locked it.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise DataError(f"no judgements yet: there is no {path}; label first with: plaudit data label {queue.path}")
    if not queue.fingerprint:
        for _ in queue:
            pass
    with explained(path), closing(connect(path, create=False)) as database:
        if is_new(database, path):
            raise DataError(f"no judgements yet: {path} is empty; label first with: plaudit data label {queue.path}")
        check_same(database, path, queue)
        entries = database.execute("SELECT annotator, row, verdict, left_side, time, undone FROM history ORDER BY id")
        return [Judgement(*entry) for entry in entries]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _verdict(choice: Choice, left: Side) -> Verdict:
    if choice == "tie" or choice == "skip":
        return choice
    return left if choice == "left" else ("b" if left == "a" else "a")


def _choice(verdict: Verdict, left: Side) -> Choice:
    if verdict == "tie" or verdict == "skip":
        return verdict
    return "left" if verdict == left else "right"
