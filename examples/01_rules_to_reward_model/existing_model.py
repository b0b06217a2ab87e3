"""Use a reward model that exists: from the Hub, or from a folder. Checked before anything runs.

python existing_model.py --model-path ./reward_models/standalone
python existing_model.py --model-name OpenAssistant/reward-model-deberta-v3-large-v2
"""

from __future__ import annotations

import argparse

from plaudit import RewardModelLoader, RewardModelSourceConfig, RewardModelValidator, resolve_scorer


def main(model_name: str | None, model_path: str | None) -> None:
    source = RewardModelSourceConfig(
        source_type="pretrained_hf" if model_name else "pretrained_local", model_name=model_name, model_path=model_path
    )
    RewardModelValidator.validate_reward_source(source)  # exactly one source, and it can be had

    loader = RewardModelLoader()
    network = loader.load_from_huggingface(model_name) if model_name else loader.load_from_local(str(model_path))
    print(f"as a transformers model: {type(network).__name__}, {network.num_parameters():,} parameters")

    scorer = resolve_scorer(str(model_name or model_path))  # as everything in plaudit takes it
    scores = scorer.score(["How do I stay healthy?"] * 2, ["Eat well, sleep well, and move every day.", "idk"])
    print("scores:", [round(float(score), 4) for score in scores])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--model-name")
    group.add_argument("--model-path")
    arguments = parser.parse_args()
    main(arguments.model_name, arguments.model_path)
