"""Fits the weights of the reward `coherence` and writes them to src/plaudit/rewards/coherence_weights.json.

Whole texts against corrupted ones: real paragraphs and replies, with the same sentences shuffled or with one sentence
exchanged for one of another prompt's text. Half of the prompts (by a hash) are for fitting; the other half is what
rewards_reference.py measures on. Two stages: a ridge regression of where a sentence stands on its cues, every text
weighing the same; then a logistic regression of whole against corrupted on the features, with cue weights from the
other folds of prompts.

    python benchmarks/coherence_fit.py [--dry]
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import itertools
import json
import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
from sklearn.linear_model import LogisticRegression, Ridge

from common import SHARED_DATA
from plaudit.rewards.coherence import WEIGHTS
from plaudit.rewards.coherence_features import FEATURES, Sentence, cues, features, prose
from plaudit.rewards.embeddings import sentence_encoder
from plaudit.rewards.sentences import sentences

FILES = (
    "preferences/alpaca_eval_v1_gpt4", "preferences/ultrafeedback_1k", "preferences/hh_helpful",
    "preferences/oasst_100trees", "preferences/ukp_convarg", "preferences/finegrained_qa", "bench/rm_bench",
    "bench/judgebench_gpt", "ab/alpaca_eval_v2_gpt4turbo", "ratings/halueval_general",
)  # fmt: skip
MOST = {"paragraph": 1000, "reply": 300}  # texts of one source whose sentences are embedded
CUES, RAREST, PENALTY, FOLDS = 500, 40, 10.0, 5


@dataclass(frozen=True)
class Text:
    """A text of at least two sentences; ``kind`` is "paragraph" or "reply"."""

    source: str
    prompt_id: str
    kind: str
    text: str


def held_out(prompt_id: str) -> bool:
    """The half of the prompts that nothing is fitted on."""
    return _hash(prompt_id) % 2 == 0


def fold_of(text: Text) -> int:
    """Its prompt's fold."""
    return _hash(f"fold {text.prompt_id}") % FOLDS


def texts(kind: str, *, per_prompt: int, most: int | None = None) -> list[Text]:
    """Distinct texts in Latin letters, at most ``per_prompt`` of a prompt and source and ``most`` of a source.

    A paragraph is a line of prose of 4 to 12 sentences that is no list item; a reply is all of it, 2 to 40 sentences.
    """
    seen: set[str] = set()
    taken: collections.Counter[tuple[str, str]] = collections.Counter()
    found = []
    for source, prompt_id, whole in _raw():
        for text in whole.split("\n") if kind == "paragraph" else [whole]:
            text = text.strip()
            latin = sum(c.isascii() and c.isalpha() for c in text)
            if text in seen or taken[source, prompt_id] >= per_prompt or latin < 0.6 * len(text) or "```" in whole:
                continue
            if kind == "paragraph" and (
                re.match(r"[-*+#>|•]|\(?\w{1,3}[.)]\s", text)
                or not 4 <= len(sentences(text)) <= 12
                or min(map(len, sentences(text))) < 12
            ):
                continue
            if kind == "reply" and not 2 <= len(prose(text)) <= 40:
                continue
            seen.add(text)
            taken[source, prompt_id] += 1
            found.append(Text(source, prompt_id, kind, text))
    found.sort(key=lambda text: _hash(text.text))
    by_source = {file: [text for text in found if text.source == file][:most] for file in FILES}
    return list(itertools.chain(*by_source.values()))


def _hash(text: str) -> int:
    return int(hashlib.sha256(text.encode()).hexdigest(), 16)


def _raw() -> Iterator[tuple[str, str, str]]:
    """Source, prompt and text of every reply, and of every Wikipedia passage in the long prompts."""
    for file in FILES:
        with (SHARED_DATA / f"{file}.jsonl").open(encoding="utf-8") as lines:
            for row in map(json.loads, lines):
                if file.endswith("finegrained_qa"):
                    passages = re.split(r"\n*\[\d+\] ", row["prompt"].split("Question")[0])
                    yield from ((file, row["prompt_id"], passage) for passage in passages)
                    continue
                for key in ("chosen", "rejected", "response", "response_a", "response_b"):
                    value = row.get(key) or []
                    yield from (
                        (file, row["prompt_id"], text) for text in ([value] if isinstance(value, str) else value)
                    )


class Corpus:
    """Texts as sentences, with their vectors."""

    def __init__(self, given: Iterable[Text]) -> None:
        self.texts = [text for text in given if len(prose(text.text)) > 1]
        self.sentences = [prose(text.text) for text in self.texts]
        distinct = list({sentence.text: None for text in self.sentences for sentence in text})
        print(f"{len(self.texts)} texts, {len(distinct)} sentences to embed", flush=True)
        vectors = sentence_encoder().encode(distinct)
        self.vector = dict(zip(distinct, vectors, strict=True))

    def features(self, text: list[Sentence], table: dict[str, list[float]]) -> Any:
        return features(text, np.stack([self.vector[sentence.text] for sentence in text]), table)


def fit_table(texts: list[list[Sentence]]) -> dict[str, list[float]]:
    """Cue -> weights for standing late, first and last, of the `CUES` that explain most."""
    frequency = collections.Counter(cue for text in texts for sentence in text for cue in cues(sentence))
    known = sorted(cue for cue, count in frequency.items() if count >= RAREST)
    for size in (None, CUES):
        place = {cue: column for column, cue in enumerate(known)}
        pairs = [
            (row, place[cue])
            for row, sentence in enumerate(itertools.chain(*texts))
            for cue in cues(sentence)
            if cue in place
        ]
        rows, columns = zip(*pairs, strict=True)
        counts = scipy.sparse.csr_matrix(
            (np.ones(len(pairs)), (rows, columns)), shape=(sum(map(len, texts)), len(known))
        )
        sizes = np.array([len(text) for text in texts])
        means = scipy.sparse.block_diag([np.full((len(t), len(t)), 1 / len(t)) for t in texts], format="csr")
        centred = (counts - means @ counts).tocsr()
        targets = np.concatenate([_places(len(text)) for text in texts])
        ridge = Ridge(alpha=PENALTY, fit_intercept=False, solver="sparse_cg", tol=1e-6)
        weights = ridge.fit(centred, targets, sample_weight=np.repeat(1 / sizes, sizes)).coef_
        if size is not None:
            break
        worth = np.asarray(centred.power(2).sum(0)).ravel() * (weights**2).sum(0)
        known = sorted(known[i] for i in np.argsort(-worth)[:CUES])
    return {cue: [round(float(w), 3) for w in weights[:, column]] for column, cue in enumerate(known)}


def _places(n: int) -> Any:
    """Where each sentence stands, from -1 to 1; is it the first; is it the last: each with mean 0, shape (n, 3)."""
    first = np.eye(n)[0] - 1 / n
    return np.stack([np.linspace(-1, 1, n), first, first[::-1]], axis=1)


def corrupted(corpus: Corpus, seed: int) -> Iterator[tuple[int, str, list[Sentence]]]:
    """(place of the text, "own" or "shuffled" or "exchanged", sentences) of every text."""
    generator = random.Random(seed)
    by_source = collections.defaultdict(list)
    for place, text in enumerate(corpus.texts):
        by_source[text.source].append(place)
    for place, own in enumerate(corpus.sentences):
        yield place, "own", own
        shuffled = own
        while shuffled == own:
            shuffled = generator.sample(own, len(own))
        yield place, "shuffled", shuffled
        foreign = place
        while corpus.texts[foreign].prompt_id == corpus.texts[place].prompt_id:
            foreign = generator.choice(by_source[corpus.texts[place].source])
        exchanged = list(own)
        exchanged[generator.randrange(len(own))] = generator.choice(corpus.sentences[foreign])
        yield place, "exchanged", exchanged


def main() -> None:
    """Fits and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dry", action="store_true", help="print, and write nothing")
    dry = parser.parse_args().dry
    every = [*texts("paragraph", per_prompt=4), *texts("reply", per_prompt=2)]
    read = [(fold_of(text), prose(text.text)) for text in every if not held_out(text.prompt_id)]
    read = [(fold, text) for fold, text in read if len(text) > 1]
    tables = [fit_table([text for fold, text in read if fold != out]) for out in range(FOLDS)]
    some = [
        *texts("paragraph", per_prompt=2, most=MOST["paragraph"]),
        *texts("reply", per_prompt=1, most=MOST["reply"]),
    ]
    corpus = Corpus(text for text in some if not held_out(text.prompt_id))
    rows, own = [], []
    for seed in range(2):
        for place, kind, text in corrupted(corpus, seed):
            rows.append(corpus.features(text, tables[fold_of(corpus.texts[place])]))
            own.append(kind == "own")
    x, y = np.array(rows), np.array(own)
    mean, spread = x.mean(0), x.std(0)
    model = LogisticRegression(C=1.0).fit((x - mean) / spread, y, sample_weight=np.where(y, 1.0, 0.5))
    weights = model.coef_[0] / spread
    document = {
        "weights": {name: round(float(w), 4) for name, w in zip(FEATURES, weights, strict=True)},
        "intercept": round(float(model.intercept_[0] - weights @ mean), 4),
        "cues": fit_table([text for _, text in read]),
    }
    print("weights of features scaled to spread 1:", dict(zip(FEATURES, model.coef_[0].round(2), strict=True)))
    print(f"share of own and corrupted texts told apart at 0.5: {model.score((x - mean) / spread, y):.3f}")
    if not dry:
        lines = ",\n".join(f"  {json.dumps(cue, ensure_ascii=False)}: {w}" for cue, w in document.pop("cues").items())
        head = json.dumps(document, indent=1)
        WEIGHTS.write_text(head[:-2] + ',\n "cues": {\n' + lines + "\n }\n}\n", encoding="utf-8")
        print(f"written to {WEIGHTS}")


if __name__ == "__main__":
    main()
