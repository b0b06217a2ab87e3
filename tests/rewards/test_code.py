"""Code is found in a response, its language told, and it parses or does not."""

from __future__ import annotations

import time

import pytest

from plaudit.errors import ConfigError, RewardError
from plaudit.rewards.base import make
from plaudit.rewards.code_find import code_in
from plaudit.rewards.code_parse import ALIASES, LANGUAGES, parses

GOOD = {
    "python": "def f(x):\n    return x + 1",
    "javascript": "const f = (x) => { return x + 1; };",
    "typescript": "function f(x: number): number { return x + 1; }",
    "java": "class A { int f(int x) { return x + 1; } }",
    "c": "int f(int x) { return x + 1; }",
    "cpp": "template <class T> T f(T x) { return x + 1; }",
    "csharp": "public class A { public int F(int x) => x + 1; }",
    "go": "package main\n\nfunc f(x int) int { return x + 1 }",
    "rust": "fn f(x: i32) -> i32 { x + 1 }",
    "ruby": "def f(x)\n  x + 1\nend",
    "php": "<?php function f($x) { return $x + 1; }",
    "bash": 'if [ -f "$1" ]; then\n  echo "$1"\nfi',
    "json": '{"x": [1, 2.5, null]}',
    "html": "<p>One<p>Two <b>three</b><br>",
    "css": "a { color: red; }",
    "sql": "SELECT a FROM t WHERE b = 1;",
}
BROKEN = {
    "python": "def f(x)\n    return x + 1",
    "javascript": "const f = (x) => { return x + 1; ;",
    "typescript": "function f(x: number): number { return x + ; }",
    "java": "class A { int f(int x) { return x + 1 } }",
    "c": "int f(int x) { return x + 1; ",
    "cpp": "template <class T T f(T x) { return x + 1; }",
    "csharp": "public class A { public int F(int x => x + 1; }",
    "go": "package main\n\nfunc f(x int int { return x + 1 }",
    "rust": "fn f(x: i32) -> i32 { x + }",
    "ruby": "def f(x)\n  x + 1\nend\nend",
    "php": "<?php function f($x) { return $x + 1 }",
    "bash": 'if [ -f "$1" ]; then\n  echo "$1"',
    "json": '{"x": [1, 2.5, null],}',
    "html": "<div><span>One</div>",
    "css": "a { color: red background: blue; }",
    "sql": "SELECT a FORM t;",
}
PROSE = [
    "No.",
    "The capital of France is Paris, which lies on the Seine.",
    "To sort a list, use the sorted function. It returns a new list; the old one stays as it is.",
    "For example:\n\nIf the light is red, stop. While it is red, wait. Else, go.",
    "1. Open the menu.\n2. Select the first option; then import your contacts.\n3. Return to the start.",
    "Let x be the number of apples. Then 3x + 5 = 20, so x = 5.",
    "- 200 g of flour\n- 2 eggs\n- a pinch of salt",
    "It costs $10,000 a month, or $120,000 a year.",
    "| a | b |\n|---|---|\n| 1 | 2 |",
    "我们去公园散步，然后吃冰淇淋。",
]


def score(text: str, **options: object) -> float:
    return float(make("code_syntax", options).score([None], [text])[0])


@pytest.mark.parametrize("language", LANGUAGES)
def test_valid_code_scores_one_and_broken_code_zero_in_every_language(language: str) -> None:
    for name in (language, *ALIASES[language].split()[:1]):
        assert score(f"Here it is:\n\n```{name}\n{GOOD[language]}\n```\nDone.") == 1
        assert score(f"```{name}\n{BROKEN[language]}\n```") == 0
    assert score(GOOD[language], language=language) == 1
    assert score(BROKEN[language], language=language) == 0


@pytest.mark.parametrize("text", PROSE)
def test_prose_is_no_valid_code_in_any_language(text: str) -> None:
    assert score(text) == 0
    for language in LANGUAGES:
        assert score(text, language=language) == 0
        with pytest.raises(RewardError, match="holds no code"):
            score(text, language=language, missing="error")


@pytest.mark.parametrize(
    "text",
    [
        "````python\nx = '''\n```\n'''\n````",
        "~~~py\nx = 1\n~~~",
        "1. First:\n   ```python\n   def f():\n       return 1\n   ```",
        "```{.python .numberLines}\nx = 1\n```",
        '```python title="a.py"\nx = 1\n```',
        "```Python\nx = 1",
        "```\nimport os\nprint(os.name)\n```",
        "```print('a')```",
        "Sure!\n\nimport os\nprint(os.name)\n\nThis prints the name of the system.",
    ],
)
def test_code_is_found_however_it_is_fenced(text: str) -> None:
    assert [block.language for block in code_in(text, None, "test")] == ["python"]
    assert score(text) == 1


def test_blocks_count_by_their_lines() -> None:
    good, broken = "```python\na = 1\nb = 2\n\nc = 3\n```", "```python\na = (\n```"
    assert score(f"{good}\n\n{broken}") == pytest.approx(0.75)


def test_sentences_divide_bare_code_only_where_it_does_not_parse_as_a_whole() -> None:
    first = "function add(a, b) {\n  return a + b;\n}"
    text = f"The function:\n\n{first}\n\nExample usage:\n\nconsole.log(add(1, 2));\n\nExplanation:\nIt adds the two."
    assert [block.code for block in code_in(text, None, "test")] == [first, "console.log(add(1, 2));"]
    assert score(text) == 1
    documented = 'def f():\n    """Doc.\n\nThis line looks like a sentence to readers.\n    """\n    return 1'
    assert len(code_in(documented, None, "test")) == 1


def test_output_and_text_blocks_are_left_out() -> None:
    assert score("```python\nprint(1)\n```\n\n```text\n1 (\n```\n\n```output\n(\n```\n\n```\nDone: 1 of 2.\n```") == 1
    assert score("```console\n$ ls -l\ntotal 0 (none)\n$ pwd\n```") == 1


def test_a_language_that_cannot_be_checked_is_an_error_unless_there_is_other_code() -> None:
    haskell = "```haskell\nmain = print 1\n```"
    with pytest.raises(RewardError, match="item 0: cannot check code in haskell"):
        score(haskell)
    assert score(haskell, unknown="zero") == 0
    assert score(haskell + "\n```python\nx = 1\n```") == 1
    assert score(haskell, language="python") == 0


def test_a_given_language_leaves_out_other_tags_and_reads_untagged_blocks() -> None:
    text = "```bash\npip install (\n```\n```python\nx = 1\n```\n```\nx = (\n```"
    assert score(text, language="python") == 1
    assert score("```\nx = (\n```", language="python") == 0
    assert score("```javascript\nlet x = 1;\n```", language="python") == 0
    assert score("```c\nint x;\n```", language="cpp") == 1


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("python", "x + 1"),
        ("python", "return x"),
        ("python", "if done:\n    break"),
        ("python", "    x = 1\n    y = 2"),
        ("python", "await task"),
        ("python", "def f(): ..."),
        ("python", "!pip install x\n%matplotlib inline\nx = 1"),
        ("python", "%%time\nx = 1"),
        ("python", ">>> f(1)\n2\n>>> for x in y:\n...     print(x)\nnot ( python"),
        ("java", "public int f() { return 1; }"),
        ("java", "private int x;\npublic Foo(int x) { this.x = x; }"),
        ("java", "list.size()"),
        ("java", "void f() {\n    ...\n}"),
        ("javascript", "render() { return <b>{this.x}</b>; }"),
        ("javascript", "{ a: 1, 'b': 2 }"),
        ("javascript", "const xs = [1, 2, ...];"),
        ("typescript", "name: string;\nage?: number;"),
        ("c", "x = f(3);"),
        ("cpp", "public:\n    int x;"),
        ("csharp", "public string Name { get; set; }"),
        ("rust", "xs.iter().sum()"),
        ("php", "public function f() { return 1; }"),
        ("php", "<ul><?php foreach ($xs as $x): ?><li><?= $x ?></li><?php endforeach; ?></ul>"),
        ("bash", "$ ls\na ( b\n$ pwd"),
        ("css", "color: red;"),
        ("json", '{"a": 1}\n{"a": 2}'),
        ("html", "<li>a<li>b"),
        ("ruby", "(1..2).end"),
    ],
)
def test_fragments_are_legal(language: str, code: str) -> None:
    assert parses(code, language, "test")


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("python", "def f(x):\n    y = x\nreturn y"),
        ("python", "print 'x'"),
        ("python", ">>> f(\n2"),
        ("python", "x = '\0'"),
        ("java", "} void f() {"),
        ("javascript", "1); f(2"),
        ("c", "} int y; {"),
        ("json", "{'a': 1}"),
        ("json", '{"a": NaN}'),
        ("json", '"a": 1'),
        ("html", "<script>let x = ;</script>"),
        ("html", "<style>a { color red }</style>"),
        ("html", "<p>a</b>"),
        ("css", "a { color: red; } }"),
        ("python", "..." + "("),
    ],
)
def test_what_a_fragment_does_not_excuse(language: str, code: str) -> None:
    assert not parses(code, language, "test")


@pytest.mark.parametrize("code", ["(" * 3000, "[" * 20_000, "-" * 50_000 + "1", "a\ud800", "{" * 3000, "<" * 3000])
@pytest.mark.parametrize("language", ["python", "javascript", "json", "sql", "html", "ruby"])
def test_strange_texts_are_scored_too(language: str, code: str) -> None:
    assert score(f"```{language}\n{code}\n```") in (0, 1)


@pytest.mark.parametrize(
    "unit",
    ["a", " ", "\n", "(", "{\n", "select ", "for x in ", "<div ", "`a ", "```\n", "do |", "- ", "# a\n", "$x = "],
)
def test_no_text_takes_long(unit: str) -> None:
    start = time.process_time()
    score((unit * 20_000)[:20_000] + "x = 1", unknown="zero")
    assert time.process_time() - start < 5


def test_no_warning_of_the_code_gets_out() -> None:
    assert score("```python\nx = '\\d' is 1\nassert (1, 'a')\n```") == 1


@pytest.mark.parametrize(
    "options", [{"language": "klingon"}, {"language": "Python"}, {"missing": "no"}, {"unknown": 0}]
)
def test_options_that_cannot_work_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="reward 'code_syntax'"):
        make("code_syntax", options)
