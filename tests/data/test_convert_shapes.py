"""The shapes of known data sets are found by their columns and read; pairs become what TRL and others read."""

from __future__ import annotations

from typing import Any

import pytest

from plaudit.data import Columns, to_example
from plaudit.data.convert import SHAPES, convert_preferences, messages_from_transcript
from plaudit.data.convert.shapes import ALIASES
from plaudit.errors import ConfigError, DataError, RowError

USER = {"role": "user", "content": "Why?"}
TALK = "\n\nHuman: Hi\n\nAssistant: Yes?\n\nHuman: Why?\n\nAssistant: "


def said(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


GOOD = {"prompt": "Why?", "chosen": "good", "rejected": "bad"}
RATED = [
    {"model": "m", "response": text, "overall_score": overall, "annotations": {"honesty": {"Rating": rating}}}
    for text, overall, rating in (("bad", 9.0, "1"), ("good", 4.0, "5"))
]
HELP = {"helpfulness": 4, "correctness": 3, "coherence": 4, "complexity": 1, "verbosity": 1}
EXAMPLES: dict[str, list[dict[str, Any]]] = {
    "pairs": [GOOD],
    "sharegpt": [
        {
            "conversations": [{"from": "human", "value": "Why?"}],
            "chosen": {"from": "gpt", "value": "good"},
            "rejected": {"from": "gpt", "value": "bad"},
        }
    ],
    "hh": [{"chosen": TALK + "good", "rejected": TALK + "bad"}],
    "ultrafeedback-binarized": [
        {
            "prompt": "Why?",
            "messages": [USER, *said("good")],
            "chosen": [USER, *said("good")],
            "rejected": [USER, *said("bad")],
            "score_chosen": 8.0,
            "score_rejected": 6.5,
        }
    ],
    "argilla": [GOOD | {"chosen-rating": 5, "rejected-rating": 3.5, "chosen-model": "m"}],
    "helpsteer2-preference": [
        {
            "prompt": "Why?",
            "response_1": "bad",
            "response_2": "good",
            "preference_strength": 2,
            "preference_statement": "…",
        }
    ],
    "helpsteer3": [
        {"context": [USER], "response1": "good", "response2": "bad", "overall_preference": -2, "domain": "code"}
    ],
    "safe-rlhf": [
        {"prompt": "Why?", "response_0": "bad", "response_1": "good", "better_response_id": 1, "safer_response_id": 0}
    ],
    "ab": [{"prompt": "Why?", "response_a": "bad", "response_b": "good", "winner": "b"}],
    "ratings": [{"prompt": "Why?", "response": text, "score": score} for text, score in (("good", 2.0), ("bad", 1.0))],
    "kto": [
        {"prompt": "Why?", "completion": text, "label": label} for text, label in (("good", True), ("bad", "false"))
    ],
    "helpsteer": [
        {"prompt": "Why?", "response": "good"} | HELP,
        {"prompt": "Why?", "response": "bad"} | HELP | {"helpfulness": 0},
    ],
    "ultrafeedback": [{"source": "s", "instruction": "Why?", "models": ["m", "m"], "completions": RATED[::-1]}],
    "argilla-ratings": [{"input": "Why?", "generations": ["bad", "good"], "ratings": [2, 5], "model": "m"}],
    "rankings": [{"prompt": "Why?", "responses": ["good", "bad"], "ranks": [1, 2]}],
}


@pytest.mark.parametrize("shape", EXAMPLES)
def test_the_shape_is_found_and_read(shape: str) -> None:
    conversion = convert_preferences(EXAMPLES[shape])
    (pair,) = conversion
    assert conversion.report.shape == shape
    example = to_example(pair)
    texts = [text if isinstance(text, str) else text[-1]["content"] for text in example.responses]
    assert texts == (
        ["bad", "good"] if shape == "ultrafeedback" else ["good", "bad"]
    )  # its first score is the other way
    assert example.prompt in ("Why?", [USER], messages_from_transcript(TALK)[:3])
    assert list(convert_preferences(EXAMPLES[shape], shape=shape)) == [pair]


def test_all_shapes_have_an_example_here() -> None:
    assert set(EXAMPLES) | {"ordered", "dialogues"} == set(SHAPES)
    assert set(ALIASES.values()) <= set(SHAPES)


@pytest.mark.parametrize(
    ("shape", "gap"),
    [
        ("ultrafeedback-binarized", 1.5),
        ("argilla", 1.5),
        ("helpsteer2-preference", 2.0),
        ("helpsteer3", 2.0),
        ("helpsteer", 4.0),
    ],
)
def test_the_gap_of_scores_or_strengths_becomes_the_margin(shape: str, gap: float) -> None:
    (pair,) = convert_preferences(EXAMPLES[shape], margin=2.0)
    assert pair["margin"] == 2 * gap


def test_equal_scores_and_a_strength_of_zero_are_ties() -> None:
    for shape, name in (("ultrafeedback-binarized", "score_rejected"), ("argilla", "rejected-rating")):
        row = EXAMPLES[shape][0]
        other = {"score_rejected": "score_chosen", "rejected-rating": "chosen-rating"}[name]
        assert next(iter(convert_preferences([row | {name: row[other]}])))["soft_label"] == 0.5
        with pytest.raises(RowError, match="expected chosen to have the higher score. To take chosen as it is"):
            list(convert_preferences([row | {name: 99}]))
    row = EXAMPLES["helpsteer3"][0] | {"overall_preference": 0}
    assert next(iter(convert_preferences([row])))["soft_label"] == 0.5
    with pytest.raises(RowError, match="overall_preference is -100; expected a number from -3 to 3"):
        list(convert_preferences([row | {"overall_preference": -100}]))


def test_attributes_of_known_data_sets() -> None:
    def chosen(shape: str, attributes: Any) -> Any:
        return next(iter(convert_preferences(EXAMPLES[shape], attributes=attributes)))["chosen"]

    assert chosen("ultrafeedback", "honesty") == "good"
    assert chosen("safe-rlhf", "safer") == "bad"
    with pytest.raises(ConfigError, match="--attribute nicer: expected one of better, safer"):
        chosen("safe-rlhf", "nicer")
    without = [{**EXAMPLES["ultrafeedback"][0], "completions": [{**one, "overall_score": None} for one in RATED]}]
    assert next(iter(convert_preferences(without)))["chosen"] == "good"  # the mean of the annotations


def test_a_file_that_fits_two_shapes_is_refused_with_both_names() -> None:
    row = GOOD | {"response_A": "good", "response_B": "bad", "label": "A>B"}
    with pytest.raises(DataError, match=r"more than one shape: pairs \(.*\); ab \(.*--from pairs or --from ab"):
        list(convert_preferences([row]))
    assert next(iter(convert_preferences([row], shape="ab")))["chosen"] == "good"


def test_a_file_of_no_known_shape_lists_columns_and_shapes() -> None:
    with pytest.raises(DataError, match=r"no known shape has these columns: x, y\. .*pairs \(prompt, chosen, rejected"):
        list(convert_preferences([{"x": 1, "y": 2}]))
    with pytest.raises(ConfigError, match="unknown shape 'helpster' .did you mean 'helpsteer'"):
        convert_preferences([GOOD], shape="helpster")
    with pytest.raises(DataError, match="0 rows read"):
        list(convert_preferences([]))


def test_one_bad_row_at_the_start_does_not_hide_the_shape() -> None:
    conversion = convert_preferences([{"prompt": "no answer"}, GOOD, GOOD], on_bad_row="skip")
    assert len(list(conversion)) == 2
    assert (conversion.report.shape, conversion.report.bad) == ("pairs", 1)
    with pytest.raises(RowError, match="row 1: no column for chosen"):
        list(convert_preferences([{"prompt": "no answer"}, GOOD, GOOD]))
    with pytest.raises(RowError, match="row 2: the row is text; expected an object"):
        list(convert_preferences([GOOD, "text"]))  # type: ignore[list-item]


# --- transcripts ------------------------------------------------------------------------------------------------------


def test_a_transcript_becomes_messages() -> None:
    assert messages_from_transcript(TALK + "So.\nIt says: Human: no\n\n") == [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Yes?"},
        USER,
        {"role": "assistant", "content": "So.\nIt says: Human: no"},
    ]
    with pytest.raises(RowError, match="'Hello' is no transcript; expected it to start with 'Human:'"):
        messages_from_transcript("Hello")


def test_pairs_of_transcripts_share_their_prompt() -> None:
    (pair,) = convert_preferences(EXAMPLES["hh"])
    assert pair["prompt"] == messages_from_transcript(TALK)[:3]
    assert (pair["chosen"], pair["rejected"]) == (said("good"), said("bad"))


def test_single_dialogues_become_messages() -> None:
    for row in (
        {"text": TALK + "good"},
        {"conversations": [{"from": "human", "value": "Why?"}, {"from": "gpt", "value": "good"}]},
    ):
        conversion = convert_preferences([row])
        (made,) = conversion
        assert conversion.report.shape == "dialogues"
        assert made["messages"][-2:] == [USER, *said("good")]
    with pytest.raises(ConfigError, match="dialogues rows cannot become pairs; they become messages"):
        list(convert_preferences([row], to="pairs"))


# --- targets ----------------------------------------------------------------------------------------------------------

SOFT = [
    GOOD | {"soft_label": 0.9, "margin": 2.0, "weight": 0.5, "source": "s"},
    GOOD | {"soft_label": 0.2, "margin": None, "weight": 1.0, "source": "s"},
    GOOD | {"soft_label": 0.5, "margin": None, "weight": 1.0, "source": "s"},
]


def test_pairs_stay_what_they_are() -> None:
    assert list(convert_preferences(SOFT)) == SOFT
    assert len(list(convert_preferences(SOFT, ties="drop"))) == 2


def test_trl_gets_plain_pairs_and_the_rest_is_counted() -> None:
    conversion = convert_preferences(SOFT, to="trl")
    assert list(conversion) == [
        GOOD | {"margin": 2.0},
        {"prompt": "Why?", "chosen": "bad", "rejected": "good", "margin": None},
    ]
    assert conversion.report.dropped == {"ties, for which trl has no words": 1}
    assert conversion.report.notes == {
        "soft labels made plain: trl has no place for them": 2,
        "weights left out: trl has no place for them": 1,
    }
    assert conversion.report.left_out == ["source"]


def test_trl_rows_are_conversations_on_both_sides_or_on_none() -> None:
    (row,) = convert_preferences([GOOD | {"prompt": [USER]}], to="trl")
    assert row == {"prompt": [USER], "chosen": said("good"), "rejected": said("bad")}
    (bare,) = convert_preferences([{"chosen": "one", "rejected": "two"}], to="trl")
    assert bare == {"chosen": "one", "rejected": "two"}


def test_dpo_kto_and_messages() -> None:
    assert list(convert_preferences([GOOD], to="dpo")) == [GOOD]
    assert list(convert_preferences([GOOD | {"id": 1}], to="kto", keep=["id"])) == [
        {"prompt": "Why?", "completion": "good", "label": True, "id": 1},
        {"prompt": "Why?", "completion": "bad", "label": False, "id": 1},
    ]
    (talk,) = convert_preferences(SOFT[:1], to="messages")
    assert talk == SOFT[0] | {"prompt": [USER], "chosen": said("good"), "rejected": said("bad")}
    with pytest.raises(RowError, match="row 1: the pair has no prompt, which rows of dpo need"):
        list(convert_preferences([{"chosen": "one", "rejected": "two"}], to="dpo"))


def test_kto_and_ratings_become_each_other() -> None:
    ratings = list(convert_preferences(EXAMPLES["kto"], to="ratings"))
    assert [row["score"] for row in ratings] == [1.0, 0.0]
    back = list(convert_preferences(ratings, to="kto"))
    assert [row["label"] for row in back] == [True, False]
    with pytest.raises(RowError, match="row 1: the score is 2; a rating becomes a row of KTO only where it is 0 or 1"):
        list(convert_preferences(EXAMPLES["ratings"], to="kto"))
    with pytest.raises(RowError, match="row 1: label is 'maybe'; expected true or false"):
        list(convert_preferences([EXAMPLES["kto"][0] | {"label": "maybe"}], shape="kto"))


def test_what_cannot_become_a_target_is_refused() -> None:
    with pytest.raises(ConfigError, match="pairs rows cannot become rankings; they become pairs, messages, trl"):
        convert_preferences([GOOD], shape="pairs", to="rankings")
    with pytest.raises(ConfigError, match="--margin: no effect on pairs rows"):
        convert_preferences([GOOD], shape="pairs", margin=1.0)
    with pytest.raises(ConfigError, match="a column for group_by: no effect"):
        convert_preferences([GOOD], shape="pairs", columns=Columns(group_by="x"))
    with pytest.raises(RowError, match="token ids; expected texts"):
        list(convert_preferences([{"chosen": [1, 2], "rejected": [3]}], shape="pairs"))


def test_tools_and_a_system_message_come_along() -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    (pair,) = convert_preferences([GOOD | {"tools": tools, "system": "Be kind."}])
    assert pair["prompt"] == [{"role": "system", "content": "Be kind."}, USER]
    assert pair["tools"] == tools
