"""Real preference data, where it is present: every row loads and the counts add up."""

from __future__ import annotations

from pathlib import Path

import pytest

from plaudit.data import load_preferences

FOLDER = Path(__file__).parents[2].parent / "shared" / "data" / "preferences"
ROWS = {
    "hh_helpful": 2339,
    "finegrained_qa": 2616,
    "dpo_zh": 772,
    "oasst_100trees": 754,
    "ultrafeedback_1k_flip30": 994,
}


@pytest.mark.parametrize("name", ROWS)
def test_every_row_of_a_real_data_set_loads(name: str) -> None:
    path = FOLDER / f"{name}.jsonl"
    if not path.exists():
        pytest.skip(f"no real data at {path}")
    data = load_preferences(path)
    report = data.report
    assert report.rows == ROWS[name]
    assert report.rows == report.kept + report.empty + report.identical + report.duplicates
    assert len(data) == report.kept == sum(report.sources.values())
    train, test = data.split(0.2)
    assert len(train) + len(test) == len(data)
    assert not set(train.groups()) & set(test.groups())
