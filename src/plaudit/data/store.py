"""Rows of `Example.to_row` in an Arrow file, written in batches and read memory-mapped. Knows not what they mean."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from plaudit.files import ScratchFolder

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

__all__ = ["Store", "fingerprint", "row_schema"]

_FLUSH_ROWS, _FLUSH_CHARS = 1000, 32_000_000


def row_schema() -> pa.Schema:
    """The columns of `Example.to_row`; texts are large, so that a batch may pass 2 GiB."""
    import pyarrow as pa

    return pa.schema(
        {
            "prompt": pa.large_string(),
            "responses": pa.list_(pa.large_string()),
            "labels": pa.list_(pa.float64()),
            "margin": pa.float64(),
            "weight": pa.float64(),
            "group": pa.string(),
            "source": pa.string(),
            "extras": pa.large_string(),
            "token_ids": pa.list_(pa.list_(pa.int32())),
            "location": pa.string(),
        }
    )


class Store:
    """An Arrow file in a scratch folder, which goes with this object."""

    def __init__(self) -> None:
        self.folder = ScratchFolder("data")

    @property
    def path(self) -> str:
        """Where the rows are."""
        return str(self.folder.path / "rows.arrow")

    def write(self, rows: Iterable[tuple[dict[str, Any], int]]) -> npt.NDArray[np.uint64]:
        """Writes the rows batch by batch and returns their hashes."""
        import pyarrow as pa

        schema, hashes = row_schema(), array("Q")
        batch: list[dict[str, Any]] = []
        size = 0
        with pa.OSFile(self.path, "wb") as file, pa.ipc.new_stream(file, schema) as writer:
            for row, content in rows:
                hashes.append(content)
                batch.append(row)
                size += len(row["prompt"] or "") + sum(map(len, row["responses"]))
                if len(batch) >= _FLUSH_ROWS or size >= _FLUSH_CHARS:
                    writer.write_batch(pa.RecordBatch.from_pylist(batch, schema=schema))
                    batch, size = [], 0
            if batch:
                writer.write_batch(pa.RecordBatch.from_pylist(batch, schema=schema))
        return np.array(hashes, dtype=np.uint64)

    def open(self) -> datasets.Dataset:
        """The rows, memory-mapped."""
        import datasets

        return datasets.Dataset.from_file(self.path)


def fingerprint(hashes: npt.NDArray[np.uint64]) -> str:
    """16 hex digits over the hashes of rows, in order."""
    return hashlib.sha256(hashes.astype("<u8").tobytes()).hexdigest()[:16]
