"""Samples of what reward functions are for: to try them, to time them, and for the tests that all of them pass."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from itertools import cycle, islice

__all__ = ["KINDS", "sample_rows"]

Row = tuple[str, str, str]
KINDS = ("prose", "maths", "code", "sql", "json")


def sample_rows(kind: str, count: int) -> tuple[list[str], list[str], list[str]]:
    """Prompts, responses and references of a kind, ``count`` each, repeated where there are fewer."""
    rows = list(islice(cycle(_rows(kind)), count))
    return [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows]


@cache
def _rows(kind: str) -> tuple[Row, ...]:
    if kind == "prose":
        lines = files("plaudit.resources").joinpath("demo_preferences.jsonl").read_text(encoding="utf-8").splitlines()
        pairs = [json.loads(line) for line in lines]
        return tuple((pair["prompt"], pair["rejected"], pair["chosen"]) for pair in pairs)
    if kind == "maths":
        return tuple(_sum(a, b) for a in range(3, 20) for b in range(2, 18))
    return {"code": _CODE, "sql": _SQL, "json": _JSON}[kind]


def _sum(a: int, b: int) -> Row:
    total = a * b + (0 if (a + b) % 3 else 1)  # a third of them are wrong
    text = f"There are {a} boxes with {b} pens each. So {a} * {b} = {total} pens in all.\n#### {total}"
    return f"How many pens are in {a} boxes of {b}?", text, f"#### {a * b}"


_PYTHON = """def mean(values):
    total = 0
    for value in values:
        total += value
    return total / len(values)"""
_TEST = "assert mean([1, 2, 3]) == 2\nassert mean([5]) == 5"

_CODE: tuple[Row, ...] = (
    ("Write mean in Python.", f"Here it is:\n\n```python\n{_PYTHON}\n```\n\nIt adds up and divides.", _TEST),
    ("Write mean in Python.", f"```python\n{_PYTHON.replace('):', ')')}\n```", _TEST),
    ("Write it in JavaScript.", "```js\nconst mean = (v) => v.reduce((a, b) => a + b, 0) / v.length;\n```", _TEST),
    ("Write it in Go.", "```go\nfunc mean(v []float64) float64 {\n\ts := 0.0\n\treturn s\n}\n```", _TEST),
)
_SQL: tuple[Row, ...] = (
    ("Names of adults?", "```sql\nSELECT name FROM people WHERE age >= 18 ORDER BY name;\n```", ""),
    ("Names of adults?", "SELECT name FROM people WHERE age >= ORDER BY name;", ""),
)
_JSON: tuple[Row, ...] = (
    ("Describe Ada as JSON.", '```json\n{"name": "Ada", "age": 36}\n```', ""),
    ("Describe Ada as JSON.", '{"name": "Ada", "age": }', ""),
)
