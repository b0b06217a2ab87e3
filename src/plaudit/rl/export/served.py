"""What the targets behind HTTP share: the client file, an example request, and what they can prove of both."""

from __future__ import annotations

import json

from plaudit.errors import ContractError
from plaudit.formatting import RenderItem
from plaudit.rl.export.base import Job, fill
from plaudit.rl.export.client import ServedModel

__all__ = ["ask", "same_ids", "write_client"]

_CLIENT = '''
"""Scores from the reward model beside this file, served by {{ title }}: rendered here by its contract, computed there.

    python reward_function.py    # asks the server for the golden scores: does it score as the model was saved?

Needs plaudit (pip install plaudit). The address is {{ url|py }}, or the environment variable PLAUDIT_REWARD_URL.
"""

from pathlib import Path

from plaudit.rl.export import RewardSource, check_server

FOLDER = Path(__file__).resolve().parent  # contract and tokenizer are read from here, no weights
URL = {{ url|py }}
REWARDS = RewardSource(
    FOLDER, dialect={{ dialect|py }}, url=URL, overlong={{ overlong|py }}, empty_score={{ empty|py }}
)


def score(prompts, responses):
    """N raw scores; prompts are texts, lists of messages, or None. Raises where a score cannot be had."""
    return REWARDS.score(prompts, responses)


if __name__ == "__main__":
    raise SystemExit(check_server(REWARDS{{ "" if allowed is none else ", tolerance=%.2g" % allowed }}))
'''


def write_client(job: Job, *, title: str, dialect: str, url: str, allowed: float | None = None) -> None:
    """Writes ``reward_function.py``, and proves that it sends what the contract renders.

    Args:
        allowed: how far the server's scores may lie from the saved ones; None: the tolerance of the contract.

    Raises:
        ContractError: it does not.
    """
    text = fill(
        _CLIENT, title=title, dialect=dialect, url=url, overlong=job.overlong, empty=job.empty_score, allowed=allowed
    )
    module = job.module("reward_function.py", text, "a client: `score(prompts, responses)`")
    served = module["REWARDS"].open()
    assert isinstance(served, ServedModel)
    golden = served.contract.golden
    sent = served.sent([g.prompt for g in golden], [g.response for g in golden])
    wrong = [g for text, g in zip(sent, golden, strict=True) if text.rendered.input_ids != g.input_ids]
    if wrong:
        raise ContractError("the client renders a golden input to other token ids than the model; nothing was exported")
    able = sum(served.dialect.expresses(text) for text in sent)
    job.checked.append(
        f"reward_function.py imports, and renders the {len(sent)} golden inputs to the saved token ids"
        + (f" ({able} of them can be sent; a text that must be cut is refused)" if able < len(sent) else "")
    )


def ask(job: Job, *, dialect: str, url: str) -> str:
    """Writes ``request.json``, the documented request of two golden inputs; returns how server and client are run."""
    served = ServedModel(job.folder, url, dialect)
    golden = [g for g in served.contract.golden if g.item in job.golden()][:2]
    path, body = served.dialect.request(served.sent([g.prompt for g in golden], [g.response for g in golden]))
    job.text("request.json", json.dumps(body, ensure_ascii=False) + "\n", f"the body of an example `POST {path}`")
    return fill(_RUN, url=url, path=path, scores=[f"{g.score:.4f}" for g in golden])


_RUN = """
```bash
bash serve.sh                        # start the server
python reward_function.py            # in another shell: does it score as the model was saved?
curl -s {{ url }}{{ path }} -H 'Content-Type: application/json' -d @request.json   # the raw request
```

The scores of `request.json` are {{ scores|join(" and ") }}, up to the rounding of the server's number format. From
Python:

```python
from reward_function import score

print(score(["What is the capital of France?"], ["Paris."]))
```

The client waits up to two minutes for an answer, tries five times, and then raises. It never makes up a score.
"""


def same_ids(job: Job, *, strip_bos: bool, special_tokens: bool) -> int | None:
    """Whether a server that is sent messages sees the contract's ids: it applies the chat template without arguments.

    Args:
        strip_bos: the text loses its leading BOS first.
        special_tokens: the server adds the tokenizer's special tokens.

    Returns:
        How many golden inputs were compared; None where one differs or there is no chat template.
    """
    checkpoint = job.need()
    tokenizer = checkpoint.tokenizer
    if not tokenizer.chat_template or checkpoint.contract.render.layout not in ("chat", "mixed"):
        return None
    items = job.golden()
    for item in items:
        messages = [
            {"role": "user", "content": str(item.prompt)},
            {"role": "assistant", "content": str(item.response)},
        ]
        text = str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=False))
        bos = tokenizer.bos_token
        if strip_bos and isinstance(bos, str):
            text = text.removeprefix(bos)
        ids = tokenizer(text, add_special_tokens=special_tokens)["input_ids"]
        asked = RenderItem(messages[:1], messages[1:])  # a conversation, which every layout with a template templates
        if ids != checkpoint.renderer.render(asked).input_ids:
            return None
    return len(items)
