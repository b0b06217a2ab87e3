"""Files give rows with their lines; one bad line does not hide the others; a broken file is refused."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from plaudit.data.read import count_rows, read_rows
from plaudit.errors import DataError, RowError

ROWS = [{"a": "x\ny", "b": 'say "hi", ok'}, {"a": "ü𝄞\t", "b": "z\r\nw"}]


def read(path: Path) -> list[tuple[str, object]]:
    return [(where.removeprefix(f"{path}:"), row) for where, row in read_rows(path)]


def write(path: Path, content: str | bytes) -> Path:
    data = content if isinstance(content, bytes) else content.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize("name", ["d.jsonl", "d.ndjson", "d.jsonl.gz", "d.json", "D.JSONL"])
def test_json_lines_skip_blank_lines_and_count_them(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, "\ufeff\n" + json.dumps(ROWS[0]) + "\n\n  \n" + json.dumps(ROWS[1]))
    if name.endswith(".json"):  # JSON Lines under the wrong name; a BOM alone on a line is no JSON
        path = write(path, json.dumps(ROWS[0]) + "\n\n\n\n" + json.dumps(ROWS[1]))
        assert read(path) == [("1", ROWS[0]), ("5", ROWS[1])]
    else:
        assert read(path) == [("2", ROWS[0]), ("5", ROWS[1])]
    assert count_rows(path) == 2


@pytest.mark.parametrize("name", ["d.json", "d.json.gz"])
def test_items_of_a_json_list_know_their_line(tmp_path: Path, name: str) -> None:
    assert read(write(tmp_path / name, '\n[\n {"a": 1,\n  "b": "x"},\n\n {"a": 2}, {"a": 3}\n]\n')) == [
        ("3", {"a": 1, "b": "x"}),
        ("6", {"a": 2}),
        ("6", {"a": 3}),
    ]


def test_an_object_around_a_list_is_opened(tmp_path: Path) -> None:
    text = '{"version": [1],\n "note": {"a": [{"x": 1}]},\n "data":\n [{"a": 1},\n {"a": 2}]}'
    text = text.replace('"version": [1]', '"version": "1"')
    assert read(write(tmp_path / "d.json", text)) == [("4", {"a": 1}), ("5", {"a": 2})]


def test_an_object_of_columns_is_turned_into_rows(tmp_path: Path) -> None:
    path = write(tmp_path / "d.json", '{"a": [1, 2], "b": ["x", "y"]}')
    assert read(path) == [("row 1", {"a": 1, "b": "x"}), ("row 2", {"a": 2, "b": "y"})]
    with pytest.raises(DataError, match=r"unequal length \(a: 1, b: 2\)"):
        read(write(path, '{"a": [1], "b": ["x", "y"]}'))


def test_one_row_alone_is_a_document(tmp_path: Path) -> None:
    row = {"conversations": [{"from": "human", "value": "p"}], "chosen": {"from": "gpt", "value": "c"}}
    assert read(write(tmp_path / "d.json", json.dumps(row))) == [("1", row)]
    assert read(write(tmp_path / "e.json", "[]")) == []


def test_a_syntax_error_in_json_lines_names_its_line_and_the_rest_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "d.jsonl", '{"a": 1}\n{"a": 2,}\n[1]\n{"a": 3}\n' + "[" * 100_000 + '\n{"a": 4}\n')
    found = dict(read(path))
    assert [found[line] for line in ("1", "4", "6")] == [{"a": 1}, {"a": 3}, {"a": 4}]
    assert "no valid JSON" in str(found["2"])
    assert "at line 2 column 9" in str(found["2"])
    assert str(found["3"]) == f"{path}:3: the row is a list ([1]); expected an object"
    assert isinstance(found["5"], RowError)
    assert count_rows(path) == 6


@pytest.mark.parametrize(
    ("text", "line"),
    [('[\n{"a": 1},\n{"a": }\n]', 3), ('[{"a": 1}\n {"a": 2}]', 2), ('{"a":\n\n x}', 3), ("[{}]\n[{}]", 2), ("[{}", 1)],
)
def test_a_syntax_error_in_a_json_document_names_its_line(tmp_path: Path, text: str, line: int) -> None:
    with pytest.raises(RowError, match=rf"d\.json:{line}: no valid JSON: .* at line {line} column \d+"):
        read(write(tmp_path / "d.json", text))


def test_bytes_that_are_no_utf8_name_their_line(tmp_path: Path) -> None:
    bad = b'{"a": "1"}\n{"a": "\xfc"}\n{"a": "3"}\n'
    rows = read(write(tmp_path / "d.jsonl", bad))
    assert [where for where, _ in rows] == ["1", "2", "3"]
    assert "d.jsonl:2: byte 0xfc is no UTF-8 text" in str(rows[1][1])
    with pytest.raises(RowError, match=r"e\.json:3: byte 0xfc"):
        read(write(tmp_path / "e.json", b'[\n{"a": "1"},\n{"a": "\xfc"}]'))
    table = read(write(tmp_path / "f.csv", b"a,b\n1,2\n\xfc,3\n4,5\n"))
    assert "f.csv:3: bytes that are no UTF-8" in str(table[1][1])
    assert table[2] == ("4", {"a": "4", "b": "5"})
    with pytest.raises(RowError, match="UTF-16"):
        read(write(tmp_path / "g.json", '[{"a": 1}]'.encode("utf-16")))


def test_csv_records_know_the_line_where_they_start(tmp_path: Path) -> None:
    path = write(tmp_path / "d.csv", '\ufeffa,b\n"x\ny","say ""hi"", ok"\n\n"ü𝄞\t","z\r\nw"\n')
    assert read(path) == [("2", ROWS[0]), ("5", ROWS[1])]
    assert read(write(tmp_path / "d.tsv", "a\tb\n1\t2,3\n")) == [("2", {"a": "1", "b": "2,3"})]


def test_broken_csv_records_are_reported_in_place(tmp_path: Path) -> None:
    rows = read(write(tmp_path / "d.csv", 'a,b\n1\n2,3\n4,5,6\n7,"8\n9'))
    assert "d.csv:2: 1 fields, but the header has 2 (a, b)" in str(rows[0][1])
    assert rows[1] == ("3", {"a": "2", "b": "3"})
    assert isinstance(rows[2][1], RowError)
    assert "d.csv:5: no valid CSV: unexpected end of data" in str(rows[3][1])
    with pytest.raises(DataError, match="names a column twice: a"):
        read(write(tmp_path / "e.csv", "a,b,a\n1,2,3\n"))


def test_cells_may_be_ten_megabytes(tmp_path: Path) -> None:
    big = "x" * 10_000_000
    assert read(write(tmp_path / "d.csv", f"a,b\n{big},1\n"))[0][1] == {"a": big, "b": "1"}


def test_parquet_and_arrow_count_rows(tmp_path: Path) -> None:
    table = pa.Table.from_pylist(ROWS * 100)
    pq.write_table(table, tmp_path / "d.parquet")
    with pa.OSFile(str(tmp_path / "s.arrow"), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)
    with pa.OSFile(str(tmp_path / "f.arrow"), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    for name in ("d.parquet", "s.arrow", "f.arrow"):
        rows = read(tmp_path / name)
        assert rows[:2] == [("1", ROWS[0]), ("2", ROWS[1])]
        assert rows[-1] == ("200", ROWS[1])
        assert count_rows(tmp_path / name) == 200


@pytest.mark.parametrize("name", ["d.parquet", "d.arrow", "d.jsonl.gz"])
def test_a_broken_container_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"no such format")
    with pytest.raises(DataError, match=f"{name}: cannot be read"):
        read(tmp_path / name)


def test_a_gzip_file_that_ends_early_is_refused(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl.gz").write_bytes(gzip.compress(b'{"a": 1}\n' * 1000)[:-10])
    with pytest.raises(DataError, match="cannot be read"):
        read(tmp_path / "d.jsonl.gz")


def test_a_missing_file_suggests_its_neighbours(tmp_path: Path) -> None:
    write(tmp_path / "pairs.jsonl", "")
    with pytest.raises(DataError, match=r"no such file: .*pair\.jsonl; did you mean .*pairs\.jsonl\?"):
        read(tmp_path / "pair.jsonl")
    with pytest.raises(DataError, match="no such file"):
        read(tmp_path / "nowhere" / "pair.jsonl")


def test_an_unknown_suffix_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"ends in \.jsonl, \.ndjson, \.json, \.csv"):
        read(write(tmp_path / "d.xlsx", ""))


def test_a_folder_gives_the_rows_of_its_files_and_of_data_below(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "README.md").write_text("no data")
    write(tmp_path / "dataset_info.json", "{}")
    write(tmp_path / "b.jsonl", '{"n": 2}\n')
    write(tmp_path / "a.csv", "n\n1\n")
    write(tmp_path / "data" / "c.json", '[{"n": 3}]')
    assert [row for _, row in read(tmp_path)] == [{"n": "1"}, {"n": 2}, {"n": 3}]
    assert next(read_rows(tmp_path))[0] == f"{tmp_path / 'a.csv'}:2"
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no data files in the folder .*empty; expected files that end in \.jsonl"):
        read(tmp_path / "empty")
