"""A whole training as one configuration, validated with messages that say what to do.

python configuration.py [--base-model embedded] [--output ./reward_models/configured]
"""

from __future__ import annotations

import argparse

from texts import load_training_texts

from plaudit import PlauditError, RewardModelTrainer, RewardModelTrainingConfig, RewardModelValidator


def main(base_model: str, output: str) -> None:
    config = RewardModelTrainingConfig(
        base_model_name=base_model,
        training_texts=load_training_texts(120),
        reward_functions=["length", "sentiment", "safety", "toxicity"],
        output_dir=output,
        reward_weights=[0.2, 0.3, 0.3, 0.2],
        num_epochs=1,
        learning_rate=5e-5,
        max_length=128,
    )
    RewardModelValidator.validate_training_config(config)
    trainer = RewardModelTrainer.from_config(config)
    data = trainer.generate_training_data(config.training_texts, config.reference_texts, max_length=config.max_length)
    path = trainer.train_reward_model(
        data,
        config.output_dir,
        config.num_epochs,
        config.learning_rate,
        config.batch_size,
        gradient_accumulation_steps=config.gradient_accumulation_steps,
        overwrite=True,
    )
    print(f"saved to {path}")

    for change in ({"training_texts": config.training_texts[:2]}, {"reward_functions": ["lenght"]}):
        wrong = RewardModelTrainingConfig(**vars(config) | change)
        try:
            RewardModelValidator.validate_training_config(wrong)
        except PlauditError as error:
            print("refused:", error)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base-model", default="embedded")
    parser.add_argument("--output", default="./reward_models/configured")
    arguments = parser.parse_args()
    main(arguments.base_model, arguments.output)
