"""The order of the parts: a part imports only parts above it in the list."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import plaudit

ROOT = Path(plaudit.__file__).parent
ORDER = [
    "errors",
    "types",
    "registry",
    "files",
    "posting",
    "pages",
    "formatting",
    "losses",
    "metrics",
    "calibration",
    "engine",
    "models",
    "rewards",
    "scorers",
    "data",
    "evaluation",
    "curation",
    "training",
    "rl",
    "cli",
    "__main__",
]
APART = {"data": {"errors", "types", "registry", "files"}}  # parts that know less than their place would allow
FILES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")
NAMES = [path.relative_to(ROOT).as_posix() for path in FILES]


def part_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path: Path, *, module_level: bool = False) -> Iterator[str]:
    """Names of imported modules, absolute; those under ``if TYPE_CHECKING`` only where all are asked for."""
    package = ["plaudit", *path.relative_to(ROOT).parts[:-1]]

    def visit(nodes: list[ast.stmt]) -> Iterator[str]:
        for node in nodes:
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = package[: len(package) - node.level + 1] if node.level else []
                module = ".".join([*base, *([node.module] if node.module else [])])
                yield module
                yield from (f"{module}.{alias.name}" for alias in node.names)
            elif module_level and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                continue
            elif module_level and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
                yield from visit(node.orelse)
            else:
                for field in ("body", "orelse", "finalbody"):
                    yield from visit(getattr(node, field, []))
                for handler in getattr(node, "handlers", []):
                    yield from visit(handler.body)
                for case in getattr(node, "cases", []):
                    yield from visit(case.body)

    yield from visit(ast.parse(path.read_text(encoding="utf-8")).body)


def tops(path: Path, *, module_level: bool = False) -> set[str]:
    return {name.split(".")[0] for name in imports(path, module_level=module_level)}


def home(name: str) -> str | None:
    """The part that a plaudit import goes to; public names go to the part that defines them."""
    if name == "plaudit" or not name.startswith("plaudit."):
        return None
    first = name.split(".")[1]
    if first in plaudit.__all__:
        first = plaudit._HOME[first].split(".")[1]
    return None if first in ("__version__", "__init__") else first


def test_the_list_names_every_part() -> None:
    assert {part_of(path) for path in FILES} <= set(ORDER)
    assert {part for part in ORDER if part != "__main__"} <= {part_of(path) for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_a_part_imports_only_parts_above_it(path: Path) -> None:
    part = part_of(path)
    allowed = APART.get(part, set(ORDER[: ORDER.index(part)])) | {part}
    homes = {name: home(name) for name in imports(path)}
    wrong = {name for name, its_home in homes.items() if its_home is not None and its_home not in allowed}
    assert not wrong, f"{part} may import only {sorted(allowed)}"


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_trl_and_datasets_are_imported_in_training_data_and_rl_only(path: Path) -> None:
    if part_of(path) not in ("training", "data", "rl"):
        assert not tops(path) & {"trl", "datasets"}


LIGHT = (
    "types",
    "errors",
    "registry",
    "files",
    "posting",
    "pages",
    "calibration",
    "data",
    "curation",
    "metrics",
    "formatting",
    "cli",
    "__main__",
)


@pytest.mark.parametrize(
    "path", [p for p in FILES if part_of(p) in LIGHT], ids=lambda p: p.relative_to(ROOT).as_posix()
)
def test_light_parts_import_no_torch_when_they_load(path: Path) -> None:
    assert not tops(path, module_level=True) & {"torch", "transformers", "trl", "datasets"}


def test_the_import_reader_sees_what_it_should(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("test_layers.ROOT", tmp_path)
    (tmp_path / "data").mkdir()
    file = tmp_path / "data" / "x.py"
    file.write_text(
        "import a.b\nfrom c import d\nfrom . import e\nfrom ..f import g\n"
        "if TYPE_CHECKING:\n    import h\nelse:\n    import i\n"
        "try:\n    import j\nexcept ImportError:\n    import k\n"
        "def z():\n    import l\n    with y:\n        import m\n"
        "class C:\n    import n\n"
    )
    everything = {"a.b", "c", "c.d", "plaudit.data", "plaudit.data.e", "plaudit.f", "plaudit.f.g", *"hijklmn"}
    assert set(imports(file)) == everything
    assert set(imports(file, module_level=True)) == everything - set("hlm")
