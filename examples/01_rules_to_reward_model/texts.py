"""A few hundred varied texts for the examples: replies of the demonstration's data, which comes with plaudit."""

from __future__ import annotations

import json
from importlib.resources import files


def load_training_texts(count: int = 240) -> list[str]:
    """Distinct replies."""
    lines = files("plaudit.resources").joinpath("demo_preferences.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return list(dict.fromkeys(row[side] for row in rows for side in ("chosen", "rejected")))[:count]
