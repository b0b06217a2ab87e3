"""How a policy reads prompts, samples, and is saved."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, GenerationConfig, PreTrainedTokenizerBase

from plaudit.errors import ConfigError, ModelError, RenderError
from plaudit.rl.policy import load_policy

Saved = Callable[[str, str], Path]
TALK = [{"role": "user", "content": "Who are you?"}]


def test_text_prompts_go_into_the_chat_template_where_there_is_one(saved: Saved) -> None:
    policy = load_policy(saved("qwen3", "base"))
    assert policy.render("Who are you?") == policy.render(TALK)
    assert policy.tokenizer.decode(policy.render(TALK)).endswith("<|im_start|>assistant\n")
    plain = load_policy(saved("qwen3", "base"), layout="text")
    assert plain.render("Who are you?") == plain.tokenizer("Who are you?")["input_ids"]
    assert plain.render(TALK) == policy.render(TALK)  # a conversation always needs the template


def test_a_conversation_needs_a_chat_template(saved: Saved) -> None:
    policy = load_policy(saved("gpt2", "base"))
    with pytest.raises(RenderError, match="the policy's tokenizer has no chat template"):
        policy.render(TALK)
    with pytest.raises(ConfigError, match="prompt_layout 'chat' needs a chat template"):
        load_policy(saved("gpt2", "base"), layout="chat")


def test_padding_is_never_an_end_token(saved: Saved) -> None:
    policy = load_policy(saved("gpt2", "base"))  # its tokenizer has one special token for everything
    assert policy.pad_id not in policy.end_ids


def test_sampling_is_from_the_whole_distribution_whatever_the_checkpoint_asks_for(copied: Saved) -> None:
    folder = copied("qwen3", "base")
    GenerationConfig(do_sample=True, top_k=1, repetition_penalty=5.0, eos_token_id=2).save_pretrained(folder)
    policy = load_policy(folder)
    prompt = policy.render("a")
    answers = policy.sample([prompt] * 300, max_new_tokens=1, seed=0)
    drawn = Counter(answer[0] for answer in answers.ids)
    assert len(drawn) > 20  # with top_k=1 it would be one
    with torch.no_grad():
        likely = torch.softmax(policy.model(input_ids=torch.tensor([prompt])).logits[0, -1], -1)
    token = int(likely.argmax())
    share = drawn[token] / 300
    assert abs(share - float(likely[token])) < 4 * (float(likely[token]) / 300) ** 0.5 + 0.01


def test_answers_do_not_depend_on_who_else_is_in_the_batch_but_on_the_seed(saved: Saved) -> None:
    policy = load_policy(saved("llama", "base"))
    prompts = [policy.render(text) for text in ("a", "a longer prompt than that", "b c")]
    state = torch.get_rng_state()
    first = policy.sample(prompts, max_new_tokens=6, seed=3)
    assert torch.equal(state, torch.get_rng_state())
    assert policy.sample(prompts, max_new_tokens=6, seed=3).ids == first.ids
    assert policy.sample(prompts, max_new_tokens=6, seed=4).ids != first.ids
    greedy = policy.sample(prompts, max_new_tokens=6, temperature=0).ids
    assert [policy.sample([p], max_new_tokens=6, temperature=0).ids[0] for p in prompts] == greedy


def test_an_answer_ends_with_its_first_end_token_and_its_text_without_it(saved: Saved) -> None:
    policy = load_policy(saved("qwen3", "base"))
    end = policy.end_ids[0]
    word = policy.tokenizer("Paris")["input_ids"]
    assert policy._cut([*word, end, 5, end]) == [*word, end]
    assert policy.text_of([*word]) == "Paris"


def test_the_saved_policy_keeps_the_checkpoints_own_generation_settings(copied: Saved, tmp_path: Path) -> None:
    folder = copied("qwen3", "base")
    GenerationConfig(do_sample=True, top_k=7, temperature=0.6, eos_token_id=2).save_pretrained(folder)
    policy = load_policy(folder)
    policy.save(tmp_path / "out")
    kept = json.loads((tmp_path / "out" / "generation_config.json").read_text())
    assert (kept["top_k"], kept["temperature"]) == (7, 0.6)
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    ids = torch.tensor([policy.render("a")])
    torch.testing.assert_close(again(ids).logits, policy.model(ids).logits)
    assert policy.model.generation_config.top_k == 0


def test_what_writes_no_text_is_no_policy(saved: Saved, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="writes no text; give a language model"):
        load_policy(saved("qwen3", "reward"))
    with pytest.raises(ModelError, match="there is no model folder"):
        load_policy(tmp_path / "nothing")


def test_dropout_in_front_of_adapters_is_refused(saved: Saved) -> None:
    with pytest.raises(ConfigError, match="lora_dropout"):
        load_policy(saved("qwen3", "base"), lora={"lora_dropout": 0.1})


def test_dropout_is_switched_off(copied: Saved, tokenizers: dict[str, PreTrainedTokenizerBase]) -> None:
    policy = load_policy(copied("gpt2", "base"))
    rates = [module.p for module in policy.model.modules() if isinstance(module, torch.nn.Dropout)]
    assert rates
    assert not any(rates)


def test_a_template_that_refuses_a_role_is_no_traceback(saved: Saved) -> None:
    policy = load_policy(saved("llama", "base"))
    with pytest.raises(RenderError, match="the policy's chat template refuses the prompt: only system, user"):
        policy.render([{"role": "tool", "content": "x"}])
