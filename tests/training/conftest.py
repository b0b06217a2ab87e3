"""What several tests of training start from."""

from __future__ import annotations

import json

import pytest

from tiny_models import save_tiny

WORDS = "apple bread cloud delta eagle flame grape house igloo jelly kiosk lemon mango night ocean piano".split()


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny decoder without a reward head."""
    return str(save_tiny(tmp_path_factory.mktemp("base") / "qwen3", "qwen3", reward=False))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file of 50 pairs that a tiny model can learn."""
    file = tmp_path_factory.mktemp("data") / "pairs.jsonl"
    with file.open("w", encoding="utf-8") as out:
        for i in range(50):
            chosen, rejected = f"good {WORDS[i % 7]}", f"bad {WORDS[i % 11]}"
            print(json.dumps({"prompt": f"{WORDS[i % 16]} {i}", "chosen": chosen, "rejected": rejected}), file=out)
    return str(file)
