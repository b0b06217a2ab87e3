"""Records -> rows as others read them: plaudit's own pairs, TRL's, DPO's, KTO's, conversations.

A target that has no words for a tie drops it; a soft label becomes a plain pair with the likelier response as
``chosen``. Both are counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from plaudit.data.convert.options import HARD, ConvertOptions
from plaudit.data.convert.records import Record
from plaudit.data.convert.report import ConvertReport
from plaudit.errors import RowError

__all__ = ["OUTPUT_COLUMNS", "pair_rows", "rating_rows"]

_PAIR = ("prompt", "chosen", "rejected", "soft_label", "soft_label_std", "margin", "weight", "tools")
OUTPUT_COLUMNS: dict[str, tuple[str, ...]] = {
    "pairs": (*_PAIR, "chat_template_kwargs"),
    "messages": (*_PAIR, "chat_template_kwargs", "messages"),
    "trl": ("prompt", "chosen", "rejected", "margin", "tools", "chat_template_kwargs"),
    "dpo": ("prompt", "chosen", "rejected", "tools", "chat_template_kwargs"),
    "kto": ("prompt", "completion", "label", "tools", "chat_template_kwargs"),
    "rankings": ("prompt", "responses", "ranks", "weight", "tools", "chat_template_kwargs"),
    "ratings": ("prompt", "response", "score", "weight", "tools", "chat_template_kwargs"),
}
"""Columns of each target's rows, beside ``source`` and those that are kept."""


def pair_rows(pair: Record, to: str, options: ConvertOptions, report: ConvertReport) -> Iterator[dict[str, Any]]:
    """The rows of a pair: one, or two for KTO, or none for a tie that cannot be said.

    Raises:
        RowError: the target needs a prompt and there is none.
    """
    label = pair.get("soft_label")
    if label == 0.5 and (options.ties == "drop" or to in HARD):
        report.drop("ties" if options.ties == "drop" else f"ties, for which {to} has no words")
        return
    if to not in ("pairs", "trl") and "prompt" not in pair:
        raise RowError(f"the pair has no prompt, which rows of {to} need; name its column with --prompt-column")
    if label == 0.5:
        report.note("ties kept, with soft_label 0.5")
    if label is not None and to in HARD:
        pair = _hardened(pair, to, report)
    if to in HARD and pair.get("weight", 1.0) != 1.0:
        report.note(f"weights left out: {to} has no place for them")
    if to in ("dpo", "kto") and pair.get("margin") is not None:
        report.note(f"margins left out: {to} has no place for them")
    pair = _spoken(pair) if to == "messages" else _of_one_kind(pair) if to in HARD else pair
    columns = OUTPUT_COLUMNS[to] if to in HARD else (*OUTPUT_COLUMNS[to], "source")
    row = {name: pair[name] for name in columns if name in pair} | pair["keep"]
    if to != "kto":
        yield row
        return
    del row["prompt"]
    for side, good in (("chosen", True), ("rejected", False)):
        yield {"prompt": pair["prompt"], "completion": pair[side], "label": good} | row


def _hardened(pair: Record, to: str, report: ConvertReport) -> Record:
    label = pair["soft_label"]
    if label < 0.5:
        pair = pair | {"chosen": pair["rejected"], "rejected": pair["chosen"]}
    if label not in (0.0, 1.0):
        report.note(f"soft labels made plain: {to} has no place for them")
    return pair


def _of_one_kind(row: Record) -> Record:
    """All texts, or all conversations, as TRL wants a row."""
    if any(isinstance(row.get(name), list) for name in ("prompt", "chosen", "rejected")):
        return _spoken(row)
    return row


def _spoken(row: Record) -> Record:
    """Prompt and responses as messages."""
    roles = {"prompt": "user", "chosen": "assistant", "rejected": "assistant"}
    return {
        name: [{"role": roles[name], "content": value}] if name in roles and isinstance(value, str) else value
        for name, value in row.items()
    }


def rating_rows(rating: Record, to: str, report: ConvertReport) -> Iterator[dict[str, Any]]:
    """A rating as it is, or as a row of KTO where its score is 0 or 1.

    Raises:
        RowError: the score is another one.
    """
    if to == "ratings":
        first = {name: rating[name] for name in (*OUTPUT_COLUMNS["ratings"], "source") if name in rating}
        yield first | rating["keep"]
        return
    if rating["score"] not in (0.0, 1.0):
        raise RowError(f"the score is {rating['score']:g}; a rating becomes a row of KTO only where it is 0 or 1")
    if "prompt" not in rating:
        raise RowError("the rating has no prompt, which rows of kto need; name its column with --prompt-column")
    prompt, response = rating["prompt"], rating["response"]
    if isinstance(prompt, list) and isinstance(response, str):
        response = [{"role": "assistant", "content": response}]
    row = {"prompt": prompt, "completion": response, "label": rating["score"] == 1.0}
    row |= {name: rating[name] for name in ("tools", "chat_template_kwargs") if name in rating}
    yield row | rating["keep"]
