"""What a run writes down survives a kill, and a resumed run takes back what lies behind its checkpoint."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from plaudit.rl.journal import Journal
from plaudit.rl.watch import HackingWatch


def _record(step: int) -> dict[str, Any]:
    return {"step": step, "reward": 0.1 * step, "length": 5.0, "kl": math.nan, "gold": {"g": 1.0}}


def test_records_are_lines_of_json_with_null_for_what_is_no_number(tmp_path: Path) -> None:
    journal = Journal(tmp_path, HackingWatch(), print)
    journal.record(_record(1))
    (line,) = (tmp_path / "log.jsonl").read_text().splitlines()
    assert json.loads(line)["kl"] is None


def test_going_back_to_a_checkpoint_takes_back_later_lines_and_half_ones(tmp_path: Path) -> None:
    journal = Journal(tmp_path, HackingWatch(), print)
    for step in (1, 2, 3):
        journal.record(_record(step))
        journal.sample([{"step": step, "prompt": "p", "response": "r", "reward": 0.0, "gold": {}}])
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 4, "rew')
    again = Journal(tmp_path, HackingWatch(), print)
    again.go_back_to(2)
    assert [record["step"] for record in again.records] == [1, 2]
    assert [sample["step"] for sample in again.samples] == [1, 2]
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 2


def test_another_rank_writes_nothing(tmp_path: Path) -> None:
    journal = Journal(None, HackingWatch(), print)
    journal.record(_record(1))
    journal.go_back_to(0)
    assert journal.records
    assert not list(tmp_path.iterdir())
