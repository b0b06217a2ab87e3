"""The renderer against the routes it must equal (chat template, TRL, sentence pair), and what it keeps when it cuts."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from transformers import PreTrainedTokenizerBase
from trl.data_utils import _tokenize

from plaudit.errors import ConfigError, RenderError
from plaudit.formatting import Rendered, Renderer, RenderItem, RenderSpec, TooLongError, default_spec
from plaudit.types import Example

Tokenizers = dict[str, PreTrainedTokenizerBase]

LAYOUTS = [("qwen3", "chat"), ("llama", "chat"), ("qwen3", "text"), ("llama", "text"), ("gpt2", "text")]
LAYOUTS += [("bert", "pair"), ("roberta", "pair"), ("modernbert", "pair")]
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def bot(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def system(text: str) -> dict[str, Any]:
    return {"role": "system", "content": text}


def renderer(tokenizer: PreTrainedTokenizerBase, layout: str, max_length: int = 4096, **changes: Any) -> Renderer:
    return Renderer(tokenizer, replace(default_spec(tokenizer, max_length, layout=layout), **changes))


def template_ids(tokenizer: PreTrainedTokenizerBase, messages: list[dict[str, Any]], **options: Any) -> list[int]:
    """What a plain script gets from the tokenizer's own chat template."""
    return list(tokenizer.apply_chat_template(messages, tokenize=True, return_dict=True, **options)["input_ids"])


CONVERSATION = [system("Be brief."), user("What is  the capital?"), bot("Of what?"), user("Of France 🇫🇷\n")]


# --- equal to the routes that others take -----------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["qwen3", "llama"])
@pytest.mark.parametrize("reply", ["Paris.", " Paris \n", "巴黎 é"])
def test_chat_equals_the_template_over_the_whole_conversation(tokenizers: Tokenizers, family: str, reply: str) -> None:
    tokenizer = tokenizers[family]
    ids = renderer(tokenizer, "chat").render(RenderItem(CONVERSATION, reply)).input_ids
    whole = [*CONVERSATION, bot(reply)]
    assert ids == template_ids(tokenizer, whole)
    assert ids == _tokenize(tokenizer, whole)["input_ids"]
    assert ids == renderer(tokenizer, "chat").render(RenderItem(CONVERSATION, [bot(reply)])).input_ids


@pytest.mark.parametrize(("family", "bos"), [("qwen3", 0), ("llama", 1)])
def test_a_template_that_writes_bos_gets_no_second_one(tokenizers: Tokenizers, family: str, bos: int) -> None:
    tokenizer = tokenizers[family]
    ids = renderer(tokenizer, "chat").render(RenderItem("Why?", "Because.")).input_ids
    assert ids.count(tokenizer.convert_tokens_to_ids("<|begin_of_text|>")) == bos


@pytest.mark.parametrize("family", ["qwen3", "llama", "gpt2"])
@pytest.mark.parametrize("prompt", ["What is it? ", "", "Wozu?\n\n"])
def test_text_equals_the_route_of_trl(tokenizers: Tokenizers, family: str, prompt: str) -> None:
    tokenizer = tokenizers[family]
    ids = renderer(tokenizer, "text").render(RenderItem(prompt, "It is good.")).input_ids
    assert ids == _tokenize(tokenizer, prompt + "It is good." + tokenizer.eos_token)["input_ids"]
    assert ids[-1] == tokenizer.eos_token_id


@pytest.mark.parametrize("family", ["qwen3", "llama", "gpt2"])
def test_a_response_that_ends_in_eos_gets_no_second_one(tokenizers: Tokenizers, family: str) -> None:
    tokenizer = tokenizers[family]
    text = renderer(tokenizer, "text")
    with_eos = text.render(RenderItem("Why? ", f"Because.{tokenizer.eos_token}"))
    assert with_eos == text.render(RenderItem("Why? ", "Because."))
    assert with_eos.input_ids.count(tokenizer.eos_token_id) == 1


def test_a_text_that_begins_with_bos_gets_no_second_one(tokenizers: Tokenizers) -> None:
    tokenizer = tokenizers["llama"]
    text = renderer(tokenizer, "text")
    plain = text.render(RenderItem("Why? ", "Because."))
    assert text.render(RenderItem("<|begin_of_text|>Why? ", "Because.")) == plain
    assert text.render(RenderItem(None, "<|begin_of_text|>Because.")) == text.render(RenderItem(None, "Because."))
    assert plain.input_ids.count(tokenizer.bos_token_id) == 1


@pytest.mark.parametrize(
    ("prompt", "reply", "seam"),
    [("Why?", "So.", "Why?\nSo."), ("Why?", " So.", "Why? So."), ("Why?\t", "So.", "Why?\tSo."), (None, "So.", "So.")],
)
def test_the_separator_goes_where_no_white_space_parts_prompt_and_response(
    tokenizers: Tokenizers, prompt: str | None, reply: str, seam: str
) -> None:
    tokenizer = tokenizers["gpt2"]
    ids = renderer(tokenizer, "text", separator="\n").render(RenderItem(prompt, reply)).input_ids
    assert ids == [*tokenizer(seam)["input_ids"], tokenizer.eos_token_id]


@pytest.mark.parametrize("family", ["bert", "roberta", "modernbert"])
def test_pair_equals_the_tokenizers_own_sentence_pair(tokenizers: Tokenizers, family: str) -> None:
    tokenizer = tokenizers[family]
    rendered = renderer(tokenizer, "pair").render(RenderItem("What is it?", "It is good."))
    expected = tokenizer("What is it?", "It is good.")
    assert rendered.input_ids == expected["input_ids"]
    types = expected.get("token_type_ids")
    assert rendered.type_boundary == (None if types is None else types.index(1))
    if types is not None:
        assert types == [int(index >= rendered.type_boundary) for index in range(len(types))]


@pytest.mark.parametrize("family", ["bert", "roberta", "modernbert"])
@pytest.mark.parametrize("prompt", [None, "", []])
def test_a_bare_text_is_one_sentence_to_an_encoder(tokenizers: Tokenizers, family: str, prompt: Any) -> None:
    tokenizer = tokenizers[family]
    rendered = renderer(tokenizer, "pair").render(RenderItem(prompt, "It is good."))
    assert rendered.input_ids == tokenizer("It is good.")["input_ids"]
    assert rendered.type_boundary in (None, len(rendered.input_ids))


@pytest.mark.parametrize("family", ["qwen3", "llama"])
def test_a_bare_text_under_the_chat_layout_is_taken_as_it_is(tokenizers: Tokenizers, family: str) -> None:
    tokenizer = tokenizers[family]
    ids = renderer(tokenizer, "chat").render(RenderItem(None, "It is good.")).input_ids
    assert ids == tokenizer("It is good.")["input_ids"]


@pytest.mark.parametrize("layout", ["chat", "mixed"])
def test_a_conversation_without_a_prompt_still_goes_through_the_template(tokenizers: Tokenizers, layout: str) -> None:
    whole = [user("Why?"), bot("Because.")]  # both sides of a pair may differ from the first turn on
    ids = renderer(tokenizers["qwen3"], layout).render(RenderItem(None, whole)).input_ids
    assert ids == template_ids(tokenizers["qwen3"], whole)


@pytest.mark.parametrize(
    ("family", "layout"), [*LAYOUTS, ("gpt2", "mixed"), ("qwen3", "mixed")], ids=lambda value: value
)
@pytest.mark.parametrize("response", ["Because. ", "None"])
def test_none_is_never_rendered(tokenizers: Tokenizers, family: str, layout: str, response: str) -> None:
    tokenizer = tokenizers[family]
    for prompt in (None, "Why?"):
        ids = renderer(tokenizer, layout).render(RenderItem(prompt, response)).input_ids
        assert tokenizer.decode(ids).lower().count("none") == response.lower().count("none")


@pytest.mark.parametrize(("family", "layout"), LAYOUTS)
def test_a_prompt_string_equals_a_one_turn_conversation(tokenizers: Tokenizers, family: str, layout: str) -> None:
    one = renderer(tokenizers[family], layout)
    as_text = one.render(RenderItem("What is it?", "It is good."))
    assert as_text == one.render(RenderItem([user("What is it?")], [bot("It is good.")]))
    assert as_text == one.render(RenderItem([user("What is it?")], "It is good."))


@pytest.mark.parametrize(("family", "layout"), [("gpt2", "text"), ("bert", "pair")])
def test_a_conversation_without_a_template_is_a_transcript(tokenizers: Tokenizers, family: str, layout: str) -> None:
    tokenizer = tokenizers[family]
    ids = renderer(tokenizer, layout).render(RenderItem(CONVERSATION, "Paris.")).input_ids
    transcript = "System: Be brief.\n\nUser: What is  the capital?\n\nAssistant: Of what?\n\nUser: Of France 🇫🇷\n"
    if layout == "text":
        transcript += "\n\nAssistant: Paris."
        assert ids == [*tokenizer(transcript)["input_ids"], tokenizer.eos_token_id]
    else:
        assert ids == tokenizer(transcript, "Paris.")["input_ids"]


def test_mixed_takes_each_row_as_trl_does(tokenizers: Tokenizers) -> None:
    tokenizer = tokenizers["qwen3"]
    mixed = renderer(tokenizer, "mixed", separator="")
    rows = [RenderItem("Why?", "Because."), RenderItem([user("Why?")], [bot("Because.")]), RenderItem(None, "So.")]
    texts = mixed.render_batch(rows)
    assert [text.input_ids for text in texts if isinstance(text, Rendered)] == [
        _tokenize(tokenizer, "Why?Because.<|im_end|>")["input_ids"],
        _tokenize(tokenizer, [user("Why?"), bot("Because.")])["input_ids"],
        _tokenize(tokenizer, "So.<|im_end|>")["input_ids"],
    ]


def test_tools_and_template_arguments_reach_the_template(tokenizers: Tokenizers) -> None:
    tokenizer = tokenizers["qwen3"]
    whole = [user("2 + 3?"), bot("5")]
    plain = renderer(tokenizer, "chat")
    assert plain.render(RenderItem("2 + 3?", "5", tools=[TOOL])).input_ids == template_ids(
        tokenizer, whole, tools=[TOOL]
    )
    unthinking = template_ids(tokenizer, whole, enable_thinking=False)
    assert unthinking != template_ids(tokenizer, whole)
    from_item = RenderItem("2 + 3?", "5", template_kwargs={"enable_thinking": False})
    assert plain.render(from_item).input_ids == unthinking
    of_spec = renderer(tokenizer, "chat", template_kwargs={"enable_thinking": False})
    assert of_spec.render(RenderItem("2 + 3?", "5")).input_ids == unthinking
    item_wins = RenderItem("2 + 3?", "5", template_kwargs={"enable_thinking": True})
    assert of_spec.render(item_wins).input_ids == template_ids(tokenizer, whole)


def test_a_response_of_tool_calls_is_rendered_by_the_template(tokenizers: Tokenizers) -> None:
    calls = {"role": "assistant", "content": None, "tool_calls": [{"name": "add", "arguments": {"a": 2}}]}
    response = [calls, {"role": "tool", "content": "5"}, bot("It is 5.")]
    for reply in (response, [calls]):
        ids = renderer(tokenizers["qwen3"], "chat").render(RenderItem("2 + 3?", reply, tools=[TOOL])).input_ids
        assert ids == template_ids(tokenizers["qwen3"], [user("2 + 3?"), *reply], tools=[TOOL])


def test_an_example_gives_one_item_for_each_response() -> None:
    example = Example(prompt="p", responses=("a", "b"), labels=(1.0, 0.0), tools=[TOOL], template_kwargs={"x": 1})
    assert RenderItem.of(example) == [
        RenderItem("p", "a", [TOOL], {"x": 1}),
        RenderItem("p", "b", [TOOL], {"x": 1}),
    ]


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("response", ["", " \n", [], [bot("")], [bot(" ")], [{"role": "assistant", "content": []}]])
@pytest.mark.parametrize(("family", "layout"), LAYOUTS)
def test_an_empty_response_is_refused(tokenizers: Tokenizers, family: str, layout: str, response: Any) -> None:
    with pytest.raises(RenderError, match="the response is empty"):
        renderer(tokenizers[family], layout).render(RenderItem("Why?", response))


def test_content_parts_count_as_content(tokenizers: Tokenizers) -> None:
    parts = [{"role": "assistant", "content": [{"type": "text", "text": "It is"}, {"type": "text", "text": "good."}]}]
    text = renderer(tokenizers["gpt2"], "text")
    assert text.render(RenderItem("Why?", parts)) == text.render(RenderItem("Why?", "It is\ngood."))


def test_a_conversation_needs_a_chat_template(tokenizers: Tokenizers) -> None:
    with pytest.raises(RenderError, match="no chat template"):
        renderer(tokenizers["gpt2"], "mixed").render(RenderItem([user("Why?")], [bot("Because.")]))
    with pytest.raises(ConfigError, match="needs a chat template"):
        default_spec(tokenizers["gpt2"], 64, layout="chat")


def test_what_the_template_refuses_is_said_with_the_roles(tokenizers: Tokenizers) -> None:
    with pytest.raises(RenderError, match=r"roles: user, tool, assistant\): only system, user and assistant"):
        renderer(tokenizers["llama"], "chat").render(
            RenderItem([user("Why?"), {"role": "tool", "content": "5"}], "Because.")
        )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layout": "poem"}, "layout: expected one of chat, text, pair, mixed, got 'poem'"),
        ({"truncation": "left"}, "truncation: expected one of keep-response, drop, got 'left'"),
        ({"max_length": 7}, "max_length must be at least 8"),
        ({"cut_step": 0}, "cut_step at least 1"),
    ],
)
def test_a_spec_that_cannot_work_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RenderSpec(**({"layout": "text", "max_length": 64} | changes))


def test_an_unknown_way_with_overlong_texts_is_refused(tokenizers: Tokenizers) -> None:
    with pytest.raises(ConfigError, match="expected 'error' or 'cut', got 'trim'"):
        renderer(tokenizers["gpt2"], "text").render(RenderItem(None, "x"), overlong="trim")


@pytest.mark.parametrize(
    ("family", "layout"), [("qwen3", "chat"), ("gpt2", "text"), ("bert", "pair"), ("modernbert", "pair")]
)
def test_the_default_layout_suits_the_tokenizer(tokenizers: Tokenizers, family: str, layout: str) -> None:
    spec = default_spec(tokenizers[family], 64)
    assert (spec.layout, spec.add_eos) == (layout, tokenizers[family].eos_token_id is not None)


# --- the spec and its hash --------------------------------------------------------------------------------------------


def test_the_hash_changes_with_every_field_and_with_the_template() -> None:
    spec = RenderSpec("chat", 64)
    changed = [
        replace(spec, layout="mixed"),
        replace(spec, max_length=65),
        replace(spec, truncation="drop"),
        replace(spec, separator=" "),
        replace(spec, add_eos=False),
        replace(spec, cut_step=32),
        replace(spec, template_kwargs={"enable_thinking": False}),
    ]
    assert len(changed) == len(RenderSpec.__dataclass_fields__)  # a new field needs a line here
    hashes = [spec.hash("a"), spec.hash("b"), spec.hash(None), *(other.hash("a") for other in changed)]
    assert len(set(hashes)) == len(hashes)


def test_the_template_is_in_the_hash_only_where_it_is_used() -> None:
    assert RenderSpec("mixed", 64).hash("a") != RenderSpec("mixed", 64).hash("b")
    for layout in ("text", "pair"):
        assert RenderSpec(layout, 64).hash("a") == RenderSpec(layout, 64).hash("b")  # type: ignore[arg-type]


def test_the_hash_is_the_same_in_every_process(tokenizers: Tokenizers) -> None:
    spec = RenderSpec("chat", 64, template_kwargs={"b": 1, "a": "é"})
    code = (
        "from plaudit.formatting import RenderSpec;"
        "print(RenderSpec('chat', 64, template_kwargs={'a': 'é', 'b': 1}).hash('{{ x }}'))"
    )
    other = subprocess.run([sys.executable, "-X", "utf8", "-c", code], capture_output=True, text=True, check=True)
    document = (
        '[{"add_eos": true, "cut_step": 64, "layout": "chat", "max_length": 64, "separator": "\\n", '
        '"template_kwargs": {"a": "é", "b": 1}, "truncation": "keep-response"}, "{{ x }}"]'
    )  # written out: saved models carry this hash, so it must not change by accident
    expected = hashlib.sha256(document.encode()).hexdigest()[:16]
    assert other.stdout.strip() == spec.hash("{{ x }}") == expected


def test_a_spec_survives_json_and_refuses_unknown_keys() -> None:
    spec = RenderSpec("pair", 128, "drop", " ", False, 16, {"x": [1]})
    values = json.loads(json.dumps(spec.to_dict()))
    assert RenderSpec.from_dict(values) == spec
    with pytest.raises(ConfigError, match=r"unknown rendering keys \['colour'\]"):
        RenderSpec.from_dict(values | {"colour": "red"})


# --- cutting ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["qwen3", "llama"])
def test_old_turns_go_first_and_the_system_message_stays(tokenizers: Tokenizers, family: str) -> None:
    tokenizer = tokenizers[family]
    turns = [message for i in range(6) for message in (user(f"question {i} " * 8), bot(f"answer {i} " * 8))]
    prompt = [system("Be brief."), *turns, user("And the capital?")]
    kept = [system("Be brief."), *turns[8:], user("And the capital?")]
    expected = template_ids(tokenizer, [*kept, bot("Paris.")])
    whole = template_ids(tokenizer, [*prompt, bot("Paris.")])
    limit = len(expected) + 63  # the response counts as one step of 64
    rendered = renderer(tokenizer, "chat", limit).render(RenderItem(prompt, "Paris."))
    assert rendered.input_ids == expected
    assert rendered.cut == len(whole) - len(expected)


@pytest.mark.parametrize("limit", [80, 137, 400, 1200])
def test_a_long_conversation_loses_no_more_turns_than_it_must(tokenizers: Tokenizers, limit: int) -> None:
    tokenizer = tokenizers["llama"]
    turns = [message for i in range(40) for message in (user(f"good {i} " * (i % 5)), bot("bad " * (i % 7)))]
    prompt = [system("Be brief."), *turns, user("And the capital?")]
    ids = renderer(tokenizer, "chat", limit, cut_step=1).render(RenderItem(prompt, "Paris.")).input_ids
    kept = (
        template_ids(tokenizer, [system("Be brief."), *turns[dropped:], user("And the capital?"), bot("Paris.")])
        for dropped in range(0, len(turns) + 1, 2)
    )
    assert ids == next(whole for whole in kept if len(whole) <= limit)


@pytest.mark.parametrize("role", ["system", "developer"])
def test_instructions_stay_when_turns_go(tokenizers: Tokenizers, role: str) -> None:
    head = {"role": role, "content": "Be brief."}
    prompt = [head, user("good " * 60), bot("bad " * 60), user("And?")]
    ids = renderer(tokenizers["qwen3"], "chat", 100).render(RenderItem(prompt, "Paris.")).input_ids
    assert ids == template_ids(tokenizers["qwen3"], [head, user("And?"), bot("Paris.")])


@pytest.mark.parametrize("family", ["qwen3", "llama"])
def test_prompt_tokens_go_from_the_start_and_the_template_stays(tokenizers: Tokenizers, family: str) -> None:
    tokenizer = tokenizers[family]
    question = " ".join(f"good {number}" for number in range(100)) + "?"
    whole = template_ids(tokenizer, [user(question), bot("Paris.")])
    bare = template_ids(tokenizer, [user("?"), bot("Paris.")])
    header = next(i for i, (a, b) in enumerate(zip(whole, bare, strict=False)) if a != b)
    rendered = renderer(tokenizer, "chat", 128, cut_step=1).render(RenderItem(question, "Paris."))
    assert len(rendered.input_ids) == 128
    assert rendered.input_ids == whole[:header] + whole[header + rendered.cut :]


@pytest.mark.parametrize("prompt", ["assistant", "user", "<think>", "Paris.", "im_end", "\n", "a"])
@pytest.mark.parametrize("family", ["qwen3", "llama"])
def test_a_prompt_that_reads_like_the_template_does_not_lose_the_template(
    tokenizers: Tokenizers, family: str, prompt: str
) -> None:
    tokenizer = tokenizers[family]
    reply = f"Paris. {prompt} " * 12 + "So."
    empty = template_ids(tokenizer, [user(""), bot(reply)])
    rendered = renderer(tokenizer, "chat", len(empty), cut_step=1).render(RenderItem(prompt, reply))
    assert rendered.input_ids == empty


@pytest.mark.parametrize("reply", ["end", "d", "im_end", "user", "assistant", "What is it?", "|"])
@pytest.mark.parametrize("family", ["qwen3", "llama"])
def test_a_response_that_reads_like_the_template_is_still_found(
    tokenizers: Tokenizers, family: str, reply: str
) -> None:
    explained = renderer(tokenizers[family], "chat").explain(RenderItem("What is it?", reply))
    texts = {
        kind: "".join(t for t, k in zip(explained.tokens, explained.kinds, strict=True) if k == kind)
        for kind in ("prompt", "response")
    }
    assert texts == {"prompt": "What is it?", "response": reply}


def test_a_thinking_response_is_kept_whole(tokenizers: Tokenizers) -> None:
    tokenizer = tokenizers["qwen3"]
    question = "good " * 300
    reply = "<think>\nIs good it?\n</think>\n\nIt is good it."
    rendered = renderer(tokenizer, "chat", 100).render(RenderItem(question, reply))
    text = tokenizer.decode(rendered.input_ids)
    assert text.endswith(f"<|im_start|>assistant\n{reply}<|im_end|>\n")
    assert len(rendered.input_ids) <= 100


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_white_space_goes_with_the_prompt_it_belongs_to(tokenizers: Tokenizers, family: str) -> None:
    """Llama 3 trims offsets: a token of white space has none, and must not stay behind when its neighbours go."""
    tokenizer = tokenizers[family]
    prompt = "def add:" + "\n        good:\n   \n" * 40 + "END"
    item = RenderItem(prompt, "good reward")
    rendered = renderer(tokenizer, "text", 40, cut_step=1).render(item)
    whole = renderer(tokenizer, "text").render(item)
    bos = 1 if family == "llama" else 0
    assert len(rendered.input_ids) == 40
    assert rendered.input_ids == whole.input_ids[:bos] + whole.input_ids[bos + rendered.cut :]


def test_a_bos_that_the_prompt_brought_survives_the_cut(tokenizers: Tokenizers) -> None:
    tokenizer = tokenizers["llama"]
    text = renderer(tokenizer, "text", 32)
    question = "good " * 100
    brought = text.render(RenderItem(f"<|begin_of_text|>{question}", "Paris."))
    assert brought == text.render(RenderItem(question, "Paris."))
    assert brought.input_ids[0] == tokenizer.bos_token_id


@pytest.mark.parametrize(("family", "layout"), LAYOUTS)
@pytest.mark.parametrize("lengths", [(3, 60), (70, 120)])
def test_replies_of_similar_length_keep_the_same_prompt(
    tokenizers: Tokenizers, family: str, layout: str, lengths: tuple[int, int]
) -> None:
    tokenizer = tokenizers[family]
    prompt = " ".join(str(n) for n in range(400))
    step = renderer(tokenizer, layout, 256)
    texts = [step.render(RenderItem(prompt, " ".join(["good"] * n))).input_ids for n in lengths]
    replies = [len(tokenizer(" ".join(["good"] * n), add_special_tokens=False)["input_ids"]) for n in lengths]
    assert -(-replies[0] // 64) == -(-replies[1] // 64)
    shared = next(i for i, (a, b) in enumerate(zip(*texts, strict=False)) if a != b)
    assert shared >= min(len(text) for text in texts) - 4  # equal up to the shorter reply's closing tokens
    assert max(map(len, texts)) <= 256
    assert len(texts[1]) - len(texts[0]) == replies[1] - replies[0]


@pytest.mark.parametrize(("family", "layout"), LAYOUTS)
def test_what_just_fits_is_not_touched(tokenizers: Tokenizers, family: str, layout: str) -> None:
    item = RenderItem("What is the capital of France?", "Paris is the capital of France.")
    whole = renderer(tokenizers[family], layout).render(item)
    assert renderer(tokenizers[family], layout, len(whole.input_ids)).render(item) == whole
    assert renderer(tokenizers[family], layout, len(whole.input_ids) - 1).render(item).cut > 0


@pytest.mark.parametrize(("family", "layout"), LAYOUTS)
def test_a_response_too_long_by_itself_is_refused_or_loses_its_end(
    tokenizers: Tokenizers, family: str, layout: str
) -> None:
    tokenizer = tokenizers[family]
    reply = " ".join(f"good {n}" for n in range(60))
    one = renderer(tokenizer, layout, 48)
    whole = renderer(tokenizer, layout).render(RenderItem("Why?", reply)).input_ids
    no_prompt = [t for t, k in _with_kinds(tokenizer, layout, RenderItem("Why?", reply)) if k != "prompt"]
    with pytest.raises(TooLongError, match=rf"{len(no_prompt)} tokens, over the limit of 48.*overlong cut"):
        one.render(RenderItem("Why?", reply))
    cut = one.render(RenderItem("Why?", reply), overlong="cut")
    assert len(cut.input_ids) == 48
    assert cut.cut == len(whole) - 48
    response = [t for t, k in _with_kinds(tokenizer, layout, RenderItem("Why?", reply)) if k == "response"]
    closing = whole[
        max(i for i, (_, k) in enumerate(_with_kinds(tokenizer, layout, RenderItem("Why?", reply))) if k == "response")
        + 1 :
    ]
    assert cut.input_ids[len(cut.input_ids) - len(closing) :] == closing
    kept = 48 - (len(no_prompt) - len(response))
    opening = no_prompt[: len(no_prompt) - len(response) - len(closing)]
    assert cut.input_ids == [*opening, *response[:kept], *closing]


def _with_kinds(tokenizer: PreTrainedTokenizerBase, layout: str, item: RenderItem) -> list[tuple[int, str]]:
    explained = renderer(tokenizer, layout).explain(item)
    return list(zip(explained.rendered.input_ids, explained.kinds, strict=True))


@pytest.mark.parametrize("family", ["qwen3", "llama", "gpt2"])
@pytest.mark.parametrize("ending", ["", "EOS"])
def test_a_cut_response_keeps_its_eos(tokenizers: Tokenizers, family: str, ending: str) -> None:
    tokenizer = tokenizers[family]
    reply = "good " * 100 + ending.replace("EOS", tokenizer.eos_token)
    ids = renderer(tokenizer, "text", 20).render(RenderItem("Why?", reply), overlong="cut").input_ids
    assert len(ids) == 20
    assert ids.count(tokenizer.eos_token_id) == 1
    assert ids[-1] == tokenizer.eos_token_id


def test_one_overlong_text_takes_its_place_in_the_batch(tokenizers: Tokenizers) -> None:
    results = renderer(tokenizers["gpt2"], "text", 16).render_batch(
        [RenderItem("a", "b"), RenderItem("a", "good " * 50), RenderItem("a", "c")]
    )
    assert [type(result) for result in results] == [Rendered, TooLongError, Rendered]


@pytest.mark.parametrize(("family", "layout"), LAYOUTS)
def test_drop_refuses_what_keep_response_would_cut(tokenizers: Tokenizers, family: str, layout: str) -> None:
    item = RenderItem("good " * 100, "Paris.")
    assert renderer(tokenizers[family], layout, 64).render(item).cut > 0
    with pytest.raises(TooLongError, match=r"over the limit of 64 \(truncation is 'drop'\)"):
        renderer(tokenizers[family], layout, 64, truncation="drop").render(item)
    short = RenderItem("Why?", "Paris.")
    assert renderer(tokenizers[family], layout, 64, truncation="drop").render(short).cut == 0


def test_a_slow_tokenizer_is_told_apart_before_it_is_cut(tokenizer_of: Callable[[str], Any]) -> None:
    class Slow:
        is_fast = False

        def __init__(self, tokenizer: Any) -> None:
            self.fast = tokenizer

        def __getattr__(self, name: str) -> Any:
            return getattr(self.fast, name)

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return self.fast(*args, **kwargs)

    slow = Renderer(Slow(tokenizer_of("gpt2")), RenderSpec("text", 16))  # type: ignore[arg-type]
    assert slow.render(RenderItem("a", "b")).cut == 0
    with pytest.raises(RenderError, match=r"Slow \(a slow tokenizer\).*raise max_length or use truncation 'drop'"):
        slow.render(RenderItem("good " * 50, "b"))


# --- explain ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("family", "layout"), LAYOUTS)
@pytest.mark.parametrize("limit", [4096, 72])
def test_explain_says_what_each_token_is(tokenizers: Tokenizers, family: str, layout: str, limit: int) -> None:
    tokenizer = tokenizers[family]
    one = renderer(tokenizer, layout, limit, cut_step=1)
    item = RenderItem(" ".join(["good", "bad", "better"] * 30) + " what?", "it is good")
    explained = one.explain(item)
    assert explained.rendered == one.render(item)
    ids, kinds = explained.rendered.input_ids, explained.kinds
    assert len(explained.tokens) == len(kinds) == len(ids)
    assert tokenizer.decode([t for t, k in zip(ids, kinds, strict=True) if k == "response"]).strip() == "it is good"
    prompt = tokenizer.decode([t for t, k in zip(ids, kinds, strict=True) if k == "prompt"])
    assert str(item.prompt).replace(" ", "").endswith(prompt.replace(" ", "").strip())
    for token, kind in zip(ids, kinds, strict=True):
        if token in tokenizer.all_special_ids:
            assert kind == "special"
    if limit == 4096:
        assert explained.cut_at is None
        assert prompt.strip() == item.prompt
    else:
        whole = renderer(tokenizer, layout).render(item).input_ids
        assert explained.cut_at is not None
        assert ids == whole[: explained.cut_at] + whole[explained.cut_at + explained.rendered.cut :]


def test_explain_shows_earlier_turns_and_where_turns_are_missing(tokenizers: Tokenizers) -> None:
    tokenizer = tokenizers["qwen3"]
    prompt = [system("Be nice."), user("good?"), bot("bad."), user("better?")]
    explained = renderer(tokenizer, "chat").explain(RenderItem(prompt, "worse."))
    shown = "".join(t for t, k in zip(explained.tokens, explained.kinds, strict=True) if k == "prompt")
    assert shown == "Be nice.good?bad.better?"
    long = [system("Be nice."), user("good " * 90), bot("bad."), user("better?")]
    explained = renderer(tokenizer, "chat", 110).explain(RenderItem(long, "worse."))
    assert explained.cut_at is not None
    assert "".join(explained.tokens[: explained.cut_at]).endswith("<|im_start|>user\n")
    assert "".join(explained.tokens[explained.cut_at :]).startswith("better?")


def test_explain_refuses_what_render_refuses(tokenizers: Tokenizers) -> None:
    one = renderer(tokenizers["gpt2"], "text", 16)
    with pytest.raises(TooLongError):
        one.explain(RenderItem("Why?", "good " * 50))
    assert len(one.explain(RenderItem("Why?", "good " * 50), overlong="cut").tokens) == 16


# --- any text ---------------------------------------------------------------------------------------------------------

UNICODE = [
    "👩‍👩‍👧‍👦🏽 ok",
    "今天天气很好。",
    "e\u0301a\u0308 n\u0303",
    "שלום עולם, مرحبا",
    "a\u200b\u202eb",
    "\x00\x01",
    "𝔘𝔫𝔦",
]


@pytest.mark.parametrize("text", UNICODE)
@pytest.mark.parametrize(("family", "layout"), LAYOUTS)
def test_unicode_is_rendered_cut_and_explained(tokenizers: Tokenizers, family: str, layout: str, text: str) -> None:
    tokenizer = tokenizers[family]
    if family in ("qwen3", "llama", "gpt2"):
        explained = renderer(tokenizer, layout).explain(RenderItem(f"{text}?", text))
        response = [i for i, k in zip(explained.rendered.input_ids, explained.kinds, strict=True) if k == "response"]
        assert tokenizer.decode(response).strip() == text.strip()
    cut = renderer(tokenizer, layout, 64).render(RenderItem(text * 40, text))
    assert len(cut.input_ids) <= 64


def test_a_response_of_a_megabyte_is_fine(tokenizers: Tokenizers) -> None:
    tokenizer = tokenizers["llama"]
    reply = "The weather is nice today. " * 40_000
    rendered = renderer(tokenizer, "text", 10**7).render(RenderItem("Why?", reply))
    assert rendered.input_ids[-1] == tokenizer.eos_token_id
    assert len(rendered.input_ids) > 40_000
    cut = renderer(tokenizer, "text", 512).render(RenderItem("Why?", reply), overlong="cut")
    assert len(cut.input_ids) == 512


def test_half_a_surrogate_pair_is_refused_in_words(tokenizers: Tokenizers) -> None:
    for family, layout in (("bert", "pair"), ("qwen3", "text")):
        with pytest.raises(RenderError, match="half of a surrogate pair"):
            renderer(tokenizers[family], layout).render(RenderItem("why", "a \ud800 b"))
