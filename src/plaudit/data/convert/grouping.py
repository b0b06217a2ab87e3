"""Rows that belong together, wherever they are in a file: an index on disk, one group in memory at a time."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import groupby
from typing import Any

from plaudit.errors import OutputError
from plaudit.files import ScratchFolder

__all__ = ["grouped"]


def grouped(rows: Iterable[tuple[str, dict[str, Any]]]) -> Iterator[list[dict[str, Any]]]:
    """The rows of each key, in their order; groups in the order in which they first appear.

    Everything is written to an SQLite file in a private temporary folder first, so memory holds the rows of one group
    and no more; the disk holds all of them.

    Raises:
        OutputError: the temporary folder cannot be written.
    """
    folder = ScratchFolder("convert")
    try:
        with closing(sqlite3.connect(folder.path / "rows.sqlite", isolation_level=None)) as base:
            for setting in ("journal_mode = OFF", "synchronous = OFF", "locking_mode = EXCLUSIVE"):
                base.execute(f"PRAGMA {setting}")
            base.execute("CREATE TABLE groups (number INTEGER PRIMARY KEY, key TEXT UNIQUE)")
            base.execute("CREATE TABLE rows (number INTEGER, row TEXT)")
            base.execute("BEGIN")
            _fill(base, rows)
            base.execute("CREATE INDEX by_group ON rows (number)")
            base.execute("COMMIT")
            stored = base.execute("SELECT number, row FROM rows ORDER BY number, rowid")
            for _, members in groupby(stored, key=lambda pair: pair[0]):
                yield [json.loads(row) for _, row in members]
    except sqlite3.Error as error:
        raise OutputError(f"the temporary file {folder.path} failed: {error}; set TMPDIR to a larger place") from error


def _fill(base: sqlite3.Connection, rows: Iterable[tuple[str, dict[str, Any]]]) -> None:
    last, number = None, 0
    for key, row in rows:
        if key != last:
            found = base.execute("SELECT number FROM groups WHERE key = ?", (key,)).fetchone()
            if found is None:
                number = base.execute("INSERT INTO groups (key) VALUES (?)", (key,)).lastrowid or 0
            else:
                number = found[0]
            last = key
        base.execute("INSERT INTO rows VALUES (?, ?)", (number, json.dumps(row)))
