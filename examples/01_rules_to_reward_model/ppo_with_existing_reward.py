"""PPO with a reward model that exists: from the Hub, or from a folder.

python ppo_with_existing_reward.py                                             # on a GPU, through Unsloth
python ppo_with_existing_reward.py --backend trl --policy Qwen/Qwen3-0.6B --reward-path ./reward_models/standalone
"""

from __future__ import annotations

import argparse

from plaudit import create_rl_trainer


def main(arguments: argparse.Namespace) -> None:
    if arguments.reward_path:
        source = {"reward_model_path": arguments.reward_path}
    else:
        source = {"reward_model_name": arguments.reward_name}
    trainer = create_rl_trainer(
        model_name=arguments.policy,
        algorithm="ppo",
        backend=arguments.backend,
        dataset_name=arguments.prompts,
        split=arguments.split,
        **source,
        gold=["readability"],
        batch_size=arguments.batch_size,
        max_samples=arguments.max_samples,
        max_new_tokens=arguments.max_new_tokens,
        output_dir=arguments.output,
        overwrite=True,
        say=print,
    )
    results = trainer.train()  # reads the prompts and opens the models itself where that was not asked for before
    print(f"reward on held-out prompts: {results.reward_start} at the start, {results.reward_final} in the end")
    print(f"readability of the same:    {results.gold_start} at the start, {results.gold_final} in the end")
    print(f"saved to {results.output}; curves and sample answers are in {results.output / 'report.html'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", default="unsloth/Llama-3.2-1B-Instruct-bnb-4bit")
    parser.add_argument("--backend", default="unsloth", choices=["unsloth", "trl"])
    parser.add_argument("--prompts", default="HuggingFaceH4/ultrafeedback_binarized", help="file or Hub data set")
    parser.add_argument("--split", help="of a Hub data set: train_prefs")
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--reward-name", default="OpenAssistant/reward-model-deberta-v3-large-v2", help="on the Hub")
    group.add_argument("--reward-path", help="a folder")
    parser.add_argument("--output", default="./output/ppo_existing_reward")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--max-samples", type=int, default=100)
    parser.add_argument("--max-new-tokens", type=int, default=64)
    main(parser.parse_args())
