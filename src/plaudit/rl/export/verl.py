"""verl: the checkpoint as its reward model, or a reward function (``reward.custom_reward_function``)."""

from __future__ import annotations

from typing import Any

from plaudit.models.contract import ScoringContract
from plaudit.rl.export.base import TARGETS, Job, Target, fill, only
from plaudit.rl.export.local import as_plaudit, check_function, source_line
from plaudit.rl.export.served import same_ids
from plaudit.rl.export.vllm import CONVERTED

__all__ = ["Verl"]

_FUNCTION = '''
"""The reward function of verl (reward.custom_reward_function.path=THIS_FILE); plaudit must be installed there.

verl shows it only `extra_info` of a row, so `extra_info["prompt"]` must hold the prompt as it is in the data: a text or
a list of messages. Where verl serves a reward model, it is asked there, with the token ids of the model's own contract;
else the scorer runs in this process, on PLAUDIT_DEVICE.
"""

from pathlib import Path

from plaudit.rl.export import RewardSource, prompt_in

FOLDER = Path(__file__).resolve().parent
REWARDS = {{ source }}


def compute_score(
    data_source, solution_str, ground_truth, extra_info, reward_router_address=None, prompt_key="prompt", **kwargs
):
    """The reward of one response. A scorer that compares with a reference answer gets `ground_truth` as that."""
    prompt, _ = prompt_in((extra_info or {}).get(prompt_key), f"extra_info[{prompt_key!r}]")
    reference = None if ground_truth is None else str(ground_truth)
    url = f"http://{reward_router_address}" if reward_router_address else None
    return {"score": REWARDS.score([prompt], [solution_str], [reference], url=url)[0]}
'''

_TRAIN = """
#!/usr/bin/env bash
# GRPO with verl and this reward. A start, not a recipe: set GPUs, batch sizes and lengths to what you have.
#   POLICY: the model to train.  TRAIN, VALID: Parquet files of prompts in verl's format.
#   bash train.sh [further overrides of verl.trainer.main_ppo]
set -euo pipefail
HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
DEFAULT={{ policy|sh }}
POLICY="${POLICY:-$DEFAULT}"
: "${POLICY:?set POLICY to the model that is trained}"
: "${TRAIN:?set TRAIN to a Parquet file of prompts}"
: "${VALID:?set VALID to a Parquet file of other prompts}"
REWARD=(
{% if served %}
    reward.reward_model.enable=True
    reward.reward_model.model_path="$HERE"
    reward.reward_model.rollout.name=vllm
    reward.reward_model.rollout.dtype={{ dtype }}
    reward.reward_model.rollout.max_model_len={{ max_length }}
    reward.reward_model.rollout.tensor_model_parallel_size="${REWARD_TP:-1}"
{% endif %}
{% if function %}
    reward.custom_reward_function.path="$HERE/reward_function.py"
    reward.custom_reward_function.name=compute_score
{% endif %}
{% if not served %}
    reward.num_workers=1  # each worker loads the scorer for itself
{% endif %}
)
exec python3 -m verl.trainer.main_ppo \\
    algorithm.adv_estimator=grpo \\
    data.train_files="$TRAIN" data.val_files="$VALID" \\
    data.train_batch_size="${BATCH:-256}" data.max_prompt_length="${PROMPT_LENGTH:-{{ half }}}" \\
    data.max_response_length="${RESPONSE_LENGTH:-{{ half }}}" \\
    actor_rollout_ref.model.path="$POLICY" \\
    actor_rollout_ref.actor.ppo_mini_batch_size="${MINI_BATCH:-64}" \\
    actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=4 \\
    actor_rollout_ref.rollout.name=vllm actor_rollout_ref.rollout.n=8 \\
    actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=8 \\
    actor_rollout_ref.ref.log_prob_micro_batch_size_per_gpu=8 \\
    trainer.n_gpus_per_node="${GPUS:-8}" trainer.nnodes=1 \\
    "${REWARD[@]}" "$@"
"""

_RUN = """
```bash
POLICY=my/policy TRAIN=train.parquet VALID=valid.parquet bash train.sh
```

{% if served %}
`train.sh` lets verl serve the checkpoint in this folder with vLLM (`reward.reward_model.*`)\
{{ " and asks it through `reward_function.py`" if function else ", laid out by verl itself" }}.
{% else %}
`train.sh` lets `reward_function.py` score in verl's reward worker (`reward.custom_reward_function.*`).
{% endif %}
{% if function %}
Every row needs `extra_info["prompt"]` (another key: `+reward.custom_reward_function.reward_kwargs.prompt_key=NAME`):
verl does not show a reward function the prompt otherwise.
{% endif %}
Settings are those of verl 0.10; in older releases they are called `reward_model.*` and `custom_reward_function.*`.
"""


class Verl(Target):
    """``verl.trainer.main_ppo``."""

    title = "verl"
    seen = "its source of August 2026 (0.10.0.dev)"
    function_only = True

    def refuse(self, architecture: str, contract: ScoringContract, *, decoder: bool) -> str | None:
        refusal = only(CONVERTED, "vLLM, which serves reward models in verl,", architecture)
        return refusal and f"{refusal}; --function-only writes a reward function that scores with it in verl's worker"

    def write(self, job: Job) -> None:
        served = job.checkpoint is not None
        count = same_ids(job, strip_bos=True, special_tokens=True) if served else None
        function = count is None
        text = fill(_FUNCTION, source=source_line(job, dialect="vllm" if served else None))
        module = job.module("reward_function.py", text, "the reward function: `compute_score`")
        check_function(job, lambda *case: _called(module, *case), "reward_function.py")
        contract = job.checkpoint.contract if job.checkpoint else None
        script = fill(
            _TRAIN,
            served=served,
            function=function,
            policy=job.policy or "",
            dtype=contract.dtype if contract else "",
            max_length=contract.render.max_length if contract else 0,
            half=max(16, min(1024, contract.render.max_length // 2 - 16)) if contract else 1024,
        )
        job.script("train.sh", script, "a start for GRPO")
        job.run = fill(_RUN, served=served, function=function)
        _explain(job, count)


def _explain(job: Job, count: int | None) -> None:
    if job.checkpoint is None:
        job.route = "reward_function.py, scoring in verl's reward worker"
        job.rendering = as_plaudit(job, "reward_function.py")
    elif count is not None:
        job.route = "the checkpoint, served by vLLM inside verl and laid out by verl"
        job.checked.append(f"what verl sends for a conversation has the contract's token ids ({count} golden inputs)")
        job.rendering = (
            "verl lays prompt and response out with the chat template in this folder, takes the BOS off and lets vLLM "
            "add it again: the same token ids as the contract's for conversations that fit the limit. Longer ones vLLM "
            "refuses, and the run stops: keep PROMPT_LENGTH and RESPONSE_LENGTH within the limit, or add "
            "`reward.custom_reward_function.path=.../reward_function.py`, which cuts prompts as in training."
        )
    else:
        job.route = "the checkpoint, served by vLLM inside verl and asked by reward_function.py with token ids"
        job.rendering = (
            "verl's own layout gives this model other token ids than its contract, so `reward_function.py` renders, "
            "and asks the reward model that verl serves with ids. Do not leave it out."
        )


def _called(module: dict[str, Any], prompt: Any, response: str, reference: str | None) -> float:
    """The reward of one response, asked for as verl does."""
    found = module["compute_score"](
        data_source="golden", solution_str=response, ground_truth=reference, extra_info={"prompt": prompt}
    )
    return float(found["score"])


TARGETS.register("verl")(Verl())
