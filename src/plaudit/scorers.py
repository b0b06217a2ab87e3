"""From what a user writes to a scorer: a rule, several of them, a model folder, a Hub id, a server."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from plaudit.errors import ConfigError
from plaudit.models.ensemble import load_learned
from plaudit.registry import suggest
from plaudit.rewards.base import REWARDS, make
from plaudit.rewards.composite import Component, CompositeReward
from plaudit.rewards.normalize import Normalizer
from plaudit.rewards.remote import RemoteScorer, is_url
from plaudit.types import Scorer

__all__ = ["composite_from", "parse_reward", "resolve_scorer"]

_SPEC = re.compile(r"(?P<what>[^{]+?)\s*(?P<options>\{.*\})?\s*(?:=(?P<weight>[^={}]*))?", re.DOTALL)
_COMPOSITE_KEYS = {"rewards", "mode", "normalize", "uncertainty_penalty"}
_COMPONENT_KEYS = {"reward", "model", "options", "weight", "name", "normalizer"}


def resolve_scorer(spec: str | Path | Mapping[str, Any] | Sequence[Any] | Scorer, **options: Any) -> Scorer:
    """A scorer from its name.

    Args:
        spec: one of

            - a scorer, which is returned as it is;
            - the name of a reward function, with options as a YAML mapping behind it where there are any: ``length``,
              ``length{target: 50}`` (a folder of the same name is written ``./length``);
            - a ``.yaml`` file that describes a composite, see `composite_from`;
            - the folder of a model or an ensemble, or a Hub id;
            - the address of a reward server, ``http://host:port/v1/reward``, with options in the same way, see
              `plaudit.rewards.remote.RemoteScorer`;
            - several of these as a list, or a mapping: what `composite_from` takes.
        options: passed to `RewardModel.from_pretrained` (device, dtype, …); for an ensemble also ``combine`` and ``k``.

    Raises:
        ConfigError: nothing of these, or options that a rule cannot use.
    """
    if isinstance(spec, (str, Path)):
        return _named(spec, options)
    if isinstance(spec, (Mapping, Sequence)):
        return composite_from(spec, **options)
    if not isinstance(spec, Scorer):
        raise ConfigError(
            f"{spec!r} is no scorer: expected a rule's name, a model's folder or Hub id, a YAML file, a server's "
            "address, a list of these, or an object with a method score(prompts, responses)"
        )
    return spec


def composite_from(
    spec: str | Path | Mapping[str, Any] | Sequence[Any],
    *,
    weights: Sequence[float] | None = None,
    **options: Any,
) -> CompositeReward:
    """A composite from a YAML file, a mapping, or a list of components.

    A mapping has ``rewards`` (the list), ``mode``, ``normalize`` and ``uncertainty_penalty``, see `CompositeReward`. A
    component is text as in ``length=0.3`` (see `parse_reward`), a scorer, or a mapping with ``reward`` (a name) or
    ``model`` (a folder, Hub id or server's address), ``options``, ``weight``, ``name`` and ``normalizer``.

    Args:
        spec: the description.
        weights: of the components, instead of their own.
        options: passed to `RewardModel.from_pretrained`.

    Raises:
        ConfigError: it describes no composite; says where.
    """
    where = "rewards"
    if isinstance(spec, (str, Path)):
        where, spec = str(spec), _read(Path(spec))
    values = dict(spec) if isinstance(spec, Mapping) else {"rewards": spec}
    _check_keys(values, _COMPOSITE_KEYS, where)
    parts = values.pop("rewards", None)
    if isinstance(parts, str) or not isinstance(parts, Sequence) or not parts:
        raise ConfigError(f"{where}: expected a list of rewards, got {parts!r:.80}")
    return CompositeReward([_component(part, where, options) for part in parts], weights, **values)


def parse_reward(text: str) -> dict[str, Any]:
    """A component from text: ``NAME``, ``NAME=WEIGHT``, ``NAME{option: value, …}=WEIGHT``; NAME may be a model.

    Returns:
        A mapping as `composite_from` takes it.

    Raises:
        ConfigError: the text has another form.
    """
    found = _SPEC.fullmatch(text.strip())
    what = found["what"].strip() if found else ""
    first, equals, _ = what.partition("=")
    if found is None or (equals and first.strip() in ("", *REWARDS.names())):
        raise ConfigError(f"{text!r} is no reward; write NAME, NAME=WEIGHT or NAME{{option: value}}=WEIGHT")
    is_rule = what in REWARDS.names()
    if not is_rule and _looks_like_a_name(what) and not Path(what).exists():
        REWARDS.get(what)  # raises, with a suggestion
    part: dict[str, Any] = {"reward": what} if is_rule else {"model": what}
    if found["options"]:
        part["options"] = _options(found["options"], text)
    if found["weight"] is not None:
        try:
            part["weight"] = float(found["weight"])
        except ValueError:
            raise ConfigError(f"{text!r}: the weight {found['weight']!r} is no number") from None
    return part


def _named(spec: str | Path, options: dict[str, Any]) -> Scorer:
    if isinstance(spec, str):
        found = _SPEC.fullmatch(spec.strip())
        what = found["what"].strip() if found is not None and found["weight"] is None else ""
        if is_url(spec.strip()) or what in REWARDS.names():
            own = _options(found["options"], spec) if found is not None and found["options"] else {}
            return make(what, own) if what in REWARDS.names() else _remote(what or spec.strip(), own)
    if str(spec).endswith((".yaml", ".yml")):
        return composite_from(spec, **options)
    return load_learned(spec, **options)


def _component(part: Any, where: str, options: dict[str, Any]) -> Component:
    if isinstance(part, str):
        part = parse_reward(part)
    if not isinstance(part, Mapping):
        return part if isinstance(part, Component) else Component(part)
    _check_keys(part, _COMPONENT_KEYS, where)
    if ("reward" in part) == ("model" in part):
        raise ConfigError(
            f"{where}: a component has a reward (a name) or a model (a folder, Hub id or server), got {dict(part)}"
        )
    own = part.get("options") or {}
    if not isinstance(own, Mapping):
        raise ConfigError(f"{where}: options are a mapping, got {own!r}")
    if "reward" in part:
        scorer: Scorer = make(str(part["reward"]), own)
    elif is_url(part["model"]):
        scorer = _remote(part["model"], own)
    else:
        scorer = load_learned(str(part["model"]), **{**options, **own})
    normalizer = Normalizer.from_dict(dict(part["normalizer"])) if part.get("normalizer") else Normalizer()
    spec = {key: part[key] for key in ("reward", "model", "options") if key in part}
    return Component(scorer, part.get("weight", 1.0), str(part.get("name", "")), normalizer, spec)


def _remote(url: str, options: Mapping[str, Any]) -> RemoteScorer:
    known = [each.name for each in fields(RemoteScorer) if each.name != "url"]
    for option in options:
        if option not in known:
            raise ConfigError(f"{url} has no option {option!r}{suggest(option, known)}; it has {', '.join(known)}")
    return RemoteScorer(url, **options)


def _looks_like_a_name(what: str) -> bool:
    return re.fullmatch(r"[\w-]+", what) is not None


def _options(text: str, whole: str) -> dict[str, Any]:
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(
            f"{whole!r}: the options are no YAML mapping: {' '.join(str(error).split())[:120]}"
        ) from error
    assert isinstance(values, dict)
    for name, value in values.items():
        if value is None:  # {target=5} is a key without a value
            raise ConfigError(f"{whole!r}: the option {name!r} has no value; write {{name: value}}")
    return values


def _read(path: Path) -> Any:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot read {path}: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(values, (dict, list)):
        raise ConfigError(f"{path}: expected a mapping with rewards, or a list of them")
    return values


def _check_keys(values: Mapping[str, Any], known: set[str], where: str) -> None:
    for key in values:
        if key not in known:
            raise ConfigError(f"{where}: unknown key {key!r}{suggest(str(key), sorted(known))}; known: {sorted(known)}")
