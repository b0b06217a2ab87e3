"""A/B tests become pairs with soft labels: against values computed by hand."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from plaudit.data import Columns
from plaudit.data.convert import preferences_from_ab
from plaudit.data.convert.posterior import probability_higher, two_proportion_z, vote_posterior
from plaudit.errors import ConfigError, DataError, RowError

AB = Path(__file__).parents[2].parent / "shared" / "data" / "ab"
ROW = {"prompt": "p", "response_a": "A says", "response_b": "B says"}


def real(name: str) -> Path:
    path = AB / f"{name}.jsonl"
    if not path.exists():
        pytest.skip(f"no real data at {path}")
    return path


def one(row: dict[str, Any], **options: Any) -> dict[str, Any]:
    (pair,) = preferences_from_ab([ROW | row], **options)
    return pair


@pytest.mark.parametrize("winner", ["a", "A", " A ", "model_a", "1", 1, 1.0, "left", "A>B", "response_a", "first"])
def test_known_spellings_of_a(winner: Any) -> None:
    assert one({"winner": winner}) == {"prompt": "p", "chosen": "A says", "rejected": "B says", "soft_label": 1.0}


@pytest.mark.parametrize("winner", ["b", "B", "model_b", "2", 2, "right", "B>A", "A<B", "second"])
def test_known_spellings_of_b(winner: Any) -> None:
    assert one({"winner": winner}) == {"prompt": "p", "chosen": "B says", "rejected": "A says", "soft_label": 1.0}


@pytest.mark.parametrize("winner", ["tie", "Tie", "both", "draw", 0.5, "0.5", "tie (bothbad)", "A=B", "neither"])
def test_known_spellings_of_a_tie(winner: Any) -> None:
    conversion = preferences_from_ab([ROW | {"winner": winner}])
    assert list(conversion) == [{"prompt": "p", "chosen": "A says", "rejected": "B says", "soft_label": 0.5}]
    assert conversion.report.notes == {"ties kept, with soft_label 0.5": 1}
    with pytest.raises(DataError, match="1 rows read .* 1 dropped: ties"):
        one({"winner": winner}, ties="drop")


@pytest.mark.parametrize("winner", ["C", "", None, "none", 0, "0", 3, True, ["a"]])
def test_an_unknown_winner_lists_what_is_known(winner: Any, tmp_path: Path) -> None:
    path = tmp_path / "ab.jsonl"
    path.write_text(json.dumps(ROW | {"winner": "a"}) + "\n" + json.dumps(ROW | {"winner": winner}) + "\n")
    with pytest.raises(RowError, match=r"ab\.jsonl:2: winner is .* no known winner \(a: a, A, model_a.*--winner"):
        list(preferences_from_ab(path))
    conversion = preferences_from_ab(path, on_bad_row="skip")
    assert len(list(conversion)) == conversion.report.bad == 1


def test_other_spellings_can_be_named() -> None:
    winners = {"0": "b", "X": "tie"}
    assert one({"winner": 0}, winners=winners)["chosen"] == "B says"
    assert one({"winner": "X"}, winners=winners)["soft_label"] == 0.5
    assert one({"winner": "a"}, winners=winners)["chosen"] == "A says"
    with pytest.raises(ConfigError, match="'X' stands for 'c'; expected a, b or tie"):
        one({"winner": "X"}, winners={"X": "c"})


@pytest.mark.parametrize(
    ("votes", "chosen", "mean"),
    [
        ([1, 1, 1], "A says", 4 / 5),
        ([2, 2, 2], "B says", 4 / 5),
        ([1, 2, 1], "A says", 3 / 5),
        ([0, 0, 2], "B says", 3 / 5),  # two ties are a vote for each
        (["a", "tie", "b", "b"], "B says", 3.5 / 6),
        ('["left", "left"]', "A says", 3 / 4),
        ({"a": 3, "b": 1}, "A says", 4 / 6),
        ('{"model_a": 0, "model_b": 5, "tie": 1}', "B says", 6.5 / 8),
    ],
)
def test_votes_become_the_posterior_mean_and_its_deviation(votes: Any, chosen: str, mean: float) -> None:
    pair = one({"votes": votes})
    counts = json.loads(votes) if isinstance(votes, str) else votes
    n = sum(counts.values()) if isinstance(counts, dict) else len(counts)
    assert pair["chosen"] == chosen
    assert pair["soft_label"] == pytest.approx(mean)
    assert pair["soft_label_std"] == pytest.approx(math.sqrt(mean * (1 - mean) / (n + 3)))


def test_the_beta_posterior_by_hand() -> None:
    mean, std = vote_posterior(3, 0)  # Beta(4, 1): mean 4/5, variance 4 / (25 * 6)
    assert mean == pytest.approx(0.8)
    assert std == pytest.approx(math.sqrt(4 / 150))
    assert vote_posterior(0, 0) == (0.5, pytest.approx(math.sqrt(1 / 12)))


def test_counts_in_columns_are_votes() -> None:
    assert one({"votes_a": "3", "votes_b": 1})["soft_label"] == pytest.approx(4 / 6)
    assert one({"votes_a": 1, "votes_b": 0, "votes_tie": 1})["soft_label"] == pytest.approx(2.5 / 4)
    with pytest.raises(RowError, match="votes_b is -1; expected a count from 0"):
        one({"votes_a": 1, "votes_b": -1})
    with pytest.raises(RowError, match="there is not one vote"):
        one({"votes_a": 0, "votes_b": 0})
    with pytest.raises(RowError, match="votes is 3; expected a list of votes"):
        one({"votes": 3})
    with pytest.raises(RowError, match="a vote in votes is 'c', which is no known winner"):
        one({"votes": ["a", "c"]})


def test_certainty_is_the_share_of_variance_that_is_gone() -> None:
    assert one({"votes": [1, 1, 1]}, weigh_by_certainty=True)["weight"] == pytest.approx(1 - (4 / 150) * 12)
    assert one({"votes": [1, 1, 1], "weight": 2}, weigh_by_certainty=True)["weight"] == pytest.approx(1.36)
    clicks = {"clicks_a": 0, "impressions_a": 1, "clicks_b": 1, "impressions_b": 1}
    p = 5 / 6  # P(X_B > X_A) with Beta(2, 1) and Beta(1, 2): 1 - 1/6
    assert one(clicks)["soft_label"] == pytest.approx(p)
    assert one(clicks, weigh_by_certainty=True)["weight"] == pytest.approx((2 * p - 1) ** 2)
    with pytest.raises(ConfigError, match="--weigh-by-certainty: no effect where winner decides"):
        one({"winner": "a"}, weigh_by_certainty=True)


def exact(clicks_a: int, shown_a: int, clicks_b: int, shown_b: int) -> float:
    """P(A > B) as a finite sum of Beta functions, for whole counts (E. Miller, Formulas for Bayesian A/B Testing)."""
    lbeta = lambda x, y: math.lgamma(x) + math.lgamma(y) - math.lgamma(x + y)  # noqa: E731
    a, b, c, d = 1 + clicks_b, 1 + shown_b - clicks_b, 1 + clicks_a, 1 + shown_a - clicks_a
    return sum(math.exp(lbeta(a + i, b + d) - math.log(d + i) - lbeta(1 + i, d) - lbeta(a, b)) for i in range(c))


@pytest.mark.parametrize(
    "counts",
    [(0, 1, 1, 1), (0, 3, 0, 3), (51, 4594, 27, 4601), (5, 10, 300, 1000), (0, 20000, 3, 20), (200, 200, 150, 200)],
)
def test_the_probability_of_the_higher_rate_is_exact(counts: tuple[int, int, int, int]) -> None:
    assert probability_higher(*counts) == pytest.approx(exact(*counts), abs=1e-9)
    assert probability_higher(*counts[2:], *counts[:2]) == pytest.approx(1 - exact(*counts), abs=1e-9)


def test_clicks_by_hand_and_as_a_test() -> None:
    clicks = {"clicks_a": 51, "impressions_a": 4594, "clicks_b": 27, "impressions_b": 4601}
    pooled = 78 / 9195
    z = (51 / 4594 - 27 / 4601) / math.sqrt(pooled * (1 - pooled) * (1 / 4594 + 1 / 4601))
    assert z == pytest.approx(2.736, abs=1e-3)
    assert two_proportion_z(51, 4594, 27, 4601) == pytest.approx(z)
    soft = one(clicks)
    assert soft["chosen"] == "A says"
    assert soft["soft_label"] == pytest.approx(exact(51, 4594, 27, 4601))
    assert soft["soft_label_std"] == pytest.approx(math.sqrt(soft["soft_label"] * (1 - soft["soft_label"])))
    assert one(clicks, evidence="z-test") == {
        "prompt": "p",
        "chosen": "A says",
        "rejected": "B says",
        "soft_label": 1.0,
    }
    assert one(clicks, evidence="z-test", significance=0.001)["soft_label"] == 0.5
    same = {"clicks_a": 1, "impressions_a": 9, "clicks_b": 1, "impressions_b": 9}
    assert one(same)["soft_label"] == 0.5
    assert two_proportion_z(0, 9, 0, 9) == 0
    with pytest.raises(RowError, match="clicks_a is 10 and impressions_a 9; expected 0 <= clicks <= impressions > 0"):
        one(same | {"clicks_a": 10})
    with pytest.raises(RowError, match="impressions_b 0"):
        one(same | {"clicks_b": 0, "impressions_b": 0})


def test_probabilities_and_their_tie_band() -> None:
    assert one({"p_b": 0.9263}) == {"prompt": "p", "chosen": "B says", "rejected": "A says", "soft_label": 0.9263}
    assert one({"p_b": "0.2"})["soft_label"] == 0.8
    assert one({"p_a": 0.2})["chosen"] == "B says"
    assert one({"p_b": 0.59}, tie_band=0.1)["soft_label"] == 0.5
    assert one({"p_b": 0.6}, tie_band=0.1)["soft_label"] == 0.6
    with pytest.raises(RowError, match=r"p_b is 1.5; expected a probability in \[0, 1\]"):
        one({"p_b": 1.5})
    with pytest.raises(ConfigError, match="--tie-band: no effect where winner decides"):
        one({"winner": "a"}, tie_band=0.1)
    with pytest.raises(ConfigError, match="--significance: no effect where p decides"):
        one({"p_b": 0.1}, significance=0.1)


def test_the_richest_evidence_decides_and_disagreement_is_counted() -> None:
    conversion = preferences_from_ab([ROW | {"winner": "a", "votes": [2, 2]}, ROW | {"winner": "b", "votes": [2, 2]}])
    assert [row["chosen"] for row in conversion] == ["B says", "B says"]
    assert conversion.report.settings["evidence"] == "votes"
    assert conversion.report.notes == {"rows whose winner column says otherwise than their votes": 1}
    assert one({"winner": "a", "votes": [2, 2]}, evidence="winner")["chosen"] == "A says"


def test_columns_can_be_named_and_sides_can_be_conversations() -> None:
    row = {"q": "p", "x": "left text", "y": "right text", "pick": "b"}
    (pair,) = preferences_from_ab([row], fields={"a": "x", "b": "y", "winner": "pick"}, columns=Columns(prompt="q"))
    assert (pair["prompt"], pair["chosen"]) == ("p", "right text")
    with pytest.raises(RowError, match="row 1: no column 'z' for a"):
        list(preferences_from_ab([row], fields={"a": "z"}))
    user = {"role": "user", "content": "Hi"}
    talk = {side: [user, {"role": "assistant", "content": side}] for side in ("conversation_a", "conversation_b")}
    (pair,) = preferences_from_ab([talk | {"winner": "model_b"}])
    assert pair["prompt"] == [user]
    assert pair["chosen"] == [{"role": "assistant", "content": "conversation_b"}]


def test_rows_without_sides_or_evidence_say_what_is_missing() -> None:
    with pytest.raises(RowError, match="row 1: no columns for the two responses: looked for response_a and response_b"):
        list(preferences_from_ab([{"prompt": "p", "winner": "a"}]))
    with pytest.raises(RowError, match="row 1: nothing decides between the two"):
        list(preferences_from_ab([ROW]))
    with pytest.raises(RowError, match="row 1: no column for votes: looked for votes"):
        list(preferences_from_ab([ROW | {"winner": "a"}], evidence="votes"))


def test_ties_everywhere_leave_nothing_for_trl_and_say_so() -> None:
    rows = [ROW | {"winner": "tie"}] * 3
    assert len(list(preferences_from_ab(rows))) == 3
    with pytest.raises(DataError, match="nothing is left of .* 3 dropped: ties, for which trl has no words"):
        list(preferences_from_ab(rows, to="trl"))


def test_real_votes_convert() -> None:
    path = real("pandalm_test")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    conversion = preferences_from_ab(path)
    pairs = list(conversion)
    assert len(pairs) == 945
    for row, pair in zip(rows, pairs, strict=True):
        count = Counter(row["votes"])
        p = (1 + count[1] + count[0] / 2) / (2 + len(row["votes"]))
        assert pair["chosen"] == (row["response_a"] if p >= 0.5 else row["response_b"])
        assert pair["soft_label"] == pytest.approx(max(p, 1 - p))
    assert conversion.report.notes["ties kept, with soft_label 0.5"] == 84
    assert conversion.report.notes["rows whose winner column says otherwise than their votes"] == 19


def test_real_probabilities_convert() -> None:
    path = real("alpaca_eval_v2_gpt4turbo")
    conversion = preferences_from_ab(path, tie_band=0.1)
    pairs = list(conversion)
    assert len(pairs) == 2000
    assert conversion.report.notes == {"ties kept, with soft_label 0.5": 105}  # and no winner says otherwise
    first = json.loads(path.read_text(encoding="utf-8").splitlines()[0])
    assert first["p_b"] == 0.2672
    assert (pairs[0]["chosen"], pairs[0]["soft_label"]) == (first["response_a"], 0.7328)


def test_real_clicks_convert_and_the_test_agrees_with_the_published_winners() -> None:
    path = real("upworthy_4000")
    conversion = preferences_from_ab(path, evidence="z-test")
    pairs = list(conversion)
    assert len(pairs) == 4000
    assert conversion.report.notes == {"ties kept, with soft_label 0.5": 2931}  # and no winner says otherwise
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()[:40]]
    soft = preferences_from_ab(rows)
    for row, pair in zip(rows, soft, strict=True):
        p = exact(row["clicks_a"], row["impressions_a"], row["clicks_b"], row["impressions_b"])
        assert pair["soft_label"] == pytest.approx(max(p, 1 - p), abs=1e-9)
        assert pair["chosen"] == (row["response_a"] if p >= 0.5 else row["response_b"])
