"""Finds the code in a response: fenced blocks, or the part of a plain text that is code."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from plaudit.errors import RewardError
from plaudit.rewards.code_guess import SEEN, SURE, evidence, guess
from plaudit.rewards.code_parse import ALIASES, parses

__all__ = ["Block", "code_in", "share_that_parses"]

_TAGS = {tag: language for language, tags in ALIASES.items() for tag in (language, *tags.split())}
_SESSIONS = set("console shell-session shellsession terminal bash-session sh-session cmd powershell-session".split())
_NO_CODE = set(
    "text txt plain plaintext output out log none markdown md diff patch csv tsv raw stdout result tree".split()
)
_TAKE_WORDS = {"bash", "html", "ruby"}  # in which nearly any words parse
_WIDER = {"cpp": "c", "typescript": "javascript"}  # whose parsers read the other one's code too


@dataclass(frozen=True)
class Block:
    """A piece of code.

    Attributes:
        code: without fences and without the indentation that it has as a whole.
        language: one of `LANGUAGES`; None where it cannot be told or cannot be checked.
        tag: what its fence calls it, lower case; empty without.
    """

    code: str
    language: str | None
    tag: str = ""

    @property
    def lines(self) -> int:
        return sum(1 for line in self.code.splitlines() if line.strip())


def share_that_parses(
    blocks: Sequence[Block], check: Callable[[Block], bool], name: str, missing: str, index: int
) -> float:
    """Lines of blocks that pass, over all lines; 0 without blocks, or an error where ``missing`` says so."""
    lines = sum(block.lines for block in blocks)
    if not lines:
        if missing == "error":
            raise RewardError(name, "the response holds no code; leave it out, or set missing='zero'", index)
        return 0.0
    return sum(block.lines for block in blocks if check(block)) / lines


def code_in(response: str, wanted: str | None, name: str) -> list[Block]:
    """The response's code, in order.

    Args:
        response: a text, fenced (Markdown, CommonMark section 4.5; a last fence may be left open) or not.
        wanted: the language that is asked for. Blocks of others do not count then; untagged ones do where none has
            the language as its tag.
        name: of the reward function that asks, for errors.

    Returns:
        The blocks; where ``wanted`` is None some may be without a language: tagged as one that cannot be checked.
    """
    fenced = _fenced(response)
    if not fenced:
        return _unfenced(response, wanted, name)
    blocks = [block for block in fenced if block.code.strip() and block.tag not in _NO_CODE]
    if wanted is not None:
        readable = {wanted, _WIDER.get(wanted, wanted)}
        tagged = [block for block in blocks if block.language in readable]
        untagged = [block for block in blocks if not block.tag]
        return [Block(block.code, wanted, block.tag) for block in tagged or untagged]
    found, doubtful = list[Block](), list[Block]()
    for block in blocks:
        if block.tag:
            found.append(block)
            continue
        language, weight = guess(block.code, name)
        told = Block(block.code, language)
        if weight >= SURE or (language and parses(block.code, language, name)):
            (found if weight else doubtful).append(told)
    return found or doubtful


# --- fences ---------------------------------------------------------------------------------------------------------

_FENCE = re.compile(r"^(?P<indent>[ \t]*(?:(?:[-*+]|\d+[.)])[ \t]+)?)(?P<fence>`{3,}|~{3,})[ \t]*(?P<info>[^`]*)$")
_INLINE = re.compile(r"^[ \t]*```([^`]+)```[ \t]*$")


def _fenced(response: str) -> list[Block]:
    blocks, opened, lines = [], None, list[str]()
    for line in response.splitlines():
        found = _FENCE.match(line)
        if opened is None:
            one_line = _INLINE.match(line)
            if found:
                opened, lines = found, []
            elif one_line:
                blocks.append(_block("", [one_line[1]]))
        elif (
            found
            and found["fence"].startswith(opened["fence"])
            and not found["info"].strip()
            and not found["indent"].strip()
        ):
            blocks.append(_block(opened["info"], lines))
            opened = None
        else:
            lines.append(line)
    if opened is not None:
        blocks.append(_block(opened["info"], lines))
    return blocks


def _block(info: str, lines: Sequence[str]) -> Block:
    code = textwrap.dedent("\n".join(lines))
    word = re.match(r"[{.\s]*([\w+#-]*)", info)
    tag = word[1].lower() if word else ""
    if tag in _SESSIONS:
        prompts = any(re.match(r"\s*[$%] \S", line) for line in lines)
        return Block(code, "bash", tag) if prompts else Block(code, None, "output")
    return Block(code, _TAGS.get(tag), tag)


# --- plain text -----------------------------------------------------------------------------------------------------

_WORD = re.compile(r"[^\W\d_]{2,}")
_ITEM = re.compile(r"(?:#{1,6}|[-*+•]|\d+[.)])[ \t]+(?=\S)")
_ODD = re.compile(r"[{}\[\]=<>;|\\&@]|\$(?!\d)|\(\)|::|->|\w\(")
_STARTS_CODE = re.compile(
    r"(?:SELECT|INSERT INTO|UPDATE|DELETE FROM|CREATE|ALTER|DROP|WITH|FROM|WHERE|JOIN|GROUP BY|ORDER BY|LEFT|INNER|"
    r"REPLACE INTO|EXPLAIN|SHOW|PRAGMA|TRUNCATE|MERGE|GRANT|DECLARE|EXEC|CALL|VALUES|SET|AND|OR|HAVING|LIMIT|ON|UNION|"
    r"BEGIN|END)\b|(?://|/\*|\*/|--|#!|<!|<\?|</?[a-z]|@\w|\$ |>>> )"
)


_CALL = re.compile(r"\w\(")
_LABEL = re.compile(r"[A-Z][\w ']*[:.!]")
_KEYWORD = re.compile(
    r"(?:async|await|class|const|def|elif|else|end|except|export|finally|fn|for|from|func|function|if|import|let|package|"
    r"private|protected|public|return|static|struct|try|type|use|using|var|while|with|echo|puts|cd|git|npm|pip|sudo)\b"
)


def _prose(line: str) -> bool:
    """Whether a line is a sentence, a heading, an item of a list or an image rather than code."""
    text = line.strip()
    if text.endswith(("{", "}", ";", "(", "[", "\\", " do")) or (text.endswith(")") and _CALL.search(text)):
        return False
    if _KEYWORD.match(text) and text[-1] not in ".!?,":
        return False
    item = _ITEM.match(text)
    indented = line[:1] in (" ", "\t")
    if (indented and (item is None or text[0] in "#*+")) or _STARTS_CODE.match(text):
        return False
    text = text[item.end() :] if item else text
    if text.startswith("![") or _LABEL.fullmatch(text):
        return True
    words, odd = len(_WORD.findall(text)), len(_ODD.findall(text))
    first = text.lstrip("\"'“‘(*_`[")[:1]
    capital = first.isalpha() and not first.islower()  # or a script without capitals
    stopped = text.endswith((".", "!", "?", ":"))
    if (item and not indented and words > 2) or (capital and stopped and words > 3):
        return odd <= words
    if words < (1 if item else 2) or odd > words / 5:
        return False
    return bool(item) or capital or stopped or words >= 8


def _unfenced(response: str, wanted: str | None, name: str) -> list[Block]:
    """The code of a text without fences: what is left between the sentences before and after it.

    Where that does not parse as a whole, sentences inside of it divide it.
    """
    if wanted == "json" and parses(response, "json", name):  # a number or a text is a document too
        return [Block(response.strip(), "json")]
    lines = response.strip().splitlines()
    code = [bool(line.strip()) and not _prose(line) for line in lines]
    for index in range(len(lines) - 2, -1, -1):  # comments that read like headings
        code[index] |= lines[index].startswith("#") and code[index + 1]
    if True not in code:
        return []
    first, last = code.index(True), len(code) - code[::-1].index(True)
    whole = _told(lines[first:last], wanted, name, alone=not any(map(str.strip, lines[:first] + lines[last:])))
    if whole and whole.language and parses(whole.code, whole.language, name):
        return [whole]
    parts = [
        list(part)
        for is_code, part in groupby(range(first, last), key=lambda index: code[index] or not lines[index].strip())
        if is_code
    ]
    blocks = [_told([lines[index] for index in part], wanted, name, alone=False) for part in parts]
    return [block for block in blocks if block]


def _told(lines: Sequence[str], wanted: str | None, name: str, *, alone: bool) -> Block | None:
    """The lines as a block, if they look like code; a text ``alone`` without any prose needs no further signs."""
    code = textwrap.dedent("\n".join(lines).strip("\n"))
    if not _CODE_MARK.search(code):
        return None
    if wanted:
        plain = alone and wanted not in _TAKE_WORDS and parses(code, wanted, name)
        return Block(code, wanted) if plain or evidence(code).get(wanted, 0.0) >= SEEN else None
    language, weight = guess(code, name)
    seen = weight >= SEEN or (language and (weight or alone) and parses(code, language, name))
    return Block(code, language) if language and seen else None


_CODE_MARK = re.compile(
    r"[{}()\[\]=<>;$|:+*/\\\"`-]|^(?:puts|echo|import|return|print|SELECT|INSERT|UPDATE|DELETE|CREATE|DROP)\b",
    re.MULTILINE,
)
