"""Preference data: any source -> checked examples, split by prompt. Importing this does not import ``datasets``."""

from __future__ import annotations

from plaudit.data.columns import Columns
from plaudit.data.examine import DataReport
from plaudit.data.load import (
    PreferenceData,
    PreferenceSource,
    PreferenceStream,
    load_preferences,
    stream_preferences,
)
from plaudit.data.read import read_rows
from plaudit.data.rows import to_example
from plaudit.data.split import assert_disjoint, in_test, split_data

__all__ = [
    "Columns",
    "DataReport",
    "PreferenceData",
    "PreferenceSource",
    "PreferenceStream",
    "assert_disjoint",
    "in_test",
    "load_preferences",
    "read_rows",
    "split_data",
    "stream_preferences",
    "to_example",
]
