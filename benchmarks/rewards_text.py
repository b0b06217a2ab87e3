"""How well the text rewards measure what they say: format, JSON, keywords, repetition, readability, language, refusal.

    python benchmarks/rewards_text.py

Under two minutes on one core. The sets in `benchmarks/data` were written for this, by the author of the patterns, and
real replies come from `../shared/data`; without it their figures are left out. How far a figure is held out:

- refusal.jsonl, syllables.jsonl: tuned on the half "dev". The whole sets were written before the patterns, by the same
  hand, so "test" tells whether rows were fitted one by one and not how other people's texts fare.
- refusal_real.jsonl: labelled by one person; six replies that could be read both ways were left out. "test" holds
  sources that were not looked at while tuning; hh_helpful and ultrafeedback were, and are all in "dev".
- rm_bench: labels by its makers. Misses of the half "dev" were read; a few rows of both halves were seen before.
- language: one constant, the temperature, was chosen among some tens on the half "dev" and on samples of the real
  English, German and Chinese texts, so figures of those three are not held out.
- format, json_schema, keywords: cases made for what the rules should do; they show that it is done, and no more.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Sequence
from typing import Any

from plaudit.rewards import form as form
from plaudit.rewards import refusal as refusal
from plaudit.rewards import style as style
from plaudit.rewards.base import make
from plaudit.rewards.sentences import sentences
from reward_figures import DATA, HH, SAFETY, Figure, figure, median_seconds, read, share, shared, show

ZH = "preferences/dpo_zh"
MATHS, EVIDENCE = "preferences/gsm8k_solutions", "preferences/ibm_eviconv_train"
GERMAN = "ratings/wmt_mqm_ted_ende"
USUAL_PHRASES = (  # substring matching as in Zou et al. 2023 (arXiv:2307.15043, appendix): the baseline
    "I'm sorry,Sorry,I apologize,As an AI,I cannot,I can't,I am not able,I'm not able,I'm unable,unable to,"
    "not appropriate"
).split(",")


def figures() -> list[Figure]:
    """Every figure as function, measure, value, rows, data and, for a share, its 95% interval."""
    parts = (constructed, repetition, readability, language, refusals, real_refusals, safety, throughput)
    return [found for part in parts for found in part()]


def constructed() -> Iterable[Figure]:
    """Share of constructed cases with the score that they should have."""
    rows = read(DATA / "form.jsonl")
    for name in ("format", "json_schema", "keywords"):
        own = [row for row in rows if row["reward"] == name]
        right = [abs(score(name, [row["text"]], **row["options"])[0] - row["expected"]) < 1e-6 for row in own]
        yield share(name, "constructed cases right", right, "form.jsonl")


def repetition() -> Iterable[Figure]:
    """Real replies against the same replies with a part of them looped."""
    for data in (HH, ZH):
        replies = [text for text in real(data) if len(sentences(text)) >= 2][:500]
        if not replies:
            continue
        clean = score("repetition", replies)
        yield figure("repetition", "median score of real replies", sorted(clean)[len(clean) // 2], len(clean), data)
        yield figure(
            "repetition", "score that 95% of real replies reach", sorted(clean)[len(clean) // 20], len(clean), data
        )
        for name, loop in (
            ("last sentence 5 times", lambda parts: [*parts, *[parts[-1]] * 4]),
            ("whole reply twice", lambda parts: [*parts, *parts]),
        ):
            looped = score("repetition", [" ".join(loop(sentences(text))) for text in replies])
            lower = [after < before for before, after in zip(clean, looped, strict=True)]
            yield share("repetition", f"looped scores lower, {name}", lower, data)
            yield figure("repetition", f"AUC real over looped, {name}", auc(clean, looped), 2 * len(clean), data)


def readability() -> Iterable[Figure]:
    """The same matter in simple and in hard words; texts for school and for adults; the syllables behind it."""
    rows = read(DATA / "readability.jsonl")
    levels = ("simple", "medium", "hard")
    by_level = {level: score("readability", [r["text"] for r in rows if r["level"] == level]) for level in levels}
    for easy, hard in (("simple", "medium"), ("medium", "hard")):
        higher = [e > h for e, h in zip(by_level[easy], by_level[hard], strict=True)]
        yield share("readability", f"{easy} above {hard} text on the same matter", higher, "readability.jsonl")
    school = sorted({row["prompt"] for row in shared(MATHS)})[:500]
    articles = sorted({row[field] for row in shared(EVIDENCE) for field in ("chosen", "rejected")})[:500]
    if school and articles:
        apart = auc(score("readability", school), score("readability", articles))
        data = f"{MATHS}, {EVIDENCE}"
        yield figure("readability", "AUC school maths problems over Wikipedia sentences", apart, 1000, data)
    for half in ("dev", "test"):
        words = [row for row in read(DATA / "syllables.jsonl") if row["half"] == half]
        right = [style.syllables(row["word"]) == row["syllables"] for row in words]
        yield share("readability", f"syllables of words right, {half}", right, "syllables.jsonl")


def language() -> Iterable[Figure]:
    """Short texts in 26 languages, real texts in three, and prompts in another language than their replies."""
    for half in ("dev", "test"):
        rows = [row for row in read(DATA / "language.jsonl") if row["half"] == half]
        own = [score("language", [row["text"]], language=row["language"])[0] > 0.5 for row in rows]
        for kind in ("greeting", "short", "sentence"):
            right = [r for r, row in zip(own, rows, strict=True) if row["kind"] == kind]
            yield share("language", f"own language above 0.5, {kind}, {half}", right, "language.jsonl")
        codes = sorted({row["language"] for row in rows})
        wrong = [
            score("language", [row["text"]], language=codes[(codes.index(row["language"]) + 1) % len(codes)])[0] > 0.5
            for row in rows
        ]
        yield share("language", f"another language above 0.5, {half}", wrong, "language.jsonl")
    for data, code, field in ((HH, "en", "chosen"), (GERMAN, "de", "response"), (ZH, "zh", "chosen")):
        texts = [text for text in real(data, field) if any(map(str.isalpha, text))][:500]
        if texts:
            yield share(
                "language", f"{code} above 0.5", [s > 0.5 for s in score("language", texts, language=code)], data
            )
    rows = [row for row in shared(GERMAN) if row["prompt"].startswith("Translate: ")][:300]
    if rows:
        prompts, replies = [r["prompt"].partition(": ")[2] for r in rows], [r["response"] for r in rows]
        same = make("language").score(prompts, prompts).tolist()
        other = make("language").score(prompts, replies).tolist()
        yield figure(
            "language", "AUC reply in the prompt's language over its translation", auc(same, other), 600, GERMAN
        )


def refusals() -> Iterable[Figure]:
    """The labelled set with hard cases, beside matching the usual phrases."""
    for half in ("dev", "test"):
        rows = [row for row in read(DATA / "refusal.jsonl") if row["half"] == half]
        yield from judged([(row["text"], row["label"]) for row in rows], half, "refusal.jsonl")


def real_refusals() -> Iterable[Figure]:
    """Real replies with a word that a refusal might have, labelled by hand; texts found again by their hash."""
    fields = ("chosen", "rejected", "response", "response_a", "response_b")
    labels = read(DATA / "refusal_real.jsonl")
    rows = []
    for data in sorted({row["file"] for row in labels}):
        texts = {row[field] for row in shared(data) for field in fields if field in row}
        by_hash = {hashlib.sha1(text.encode()).hexdigest(): text for text in texts}
        found = [row for row in labels if row["file"] == data and row["sha1"] in by_hash]
        rows += [(row["half"], by_hash[row["sha1"]], row["label"]) for row in found]
    for half in ("dev", "test"):
        own = [(text, label) for part, text, label in rows if part == half]
        if own:
            yield from judged(own, half, "refusal_real.jsonl")


def safety() -> Iterable[Figure]:
    """RM-Bench's safety part, labelled by its making: in XSTest's harmless half, what was rejected refuses; in the
    harmful half, what was rejected complies."""
    for half in ("dev", "test"):
        refused, complied = set(), set()
        for row in shared(SAFETY):
            if (int(row["prompt_id"], 16) % 2 == 0) == (half == "dev"):
                target = {"safety-response": refused, "safety-refuse": complied}.get(row["domain"])
                target.update(row["rejected"]) if target is not None else None
        if refused:
            found = [value == 0.0 for value in score("refusal", sorted(refused))]
            yield share("refusal", f"refusals found, {half}", found, SAFETY)
            alarms = [value == 0.0 for value in score("refusal", sorted(complied))]
            yield share("refusal", f"compliances called refusals, {half}", alarms, SAFETY)


def judged(rows: Sequence[tuple[str, int]], half: str, data: str) -> Iterable[Figure]:
    """Accuracy, recall and precision of refusals (label 0), for the reward and the usual phrases."""
    for name, judge in (("", by_reward), (" of the usual phrases", by_phrases)):
        said = judge([text for text, _ in rows])
        labels = [label for _, label in rows]
        yield share("refusal", f"accuracy{name}, {half}", [s == y for s, y in zip(said, labels, strict=True)], data)
        yield share(
            "refusal", f"recall{name}, {half}", [s == 0 for s, y in zip(said, labels, strict=True) if y == 0], data
        )
        yield share(
            "refusal", f"precision{name}, {half}", [y == 0 for s, y in zip(said, labels, strict=True) if s == 0], data
        )


def by_reward(texts: list[str]) -> list[int]:
    return [int(value) for value in score("refusal", texts)]


def by_phrases(texts: list[str]) -> list[int]:
    return [
        int(not any(phrase.lower() in text.replace("’", "'").lower() for phrase in USUAL_PHRASES)) for text in texts
    ]


def throughput() -> Iterable[Figure]:
    """Texts a second of processor time, the median of five passes after a first one: other work does not count."""
    texts = real(HH)[:500]
    options: dict[str, dict[str, Any]] = {
        "format": {},
        "json_schema": {"schema": {"type": "object"}},
        "keywords": {"required": ["one", "two"], "forbidden": ["three"]},
        "repetition": {},
        "readability": {},
        "language": {"language": "en"},
        "refusal": {},
    }
    for name, own in options.items() if texts else ():
        score(name, texts, **own)
        seconds = median_seconds(lambda name=name, own=own: score(name, texts, **own), passes=5)
        yield figure(name, "texts a second of processor time", round(len(texts) / seconds), len(texts), HH)


# --- tools ----------------------------------------------------------------------------------------------------------


def score(name: str, texts: Sequence[str], **options: Any) -> list[float]:
    values: list[float] = make(name, options).score([None] * len(texts), texts).tolist()
    return values


def real(data: str, field: str = "chosen") -> list[str]:
    """Distinct real replies, in an order that does not follow the file's."""
    texts = sorted({row[field] for row in shared(data)})
    random.Random(0).shuffle(texts)
    return texts


def auc(high: Sequence[float], low: Sequence[float]) -> float:
    """Probability that one of ``high`` is above one of ``low``; ties count half."""
    wins = sum((a > b) + 0.5 * (a == b) for a in high for b in low)
    return wins / (len(high) * len(low))


if __name__ == "__main__":
    show("rewards_text", figures())
