"""Runs a response's Python against tests, in a sandbox of Linux namespaces (`sandbox.py`)."""

from __future__ import annotations

import functools
import marshal
import os
import secrets
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from plaudit.errors import ConfigError, RewardError
from plaudit.rewards.base import Item, RewardFunction, register
from plaudit.rewards.code_find import code_in
from plaudit.rewards.execution_tests import Tests, read_tests

__all__ = ["CodeExecution"]


@register("code_execution")
@dataclass(frozen=True)
class CodeExecution(RewardFunction):
    """Share of tests that the response's Python code passes when it is run.

    The code of the response (its fenced blocks tagged as Python, one after the other; the untagged ones where there
    are none; or the response itself) is run as the module ``solution``, then the tests see its names. A test is an
    ``assert`` or a block that holds one, at the top level; a function ``test_...`` without arguments; a method
    ``test_...`` of a class (a ``unittest.TestCase`` or a plain one); or a call of a function that the tests define, as
    in ``check(solution_function)``. Everything else prepares: it is run in order and does not count. A name of the
    candidate's that hides a built-in is only seen as ``solution.name``.

    Code that does not run, crashes, exits or does not come to an end scores 0: that is the measurement. What cannot be
    measured is an error: tests that do not parse or hold no test, a module that they import and that is not
    installed, a sandbox that cannot be built.

    The sandbox: namespaces of its own for users, mounts, processes, network, IPC and host name; nobody's rights; an
    empty network; a root directory in memory where only the interpreter, its packages and the system's libraries are
    seen, read only; limits of time, memory, processes, open files and disk; no environment; stdin empty, output
    dropped. It needs Linux 5.14 or later with user namespaces, and is refused elsewhere.

    To pass without solving: printing, exiting early, patching built-ins, test helpers or imported modules, and objects
    that equal everything do not help (an object whose class brings its own comparison equals only others of that kind,
    never a plain value). The tests come in only once the code is loaded and has left no thread behind, with a secret
    that the verdict has to carry. Still they run in the candidate's process, as any test of Python objects does: code
    that searches this very interpreter's frames or memory could find what a test expects, or the secret.

    Range: 0 to 1.

    Args:
        allow: has to be True: this reward runs foreign code on this machine.
        tests: the tests, Python code; default: the item's reference holds them.
        score_as: "share" of the tests passed, or "all": 1 where all pass, else 0.
        timeout: seconds for loading the code and for all tests together.
        memory: MiB of address space of each process.
        disk: MiB of files, in memory too.
        processes: how many processes and threads at once.
        workers: sandboxes at once; 0: one for each core that this process may use.
    """

    allow: bool = False
    tests: str | None = None
    score_as: Literal["share", "all"] = "share"
    timeout: float = 10.0
    memory: int = 1024
    disk: int = 64
    processes: int = 32
    workers: int = 0

    example: ClassVar[Mapping[str, Any] | None] = {"allow": True}
    sample: ClassVar[str] = "code"
    slow: ClassVar[str] = "starts a sandboxed Python for every response"

    def __post_init__(self) -> None:
        if self.allow is not True:
            raise ConfigError(
                "reward 'code_execution' runs the responses' code on this machine, in a sandbox without network and "
                "with limits of time and memory; set allow=True if that is what you want"
            )
        if self.score_as not in ("share", "all"):
            raise ConfigError(f"reward 'code_execution': score_as is share or all, got {self.score_as!r}")
        if isinstance(self.timeout, bool) or not isinstance(self.timeout, int | float) or not 0 < self.timeout <= 3600:
            raise ConfigError(f"reward 'code_execution': timeout is above 0 and at most 3600, got {self.timeout!r}")
        for name, least in (("memory", 64), ("disk", 1), ("processes", 1), ("workers", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ConfigError(
                    f"reward 'code_execution': {name} is a whole number of at least {least}, got {value!r}"
                )
        if self.tests is not None:
            try:
                read_tests(self.tests)
            except ValueError as error:
                raise ConfigError(f"reward 'code_execution': {error}") from error

    def many(self, items: Sequence[Item]) -> Sequence[float]:
        jobs = [(item, self._tests(item)) for item in items]
        _probe()
        workers = self.workers or len(os.sched_getaffinity(0))
        with tempfile.TemporaryDirectory(prefix="plaudit-") as root, ThreadPoolExecutor(workers) as pool:
            return list(pool.map(lambda job: self._score(job[0], job[1], root), jobs))

    def one(self, item: Item) -> float:
        return self.many([item])[0]

    def _tests(self, item: Item) -> Tests:
        tests = self.tests if self.tests is not None else item.reference
        if tests is None or not tests.strip():
            raise RewardError(self.name, "needs tests: the option, or a reference for every response", item.index)
        try:
            return read_tests(tests)
        except ValueError as error:
            raise RewardError(self.name, str(error), item.index) from error

    def _score(self, item: Item, tests: Tests, root: str) -> float:
        source = "\n\n".join(
            block.code for block in code_in(item.response, "python", self.name) if not block.code.startswith(">>>")
        )
        if not source:
            return 0.0
        try:
            passed = _Sandbox(self, root).run(source, tests)
        except _SandboxError as error:
            raise RewardError(self.name, f"nothing was measured: the sandbox failed ({error})", item.index) from error
        if self.score_as == "all":
            return float(all(passed))
        return sum(passed) / len(passed)


class _SandboxError(Exception):
    """The sandbox, not the candidate, failed."""


@functools.cache
def _visible() -> list[str]:
    """What the candidate sees of the file system, besides its own empty part."""
    wanted = [
        "/usr",
        "/lib",
        "/lib64",
        "/lib32",
        "/bin",
        "/sbin",
        "/etc/ld.so.cache",
        "/etc/alternatives",
        "/nix/store",
    ]
    wanted += [sys.prefix, sys.base_prefix, sys.exec_prefix, os.path.dirname(os.path.realpath(sys.executable))]
    wanted += ["/dev/null", "/dev/zero", "/dev/urandom", "/dev/random"]
    chosen: list[str] = []
    for path in sorted({os.path.abspath(path) for path in wanted if os.path.lexists(path)}, key=len):
        if not any(path.startswith(each + "/") and not os.path.islink(each) for each in chosen):
            chosen.append(path)
    return chosen


class _Sandbox:
    """One run of `sandbox.py`."""

    _SETUP_SECONDS = 60.0

    def __init__(self, options: CodeExecution, root: str) -> None:
        self.options, self.root = options, root

    def run(self, source: str, tests: Tests) -> list[bool]:
        """Which tests passed; none where the candidate did not get to the end.

        Raises:
            _SandboxError: the sandbox could not be built, or lacks what the tests import.
        """
        command = [sys.executable, "-s", "-P", "-B", "-X", "utf8", str(Path(__file__).with_name("sandbox.py"))]
        environment = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8", "PYTHONHASHSEED": "0"}
        environment |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            cwd="/",
            start_new_session=True,
            bufsize=0,
        )
        self.received = b""
        try:
            return self._talk(source, tests)
        finally:
            os.killpg(self.process.pid, signal.SIGKILL)  # not yet waited for, so the number is still its own
            self.process.communicate()

    def _talk(self, source: str, tests: Tests) -> list[bool]:
        failed = [False] * tests.count
        loaded, done = (secrets.token_hex(16).encode() for _ in range(2))
        until = time.monotonic() + self._SETUP_SECONDS
        self._send({**self._limits(), "source": source, "imports": tests.imports, "token": loaded}, until)
        first = self._line(until)
        if first != b"R":
            raise _SandboxError(first[1:].decode("utf-8", "replace") if first else "it ended before it began")
        until = time.monotonic() + self.options.timeout
        if self._line(until) != loaded:
            return failed
        if not self._send({"tests": tests.steps, "token": done}, until):
            return failed
        verdict = self._line(until) or b""
        digits = verdict.removeprefix(done)
        if not verdict.startswith(done) or len(digits) != tests.count:
            return failed
        return [digit == ord("1") for digit in digits]

    def _limits(self) -> dict[str, Any]:
        options = self.options
        return {
            "root": self.root,
            "visible": _visible(),
            "memory": options.memory,
            "disk": options.disk,
            "processes": options.processes,
            "seconds": int(options.timeout) + 2,
        }

    def _send(self, message: dict[str, Any], until: float) -> bool:
        """Whether all of it went out in time, to somebody who reads."""
        assert self.process.stdin is not None
        body = marshal.dumps(message)
        data = memoryview(len(body).to_bytes(8, "little") + body)
        out = self.process.stdin.fileno()
        os.set_blocking(out, False)
        while data:
            if not select.select([], [out], [], max(0.0, until - time.monotonic()))[1]:
                return False
            try:
                data = data[os.write(out, data) :]
            except BrokenPipeError:
                return False
        return True

    def _line(self, until: float) -> bytes | None:
        """The next line; None at the end, after the time, or where there is more than any message holds."""
        assert self.process.stdout is not None
        into = self.process.stdout.fileno()
        while b"\n" not in self.received:
            if len(self.received) > 1 << 20:
                return None
            if not select.select([into], [], [], max(0.0, until - time.monotonic()))[0]:
                return None
            more = os.read(into, 1 << 16)
            if not more:
                return None
            self.received += more
        line, _, self.received = self.received.partition(b"\n")
        return line


_PROBE = """
def what_works():
    import os, socket
    try:
        socket.create_connection(("192.0.2.1", 80), 0.2)
        return "the network is not cut off"
    except OSError:
        pass
    for path in ("/usr/plaudit", os.__file__ + ".x"):
        try:
            open(path, "w")
            return "the file system is not read only"
        except OSError:
            pass
    children = []
    try:
        for _ in range(64):
            child = os.fork()
            if not child:
                os.read(os.pipe()[0], 1)
            children.append(child)
    except OSError:
        return "all" if children else "no process can be started"
    return "the number of processes is not limited"
"""


@functools.cache
def _probe() -> None:
    """Runs a program that tries what the sandbox must not allow, once.

    Raises:
        ConfigError: this machine cannot run the sandbox.
    """
    needs = (
        "; it needs Linux 5.14 or later where this user may create user namespaces (in a container: a seccomp and "
        "AppArmor profile that allows them; on Ubuntu: sysctl kernel.apparmor_restrict_unprivileged_userns=0)"
    )
    if sys.platform != "linux" or not sys.executable:
        raise ConfigError(f"reward 'code_execution' cannot run here ({sys.platform}){needs}")
    with tempfile.TemporaryDirectory(prefix="plaudit-") as root:
        try:
            for answer in ("all", "the network is not cut off", "the file system is not read only", "no process"):
                sandbox = _Sandbox(CodeExecution(allow=True), root)
                if sandbox.run(_PROBE, read_tests(f"assert what_works() == {answer!r}")) == [True]:
                    break
            else:
                answer = "the sandbox did not answer"
        except _SandboxError as error:
            raise ConfigError(f"reward 'code_execution' cannot run here: {error}{needs}") from error
    if answer != "all":
        raise ConfigError(f"reward 'code_execution' cannot run here: {answer}{needs}")
