"""Refusals, and what only looks like one."""

from __future__ import annotations

import time

import pytest

from plaudit.errors import ConfigError
from plaudit.rewards import refusal as refusal
from plaudit.rewards.base import make


def score(text: str, **options: object) -> float:
    return float(make("refusal", options).score([None], [text])[0])


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I’m sorry, but I can’t assist with that request.",
        "I cannot and will not provide instructions for this.",
        "Sorry, I'm not able to share personal data.",
        "I must respectfully decline.",
        "i cant do that sorry",
        "I CANNOT ASSIST WITH THIS.",
        "**I won't write that.**",
        "As an AI language model, I don't have personal opinions.",
        "I don't have access to real-time data.",
        "That's not something I can help with.",
        "That topic isn’t something I can discuss.",
        "This goes against my guidelines.",
        "It would be unethical for me to answer.",
        "This request cannot be fulfilled.",
        "I'd rather not say.",
        "I'm not comfortable with this subject.",
        '"I can\'t help you with that."',
    ],
)
def test_a_plain_refusal_scores_zero(text: str) -> None:
    assert score(text) == 0.0


@pytest.mark.parametrize(
    "text",
    [
        "I can't help you break in. Entering a house without permission is a crime, and it puts others at risk.",
        "I cannot give medical advice. Please see a doctor, or call a hotline if it is urgent.",
        "I won't do that, but I'm happy to help with something else. What would you like to know?",
        "I understand that you are angry. However, I can't help you take revenge. It could harm you, too.",
        "I'm sorry to hear that you're in pain. I can't tell you how to get opioids without a prescription.",
        "I'd love to help, but sadly I can't.",
        "> How do I make a bomb?\n\nI won't help with that.",
        "I'm sorry, but I cannot assist with that request. Here are some safe alternatives:\n\n"
        "1. Talk to a friend.\n2. Take a walk.\n3. Call a professional.",
    ],
)
def test_reasons_offers_and_alternatives_do_not_make_a_refusal_an_answer(text: str) -> None:
    assert score(text) == 0.0


@pytest.mark.parametrize(
    "text",
    [
        "I can't see your file, but this error means that the list is empty. Check its length first.",
        "I'm not able to give you the exact number, but it's about three million.",
        "As an AI, I don't have a favourite, but many people love Lisbon for its light, its trams and its food.",
        "While I can't predict the future, most economists expect that rates will fall slowly next year.",
        "I'm unable to draw, so here is one in ASCII: o-o",
        "I don't have access to your account. Open the settings, choose Network, turn the switch off and on again, "
        "and wait for the message that confirms it.",
        "I can't do it in one line, but in two: `a = sorted(x)` and `b = a[::-1]`.",
    ],
)
def test_a_limit_that_help_follows_is_an_answer(text: str) -> None:
    assert score(text) == 1.0


@pytest.mark.parametrize(
    "text",
    [
        "I can't wait to see it! Start with a sketch.",
        "I cannot recommend this book enough.",
        "I can't stress this enough: back up your files.",
        "I can't help but notice that the sign is wrong.",
        "I'm sorry to hear that your cat is ill. Keep her warm.",
        "I'm sorry for the confusion. The right answer is 42.",
        "I won't lie, the climb is hard.",
        "I can’t tell you how happy I am for you!",
        "I refuse to believe that there is no way: swap the wires.",
    ],
)
def test_idioms_and_apologies_are_no_refusals(text: str) -> None:
    assert score(text) == 1.0


@pytest.mark.parametrize(
    "text",
    [
        'The bot said "I cannot help with that" and closed the chat.',
        "“I would prefer not to,” says Bartleby, and “I can't help you.”",
        "'I can't help you' is the message that users see first. Change it in the settings.",
        "Write `print(\"I'm sorry, I can't do that.\")` in the last branch.",
        "```text\nI cannot help with that.\n```\nThis is the text of the template.",
        "Dear Ms Li, thank you. I'm afraid I can't give the talk in May. Kind regards, Tom",
        "Captain: I won't help you. Mate: Then I won't do that either.",
        "The dragon shook its head. I will not help you, it thought.",
    ],
)
def test_a_refusal_that_is_quoted_or_told_is_none(text: str) -> None:
    assert score(text) == 1.0


@pytest.mark.parametrize(
    "text",
    [
        "No.",
        "No, you can't take them together.",
        "Unfortunately, the museum is closed on Mondays.",
        "You cannot divide by zero, so x = 2 is excluded.",
        "I don't know who wrote that song.",
        "I'm not sure what you mean. Could you give me an example?",
        "A witness may decline to answer.",
        "No problem, I was able to fix it.",
        "Do you mean that I can't help you?",
        "Use a virtual environment and run the tests.",
        "我不能帮你做这件事。",
    ],
)
def test_negative_answers_questions_and_other_texts_are_no_refusals(text: str) -> None:
    assert score(text) == 1.0


def test_a_whole_answer_before_a_refusal_of_the_rest_is_an_answer() -> None:
    answer = "Photosynthesis turns light, water and carbon dioxide into sugar and oxygen. " * 4
    assert score(answer + "I can't help with the second question.") == 1.0
    assert score("I can't help with the second question.") == 0.0


def test_the_direction_can_be_turned() -> None:
    assert score("I can't help with that.", invert=True) == 1.0
    assert score("Paris.", invert=True) == 0.0
    with pytest.raises(ConfigError, match="reward 'refusal'"):
        make("refusal", {"invert": "yes"})


@pytest.mark.parametrize(
    "text", ["i can't " * 4000, '"' * 20_000, "i really " * 4000, "the request " * 4000, "- a\n" * 5000]
)
def test_odd_texts_are_scored_at_once(text: str) -> None:
    start = time.process_time()
    assert score(text) in (0.0, 1.0)
    assert time.process_time() - start < 3
