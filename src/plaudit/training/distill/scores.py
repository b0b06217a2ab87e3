"""What every rule says of every text, on disk: scored in shards, so that a killed run goes on where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from plaudit.errors import ConfigError, ItemError, RowError
from plaudit.files import atomic_text
from plaudit.rewards.composite import CompositeReward
from plaudit.training.distill.texts import Text, check_count

__all__ = ["ScoreShards"]

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
        source, count, distinct = iter(texts), 0, set[bytes]()
        for number in range(10**9):
            chunk = list(islice(source, self.shard_size))
            if not chunk:
                break
            count += len(chunk)
            distinct |= {_digest([text]) for text in chunk} if len(distinct) < 10_000 else set()
            path, digest = self._path(number), _digest(chunk).hex()
            if path.exists():
                with path.open(encoding="utf-8") as file:
                    if json.loads(file.readline())["digest"] != digest:
                        raise ConfigError(
                            f"{path} holds scores of other texts; give the texts that were given then, or start anew "
                            "with overwrite"
                        )
                if progress is not None:
                    progress(len(chunk))
                continue
            raw = self._score(chunk, progress)
            lines = [json.dumps({"digest": digest})]
            for index, text in enumerate(chunk):
                row: dict[str, Any] = {"prompt": text.prompt, "response": text.response, "reference": text.reference}
                row |= {"location": text.location, "raw": {name: float(v[index]) for name, v in raw.items()}}
                lines.append(json.dumps(row, ensure_ascii=False))
            atomic_text(path, "\n".join(lines) + "\n")
        if self._path(-(-count // self.shard_size)).exists():
            raise ConfigError(f"{self.folder} holds scores of more texts than there are now; start anew with overwrite")
        check_count(count, len(distinct))
        return count

    def __iter__(self) -> Iterator[tuple[Text, dict[str, float]]]:
        """Texts with their raw scores by component, in order."""
        for number in range(10**9):
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

    def _score(self, chunk: list[Text], progress: Callable[[int], None] | None) -> dict[str, npt.NDArray[np.float32]]:
        parts: list[dict[str, npt.NDArray[np.float32]]] = []
        for start in range(0, len(chunk), self.batch_size):
            batch = chunk[start : start + self.batch_size]
            try:
                parts.append(
                    self.composite.raw(
                        [text.prompt for text in batch],
                        [text.response for text in batch],
                        references=[text.reference for text in batch],
                    )
                )
            except ItemError as error:
                if error.index is None:
                    raise
                reward = getattr(error, "reward", None)
                problem = f"reward {reward!r}: {error.problem}" if reward else error.problem
                raise RowError(problem, batch[error.index].location) from error
            if progress is not None:
                progress(len(batch))
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


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
