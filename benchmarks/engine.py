"""Training and scoring through the engine against TRL's RewardTrainer and transformers' pipeline, both in one run.

    python benchmarks/engine.py train --data hh_helpful --pairs 16 [--steps 8] [--rounds 2] [--grouped] [--dtype bf16]
    python benchmarks/engine.py encoder                    (MiniLM on semeval13_student_pairs, 16 pairs a step)
    python benchmarks/engine.py score                      (16 responses of 128 tokens to a prompt of 512)
    python benchmarks/engine.py losses                     (20 steps of both: the same losses?)

Each side runs in processes of its own, in turns, through its public trainer: the same weights, the same tokens, the
same pairs in the same order, one thread. Time is CPU time of the steps without the first; memory is the process's peak.

The decoder is a random Qwen3 (8 layers, hidden 384, 15.7M parameters) with a byte-level BPE of 8,192 trained on the
file; texts of up to 1,024 tokens.

    needed     fraction of the matrix rate that a step reaches, counting only operations that no method can leave out:
               each distinct prefix once, causal attention without what is masked, three products a linear layer
    grouped    TRL is given the same pairs sorted by length, so that its batches pad little; plaudit's stay shuffled
    bf16       (--dtype bf16) both in bf16, TRL with gradient checkpointing, which are its defaults; plaudit without it
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from common import SHARED_DATA, finish

MOST_TOKENS = 1024


# -- what both sides get ---------------------------------------------------------------------------------------------


def prepare(folder: Path, data: str, pairs: int, *, seed: int) -> None:
    """A model folder and ``pairs.json``: tokenised pairs in the order of training."""
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForSequenceClassification

    rows = [json.loads(line) for line in (SHARED_DATA / f"preferences/{data}.jsonl").read_text().splitlines()]
    random.Random(seed).shuffle(rows)
    sides = [
        (_text(row["prompt"]) + _reply(row["chosen"]), _text(row["prompt"]) + _reply(row["rejected"])) for row in rows
    ]
    core = _bpe(text for both in sides for text in both)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|end|>", pad_token="<|pad|>")
    tokenizer.save_pretrained(folder)
    import torch

    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=8192,
        hidden_size=384,
        intermediate_size=1024,
        num_hidden_layers=8,
        num_attention_heads=6,
        num_key_value_heads=2,
        head_dim=64,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        num_labels=1,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    Qwen3ForSequenceClassification(config).save_pretrained(folder)
    tokens = [[[*core.encode(text).ids, tokenizer.eos_token_id] for text in both] for both in sides]
    kept = [both for both in tokens if max(map(len, both)) <= MOST_TOKENS and both[0] != both[1]]
    (folder / "pairs.json").write_text(json.dumps(kept[:pairs]))


def prepare_encoder(folder: Path, data: str, pairs: int, *, seed: int) -> None:
    """The embedded MiniLM with a fresh head, and tokens as plaudit renders them (without token types)."""
    from plaudit import load_preferences
    from plaudit.formatting import Renderer, RenderItem, default_spec
    from plaudit.models.build import load_model

    loaded = load_model("embedded", training=True, seed=seed)
    loaded.model.save_pretrained(folder)
    loaded.tokenizer.save_pretrained(folder)
    renderer = Renderer(loaded.tokenizer, default_spec(loaded.tokenizer, 256))
    examples = list(load_preferences(SHARED_DATA / f"preferences/{data}.jsonl"))
    random.Random(seed).shuffle(examples)
    items = [item for example in examples[:pairs] for item in RenderItem.of(example)]
    ids = [text.input_ids for text in renderer.render_batch(items, overlong="cut")]
    (folder / "pairs.json").write_text(json.dumps(list(zip(ids[0::2], ids[1::2], strict=True))))


def _bpe(texts: Any) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=8192,
        special_tokens=["<|pad|>", "<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(texts, trainer)
    return core


def _text(prompt: Any) -> str:
    if isinstance(prompt, str):
        return prompt
    return "".join(f"{turn['role']}: {turn['content']}\n\n" for turn in prompt)


def _reply(response: Any) -> str:
    return f"assistant: {response if isinstance(response, str) else response[-1]['content']}"


# -- one side, in a process of its own -------------------------------------------------------------------------------


def train_side(side: str, folder: Path, first: int, options: dict[str, Any]) -> dict[str, Any]:
    """Trains ``steps`` steps from pair ``first`` on; CPU seconds and losses by step, and the peak of memory."""
    import torch
    from datasets import Dataset
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, TrainerCallback

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    count = options["pairs"] * options["steps"]
    pairs = json.loads((folder / "pairs.json").read_text())[first : first + count]
    if options["grouped"] and side == "trl":
        pairs.sort(key=lambda both: max(map(len, both)))
        steps = [pairs[i : i + options["pairs"]] for i in range(0, count, options["pairs"])]
        random.Random(0).shuffle(steps)
        pairs = [both for step in steps for both in step]
    columns = {"chosen_ids": [both[0] for both in pairs], "rejected_ids": [both[1] for both in pairs]}
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1, dtype=torch.float32)
    defaults = options["dtype"] == "bf16"
    arguments = {
        "output_dir": str(folder / "out"),
        "per_device_train_batch_size": options["pairs"],
        "max_steps": options["steps"],
        "learning_rate": 1e-4,
        "train_sampling_strategy": "sequential",
        "use_cpu": True,
        "save_strategy": "no",
        "report_to": "none",
        "logging_steps": 1,
        "disable_tqdm": True,
        "max_length": None,
        "bf16": defaults,
        "gradient_checkpointing": defaults and side == "trl",
    }
    times: list[float] = []

    class Clock(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.start = time.process_time()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            times.append(time.process_time() - self.start)

    if side == "trl":
        import trl

        trainer: Any = trl.RewardTrainer(
            model,
            trl.RewardConfig(**arguments),
            train_dataset=Dataset.from_dict(columns),
            processing_class=tokenizer,
            callbacks=[Clock()],
        )
    else:
        import plaudit

        arguments["max_length"] = 2048
        trainer = plaudit.RewardTrainer(
            model,
            plaudit.RewardConfig(**arguments, **options["settings"]),
            train_dataset=Dataset.from_dict(columns),
            processing_class=tokenizer,
            callbacks=[Clock()],
        )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    trainer.train()
    report = {
        "seconds": times,
        "losses": [entry["loss"] for entry in trainer.state.log_history if "loss" in entry],
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "before_gib": before / 2**20,
    }
    if side == "plaudit":
        report |= {"gflop": [needed_gflop(model, step) for step in _chunks(pairs, options["pairs"])]}
        report |= {"tokens": _token_counts(pairs, options["pairs"], share=hasattr(model, "score"))}
        report["matrix_rate"] = matrix_rates()
    return report


def _chunks(pairs: list[Any], size: int) -> list[list[Any]]:
    return [pairs[i : i + size] for i in range(0, len(pairs), size)]


def _token_counts(pairs: list[Any], size: int, *, share: bool) -> dict[str, int]:
    """Over all steps: tokens of the texts, with each shared start once (decoders), and as one padded batch a step."""
    from plaudit.engine.packing import packed_size

    steps = _chunks(pairs, size)
    padded = sum(2 * len(step) * max(len(ids) for both in step for ids in both) for step in steps)
    return {
        "texts": sum(len(ids) for both in pairs for ids in both),
        "computed": sum(packed_size(both, share=share) for both in pairs),
        "padded": padded,
    }


def needed_gflop(model: Any, step: list[Any]) -> float:
    """Of one forward and backward pass over a step, in 1e9 operations; embeddings, norms and the like are free, and the
    last layer needs its keys and values only, but for the tokens that are read."""
    from plaudit.engine.packing import pack

    causal = hasattr(model, "score")
    layers = model.config.num_hidden_layers
    products = {n: m.weight.numel() for n, m in model.named_modules() if type(m).__name__.endswith("Linear")}
    layer = sum(size for name, size in products.items() if ".0." in name)
    keys_and_values = sum(
        s for n, s in products.items() if ".0." in n and n.endswith(("k_proj", "v_proj", "key", "value"))
    )
    heads = model.config.num_attention_heads * getattr(
        model.config, "head_dim", model.config.hidden_size // model.config.num_attention_heads
    )
    total = 0.0
    for both in step:
        packing = pack(both, share=causal)
        tokens = len(packing.ids)
        total += 6.0 * (tokens * (layer * (layers - 1) + keys_and_values) + 2 * (layer - keys_and_values))
        for stretch in packing.stretches:
            own, shared = stretch.length, stretch.shared
            seen = own * shared + (own * (own + 1) / 2 if causal else own * own)
            total += 3 * 4.0 * heads * (seen * (layers - 1) + own + shared)
    return total / 1e9


def matrix_rates() -> dict[str, float]:
    """1e9 operations a second of the three float32 products of a linear layer: the default library's, and oneDNN's."""
    import torch

    from plaudit.engine.linear import _OneDnn, fast_products

    x, w, g = torch.randn(2048, 384), torch.randn(1024, 384), torch.randn(2048, 1024)
    operations = 3 * 2 * 2048 * 384 * 1024

    def rate() -> float:
        best = float("inf")
        for _ in range(12):
            start = time.process_time()
            x @ w.T, g @ w, g.T @ x
            best = min(best, time.process_time() - start)
        return operations / best / 1e9

    rates = {"default": rate()}
    with _OneDnn():
        rates["onednn"] = rate()
    return rates | {"onednn_used": fast_products()}


# -- comparisons -----------------------------------------------------------------------------------------------------


def run_side(kind: str, side: str, folder: Path, **options: Any) -> dict[str, Any]:
    command = [sys.executable, __file__, "side", "--kind", kind, "--side", side, "--folder", str(folder)]
    command += ["--options", json.dumps(options)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def compare_training(arguments: argparse.Namespace, *, encoder: bool) -> dict[str, Any]:
    options = {"pairs": arguments.pairs, "steps": arguments.steps, "grouped": arguments.grouped}
    options |= {"dtype": arguments.dtype, "settings": json.loads(arguments.settings)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build = prepare_encoder if encoder else prepare
        build(folder, arguments.data, arguments.pairs * arguments.steps * arguments.rounds, seed=0)
        sides: dict[str, list[dict[str, Any]]] = {"trl": [], "plaudit": []}
        for turn in range(arguments.rounds):
            for side in ("trl", "plaudit") if turn % 2 == 0 else ("plaudit", "trl"):
                first = turn * arguments.pairs * arguments.steps
                sides[side].append(run_side("train", side, folder, first=first, **options))
                shown = sides[side][-1]["seconds"]
                print(f"{side}: {sum(shown[1:]) / max(1, len(shown) - 1):.2f} s a step", file=sys.stderr)
    seconds = {side: _mean([s for run in runs for s in run["seconds"][1:]]) for side, runs in sides.items()}
    peaks = {side: max(run["peak_gib"] for run in runs) for side, runs in sides.items()}
    ours = sides["plaudit"]
    gflop = _mean([g for run in ours for g in run["gflop"][1:]])
    rates = {name: max(run["matrix_rate"][name] for run in ours) for name in ("default", "onednn")}
    reached = gflop / seconds["plaudit"]
    tokens = {name: sum(run["tokens"][name] for run in ours) for name in ours[0]["tokens"]}
    result = {
        "data": arguments.data,
        "pairs_a_step": arguments.pairs,
        "steps": arguments.steps * arguments.rounds,
        "grouped_by_length_for_trl": arguments.grouped,
        "dtype": arguments.dtype,
        "settings": options["settings"],
        "seconds_a_step": {side: round(value, 3) for side, value in seconds.items()},
        "times_faster": round(seconds["trl"] / seconds["plaudit"], 2),
        "peak_gib": {side: round(value, 2) for side, value in peaks.items()},
        "peak_ratio": round(peaks["plaudit"] / peaks["trl"], 3),
        "tokens": tokens,
        "padded_over_computed": round(tokens["padded"] / tokens["computed"], 2),
        "gflop_per_second": round(reached, 1),
        "matrix_rate": {name: round(rate, 1) for name, rate in rates.items()},
        "onednn_used": ours[0]["matrix_rate"]["onednn_used"],
        "fraction_of_default_rate": round(reached / rates["default"], 3),
        "fraction_of_fastest_rate": round(reached / max(rates.values()), 3),
    }
    if not arguments.grouped:
        gaps = [
            abs(a - b)
            for trl, own in zip(sides["trl"], ours, strict=True)
            for a, b in zip(trl["losses"], own["losses"], strict=True)
        ]
        result["largest_loss_gap"] = max(gaps)
        result["last_losses"] = {side: runs[-1]["losses"][-1] for side, runs in sides.items()}
    return result


def compare_scoring(rounds: int) -> dict[str, Any]:
    """Both sides score the same 16 texts of 640 tokens, from text to score."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, "hh_helpful", 1, seed=0)
        runs: dict[str, list[dict[str, Any]]] = {}
        for _ in range(rounds):
            for side in ("plaudit", *(f"pipeline {size}" for size in (1, 2, 4, 8, 16))):
                runs.setdefault(side, []).append(run_side("score", side, folder))
                print(f"{side}: {runs[side][-1]['seconds']:.3f} s", file=sys.stderr)
    seconds = {side: min(run["seconds"] for run in each) for side, each in runs.items()}
    best = min((side for side in seconds if side != "plaudit"), key=seconds.__getitem__)
    ours, theirs = runs["plaudit"][0]["scores"], runs[best][0]["scores"]
    return {
        "responses": 16,
        "seconds": {side: round(value, 4) for side, value in seconds.items()},
        "best_pipeline": best,
        "times_faster": round(seconds[best] / seconds["plaudit"], 2),
        "largest_score_gap": max(abs(a - b) for a, b in zip(ours, theirs, strict=True)),
        "tokens": runs["plaudit"][0]["tokens"],
    }


def score_side(side: str, folder: Path) -> dict[str, Any]:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = (SHARED_DATA / "preferences/hh_helpful.jsonl").read_text().splitlines()
    words = " ".join(_text(json.loads(row)["prompt"]) for row in rows).split(" ")
    ids = tokenizer(" ".join(words[:20000]))["input_ids"]
    # texts whose tokens are the same when they are tokenised again, prompt and response cut at a word
    prompt = _cut(tokenizer, ids, 0, 512)
    responses = [" " + _cut(tokenizer, ids, 2000 + 400 * i, 128).strip() for i in range(16)]
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1).eval()
    if side == "plaudit":
        from plaudit import RewardModel
        from plaudit.formatting import RenderSpec

        spec = RenderSpec(layout="text", max_length=2048, separator="", add_eos=False)
        reward_model = RewardModel(model, tokenizer, spec)

        def run() -> list[float]:
            return [float(score) for score in reward_model.score([prompt] * 16, responses)]
    else:
        classifier = pipeline("text-classification", model=model, tokenizer=tokenizer, function_to_apply="none")
        size = int(side.split()[1])

        def run() -> list[float]:
            texts = [prompt + response for response in responses]
            return [float(result["score"]) for result in classifier(texts, batch_size=size)]

    run()
    times = []
    for _ in range(5):
        start = time.process_time()
        scores = run()
        times.append(time.process_time() - start)
    lengths = [len(tokenizer(prompt + response)["input_ids"]) for response in responses]
    return {
        "seconds": min(times),
        "scores": scores,
        "tokens": {"prompt": len(tokenizer(prompt)["input_ids"]), "texts": lengths},
    }


def _cut(tokenizer: Any, ids: list[int], start: int, length: int) -> str:
    return str(tokenizer.decode(ids[start : start + length]))


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["train", "encoder", "score", "losses", "side"])
    parser.add_argument("--data", default="hh_helpful")
    parser.add_argument("--pairs", type=int, default=16)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--grouped", action="store_true")
    parser.add_argument("--dtype", choices=["float32", "bf16"], default="float32")
    parser.add_argument("--settings", default="{}", help="further fields of RewardConfig for plaudit, as JSON")
    parser.add_argument("--no-save", action="store_true")
    for hidden in ("--kind", "--side", "--folder", "--options"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.what == "side":
        given = json.loads(arguments.options)
        if arguments.kind == "train":
            report = train_side(arguments.side, Path(arguments.folder), given.pop("first"), given)
        else:
            report = score_side(arguments.side, Path(arguments.folder))
        print(json.dumps(report))
        sys.exit()
    if arguments.what == "encoder" and arguments.data == "hh_helpful":
        arguments.data = "semeval13_student_pairs"
    if arguments.what == "losses":
        arguments.steps, arguments.rounds = 20, 1
    if arguments.what == "score":
        result = compare_scoring(arguments.rounds)
    else:
        result = compare_training(arguments, encoder=arguments.what == "encoder")
    name = f"engine-{arguments.what}"
    if arguments.what in ("train", "encoder"):
        name += f"-{arguments.data}-{arguments.pairs}" + ("-grouped" if arguments.grouped else "")
        name += "-bf16" if arguments.dtype == "bf16" else ""
    finish(name, result, save=not arguments.no_save)
