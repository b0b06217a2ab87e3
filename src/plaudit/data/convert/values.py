"""Values of a row, checked: numbers, lists and objects (also as JSON text, as CSV has them), names of columns."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from numbers import Real
from typing import Any

from plaudit.data.columns import list_columns
from plaudit.data.messages import drop_nulls, kind
from plaudit.errors import RowError

__all__ = ["column", "embedded", "first_column", "list_of", "number", "object_of"]


def number(value: object, name: str) -> float:
    """A finite number; CSV cells come as text.

    Raises:
        RowError: anything else; ``name`` says what it was to be.
    """
    result = math.nan
    if isinstance(value, (Real, Decimal, str)) and not isinstance(value, bool):
        try:
            result = float(value)
        except (ValueError, OverflowError):
            result = math.nan
    if not math.isfinite(result):
        raise RowError(f"{name} is {value!r:.60}; expected a finite number")
    return result


def embedded(value: object) -> Any:
    """A list or object, itself or as JSON text; anything else unchanged."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            value = json.loads(value)
        except ValueError:
            return value
    return drop_nulls(value) if isinstance(value, Mapping) else value


def list_of(value: object, name: str) -> list[Any]:
    """A list, itself or as JSON text."""
    value = embedded(value)
    if not isinstance(value, (list, tuple)):
        raise RowError(f"{name} is {kind(value)} ({value!r:.60}); expected a list")
    return list(value)


def object_of(value: object, name: str) -> Mapping[str, Any]:
    """An object, itself or as JSON text."""
    value = embedded(value)
    if not isinstance(value, Mapping):
        raise RowError(f"{name} is {kind(value)} ({value!r:.60}); expected an object")
    return value


def first_column(names: Sequence[str], row: Mapping[str, Any]) -> str | None:
    """The first of these names that the row has, those with a value before those without."""
    present = [name for name in names if name in row]
    return next((name for name in present if row[name] is not None), present[0] if present else None)


def column(field: str, names: Sequence[str], row: Mapping[str, Any], named: Mapping[str, str]) -> str:
    """The column of a field: as the user named it, or the first of the usual names.

    Raises:
        RowError: there is none.
    """
    if field in named:
        if named[field] not in row:
            raise RowError(f"no column {named[field]!r} for {field}; {list_columns(row)}")
        return named[field]
    name = first_column(names, row)
    if name is None:
        raise RowError(
            f"no column for {field}: looked for {', '.join(names)}; {list_columns(row)}. "
            f'Name it with --column {field}=NAME (in Python: fields={{"{field}": "NAME"}})'
        )
    return name


def listed(names: Iterable[object]) -> str:
    """``a, b, c``, or ``(none)``."""
    return ", ".join(map(str, names)) or "(none)"
