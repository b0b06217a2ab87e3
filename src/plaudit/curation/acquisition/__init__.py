"""Acquisition: which unlabelled pairs are worth a label. Pure numpy; knows nothing of texts, files or networks.

To add a method: write a file here with a function of the type `Acquisition`, decorated with ``@register("name",
needs={…})``, and import it below; ``tests/curation/test_acquisition.py`` covers it at once. From another package: an
entry point in the group ``plaudit.acquisitions``.
"""

from plaudit.curation.acquisition.base import ACQUISITIONS, Acquisition, Candidates, needs_of, register
from plaudit.curation.acquisition.disagreement import disagreement
from plaudit.curation.acquisition.fisher import fisher, information
from plaudit.curation.acquisition.margin import margin
from plaudit.curation.acquisition.uniform import uniform

__all__ = [
    "ACQUISITIONS",
    "Acquisition",
    "Candidates",
    "disagreement",
    "fisher",
    "information",
    "margin",
    "needs_of",
    "register",
    "uniform",
]
