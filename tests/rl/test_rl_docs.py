"""What docs/rl.md says is so: its Python runs, every option of PPO and every figure of the log is in its tables."""

from __future__ import annotations

import json
import re
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from plaudit.rl.config import SOURCES
from plaudit.rl.ppo.settings import PPOSettings

DOCS = (Path(__file__).parents[2] / "docs" / "rl.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", DOCS, re.S)
SMALLER = {
    'output_dir="my-policy",': 'output_dir="my-policy", max_steps=2, batch_size=4, max_new_tokens=6, device="cpu",',
    'GRPOConfig(output_dir="grpo",': 'GRPOConfig(output_dir="grpo", max_steps=1, max_completion_length=6, use_cpu=1,',
}


@pytest.fixture
def folder(saved: Callable[[str, str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the page speaks of, in the current folder."""
    shutil.copytree(saved("qwen3", "base"), tmp_path / "my-sft")
    shutil.copytree(saved("bert", "reward"), tmp_path / "my-reward-model")
    rows = [{"prompt": f"List {number} fruits."} for number in range(20)]
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_the_python_of_the_page_runs(folder: Path, number: int) -> None:
    code = BLOCKS[number]
    for name, smaller in SMALLER.items():
        code = code.replace(name, smaller)
    assert code != BLOCKS[number]
    scope: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TRL's own
        exec(code, scope)
    if (folder / "my-policy").exists():
        for line in (folder / "my-policy" / "log.jsonl").read_text().splitlines():
            assert [name for name in json.loads(line) if f"`{name}`" not in DOCS] == []
        for name in ("results.json", "report.html", "log.jsonl", "samples.jsonl", "rl_config.yaml"):
            assert (folder / "my-policy" / name).is_file()
    else:
        assert scope["trainer"].state.log_history[0]["rewards/my-reward-model/mean"] is not None


def test_every_option_of_ppo_is_in_the_table() -> None:
    assert [name for name in PPOSettings.model_fields if f"`{name}`" not in DOCS] == []


def test_the_defaults_in_the_table_are_those_of_the_code() -> None:
    for name, field in PPOSettings.model_fields.items():
        said = re.search(rf"`{name}` \((-?[\d.]+)", DOCS)
        if said:
            assert float(said[1]) == field.default, name


def test_every_reward_source_is_in_the_table() -> None:
    assert [name for name in SOURCES if f"`{name}=" not in DOCS] == []
