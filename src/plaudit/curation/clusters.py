"""What prompts are about, as clusters of their embeddings: values to balance by."""

from __future__ import annotations

from array import array
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from plaudit.data.balance import row_weight
from plaudit.data.columns import Columns
from plaudit.data.passes import Passes, Row, any_example
from plaudit.data.split import hash_share
from plaudit.errors import DataError
from plaudit.evaluation.baselines import response_text

__all__ = ["NO_PROMPT", "cluster_rows"]

NO_PROMPT = "no prompt"
SAMPLE = 10_000
"""Different prompts that the clusters are found on, at most."""

READ = 1_000
"""Characters of a prompt that are read, from its end: a conversation's last turn counts most."""

REMEMBERED = 200_000
CHUNK = 256


def cluster_rows(
    passes: Passes,
    columns: Columns,
    clusters: int,
    *,
    encoder: str = "embedded",
    device: str | None = None,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> tuple[array[int], list[str]]:
    """The cluster of every good row, from 0, the largest; and what they are called.

    k-means (Lloyd 1982; k-means++ starts) on sentence embeddings of 10,000 different prompts, drawn by hash; the others
    go to the nearest middle. Two passes; a number for each row, and of the last 200,000 prompts their cluster, are in
    memory.

    Args:
        passes: rows of any kind.
        columns: names of columns.
        clusters: how many.
        encoder: ``embedded`` (all-MiniLM-L6-v2), a folder, or a Hub id.
        device: where the encoder runs; None takes the best there is.
        seed: of the draw and of k-means.
        progress: called with the number of prompts embedded since the last call.

    Raises:
        DataError: fewer different prompts than clusters.
        MissingExtraError: the extra [embedded] is not installed.
    """
    from sklearn.cluster import KMeans

    from plaudit.rewards.embeddings import sentence_encoder

    model = sentence_encoder(encoder, device)

    def embed(texts: list[str]) -> npt.NDArray[np.float32]:
        parts = []
        for start in range(0, len(texts), CHUNK):
            parts.append(model.encode(texts[start : start + CHUNK]))
            if progress is not None:
                progress(len(parts[-1]))
        return np.concatenate(parts)

    prompts = _draw(passes, columns, seed)
    if len(prompts) < clusters:
        raise DataError(f"{clusters} clusters of {len(prompts):,} different prompts; ask for fewer (--clusters N)")
    vectors = embed(list(prompts.values()))
    means = KMeans(clusters, random_state=seed, n_init=4).fit(vectors)
    order = np.argsort(-np.bincount(means.labels_, minlength=clusters), kind="stable")
    middles = means.cluster_centers_[order].astype(np.float32)
    distances = _distances(vectors, middles)
    texts = list(prompts.values())
    names = [f"{place + 1} ({_excerpt(texts[nearest])})" for place, nearest in enumerate(distances.argmin(axis=0))]
    known = dict(zip(prompts, map(int, distances.argmin(axis=1)), strict=True))
    places = _places(passes, columns, lambda texts: _distances(embed(texts), middles).argmin(axis=1), known, clusters)
    return places, [*names, NO_PROMPT]


def _draw(passes: Passes, columns: Columns, seed: int) -> dict[str, str]:
    """Different prompts by their keys, those with the smallest hashes."""
    kept: dict[float, tuple[str, str]] = {}
    limit = 1.0
    for _, (group, text) in passes(_reader(columns)):
        share = hash_share(f"clusters:{group}", seed)
        if text and share < limit:
            kept[share] = group, text
            if len(kept) >= 2 * SAMPLE:
                limit = sorted(kept)[SAMPLE]
                kept = {key: value for key, value in kept.items() if key < limit}
    return dict(kept[share] for share in sorted(kept)[:SAMPLE])


def _places(
    passes: Passes,
    columns: Columns,
    assign: Callable[[list[str]], npt.NDArray[np.int64]],
    known: dict[str, int],
    clusters: int,
) -> array[int]:
    """The cluster of every row; ``known``: of prompts by their keys, which grows."""
    places = array("I")
    waiting: list[tuple[str, str]] = []

    def flush() -> None:
        new = {group: text for group, text in waiting if text and group not in known}
        if new:
            known.update(zip(new, map(int, assign(list(new.values()))), strict=True))
        places.extend(known[group] if text else clusters for group, text in waiting)
        waiting.clear()
        if len(known) > REMEMBERED:
            known.clear()

    for _, found in passes(_reader(columns)):
        waiting.append(found)
        if len(waiting) == CHUNK:
            flush()
    flush()
    return places


def _reader(columns: Columns) -> Callable[[Row, str], tuple[str, str]]:
    """The split key of a row's prompt, and the prompt's text; empty where it has none."""

    def read(row: Row, location: str) -> tuple[str, str]:
        row_weight(row, columns)  # a weight that cannot be read shows now, not when it is to be changed
        example = any_example(row, columns, location)
        text = "" if example.prompt is None else response_text(example.prompt).strip()
        return example.group, text[-READ:]

    return read


def _distances(vectors: npt.NDArray[np.float32], middles: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Squared distances (N, K), less what is the same for all middles."""
    distances: npt.NDArray[np.float32] = (middles**2).sum(axis=1) - 2 * vectors @ middles.T
    return distances


def _excerpt(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 48 else line[:47] + "…"
