"""Does a text parse in a programming language? Knows nothing of responses, fences or prose."""

from __future__ import annotations

import ast
import functools
import json
import re
import textwrap
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from plaudit.rewards.base import need

__all__ = ["ALIASES", "LANGUAGES", "parses"]

ALIASES = {
    "python": "py python3 py3 ipython ipython3 pycon sage gyp",
    "javascript": "js jsx mjs cjs node nodejs ecmascript es6",
    "typescript": "ts tsx",
    "java": "",
    "c": "h",
    "cpp": "c++ cc cxx hpp h++ arduino",
    "csharp": "c# cs dotnet",
    "go": "golang",
    "rust": "rs",
    "ruby": "rb irb",
    "php": "php5 php7 php8",
    "bash": "sh shell zsh ksh shellscript",
    "json": "jsonl ndjson geojson",
    "html": "htm xhtml html5",
    "css": "css3",
    "sql": "mysql mariadb postgres postgresql psql pgsql plpgsql sqlite sqlite3 tsql t-sql mssql oracle plsql bigquery",
}
"""Language: other names that fences give it."""

LANGUAGES = tuple(ALIASES)

_GRAMMARS = {
    "javascript": (("tree_sitter_javascript", "language"),),
    "typescript": (("tree_sitter_typescript", "language_typescript"), ("tree_sitter_typescript", "language_tsx")),
    "java": (("tree_sitter_java", "language"),),
    "c": (("tree_sitter_c", "language"),),
    "cpp": (("tree_sitter_cpp", "language"),),
    "csharp": (("tree_sitter_c_sharp", "language"),),
    "go": (("tree_sitter_go", "language"),),
    "rust": (("tree_sitter_rust", "language"),),
    "ruby": (("tree_sitter_ruby", "language"),),
    "php": (("tree_sitter_php", "language_php"),),
    "bash": (("tree_sitter_bash", "language"),),
    "html": (("tree_sitter_html", "language"),),
    "css": (("tree_sitter_css", "language"),),
}
# What a fragment may stand in: members of a class, statements of a function, an expression.
_MEMBERS, _STATEMENTS = ("class X {\n", "\n}"), ("void x() {\n", "\n}")
_SHELLS = {
    "javascript": (_MEMBERS, ("x = (", "\n)")),
    "typescript": (_MEMBERS, ("interface X {\n", "\n}"), ("x = (", "\n)")),
    "java": (_MEMBERS, ("x = ", "\n;")),
    "c": (_STATEMENTS, ("x = ", "\n;")),
    "cpp": (_STATEMENTS, ("class X {\n", "\n};"), ("x = ", "\n;")),
    "csharp": (_MEMBERS, _STATEMENTS, ("x = ", "\n;")),
    "rust": (("fn x() {\n", "\n}"), ("impl X {\n", "\n}")),
    "php": (_MEMBERS, ("$x = ", "\n;")),
    "html": (("<div>\n", "\n</div>"),),  # ends a last paragraph that has no end of its own
}
_SQL_DIALECTS = ("", "postgres", "mysql", "tsql")
_PLACEHOLDER_LINE = re.compile(r"^[ \t]*(?:\.\.\.|…)[,;]?[ \t]*$", re.MULTILINE)
_PLACEHOLDER = re.compile(r"(?<=[{(\[,;])\s*(?:\.\.\.|…)\s*(?=[})\]])")


@functools.lru_cache(maxsize=64)  # a guess of the language has parsed the code already
def parses(code: str, language: str, name: str) -> bool:
    """Whether ``code``, a program or a fragment of one, is well-formed in one of `LANGUAGES`.

    "..." in the place of left out code is allowed. What is nested deeper than a parser can follow does not parse.

    Args:
        name: of the reward function that asks, for errors.

    Raises:
        MissingExtraError: the language's grammar is not installed.
    """
    if language == "c" and "__cplusplus" in code:  # a header for both
        language = "cpp"
    check = _CHECKS.get(language) or functools.partial(_tree, language=language)
    try:
        if check(code, name=name):
            return True
        cut = _PLACEHOLDER.sub("", _PLACEHOLDER_LINE.sub("", code))
        return cut != code and bool(cut.strip()) and check(cut, name=name)
    except RecursionError:
        return False


# --- Python ---------------------------------------------------------------------------------------------------------

_MAGIC = re.compile(r"^([ \t]*)(?:![ \t]*[\w./~]|%[a-zA-Z])[^\n]*$", re.MULTILINE)
_CELL_MAGIC = re.compile(r"\A\s*%%[a-zA-Z][^\n]*\n")


def _python(code: str, name: str) -> bool:
    """By the running interpreter's compiler; sessions (``>>>``) and magics of notebooks (``!pip``, ``%time``) too."""
    code = textwrap.dedent(code)
    if re.search(r"^\s*>>> ", code, re.MULTILINE):
        import doctest

        try:
            examples = doctest.DocTestParser().get_examples(code)
        except ValueError:
            return False
        return all(_compiles(example.source) for example in examples)
    if _compiles(code):
        return True
    plain = _MAGIC.sub(r"\1pass", _CELL_MAGIC.sub("", code))
    return plain != code and _compiles(plain)


def _compiles(code: str) -> bool:
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            tree = ast.parse(code)
            try:
                compile(tree, "<response>", "exec", flags, dont_inherit=True)
                return True
            except SyntaxError:
                # `return`, `yield`, `break`: legal in a piece of a function, not in a program that defines things.
                if any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) for node in tree.body):
                    return False
                compile(_in_function(code), "<response>", "exec", flags, dont_inherit=True)
                return True
        except (SyntaxError, ValueError, MemoryError):  # ValueError: null bytes; MemoryError: nested too deep
            return False


def _in_function(code: str) -> ast.Module:
    shell = ast.parse("async def f():\n while True: pass")
    loop = shell.body[0].body[0]  # type: ignore[attr-defined]
    loop.body = ast.parse(code).body
    return shell


# --- JSON and SQL ---------------------------------------------------------------------------------------------------


def _json(code: str, name: str) -> bool:
    """RFC 8259, one document or one a line."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    def document(text: str) -> bool:
        try:
            json.loads(text, parse_constant=refuse)
        except ValueError:
            return False
        return True

    lines = [line for line in code.splitlines() if line.strip()]
    return document(code) or (len(lines) > 1 and all(line.lstrip()[0] in "{[" and document(line) for line in lines))


def _sql(code: str, name: str) -> bool:
    from plaudit.rewards.sql import sql_parses

    return any(sql_parses(code, dialect, name) for dialect in _SQL_DIALECTS)


# --- languages with a tree-sitter grammar ---------------------------------------------------------------------------


@functools.cache
def _language(module: str, function: str, name: str) -> Any:
    return need("tree_sitter", name).Language(getattr(need(module, name), function)())


def _roots(code: str, language: str, name: str) -> Iterator[Any]:
    """The syntax tree by each grammar of the language."""
    for module, function in _GRAMMARS[language]:
        parser = need("tree_sitter", name).Parser(_language(module, function, name))
        yield parser.parse(f"{code}\n".encode("utf-8", "replace")).root_node


def _tree(code: str, name: str, *, language: str, opening: str = "") -> bool:
    """No error and no missing piece, as it stands or inside of one of the language's shells."""
    if any(_well_formed(root, language, name) for root in _roots(opening + code, language, name)):
        return True
    for before, after in _SHELLS.get(language, ()):
        for root in _roots(opening + before + code + after, language, name):
            whole = [child for child in root.named_children if child.type not in ("comment", "php_tag")]
            if len(whole) == 1 and _well_formed(root, language, name):  # the fragment did not close its shell
                return True
    return False


def _well_formed(root: Any, language: str, name: str) -> bool:
    further = _FURTHER.get(language)
    return not root.has_error and (further is None or all(further(node, name) for node in _nodes(root)))


def _nodes(root: Any) -> Iterator[Any]:
    stack = [root]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(node.children)


# What the grammars let pass though the language does not.


def _ruby_node(node: Any, name: str) -> bool:
    if node.type != "identifier" or node.text != b"end":
        return True
    call = node.parent  # `range.end` is a call; a bare `end` closes nothing
    return call.type == "call" and call.child_by_field_name("receiver") is not None


def _css_node(node: Any, name: str) -> bool:
    return not (node.type == "plain_value" and node.text.endswith(b":"))  # the semicolon before it is missing


_OPEN_ENDED = set(
    b"area base br col embed hr img input link meta param source track wbr p li dt dd option optgroup tr td th thead "
    b"tbody tfoot colgroup caption rt rp html head body".split()
)


def _html_node(node: Any, name: str) -> bool:
    """Every tag closed that has to be (HTML standard, 13.1.2.4, optional tags); scripts and styles parse too."""
    if node.type == "erroneous_end_tag":
        return False
    if node.type == "element" and node.children[0].type == "start_tag" and node.children[-1].type != "end_tag":
        return node.children[0].named_children[0].text.lower() in _OPEN_ENDED
    if node.type == "raw_text" and node.text.strip():
        language = _embedded(node.parent)
        return language is None or parses(node.text.decode("utf-8", "replace"), language, name)
    return True


def _embedded(element: Any) -> str | None:
    if element.type == "style_element":
        return "css"
    kind = re.search(rb"\btype\s*=\s*[\"']?([^\"'\s>]*)", element.children[0].text)
    if kind is None or re.search(rb"javascript|module|babel|ecmascript|^$", kind[1]):
        return "javascript"
    return "json" if kind[1].endswith(b"json") else None


_FURTHER: dict[str, Callable[[Any, str], bool]] = {"ruby": _ruby_node, "css": _css_node, "html": _html_node}


def _php(code: str, name: str) -> bool:
    opening = "" if re.search(r"\A\s*<|<\?(?:php|=)", code) else "<?php\n"
    return _tree(code, name, language="php", opening=opening)


def _bash(code: str, name: str) -> bool:
    """Without the prompts of a session, and then without what its commands print."""
    lines = code.splitlines()
    if any(re.match(r"\s*[$%] \S", line) for line in lines):
        kept, follows = [], False
        for line in lines:
            prompt = re.match(r"\s*[$%] (?=\S)", line)
            if prompt or follows:
                kept.append(line[prompt.end() :] if prompt else line)
                follows = line.rstrip().endswith("\\")
        code = "\n".join(kept)
    return _tree(code, name, language="bash")


_CHECKS: dict[str, Callable[..., bool]] = {"python": _python, "json": _json, "sql": _sql, "php": _php, "bash": _bash}
