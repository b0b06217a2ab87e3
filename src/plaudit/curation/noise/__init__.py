"""Label noise: which preferences are probably the wrong way round.

`find_noise` ranks pairs by the posterior probability that their label was flipped.
"""

from __future__ import annotations

from plaudit.curation.noise.find import SUSPECT, NoiseReport, Suspect, find_noise

__all__ = ["SUSPECT", "NoiseReport", "Suspect", "find_noise"]
