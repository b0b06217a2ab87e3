"""Sentence embeddings from a transformers encoder. Knows nothing of scores.

The encoder runs as it was trained: token states pooled as its folder says (mean, where it says nothing), then scaled to
length one (Reimers and Gurevych 2019, section 3).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plaudit.errors import ConfigError, ItemError, ModelError
from plaudit.rewards.sentences import sentences

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from transformers import PreTrainedModel

__all__ = ["SentenceEncoder", "sentence_encoder"]

BATCH_TOKENS = 4096  # tokens of a batch with its padding: on a CPU, larger ones are no faster

_loaded: dict[tuple[str, str], SentenceEncoder] = {}
_loading = threading.Lock()


def sentence_encoder(model: str = "embedded", device: str | None = None) -> SentenceEncoder:
    """The encoder of that name on that device, loaded once in a process; safe to call from several threads.

    Args:
        model: ``embedded`` (all-MiniLM-L6-v2), a folder, or a Hub id.
        device: ``cuda``, ``cuda:1``, ``mps``, ``cpu``; None takes the best there is.

    Raises:
        ModelError: it is no encoder that can be loaded.
        MissingExtraError: the extra [embedded] is not installed.
        DeviceError: there is no such device.
    """
    from plaudit.models.build import resolve_name
    from plaudit.models.device import resolve_device

    key = (resolve_name(model), str(resolve_device(device)))
    with _loading:
        if key not in _loaded:
            _loaded[key] = SentenceEncoder(model, device)
        return _loaded[key]


class SentenceEncoder:
    """A transformers encoder whose pooled states stand for texts. `sentence_encoder` gives a shared one.

    Attributes:
        model: the name it was loaded by.
        dimension: D, the length of a vector.
        limit: the most tokens of a window, special ones included.
        pooling: "mean" over the tokens or "cls", the first token's state.
    """

    def __init__(self, model: str = "embedded", device: str | None = None) -> None:
        from plaudit.engine.linear import fast_linears
        from plaudit.models.build import load_tokenizer, position_limit, resolve_name
        from plaudit.models.device import resolve_device

        path = resolve_name(model)
        self.model = model
        self.device = resolve_device(device)
        self.pooling = _pooling(model, path)
        self._tokenizer = load_tokenizer(model)
        self._network = _load(model, path)
        self._network.to(self.device)  # type: ignore[arg-type]
        fast_linears(self._network)
        self.dimension = int(self._network.config.hidden_size)
        trained = (_document(path, "sentence_bert_config.json") or {}).get("max_seq_length")
        self.limit = min(limit for limit in (trained, position_limit(self._network, self._tokenizer), 8192) if limit)
        self._one_at_a_time = threading.Lock()  # a fast tokenizer cannot be used by two threads at once
        self._before, self._after = self._special_tokens()
        self._room = self.limit - len(self._before) - len(self._after)
        if self._room < 1:
            raise ModelError(f"{model}: {self.limit} positions leave no room for a text")

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Vectors of length one, shape (N, D), float32.

        A text beyond the encoder's positions is cut into windows of whole sentences (a sentence beyond them into
        pieces), and its vector is the mean of the windows' vectors, weighted by their tokens and scaled to length one.
        Equal texts are computed once; batches hold windows of like length.

        Raises:
            ConfigError: ``texts`` is one text.
            ItemError: a text without any token.
        """
        import numpy as np

        if isinstance(texts, str):
            raise ConfigError("encode: expected a list of texts, got one text")
        places: dict[str, int] = {}
        rows = [places.setdefault(text, len(places)) for text in texts]
        windows: list[list[int]] = []
        owners: list[int] = []
        for owner, of_text in enumerate(self._windows(list(places))):
            if not of_text:
                raise ItemError("a text without any token has no embedding", rows.index(owner))
            windows += of_text
            owners += [owner] * len(of_text)
        vectors = np.zeros((len(places), self.dimension), dtype=np.float64)
        order = sorted(range(len(windows)), key=lambda i: -len(windows[i]))
        for batch in _batches(order, [len(ids) + len(self._before) + len(self._after) for ids in windows]):
            pooled = self._forward([[*self._before, *windows[i], *self._after] for i in batch])
            for i, vector in zip(batch, pooled, strict=True):
                vectors[owners[i]] += len(windows[i]) * vector
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors.astype(np.float32)[rows]

    def _windows(self, texts: list[str]) -> Iterator[list[list[int]]]:
        """The token ids of each text's windows, without special tokens."""
        for text, ids in zip(texts, self._ids(texts), strict=True):
            if len(ids) <= self._room:
                yield [ids] if ids else []
                continue
            packed: list[list[int]] = []
            for part in self._ids(sentences(text)):
                pieces = [part[i : i + self._room] for i in range(0, len(part), self._room)]
                if packed and len(pieces) == 1 and len(packed[-1]) + len(part) <= self._room:
                    packed[-1] = packed[-1] + part
                else:
                    packed += pieces
            yield packed

    def _ids(self, texts: list[str]) -> list[list[int]]:
        if not texts:
            return []
        with self._one_at_a_time:
            encoded = self._tokenizer(texts, add_special_tokens=False, truncation=False, verbose=False)
        return [list(ids) for ids in encoded["input_ids"]]

    def _forward(self, rows: list[list[int]]) -> npt.NDArray[np.float32]:
        """Pooled states scaled to length one, shape (rows, D)."""
        import torch

        width = max(map(len, rows))
        pad = self._tokenizer.pad_token_id or 0  # masked: its value does not matter
        ids = torch.tensor([[*row, *[pad] * (width - len(row))] for row in rows], device=self.device)
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows], device=self.device)
        with torch.inference_mode():
            states = self._network(input_ids=ids, attention_mask=mask).last_hidden_state.float()
            if self.pooling == "cls":
                pooled = states[:, 0]
            else:
                pooled = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
            unit: npt.NDArray[np.float32] = torch.nn.functional.normalize(pooled, dim=1).cpu().numpy()
        return unit

    def _special_tokens(self) -> tuple[list[int], list[int]]:
        """Ids before and after a text."""
        plain = self._tokenizer("a", add_special_tokens=False)["input_ids"]
        whole = self._tokenizer("a")["input_ids"]
        start = next(i for i in range(len(whole)) if whole[i : i + len(plain)] == plain)
        return whole[:start], whole[start + len(plain) :]


def _batches(order: list[int], lengths: list[int]) -> Iterator[list[int]]:
    """Runs of ``order`` (longest first) whose padded size stays within `BATCH_TOKENS`."""
    batch: list[int] = []
    for i in order:
        if batch and lengths[batch[0]] * (len(batch) + 1) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def _load(model: str, path: str) -> PreTrainedModel:
    from transformers import AutoModel

    from plaudit.models.build import quiet_transformers

    try:
        with quiet_transformers():
            network, info = AutoModel.from_pretrained(
                path, dtype="float32", use_safetensors=True, output_loading_info=True
            )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(f"cannot load {model} as an encoder: {' '.join(str(error).split())[:400]}") from error
    missing = sorted(key for key in info["missing_keys"] if "pooler." not in key)  # the pooler is not used
    if missing:
        raise ModelError(f"{model}: weights are missing ({', '.join(missing[:3])}); the checkpoint is damaged")
    if network.config.is_encoder_decoder:
        raise ModelError(f"{model} is an encoder with a decoder; embeddings need an encoder alone")
    network.eval()
    return network  # type: ignore[no-any-return]


def _pooling(model: str, path: str) -> str:
    """What the folder says about pooling, in the format of sentence-transformers."""
    modules = _document(path, "modules.json") or []
    kinds = {module["type"].rpartition(".")[2]: module["path"] for module in modules}
    strange = sorted(set(kinds) - {"Transformer", "Pooling", "Normalize"})
    if strange:
        raise ModelError(f"{model} has layers after its encoder that plaudit does not know: {', '.join(strange)}")
    if "Pooling" not in kinds:
        return "mean"
    document = _document(path, f"{kinds['Pooling']}/config.json")
    if document is None:
        raise ModelError(f"{model}: modules.json names {kinds['Pooling']}/config.json, and it is not there")
    names = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}
    given = [names.get(key, key) for key, on in document.items() if key.startswith("pooling_mode_") and on is True]
    mode = document.get("pooling_mode", given[0] if len(given) == 1 else given)
    if mode not in ("mean", "cls"):
        raise ModelError(f"{model} pools by {mode!r}; plaudit knows mean and cls")
    return str(mode)


def _document(path: str, name: str) -> Any:
    """A JSON file beside the weights, in a folder or on the Hub; None where there is none."""
    from transformers.utils.hub import cached_file

    file = Path(path) / name
    if not Path(path).is_dir():
        found = cached_file(
            path, name, _raise_exceptions_for_missing_entries=False, _raise_exceptions_for_connection_errors=False
        )
        file = Path(found) if found else file
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
