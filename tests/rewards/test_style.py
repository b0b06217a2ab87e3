"""Repetition, readability and language: hand-computed values, published examples, texts in many languages."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("py3langid")

from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.errors import ConfigError, RewardError
from plaudit.rewards import style as style
from plaudit.rewards.base import make
from plaudit.rewards.style import LANGUAGES, syllables


def score(name: str, text: str, prompt: str | None = None, **options: object) -> float:
    return float(make(name, options).score([prompt], [text])[0])


# --- repetition -----------------------------------------------------------------------------------------------------


def test_repetition_is_the_share_of_new_sequences() -> None:
    # a b c d a b c d: abcd bcda cdab dabc abcd
    assert score("repetition", "a b c d a b c d") == pytest.approx(4 / 5)
    assert score("repetition", "a b a b a", n=2) == pytest.approx(2 / 4)
    assert score("repetition", "to be or not to be", n=1) == pytest.approx(4 / 6)
    assert score("repetition", "no " * 103) == pytest.approx(1 / 100)


def test_case_and_punctuation_do_not_make_a_sequence_new() -> None:
    assert score("repetition", "Go on! go ON, Go, on.", n=2) == pytest.approx(2 / 5)


def test_texts_shorter_than_a_sequence_score_one() -> None:
    assert score("repetition", "ha ha ha") == 1.0
    assert score("repetition", "!!!") == 1.0


def test_characters_of_scripts_without_spaces_and_emoji_are_words() -> None:
    assert score("repetition", "我喜欢猫我喜欢猫") == pytest.approx(4 / 5)
    assert score("repetition", "😀" * 13) == pytest.approx(1 / 10)
    assert score("repetition", "Привет мир как дела " * 2) == pytest.approx(4 / 5)


@settings(deadline=None)
@given(st.lists(st.sampled_from("abcdefgh"), min_size=8, max_size=40), st.integers(2, 6))
def test_saying_all_of_it_again_always_lowers_the_score(text: list[str], times: int) -> None:
    once = " ".join(text)
    assert score("repetition", " ".join([once] * times)) < score("repetition", once)


@pytest.mark.parametrize("n", [0, -1, 2.0, True, "4"])
def test_a_sequence_length_that_cannot_work_is_refused(n: object) -> None:
    with pytest.raises(ConfigError, match="reward 'repetition'"):
        make("repetition", {"n": n})


# --- readability ----------------------------------------------------------------------------------------------------

PLATYPUS = "The Australian platypus is seemingly a hybrid of a mammal and reptilian creature."


def test_reading_ease_of_texts_whose_value_is_published() -> None:
    assert score("readability", PLATYPUS) == pytest.approx(0.375, abs=0.002)  # 13 words, 24 syllables
    assert score("readability", "The cat sat on the mat.") == 1.0  # 116


def test_reading_ease_by_hand() -> None:
    # 9 words, 2 sentences, 13 syllables: big-ger an-i-mals are not al-ways strong-er / we run
    text = "Bigger animals are not always stronger. We run home."
    expected = (206.835 - 1.015 * 9 / 2 - 84.6 * 14 / 9) / 100
    assert score("readability", text) == pytest.approx(expected)


def test_a_target_grade_is_met_halfway_three_years_off() -> None:
    grade = 0.39 * 13 + 11.8 * 24 / 13 - 15.59
    assert score("readability", PLATYPUS, target_grade=grade) == pytest.approx(1.0)
    assert score("readability", PLATYPUS, target_grade=grade + 3) == pytest.approx(0.5)
    assert score("readability", PLATYPUS, target_grade=grade - 3) == pytest.approx(0.5)


def test_longer_words_and_longer_sentences_are_harder() -> None:
    assert score("readability", "We must use it now.") > score("readability", "Utilization necessitates immediacy.")
    short = "The dog ran to the park. The boy ran to the park. They met a friend. They had a good day."
    assert score("readability", short) >= score("readability", short.replace(". T", " and t"))


def test_code_links_and_numbers_do_not_count() -> None:
    plain = "Read the important documentation. Then open the settings."
    marked = (
        "Read the important [documentation](https://example.org/configuration). Then open the settings.\n"
        "```python\nimportlib.metadata.distribution()\n```\n1234567"
    )
    assert score("readability", marked) == pytest.approx(score("readability", plain))


@pytest.mark.parametrize("text", ["12 + 30 = 42", "```python\nx = 1\n```", "我喜欢猫。", "Привет, мир! OK"])
def test_a_text_without_english_scores_zero_or_is_an_error(text: str) -> None:
    assert score("readability", text) == 0.0
    with pytest.raises(RewardError, match="item 0: the response has no English text"):
        score("readability", text, missing="error")


@pytest.mark.parametrize(
    ("word", "count"),
    [
        *[(w, 1) for w in "the cat strength jumped house queen tongue rules called loved world".split()],
        *[
            (w, 2)
            for w in "table people wanted places lion quiet science being careless something handled poet".split()
        ],
        *[(w, 3) for w in "animal beautiful idea video studying company employee serious creation opinion".split()],
        *[(w, 4) for w in "information society usually experience relationship impossible variety".split()],
        *[(w, 5) for w in "university imagination opportunity electricity".split()],
        ("responsibility", 6),
        ("well-known", 2),
        ("don't", 1),
        ("hmm", 1),
        ("Café", 2),
    ],
)
def test_syllables_of_words(word: str, count: int) -> None:
    assert syllables(word) == count


@pytest.mark.parametrize(
    "options", [{"target_grade": "8"}, {"target_grade": -1}, {"target_grade": True}, {"missing": 1}]
)
def test_readability_options_that_cannot_work_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="reward 'readability'"):
        make("readability", options)


# --- language -------------------------------------------------------------------------------------------------------

TEXTS = {
    "en": "The meeting has been moved to Thursday because the room was not free.",
    "de": "Die Besprechung wurde verschoben, weil der Raum nicht frei war.",
    "fr": "La réunion a été reportée parce que la salle n'était pas libre.",
    "es": "La reunión se ha aplazado porque la sala no estaba libre.",
    "pt": "A reunião foi adiada porque a sala não estava livre.",
    "nl": "De vergadering is verplaatst omdat de zaal niet vrij was.",
    "pl": "Spotkanie przełożono na czwartek, ponieważ sala nie była wolna.",
    "tr": "Salon boş olmadığı için toplantı perşembeye ertelendi.",
    "ru": "Встречу перенесли на четверг, потому что зал был занят.",
    "uk": "Зустріч перенесли на четвер, бо зала була зайнята.",
    "ar": "تم تأجيل الاجتماع لأن القاعة لم تكن متاحة.",
    "hi": "बैठक टाल दी गई है क्योंकि कमरा खाली नहीं था।",
    "zh": "会议改到下周四举行，因为会议室没有空。",
    "ja": "部屋が空いていなかったので、会議は延期されました。",
    "ko": "회의실이 비어 있지 않아서 회의가 미뤄졌습니다.",
    "vi": "Cuộc họp đã được dời vì phòng họp không còn trống.",
}


@pytest.mark.parametrize("language", TEXTS)
def test_a_sentence_is_in_its_own_language_and_in_no_other(language: str) -> None:
    assert score("language", TEXTS[language], language=language) > 0.9
    other = "en" if language != "en" else "fr"
    assert score("language", TEXTS[language], language=other) < 0.05


def test_without_an_option_the_response_should_be_in_the_language_of_the_prompt() -> None:
    assert score("language", TEXTS["de"], "Warum fällt das Treffen aus? Bitte erkläre es mir.") > 0.9
    assert score("language", TEXTS["en"], "Warum fällt das Treffen aus? Bitte erkläre es mir.") < 0.05
    with pytest.raises(RewardError, match="needs a prompt"):
        score("language", TEXTS["de"])
    with pytest.raises(RewardError, match="the prompt has no words"):
        score("language", TEXTS["de"], "2 + 2 = ?")


def test_with_an_option_no_prompt_is_needed_nor_looked_at() -> None:
    reward = make("language", {"language": "de"})
    assert reward.needs == frozenset()
    assert type(reward).needs == {"prompt"}
    assert float(reward.score(["Say it in English, please."], [TEXTS["de"]])[0]) > 0.9


def test_a_text_that_changes_its_language_halfway_scores_about_a_half() -> None:
    mixed = f"{TEXTS['en']} {TEXTS['en']}\n\n{TEXTS['fr']} {TEXTS['fr']}"
    for language in ("en", "fr"):
        assert 0.35 < score("language", mixed, language=language) < 0.65


def test_code_is_no_language() -> None:
    code = "```python\nfor word in words:\n    print(word if word else None)\n```\n"
    assert score("language", code * 3 + TEXTS["de"], language="de") > 0.9
    assert score("language", code, language="en") == 0.0


@pytest.mark.parametrize("text", ["42", ":-)", "😀", "```\nx\n```"])
def test_a_text_without_letters_scores_zero_or_is_an_error(text: str) -> None:
    assert score("language", text, language="en") == 0.0
    with pytest.raises(RewardError, match="item 0: the response has no words"):
        score("language", text, language="en", missing="error")


def test_fewer_languages_make_short_texts_certain() -> None:
    assert score("language", "Bom dia!", language="pt", among=["en", "pt", "de"]) > 0.9
    assert score("language", "Bom dia!", language="pt") < 0.9


def test_every_language_is_one_of_the_library() -> None:
    assert set(LANGUAGES) <= set(style._identifier().labels)
    assert len(set(LANGUAGES)) == len(LANGUAGES)


@pytest.mark.parametrize(
    "options",
    [
        {"language": "english"},
        {"language": "EN"},
        {"language": "zh-CN"},
        {"language": ""},
        {"language": "fr", "among": ["en", "de"]},
        {"among": ["en"]},
        {"among": "en"},
        {"missing": "one"},
    ],
)
def test_language_options_that_cannot_work_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="reward 'language'"):
        make("language", options)


def test_scores_do_not_depend_on_what_is_scored_beside() -> None:
    texts = list(TEXTS.values())
    for name, options in (("language", {"language": "de"}), ("repetition", {}), ("readability", {})):
        together = make(name, options).score([None] * len(texts), texts)
        alone = [score(name, text, **options) for text in texts]
        assert together.tolist() == pytest.approx(alone)


def test_options_make_an_equal_reward_again() -> None:
    made = make("language", {"language": "de", "among": ["de", "en"]})
    assert make("language", made.options()) == made


def test_the_libraries_are_imported_when_needed_only() -> None:
    code = "import sys, plaudit.rewards.style; assert not {'py3langid', 'torch'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
