"""Features: the reward is linear in them, and what is cached is what would be computed."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plaudit.errors import ConfigError, ModelError, OutputError, RenderError, ScoreError
from plaudit.models import features as module
from plaudit.models import reward_model
from plaudit.models.features import Extractor, FeatureCache, RewardModelFeatures, cache_folder
from plaudit.models.reward_model import RewardModel
from plaudit.types import Prompt, Response
from tiny_models import FAMILIES

PROMPTS: list[Prompt] = ["What is it?", "What is it?", None, "A river", [{"role": "user", "content": "Which?"}]]
RESPONSES: list[Response] = ["good", "bad " * 50, "A text on its own.", "the sea 🌊", "apples"]


class Letters:
    """Counts of four letters; remembers how many texts it was asked for."""

    fingerprint = "letters-1"
    dimension = 4

    def __init__(self) -> None:
        self.asked = 0

    def extract(self, prompts: Sequence[Prompt], responses: Sequence[Response]) -> npt.NDArray[np.float32]:
        self.asked += len(responses)
        return np.array([[str(r).count(letter) for letter in "abcd"] for r in responses], dtype=np.float32)


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHARD_ROWS", 2)


def only_folder(root: Path) -> Path:
    (folder,) = root.iterdir()
    return folder


# --- of a reward model ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_the_last_layer_turns_features_into_the_scores(saved: Callable[[str, str], Path], family: str) -> None:
    model = RewardModel.from_pretrained(saved(family, "reward"), device="cpu")
    extractor = RewardModelFeatures(model)
    features = extractor.extract(PROMPTS, RESPONSES)
    assert features.shape == (5, extractor.dimension)
    assert features.dtype == np.float32
    with torch.no_grad():
        again = extractor.last_layer(torch.from_numpy(features)).flatten().numpy()
    np.testing.assert_allclose(again, model.score(PROMPTS, RESPONSES), rtol=0, atol=1e-5)
    assert isinstance(extractor, Extractor)


def test_features_do_not_depend_on_batches(saved: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    extractor = RewardModelFeatures(RewardModel.from_pretrained(saved("qwen3", "reward"), device="cpu"))
    together = extractor.extract(PROMPTS, RESPONSES)
    monkeypatch.setattr(reward_model, "SCORING_TOKENS", {"cpu": 8})
    np.testing.assert_allclose(extractor.extract(PROMPTS, RESPONSES), together, atol=1e-5)


def test_running_out_of_memory_halves_the_batch(
    saved: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    extractor = RewardModelFeatures(RewardModel.from_pretrained(saved("qwen3", "reward"), device="cpu"))
    expected, states = extractor.extract(PROMPTS, RESPONSES), extractor._states

    def crowded(texts: Sequence[Any]) -> npt.NDArray[np.float32]:
        if len(texts) > 1:
            raise torch.OutOfMemoryError
        return states(texts)

    monkeypatch.setattr(extractor, "_states", crowded)
    np.testing.assert_allclose(extractor.extract(PROMPTS, RESPONSES), expected, atol=1e-5)


def test_the_fingerprint_follows_weights_and_rendering(saved: Callable[[str, str], Path]) -> None:
    model = RewardModel.from_pretrained(saved("qwen3", "reward"), device="cpu")
    same = RewardModel.from_pretrained(saved("qwen3", "reward"), device="cpu")
    first = RewardModelFeatures(model).fingerprint
    assert RewardModelFeatures(same).fingerprint == first
    assert RewardModelFeatures(same, overlong="cut").fingerprint != first
    with torch.no_grad():
        same.model.score.weight.mul_(1.001)  # type: ignore[union-attr, operator]
    assert RewardModelFeatures(same).fingerprint != first


def test_a_response_that_cannot_be_rendered_is_named(saved: Callable[[str, str], Path]) -> None:
    extractor = RewardModelFeatures(RewardModel.from_pretrained(saved("qwen3", "reward"), device="cpu"))
    with pytest.raises(RenderError, match="item 1"):
        extractor.extract(["a", "b"], ["fine", ""])
    with pytest.raises(RenderError, match="item 1"):
        extractor.extract(["a", "b"], ["fine", "word " * 10_000])
    cut = RewardModelFeatures(extractor.model, overlong="cut").extract(["a", "b"], ["fine", "word " * 10_000])
    assert cut.shape == (2, extractor.dimension)


def test_a_head_that_goes_on_after_its_linear_layer_is_refused(
    saved: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    extractor = RewardModelFeatures(RewardModel.from_pretrained(saved("bert", "reward"), device="cpu"))
    scores = extractor._scores
    monkeypatch.setattr(extractor, "_scores", lambda texts: scores(texts).tanh() + 1)
    with pytest.raises(ModelError, match="does not end in a linear layer"):
        extractor.extract(PROMPTS, RESPONSES)


# --- the cache --------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_shards")
def test_cached_features_are_those_computed_and_computed_once(tmp_path: Path) -> None:
    extractor, cache = Letters(), FeatureCache(tmp_path)
    done: list[int] = []
    rows = cache.features(extractor, PROMPTS, RESPONSES, progress=done.append)
    np.testing.assert_array_equal(rows, Letters().extract(PROMPTS, RESPONSES))
    assert isinstance(rows, np.memmap)
    assert not rows.flags.writeable
    assert done == [2, 2, 1]
    assert extractor.asked == 5
    np.testing.assert_array_equal(FeatureCache(tmp_path).features(extractor, PROMPTS, RESPONSES), rows)
    assert extractor.asked == 5


def test_other_texts_prompts_or_extractors_have_features_of_their_own(tmp_path: Path) -> None:
    extractor, cache = Letters(), FeatureCache(tmp_path)
    cache.features(extractor, ["x"], ["abc"])
    cache.features(extractor, ["y"], ["abc"])
    cache.features(extractor, [None], ["abc"])
    cache.features(extractor, ["x"], ["abcd"])
    extractor.fingerprint = "letters-2"
    cache.features(extractor, ["x"], ["abc"])
    assert extractor.asked == 5
    assert len(list(tmp_path.iterdir())) == 5


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pairs=st.lists(st.tuples(st.none() | st.text(), st.text()), max_size=7))
def test_any_texts_can_be_kept(tmp_path: Path, pairs: list[tuple[str | None, str]]) -> None:
    prompts, responses = [prompt for prompt, _ in pairs], [response for _, response in pairs]
    rows = FeatureCache(tmp_path).features(Letters(), prompts, responses)
    expected = Letters().extract(prompts, responses).reshape(-1, 4)
    np.testing.assert_array_equal(rows, expected)


@pytest.mark.usefixtures("small_shards")
def test_a_damaged_shard_is_noticed_and_computed_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    extractor, cache = Letters(), FeatureCache(tmp_path)
    expected = np.array(cache.features(extractor, PROMPTS, RESPONSES))
    path = only_folder(tmp_path) / "features.f32"
    content = bytearray(path.read_bytes())
    content[40] ^= 1  # row 2, of the second shard
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING, "plaudit"):
        np.testing.assert_array_equal(cache.features(extractor, PROMPTS, RESPONSES), expected)
    assert extractor.asked == 7
    assert "were damaged; computed again" in caplog.text
    caplog.clear()
    cache.features(extractor, PROMPTS, RESPONSES)
    assert not caplog.records


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize("left", [b"", b"[0, ", b"garbage\n[1]\n\xff\n"])
def test_a_damaged_ledger_costs_time_and_nothing_else(tmp_path: Path, left: bytes) -> None:
    extractor, cache = Letters(), FeatureCache(tmp_path)
    expected = np.array(cache.features(extractor, PROMPTS, RESPONSES))
    (only_folder(tmp_path) / "shards.jsonl").write_bytes(left)
    np.testing.assert_array_equal(cache.features(extractor, PROMPTS, RESPONSES), expected)
    assert extractor.asked == 10
    cache.features(extractor, PROMPTS, RESPONSES)
    assert extractor.asked == 10


@pytest.mark.usefixtures("small_shards")
def test_a_file_cut_short_is_noticed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    extractor, cache = Letters(), FeatureCache(tmp_path)
    expected = np.array(cache.features(extractor, PROMPTS, RESPONSES))
    path = only_folder(tmp_path) / "features.f32"
    os.truncate(path, 20)
    with caplog.at_level(logging.WARNING, "plaudit"):
        np.testing.assert_array_equal(cache.features(extractor, PROMPTS, RESPONSES), expected)
    assert "were damaged" in caplog.text


KILLED = """
import os, signal, sys
import numpy as np
from plaudit.models import features as module
module.SHARD_ROWS = 2
class Killed:
    fingerprint, dimension, asked = "letters-1", 4, 0
    def extract(self, prompts, responses):
        Killed.asked += len(responses)
        if Killed.asked > 4:
            os.kill(os.getpid(), signal.SIGKILL)
        return np.array([[r.count(letter) for letter in "abcd"] for r in responses], dtype=np.float32)
module.FeatureCache(sys.argv[1]).features(Killed(), [None] * 7, ["a" * i + "bcd" for i in range(7)])
"""


@pytest.mark.usefixtures("small_shards")
def test_a_killed_process_goes_on_where_it_was(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert ended.returncode == -signal.SIGKILL
    extractor = Letters()
    responses = ["a" * i + "bcd" for i in range(7)]
    rows = FeatureCache(tmp_path).features(extractor, [None] * 7, responses)
    assert extractor.asked == 3
    np.testing.assert_array_equal(rows, Letters().extract([None] * 7, responses))
    ledger = (only_folder(tmp_path) / "shards.jsonl").read_text().splitlines()
    assert [json.loads(line)[0] for line in ledger] == [0, 2, 4, 6]


class Wrong(Letters):
    def __init__(self, rows: Any) -> None:
        super().__init__()
        self.rows = rows

    def extract(self, prompts: Sequence[Prompt], responses: Sequence[Response]) -> npt.NDArray[np.float32]:
        return np.array(self.rows, dtype=np.float32)


def test_features_of_the_wrong_shape_or_value_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ScoreError, match=r"gave \(1, 3\) features; expected \(1, 4\)"):
        FeatureCache(tmp_path).features(Wrong([[1, 2, 3]]), [None], ["a"])
    with pytest.raises(ScoreError, match="item 1: its features are not finite"):
        FeatureCache(tmp_path).features(Wrong([[1, 2, 3, 4], [1, 2, 3, np.nan]]), [None, None], ["a", "b"])
    with pytest.raises(ConfigError, match="got 1 and 2"):
        FeatureCache(tmp_path).features(Letters(), [None], ["a", "b"])


@pytest.mark.usefixtures("small_shards")
def test_an_item_that_the_extractor_refuses_is_named_by_its_place_in_the_whole_list(tmp_path: Path) -> None:
    class Picky(Letters):
        def extract(self, prompts: Sequence[Prompt], responses: Sequence[Response]) -> npt.NDArray[np.float32]:
            if "" in responses:
                raise RenderError("the response is empty", list(responses).index(""))
            return super().extract(prompts, responses)

    with pytest.raises(RenderError, match="item 3: the response is empty"):
        FeatureCache(tmp_path).features(Picky(), [None] * 4, ["a", "b", "c", ""])


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="set PLAUDIT_CACHE"):
        FeatureCache(tmp_path / "file").features(Letters(), [None], ["a"])


def test_the_folder_is_the_users_unless_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAUDIT_CACHE", str(tmp_path / "mine"))
    assert FeatureCache().folder == tmp_path / "mine" / "features"
    monkeypatch.delenv("PLAUDIT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "all"))
    assert cache_folder() == tmp_path / "all" / "plaudit"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "plaudit"
