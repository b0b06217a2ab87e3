"""The same at scale: texts are streamed and scored in shards, and a run that was killed goes on where it was.

python pipeline.py [--base-model embedded] [--output ./reward_models/pipeline] [--resume]
"""

from __future__ import annotations

import argparse

from texts import load_training_texts

from plaudit import RewardModelTrainer


def main(base_model: str, output: str, epochs: float, resume: bool) -> None:
    trainer = RewardModelTrainer(base_model, ["length{target: 40}", "readability", "repetition"], [0.4, 0.4, 0.2])
    path = trainer.create_scalable_pipeline(
        ({"text": text} for text in load_training_texts()),  # any iterable, file or Hub data set
        output,
        num_epochs=epochs,
        objective="pairs",  # learn which of two texts scores higher, with the difference as margin
        min_gap=0.02,
        shard_size=100,
        resume=resume,
        overwrite=not resume,
    )
    print(f"saved to {path}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base-model", default="embedded")
    parser.add_argument("--output", default="./reward_models/pipeline")
    parser.add_argument("--epochs", type=float, default=1)
    parser.add_argument("--resume", action="store_true")
    arguments = parser.parse_args()
    main(arguments.base_model, arguments.output, arguments.epochs, arguments.resume)
