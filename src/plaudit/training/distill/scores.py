"""What every rule says of every text, on disk: scored in shards, so that a killed run goes on where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from plaudit.errors import ConfigError
from plaudit.files import atomic_text
from plaudit.rewards.composite import CompositeReward
from plaudit.training.distill.texts import FEWEST_TEXTS, Text, check_count

__all__ = ["ScoreShards", "raw_scores"]

BATCH = 512
"""Texts scored at a time inside a shard."""


class ScoreShards:
    """Raw scores by component, in files of ``shard_size`` texts in a folder; a shard is there whole or not at all.

    Args:
        folder: theirs alone; made where it is missing.
        composite: what scores.
        shard_size: texts in a file; what a run that is killed loses at most.
        batch_size: texts given to the scorers at a time.

    Raises:
        ConfigError: the folder holds scores of other rules.
    """

    def __init__(
        self, folder: Path, composite: CompositeReward, *, shard_size: int = 10_000, batch_size: int = BATCH
    ) -> None:
        self.folder, self.composite, self.shard_size, self.batch_size = folder, composite, shard_size, batch_size
        facts = json.dumps({"shard_size": shard_size, "rewards": _identity(composite)}, sort_keys=True, default=str)
        record = folder / "rewards.json"
        if record.exists() and record.read_text(encoding="utf-8") != facts:
            raise ConfigError(
                f"{folder} holds scores of other rules or shards; give what was given then, or start anew with "
                "overwrite"
            )
        folder.mkdir(parents=True, exist_ok=True)
        atomic_text(record, facts)

    def write(self, texts: Iterable[Text], progress: Callable[[int], None] | None = None) -> int:
        """Scores what is not scored yet; returns the number of texts.

        Args:
            texts: all of them, in the same order as ever.
            progress: called with the number of texts done since the last call.

        Raises:
            ConfigError: too few texts, or others than those that are scored already.
            RowError: a text that a rule cannot score; names rule and place.
        """
        source, done, distinct = iter(texts), 0, set[bytes]()
        for number in count():
            chunk = list(islice(source, self.shard_size))
            if not chunk:
                break
            done += len(chunk)
            if len(distinct) < FEWEST_TEXTS:  # beyond that it is of no interest how many differ
                distinct |= {_digest([text]) for text in chunk}
            path, digest = self._path(number), _digest(chunk).hex()
            if not path.exists():
                raw = raw_scores(self.composite, chunk, batch_size=self.batch_size, progress=progress)
                _write_shard(path, digest, chunk, raw)
                continue
            with path.open(encoding="utf-8") as file:
                if json.loads(file.readline())["digest"] != digest:
                    raise ConfigError(
                        f"{path} holds scores of other texts; give the texts that were given then, or start anew with "
                        "overwrite"
                    )
            if progress is not None:
                progress(len(chunk))
        if self._path(-(-done // self.shard_size)).exists():
            raise ConfigError(f"{self.folder} holds scores of more texts than there are now; start anew with overwrite")
        check_count(done, len(distinct))
        return done

    def __iter__(self) -> Iterator[tuple[Text, dict[str, float]]]:
        """Texts with their raw scores by component, in order."""
        for number in count():
            path = self._path(number)
            if not path.exists():
                return
            with path.open(encoding="utf-8") as file:
                next(file)
                for line in file:
                    row = json.loads(line)
                    yield Text(row["prompt"], row["response"], row["reference"], row["location"]), row["raw"]

    def _path(self, number: int) -> Path:
        return self.folder / f"scores-{number:05d}.jsonl"


def raw_scores(
    composite: CompositeReward,
    texts: Sequence[Text],
    *,
    batch_size: int = BATCH,
    progress: Callable[[int], None] | None = None,
) -> dict[str, npt.NDArray[np.float32]]:
    """Every component's own scores of N texts by name, each (N,).

    Args:
        composite: what scores.
        texts: N texts.
        batch_size: texts given to the components at a time.
        progress: called with the number of texts scored since the last call.

    Raises:
        RowError: a text that a component cannot score; names its place and the component.
    """
    return composite.raw_in_batches(
        [text.prompt for text in texts],
        [text.response for text in texts],
        references=[text.reference for text in texts],
        batch_size=batch_size,
        locations=[text.location for text in texts],
        progress=progress,
    )


def _write_shard(path: Path, digest: str, texts: Sequence[Text], raw: dict[str, npt.NDArray[np.float32]]) -> None:
    lines = [json.dumps({"digest": digest})]
    for index, text in enumerate(texts):
        row: dict[str, Any] = {"prompt": text.prompt, "response": text.response, "reference": text.reference}
        row |= {"location": text.location, "raw": {name: float(values[index]) for name, values in raw.items()}}
        lines.append(json.dumps(row, ensure_ascii=False))
    atomic_text(path, "\n".join(lines) + "\n")


def _digest(texts: Iterable[Text]) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for text in texts:
        row = json.dumps([text.prompt, text.response, text.reference], ensure_ascii=False)
        digest.update(row.encode("utf-8", "surrogatepass") + b"\n")
    return digest.digest()


def _identity(composite: CompositeReward) -> Any:
    try:
        parts = composite.to_dict()["rewards"]
        return [{key: part[key] for key in ("reward", "model", "options", "name") if key in part} for part in parts]
    except ConfigError:  # scorers given as objects have no name to write down
        return [[component.name, repr(component.scorer)] for component in composite.components]
