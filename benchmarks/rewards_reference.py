"""Are the reward functions that compare with a reference, and `coherence`, right? Measured on real data.

    python benchmarks/rewards_reference.py

Prints a table and, as its last line, one JSON document.
"""

from __future__ import annotations

import json
import random
import re
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from coherence_fit import Text, held_out, texts
from common import SHARED_DATA, surroundings
from plaudit.metrics import bootstrap_accuracy, pair_accuracy
from plaudit.rewards.base import make
from plaudit.rewards.coherence_features import prose
from plaudit.rewards.sentences import sentences

Figure = dict[str, Any]


def rows(name: str) -> list[dict[str, Any]]:
    """A file of the shared data."""
    with (SHARED_DATA / f"{name}.jsonl").open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def score(name: str, responses: Sequence[str], references: Sequence[str] | None = None, **options: object) -> Any:
    """Scores as float64, shape (N,)."""
    function = make(name, options)
    return function.score([None] * len(responses), responses, references=references).astype(np.float64)


def figure(function: str, measure: str, value: float, rows: int, data: str, interval: Any = None) -> Figure:
    """One row of the table; ``interval`` is the 95% bootstrap interval by prompt, where there is one."""
    return {
        "function": function,
        "measure": measure,
        "value": round(float(value), 10),
        "rows": rows,
        "data": data,
        "interval": None if interval is None else [round(interval.low, 4), round(interval.high, 4)],
    }


def told_apart(function: str, measure: str, good: Any, bad: Any, groups: Sequence[str], data: str) -> Figure:
    """Share of pairs whose good text scores higher; ties count half."""
    interval = bootstrap_accuracy(pair_accuracy(good, bad), groups)
    return figure(function, measure, interval.value, len(good), data, interval)


def overlap() -> list[Figure]:
    """The largest differences to sacrebleu and rouge-score."""
    import sacrebleu
    from rouge_score.rouge_scorer import RougeScorer

    pairs = [row for row in rows("preferences/ultrafeedback_1k") if row["chosen"].strip() and row["rejected"].strip()]
    responses, references = [row["rejected"] for row in pairs], [row["chosen"] for row in pairs]
    library = sacrebleu.BLEU(effective_order=True)
    expected = [library.sentence_score(a, [b]).score / 100 for a, b in zip(responses, references, strict=True)]
    worst = np.abs(score("bleu", responses, references) - expected).max()
    data = "ultrafeedback_1k, rejected against chosen"
    found = [figure("bleu", "largest difference to sacrebleu", worst, len(pairs), data)]
    latin = [
        place
        for place, (a, b) in enumerate(zip(responses, references, strict=True))
        if not any(c.isalpha() and ord(c) > 0x24F for c in a + b)
    ]
    for variant in ("rouge1", "rouge2", "rougeL", "rougeLsum"):
        scorer = RougeScorer([variant])
        some = latin if variant != "rougeLsum" else latin[:200]
        expected = [scorer.score(references[i], responses[i])[variant].fmeasure for i in some]
        got = score("rouge", [responses[i] for i in some], [references[i] for i in some], variant=variant)
        worst = np.abs(got - expected).max()
        found.append(figure("rouge", f"largest difference to rouge-score, {variant}", worst, len(some), data))
    return found


def similarity() -> list[Figure]:
    """Does a right student answer score above a wrong one, against another right answer to the same question?"""
    by_prompt = defaultdict(lambda: (dict[str, None](), dict[str, None]()))
    for row in rows("preferences/semeval13_student_pairs"):
        by_prompt[row["prompt_id"]][0][row["chosen"]] = None
        by_prompt[row["prompt_id"]][1][row["rejected"]] = None
    generator = random.Random(0)
    pairs = []
    for prompt, (right, wrong) in by_prompt.items():
        reference, *others = sorted(right, key=lambda text: (-len(text), text))
        possible = [(prompt, reference, a, b) for a in others for b in wrong]
        pairs += generator.sample(possible, min(20, len(possible)))
    groups, references, right_ones, wrong_ones = (list(column) for column in zip(*pairs, strict=True))
    found = []
    for name in ("semantic_similarity", "rouge", "bleu"):
        good, bad = score(name, right_ones, references), score(name, wrong_ones, references)
        measure = "right above wrong student answer to the same question"
        found.append(told_apart(name, measure, good, bad, groups, "semeval13_student_pairs, longest right answer"))
    full = [row for row in rows("ab/pandalm_test") if row["response_a"].strip() and row["response_b"].strip()]
    one_each = list({row["prompt_id"]: row for row in full}.values())
    groups, references = [row["prompt_id"] for row in one_each], [row["response_a"] for row in one_each]
    same = [row["response_b"] for row in one_each]
    for name in ("semantic_similarity", "rouge", "bleu"):
        good, bad = score(name, same, references), score(name, [same[-1], *same[:-1]], references)
        found.append(told_apart(name, "reply to the same above another prompt", good, bad, groups, "pandalm_test"))
    return found


def mathematics() -> list[Figure]:
    """Agreement with the labels of worked solutions, as they are and with their last line rewritten or cut."""
    by_prompt = defaultdict(list)
    for row in rows("preferences/gsm8k_solutions"):
        by_prompt[row["prompt_id"]].append(row)
    items: dict[tuple[str, str], tuple[str, float]] = {}  # (prompt, solution) -> the right answer, the label
    for prompt, given in by_prompt.items():
        right = {row["chosen"]: row["chosen_model"] != "human" for row in given}
        for row in given:
            other = min((text for text in right if text != row["chosen"]), key=right.__getitem__, default=row["chosen"])
            answer = other.rpartition("A: ")[2].strip()
            items.setdefault((prompt, row["chosen"]), (answer, 1.0))
            items.setdefault((prompt, row["rejected"]), (answer, 0.0))
    prompts, solutions = (list(column) for column in zip(*items, strict=True))
    references, labels = (list(column) for column in zip(*items.values(), strict=True))
    rewritten: dict[str, Callable[[str], str]] = {
        "as they are": lambda text: text,
        "#### 42": lambda text: re.sub(r"A: (.*)\Z", r"#### \1", text),
        r"\boxed{42}": lambda text: re.sub(r"A: (.*)\Z", r"Therefore we get $\\boxed{\1}$ in the end.", text),
        "the answer is $42 a day": lambda text: re.sub(r"A: (.*)\Z", r"So the answer is $\1 a day.", text),
        "last line cut: the last number of prose": lambda text: re.sub(r"\n?A: .*\Z", "", text),
    }
    found = []
    for measure, change in rewritten.items():
        changed = [change(solution) or "none" for solution in solutions]
        agree = score("math_correctness", changed, references) == np.array(labels)
        interval = bootstrap_accuracy(agree.astype(float), prompts)
        measure = f"agreement with the label: {measure}"
        found.append(figure("math_correctness", measure, agree.mean(), len(agree), "gsm8k_solutions", interval))
    return found


def coherence() -> list[Figure]:
    """Texts against themselves shuffled or with a foreign sentence, from prompts that nothing was fitted on."""
    found = []
    for kind, most in (("paragraph", 700), ("reply", 250)):
        given = [text for text in texts(kind, per_prompt=1) if held_out(text.prompt_id)]
        if kind == "reply":
            given = [text for text in given if len(prose(text.text)) >= 4]
        given = random.Random(1).sample(given, most)
        found += _coherence({"paragraph": "held-out paragraphs", "reply": "held-out replies"}[kind], given, sentences)
    chinese = [
        Text("dpo_zh", row["prompt_id"], "paragraph", row["chosen"])
        for row in rows("preferences/dpo_zh")
        if 4 <= len(prose(row["chosen"])) <= 20 and "```" not in row["chosen"]
    ]
    return found + _coherence("dpo_zh (Chinese: not fitted on)", random.Random(1).sample(chinese, 100), sentences)


def _coherence(data: str, given: list[Text], split: Callable[[str], list[str]]) -> list[Figure]:
    generator = random.Random(0)
    groups = [text.prompt_id for text in given]
    own = [list(dict.fromkeys(split(text.text))) for text in given]
    shuffled, exchanged = [], []
    for place, sentences_ in enumerate(own):
        other = sentences_
        while other == sentences_:
            other = generator.sample(sentences_, len(sentences_))
        shuffled.append(other)
        foreign = list(sentences_)
        foreign[generator.randrange(len(foreign))] = generator.choice(own[place - 1])
        exchanged.append(foreign)
    whole, mixed, strange = np.split(score("coherence", ["\n".join(text) for text in [*own, *shuffled, *exchanged]]), 3)
    return [
        told_apart("coherence", "text above its sentences shuffled", whole, mixed, groups, data),
        told_apart("coherence", "text above itself with a foreign sentence", whole, strange, groups, data),
        figure("coherence", "mean score", whole.mean(), len(own), data),
        figure("coherence", "mean score, shuffled", mixed.mean(), len(own), data),
    ]


def throughput() -> list[Figure]:
    """Texts a second of real replies (about 180 words) on the cores that the process may use."""
    pairs = [row for row in rows("preferences/ultrafeedback_1k") if row["rejected"].strip("\u200b \n")][:300]
    responses, references = [row["rejected"] for row in pairs], [row["chosen"] for row in pairs]
    solutions = [row["chosen"] for row in rows("preferences/gsm8k_solutions")][:300]
    found = []
    for name, options, some in (
        ("bleu", {}, 300), ("rouge", {}, 300), ("rouge", {"variant": "rougeLsum"}, 100),
        ("semantic_similarity", {}, 60), ("math_correctness", {}, 300), ("coherence", {}, 60),
    ):  # fmt: skip
        given = (solutions, solutions) if name == "math_correctness" else (responses, references)
        score(name, given[0][:2], given[1][:2], **options)  # loads what it needs
        start = time.perf_counter()
        score(name, given[0][:some], given[1][:some], **options)
        rate = some / (time.perf_counter() - start)
        data = "gsm8k_solutions" if name == "math_correctness" else "ultrafeedback_1k"
        measure = ", ".join(["texts a second", *map(str, options.values())])
        found.append(figure(name, measure, round(rate, 1), some, data))
    return found


def figures() -> list[Figure]:
    """All figures: function, measure, value, rows, data, interval."""
    return [*overlap(), *similarity(), *mathematics(), *coherence(), *throughput()]


def main() -> None:
    """Prints the table and the JSON document."""
    found = figures()
    for row in found:
        interval = "" if row["interval"] is None else "{:.3f} to {:.3f}".format(*row["interval"])
        value = f"{row['value']:.1e}" if 0 < row["value"] < 1e-3 else f"{row['value']:.4g}"
        print(f"{row['function']:20} {row['measure']:62} {value:>8}  {interval:15} {row['rows']:>5}  {row['data']}")
    print(json.dumps({"benchmark": "rewards_reference", **surroundings(), "figures": found}))


if __name__ == "__main__":
    main()
