"""From preferences to an aligned policy: train a reward model on pairs, prove it, then train a policy by it.

python data.py              # writes preferences.json and prompts.json; or bring your own
python train_then_ppo.py
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from plaudit import create_rl_trainer, train


def main(arguments: argparse.Namespace) -> None:
    # 1. a reward model: a tenth of the prompts is held out, and what is saved is proved to load to equal scores
    reward = train(
        data=arguments.preferences,
        model=arguments.model,
        output=arguments.reward_output,
        training={"num_train_epochs": arguments.reward_epochs},
        overwrite=True,
    )
    figures = json.loads((Path(arguments.reward_output) / "metrics.json").read_text(encoding="utf-8"))
    accuracy = figures["held_out"]["accuracy"]
    print(f"reward model {reward.folder}: accuracy {accuracy['value']:.3f} on held-out prompts")

    # 2. a policy that is trained by it
    trainer = create_rl_trainer(
        model_name=arguments.policy or arguments.model,
        algorithm="ppo",
        rl_reward_model_path=arguments.reward_output,
        dataset_name=arguments.prompts,
        batch_size=arguments.batch_size,
        max_samples=arguments.max_samples,
        max_new_tokens=arguments.max_new_tokens,
        output_dir=arguments.output,
        overwrite=True,
        show=lambda step: print(f"step {step['step']}: reward {step['reward']:.3f}, KL {step['kl']:.2f} nats"),
    )
    results = trainer.train()

    # 3. the end against the start, on prompts that neither was trained on
    print(f"saved to {results.output}")
    if results.win_rates is not None:
        print("\n".join(results.win_rates.lines()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preferences", default="preferences.json")
    parser.add_argument("--prompts", default="prompts.json")
    parser.add_argument("--model", default="gpt2", help="what the reward model starts from, and the policy too")
    parser.add_argument("--policy", help="another policy than --model: one that was fine-tuned to answer")
    parser.add_argument("--reward-output", default="./my-reward-model")
    parser.add_argument("--output", default="./ppo-with-reward")
    parser.add_argument("--reward-epochs", type=float, default=1)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--max-samples", type=int, help="use so many prompts")
    parser.add_argument("--max-new-tokens", type=int, default=48)
    main(parser.parse_args())
