"""How well sentiment, toxicity and safety measure what they say.

    python benchmarks/rewards_harm.py          the figures, four minutes of one core
    python benchmarks/rewards_harm.py --fit    fits the heads of model="embedded" anew, src/plaudit/rewards/heads.json

The sets in `benchmarks/data` (sentiment, toxicity, safety) were written for this by the author of the rules, with many
hard cases. Rules and heads were tuned on the half "dev" alone. The half "test" was written when the word lists were
closed, without a look at them; it is by the same hand still, and much of it is worded so that no list can hold it.

Real replies are read from `../shared/data`; figures of what is not there are left out.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from plaudit.rewards import harm as harm
from plaudit.rewards import sentiment as sentiment
from plaudit.rewards.base import make
from plaudit.rewards.embeddings import sentence_encoder
from plaudit.rewards.rules_or_model import EMBEDDED, HEADS
from reward_figures import DATA, HH, SAFETY, Figure, figure, median_seconds, read, share, shared, show

NAMES = ("sentiment", "toxicity", "safety")
REAL = (HH, "preferences/ultrafeedback_1k")
MODELS = (None, EMBEDDED)
INVERSE_PENALTY = {"sentiment": 1.0, "toxicity": 3.0, "safety": 1.0}
MOST_EMBEDDED = 300  # rows of a set that the encoder reads: it is slow

Row = dict[str, Any]


def figures() -> list[Figure]:
    """Every figure as function, measure, value, rows, data and its 95% interval."""
    parts = (own_sets, pairs, real_replies, throughput)
    return [found for part in parts for found in part()]


def own_sets() -> Iterable[Figure]:
    """Accuracy and AUC of each half, accuracy by kind of hard case, and how near to 0.5 neutral texts are."""
    for name in NAMES:
        rows = read(DATA / f"{name}.jsonl")
        for half in ("dev", "test"):
            part = [row for row in rows if row["half"] == half]
            clear = [row for row in part if row["label"] != 0.5]
            for model in MODELS:
                yield from judged(name, clear, scores(name, clear, model), called(half, model), f"{name}.jsonl")
            rules = scores(name, clear, None)
            for kind in dict.fromkeys(row["kind"] for row in clear):
                own = [right(s, row) for s, row in zip(rules, clear, strict=True) if row["kind"] == kind]
                yield share(name, f"right at 0.5, {half}, {kind}", own, f"{name}.jsonl")
            neutral = [row for row in part if row["label"] == 0.5]
            if neutral:
                off = float(np.mean(np.abs(np.asarray(scores(name, neutral, None)) - 0.5)))
                yield figure(
                    name, f"mean distance of neutral texts from 0.5, {half}", off, len(neutral), f"{name}.jsonl"
                )
            if name == "safety":
                alone = scores(name, [{**row, "prompt": None} for row in clear], None)
                yield from judged(name, clear, alone, f"{half}, without prompts", f"{name}.jsonl")
            if name == "sentiment":
                yield from judged(name, clear, vader([row["text"] for row in clear]), f"{half}, VADER", f"{name}.jsonl")


def pairs() -> Iterable[Figure]:
    """RM-Bench: the refusal of a harmful request over its fulfilment; and the help that a harmless one got is safe."""
    rows = shared(SAFETY)
    refused = [
        {"prompt": row["prompt"], "chosen": good, "rejected": bad}
        for row in rows
        if row["domain"] == "safety-refuse"
        for good, bad in zip(row["chosen"], row["rejected"], strict=True)
    ]
    helped = [
        {"prompt": row["prompt"], "text": text}
        for row in rows
        if row["domain"] == "safety-response"
        for text in row["chosen"]
    ]
    for model in MODELS if refused else ():
        good = scores("safety", [{"prompt": r["prompt"], "text": r["chosen"]} for r in refused], model)
        bad = scores("safety", [{"prompt": r["prompt"], "text": r["rejected"]} for r in refused], model)
        higher = [g > b for g, b in zip(good, bad, strict=True)]
        yield share("safety", called("refusal above fulfilment", model), higher, SAFETY)
        yield share("safety", called("harmful fulfilment at 0.5 or below", model), [b <= 0.5 for b in bad], SAFETY)
        safe = [s > 0.5 for s in scores("safety", helped, model)]
        yield share("safety", called("harmless help above 0.5", model), safe, SAFETY)


def real_replies() -> Iterable[Figure]:
    """Replies of assistants to people, few of which can be toxic or unsafe."""
    for data in REAL:
        rows = [{"prompt": row["prompt"], "text": row["chosen"]} for row in shared(data)]
        random.Random(0).shuffle(rows)
        for name in ("toxicity", "safety") if rows else ():
            for model in MODELS:
                own = rows[: 2000 if model is None else MOST_EMBEDDED]
                yield share(
                    name, called("real replies above 0.5", model), [s > 0.5 for s in scores(name, own, model)], data
                )


def throughput() -> Iterable[Figure]:
    """Texts a second of processor time, the median of passes after a first one: other work does not count."""
    rows = [{"prompt": row["prompt"], "text": row["chosen"]} for row in shared(HH)][:500]
    for name in NAMES if rows else ():
        for model, passes, own in ((None, 5, rows), (EMBEDDED, 1, rows[:100])):
            scores(name, own[:50], model)
            seconds = median_seconds(lambda n=name, o=own, m=model: scores(n, o, m), passes)
            yield figure(
                name, called("texts a second of processor time", model), round(len(own) / seconds), len(own), HH
            )


def fit() -> None:
    """Logistic regression on the embedded encoder's vectors; a neutral row stands on either side, at half weight."""
    heads = {}
    for name in NAMES:
        rows = [row for row in read(DATA / f"{name}.jsonl") if row["half"] == "dev"]
        vectors = sentence_encoder(EMBEDDED).encode([row["text"] for row in rows])
        labels = np.asarray([row["label"] for row in rows])
        model = LogisticRegression(C=INVERSE_PENALTY[name], max_iter=5000).fit(
            np.concatenate([vectors, vectors]),
            np.repeat([1, 0], len(rows)),
            sample_weight=np.concatenate([labels, 1 - labels]),
        )
        weights = [round(float(weight), 4) for weight in model.coef_[0]]
        heads[name] = {"rows": len(rows), "bias": round(float(model.intercept_[0]), 4), "weights": weights}
    HEADS.write_text(json.dumps(heads) + "\n", encoding="utf-8")
    print(f"written to {HEADS}")


# --- tools ----------------------------------------------------------------------------------------------------------


def scores(name: str, rows: Sequence[Row], model: str | None) -> list[float]:
    function = make(name, {"model": model})
    values: list[float] = function.score([row.get("prompt") for row in rows], [row["text"] for row in rows]).tolist()
    return values


def vader(texts: Sequence[str]) -> list[float]:
    """VADER's compound of the whole text, moved to 0 to 1: the baseline."""
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    analyzer = SentimentIntensityAnalyzer()
    return [0.5 + 0.5 * analyzer.polarity_scores(text)["compound"] for text in texts]


def called(what: str, model: str | None) -> str:
    return what if model is None else f"{what}, {model}"


def right(score: float, row: Row) -> bool:
    return (score > 0.5) == (row["label"] == 1)


def judged(name: str, rows: Sequence[Row], found: Sequence[float], what: str, data: str) -> Iterable[Figure]:
    """Accuracy at 0.5 and AUC with a bootstrap interval."""
    yield share(name, f"right at 0.5, {what}", [right(s, row) for s, row in zip(found, rows, strict=True)], data)
    labels, values = np.asarray([row["label"] for row in rows]), np.asarray(found)
    draws, random_ = [], np.random.default_rng(0)
    for _ in range(500):
        drawn = random_.integers(len(rows), size=len(rows))
        if 0 < labels[drawn].sum() < len(rows):
            draws.append(roc_auc_score(labels[drawn], values[drawn]))
    area = figure(name, f"AUC, {what}", float(roc_auc_score(labels, values)), len(rows), data)
    yield area | {"interval": [round(float(edge), 4) for edge in np.quantile(draws, [0.025, 0.975])]}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--fit", action="store_true", help="fit the heads anew instead")
    if parser.parse_args().fit:
        fit()
        return
    show("rewards_harm", figures())


if __name__ == "__main__":
    main()
