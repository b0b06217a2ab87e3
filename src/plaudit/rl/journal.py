"""What a run writes down while it goes: a record a step, sample answers, warnings. One line is one JSON document."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from plaudit.files import atomic_text
from plaudit.rl.watch import HackingWatch

__all__ = ["Journal"]

LOG, SAMPLES, WARNINGS = "log.jsonl", "samples.jsonl", "warnings.jsonl"


class Journal:
    """The figures of a run, on disk and in memory.

    Args:
        folder: where ``log.jsonl``, ``samples.jsonl`` and ``warnings.jsonl`` are written; None: nowhere (another rank).
        watch: sees every record.
        say: receives warnings.
        show: receives every record.
    """

    def __init__(
        self,
        folder: Path | None,
        watch: HackingWatch,
        say: Callable[[str], None],
        show: Callable[[Mapping[str, Any]], None] | None = None,
    ) -> None:
        self.folder, self.watch, self.say, self.show = folder, watch, say, show
        self.records: list[dict[str, Any]] = []
        self.samples: list[dict[str, Any]] = []
        self.warnings: list[str] = []

    def go_back_to(self, step: int) -> None:
        """Reads what an earlier process wrote, up to a step; what it wrote behind that is taken back."""
        if self.folder is None:
            return
        for record in _lines(self.folder / LOG):
            if record["step"] <= step:
                self.records.append(record)
                self.warnings += self.watch.see(record)
        self.samples = [s for s in _lines(self.folder / SAMPLES) if s["step"] <= step]
        for name, rows in ((LOG, self.records), (SAMPLES, self.samples), (WARNINGS, self.warnings)):
            atomic_text(self.folder / name, "".join(_line(row) for row in rows))

    def record(self, record: Mapping[str, Any]) -> None:
        """Takes in the figures of a step."""
        row = {name: _finite(value) for name, value in record.items()}
        self.records.append(row)
        self._append(LOG, row)
        for warning in self.watch.see(row):
            self.warnings.append(warning)
            self._append(WARNINGS, warning)
            self.say(f"warning: {warning}")
        if self.show is not None:
            self.show(row)

    def sample(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Takes in sample answers, see `plaudit.rl.report`."""
        for row in rows:
            self.samples.append(dict(row))
            self._append(SAMPLES, row)

    @property
    def hacking(self) -> bool:
        """A gold scorer fell while the reward rose."""
        return self.watch.hacking

    def _append(self, name: str, row: Any) -> None:
        if self.folder is not None:
            with (self.folder / name).open("a", encoding="utf-8") as file:
                file.write(_line(row))


def _line(row: Any) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"


def _lines(path: Path) -> list[dict[str, Any]]:
    """The rows of a file; a last line that a kill cut off is no row."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows


def _finite(value: Any) -> Any:
    """Plain JSON: what is no number is null."""
    if isinstance(value, Mapping):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
