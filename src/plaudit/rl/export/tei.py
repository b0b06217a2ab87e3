"""Text Embeddings Inference: an encoder behind ``POST /predict``."""

from __future__ import annotations

import json

from tokenizers import Tokenizer

from plaudit.errors import ContractError
from plaudit.models.contract import ScoringContract
from plaudit.models.saved import check_plain_transformers
from plaudit.rl.export.base import TARGETS, Job, Target, fill, only
from plaudit.rl.export.checkpoint import write_config
from plaudit.rl.export.dialects import pair_of
from plaudit.rl.export.served import ask, write_client

__all__ = ["TEI"]

ARCHITECTURES = tuple(
    f"{family}ForSequenceClassification"
    for family in ("Bert", "Roberta", "XLMRoberta", "Camembert", "DistilBert", "ModernBert", "DebertaV2")
)
ACTIVATIONS = ("hidden_act", "hidden_activation", "classifier_activation", "activation")
"""Entries of ``config.json`` that name an activation, by family."""
URL = "http://127.0.0.1:8080"

_SERVE = """
#!/usr/bin/env bash
# Serves the reward model in this folder with Text Embeddings Inference.
#   HOST, PORT: where it listens. Further arguments are passed on.
# In a container: docker run -p 8080:80 -v "$PWD":/model ghcr.io/huggingface/text-embeddings-inference:cpu-1.9 \\
#     --model-id /model --dtype float32
set -euo pipefail
HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
exec text-embeddings-router --model-id "$HERE" --dtype float32 \\
    --hostname "${HOST:-127.0.0.1}" --port "${PORT:-8080}" \\
    "$@"
"""


class TEI(Target):
    """``text-embeddings-router``."""

    title = "Text Embeddings Inference"
    seen = "its source of July 2026 (after 1.9.3)"

    def refuse(self, architecture: str, contract: ScoringContract, *, decoder: bool) -> str | None:
        if decoder:
            return (
                f"Text Embeddings Inference classifies with encoders only, and this is a decoder ({architecture}); "
                "serve it with vllm or sglang"
            )
        if (refusal := only(ARCHITECTURES, self.title, architecture)) is not None:
            return refusal
        if contract.render.layout != "pair":
            return (
                f"Text Embeddings Inference is sent sentence pairs, and this model reads the layout "
                f"{contract.render.layout!r}, which no request can express"
            )
        return None

    def write(self, job: Job) -> None:
        limit = job.need().contract.render.max_length
        what = "the length limit, as the server reads it"
        job.text(
            "sentence_bert_config.json", json.dumps({"max_seq_length": limit, "do_lower_case": False}) + "\n", what
        )
        self._check_tokens(job)
        job.script("serve.sh", fill(_SERVE), "starts the server")
        job.route = "a Text Embeddings Inference server, asked with sentence pairs (POST /predict)"
        apart = self._measure_gelu(job)
        allowed = None if apart is None else max(2 * apart, 1e-4)
        write_client(job, title=self.title, dialect="tei", url=URL, allowed=allowed)
        job.run = ask(job, dialect="tei", url=URL)
        job.rendering = (
            "Send **pairs of texts** (`inputs`: a list of `[prompt, response]`; `[text]` for a bare text), always with "
            "`raw_scores: true` (else a sigmoid is applied) and `truncate: false`. The server cannot cut a pair as "
            "this model knows it: the client sends an over-long prompt as a shorter text with just the tokens of the "
            "contract, and refuses where there is none. A conversation is laid out as one text by the client."
        )

    def _measure_gelu(self, job: Job) -> float | None:
        """The server computes every GELU by its tanh approximation: how far that moves the golden scores; None: not."""
        config = job.need().config
        exact = [name for name in ACTIVATIONS if config.get(name) == "gelu"]
        if not exact:
            return None
        path = job.folder / "config.json"
        before = path.read_text(encoding="utf-8")
        write_config(job, **dict.fromkeys(exact, "gelu_pytorch_tanh"))
        checks = check_plain_transformers(job.folder, job.need().contract)
        path.write_text(before, encoding="utf-8")
        apart = max(check.difference for check in checks)
        spread = max(g.score for g in job.need().contract.golden) - min(g.score for g in job.need().contract.golden)
        job.unchecked.append(
            "Text Embeddings Inference computes GELU by its tanh approximation, and this model was trained with the "
            f"exact one: with the approximation, transformers moves the golden scores by up to {apart:.2g} (they are "
            f"{spread:.2g} apart at most)"
        )
        return apart

    def _check_tokens(self, job: Job) -> None:
        """The server tokenises with the library `tokenizers` and nothing else: so do we, and compare."""
        tokenizer = Tokenizer.from_file(str(job.folder / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.no_truncation()
        golden = [g for g in job.need().contract.golden if not job.need().renderer.render(g.item).cut]
        for example in golden:
            texts = pair_of(example.item)
            encoding = tokenizer.encode(texts[0], texts[1] if len(texts) == 2 else None)
            types = encoding.type_ids.index(1) if 1 in encoding.type_ids else len(encoding.ids)
            if encoding.ids != example.input_ids or example.type_boundary not in (None, types):
                raise ContractError(
                    "tokenizer.json alone gives other tokens than the model's tokenizer does in transformers, and it "
                    "is all that Text Embeddings Inference reads; nothing was exported"
                )
        job.checked.append(f"tokenizer.json alone gives the saved token ids of {len(golden)} golden inputs")


TARGETS.register("tei")(TEI())
