"""Labelling by people: a queue of pairs, a local page that shows them, a database of judgements, agreement, export.

`queue` reads what is to be judged, `store` keeps judgements, `app` and `server` are the page, `report` says how well
annotators agree, `export` writes preference pairs. Knows no models. Only `app` and `server` need the extra ``label``.
"""

from plaudit.curation.label.export import ExportCounts, export_labels
from plaudit.curation.label.queue import Queue
from plaudit.curation.label.report import LabelReport, label_report
from plaudit.curation.label.server import label_queue
from plaudit.curation.label.store import default_database

__all__ = ["ExportCounts", "LabelReport", "Queue", "default_database", "export_labels", "label_queue", "label_report"]
