"""Nothing half-written is ever left under a target's name."""

from __future__ import annotations

import errno
import gc
import os
import stat
import tempfile
from pathlib import Path
from typing import Any

import pytest

from plaudit.errors import ContractError, OutputError
from plaudit.files import ScratchFolder, atomic_folder, atomic_text


def no_space(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def refused(*_: Any, **__: Any) -> None:
    raise PermissionError(errno.EACCES, "Permission denied")


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "er" / "out"
    with atomic_folder(target) as staging:
        (staging / "a.txt").write_text("a")
        (staging / "sub").mkdir()
        (staging / "sub" / "b.txt").write_text("b")
        assert not target.exists()
    assert (target / "a.txt").read_text() == "a"
    assert (target / "sub" / "b.txt").read_text() == "b"
    assert [path.name for path in target.parent.iterdir()] == ["out"]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with atomic_folder(tmp_path / "out") as staging:
        (staging / "a.txt").write_text("a")
    assert contents(tmp_path / "out") == {"a.txt": "a"}


def test_files_take_the_place_of_older_ones_and_others_stay(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "sub").mkdir(parents=True)
    (out / "sub" / "old.txt").write_text("old")
    (out / "a.txt").write_text("old")
    (out / "mine.txt").write_text("mine")
    with atomic_folder(out) as staging:
        (staging / "a.txt").write_text("new")
        (staging / "sub").mkdir()
        (staging / "sub" / "new.txt").write_text("new")
    assert (out / "a.txt").read_text() == "new"
    assert (out / "mine.txt").read_text() == "mine"
    assert contents(out / "sub") == {"new.txt": "new"}


def test_stale_files_of_the_named_patterns_go(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for name in ("weights-1.bin", "weights.bin", "notes.txt", "contract"):
        (out / name).write_text("old")
    with atomic_folder(out, last="contract", replaces=("*.bin", "gone*")) as staging:
        (staging / "weights.bin").write_text("new")
        (staging / "contract").write_text("new")
    assert contents(out) == {"weights.bin": "new", "notes.txt": "old", "contract": "new"}


def test_the_last_file_goes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "old.txt").write_text("old")
    moved: list[str] = []
    replace = os.replace

    def record(source: Path, target: Path) -> None:
        moved.append(Path(target).name)
        replace(source, target)

    monkeypatch.setattr(os, "replace", record)
    with atomic_folder(out, last="b.json") as staging:
        for name in ("a", "b.json", "c", "z"):
            (staging / name).write_text(name)
    assert moved[-1] == "b.json"
    assert sorted(moved) == ["a", "b.json", "c", "z"]


@pytest.mark.parametrize("older", [True, False])
@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), OutputError),
        (Exception("No space left on device (os error 28)"), OutputError),  # as tokenizers says it
        (ContractError("scores differ"), ContractError),
        (ValueError("a bug"), ValueError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_a_failure_inside_leaves_the_target_as_it_was(
    tmp_path: Path, older: bool, error: BaseException, expected: type[BaseException]
) -> None:
    out = tmp_path / "out"
    if older:
        out.mkdir()
        (out / "a.txt").write_text("old")

    def write() -> None:
        with atomic_folder(out) as staging:
            (staging / "a.txt").write_text("new")
            raise error

    with pytest.raises(expected) as caught:
        write()
    if expected is OutputError:
        assert str(caught.value).startswith(f"writing {out} failed: No space left on device")
    assert [path.name for path in tmp_path.iterdir()] == (["out"] if older else [])
    assert not older or contents(out) == {"a.txt": "old"}


def test_a_read_only_parent_is_an_output_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "mkdtemp", refused)
    with (
        pytest.raises(OutputError, match=f"cannot write {tmp_path / 'out'}: Permission denied; choose another output"),
        atomic_folder(tmp_path / "out"),
    ):
        pass


def test_a_file_in_the_way_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="writing .* failed"), atomic_folder(tmp_path / "out") as staging:
        (staging / "a.txt").write_text("a")
    with pytest.raises(OutputError, match="cannot write"), atomic_folder(tmp_path / "out" / "deeper"):
        pass
    assert contents(tmp_path) == {"out": "a file"}


def test_what_is_written_may_be_read_by_whom_the_umask_allows(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with atomic_folder(tmp_path / "out") as staging:
            (staging / "a.txt").touch(mode=0o600)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o750
    assert stat.S_IMODE((tmp_path / "out" / "a.txt").stat().st_mode) == 0o640


def test_a_text_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "new" / "report.json"
    atomic_text(target, "ä")
    assert target.read_text(encoding="utf-8") == "ä"
    monkeypatch.setattr(os, "replace", no_space)
    with pytest.raises(OutputError, match="cannot write .*: No space left on device"):
        atomic_text(target, "b")
    assert contents(target.parent) == {"report.json": "ä"}


def test_a_text_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="choose another output"):
        atomic_text(tmp_path / "file" / "report.json", "a")
    with pytest.raises(OutputError, match="choose another output"):
        atomic_text(tmp_path, "a")  # a folder


def test_a_scratch_folder_goes_with_its_object() -> None:
    scratch = ScratchFolder("test")
    path = scratch.path
    (path / "a").write_text("a")
    del scratch
    gc.collect()
    assert not path.exists()


def test_a_forked_worker_does_not_remove_its_parents_scratch_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = ScratchFolder("test")
    path, parent = scratch.path, os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: parent + 1)
    del scratch
    gc.collect()
    assert path.exists()
    path.rmdir()
