"""One spelling for what a row says, whatever its shape: the records that every target is made from.

A pair: ``prompt`` (missing for bare texts), ``chosen``, ``rejected``, and where known ``soft_label``,
``soft_label_std``, ``margin``, ``weight``, ``source``, ``tools``, ``chat_template_kwargs``. A rated or ranked response
is a `member` of a group. ``keep`` holds the columns that the user wants to be carried over.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from plaudit.data.columns import Columns, list_columns
from plaudit.data.convert.options import ConvertOptions
from plaudit.data.convert.values import number
from plaudit.data.rows import to_example
from plaudit.errors import RowError
from plaudit.types import Example

__all__ = ["Record", "common_fields", "kept", "member", "pair_record"]

Record: TypeAlias = dict[str, Any]


def pair_record(
    row: Mapping[str, Any],
    columns: Columns,
    options: ConvertOptions,
    *,
    soft_label: float | None = None,
    soft_label_std: float | None = None,
    gap: float | None = None,
) -> Record:
    """The pair in a row.

    Args:
        row: column -> value.
        columns: they name ``chosen`` and ``rejected``, or these are found by convention.
        options: ``margin`` and ``keep`` are read.
        soft_label: probability that ``chosen`` is preferred; None: the row's own column, if it has one.
        soft_label_std: its standard deviation.
        gap: how much better ``chosen`` is; the margin is this times ``options.margin``.

    Raises:
        RowError: no pair can be found in it.
    """
    if soft_label is not None:
        columns = replace(columns, soft_label="")
    example = to_example(row, columns)
    if example.input_ids is not None:
        raise RowError("the row holds token ids; expected texts or conversations")
    chosen, rejected = example.responses
    record: Record = {} if example.prompt is None else {"prompt": example.prompt}
    record |= {"chosen": chosen, "rejected": rejected}
    if soft_label is not None or columns.find("soft_label", row) is not None:
        record["soft_label"] = example.labels[0] if soft_label is None else soft_label
    if soft_label_std is not None:
        record["soft_label_std"] = soft_label_std
    elif soft_label is None and row.get("soft_label_std") not in (None, ""):
        record["soft_label_std"] = number(row["soft_label_std"], "soft_label_std")
    if gap is not None and options.margin is not None:
        record["margin"] = gap * options.margin
    elif columns.find("margin", row) is not None:
        record["margin"] = example.margin
    return record | common_fields(example, columns, row) | {"keep": kept(row, options)}


def member(row: Mapping[str, Any], columns: Columns, score: float, options: ConvertOptions) -> Record:
    """The rated response in a row: ``prompt``, ``response``, ``score`` and the rest."""
    example = to_example({**row, "score": score}, replace(columns, kind="ratings", score="score"))
    record: Record = {} if example.prompt is None else {"prompt": example.prompt}
    record |= {"response": example.responses[0], "score": score}
    return record | common_fields(example, columns, row) | {"keep": kept(row, options)}


def common_fields(example: Example, columns: Columns, row: Mapping[str, Any]) -> Record:
    """Weight, source, tools and template arguments, where the row has such columns."""
    fields: Record = {}
    if columns.find("weight", row) is not None:
        fields["weight"] = example.weight
    if columns.find("source", row) is not None:
        fields["source"] = example.source
    if columns.find("tools", row) is not None:
        fields["tools"] = example.tools
    if columns.find("chat_template_kwargs", row) is not None:
        fields["chat_template_kwargs"] = example.template_kwargs
    return fields


def kept(row: Mapping[str, Any], options: ConvertOptions) -> Record:
    """The columns to carry over.

    Raises:
        RowError: one is missing, or holds what no JSON can say.
    """
    for name in options.keep:
        if name not in row:
            raise RowError(f"no column {name!r} to keep; {list_columns(row)}")
        try:
            json.dumps(row[name], allow_nan=False)
        except (TypeError, ValueError) as error:
            raise RowError(f"{name} cannot be kept: {error}; make it a text or a finite number first") from None
    return {name: row[name] for name in options.keep}
