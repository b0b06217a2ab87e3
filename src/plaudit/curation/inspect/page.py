"""The report as one page of HTML that needs nothing from outside: plots inside, light or dark as the screen."""

from __future__ import annotations

from pathlib import Path

from plaudit.curation.inspect.findings import FINDINGS
from plaudit.curation.inspect.plots import draw_all
from plaudit.curation.inspect.report import InspectReport
from plaudit.files import atomic_text

__all__ = ["render_page", "write_page"]


def write_page(report: InspectReport, path: Path) -> None:
    """Writes the page under a temporary name and renames it.

    Raises:
        OutputError: it cannot be written.
    """
    atomic_text(path, render_page(report))


def render_page(report: InspectReport) -> str:
    """The page. Everything from the data is escaped."""
    from jinja2 import Environment
    from markupsafe import Markup

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"count": lambda number: f"{number:,}", "share": _share, "where": _where}
    template = environment.from_string(Path(__file__).with_name("page.html.j2").read_text(encoding="utf-8"))
    plots = {name: Markup(svg) for name, svg in draw_all(report).items()}
    fine = [name for name in FINDINGS if report.finding(name) is None and name not in report.not_checked]
    return template.render(report=report, plots=plots, fine=fine, file=Path(report.name).name or report.name)


def _share(share: float) -> str:
    return "100%" if share == 1 else f"{share:.1%}" if share >= 0.001 or not share else "<0.1%"


def _where(location: str | None, name: str) -> str:
    """A place in the file itself is a line."""
    if not location:
        return ""
    return f"line {location.removeprefix(f'{name}:')}" if location.startswith(f"{name}:") else location
