"""Reads tests, Python code, into steps: what to run in order, and which of it counts as a test."""

from __future__ import annotations

import ast
import functools
import re
import warnings
from dataclasses import dataclass
from types import CodeType

__all__ = ["Tests", "read_tests"]


@dataclass(frozen=True)
class Tests:
    """Tests that are ready to run.

    Attributes:
        steps: compiled statements in order, and whether each counts as a test.
        imports: modules that the tests import, ``solution`` left out, and whether they cannot do without.
    """

    steps: list[tuple[CodeType, bool]]
    imports: list[tuple[str, bool]]

    @property
    def count(self) -> int:
        return sum(counts for _, counts in self.steps)


@functools.lru_cache(maxsize=1024)
def read_tests(source: str) -> Tests:
    """Divides tests into steps; comparisons go through the sandbox's own.

    Raises:
        ValueError: no Python, no test in it, or tests that need pytest's fixtures; says which.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise ValueError(f"the tests are no Python ({error})") from error
        functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        called = {_called(node) for node in tree.body}
        steps: list[tuple[ast.stmt, bool]] = []
        for node in tree.body:
            if _is_main(node):
                continue
            steps.append((node, _counts(node, functions)))
            steps.extend((ast.parse(call).body[0], True) for call in _cases(node, called))
        if not any(counts for _, counts in steps):
            raise ValueError(
                "the tests hold no test: an assert at the top level, a function or method test_..., or a call of a "
                "function that they define"
            )
        tried = [node for each in ast.walk(tree) if isinstance(each, ast.Try) for node in each.body]
        optional = {name for node in tried for name in _imports(node)}
        imports = [(name, name not in optional) for name in sorted(set(_imports(tree)))]
        return Tests([(_compiled(node), counts) for node, counts in steps], imports)


def _called(node: ast.stmt) -> str | None:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Name):
        return node.value.func.id
    return None


def _is_main(node: ast.stmt) -> bool:
    """``if __name__ == "__main__": ...`` or ``unittest.main()``."""
    text = ast.unparse(node)
    return text.startswith(("if __name__ ==", "unittest.main(", "pytest.main("))


def _counts(node: ast.stmt, functions: set[str]) -> bool:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return False
    return _called(node) in functions or any(
        isinstance(each, ast.Assert)
        or (isinstance(each, ast.Call) and re.match(r"(assert|raises$|warns$)", _name(each.func)))
        for each in ast.walk(node)
    )


def _name(function: ast.expr) -> str:
    """The last part of a called name."""
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _cases(node: ast.stmt, called: set[str | None]) -> list[str]:
    """Calls of the tests that a definition holds."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"):
        _no_fixtures(node, 0)
        if node.name in called:
            return []
        run = "__import__('asyncio').run" if isinstance(node, ast.AsyncFunctionDef) else ""
        return [f"{run}({node.name}())"]
    if not isinstance(node, ast.ClassDef):
        return []
    methods = [each for each in node.body if isinstance(each, ast.FunctionDef) and each.name.startswith("test")]
    if any(ast.unparse(base).endswith("TestCase") for base in node.bases):
        # debug() runs setUp, the test and tearDown, and raises what fails
        return [f"{node.name}({each.name!r}).debug()" for each in methods]
    if not node.name.startswith("Test"):
        return []
    for each in methods:
        _no_fixtures(each, 1)
    return [f"{node.name}().{each.name}()" for each in methods]


def _no_fixtures(node: ast.FunctionDef | ast.AsyncFunctionDef, own: int) -> None:
    arguments = node.args.posonlyargs + node.args.args
    if len(arguments) - len(node.args.defaults) > own or any("pytest" in ast.unparse(d) for d in node.decorator_list):
        raise ValueError(f"the test {node.name} needs pytest's fixtures or marks, which are not supported")


def _imports(tree: ast.AST) -> list[str]:
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.append(node.module)
    return [name for name in names if name.split(".")[0] != "solution"]


def _compiled(node: ast.stmt) -> CodeType:
    module = ast.Module([_Compared().visit(node)], [])
    return compile(ast.fix_missing_locations(module), "<tests>", "exec", dont_inherit=True)


_OPERATORS = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Is: "is",
    ast.IsNot: "is not",
    ast.In: "in",
    ast.NotIn: "not in",
}
_EQUAL = set(
    "isclose allclose array_equal assertIs assertEqual assertNotEqual assertAlmostEqual assertNotAlmostEqual "
    "assertListEqual assertTupleEqual assertSetEqual assertDictEqual assertSequenceEqual assertCountEqual "
    "assertGreater assertGreaterEqual assertLess assertLessEqual assertMultiLineEqual assertDictContainsSubset "
    "assert_equal assert_allclose assert_array_equal assert_almost_equal assert_array_almost_equal".split()
)


class _Compared(ast.NodeTransformer):
    """``a == b`` becomes ``_compared(("==",), a, b)``; the two arguments of ``assertEqual`` go through ``_alike``."""

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        self.generic_visit(node)
        operators = ast.Tuple([ast.Constant(_OPERATORS[type(each)]) for each in node.ops], ast.Load())
        return ast.Call(ast.Name("_compared", ast.Load()), [operators, node.left, *node.comparators], [])

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        name = _name(node.func)
        operator = "==" if name in _EQUAL else "in" if name == "assertIn" else ""
        if operator and len(node.args) >= 2 and not any(isinstance(each, ast.Starred) for each in node.args[:2]):
            pair = ast.Call(ast.Name("_alike", ast.Load()), [ast.Constant(operator), *node.args[:2]], [])
            node.args[:2] = [ast.Starred(pair, ast.Load())]
        return node
