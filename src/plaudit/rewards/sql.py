"""Does a text parse as SQL? By sqlglot, with what sqlglot lets pass refused afterwards."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from plaudit.errors import ConfigError
from plaudit.registry import suggest
from plaudit.rewards.base import Item, RewardFunction, need, register
from plaudit.rewards.code_find import code_in, share_that_parses

__all__ = ["SqlSyntax", "sql_parses"]


@register("sql_syntax")
@dataclass(frozen=True)
class SqlSyntax(RewardFunction):
    """Share of the response's SQL, in lines, that parses in a dialect.

    The SQL stands in fenced blocks (those tagged as SQL; where there are none, the untagged ones) or is the response
    itself, with or without prose around it; each block may hold several statements and counts by its lines that are
    not blank, as 1 or 0: one error stops a database from running it.

    The parser is sqlglot. What it takes and databases do not is refused: unknown statements and expressions, dangling
    keywords and commas, clauses out of order. Names of tables, columns and types are not looked up, so ``FROM a innr
    JOIN b`` is an alias. The bodies of routines and of administrative statements (GRANT, VACUUM, CALL, ...) are only
    checked for closed strings, parentheses and blocks.

    Range: 0 to 1.

    Args:
        dialect: a dialect of sqlglot ("postgres", "mysql", "sqlite", "tsql", "bigquery", "snowflake", ...); the default
            "" takes what most databases share.
        missing: a response without SQL scores 0 ("zero": SQL was asked for) or is a RewardError ("error").
    """

    dialect: str = ""
    missing: Literal["zero", "error"] = "zero"

    sample: ClassVar[str] = "sql"

    def __post_init__(self) -> None:
        if self.missing not in ("zero", "error"):
            raise ConfigError(f"reward 'sql_syntax': missing is zero or error, got {self.missing!r}")
        sqlglot = need("sqlglot", "sql_syntax")
        known = sorted(name for name in sqlglot.Dialect.classes if name not in ("dax", "prql", "solr", "tableau"))
        if self.dialect not in known:
            guess = suggest(str(self.dialect), known)
            raise ConfigError(
                f"reward 'sql_syntax': unknown dialect {self.dialect!r}{guess}; known: {', '.join(known[1:])}"
            )

    def one(self, item: Item) -> float:
        blocks = code_in(item.response, "sql", self.name)
        if not blocks and item.response.split()[0].upper() in _STARTS:  # one statement, which could be a sentence too
            whole = item.response.strip()
            if sql_parses(whole, self.dialect, self.name):
                return 1.0
        return share_that_parses(
            blocks, lambda block: sql_parses(block.code, self.dialect, self.name), self.name, self.missing, item.index
        )


_CLIENT = re.compile(r"^[ \t]*(?:GO[ \t]*;?|DELIMITER[ \t]+(\S+)|[ \t]*/)[ \t]*$", re.MULTILINE | re.IGNORECASE)
_EXPLAIN = re.compile(
    r"EXPLAIN\b(?:\s+(?:QUERY\s+PLAN|PLAN\s+FOR|ANALY[ZS]E|VERBOSE|EXTENDED|FORMAT\s*=\s*\w+|\([^()]*\)))*\s+",
    re.IGNORECASE,
)


def sql_parses(text: str, dialect: str, name: str) -> bool:
    """Whether every statement in ``text`` is well-formed in the dialect of sqlglot; False where there is none."""
    sqlglot = need("sqlglot", name)
    text = _without_client_lines(text)
    if dialect in _REPLACES:  # sqlglot only copies a REPLACE; it is an INSERT
        text = re.sub(r"(^|;)\s*REPLACE\s+INTO\b", r"\1 INSERT INTO", text, flags=re.IGNORECASE)
    with _quiet():
        try:
            tokens = sqlglot.tokenize(text, dialect=dialect)
            statements = list(_statements(tokens, dialect))
            return bool(statements) and all(_valid(statement, text, dialect, name) for statement in statements)
        except (sqlglot.errors.SqlglotError, ValueError, RecursionError):
            return False


def _without_client_lines(text: str) -> str:
    """Without lines that only a client reads (GO, DELIMITER); the delimiter that one sets becomes a semicolon."""
    for custom in {found[1] for found in _CLIENT.finditer(text) if found[1] and found[1] != ";"}:
        text = re.sub(rf"{re.escape(custom)}[ \t]*$", ";", _CLIENT.sub(";", text), flags=re.MULTILINE)
    return _CLIENT.sub(";", text)


_LOG, _LOCK = logging.getLogger("sqlglot"), threading.RLock()


@contextmanager
def _quiet() -> Iterator[None]:
    """sqlglot logs each statement that it does not know; here that is a result, not news."""
    with _LOCK:
        before, _LOG.disabled = _LOG.disabled, True
        try:
            yield
        finally:
            _LOG.disabled = before


def _words(tokens: Sequence[Any]) -> list[str]:
    """The tokens in capitals; quoted ones as '' and numbers as they are, so that they never equal a keyword."""
    quoted = ("STRING", "IDENTIFIER", "NATIONAL_STRING", "RAW_STRING", "HEREDOC_STRING", "BYTE_STRING")
    return [
        "''" if token.token_type.name in quoted else " ".join(token.text.upper().split()) or "''" for token in tokens
    ]


_ROUTINES = {"PROCEDURE", "PROC", "FUNCTION", "TRIGGER", "EVENT", "PACKAGE"}
_PLAIN_BEGIN = {"TRAN", "TRANSACTION", "WORK", "ISOLATION", "READ", "DEFERRED", "IMMEDIATE", "EXCLUSIVE", "CONCURRENT"}


def _statements(tokens: Sequence[Any], dialect: str) -> Iterator[list[Any]]:
    """The statements' tokens; semicolons inside of a routine's BEGIN ... END do not end it."""
    words, current, depth, before = _words(tokens), list[Any](), 0, ";"
    for index, (token, word) in enumerate(zip(tokens, words, strict=True)):
        if word == ";" and not depth:
            if current:
                yield current
            current, before = [], ";"
            continue
        following = words[index + 1] if index + 1 < len(words) else ";"
        current.append(token)
        if word == "BEGIN" and following not in _PLAIN_BEGIN | {";"}:
            depth += 1
        elif depth and before != "END":
            if word == "CASE" or (
                word in ("IF", "WHILE", "LOOP", "REPEAT", "FOR")
                and before in (";", "BEGIN", "THEN", "ELSE", "DO", "LOOP")
                and dialect not in ("tsql", "fabric")
                and not (word == "LOOP" and before == "DO")
            ):
                depth += 1
            elif word == "END":
                depth -= 1
        before = word
    if depth:
        raise ValueError("a block is left open")
    if current:
        yield current


_STARTS = set(
    "SELECT WITH FROM VALUES TABLE INSERT UPDATE DELETE MERGE REPLACE UPSERT CREATE ALTER DROP TRUNCATE "
    "COMMENT USE SET BEGIN COMMIT ROLLBACK END ABORT DESCRIBE DESC EXPLAIN SHOW PRAGMA ANALYZE GRANT REVOKE "
    "COPY DECLARE KILL CACHE UNCACHE REFRESH ATTACH DETACH PIVOT UNPIVOT SUMMARIZE IF WHILE EXEC EXECUTE "
    "RETURN (".split()
)
_OPAQUE = set(
    "CALL DO VACUUM REINDEX LOCK UNLOCK PRINT RAISERROR THROW PREPARE DEALLOCATE LISTEN NOTIFY UNLISTEN "
    "CLUSTER CHECKPOINT DISCARD FETCH OPEN CLOSE FLUSH OPTIMIZE REPAIR CHECK SAVEPOINT SAVE RELEASE START "
    "WAITFOR RESET LOAD UNLOAD RENAME SIGNAL RESIGNAL INSTALL UNDROP PURGE HANDLER MSCK EXPORT IMPORT "
    "SHUTDOWN DENY BACKUP RESTORE DBCC".split()
)
_ALONE = {"VACUUM", "CHECKPOINT", "REINDEX", "THROW", "ANALYZE", "CLUSTER"}
_KINDS = set(
    "TABLE VIEW INDEX SEQUENCE SCHEMA DATABASE TYPE DOMAIN EXTENSION ROLE USER GROUP POLICY RULE AGGREGATE "
    "OPERATOR CAST COLLATION SERVER LOGIN WAREHOUSE STAGE TASK STREAM PIPE TABLESPACE PUBLICATION "
    "SUBSCRIPTION STATISTICS SYNONYM MACRO MODEL SYSTEM SESSION COLUMN CONSTRAINT DICTIONARY PROFILE SECRET "
    "LANGUAGE MASKING SHARE INTEGRATION".split()
)
_MODIFIERS = set(
    "OR REPLACE ALTER TEMP TEMPORARY UNIQUE GLOBAL LOCAL UNLOGGED EXTERNAL MATERIALIZED RECURSIVE FOREIGN "
    "CLUSTERED PUBLIC NONCLUSTERED FULLTEXT SPATIAL DEFINER CONSTRAINT FORCE VIRTUAL TRANSIENT SECURE "
    "EDITIONABLE COLUMNSTORE ONLINE NO SQL SECURITY INVOKER DYNAMIC VOLATILE MULTISET BITMAP STREAMING "
    "PERSISTENT FILE FORMAT ALGORITHM UNDEFINED".split()
)


_VALUE = {"mysql", "doris", "starrocks", "singlestore"}
_REPLACES = {"", "sqlite", *_VALUE}


def _valid(tokens: Sequence[Any], text: str, dialect: str, name: str) -> bool:
    words = _words(tokens)
    source = text[tokens[0].start : tokens[-1].end + 1]
    first = words[0].split()[0]  # "LOCK TABLES" is one token
    if first in _OPAQUE:
        return len(source.split()) > 1 or first in _ALONE
    if first not in _STARTS:
        return False
    explained = _EXPLAIN.match(source)
    if explained and first == "EXPLAIN":
        return sql_parses(source[explained.end() :], dialect, name)
    kind = _kind(words) if first in ("CREATE", "ALTER", "DROP") else ""
    if kind is None:
        return False
    if kind in _ROUTINES or (first == "BEGIN" and len(words) > 1 and words[1] not in _PLAIN_BEGIN):
        return _closed(words) and len(words) > 2 and (first != "CREATE" or len(words) > 4)
    return _closed(words) and _no_dangling(words, dialect) and _in_order(words) and _tree(source, words, dialect, name)


def _kind(words: Sequence[str]) -> str | None:
    """What a CREATE, ALTER or DROP is about; None for nothing known."""
    for index, word in enumerate(words[1:10], 1):
        word = word.split()[-1]  # "NONCLUSTERED INDEX" is one token
        if word in _KINDS or word in _ROUTINES:
            return word
        if word not in _MODIFIERS and "DEFINER" not in words[:index]:  # of whose value the words are any
            return None
    return None


def _closed(words: Sequence[str]) -> bool:
    """Parentheses and brackets closed."""
    opened = []
    for word in words:
        if word in ("(", "[", "{"):
            opened.append({"(": ")", "[": "]", "{": "}"}[word])
        elif word in (")", "]", "}") and (not opened or opened.pop() != word):
            return False
    return not opened


_NEED_MORE = set("ON AND OR NOT WHERE HAVING FROM JOIN THEN WHEN ELSE AS LIKE BETWEEN UNION SET USING INTO".split())
_NEED_MORE |= {"GROUP BY", "ORDER BY", "PARTITION BY", "UNION ALL"}
_STOPS = {"", ")", ",", "FROM", "WHERE", "GROUP BY", "ORDER BY", "HAVING", "LIMIT", "UNION", "JOIN", "THEN", "WHEN"}
_NEVER_LAST = {
    "ADD",
    "DROP",
    "RENAME",
    "TO",
    "COLUMN",
    "TABLE",
    "INDEX",
    "DISTINCT",
    "CONSTRAINT",
    "REFERENCES",
    "VALUES",
}
_COMPARING = {"=", "==", "<", ">", "<=", ">=", "<>", "!="}
_NEVER_LISTED = {"ON", "AS", "AND", "OR", "THEN", "RETURNING", "VALUES"}
_SWITCHES = {"SET", "PRAGMA", "ALTER"}  # may end in ON
_TRAILING_COMMAS = {"bigquery", "duckdb", "snowflake", "clickhouse", "databricks", "redshift"}
_DOUBLE_EQUALS = {"", "sqlite", "duckdb", "clickhouse", "spark", "spark2", "hive", "databricks", "doris", "starrocks"}


def _no_dangling(words: Sequence[str], dialect: str) -> bool:
    """No keyword or comma without what has to follow it."""
    if words.count("WHEN") > words.count("THEN"):
        return False
    if words[-1] in _NEVER_LAST and words[-2:] != ["DEFAULT", "VALUES"]:
        return False
    for before, word, after in zip(["", *words], words, [*words[1:], ""]):
        if word == "," and (after in (",", "") or before == "("):
            return False
        if word == "," and (after in _NEVER_LISTED or (after in _STOPS and dialect not in _TRAILING_COMMAS)):
            return False
        if (word == "IF" and after in ("EXIST", "NOT EXIST")) or (word == "NOT" and after == "EXIST"):
            return False
        if word in _NEED_MORE and after in _STOPS and before != "." and words[0] not in _SWITCHES:
            return False
        if word in _COMPARING and after in _COMPARING:
            return False
        if word == "==" and dialect not in _DOUBLE_EQUALS:
            return False
        if word == "VALUES" and (after == "''" or after[:1].isdigit() or (before == ")" and after in _STOPS)):
            return False
        if word == "VALUE" and (before, after) == (")", "(") and dialect not in _VALUE:
            return False
    return True


_ORDER = {"FROM": 1, "WHERE": 2, "GROUP BY": 3, "HAVING": 4, "ORDER BY": 5, "LIMIT": 6}
_FRESH = {
    "SELECT",
    "UNION",
    "EXCEPT",
    "INTERSECT",
    "UPDATE",
    "INSERT",
    "DELETE",
    "MERGE",
    "SET",
    "CONFLICT",
    "|>",
    "DISTINCT",
}


def _in_order(words: Sequence[str]) -> bool:
    """The clauses of each query in the order that every database asks for."""
    ranks = [0]
    for index, word in enumerate(words):
        if word == "(":
            ranks.append(0)
        elif word == ")":
            ranks.pop()
        elif word in _FRESH:
            ranks[-1] = 0
        elif word in _ORDER and (word != "FROM" or words[index - 1] != "DISTINCT"):
            rank = _ORDER[word]
            if rank < ranks[-1] or (rank == ranks[-1] and rank != 1):
                return False
            ranks[-1] = rank
    return True


def _tree(source: str, words: Sequence[str], dialect: str, name: str) -> bool:
    """sqlglot's own verdict, and what can only be seen in its tree."""
    sqlglot = need("sqlglot", name)
    exp = sqlglot.exp
    trees = [tree for tree in sqlglot.parse(source, dialect=dialect) if tree is not None]
    return all(
        not isinstance(tree, exp.Condition | exp.Alias | exp.Tuple)
        and (not isinstance(tree, exp.Command) or _known_command(words))
        and _statement_whole(tree, words, dialect, exp)
        and all(_node_whole(node, dialect, exp) for node in tree.walk())
        for tree in trees
    )


def _known_command(words: Sequence[str]) -> bool:
    """Whether a statement that sqlglot only copies is one."""
    first, kind = words[0], _kind(words) if words[0] in ("CREATE", "DROP", "ALTER") else None
    if (first, kind) == ("CREATE", "TABLE"):
        return bool({"(", "AS", "LIKE", "CLONE"} & set(words))
    if (first, kind) in (("CREATE", "INDEX"), ("CREATE", "VIEW")):
        return ("ON" in words and "(" in words) if kind == "INDEX" else "AS" in words
    if (first, kind) == ("ALTER", "TABLE") and "ADD" in words:
        return (words[words.index("ADD") + 1 :] or [""])[0] in _ADDED
    if (first, kind) == ("ALTER", "TABLE") and "RENAME" in words:
        after = words[words.index("RENAME") + 1 :]
        return "TO" in after[: 3 if after[0] in ("COLUMN", "CONSTRAINT", "INDEX", "KEY") else 2]
    if first in ("CREATE", "DROP", "ALTER"):
        return kind is not None and len(words) > 2
    if first in ("GRANT", "REVOKE"):
        return ("TO" in words or "FROM" in words) and len(words) > 3
    return first != "TRUNCATE" and len(words) > 1


_ADDED = set(
    "CONSTRAINT COLUMN INDEX KEY PRIMARY FOREIGN UNIQUE CHECK PARTITION ( FULLTEXT SPATIAL GENERATED DEFAULT".split()
)
_NEEDS_FROM = {"postgres", "sqlite", "redshift", "duckdb", "snowflake", "presto", "trino", "athena"}


def _statement_whole(tree: Any, words: Sequence[str], dialect: str, exp: Any) -> bool:
    if isinstance(tree, exp.Create):
        if tree.kind == "INDEX":
            after = words[words.index("ON") + 1 :] if "ON" in words else []
            return "(" in after and after[1:2] in (["("], ["USING"], ["."])
        if tree.kind == "VIEW":
            return "AS" in words
        if tree.kind == "TABLE" and isinstance(tree.this, exp.Table):
            return bool(tree.expression or tree.args.get("clone") or tree.args.get("properties")) or "(" in words
    if words[0] == "WITH":  # the AS of a first common table expression
        rest = list(words[2 if words[1] == "RECURSIVE" else 1 :])
        end = rest.index(")") + 1 if rest[1:2] == ["("] and ")" in rest else 1
        return rest[end : end + 1] == ["AS"]
    if words[0] in ("DELETE", "INSERT") and dialect in _NEEDS_FROM:
        return words[1] in ("FROM", "INTO", "OR", "OVERWRITE")
    if words[0] == "DELETE" and len(words) > 2 and words[1] != "FROM":
        return words[2] in ("FROM", "WHERE", ".", ",", "OUTPUT", "(", "AS")
    return True


def _node_whole(node: Any, dialect: str, exp: Any) -> bool:
    if isinstance(node, exp.Select):
        bare = not node.expressions and not node.args.get("kind")
        postgres = dialect in ("postgres", "materialize", "risingwave") and node.args.get("from_") is not None
        return not bare or (postgres and not node.args.get("distinct"))
    if isinstance(node, exp.Join):
        joined = node.args.get("on") or node.args.get("using") or node.args.get("method")
        return not node.side or bool(joined) or dialect == "clickhouse"
    if isinstance(node, exp.Is) and dialect != "sqlite":
        return not isinstance(node.expression, exp.Column)
    if isinstance(node, exp.Between):
        return node.args.get("high") is not None
    if isinstance(node, exp.Update):
        return not any(isinstance(each, exp.Column) for each in node.expressions)
    return True
