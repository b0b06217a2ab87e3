"""Which language a text is in, by py3langid of the extra [rules]."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

import numpy as np

from plaudit.curation.inspect.scan import Scan
from plaudit.curation.inspect.texts import ordered, plain

__all__ = ["Languages", "find_languages"]

SAME = {"wuu": "zh", "yue": "zh", "nb": "no", "nn": "no"}
"""Written alike, and told apart by chance in short texts."""
NO_LANGUAGE = "zxx"
READ, LEAST_LETTERS, SURE = 600, 20, 0.9
_CODE = re.compile(r"```.*?```|`[^`\n]*`|https?://\S+|<[^>\n]{1,80}>", re.DOTALL)


class Languages:
    """Names languages (ISO 639-1) by the naive Bayes classifier of py3langid (Lui & Baldwin 2012).

    Raises:
        MissingExtraError: py3langid is not installed.
    """

    def __init__(self) -> None:
        from plaudit.rewards.base import need

        langid = need("py3langid.langid", "language")
        self._identifier = langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)

    def of(self, text: str) -> str | None:
        """The language of the first 600 characters without code and links; None where they have fewer than 20 letters
        (5 of a script that writes words as signs) or the classifier gives it less than 0.9."""
        text = _CODE.sub(" ", text[: 4 * READ])[:READ]
        letters = sum(map(str.isalpha, text))
        if letters < LEAST_LETTERS and not (letters >= 5 and any(unicodedata.category(c) == "Lo" for c in text)):
            return None
        language, probability = self._identifier.classify(text)
        return SAME.get(language, str(language)) if probability >= SURE and language != NO_LANGUAGE else None


def find_languages(scan: Scan, progress: Callable[[int], None] | None = None) -> None:
    """Fills ``scan.languages`` for the kept rows: of the prompt and of both sides.

    Raises:
        MissingExtraError: py3langid is not installed.
    """
    languages, names = Languages(), {name: place for place, name in enumerate(scan.language_names)}
    found = np.full((len(scan), 3), -1, dtype=np.int16)
    for row, example in scan.kept:
        responses, _ = ordered(example)
        for place, text in enumerate((example.prompt, responses[0], responses[-1])):
            name = languages.of(plain(text))
            if name is not None:
                found[row, place] = names.setdefault(name, len(names))
        if progress is not None:
            progress(1)
    scan.language_names = list(names)
    scan.arrays["languages"] = found
