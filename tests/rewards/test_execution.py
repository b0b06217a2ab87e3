"""Responses run against tests in a sandbox: what they may not do, and how they may not cheat."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from plaudit.errors import ConfigError, RewardError
from plaudit.rewards import execution
from plaudit.rewards.base import make
from plaudit.rewards.execution_tests import read_tests

try:
    execution._probe()
    MISSING = ""
except ConfigError as error:
    MISSING = str(error)
sandboxed = pytest.mark.skipif(bool(MISSING), reason=MISSING)

TESTS = "assert square(2) == 4\nassert square(-3) == 9"
RIGHT = "def square(x):\n    return x * x\n"
WRONG = "def square(x):\n    return 0\n"
ALWAYS = "class Always:\n    __hash__ = None\n    __eq__ = __lt__ = __gt__ = __le__ = __ge__ = lambda a, b: True\n"
ALWAYS += "    def __ne__(self, other):\n        return False\n"


def scores(codes: Sequence[str], tests: str | Sequence[str] = TESTS, **options: object) -> list[float]:
    references = [tests] * len(codes) if isinstance(tests, str) else list(tests)
    texts = [f"```python\n{code}\n```" for code in codes]
    function = make("code_execution", {"allow": True, "timeout": 5.0, **options})
    return [float(value) for value in function.score([None] * len(codes), texts, references=references)]


def score(code: str, tests: str = TESTS, **options: object) -> float:
    return scores([code], tests, **options)[0]


def test_nothing_runs_unless_it_is_allowed() -> None:
    with pytest.raises(ConfigError, match="runs the responses' code on this machine.*allow=True"):
        make("code_execution")
    with pytest.raises(ConfigError, match="allow=True"):
        make("code_execution", {"allow": 1})


@pytest.mark.parametrize(
    "options",
    [{"timeout": 0}, {"timeout": True}, {"memory": 1}, {"workers": -1}, {"score_as": "some"}, {"tests": "assert ("}],
)
def test_options_that_cannot_work_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="reward 'code_execution'"):
        make("code_execution", {"allow": True, **options})


def test_a_machine_without_namespaces_is_refused_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    execution._probe.cache_clear()
    with monkeypatch.context() as changed:
        changed.setattr(sys, "platform", "darwin")
        with pytest.raises(ConfigError, match=r"cannot run here \(darwin\); it needs Linux"):
            score(RIGHT)
    execution._probe.cache_clear()
    with monkeypatch.context() as changed:
        changed.setattr(execution, "_visible", lambda: ["/proc/self/exe/nothing"])
        with pytest.raises(ConfigError, match="cannot run here: .*it needs Linux"):
            score(RIGHT)
    execution._probe.cache_clear()


@sandboxed
def test_the_score_is_the_share_of_tests_passed_or_all_or_nothing() -> None:
    half = "def square(x):\n    return 4\n"
    assert scores([RIGHT, half, WRONG]) == [1.0, 0.5, 0.0]
    assert scores([RIGHT, half], score_as="all") == [1.0, 0.0]
    function = make("code_execution", {"allow": True, "tests": TESTS})
    assert function.score([None], [RIGHT], references=["assert False"]) == 1.0  # the option wins over the reference


@sandboxed
def test_a_response_without_code_scores_zero() -> None:
    function = make("code_execution", {"allow": True, "tests": TESTS})
    texts = [
        "I don't know.",
        "```javascript\nlet x = 1;\n```",
        f"Sure:\n\n{RIGHT}\nIt multiplies.",
        f"```\n{RIGHT}\n```",
    ]
    assert list(function.score([None] * 4, texts)) == [0, 0, 1, 1]


@sandboxed
def test_every_usual_kind_of_test_counts() -> None:
    stack = "class Stack:\n    def __init__(self): self.d = []\n    def push(self, x): self.d.append(x)\n"
    stack += "    def pop(self): return self.d.pop()\n    def __contains__(self, x): return x in self.d\n"
    cases = [
        (RIGHT, "def check(f):\n    assert f(2) == 4\n\ncheck(square)"),
        (RIGHT, "def test_two():\n    assert square(2) == 4\n\nasync def test_three():\n    assert square(3) == 9"),
        (
            RIGHT,
            "import unittest\nclass T(unittest.TestCase):\n    def setUp(self): self.x = 2\n"
            "    def test_a(self): self.assertEqual(square(self.x), 4)\n"
            "if __name__ == '__main__':\n    unittest.main()",
        ),
        (RIGHT, "class TestSquare:\n    def test_a(self):\n        assert square(2) == 4"),
        (RIGHT, "for x in range(9):\n    assert square(x) == x ** 2"),
        (RIGHT, "import solution\nfrom solution import square as s\nassert s(2) == 4 == solution.square(-2)"),
        ("def f():\n    raise ValueError('no')", "import pytest\nwith pytest.raises(ValueError):\n    f()"),
        (stack, "s = Stack()\ns.push(3)\nassert 3 in s\nassert s.pop() == 3"),
        ("from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int", "assert [P(1)] == [P(1)] != [P(2)]"),
        (
            "from collections import Counter, namedtuple\nfrom fractions import Fraction\nimport enum\n"
            "class E(enum.IntEnum):\n    A = 1\nN = namedtuple('N', 'a b')",
            "assert Counter('aab') == {'a': 2, 'b': 1} and Fraction(1, 2) == 0.5 and E.A == 1 and N(1, 2) == (1, 2)",
        ),
        ("def abs(x):\n    return 7", "import solution\nassert solution.abs(1) == 7\nassert abs(-1) == 1"),
        (
            "import numpy as np\ndef f(n):\n    return np.arange(n)",
            "import numpy as np\nassert np.array_equal(f(2), [0, 1])\nassert (f(2) == np.array([0, 1])).all()",
        ),
    ]
    codes, tests = zip(*cases, strict=True)
    assert scores(codes, tests) == [1.0] * len(cases)


@sandboxed
def test_each_test_fails_on_its_own() -> None:
    tests = "import unittest\nclass T(unittest.TestCase):\n    def test_a(self): self.assertEqual(square(2), 4)\n"
    tests += "    def test_b(self): self.assertEqual(square(2), 5)\n"
    assert score(RIGHT, tests + "def test_c(): assert 1 / 0\nassert square(1) == 1") == 0.5


@sandboxed
@pytest.mark.parametrize(
    "code",
    [
        "import os\nos._exit(0)",
        "import sys\nsys.exit(0)",
        "import os\ndef square(x):\n    os._exit(0)",
        "def square(x):\n    raise SystemExit(0)",
        "import atexit, os\natexit.register(os._exit, 0)\n" + WRONG,
        "print('2 passed')\nimport os\nfor fd in range(99):\n    try:\n        os.write(fd, b'R\\n11\\n')\n"
        "    except OSError:\n        pass\n" + WRONG,
        "import threading, os\ndef spy():\n    while True:\n        for fd in range(3, 20):\n            try:\n"
        "                os.read(fd, 1)\n            except OSError:\n                pass\n"
        "threading.Thread(target=spy, daemon=True).start()\n" + WRONG,
        "import os\nif os.fork() == 0:\n    os.read(0, 1)\n    while True:\n        pass\n" + WRONG,
        ALWAYS + "def square(x):\n    return Always()",
        ALWAYS.replace("class Always", "class Always(int)") + "def square(x):\n    return Always(0)",
        "class Digits(str):\n    __eq__ = str.__contains__\ndef square(x):\n    return Digits('0123456789')",
        "class Meta(type):\n    __mro__ = (object,)\n"
        + ALWAYS.replace("Always", "Always(metaclass=Meta)", 1)
        + "def square(x):\n    return Always()",
    ],
)
def test_a_cheat_scores_zero(code: str) -> None:
    assert score(code) == 0.0


@sandboxed
@pytest.mark.parametrize(
    ("code", "tests"),
    [
        (
            "import builtins\nbuiltins.all = lambda xs: True\nbuiltins.AssertionError = ValueError\n",
            "assert all([square(2) == 4])",
        ),
        ("def all(xs):\n    return True\n", "assert all([square(2) == 4])"),
        ("import math\nmath.isclose = lambda *a: True\n", "import math\nassert math.isclose(square(2), 4)"),
        (
            "import sys, types\nsys.modules['math'] = m = types.ModuleType('math')\nm.isclose = lambda *a: True\n",
            "import math\nassert math.isclose(square(2), 4)",
        ),
        (
            "import unittest\nunittest.TestCase.assertEqual = lambda *a: None\n",
            "import unittest\nclass T(unittest.TestCase):\n    def test_a(self): self.assertEqual(square(2), 4)",
        ),
        ("def check(f):\n    pass\n", "def check(f):\n    assert f(2) == 4\n\ncheck(square)"),
        (ALWAYS + "def one(x):\n    return Always()\n", "assert [one(2)] == [4]"),
        (ALWAYS + "def one(x):\n    return Always()\n", "assert {'a': one(2)} == {'a': 4}"),
        (ALWAYS + "def one(x):\n    return Always()\n", "assert one(2) in (4, 5)"),
        (ALWAYS + "def one(x):\n    return Always()\n", "assert not one(2) != 4"),
        (ALWAYS + "def one(x):\n    return Always()\n", "assert 3 < one(2) < 5"),
        (
            ALWAYS + "def one(x):\n    return Always()\n",
            "import unittest\nclass T(unittest.TestCase):\n    def test_a(self): self.assertEqual(one(2), 4)\n"
            "    def test_b(self): self.assertIn(one(2), [4])",
        ),
    ],
)
def test_what_tests_rely_on_cannot_be_replaced(code: str, tests: str) -> None:
    assert score(code + WRONG, tests) == 0.0


@sandboxed
@pytest.mark.parametrize(
    "code",
    [
        "while True:\n    pass",
        "def square(x):\n    while True:\n        pass",
        "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass",
    ],
)
def test_what_does_not_end_is_ended_with_all_its_processes(code: str) -> None:
    start = time.monotonic()
    assert score(code, timeout=1.0) == 0.0
    assert time.monotonic() - start < 10
    assert not _sandboxes()


def _sandboxes() -> list[str]:
    """Command lines of sandboxes of this process that are left."""
    until = time.monotonic() + 5
    while time.monotonic() < until:
        found = []
        for path in Path("/proc").glob("[0-9]*/status"):
            try:
                if (
                    f"PPid:\t{os.getpid()}\n" in path.read_text()
                    and b"sandbox.py" in (path.parent / "cmdline").read_bytes()
                ):
                    found.append(path.parent.name)
            except OSError:
                continue
        if not found:
            return []
        time.sleep(0.05)
    return found


@sandboxed
def test_memory_disk_and_output_have_limits() -> None:
    codes = [
        "data = []\nwhile True:\n    data.append(bytearray(10 ** 7))",
        "with open('big', 'wb') as f:\n    while True:\n        f.write(b'x' * 10 ** 6)",
        "i = 0\nwhile True:\n    i += 1\n    open(str(i), 'wb').write(b'x' * 10 ** 6)",
        f"for _ in range(10 ** 5):\n    print('x' * 100)\n{RIGHT}",
        f"try:\n    bytearray(10 ** 10)\nexcept MemoryError:\n    pass\n{RIGHT}",
    ]
    assert scores(codes, memory=256, disk=16) == [0, 0, 0, 1, 1]


@sandboxed
def test_a_crash_scores_zero() -> None:
    codes = ["def square(x)", "1 / 0", "import ctypes\nctypes.string_at(0)", "def square(x):\n    return square(x)"]
    assert scores([*codes, "input()\n" + RIGHT, "import nothing_of_this_name\n" + RIGHT]) == [0.0] * 6


@sandboxed
def test_there_is_no_network() -> None:
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(1.0)

        def listen() -> None:
            with contextlib.suppress(TimeoutError):
                heard.append(server.accept()[0].recv(9))

        listener = threading.Thread(target=listen)
        listener.start()
        port = server.getsockname()[1]
        code = f"import socket\nsocket.create_connection(('127.0.0.1', {port}), 0.5).send(b'hello')\n{RIGHT}"
        assert score(code) == 0.0
        listener.join()
    assert heard == []


@sandboxed
def test_nothing_outside_is_written_or_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("4")
    inside = Path(tempfile.gettempdir()) / "plaudit-was-here"
    codes = [
        f"open({str(secret)!r}).read()\n{RIGHT}",
        f"open({str(tmp_path / 'new')!r}, 'w')\n{RIGHT}",
        f"open('/usr/plaudit-was-here', 'w')\n{RIGHT}",
        f"import sys\nopen(sys.prefix + '/plaudit-was-here', 'w')\n{RIGHT}",
        f"open('/etc/passwd').read()\n{RIGHT}",
        f"import os\nassert os.environ.get('PYTEST_CURRENT_TEST')\n{RIGHT}",
        f"open('/tmp/plaudit-was-here', 'w').write('x')\nimport os\nassert os.listdir('.')\n{RIGHT}",
    ]
    assert scores(codes) == [0, 0, 0, 0, 0, 0, 1]
    assert not (tmp_path / "new").exists()
    assert not inside.exists()


@sandboxed
def test_no_process_outside_can_be_reached() -> None:
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        codes = [
            f"import os\nos.kill({bystander.pid}, 9)\n{RIGHT}",
            f"import os\nos.kill({os.getpid()}, 9)\n{RIGHT}",
            f"import os\ntry:\n    os.kill(-1, 9)\nexcept OSError:\n    pass\n{WRONG}",
            f"import os\ntry:\n    os.kill(os.getppid(), 9)\nexcept OSError:\n    pass\n{WRONG}",
        ]
        assert scores(codes) == [0.0] * 4
        assert bystander.poll() is None
    finally:
        bystander.send_signal(signal.SIGKILL)
        bystander.wait()


@sandboxed
def test_privileges_cannot_be_gained() -> None:
    head = "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
    codes = [
        f"{head}assert libc.unshare(0x10000000) == 0\n{RIGHT}",
        f"{head}assert libc.mount(b'none', b'/tmp', b'tmpfs', 0, None) == 0\n{RIGHT}",
        f"import os\nos.chroot('/tmp')\n{RIGHT}",
        f"import resource\nresource.setrlimit(resource.RLIMIT_NPROC, (9999, 9999))\n{RIGHT}",
    ]
    assert scores(codes) == [0.0] * 4


@sandboxed
def test_candidates_may_use_threads_and_processes_of_their_own() -> None:
    pool = "from multiprocessing import Pool\ndef one(x):\n    return x * x\ndef square(x):\n"
    pool += "    with Pool(2) as p:\n        return p.map(one, [x])[0]"
    threads = (
        "from concurrent.futures import ThreadPoolExecutor\ndef square(x):\n    with ThreadPoolExecutor(2) as p:\n"
    )
    threads += "        return list(p.map(lambda y: y * y, [x]))[0]"
    child = "import subprocess, sys\ndef square(x):\n    command = [sys.executable, '-c', f'print(({x}) ** 2)']\n"
    child += "    return int(subprocess.run(command, capture_output=True).stdout)"
    assert scores([pool, threads, child]) == [1.0] * 3


@sandboxed
def test_many_responses_run_side_by_side_in_their_order() -> None:
    codes = [RIGHT, WRONG] * 3 + ["import time\ntime.sleep(0.6)\n" + RIGHT] * 4
    start = time.monotonic()
    assert scores(codes, workers=5) == [1, 0, 1, 0, 1, 0, 1, 1, 1, 1]
    alone = 4 * 0.6
    assert time.monotonic() - start < alone + 5


@sandboxed
def test_the_same_response_gets_the_same_score_whatever_the_hash_seed() -> None:
    code = "def first():\n    return next(iter({'a', 'b', 'c', 'd', 'e'}))"
    assert len({score(code, f"assert first() == {letter!r}") for letter in "abcde" for _ in range(2)}) == 2
    assert sum(score(code, f"assert first() == {letter!r}") for letter in "abcde") == 1


@sandboxed
def test_tests_that_need_what_is_not_installed_are_an_error_and_no_score() -> None:
    with pytest.raises(RewardError, match="item 0: nothing was measured.*nothing_of_this_name"):
        score(RIGHT, "import nothing_of_this_name\n" + TESTS)
    optional = "try:\n    import nothing_of_this_name\nexcept ImportError:\n    pass\n" + TESTS
    assert score(RIGHT, optional) == 1.0


@sandboxed
def test_a_sandbox_that_fails_is_an_error_and_no_score(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "_visible", lambda: ["/proc/self/exe/nothing"])
    with pytest.raises(RewardError, match="item 0: nothing was measured: the sandbox failed"):
        score(RIGHT)


def test_a_response_without_tests_is_an_error() -> None:
    function = make("code_execution", {"allow": True})
    with pytest.raises(RewardError, match="item 1: needs tests"):
        function.score([None] * 2, [RIGHT] * 2, references=[TESTS, None])


@pytest.mark.parametrize(
    ("tests", "problem"),
    [
        ("assert (", "no Python"),
        ("x = 1", "hold no test"),
        ("def check(f):\n    assert f(2)", "hold no test"),
        ("def test_a(tmp_path):\n    assert True", "fixtures"),
        ("import pytest\n@pytest.mark.parametrize('x', [1])\ndef test_a(x=0):\n    assert x", "fixtures"),
    ],
)
def test_tests_that_cannot_be_run_are_an_error(tests: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        read_tests(tests)
    with pytest.raises(RewardError, match=problem):
        score(RIGHT, tests)
