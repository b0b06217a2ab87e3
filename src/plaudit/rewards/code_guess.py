"""Which language a piece of code is in, by signs of each and by parsing. Knows nothing of responses or fences."""

from __future__ import annotations

import functools
import re
from itertools import islice

from plaudit.rewards.code_parse import parses

__all__ = ["SEEN", "SURE", "evidence", "guess"]

# What tells a language: how much each find weighs, at most three finds of each, and what is looked for. In each
# pattern ``§`` stands for the start of a line with its indentation. Repeats are bounded or cannot overlap, so that no
# text takes more than linear time. "other" collects languages that cannot be checked.
_SIGNS: dict[str, str] = {
    "python": r"""
        3   §(?:async )?def \w+\(.*\)(?: *->.*)?:[ \t]*(?:\#.*)?$
        1.5 §def \w+\(
        3   §from [\w.]+ import\b|§import \w[\w.]*(?: as \w+)?(?:, *\w+)*[ \t]*$
        2   §(?:if|elif|for|while|with|try|else|except|class|finally)\b[^{;\n]*:[ \t]*(?:\#.*)?$
        2   \bself\.|\"\"\"|\belif\b|\bin range\(|\b__[a-z]+__\b|^>>>\ |\bexcept \w
        1.5 \bprint\(["'f]
        1   \bprint\(|\b(?:None|True|False)\b|\blen\(|\b[fr][\"']|\blambda\b|§@\w|\bnot in\b|\bis (?:not )?None\b
        1   \bfor \w{1,40}(?:, *\w{1,40})? in\b""",
    "javascript": r"""
        2   \b(?:const|let|var) (?:[\{\[]|[\w$]+ *[=;,])|\bfunction\b *\w*\(|=>|===|!==
        3   \bconsole\.(?:log|error)\b|\bdocument\.\w|\bmodule\.exports\b|\bJSON\.\w|\bnew Promise\b|\bwindow\.\w
        3   §import\b.*\bfrom *["']|§import *["'\{]|\brequire\(["']|§export (?:default|const|function|class|async)\b
        1   \basync function\b|\bawait |\bundefined\b|\bnull\b|`[^`\n]{0,80}\$\{
        1   \.(?:map|filter|forEach|reduce|then)\(""",
    "typescript": r"""
        3   [\w)?\]] ?: ?(?:string|number|boolean|void|any|unknown|never|Promise<|Array<|Record<)
        3   §(?:export )?(?:declare )?(?:interface|type|enum|abstract class) \w
        3   \bas const\b|\bkeyof\b|\breadonly \w+[?:]
        2   \b(?:const|let) \w+: |=>|\bfunction \w+<|\bimplements \w|\b(?:private|public) \w+(?:\(|:)
        1   ===|\bconst \w+ =|§import\b.*\bfrom\b""",
    "java": r"""
        4   §import (?:static )?(?:java|javax|org|com)\.|\bSystem\.(?:out|err|in)\b
        4   @Override\b|\bpublic static void main\b
        2   §(?:public|private|protected)\b.*[({;][ \t]*$|\bString(?:\[\])? \w|\bnew \w+<|\bthrows \w
        1.5 \b(?:int|long|double|boolean|char|void|List<\w+>|Map<\w+, ?\w+>)(?:\[\])? \w+ ?[=;(,)]|\bfinal \w
        1   \bextends \w|\bimplements \w|\.(?:length|size|get|add|put|equals)\(""",
    "c": r"""
        4   §\#[ \t]*include[ \t]*<\w+(?:/\w+)*\.h>
        2   \b(?:printf|scanf|malloc|free|sizeof|strlen|strcmp|memcpy|fopen|calloc) ?\(|\bint main ?\(
        2   \b(?:char|int|void|struct \w+|FILE|float|double|\w{1,30}_t) \*+\w
        2   \btypedef\b|\bstruct \w+ ?\{|\bsize_t\b|\bNULL\b
        1.5 \b(?:int|char|float|double|long|unsigned|void) \w+ ?[=;(,\[)]|§\#[ \t]*define\b|\w->\w|%[ds]\b""",
    "cpp": r"""
        5   §\#[ \t]*include[ \t]*<\w+>|\bstd::|\busing namespace\b|\btemplate ?<|\b(?:cout|cin) ?(?:<<|>>)
        2   \bvector<|\bnullptr\b|§(?:public|private|protected):|\w::~?\w|\bconst auto&|\bauto[&*]? \w|&&|\bvirtual\b
        1.5 \b(?:int|char|float|double|long|unsigned|bool|void|string) \w+ ?[=;(,\[)]|\bint main ?\(
        1   \bclass \w|\bdelete\b|\w->\w|\bconst \w+&""",
    "csharp": r"""
        4   §using (?:System|static|Microsoft)\b.*;|\bConsole\.(?:Write|Read)|\{ *get;|\basync Task\b|\bforeach \(
        2   §namespace \w|\$"|\bstring(?:\[\])?\?? \w+ ?[=;(,)]|\bvar \w+ =|\bIEnumerable<|\boverride\b|\bnameof\(
        1.5 §(?:public|private|protected|internal)\b.*(?:[({;]|=>.*)?[ \t]*$
        1.5 \.(?:Select|Where|ToList|Add|Length|Count)\b
        1   \b(?:int|long|double|bool|void|List<\w+>)(?:\[\])? \w+ ?[=;(,)]|\breadonly\b|\?\?|\bis not null\b""",
    "go": r"""
        5   §package \w+[ \t]*$|\bfmt\.\w|\berr != nil\b|§import (?:\($|")|^func (?:\(\w+ \*?[\w\[\]]+\) )?\w
        3   :=|\btype \w+ (?:struct|interface|func)\b|\bchan \w|\bdefer \w
        3   \bgo func\b|\bmap\[\w+\]|\[\](?:int|string|byte)\b
        1   \brange \w|\bmake\(|\bnil\b|\bfunc\(""",
    "rust": r"""
        4   \blet mut \w|\b(?:println|vec|format|panic|assert_eq|eprintln|write)!
        4   &mut \w|&(?:'\w+ )?(?:self|str)\b|\#!?\[
        4   §(?:pub(?:\(\w+\))? )?(?:async )?fn \w|§impl\b|§(?:pub )?(?:struct|enum|trait|mod) \w|§use \w[\w:]*::
        2   \b(?:Some|Ok|Err)\(|\bmatch [\w.&()]+ \{|\.unwrap\(\)|\b(?:Vec|Option|Result)<
        2   \w\?;|\.iter\(\)|\b[iuf](?:32|64|8)\b
        1   \blet \w+ =|->|\w::\w|=>""",
    "ruby": r"""
        3   §end\b[ \t]*(?:$|\.|\#)|\bdo \|[^|\n]{0,60}\||\{ ?\|[^|\n]{0,60}\|
        3   §require(?:_relative)? ['"]|\battr_(?:acc|rea|wri)
        2   §puts\b|\belsif\b|\.each\b|\bunless\b|\.\w+[?!](?:\s|$|\()|§def (?:self\.)?\w+[?!]?(?:\(.*\))?[ \t]*$
        1   (?<![\w:]):\w+\b(?! *:)|@\w+ \|?\|?=|\bnil\b|\#\{|§module \w
        1   §class [A-Z]\w*(?: < [\w:]+)?[ \t]*$|\.(?:map|select)\b""",
    "php": r"""
        10  <\?php|<\?=
        3   \$[A-Za-z_]\w* ?(?:=|\.=|\[\])|\$this->|\$\w+->\w|\bfunction \w*\([^)\n]{0,80}\$\w
        3   \bforeach \(\$|\$_(?:GET|POST|SESSION)\b
        1   \becho\b.*;|\barray\(|=>|\b(?:public|private|protected) (?:static )?function\b|§use \w+\\|\bisset\(""",
    "bash": r"""
        10  \A\s*\#!.*\b(?:ba|z|k|da)?sh\b
        3   §(?:fi|done|esac)\b|;[ \t]*(?:then|do)[ \t]*$|\bif \[\[?[ ]
        3   \bfor \w+ in .{0,99}; *do\b|\bwhile (?:read|\[|true)
        2   \| ?(?:grep|awk|sed|sort|xargs|wc|head|tail|tr|cut|tee|jq)\b
        3   §\$? ?(?:sudo|apt(?:-get)?|pip3?|npm|npx|yarn|git|cd|mkdir|ls|curl|wget|docker|kubectl)\ (?![=(:])
        3   §\$? ?(?:chmod|chown|grep|find|tar|ssh|scp|rsync|systemctl|brew)\ [-/.\w*"'$]
        3   §\$? ?(?:source|cp|mv|rm|cat|touch|sed|awk|ln|set)\ [-/.\w*"'$]
        1   "?\$\{?[A-Za-z_]|\$\(|§echo\b|[ \t]--?[a-z][\w-]*|§[A-Z_]+=\S|§(?:local|export|readonly) \w+=|\d?>&\d|&&""",
    "json": r"""
        3   §"[^"\n]*"[ \t]*:[ \t]*(?:["\{\[\d-]|true|false|null)
        2   \A\s*[\[\{]\s*(?:["\{\[\]\}\d]|\Z)|\{[ \t]*"[^"\n]{0,80}"[ \t]*:""",
    "html": r"""
        10  \A\s*(?:<!--.*?-->\s*)?<(?:!DOCTYPE|html|head|body)\b
        4   \A\s*<[a-z][\w-]*(?:\s[^<>]*)?>
        2   </(?:html|head|body|div|p|span|a|ul|ol|li|table|tr|td|form|h[1-6])>
        2   </(?:section|script|style|button|nav|main|header|label)>
        1   <(?:div|p|span|a|ul|ol|li|table|tr|td|form|h[1-6]|img|input|br|meta|link|label|button)\b[^<>]{0,200}>""",
    "css": r"""
        3   §(?:color|background|margin|padding|display|font|width|height)(?:-[\w-]+)?[ \t]*:[^;\{\}\n]*;
        3   §(?:border|position|flex|grid)(?:-[\w-]+)?[ \t]*:[^;\{\}\n]*;
        3   §(?:text|align|justify|transition|max|min|box|opacity|top|left|overflow|z)(?:-[\w-]+)?[ \t]*:[^;\{\}\n]*;
        4   §@(?:media|keyframes|import|font-face|supports)\b
        2   §[.\#:*\[]?[a-z][^;\{\}=()\n]*\{[ \t]*$|\b\d+(?:px|em|rem|vh|vw|%)|:hover\b|:root\b|\bvar\(--""",
    "sql": r"""
        6   \A\s*(?:--.*\s*)?(?:SELECT|INSERT\s+INTO|UPDATE\s+\S+\s+SET|DELETE\s+FROM|REPLACE\s+INTO|WITH\s+\w+)\b
        6   \A\s*(?:--.*\s*)?(?:CREATE|ALTER|DROP|MERGE|EXPLAIN|PRAGMA|SHOW|TRUNCATE|GRANT|EXEC|DECLARE|CALL)\b
        3   §(?:SELECT|FROM|WHERE|(?:LEFT |RIGHT |INNER )?(?:OUTER )?JOIN|GROUP BY|ORDER BY|HAVING)\b
        3   §(?:INSERT INTO|CREATE TABLE)\b
        2   \bselect\b[^;]{1,300}\bfrom\b|\binsert into\b|\bcreate (?:or replace )?(?:table|view|index)\b
        2   \bdelete from\b
        2   \b(?:NOT NULL|PRIMARY KEY|VARCHAR|not null|primary key|varchar)\b""",
    "other": r"""
        5   \\(?:begin|end|frac|documentclass|usepackage)\{|§pragma solidity\b|§FROM [\w./-]+:[\w.-]+[ \t]*$|§WORKDIR /
        4   \b(?:let|var) \w+ ?: ?[A-Z]\w*[ \t]*$|\bsome View\b|§(?:private |suspend |override )*fun \w+\(
        4   §import \w+UI[ \t]*$
        3   §\w+ ?<- |\blibrary\(\w+\)|§local (?:function )?\w+|§my [$@%]\w
        3   §use strict;|§Write-Host\b|\bGet-\w+|§Dim \w+ As\b
        3   §[\w-]+:[ \t]*$|§- \w+:[ \t]|§%[ \t]\S|\bdisp\(|§\w+ :: \w|§import 'package:|\bWidget build\(""",
}


@functools.cache
def _compiled() -> dict[str, list[tuple[float, re.Pattern[str]]]]:
    table = {}
    for language, signs in _SIGNS.items():
        rows = [row.split(None, 1) for row in signs.strip().splitlines()]
        table[language] = [
            (float(weight), re.compile(sign.replace("§", r"^[ \t]*"), re.MULTILINE)) for weight, sign in rows
        ]
    return table


def evidence(code: str) -> dict[str, float]:
    """How much each language's signs weigh in a text; languages without any left out."""
    weights = {}
    for language, signs in _compiled().items():
        weight = sum(value * sum(1 for _ in islice(sign.finditer(code), 3)) for value, sign in signs)
        if weight:
            weights[language] = weight
    return weights


SEEN, SURE = 2.0, 5.0  # weight of the signs from which on a text is taken for code, and for code though it is broken
_NEAR = 0.6  # of the heaviest language's weight: tried too
_CALL = re.compile(r"\w\(.*\)|\w[ \t]*=[ \t]*\S|\A\s*[\[{].*[\]}]", re.DOTALL)


def guess(code: str, name: str) -> tuple[str | None, float]:
    """The language of a piece of code, and how much its signs weigh.

    Of the languages whose signs weigh at least 0.6 of the heaviest's, it is the heaviest in which the code parses, or
    the heaviest where there is none. Code without clear signs is in the first of JSON, Python, JavaScript and Java
    that takes it, or in none.
    """
    weights, start = evidence(code), code.lstrip()[:1]
    for language, opening in (("html", "<"), ("json", "[{")):  # a tag or a quoted text amid words is neither
        if start not in opening:
            weights.pop(language, None)
    top = max(weights.values(), default=0.0)
    if top < SEEN:
        if _CALL.search(code):
            for language in ("json", "python", "javascript", "java"):
                if (language != "json" or start in "[{") and parses(code, language, name):
                    return language, top
        return None, top
    near = sorted((each for each in weights if weights[each] >= top * _NEAR), key=lambda each: -weights[each])
    if near[0] == "other":
        return None, top
    return next((each for each in near if each != "other" and parses(code, each, name)), near[0]), top
