"""SGLang: the checkpoint behind its own ``POST /classify``."""

from __future__ import annotations

from plaudit.models.contract import ScoringContract
from plaudit.rl.export.base import TARGETS, Job, Target, fill, only, shell_name
from plaudit.rl.export.checkpoint import add_zero_bias
from plaudit.rl.export.served import ask, write_client

__all__ = ["SGLang"]

PLAIN = tuple(f"{family}ForSequenceClassification" for family in ("Llama", "Gemma2"))
BIASED = tuple(f"{family}ForSequenceClassification" for family in ("Qwen2", "Qwen3"))
"""Classes whose head has a bias there; where the checkpoint has none it is left as it was initialised: at random."""
SPARE = 16
URL = "http://127.0.0.1:30000"

_SERVE = """
#!/usr/bin/env bash
# Serves the reward model in this folder with SGLang.
#   HOST, PORT: where it listens. Further arguments are passed on: bash serve.sh --tp-size 2
set -euo pipefail
HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
exec python3 -m sglang.launch_server --model-path "$HERE" --is-embedding \\
    --served-model-name {{ name }} \\
    --dtype {{ dtype }} --context-length {{ context }} \\
    --host "${HOST:-127.0.0.1}" --port "${PORT:-30000}" \\
    "$@"
"""


class SGLang(Target):
    """``sglang.launch_server`` with ``--is-embedding``."""

    title = "SGLang"
    seen = "its source of 2026: the classification and reward models, the pooler, the request types"

    def refuse(self, architecture: str, contract: ScoringContract, *, decoder: bool) -> str | None:
        if not decoder:
            return (
                f"this is an encoder ({architecture}), which SGLang serves only as a reranker that squashes its scores "
                "and lays out the pair itself; vllm and tei take encoders"
            )
        return only((*PLAIN, *BIASED), self.title, architecture)

    def write(self, job: Job) -> None:
        checkpoint = job.need()
        if checkpoint.architecture in BIASED:
            add_zero_bias(job.folder)
            job.unchecked.append(
                "changed for the export: the weights hold a `score.bias` of 0 beside `score.weight`. SGLang's head has "
                "a bias, which stays random where the checkpoint has none (Qwen2; Qwen3 in some releases). "
                "transformers ignores it; vLLM may refuse it, so export for vLLM separately"
            )
        text = fill(
            _SERVE,
            name=shell_name(job.output.name),
            dtype=checkpoint.contract.dtype,
            context=_context(job),
        )
        job.script("serve.sh", text, "starts the server")
        job.route = "an SGLang server, asked with token ids (POST /classify)"
        write_client(job, title=self.title, dialect="sglang", url=URL)
        job.run = ask(job, dialect="sglang", url=URL)
        job.rendering = (
            "Send **token ids** (`input_ids`: a list of lists of ids): `reward_function.py` renders them by the "
            "contract in this folder, over-long prompts cut as in training. Texts (`text`, or `input` of "
            "`/v1/embeddings`) are "
            "tokenised by the server with the tokenizer's own special tokens, which doubles the BOS of a text that "
            "brings one."
        )


def _context(job: Job) -> int:
    """SGLang takes texts of fewer tokens than its context, some of which it may reserve."""
    limit = job.need().contract.render.max_length
    positions = int(job.need().config.get("max_position_embeddings") or limit + SPARE)
    if positions < limit + SPARE:
        job.unchecked.append(
            f"SGLang takes texts of fewer tokens than its context, {positions} here, and this model's texts may have "
            f"{limit}: it refuses those that fill the limit (HTTP 400)"
        )
    return min(positions, limit + SPARE)


TARGETS.register("sglang")(SGLang())
