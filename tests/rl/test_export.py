"""Exports: what each target gets, what it is refused, and what the generated files do when they are really called."""

from __future__ import annotations

import json
import runpy
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, AutoTokenizer

from plaudit.calibration import Calibration, Calibrator, ReferenceScale
from plaudit.errors import ConfigError, DataError, ModelError, OutputError, RemoteError, RenderError, ScoreError
from plaudit.formatting import RenderSpec
from plaudit.models.attributes import Attributes
from plaudit.models.contract import ScoringContract
from plaudit.models.ensemble import Ensemble
from plaudit.models.lora import attach_adapter, lora_config
from plaudit.models.reward_model import RewardModel
from plaudit.rl.export import (
    TARGETS,
    ExportResult,
    RewardSource,
    ServedModel,
    check_server,
    export_model,
    prompt_in,
    response_in,
)
from plaudit.rl.export.dialects import DIALECTS
from tiny_models import save_tiny

PROMPT, RESPONSE = "What is the capital of France?", "Paris."
LONG = "Rivers carry water and stones to the sea. " * 100

Models = Callable[[str], Path]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """``models("qwen3")``: a reward model with a contract, at most 200 tokens."""
    root = tmp_path_factory.mktemp("rewards")

    def folder(family: str) -> Path:
        path = root / family
        if not path.exists():
            raw = save_tiny(root / f"{family}-raw", family, reward=True)
            RewardModel.from_pretrained(raw, device="cpu", max_length=200).save_pretrained(path)
        return path

    return folder


@pytest.fixture(scope="module")
def exported(models: Models, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """``exported("vllm", "qwen3")``: an export that tests read only."""
    root = tmp_path_factory.mktemp("exports")

    def folder(target: str, family: str) -> Path:
        path = root / f"{family}-{target}"
        if not path.exists():
            export_model(models(family), target, path, device="cpu")
        return path

    return folder


def export(model: Path | str, target: str, output: Path, **options: Any) -> ExportResult:
    return export_model(model, target, output, device="cpu", **options)


@lru_cache
def loaded(folder: Path) -> RewardModel:
    return RewardModel.from_pretrained(folder, device="cpu")


def expected(folder: Path, prompts: list[Any], responses: list[str], **options: Any) -> list[float]:
    return loaded(folder).score(prompts, responses, **options).tolist()


# -- a server in this process ------------------------------------------------------------------------------------------


class Plain:
    """The exported checkpoint behind the documented requests of a server, by transformers alone."""

    def __init__(self, folder: Path) -> None:
        self.model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.requests: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, path: str, body: dict[str, Any]) -> Any:
        self.requests.append((path, body))
        if "input" in body:
            scores = [self._ids(ids) for ids in body["input"]]
            rows = [{"index": i, "label": None, "probs": [s], "num_classes": 1} for i, s in enumerate(scores)]
            return {"object": "list", "data": rows[::-1]}  # no order is promised, indices are
        if "text_1" in body:
            scores = [self._pair([a, b]) for a, b in zip(body["text_1"], body["text_2"], strict=True)]
            return {"data": [{"index": i, "object": "score", "score": s} for i, s in enumerate(scores)]}
        if "input_ids" in body:
            return [{"embedding": [self._ids(ids)], "meta_info": {}} for ids in body["input_ids"]]
        assert body["raw_scores"] is True
        assert body["truncate"] is False
        return [[{"score": self._pair(texts), "label": "reward"}] for texts in body["inputs"]]

    @torch.inference_mode()
    def _ids(self, ids: list[int]) -> float:
        return float(self.model(input_ids=torch.tensor([ids])).logits[0, 0])

    @torch.inference_mode()
    def _pair(self, texts: list[str]) -> float:
        return float(self.model(**self.tokenizer(*texts, return_tensors="pt")).logits[0, 0])


@contextmanager
def serving(answer: Callable[[str, dict[str, Any]], Any]) -> Iterator[str]:
    """The address of a server; an answer that is bytes is sent as it is, a number is an HTTP status."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found = answer(self.path, body)
            status = found if isinstance(found, int) else 200
            data = (
                found if isinstance(found, bytes) else json.dumps({"detail": "no"} if status != 200 else found).encode()
            )
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None: ...

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None: ...  # a client that has given up

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The client does not sleep; the list holds how long it would have."""
    slept: list[float] = []
    monkeypatch.setattr("plaudit.posting.time.sleep", slept.append)
    monkeypatch.setattr("plaudit.posting.random.uniform", lambda low, high: 1.0)
    return slept


# -- what is written ---------------------------------------------------------------------------------------------------

ACCEPTED = [
    ("vllm", "qwen3"),
    ("vllm", "llama"),
    ("vllm", "gpt2"),
    ("vllm", "bert"),
    ("vllm", "roberta"),
    ("vllm", "modernbert"),
    ("sglang", "qwen3"),
    ("sglang", "llama"),
    ("tei", "bert"),
    ("tei", "roberta"),
    ("tei", "modernbert"),
    ("openrlhf", "qwen3"),
    ("openrlhf", "llama"),
    ("openrlhf", "gpt2"),
    ("verl", "qwen3"),
    ("verl", "llama"),
]
REFUSED = [
    ("tei", "qwen3", "encoders only, and this is a decoder"),
    ("openrlhf", "bert", "of a decoder, .* this is an encoder .*--function-only"),
    ("verl", "bert", "families .*Llama.* --function-only"),
    ("verl", "gpt2", "families .*Llama.* --function-only"),
    ("sglang", "gpt2", "families Gemma2, Llama, Qwen2, Qwen3, and this is a GPT2"),
    ("sglang", "roberta", "this is an encoder .*vllm and tei"),
]


@pytest.mark.parametrize(("target", "family"), ACCEPTED)
def test_an_export_is_a_checkpoint_that_scores_as_the_model(
    exported: Callable[[str, str], Path], models: Models, target: str, family: str
) -> None:
    folder = exported(target, family)
    config = json.loads((folder / "config.json").read_text())
    assert config["problem_type"] == "regression"
    assert len(config["id2label"]) == 1
    assert config["architectures"][0].endswith("ForSequenceClassification")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.pad_token_id not in (None, tokenizer.eos_token_id)
    assert list(folder.glob("*.safetensors"))
    prompts, responses = [PROMPT, LONG, None], [RESPONSE, "They flow.", "A bare text."]
    assert expected(folder, prompts, responses) == pytest.approx(expected(models(family), prompts, responses), abs=1e-5)
    facts = json.loads((folder / "export.json").read_text())
    assert any("plain transformers" in line for line in facts["checked"])
    assert any("did not run here" in line for line in facts["not_checked"])
    assert facts["files"].keys() == {path.name for path in folder.iterdir()}
    readme = (folder / "README.md").read_text()
    assert all(line in readme for line in (*facts["checked"], *facts["not_checked"]))


@pytest.mark.parametrize(("target", "family", "reason"), REFUSED)
def test_what_a_target_cannot_load_is_refused_with_the_reason(
    models: Models, tmp_path: Path, target: str, family: str, reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        export(models(family), target, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_every_target_is_tried() -> None:
    assert {target for target, _ in ACCEPTED} == set(TARGETS.names())


@pytest.mark.parametrize("target", ["vllm", "sglang", "tei", "openrlhf", "verl"])
def test_scripts_run_the_documented_command_with_the_folder_beside_them(
    exported: Callable[[str, str], Path], tmp_path: Path, target: str
) -> None:
    """The script is run with a stand-in for the program that writes down its arguments."""
    folder = exported(target, "bert" if target == "tei" else "llama")
    for program in ("vllm", "python3", "text-embeddings-router"):
        (tmp_path / program).write_text('#!/bin/sh\necho "$0" "$@"\n')
        (tmp_path / program).chmod(0o755)
    script = folder / ("train.sh" if target in ("openrlhf", "verl") else "serve.sh")
    environment = {
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "POLICY": "me/my policy",
        "PROMPTS": "p",
        "TRAIN": "t",
        "VALID": "v",
    }
    done = subprocess.run(
        [shutil.which("bash") or "bash", str(script), "--more", "x"], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    wanted = {
        "vllm": f"vllm serve {folder} --runner pooling --convert classify --served-model-name llama-vllm",
        "sglang": f"sglang.launch_server --model-path {folder} --is-embedding",
        "tei": f"text-embeddings-router --model-id {folder} --dtype float32",
        "openrlhf": f"--actor.model_name_or_path me/my policy --reward.model_name_or_path {folder}",
        "verl": f"reward.reward_model.model_path={folder}",
    }
    assert wanted[target] in done.stdout
    assert done.stdout.rstrip().endswith("--more x")


def test_a_script_without_its_variables_says_which_it_needs(exported: Callable[[str, str], Path]) -> None:
    done = subprocess.run(
        ["bash", str(exported("verl", "qwen3") / "train.sh")],
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "set POLICY" in done.stderr


def test_openrlhf_builds_the_reward_model_from_the_checkpoint(exported: Callable[[str, str], Path]) -> None:
    """As its loader does: the backbone under its prefix, a linear `score` without bias, the last attended token."""
    folder = exported("openrlhf", "llama")
    config = AutoConfig.from_pretrained(folder)
    backbone = AutoModel._model_mapping[type(config)]

    class Reward(backbone.__base__):  # type: ignore[name-defined, misc]
        def __init__(self, config: Any) -> None:
            super().__init__(config)
            setattr(self, self.base_model_prefix, backbone(config))
            self.score = torch.nn.Linear(config.hidden_size, 1, bias=False)
            self.post_init()

    model, info = Reward.from_pretrained(folder, config=config, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    golden = ScoringContract.load(folder).golden[:4]  # type: ignore[union-attr]
    longest = max(len(g.input_ids) for g in golden)
    ids = torch.tensor([[config.pad_token_id] * (longest - len(g.input_ids)) + g.input_ids for g in golden])
    mask = torch.tensor([[0] * (longest - len(g.input_ids)) + [1] * len(g.input_ids) for g in golden])
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    with torch.inference_mode():
        hidden = model.eval().model(ids, attention_mask=mask, position_ids=positions).last_hidden_state
        scores = model.score(hidden[:, -1])[:, 0]
    assert scores.tolist() == pytest.approx([g.score for g in golden], abs=1e-5)


def test_openrlhf_uses_the_checkpoint_only_where_rollouts_have_the_ids_of_the_contract(
    exported: Callable[[str, str], Path],
) -> None:
    own = json.loads((exported("openrlhf", "llama") / "export.json").read_text())
    assert own["route"].startswith("the checkpoint, on the policy's own token ids")
    for family in ("qwen3", "gpt2"):  # its template goes on after EOS; it has none
        other = json.loads((exported("openrlhf", family) / "export.json").read_text())
        assert other["route"].startswith("reward_func.py")
        assert "--reward.remote_url" in (exported("openrlhf", family) / "train.sh").read_text()


def test_a_policy_with_another_template_does_not_feed_the_checkpoint(models: Models, tmp_path: Path) -> None:
    found = export(models("llama"), "openrlhf", tmp_path / "out", policy=str(models("qwen3")))
    assert found.route.startswith("reward_func.py")
    ends = runpy.run_path(str(tmp_path / "out/reward_func.py"))["ENDS"]
    assert "<|im_end|>" in ends
    assert f"DEFAULT={models('qwen3')}" in (tmp_path / "out/train.sh").read_text()


def test_sglang_gets_a_bias_of_zero_where_its_head_has_one(exported: Callable[[str, str], Path]) -> None:
    weights = load_file(exported("sglang", "qwen3") / "model.safetensors")
    assert weights["score.bias"].tolist() == [0.0]
    assert "score.bias" not in load_file(exported("sglang", "llama") / "model.safetensors")
    assert "score.bias" not in load_file(exported("vllm", "qwen3") / "model.safetensors")


def test_sglang_has_room_for_a_text_that_fills_the_limit(
    exported: Callable[[str, str], Path], saved: Callable[[str, str], Path], tmp_path: Path
) -> None:
    assert "--context-length 216" in (exported("sglang", "qwen3") / "serve.sh").read_text()
    found = export(saved("qwen3", "reward"), "sglang", tmp_path / "out")  # its limit is all of its positions
    assert "--context-length 512" in (tmp_path / "out/serve.sh").read_text()
    assert any("refuses those that fill the limit" in line for line in found.unchecked)


def test_encoders_behind_vllm_are_told_to_apply_no_activation(exported: Callable[[str, str], Path]) -> None:
    config = json.loads((exported("vllm", "bert") / "config.json").read_text())
    assert config["sbert_ce_default_activation_function"] == "torch.nn.modules.linear.Identity"


def test_what_teis_gelu_changes_is_measured(exported: Callable[[str, str], Path]) -> None:
    folder = exported("tei", "bert")
    facts = json.loads((folder / "export.json").read_text())
    assert any("moves the golden scores by up to" in line for line in facts["not_checked"])
    assert json.loads((folder / "config.json").read_text())["hidden_act"] == "gelu"
    assert "tolerance=" in (folder / "reward_function.py").read_text()
    assert json.loads((folder / "sentence_bert_config.json").read_text())["max_seq_length"] == 200


def test_an_adapter_is_merged(saved: Callable[[str, str], Path], tmp_path: Path) -> None:
    base = RewardModel.from_pretrained(saved("qwen3", "reward"), device="cpu", max_length=200)
    torch.manual_seed(0)
    adapter = attach_adapter(base.model, lora_config(base.model, r=2))
    with torch.no_grad():
        for name, parameter in adapter.named_parameters():
            if "lora_B" in name:
                parameter += 0.05 * torch.randn_like(parameter)
    model = RewardModel(base.model, base.tokenizer, base.spec, adapter=adapter)
    model.save_pretrained(tmp_path / "adapter")
    found = export(tmp_path / "adapter", "vllm", tmp_path / "out")
    assert not (tmp_path / "out/adapter_config.json").exists()
    assert any("adapter is merged" in line for line in found.checked)
    scores = expected(tmp_path / "adapter", [PROMPT], [RESPONSE])
    assert expected(tmp_path / "out", [PROMPT], [RESPONSE]) == pytest.approx(scores, abs=1e-5)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_stays_as_it_is_with_a_float32_head(
    saved: Callable[[str, str], Path], tmp_path: Path, dtype: str
) -> None:
    model = RewardModel.from_pretrained(saved("llama", "reward"), device="cpu", max_length=200, dtype=dtype)
    model.save_pretrained(tmp_path / "half")
    for target in ("vllm", "verl", "openrlhf"):
        export(tmp_path / "half", target, tmp_path / target)
    weights = load_file(tmp_path / "vllm/model.safetensors")
    assert weights["score.weight"].dtype == torch.float32
    assert weights["model.embed_tokens.weight"].dtype == getattr(torch, dtype)
    assert f"--dtype {dtype}" in (tmp_path / "vllm/serve.sh").read_text()
    assert f"rollout.dtype={dtype}" in (tmp_path / "verl/train.sh").read_text()


def test_a_model_with_several_outputs_is_no_checkpoint_but_a_function(tmp_path: Path) -> None:
    raw = save_tiny(tmp_path / "raw", "qwen3", reward=True, num_labels=2)
    network = AutoModelForSequenceClassification.from_pretrained(raw)
    network.config.problem_type = "regression"
    network.config.id2label, network.config.label2id = {0: "help", 1: "style"}, {"help": 0, "style": 1}
    attributes = Attributes(("help", "style"), (0.0, 0.0), (1.0, 1.0), (0.5, 0.5))
    RewardModel(
        network, AutoTokenizer.from_pretrained(raw), RenderSpec("chat", 200), attributes=attributes
    ).save_pretrained(tmp_path / "rm")
    with pytest.raises(ConfigError, match=r"several outputs \(help, style\).*--function-only"):
        export(tmp_path / "rm", "verl", tmp_path / "out")
    export(tmp_path / "rm", "verl", tmp_path / "out", function_only=True)
    compute = runpy.run_path(str(tmp_path / "out/reward_function.py"))["compute_score"]
    found = compute("d", RESPONSE, None, {"prompt": PROMPT})["score"]
    assert found == pytest.approx(expected(tmp_path / "rm", [PROMPT], [RESPONSE])[0], abs=1e-5)


def test_a_third_party_model_gets_a_pad_token_of_its_own(saved: Callable[[str, str], Path], tmp_path: Path) -> None:
    found = export(saved("gpt2", "reward"), "vllm", tmp_path / "out")
    assert any("pad token was none: added" in line for line in found.unchecked)
    assert RewardModel.from_pretrained(tmp_path / "out", device="cpu").contract is not None


def test_a_layout_that_verl_does_not_reproduce_is_rendered_by_the_function(
    saved: Callable[[str, str], Path], tmp_path: Path
) -> None:
    for name, spec in {
        "plain": RenderSpec("text", 200),
        "thinking": RenderSpec("chat", 200, template_kwargs={"enable_thinking": False}),
    }.items():
        raw = RewardModel.from_pretrained(saved("qwen3", "reward"), device="cpu", max_length=200)
        RewardModel(raw.model, raw.tokenizer, spec).save_pretrained(tmp_path / name)
        found = export(tmp_path / name, "verl", tmp_path / f"{name}-out")
        assert "asked by reward_function.py with token ids" in found.route
        assert "custom_reward_function.path" in (tmp_path / f"{name}-out/train.sh").read_text()
    assert "Do not send `messages`" in _readme(tmp_path / "thinking", "vllm", tmp_path / "v")


def _readme(model: Path, target: str, output: Path) -> str:
    export(model, target, output)
    return (output / "README.md").read_text()


def test_a_text_layout_on_an_encoder_is_refused_for_tei(saved: Callable[[str, str], Path], tmp_path: Path) -> None:
    raw = RewardModel.from_pretrained(saved("bert", "reward"), device="cpu", max_length=200)
    RewardModel(raw.model, raw.tokenizer, RenderSpec("text", 200, add_eos=False)).save_pretrained(tmp_path / "text")
    with pytest.raises(ConfigError, match="reads the layout 'text', which no request can express"):
        export(tmp_path / "text", "tei", tmp_path / "out")


# -- refusals and outputs ----------------------------------------------------------------------------------------------


def test_an_export_is_replaced_only_when_asked(models: Models, tmp_path: Path) -> None:
    export(models("qwen3"), "sglang", tmp_path / "out")
    (tmp_path / "out/left-over.txt").write_text("x")
    with pytest.raises(OutputError, match="exists already"):
        export(models("qwen3"), "vllm", tmp_path / "out")
    export(models("qwen3"), "vllm", tmp_path / "out", overwrite=True)
    assert json.loads((tmp_path / "out/export.json").read_text())["target"] == "vllm"
    assert not (tmp_path / "out/left-over.txt").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_is_no_export_is_never_replaced(models: Models, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.tex").write_text("x")
    with pytest.raises(OutputError, match="is no export"):
        export(models("qwen3"), "vllm", tmp_path / "mine", overwrite=True)
    copy = Path(shutil.copytree(models("qwen3"), tmp_path / "rm"))
    with pytest.raises(OutputError, match="which is read"):
        export(copy, "vllm", copy, overwrite=True)
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="is a file"):
        export(copy, "vllm", tmp_path / "file")


@pytest.mark.parametrize(
    ("target", "options", "problem"),
    [
        ("vllm", {"function_only": True}, "function_only has no effect on vllm"),
        ("tei", {"policy": "p"}, "policy has no effect on tei"),
        ("vllm", {"overlong": "drop"}, "expected error or cut"),
        ("vlm", {}, r"unknown name 'vlm'.*did you mean 'vllm'"),
    ],
)
def test_options_without_effect_are_refused(
    models: Models, tmp_path: Path, target: str, options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem):
        export(models("qwen3"), target, tmp_path / "out", **options)


def test_servers_refuse_rules_and_ensembles(models: Models, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="it is a reward function, not a model"):
        export_model("length", "vllm", tmp_path / "out")
    members = [RewardModel.from_pretrained(models("qwen3"), device="cpu") for _ in range(2)]
    Ensemble(members).save_pretrained(tmp_path / "ensemble")
    with pytest.raises(ConfigError, match="it is an ensemble.*plaudit merge"):
        export(tmp_path / "ensemble", "sglang", tmp_path / "out")
    with pytest.raises(ConfigError, match="overlong has no effect on rules"):
        export_model("length", "verl", tmp_path / "out", overlong="cut")
    with pytest.raises(ConfigError, match="--policy is needed"):
        export_model("length", "openrlhf", tmp_path / "out")


def test_a_checkpoint_that_does_not_score_alike_is_not_exported(
    models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoilt(folder: Path, contract: ScoringContract) -> list[Any]:
        return [golden.check(golden.score + 1, [golden.score + 1], True, 1e-5) for golden in contract.golden]

    monkeypatch.setattr("plaudit.rl.export.checkpoint.check_plain_transformers", spoilt)
    with pytest.raises(ModelError, match="nothing was exported"):
        export(models("qwen3"), "vllm", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


# -- generated reward functions ----------------------------------------------------------------------------------------


def test_the_function_of_verl_scores_as_the_model(exported: Callable[[str, str], Path]) -> None:
    folder = exported("verl", "qwen3")
    compute = runpy.run_path(str(folder / "reward_function.py"))["compute_score"]
    row = {"prompt": [{"role": "user", "content": PROMPT}]}
    found = compute(data_source="d", solution_str=RESPONSE, ground_truth="ignored by a model", extra_info=row)
    assert found["score"] == pytest.approx(expected(folder, [PROMPT], [RESPONSE])[0], abs=1e-5)
    array = {"prompt": np.array(row["prompt"], dtype=object)}  # as rows of Parquet files arrive
    assert compute("d", RESPONSE, None, array) == found
    assert compute("d", RESPONSE, None, {"question": PROMPT}, prompt_key="question") == found
    with pytest.raises(DataError, match=r"extra_info\['prompt'\] should hold the prompt"):
        compute("d", RESPONSE, None, {})


def test_the_function_of_verl_asks_the_router_with_the_ids_of_the_contract(
    exported: Callable[[str, str], Path],
) -> None:
    folder = exported("verl", "qwen3")
    compute = runpy.run_path(str(folder / "reward_function.py"))["compute_score"]
    plain = Plain(folder)
    with serving(plain) as url:
        address = url.removeprefix("http://")
        found = compute(
            "d", "They flow.", None, {"prompt": LONG}, reward_router_address=address, reward_model_tokenizer=0
        )
    assert found["score"] == pytest.approx(expected(folder, [LONG], ["They flow."])[0], abs=1e-5)
    path, body = plain.requests[0]
    assert path == "/classify"
    assert len(body["input"][0]) <= 200


def test_the_function_of_openrlhf_takes_the_prompt_from_the_label(exported: Callable[[str, str], Path]) -> None:
    folder = exported("openrlhf", "qwen3")
    reward_func = runpy.run_path(str(folder / "reward_func.py"))["reward_func"]
    before = "<|im_start|>user\nanything\n<|im_end|>\n<|im_start|>assistant\n"
    queries = [f"{before}{RESPONSE}<|im_end|>", f"{before}I would rather not say.<|im_end|><|endoftext|>"]
    labels = [PROMPT, [{"role": "user", "content": PROMPT}]]
    found = reward_func(queries, [before] * 2, labels)
    assert isinstance(found["rewards"], torch.Tensor)
    scores = expected(folder, [PROMPT] * 2, [RESPONSE, "I would rather not say."])
    assert found["rewards"].tolist() == pytest.approx(scores, abs=1e-5)
    assert "scores" not in found  # nothing in [0, 1] is made up for a model that is not calibrated
    with pytest.raises(DataError, match="does not begin with its prompt"):
        reward_func(["another text"], [before], [PROMPT])
    with pytest.raises(DataError, match=r"the label \(--data.label_key\) should hold the prompt"):
        reward_func(queries[:1], [before], [""])
    with pytest.raises(ScoreError, match="the response is empty"):
        reward_func([before + "<|im_end|>"], [before], [PROMPT])


def test_a_calibrated_model_gives_openrlhf_scores_between_0_and_1(models: Models, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(models("qwen3"), tmp_path / "calibrated"))
    model = RewardModel.from_pretrained(folder, device="cpu")
    from plaudit.models.calibrated import fitted_for

    assert model.contract is not None
    reference = ReferenceScale.of([-1.0, 0.0, 3.0], name="reference")
    calibrator = Calibrator.from_dict({"method": "identity"})
    Calibration(calibrator=calibrator, reference=reference, fitted_for=fitted_for(model.contract)).save(folder)
    export(folder, "openrlhf", tmp_path / "out")
    reward_func = runpy.run_path(str(tmp_path / "out/reward_func.py"))["reward_func"]
    found = reward_func([f"q: {RESPONSE}"], ["q: "], [PROMPT])
    margin = float(found["rewards"][0]) - reference.mean
    assert float(found["scores"][0]) == pytest.approx(1 / (1 + np.exp(-margin)), abs=1e-5)


def test_a_rule_that_compares_gets_the_ground_truth(tmp_path: Path) -> None:
    found = export_model("rouge", "verl", tmp_path / "out")
    assert any("gives the scores that plaudit gives" in line for line in found.checked)
    assert not (tmp_path / "out/config.json").exists()
    compute = runpy.run_path(str(tmp_path / "out/reward_function.py"))["compute_score"]
    assert compute("d", "Paris it is", "Paris it is", {"prompt": PROMPT}) == {"score": 1.0}
    assert compute("d", "Rome", "Paris it is", {"prompt": PROMPT}) == {"score": 0.0}
    assert "reward_model.enable" not in (tmp_path / "out/train.sh").read_text()


def test_a_composite_and_an_ensemble_become_functions(models: Models, tmp_path: Path) -> None:
    members = [RewardModel.from_pretrained(models(family), device="cpu") for family in ("qwen3", "llama")]
    Ensemble(members).save_pretrained(tmp_path / "ensemble")
    (tmp_path / "mix.yaml").write_text("rewards: ['length=1']\nnormalize: none\n")
    for spec in ("ensemble", "mix.yaml"):
        found = export(tmp_path / spec, "openrlhf", tmp_path / f"{spec}-out", policy=str(models("qwen3")))
        assert found.route.startswith("reward_func.py")
        assert any("gives the scores that plaudit gives" in line for line in found.checked)


def test_function_only_scores_what_the_target_cannot_load(models: Models, tmp_path: Path) -> None:
    export(models("bert"), "verl", tmp_path / "out", function_only=True)
    compute = runpy.run_path(str(tmp_path / "out/reward_function.py"))["compute_score"]
    found = compute("d", RESPONSE, None, {"prompt": PROMPT})["score"]
    assert found == pytest.approx(expected(models("bert"), [PROMPT], [RESPONSE])[0], abs=1e-5)


def test_an_empty_response_has_the_score_that_was_chosen_for_it(models: Models) -> None:
    chosen = RewardSource(models("qwen3"), empty_score=-4.0)
    found = chosen.score([PROMPT, PROMPT, PROMPT], ["", RESPONSE, " \n"])
    assert found[0] == found[2] == -4.0
    assert found[1] == pytest.approx(expected(models("qwen3"), [PROMPT], [RESPONSE])[0], abs=1e-5)
    with pytest.raises(ScoreError, match="item 1: the response is empty"):
        RewardSource(models("qwen3")).score([PROMPT] * 2, [RESPONSE, ""])


def test_an_overlong_response_is_an_error_unless_it_may_be_cut(models: Models) -> None:
    with pytest.raises(RenderError, match="over the limit"):
        RewardSource(models("qwen3")).score([PROMPT], [LONG])
    found = RewardSource(models("qwen3"), overlong="cut").score([PROMPT], [LONG])
    assert found == pytest.approx(expected(models("qwen3"), [PROMPT], [LONG], overlong="cut"), abs=1e-5)


def test_responses_and_prompts_are_found_in_what_trainers_pass() -> None:
    assert response_in("a b<e><p><e>", "a ", ["<e>", "<p>"]) == "b"
    assert response_in("a b<e>c", "a ", ["<e>"]) == "b<e>c"
    assert prompt_in({"prompt": "q", "reference": 4}, "x") == ("q", "4")
    for row in (None, "", [], 3, ["a"], {"reference": "r"}):
        with pytest.raises(DataError, match="x should hold the prompt"):
            prompt_in(row, "x")


# -- the client --------------------------------------------------------------------------------------------------------

SERVED = [(target, family) for target, family in ACCEPTED if target in DIALECTS.names()]


@pytest.mark.parametrize(("target", "family"), SERVED)
def test_the_client_gets_from_the_server_what_the_model_scores(
    exported: Callable[[str, str], Path],
    target: str,
    family: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = exported(target, family)
    plain = Plain(folder)
    prompts: list[Any] = [PROMPT, None, [{"role": "user", "content": PROMPT}], PROMPT]
    responses = [RESPONSE, "A bare text.", RESPONSE, "Rome, perhaps, or Berlin."]
    with serving(plain) as url:
        monkeypatch.setenv("PLAUDIT_REWARD_URL", url)
        module = runpy.run_path(str(folder / "reward_function.py"))
        assert module["score"](prompts, responses) == pytest.approx(expected(folder, prompts, responses), abs=1e-5)
        assert check_server(module["REWARDS"]) == 0
    assert plain("", json.loads((folder / "request.json").read_text()))
    assert capsys.readouterr().out.splitlines()[-1].startswith("8 of 8 golden scores agree")


@pytest.mark.parametrize(("target", "family"), [("tei", "bert"), ("tei", "roberta"), ("vllm", "bert")])
def test_an_overlong_pair_is_sent_as_a_shorter_text_with_the_same_tokens(
    exported: Callable[[str, str], Path], target: str, family: str
) -> None:
    folder = exported(target, family)
    turns = [{"role": "user", "content": LONG}, {"role": "assistant", "content": "They flow."}]
    conversation = [*turns, *turns[:1], turns[1], {"role": "user", "content": LONG + PROMPT}]
    plain = Plain(folder)
    with serving(plain) as url:
        found = ServedModel(folder, url, target).score([LONG, conversation], ["They flow downhill."] * 2)
    scores = expected(folder, [LONG, conversation], ["They flow downhill."] * 2)
    assert found.tolist() == pytest.approx(scores, abs=1e-5)


def test_a_text_that_the_dialect_cannot_express_is_refused_with_its_index(exported: Callable[[str, str], Path]) -> None:
    words = " ".join(["x" * 90] * 5)  # is cut inside of a word, whose pieces are no words of their own
    for target in ("tei", "vllm"):
        served = ServedModel(exported(target, "bert"), "http://127.0.0.1:9", target)
        with pytest.raises(RenderError, match="item 1: the text loses .* no shorter text has just the tokens"):
            served.score([PROMPT, words], [RESPONSE, RESPONSE])


def test_many_texts_are_sent_in_several_requests(exported: Callable[[str, str], Path]) -> None:
    folder = exported("tei", "bert")
    plain = Plain(folder)
    responses = [f"answer {i}" for i in range(70)]
    with serving(plain) as url:
        found = ServedModel(folder, url, "tei").score([PROMPT] * 70, responses)
    assert [len(body["inputs"]) for _, body in plain.requests] == [32, 32, 6]
    assert found.tolist() == pytest.approx(expected(folder, [PROMPT] * 70, responses), abs=1e-5)


GOOD = {"index": 0, "probs": [0.5], "num_classes": 1}
NONSENSE = {
    "not JSON": (b"<html>", "the answer is no JSON"),
    "NaN": ({"data": [GOOD | {"probs": [float("nan")]}]}, "score nan; expected a finite"),
    "infinite": (b'{"data": [{"index": 0, "probs": [1e999]}]}', "score inf; expected a finite"),
    "too many scores": ({"data": [GOOD, GOOD | {"index": 1}]}, "2 scores for 1 responses"),
    "none": ({"data": []}, "0 scores for 1 responses"),
    "two labels": ({"data": [GOOD | {"probs": [0.5, 0.5]}]}, "where one score was expected"),
    "too large": ({"data": [GOOD | {"probs": [1e39]}]}, "score 1e.39; expected a finite"),
    "text": ({"data": [GOOD | {"probs": ["0.5"]}]}, "score '0.5'; expected a finite"),
    "true": ({"data": [GOOD | {"probs": [True]}]}, "score True; expected a finite"),
    "wrong index": ({"data": [GOOD | {"index": 4}]}, "indices"),
    "other form": ({"scores": [1.0]}, "another form than documented"),
    "a list": ([0.5], "another form than documented"),
    "HTTP 500": (500, "status 500"),
    "HTTP 429": (429, "status 429"),
}


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_is_asked_again_and_then_an_error_and_never_a_score(
    exported: Callable[[str, str], Path], waits: list[float], name: str
) -> None:
    answer, problem = NONSENSE[name]
    asked: list[str] = []

    def nonsense(path: str, body: dict[str, Any]) -> Any:
        asked.append(path)
        return answer

    with serving(nonsense) as url:
        served = ServedModel(exported("vllm", "qwen3"), url, "vllm", retries=2)
        with pytest.raises(RemoteError, match=f"was asked 3 times.*{problem}"):
            served.score([PROMPT], [RESPONSE])
    assert len(asked) == 3
    assert waits == [0.5, 1.0]


def test_a_server_that_recovers_is_forgiven(exported: Callable[[str, str], Path], waits: list[float]) -> None:
    folder = exported("vllm", "qwen3")
    plain = Plain(folder)
    failures = [500, b"", {"data": []}]

    def shaky(path: str, body: dict[str, Any]) -> Any:
        return failures.pop() if failures else plain(path, body)

    with serving(shaky) as url:
        found = ServedModel(folder, url, "vllm").score([PROMPT], [RESPONSE])
    assert found.tolist() == pytest.approx(expected(folder, [PROMPT], [RESPONSE]), abs=1e-5)
    assert len(waits) == 3


@pytest.mark.parametrize("status", [400, 404, 307])
def test_a_refused_request_is_not_repeated(
    exported: Callable[[str, str], Path], waits: list[float], status: int
) -> None:
    with serving(lambda path, body: status) as url:
        served = ServedModel(exported("vllm", "qwen3"), url, "vllm")
        with pytest.raises(RemoteError, match=f"refused the request: status {status}"):
            served.score([PROMPT], [RESPONSE])
    assert waits == []


def test_a_server_that_is_down_or_silent_is_an_error(exported: Callable[[str, str], Path], waits: list[float]) -> None:
    folder = exported("vllm", "qwen3")
    with serving(lambda path, body: {}) as url:
        pass
    with pytest.raises(RemoteError, match="was asked 2 times.*no connection"):
        ServedModel(folder, url, "vllm", retries=1).score([PROMPT], [RESPONSE])
    release = threading.Event()

    def silent(path: str, body: dict[str, Any]) -> Any:
        release.wait(10)
        return {}

    with serving(silent) as url:
        with pytest.raises(RemoteError, match="no answer within 0.2 s"):
            ServedModel(folder, url, "vllm", retries=0, timeout=0.2).score([PROMPT], [RESPONSE])
        release.set()


def test_a_server_with_other_weights_is_noticed(
    exported: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = exported("sglang", "qwen3")
    with serving(lambda path, body: [{"embedding": [7.0]} for _ in body["input_ids"]]) as url:
        monkeypatch.setenv("PLAUDIT_REWARD_URL", url)
        assert check_server(RewardSource(folder, dialect="sglang")) == 1
    out = capsys.readouterr().out
    assert "DIFFERS" in out
    assert "0 of 8 golden scores agree" in out


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"url": "localhost:8000"}, "http://host:port"),
        ({"timeout": 0}, "timeout"),
        ({"dialect": "tgi"}, "unknown name"),
    ],
)
def test_a_client_that_cannot_work_is_refused(
    exported: Callable[[str, str], Path], change: dict[str, Any], error: str
) -> None:
    with pytest.raises(ConfigError, match=error):
        ServedModel(exported("vllm", "qwen3"), **({"url": "http://x", "dialect": "vllm"} | change))


def test_a_client_needs_the_contract(saved: Callable[[str, str], Path], models: Models, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="has no scoring contract"):
        ServedModel(saved("qwen3", "reward"), "http://x", "vllm")
    with pytest.raises(ConfigError, match="references"):
        ServedModel(models("qwen3"), "http://x", "vllm").score([PROMPT], [RESPONSE], references=["Paris"])


def test_an_address_for_a_rule_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAUDIT_REWARD_URL", "http://127.0.0.1:1")
    with pytest.raises(ConfigError, match="scored in this process; unset it"):
        RewardSource("length").score([PROMPT], [RESPONSE])
