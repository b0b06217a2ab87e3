"""What holds for any prompt, any response and any limit."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plaudit.formatting import Rendered, Renderer, RenderItem, RenderSpec, TooLongError, default_spec
from tiny_models import TOKENIZERS

LAYOUTS = ["qwen3-chat", "llama-chat", "llama-text", "gpt2-text", "bert-pair", "roberta-pair", "qwen3-mixed"]
TOKENIZER = {family: build() for family, build in TOKENIZERS.items()}
FAST = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])

words = st.sampled_from(
    ["good", "bad", " ", "\n", "Paris", "assistant", "user", "é", "天", "👩‍👧", "<|im_end|>", "None", "7"]
)
texts = st.lists(words, min_size=1, max_size=80).map(" ".join) | st.text(max_size=60)
responses = texts.map(lambda text: text if text.strip() else "x")
turns = st.lists(st.tuples(texts, texts), max_size=3)


@st.composite
def prompts(draw: st.DrawFn) -> Any:
    kind = draw(st.sampled_from(["none", "text", "conversation"]))
    if kind == "none":
        return None
    if kind == "text":
        return draw(texts)
    messages = [{"role": "system", "content": draw(texts)}] if draw(st.booleans()) else []
    for question, answer in draw(turns):
        messages += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return [*messages, {"role": "user", "content": draw(texts)}]


items = st.builds(RenderItem, prompts(), responses)


def renderer(name: str, max_length: int = 4096, **changes: Any) -> Renderer:
    family, layout = name.split("-")
    spec = default_spec(TOKENIZER[family], max_length, layout=layout)
    return Renderer(TOKENIZER[family], RenderSpec.from_dict(spec.to_dict() | changes))


@pytest.mark.parametrize("name", LAYOUTS)
@FAST
@given(
    item=items, limit=st.integers(8, 200), step=st.sampled_from([1, 16, 64]), overlong=st.sampled_from(["error", "cut"])
)
def test_a_rendered_text_never_exceeds_the_limit(
    name: str, item: RenderItem, limit: int, step: int, overlong: str
) -> None:
    whole = renderer(name).render(item)
    (result,) = renderer(name, limit, cut_step=step).render_batch([item], overlong=overlong)
    if isinstance(result, TooLongError):
        assert len(whole.input_ids) > limit
        return
    assert len(result.input_ids) <= limit
    assert len(result.input_ids) + result.cut == len(whole.input_ids)
    assert (result == whole) == (len(whole.input_ids) <= limit)
    if result.type_boundary is not None:
        assert 0 < result.type_boundary <= len(result.input_ids)


@pytest.mark.parametrize("name", LAYOUTS)
@FAST
@given(batch=st.lists(items, max_size=5), limit=st.integers(16, 120))
def test_a_text_never_depends_on_the_others_in_the_batch(name: str, batch: list[RenderItem], limit: int) -> None:
    one = renderer(name, limit)
    together = one.render_batch(batch)
    alone = [one.render_batch([item])[0] for item in batch]
    assert [r if isinstance(r, Rendered) else str(r) for r in together] == [
        r if isinstance(r, Rendered) else str(r) for r in alone
    ]


@pytest.mark.parametrize("name", LAYOUTS)
@FAST
@given(item=items, limit=st.integers(16, 160))
def test_what_is_kept_is_the_response_and_the_end_of_the_prompt(name: str, item: RenderItem, limit: int) -> None:
    one = renderer(name, limit)
    (result,) = one.render_batch([item])
    if isinstance(result, TooLongError):
        return
    cut, whole = one.explain(item), renderer(name).explain(item)
    assert cut.rendered == result
    assert len(cut.kinds) == len(cut.tokens) == len(result.input_ids)
    assert (cut.cut_at is None) == (result.cut == 0)

    def part(explained: Any, *kinds: str) -> list[int]:
        pairs = zip(explained.rendered.input_ids, explained.kinds, strict=True)
        return [token for token, kind in pairs if kind in kinds]

    if name.endswith("chat") or not isinstance(item.prompt, list):
        assert part(cut, "response") == part(whole, "response")
    else:  # a transcript that is down to one turn is that turn's text, so another token may meet the response
        decode = TOKENIZER[name.split("-")[0]].decode
        assert decode(part(cut, "response")).lstrip() == decode(part(whole, "response")).lstrip()
    prompt, all_of_it = part(cut, "prompt"), part(whole, "prompt")
    if isinstance(item.prompt, str):  # a conversation keeps its system message too
        assert prompt == all_of_it[len(all_of_it) - len(prompt) :]
        assert part(cut, "special") == part(whole, "special")
