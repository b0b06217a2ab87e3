"""PPO with a reward model of one's own: four rules are distilled into a model first, then the policy is trained by it.

python ppo_with_custom_reward.py                                     # on a GPU, through Unsloth
python ppo_with_custom_reward.py --backend trl --policy Qwen/Qwen3-0.6B --base-model embedded
"""

from __future__ import annotations

import argparse

from texts import load_training_texts

from plaudit import create_rl_trainer


def main(arguments: argparse.Namespace) -> None:
    trainer = create_rl_trainer(
        model_name=arguments.policy,
        algorithm="ppo",
        backend=arguments.backend,
        dataset_name=arguments.prompts,
        split=arguments.split,
        # the reward: really trained, saved, checked that it loads to equal scores, then used
        train_custom_reward_model=True,
        reward_training_texts=load_training_texts(),
        reward_functions=["length", "sentiment", "safety", "coherence"],
        reward_function_weights=[0.2, 0.3, 0.3, 0.2],
        reward_training_base_model=arguments.base_model,
        reward_training_output_dir=arguments.reward_output,
        gold=["sentiment"],  # one of the rules themselves is watched: does what the model likes please it, too?
        num_epochs=1,
        batch_size=arguments.batch_size,
        max_samples=arguments.max_samples,
        max_new_tokens=arguments.max_new_tokens,
        output_dir=arguments.output,
        overwrite=True,
        say=print,
        show=lambda step: print(f"step {step['step']}: reward {step['reward']:.3f}, KL {step['kl']:.2f} nats"),
    )
    trainer.setup_data()
    trainer.setup_trainer()
    results = trainer.train()

    print(f"{results.steps} steps, {results.episodes} answers; saved to {results.output}")
    if results.win_rates is not None:
        print("\n".join(results.win_rates.lines()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", default="unsloth/Llama-3.2-1B-Instruct-bnb-4bit")
    parser.add_argument("--backend", default="unsloth", choices=["unsloth", "trl"])
    parser.add_argument("--prompts", default="HuggingFaceH4/ultrafeedback_binarized", help="file or Hub data set")
    parser.add_argument("--split", help="of a Hub data set: train_prefs")
    parser.add_argument("--base-model", default="microsoft/DialoGPT-medium", help="what the reward model starts from")
    parser.add_argument("--reward-output", default="./reward_models/custom_ppo")
    parser.add_argument("--output", default="./output/ppo_custom_reward")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--max-samples", type=int, default=100)
    parser.add_argument("--max-new-tokens", type=int, default=64)
    main(parser.parse_args())
