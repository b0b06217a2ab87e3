"""Reward models for other systems: OpenRLHF, verl, vLLM, SGLang, Text Embeddings Inference.

`run` writes and proves an export; one file a target says how that system loads it (`openrlhf`, `verl`, `vllm`,
`sglang`, `tei`); `functions` and `client` are what the generated files call.
"""

from plaudit.rl.export import openrlhf, sglang, tei, verl, vllm  # noqa: F401  each registers itself
from plaudit.rl.export.base import TARGETS
from plaudit.rl.export.client import ServedModel
from plaudit.rl.export.functions import RewardSource, check_server, prompt_in, response_in
from plaudit.rl.export.run import EXPORT_FILE, ExportResult, export_model

__all__ = [
    "EXPORT_FILE",
    "TARGETS",
    "ExportResult",
    "RewardSource",
    "ServedModel",
    "check_server",
    "export_model",
    "prompt_in",
    "response_in",
]
