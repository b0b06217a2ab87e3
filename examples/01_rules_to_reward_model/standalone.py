"""Train a reward model from rules, without any RL: functions -> scores -> model -> proof.

python standalone.py [--base-model embedded] [--output ./reward_models/standalone]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from texts import load_training_texts

from plaudit import RewardModel, RewardModelTrainer, RewardRegistry


def main(base_model: str, output: str, epochs: float) -> None:
    registry = RewardRegistry()
    print("there are:", ", ".join(registry.list_reward_functions()))
    functions = [
        registry.get_reward_function("length", low=20, high=60),
        registry.get_reward_function("sentiment"),
        registry.get_reward_function("safety"),
    ]
    trainer = RewardModelTrainer(
        base_model_name=base_model, reward_functions=functions, composite_weights=[0.3, 0.4, 0.3]
    )

    data = trainer.generate_training_data(load_training_texts(), batch_size=32)
    print(f"{len(data)} texts scored, from {min(data.reward_scores):.2f} to {max(data.reward_scores):.2f}")

    path = trainer.train_reward_model(data, output_dir=output, num_epochs=epochs, overwrite=True)
    figures = json.loads(Path(path, "metrics.json").read_text(encoding="utf-8"))["distillation"]
    print(f"saved to {path}; Spearman with the rules on held-out texts: {figures['overall']['spearman']['value']:.3f}")

    model = RewardModel.from_pretrained(path)
    print("a score:", float(model.score([None], ["That is a wonderful idea, and here is how to start."])[0]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base-model", default="embedded")
    parser.add_argument("--output", default="./reward_models/standalone")
    parser.add_argument("--epochs", type=float, default=3)
    arguments = parser.parse_args()
    main(arguments.base_model, arguments.output, arguments.epochs)
