"""What the prompts are about: groups of similar prompts, named by their words, on a map of two dimensions."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from plaudit.curation.inspect.texts import excerpt, spaced

__all__ = ["Cluster", "Clusters", "cluster_prompts"]

READ, WORDS = 1_000, 5
_WORD = re.compile(r"[^\W\d_]+")
_LEAST, _MOST_CLUSTERS, _BATCH = 20, 12, 256


@dataclass(frozen=True)
class Cluster:
    """Prompts that are alike: how many, the words that set them apart, and the one nearest to their middle."""

    size: int
    words: tuple[str, ...]
    example: str


@dataclass
class Clusters:
    """All clusters, largest first.

    Attributes:
        prompts: different prompts that were looked at.
        clusters: the groups.
        points: (prompts, 2) the first two principal components of the embeddings.
        labels: (prompts,) places in ``clusters``.
    """

    prompts: int
    clusters: list[Cluster]
    points: npt.NDArray[np.float32] = field(repr=False)
    labels: npt.NDArray[np.int64] = field(repr=False)


def cluster_prompts(
    prompts: Sequence[str], *, seed: int = 0, progress: Callable[[int], None] | None = None
) -> Clusters | None:
    """Groups prompts by k-means on their embeddings (the embedded sentence encoder; MiniBatchKMeans, Sculley 2010).

    The number of groups is the square root of half the number of prompts, 2 to 12; their names are the five words of
    the highest tf-idf.

    Args:
        prompts: different texts, none blank; of each the first 1,000 characters are read.
        seed: of k-means.
        progress: called with the number of prompts embedded since the last call.

    Returns:
        None with fewer than 20 prompts.

    Raises:
        MissingExtraError: the extra [embedded] is not installed.
    """
    if len(prompts) < _LEAST:
        return None
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.decomposition import PCA

    from plaudit.rewards.embeddings import sentence_encoder

    encoder, parts = sentence_encoder(), []
    for start in range(0, len(prompts), _BATCH):
        some = [prompt[:READ] for prompt in prompts[start : start + _BATCH]]
        parts.append(encoder.encode(some))
        if progress is not None:
            progress(len(some))
    vectors = np.concatenate(parts)
    count = int(np.clip(round((len(prompts) / 2) ** 0.5), 2, _MOST_CLUSTERS))
    means = MiniBatchKMeans(count, random_state=seed, n_init=3).fit(vectors)
    used, labels = np.unique(means.labels_, return_inverse=True)
    order = np.argsort(-np.bincount(labels), kind="stable")
    labels = np.argsort(order)[labels]
    words = _words(prompts, labels, len(used))
    clusters = []
    for place in range(len(used)):
        members = np.flatnonzero(labels == place)
        centre = means.cluster_centers_[used[order[place]]]
        nearest = members[int(np.argmin(((vectors[members] - centre) ** 2).sum(axis=1)))]
        clusters.append(Cluster(len(members), words[place], excerpt(prompts[nearest], 120)))
    points = PCA(2, random_state=seed).fit_transform(vectors).astype(np.float32)
    return Clusters(len(prompts), clusters, points, labels)


def _words(prompts: Sequence[str], labels: npt.NDArray[np.int64], count: int) -> list[tuple[str, ...]]:
    """The five words of each cluster with the highest tf-idf, from those that three prompts have, or more.

    tf is the share of the cluster's prompts with the word, idf is log(1 / its share of all prompts), so a word that
    one prompt repeats does not name a cluster. English stop words do not count. Scripts without spaces are read as
    pairs of characters.
    """
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, CountVectorizer

    try:
        model = CountVectorizer(analyzer=_terms, binary=True, min_df=min(3, max(len(prompts) // 10, 1)))
        found = model.fit_transform([prompt[:READ] for prompt in prompts]).tocsr()
    except ValueError:  # no word comes three times
        return [()] * count
    idf = -np.log(np.asarray(found.mean(axis=0)).ravel())
    names = model.get_feature_names_out()
    idf[[name in ENGLISH_STOP_WORDS for name in names]] = 0.0
    words = []
    for place in range(count):
        weights = np.asarray(found[labels == place].mean(axis=0)).ravel() * idf
        words.append(tuple(str(names[i]) for i in np.argsort(-weights, kind="stable")[:WORDS] if weights[i] > 0))
    return words


def _terms(text: str) -> list[str]:
    """Words of 2 to 20 letters; pairs of characters of a script that writes no spaces."""
    terms = []
    for word in _WORD.findall(text.casefold()):
        if spaced(word) == word:
            terms += [word] if 2 <= len(word) <= 20 else []
        else:
            terms += [word[place : place + 2] for place in range(len(word) - 1)]
    return terms
