"""From what a user says about the reward to a scorer that is proved to be one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from plaudit.errors import ConfigError, ModelError, OutputError
from plaudit.models.ensemble import Ensemble
from plaudit.models.ensemble_folder import is_ensemble
from plaudit.models.reward_model import RewardModel
from plaudit.rewards.composite import CompositeReward, name_of
from plaudit.rl import unsloth
from plaudit.rl.config import RLConfig
from plaudit.scorers import composite_from, parse_reward, resolve_scorer
from plaudit.training.config import make_config
from plaudit.training.distill.config import DistillConfig
from plaudit.training.distill.run import run_distillation
from plaudit.training.distill.sources import RewardModelValidator, check_functions
from plaudit.types import Scorer

__all__ = ["gold_scorers", "open_reward"]


def open_reward(config: RLConfig, say: Callable[[str], None]) -> Scorer:
    """The scorer that is optimised; a reward model that is to be trained is trained, saved and verified first.

    Raises:
        ModelError: no such model, a plain language model, a classifier.
        ConfigError: something else that is no reward.
    """
    options = config.reward_options
    (source,) = config.sources
    if source == "reward_model_path":
        path = str(config.reward_model_path)
        if not Path(path).expanduser().is_dir():
            raise ModelError(f"reward_model_path does not exist: {path}; give the folder that the model was saved in")
        if config.backend == "unsloth" and not is_ensemble(Path(path).expanduser()):
            if options:
                raise ConfigError(
                    f"reward_options {sorted(options)} have no effect with backend 'unsloth'; leave them out"
                )
            return unsloth.load_reward_model(Path(path).expanduser())
        return resolve_scorer(path, **options)
    if source == "reward_model_name":
        name = str(config.reward_model_name)
        if Path(name).expanduser().exists():
            raise ConfigError(f"reward_model_name {name} is a local folder; give it as reward_model_path")
        return resolve_scorer(name, **options)
    if source == "train_custom_reward_model":
        return _trained(config, say)
    if isinstance(config.reward, str) and "://" not in config.reward:
        parse_reward(config.reward)  # a word that is neither a rule nor a folder is a misspelt rule: says which
    scorer = resolve_scorer(config.reward, **options)
    if options and not _learned(scorer):
        raise ConfigError(
            f"reward_options {sorted(options)} have no effect on {name_of(scorer)}: they say how a model is loaded; a "
            "rule's and a server's options stand behind its name, NAME{option: value}"
        )
    return scorer


def _learned(scorer: Scorer) -> bool:
    """Whether a model was loaded for it."""
    parts = [c.scorer for c in scorer.components] if isinstance(scorer, CompositeReward) else [scorer]
    return any(isinstance(part, (RewardModel, Ensemble)) for part in parts)


def _trained(config: RLConfig, say: Callable[[str], None]) -> Scorer:
    """A reward model from rules: really trained, saved, and loaded from where it was saved."""
    output = config.reward_output
    check_functions(config.reward_functions)
    rewards = list(config.reward_functions or [])
    values = {
        "texts": config.reward_training_texts,
        "rewards": composite_from(rewards, weights=config.reward_function_weights),
        "model": config.reward_training_base_model or "embedded",
        "output": output,
        "seed": config.seed,
        "overwrite": config.overwrite,
        "resume": config.resume and output.with_name(output.name + ".scores").exists(),
        **config.reward_training,
    }
    if config.resume and output.is_dir() and (output / "scoring_contract.json").is_file():
        say(f"the reward model of this run is trained already: {output}")
    else:
        if output.is_dir() and any(output.iterdir()) and not config.overwrite:
            raise OutputError(
                f"{output} exists already; to use that reward model give it as reward_model_path, to train it anew "
                "choose another reward_training_output_dir or overwrite (--overwrite)"
            )
        say(f"training the reward model from {len(rewards)} rules into {output}")
        report = run_distillation(make_config(values, DistillConfig), say=say).report
        for line in report.lines():
            say(line)
    RewardModelValidator.validate_local_path(str(output))
    return resolve_scorer(output, **config.reward_options)


def gold_scorers(config: RLConfig) -> dict[str, Scorer]:
    """The watched scorers, by name.

    Raises:
        ConfigError: one of them is what is optimised.
    """
    named = (config.reward_model_path, config.reward_model_name, config.reward)
    optimised = {_same(name) for name in named if isinstance(name, (str, Path))}
    found: dict[str, Scorer] = {}
    taken = {"reward"}  # what the optimised one is called
    for number, spec in enumerate(config.gold):
        if spec in config.gold[:number]:
            raise ConfigError(f"gold {spec} is given twice; give it once")
        if isinstance(spec, (str, Path)) and _same(spec) in optimised:
            raise ConfigError(f"gold {spec} is what is optimised: it would only repeat the reward; give another scorer")
        if isinstance(spec, str) and "://" not in spec:
            parse_reward(spec)  # as of the reward: a misspelt rule is no Hub id
        scorer = composite_from(spec) if isinstance(spec, (list, dict)) else resolve_scorer(spec)
        name = Path(spec).name if isinstance(spec, (str, Path)) else name_of(scorer)
        while name in taken:
            name += "'"
        taken.add(name)
        found[name] = scorer
    return found


def _same(name: str | Path) -> str:
    """One name for a folder however it is written."""
    path = Path(name).expanduser()
    return str(path.resolve()) if path.exists() else str(name).strip()


def described(config: RLConfig) -> str:
    """The reward in words, for reports."""
    (source,) = config.sources
    value = config.reward_output if source == "train_custom_reward_model" else getattr(config, source)
    return (
        value if isinstance(value, str) else json.dumps(value, default=str) if isinstance(value, list) else str(value)
    )
