"""Looks at preference data: figures, and findings with the command that mends each.

`inspect_preferences` gives the report, `write_page` draws it as a page. `scan_preferences` and `hits_of` give every row
of a finding, for what mends the data.
"""

from __future__ import annotations

from plaudit.curation.inspect.findings import FINDINGS, Finding, Hit, hits_of, rows_of
from plaudit.curation.inspect.languages import find_languages
from plaudit.curation.inspect.lengths import TokenLengths
from plaudit.curation.inspect.page import write_page
from plaudit.curation.inspect.report import InspectReport
from plaudit.curation.inspect.run import inspect_preferences
from plaudit.curation.inspect.scan import Scan, ScanOptions, scan_preferences
from plaudit.curation.inspect.shared import PromptFile

__all__ = [
    "FINDINGS",
    "Finding",
    "Hit",
    "InspectReport",
    "PromptFile",
    "Scan",
    "ScanOptions",
    "TokenLengths",
    "find_languages",
    "hits_of",
    "inspect_preferences",
    "rows_of",
    "scan_preferences",
    "write_page",
]
