"""A file of lines that is written as it goes, and gone on with after a kill at any moment.

The lines are in ``TARGET.partial`` until all are there; then it gets its name, so ``TARGET`` is always whole. What they
were made of is in ``TARGET.partial.json`` meanwhile. One process at a time writes, where files can be locked. Knows
nothing of what a line says.
"""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Any

from plaudit.errors import ConfigError, OutputError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["OTHERWISE", "ResumableLines", "alike", "check_same_facts", "encoded"]

logger = logging.getLogger(__name__)

BLOCK = 1 << 16
OTHERWISE = "give what was given then, or start anew with --overwrite"
ALIKE = 1e-4
"""Golden scores so near to each other are those of one model, on this device or another."""


class ResumableLines:
    """The lines of a file. Making one refuses a target that is in use, and changes no line yet.

    Args:
        target: the file.
        resume: go on after the last whole line of an unfinished one.
        overwrite: replace what is there, once the new file is whole; an unfinished one goes when writing begins.
        source: what is read for the lines, which none of the files may be.

    Attributes:
        partial: where the lines are until the file is whole.
        count: whole lines in it.

    Raises:
        OutputError: the target is in use, or there is nothing to go on with.
        ConfigError: both options are given.
    """

    def __init__(
        self, target: Path, *, resume: bool = False, overwrite: bool = False, source: Path | None = None
    ) -> None:
        self.target, self.resume = target, resume
        self.partial = target.with_name(target.name + ".partial")
        self.record = target.with_name(target.name + ".partial.json")
        self.count = 0
        self._file: IO[bytes] | None = None
        self._before: Iterator[bytes] = iter(())
        for path in (self.target, self.partial, self.record):
            if source is not None and source.exists() and path.exists() and os.path.samefile(source, path):
                raise OutputError(
                    f"{path} is the file that is read, and writing {target} would replace it; choose another output"
                )
        if self.record.exists() and not self.partial.exists():  # a kill in the last moment has left it
            with self._errors():
                self.record.unlink()
        if resume and overwrite:
            raise ConfigError("--overwrite and --resume exclude each other: start anew, or go on")
        if target.is_dir():
            raise OutputError(f"{target} is a folder; give the name of a file")
        if target.exists() and not overwrite and not (resume and self.partial.exists()):
            done = "; it is finished, there is nothing to resume" if resume else ""
            raise OutputError(f"{target} exists already{done}; choose another output, or replace it with --overwrite")
        if self.partial.exists() and not (overwrite or resume):
            raise OutputError(
                f"{self.partial} holds the lines of an unfinished run: go on with --resume, or start anew with "
                "--overwrite"
            )
        if resume and not self.partial.exists():
            raise OutputError(f"nothing to resume: there is no {self.partial}; start without --resume")

    def facts(self) -> dict[str, Any] | None:
        """What the unfinished file was started with; None where nothing is resumed.

        Raises:
            OutputError: that is not known any more.
        """
        if not self.resume or self._empty():
            return None
        try:
            facts: dict[str, Any] = json.loads(self.record.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise OutputError(
                f"{self.record} cannot be read, so nobody can tell what {self.partial} was made with; start anew with "
                "--overwrite"
            ) from error
        return facts

    @contextmanager
    def open(self, facts: dict[str, Any]) -> Iterator[None]:
        """Lets lines be written; the file gets its name when the block succeeds.

        Otherwise the whole lines stay for another run to go on with; where there are none, nothing stays.

        Args:
            facts: what the lines are made of, for `facts` of a run that goes on.

        Raises:
            OutputError: the file cannot be written, or another process is writing it.
        """
        with ExitStack() as held:
            with self._errors():
                self._open(facts, held)
            assert self._file is not None
            try:
                try:
                    yield
                finally:
                    with self._errors():
                        self._file.close()
                with self._errors():
                    os.replace(self.partial, self.target)
                    self.record.unlink(missing_ok=True)
            finally:
                if not self.count:
                    self.partial.unlink(missing_ok=True)
                    self.record.unlink(missing_ok=True)

    def before(self, count: int) -> list[bytes]:
        """The next lines that were there already, at most so many; to be asked for before the first `write`."""
        return list(islice(self._before, count))

    def write(self, line: str) -> None:
        """Adds a line."""
        assert self._file is not None
        with self._errors():
            self._file.write(encoded(line))
        self.count += 1

    def flush(self) -> None:
        """Hands what was written to the operating system: killing this process does not lose it."""
        assert self._file is not None
        with self._errors():
            self._file.flush()

    def _open(self, facts: dict[str, Any], held: ExitStack) -> None:
        self.target.parent.mkdir(parents=True, exist_ok=True)
        self._file = file = self.partial.open("r+b" if self.resume else "ab")
        try:
            self._lock(file, held)
            file.truncate(_end_of_last_line(file) if self.resume else 0)
            file.seek(0, os.SEEK_END)
            if not self.resume or self._empty():
                self.record.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        except BaseException:
            file.close()
            raise
        if self.resume:
            self._before = self._read()
            with self.partial.open("rb") as lines:
                self.count = sum(1 for _ in lines)

    def _lock(self, file: IO[bytes], held: ExitStack) -> None:
        """Keeps other processes out until ``held`` is left, which is after the file has got its name.

        Raises:
            OutputError: another process is writing the file, or has finished it just now.
        """
        if fcntl is None:
            return
        held.callback(os.close, lock := os.dup(file.fileno()))  # the file itself is closed before it is renamed
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            ours = self.partial.exists() and os.path.samestat(os.fstat(lock), self.partial.stat())
        except BlockingIOError:
            ours = False
        except OSError as error:
            logger.warning(
                "%s cannot be locked (%s): nothing keeps a second run from writing it", self.partial, error.strerror
            )
            ours = True
        if not ours:
            raise OutputError(
                f"{self.partial} is being written by another process; wait until that is done, stop it, or choose "
                "another output"
            )

    def _empty(self) -> bool:
        """Killed between making the file and its record, of which nothing can be said but that there are no lines."""
        return not self.record.exists() and self.partial.exists() and self.partial.stat().st_size == 0

    def _read(self) -> Iterator[bytes]:
        with self.partial.open("rb") as file:
            yield from file

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(
                f"cannot write {self.target}: {error.strerror or error}; choose another output"
            ) from error


def encoded(line: str) -> bytes:
    """A line as it is in the file; half a surrogate pair becomes \\udXXX, which is what JSON calls it."""
    return (line + "\n").encode("utf-8", errors="backslashreplace")


def _end_of_last_line(file: IO[bytes]) -> int:
    """The size without a last line that was not written to its end."""
    end = file.seek(0, os.SEEK_END)
    while end:
        start = max(0, end - BLOCK)
        file.seek(start)
        newline = file.read(end - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


def check_same_facts(lines: ResumableLines, now: dict[str, Any]) -> None:
    """Scores of one model only come into one file.

    Args:
        lines: the file.
        now: what decides its lines; ``golden`` may differ by the last digits, and ``model`` where that does not.

    Raises:
        ConfigError: the unfinished file was started with something else; names every difference.
    """
    then = lines.facts()
    if then is None:
        return
    differ = [
        f"{name} (was {then.get(name)!r}, now {now[name]!r})"
        for name in now
        if name not in ("model", "golden")
        if then.get(name) != now[name]
    ]
    if not alike(then.get("golden", []), now["golden"]):
        differ.insert(0, f"model (was {then.get('model')!r}, now {now['model']!r}, which scores otherwise)")
    if differ:
        raise ConfigError(f"--resume: {lines.partial} was made with other settings: {', '.join(differ)}; {OTHERWISE}")


def alike(then: list[float], now: list[float]) -> bool:
    """Whether two lists of golden scores are of one model."""
    return len(then) == len(now) and all(
        math.isclose(a, b, rel_tol=ALIKE, abs_tol=ALIKE) for a, b in zip(then, now, strict=True)
    )
