"""OpenRLHF: the checkpoint as ``--reward.model_name_or_path``, or a reward function as ``--reward.remote_url``."""

from __future__ import annotations

from typing import Any

from plaudit.errors import ConfigError, ContractError
from plaudit.models.build import load_tokenizer
from plaudit.models.contract import ScoringContract
from plaudit.rl.export.base import TARGETS, Job, Target, fill
from plaudit.rl.export.local import as_plaudit, check_function, source_line
from plaudit.rl.export.vllm import CONVERTED, NATIVE

__all__ = ["OpenRLHF"]

_FUNCTION = '''
"""The reward function of OpenRLHF (--reward.remote_url THIS_FILE), scored by plaudit, which must be installed there.

`labels` carry the prompt as it is in the data (--data.label_key names the same column as --data.input_key): a text, a
list of messages, or a mapping with `prompt` and `reference`. So the scorer sees the conversation in its own layout,
whatever the policy's tokenizer makes of it. The environment variable PLAUDIT_DEVICE says where a model runs\
{{ "; PLAUDIT_REWARD_URL
names a vLLM server of this folder that scores in its place" if server else "" }}.
"""

from pathlib import Path

import torch

from plaudit.rl.export import RewardSource, prompt_in, response_in

FOLDER = Path(__file__).resolve().parent
# special tokens of the policy: those at the end of a rollout are no part of the response
ENDS = {{ ends|py }}
REWARDS = {{ source }}


def reward_func(queries, prompts, labels, **kwargs):
    """Rewards of N rollouts; of a model calibrated against a reference set also `scores` in [0, 1], for filtering."""
    asked, references = zip(*(prompt_in(label, "the label (--data.label_key)") for label in labels))
    responses = [response_in(query, prompt, ENDS) for query, prompt in zip(queries, prompts, strict=True)]
    rewards = REWARDS.score(asked, responses, references)
    answer = {"rewards": torch.tensor(rewards), "extra_logs": {}}
    probabilities = REWARDS.above_reference(rewards)
    if probabilities is not None:
        answer["scores"] = torch.tensor(probabilities)
    return answer
'''

_TRAIN = """
#!/usr/bin/env bash
# PPO with OpenRLHF and this reward. A start, not a recipe: set GPUs, batch sizes and lengths to what you have.
#   POLICY: the model to train.  PROMPTS: a data set with the column INPUT_KEY (a text or a list of messages).
#   bash train.sh [further arguments of openrlhf.cli.train_ppo_ray]
set -euo pipefail
HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
DEFAULT={{ policy|sh }}
POLICY="${POLICY:-$DEFAULT}"
: "${POLICY:?set POLICY to the model that is trained}"
: "${PROMPTS:?set PROMPTS to a data set of prompts}"
INPUT_KEY="${INPUT_KEY:-prompt}"
GPUS="${GPUS:-8}"
exec python3 -m openrlhf.cli.train_ppo_ray \\
    --actor.model_name_or_path "$POLICY" \\
{% if own %}
    --reward.model_name_or_path "$HERE" \\
    --reward.num_nodes 1 --reward.num_gpus_per_node "$GPUS" \\
    --critic.model_name_or_path "$HERE" \\
{% else %}
    --reward.remote_url "$HERE/reward_func.py" \\
    --data.label_key "$INPUT_KEY" \\
{% endif %}
    --data.prompt_dataset "$PROMPTS" --data.input_key "$INPUT_KEY" --data.apply_chat_template \\
    --data.max_len {{ max_length }} \\
    --actor.num_nodes 1 --actor.num_gpus_per_node "$GPUS" \\
    --ref.num_nodes 1 --ref.num_gpus_per_node "$GPUS" \\
    --critic.num_nodes 1 --critic.num_gpus_per_node "$GPUS" \\
    --vllm.num_engines "$GPUS" --vllm.tensor_parallel_size 1 --train.colocate_all \\
    --vllm.gpu_memory_utilization 0.5 --vllm.enable_sleep --ds.enable_sleep \\
    --ds.param_dtype bf16 \\
    --ckpt.output_dir "${OUTPUT:-./policy}" \\
    "$@"
"""

_RUN = """
```bash
POLICY=my/policy PROMPTS=prompts.jsonl bash train.sh
```

{% if own %}
`train.sh` gives OpenRLHF the checkpoint in this folder (`--reward.model_name_or_path`), which scores the policy's own
token ids; the critic starts from it too.
{% else %}
`train.sh` gives OpenRLHF the reward function in this folder (`--reward.remote_url .../reward_func.py`); the critic
starts from the policy, as OpenRLHF does by default. Every vLLM engine opens the scorer for itself: `PLAUDIT_DEVICE=cpu`
keeps it off the GPUs.
{% endif %}
Options are those of OpenRLHF 0.11. Older releases write `--reward_pretrain` for `--reward.model_name_or_path` and
`--remote_rm_url` for `--reward.remote_url`.

OpenRLHF clips rewards to [-10, 10] unless told otherwise (`--reward.clip_range`). It only logs an exception of a reward
function, and stops at the batch that lacks the reward: look for `Failed to fetch reward` in its log.
"""


class OpenRLHF(Target):
    """``openrlhf.cli.train_ppo_ray``."""

    title = "OpenRLHF"
    seen = "its source of August 2026 (0.11.0)"
    function_only = True

    def refuse(self, architecture: str, contract: ScoringContract, *, decoder: bool) -> str | None:
        if decoder:
            return None
        return (
            f"OpenRLHF builds a reward model of a decoder, a linear layer `score` on its last token, and this is an "
            f"encoder ({architecture}); --function-only writes a reward function that scores with it"
        )

    def write(self, job: Job) -> None:
        refusal = _why_not_own(job)
        own = refusal is None
        limit = job.checkpoint.contract.render.max_length if job.checkpoint else 2048
        server = "vllm" if job.checkpoint and job.checkpoint.architecture in (*CONVERTED, *NATIVE) else None
        text = fill(_FUNCTION, ends=_ends(job), source=source_line(job, dialect=server), server=server)
        module = job.module("reward_func.py", text, "the reward function, scored by plaudit in OpenRLHF's process")
        check_function(job, lambda *case: _called(module, *case), "reward_func.py")
        script = fill(_TRAIN, own=own, policy=job.policy or "", max_length=limit)
        job.script("train.sh", script, "a start for PPO")
        job.run = fill(_RUN, own=own)
        if own:
            job.route = "the checkpoint, on the policy's own token ids (--reward.model_name_or_path)"
            job.rendering = (
                "OpenRLHF gives the reward model the policy's token ids: the policy must have **the tokenizer and chat "
                "template of this folder**. Then prompt, response and EOS are exactly the ids of the contract, as was "
                "compared on the golden inputs. With another policy use `reward_func.py` (`--reward.remote_url`, "
                "`--data.label_key`), which renders by the contract."
            )
        elif job.checkpoint is None:
            job.route = "reward_func.py, scoring in OpenRLHF's process (--reward.remote_url)"
            job.rendering = as_plaudit(job, "reward_func.py")
        else:
            job.route = "reward_func.py, which renders by the contract (--reward.remote_url)"
            job.rendering = f"`reward_func.py` renders by the contract. The checkpoint itself is not used: {refusal}."
        if own and job.need().contract.dtype != "bfloat16":
            job.unchecked.append(
                "OpenRLHF loads a reward checkpoint in bfloat16 (--ds.param_dtype), head included: its scores differ "
                f"from those in {job.need().contract.dtype} by about one in a hundred"
            )


def _why_not_own(job: Job) -> str | None:
    """Why the policy's ids are not those of the contract; None where they are."""
    if job.checkpoint is None:
        return "only the reward function was exported"
    checkpoint, policy = job.checkpoint, job.checkpoint.tokenizer
    if checkpoint.contract.render.layout not in ("chat", "mixed") or not policy.chat_template:
        return "it reads plain text, and a policy's rollouts are in a chat template"
    if job.policy is not None:
        policy = load_tokenizer(job.policy)
        if not policy.chat_template:
            return f"{job.policy} has no chat template"
    count = 0
    for item in job.golden():
        asked: list[dict[str, Any]] = [{"role": "user", "content": item.prompt}]
        before = str(policy.apply_chat_template(asked, tokenize=False, add_generation_prompt=True))
        ids = policy(before, add_special_tokens=False)["input_ids"]
        ids = [*ids, *policy(str(item.response), add_special_tokens=False)["input_ids"], policy.eos_token_id]
        conversation = type(item)(asked, [{"role": "assistant", "content": item.response}])
        if ids != checkpoint.renderer.render(conversation).input_ids:
            return (
                "a rollout that ends with EOS has other token ids than the contract's rendering of the same "
                "conversation (its chat template closes the answer in another way, or the policy tokenises otherwise), "
                "so it would score what it was not trained on"
            )
        count += 1
    job.checked.append(
        f"rollouts of a policy with this chat template have the contract's token ids ({count} golden inputs)"
    )
    return None


def _ends(job: Job) -> list[str]:
    if job.policy is not None:
        tokenizer = load_tokenizer(job.policy)
    elif job.checkpoint is not None:
        tokenizer = job.checkpoint.tokenizer
        job.unchecked.append(
            "reward_func.py takes the special tokens at the end of a rollout to be those of the reward model; give "
            "--policy where the policy has others"
        )
    else:
        raise ConfigError("--policy is needed: the reward function must know which special tokens end its rollouts")
    return sorted(map(str, tokenizer.all_special_tokens), key=len, reverse=True)


def _called(module: dict[str, Any], prompt: Any, response: str, reference: str | None) -> float:
    """The reward of one rollout, asked for as OpenRLHF does."""
    label = prompt if reference is None else {"prompt": prompt, "reference": reference}
    before = "the prompt in the policy's template: "
    ends = module["ENDS"]
    answer = module["reward_func"]([before + response + (ends[0] if ends else "")], [before], [label])
    rewards = answer["rewards"]
    if tuple(rewards.shape) != (1,):
        raise ContractError(f"reward_func.py answers {tuple(rewards.shape)} rewards for one rollout")
    return float(rewards[0])


TARGETS.register("openrlhf")(OpenRLHF())
