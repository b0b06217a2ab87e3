"""The SQLite file of a queue's judgements: schema, opening, the lock of the one who labels, errors in plain words."""

from __future__ import annotations

import os
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from plaudit.curation.label.queue import Queue
from plaudit.errors import ConfigError, DataError, OutputError

__all__ = [
    "APPLICATION_ID",
    "SCHEMA",
    "VERSION",
    "check_same",
    "connect",
    "explained",
    "is_new",
    "refuse_other_files",
    "take_lock",
    "this_process",
    "transaction",
]

APPLICATION_ID = 0x504C4C42
"""In the header of the file: "PLLB"."""

VERSION = 1
SCHEMA = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE rows (row INTEGER PRIMARY KEY, location TEXT NOT NULL, view TEXT NOT NULL);
CREATE TABLE history (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,        -- made by the page: the same judgement sent twice is kept once
    annotator TEXT NOT NULL,
    row INTEGER NOT NULL REFERENCES rows (row),
    verdict TEXT NOT NULL CHECK (verdict IN ('a', 'b', 'tie', 'skip')),
    left_side TEXT NOT NULL CHECK (left_side IN ('a', 'b')),
    time TEXT NOT NULL,              -- UTC, ISO 8601
    undone TEXT                      -- the time when it was taken back; null while it stands
);
CREATE UNIQUE INDEX one_judgement ON history (annotator, row) WHERE undone IS NULL AND verdict <> 'skip';
CREATE INDEX standing ON history (annotator, row) WHERE undone IS NULL;
CREATE INDEX judged ON history (row) WHERE undone IS NULL AND verdict <> 'skip';
"""


def connect(path: Path, *, create: bool) -> sqlite3.Connection:
    """One file at rest (a rollback journal, no WAL), and on the disk when a transaction ends."""
    with explained(path):
        if create:
            path.parent.mkdir(parents=True, exist_ok=True)
        uri = f"{path.resolve().as_uri()}?mode={'rwc' if create else 'rw'}"
        database = sqlite3.connect(uri, uri=True, timeout=10, isolation_level=None, check_same_thread=False)
        try:
            database.execute("PRAGMA synchronous = EXTRA")
            database.execute("PRAGMA foreign_keys = ON")
        except BaseException:
            database.close()
            raise
        return database


def is_new(database: sqlite3.Connection, path: Path) -> bool:
    """Whether nothing is in it yet; anything but labels is refused."""
    (application,) = database.execute("PRAGMA application_id").fetchone()
    (tables,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION_ID and (application or tables):
        raise DataError(f"{path} is no database of labels; choose another one with --database FILE")
    return not tables


def check_same(database: sqlite3.Connection, path: Path, queue: Queue) -> None:
    """Refuses a database that was made for other rows than those of the queue, which has just been read."""
    facts = dict(database.execute("SELECT name, value FROM facts"))
    if facts.get("version") != str(VERSION):
        raise DataError(f"{path} was written by another version of plaudit (format {facts.get('version')})")
    if facts["fingerprint"] != queue.fingerprint:
        raise ConfigError(
            f"{path} holds judgements of another queue: {facts['queue']} as it was then, with {int(facts['rows']):,} "
            f"rows, against {queue.path} now, with {queue.rows:,}; give this one a database of its own with "
            "--database FILE, or bring the old queue back"
        )


def refuse_other_files(path: Path, queue: Path) -> None:
    """Refuses what can be no database."""
    if path.is_dir():
        raise OutputError(f"{path} is a folder; expected the name of a database file")
    if path.exists() and queue.exists() and os.path.samefile(path, queue):
        raise OutputError(f"{path} is the queue itself; choose another --database FILE")


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """Everything in the block is stored, on the disk, or nothing of it."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """SQLite's errors in a user's words."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if "locked" in str(error) or "busy" in str(error):
            raise OutputError(f"{path} is locked by another program; close it there, then try again") from error
        raise OutputError(f"{path} cannot be read or written: {error}; choose another --database FILE") from error
    except sqlite3.DatabaseError as error:
        raise DataError(f"{path} is no database of labels, or it is damaged: {error}") from error
    except OSError as error:
        raise OutputError(f"{path} cannot be opened: {error.strerror or error}") from error


def take_lock(path: Path) -> BaseFileLock:
    """The lock of the one process that labels into the database; the system frees it when that process ends.

    Raises:
        OutputError: another process has it.
    """
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_name(path.name + ".lock"), timeout=0, thread_local=False)
        try:
            lock.acquire()
        except Timeout as error:
            raise OutputError(
                f"{path} is in use by another labeller{_holder(path)}; open its page in one more browser (several "
                "annotators can share it), or end it there with Ctrl-C, or name another --database FILE"
            ) from error
        return lock


def _holder(path: Path) -> str:
    try:
        with closing(connect(path, create=False)) as database:
            found = database.execute("SELECT value FROM facts WHERE name = 'process'").fetchone()
    except (OutputError, DataError, sqlite3.Error):  # it is being made; the message does without
        return ""
    return f" (process {found[0]})" if found else ""


def this_process() -> str:
    """Process id and machine."""
    return f"{os.getpid()} on {socket.gethostname()}"
