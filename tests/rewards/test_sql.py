"""SQL parses in a dialect; what the parser lets pass is refused."""

from __future__ import annotations

import logging

import pytest

from plaudit.errors import ConfigError, RewardError
from plaudit.rewards.base import make


def score(text: str, dialect: str = "", **options: object) -> float:
    return float(make("sql_syntax", {"dialect": dialect, **options}).score([None], [text])[0])


@pytest.mark.parametrize(
    ("dialect", "statement"),
    [
        (
            "",
            "SELECT a AS x, COUNT(*) FROM t WHERE b BETWEEN 1 AND 2 GROUP BY a HAVING COUNT(*) > 1 ORDER BY x LIMIT 5",
        ),
        ("", "WITH c AS (SELECT 1 AS a) SELECT a FROM c UNION ALL SELECT 2"),
        ("", "INSERT INTO t (a, b) VALUES (1, 'x'), (2, 'it''s'); DELETE FROM t WHERE a IS NULL;"),
        ("", "CREATE TABLE t (a INT PRIMARY KEY, b VARCHAR(9) NOT NULL)"),
        ("postgres", "SELECT DISTINCT ON (a) a::text FROM t WHERE j->>'k' = $1"),
        ("postgres", "CREATE FUNCTION f() RETURNS int AS $$ BEGIN RETURN 1; END; $$ LANGUAGE plpgsql"),
        ("postgres", "VACUUM; EXPLAIN ANALYZE SELECT 1; GRANT SELECT ON t TO u"),
        ("mysql", "INSERT INTO t (a) VALUES (1) ON DUPLICATE KEY UPDATE a = a + 1"),
        ("mysql", "REPLACE INTO t VALUES (1)"),
        (
            "mysql",
            "DELIMITER //\nCREATE PROCEDURE p()\nBEGIN\n  IF 1 THEN\n    SELECT 1;\n  END IF;\nEND //\nDELIMITER ;",
        ),
        ("sqlite", "PRAGMA foreign_keys = ON; SELECT a FROM t WHERE a == 1"),
        ("tsql", "DECLARE @x INT = 3;\nGO\nSELECT TOP 5 [a b] FROM t WITH (NOLOCK)"),
        ("tsql", "UPDATE u SET u.a = 0 FROM t u JOIN b ON b.i = u.i"),
        ("bigquery", "SELECT a, b, FROM `p.d.t`"),
    ],
)
def test_valid_statements_score_one(dialect: str, statement: str) -> None:
    assert score(statement, dialect) == 1
    assert score(f"The query:\n\n```sql\n{statement}\n```\nIt is fast.", dialect) == 1
    assert score(f"```\n{statement}\n```", dialect) == 1


@pytest.mark.parametrize(
    "statement",
    [
        "SELCT a FROM t",
        "SELECT a FORM t",
        "SELECT FROM t",
        "SELECT a,, b FROM t",
        "SELECT a, FROM t",
        "SELECT a FROM t WHERE",
        "SELECT a FROM t WHERE b = 'x",
        "SELECT COUNT(a FROM t",
        "SELECT a FROM t JOIN u ON",
        "SELECT a FROM t LEFT JOIN u",
        "SELECT a FROM t GROUP a",
        "SELECT a FROM t ORDER BY a WHERE b = 1",
        "SELECT a FROM t HAVING a > 1 GROUP BY a",
        "SELECT CASE WHEN a = 1 2 END FROM t",
        "SELECT a FROM t WHERE a IS NUL",
        "SELECT a FROM t WHERE a BETWEEN 1",
        "WITH c (SELECT 1) SELECT 2",
        "INSERT INTO t VALUES 1, 2",
        "INSERT INTO t (a) VALUES (1),",
        "UPDATE t SET a 1",
        "UPDATE t SET",
        "DELETE FORM t",
        "CREATE TABEL t (a INT)",
        "CREATE TABLE t (a INT,)",
        "CREATE TABLE t",
        "CREATE INDEX i t (a)",
        "CREATE VIEW v SELECT 1",
        "ALTER TABLE t ADD CLOUMN c INT",
        "DROP TABEL t",
        "EXPLAIN SELCT 1",
        "GRANT SELECT ON t",
        "hello world",
        "a + b",
        "SELECT 1; SELCT 2",
    ],
)
def test_broken_statements_score_zero_though_sqlglot_takes_many(statement: str) -> None:
    assert score(f"```sql\n{statement}\n```") == 0
    assert score(statement) == 0


@pytest.mark.parametrize(
    ("statement", "valid", "invalid"),
    [
        ("SELECT `a` FROM t", "mysql", "postgres"),
        ("SELECT TOP 5 a FROM t", "tsql", "sqlite"),
        ("SELECT a FROM t WHERE a == 1", "sqlite", "postgres"),
        ("DELETE t WHERE a = 1", "tsql", "postgres"),
        ("INSERT INTO t (a) VALUE (1)", "mysql", "sqlite"),
    ],
)
def test_the_dialect_decides(statement: str, valid: str, invalid: str) -> None:
    assert score(statement, valid) == 1
    assert score(statement, invalid) == 0


def test_prose_is_no_sql() -> None:
    for text in ("No.", "Select a name from the list; then insert it.", "To sort, use ORDER BY at the end."):
        assert score(text) == 0
        with pytest.raises(RewardError, match="holds no code"):
            score(text, missing="error")


def test_only_blocks_of_sql_count_and_each_by_its_lines() -> None:
    text = "```bash\npsql (\n```\n```sql\nSELECT 1\nFROM t;\n```\n```postgresql\nSELCT 1;\n```"
    assert score(text) == pytest.approx(2 / 3)


def test_names_and_types_are_not_looked_up() -> None:
    assert score("SELECT nothing FROM nowhere innr JOIN b ON a = b") == 1


def test_sqlglot_keeps_quiet_and_its_logger_is_left_as_it_was(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        assert score("CREATE EXTENSION x; VACUUM t", "postgres") == 1
    assert not caplog.records
    assert not logging.getLogger("sqlglot").disabled


@pytest.mark.parametrize("options", [{"dialect": "postgre"}, {"dialect": 3}, {"missing": "maybe"}, {"dialect": "prql"}])
def test_options_that_cannot_work_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="reward 'sql_syntax'"):
        make("sql_syntax", options)


@pytest.mark.parametrize("text", ["SELECT a FROM b", "select 1", "SELECT name FROM people WHERE age > 3\n"])
def test_one_bare_statement_needs_no_semicolon(text: str) -> None:
    assert make("sql_syntax").score([None], [text])[0] == 1.0
