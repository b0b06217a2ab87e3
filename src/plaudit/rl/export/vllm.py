"""vLLM: the checkpoint behind ``POST /classify``."""

from __future__ import annotations

from plaudit.models.contract import ScoringContract
from plaudit.rl.export.base import TARGETS, Job, Target, fill, only, shell_name
from plaudit.rl.export.checkpoint import write_config
from plaudit.rl.export.served import ask, same_ids, write_client

__all__ = ["CONVERTED", "IDENTITY", "NATIVE", "VLLM"]

CONVERTED = tuple(
    f"{family}ForSequenceClassification"
    for family in ("Llama", "Mistral", "Mixtral", "Qwen2", "Qwen2Moe", "Qwen3", "Qwen3Moe", "Gemma", "Gemma2", "Phi3")
)
"""Decoders that vLLM makes of its causal models by ``--convert classify``: last token, linear ``score``, no bias."""
NATIVE = tuple(
    f"{family}ForSequenceClassification" for family in ("GPT2", "Bert", "Roberta", "XLMRoberta", "ModernBert")
)
"""Classes that vLLM has itself; the encoders among them with their own pooling and head."""
IDENTITY = {"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"}
"""What servers read in the ``config.json`` of an encoder before they apply a sigmoid to its one output."""
URL = "http://127.0.0.1:8000"

_SERVE = """
#!/usr/bin/env bash
# Serves the reward model in this folder with vLLM.
#   HOST, PORT: where it listens. Further arguments are passed on: bash serve.sh --tensor-parallel-size 2
# No activation touches the score: config.json says problem_type "regression", and the client of this folder asks for
# use_activation=false besides. Older releases spell the first line --task classify.
set -euo pipefail
HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
exec vllm serve "$HERE" --runner pooling{{ " --convert classify" if convert else "" }} \\
    --served-model-name {{ name }} \\
    --dtype {{ dtype }} --max-model-len {{ max_length }} \\
    --host "${HOST:-127.0.0.1}" --port "${PORT:-8000}" \\
    "$@"
"""


class VLLM(Target):
    """``vllm serve`` with the runner ``pooling``."""

    title = "vLLM"
    seen = "its source of mid-2026: model registry, adapters, pooler configuration, classification protocol"

    def refuse(self, architecture: str, contract: ScoringContract, *, decoder: bool) -> str | None:
        return only((*CONVERTED, *NATIVE), self.title, architecture)

    def write(self, job: Job) -> None:
        checkpoint = job.need()
        if not checkpoint.decoder:
            write_config(job, **IDENTITY)
        text = fill(
            _SERVE,
            convert=checkpoint.architecture in CONVERTED,
            name=shell_name(job.output.name),
            dtype=checkpoint.contract.dtype,
            max_length=checkpoint.contract.render.max_length,
        )
        job.script("serve.sh", text, "starts the server")
        typed = "token_type_ids" in checkpoint.tokenizer.model_input_names
        job.route = (
            f"a vLLM server, asked with {'sentence pairs (POST /score)' if typed else 'token ids (POST /classify)'}"
        )
        write_client(job, title=self.title, dialect="vllm", url=URL)
        job.run = ask(job, dialect="vllm", url=URL)
        job.rendering = _rendering(job)


def _rendering(job: Job) -> str:
    count = same_ids(job, strip_bos=False, special_tokens=False)
    if "token_type_ids" in job.need().tokenizer.model_input_names:
        return (
            "This encoder has token types, which token ids cannot carry. A prompt with its response goes as **two "
            "texts** to `POST /score` (`text_1`, `text_2`), a bare text as token ids to `POST /classify`; always with "
            "`use_activation: false`. `reward_function.py` does that. vLLM cannot cut a pair as this model knows it: "
            "the client sends an over-long prompt as a shorter text with just the tokens of the contract, and refuses "
            "where there is none."
        )
    lines = [
        "Send **token ids** (`input`: a list of lists of ids): `reward_function.py` renders them by the contract in "
        "this folder, over-long prompts cut as in training. Always send `use_activation: false`."
    ]
    if count is not None:
        lines.append(
            f"A request with `messages` gives the same ids for conversations that fit the limit: the chat template of "
            f"this folder was compared on {count} golden inputs. A conversation that is too long is refused or cut by "
            "vLLM in its own way."
        )
    else:
        lines.append(
            "Do not send `messages`, and no texts: vLLM would lay them out and tokenise them otherwise than this model "
            "was trained, and the scores would be others."
        )
    return "\n\n".join(lines)


TARGETS.register("vllm")(VLLM())
