"""The program inside of which `code_execution` runs foreign Python. Started as a script of its own; imports no plaudit.

Four processes: the first reads the job and gives the second its user ids; the second enters new namespaces (user,
mount, pid, net, ipc, uts) and builds a root of its own: an empty tmpfs with the interpreter and the system's libraries,
read only. The third is the first process of the pid namespace: when it ends, the kernel kills all that is left. The
fourth gives up every privilege, takes its limits, loads the candidate's code and runs the tests.

Talk with `execution.py`, over the first one's stdin and stdout: the job (length, then marshal) comes in; "R" goes out
before the candidate's code, "E" and a reason where the sandbox cannot be built; the job's first token once the code is
loaded; the tests with a second token come in; that token and a digit for each test go out. What the candidate prints
goes nowhere.
"""

from __future__ import annotations

import contextlib
import ctypes
import marshal
import os
import resource
import signal
import sys
from typing import Any, NoReturn

_CLONE = 0x10000000 | 0x00020000 | 0x20000000 | 0x40000000 | 0x08000000 | 0x04000000  # user, mount, pid, net, ipc, uts
_MS_NOSUID, _MS_NODEV, _MS_BIND, _MS_REC, _MS_PRIVATE = 2, 4, 4096, 16384, 1 << 18
_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE, _READ_ONLY = 442, -100, 0x8000, 1 | 2 | 4  # read only, no set-uid, no devices
_PR_PDEATHSIG, _PR_CAPBSET_DROP, _PR_NO_NEW_PRIVS = 1, 24, 38
_NOBODY = 65534


def main() -> None:
    """The first process."""
    job = receive(0)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    entered, mapped = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        _guarded(_namespaces, job, libc, entered[1], mapped[0])
    os.close(entered[1])
    if os.read(entered[0], 1):
        try:
            _map_ids(child)
        except OSError as error:
            _fail(f"cannot map user ids ({error})")
        os.write(mapped[1], b"x")
    os.waitpid(child, 0)


def receive(fd: int) -> Any:
    """One message: eight bytes of length, then marshal."""

    def read(size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = os.read(fd, size - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    return marshal.loads(read(int.from_bytes(read(8), "little")))


def _guarded(step: Any, *arguments: Any) -> NoReturn:
    """Runs the rest of a forked process, which never returns to the code of its parent."""
    try:
        step(*arguments)
    except BaseException as error:
        _fail(f"{type(error).__name__}: {error}")
    os._exit(0)


def _fail(reason: str) -> NoReturn:
    os.write(1, b"E" + reason.replace("\n", " ").encode()[:2000] + b"\n")
    os._exit(1)


def _map_ids(child: int) -> None:
    """Root becomes root and nobody inside, so that the candidate can be nobody; anyone else is only themself."""
    user, group = os.getuid(), os.getgid()
    if user:
        _write(f"/proc/{child}/setgroups", "deny")
    _write(f"/proc/{child}/uid_map", f"0 {user} 1\n" + ("" if user else f"1 {_NOBODY} 1\n"))
    _write(f"/proc/{child}/gid_map", f"0 {group} 1\n" + ("" if user else f"1 {_NOBODY} 1\n"))


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def _check(result: int, what: str) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


def _namespaces(job: dict[str, Any], libc: Any, entered: int, mapped: int) -> None:
    """The second process."""
    libc.prctl(_PR_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    root_outside = os.getuid() == 0
    _check(libc.unshare(_CLONE), "unshare")
    os.write(entered, b"x")
    os.close(entered)
    if not os.read(mapped, 1):
        os._exit(1)
    _build_root(job, libc)
    init = os.fork()
    if not init:
        _guarded(_init, job, libc, root_outside)
    os.waitpid(init, 0)


def _build_root(job: dict[str, Any], libc: Any) -> None:
    root = job["root"]

    def mount(source: str, target: str, kind: str | None, flags: int, data: str = "") -> None:
        encoded = [None if text is None else text.encode() for text in (source, target, kind)]
        _check(libc.mount(*encoded, flags, data.encode()), f"mount {source} on {target}")

    mount("none", "/", None, _MS_REC | _MS_PRIVATE)
    mount("tmpfs", root, "tmpfs", _MS_NOSUID | _MS_NODEV, f"size={job['disk']}m,mode=755")
    for path in job["visible"]:
        target = root + path
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if os.path.islink(path):
            os.symlink(os.readlink(path), target)
            continue
        if os.path.isdir(path):
            os.makedirs(target)
        else:
            _write(target, "")
        mount(path, target, None, _MS_BIND | _MS_REC)
        if not path.startswith("/dev/"):
            attributes = (ctypes.c_uint64 * 4)(_READ_ONLY, 0, 0, 0)
            arguments = (target.encode(), _AT_RECURSIVE, ctypes.byref(attributes), ctypes.sizeof(attributes))
            _check(libc.syscall(_MOUNT_SETATTR, _AT_FDCWD, *arguments), f"mount_setattr {target}")
    for path in ("/tmp", "/dev/shm"):
        os.makedirs(root + path, exist_ok=True)
        os.chmod(root + path, 0o1777)
    os.chroot(root)
    os.chdir("/tmp")


def _init(job: dict[str, Any], libc: Any, root_outside: bool) -> None:
    """The third process: the first one of the pid namespace, which dies with it."""
    libc.prctl(_PR_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    candidate = os.fork()
    if not candidate:
        _guarded(_candidate, job, libc, root_outside)
    os.close(0)
    os.close(1)
    while os.wait()[0] != candidate:
        pass


def _candidate(job: dict[str, Any], libc: Any, root_outside: bool) -> None:
    """The fourth process."""
    inward, outward = os.dup(0), os.dup(1)  # not inherited by what the candidate starts
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 2):
        os.dup2(null, fd)
    _give_up_privileges(job, libc, root_outside)
    for name, required in job["imports"]:
        try:
            __import__(name)
        except ImportError:
            if required:
                raise
    os.dup2(null, 1)
    os.close(null)
    _Run(job["token"], inward, outward).candidate(job["source"])


def _give_up_privileges(job: dict[str, Any], libc: Any, root_outside: bool) -> None:
    limits = {
        resource.RLIMIT_CPU: job["seconds"],
        resource.RLIMIT_FSIZE: job["disk"] << 20,
        resource.RLIMIT_NPROC: job["processes"],
        resource.RLIMIT_NOFILE: 256,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_AS: job["memory"] << 20,
    }
    for what, most in limits.items():
        resource.setrlimit(what, (most, most))
    for capability in range(64):
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    if root_outside:
        os.setgroups([])
        os.setresgid(1, 1, 1)
        os.setresuid(1, 1, 1)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3, this process
    _check(libc.capset(ctypes.byref(header), ctypes.byref((ctypes.c_uint32 * 6)())), "capset")
    _check(libc.prctl(_PR_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")


class _Run:
    """Loads the candidate's code and runs the tests, with everything that the tests rely on put back in between."""

    def __init__(self, token: bytes, inward: int, outward: int) -> None:
        self.token, self.inward, self.outward = token, inward, outward
        self.write, self.exit, self.receive, self.kill = os.write, os._exit, receive, os.kill
        self.threads = sys._current_frames
        for name in ("addaudithook", "settrace", "setprofile", "_current_frames"):
            vars(sys).pop(name, None)
        for path in [path for path in sys.modules if path == "__main__" or path.split(".")[0] == "ctypes"]:
            del sys.modules[path]

    def candidate(self, source: str) -> None:
        trusted = _Snapshot()
        module = type(sys)("solution")
        sys.modules["solution"] = module
        self.write(self.outward, b"R\n")
        try:
            exec(compile(source, "<solution>", "exec", dont_inherit=True), vars(module))
        except BaseException:
            self.exit(1)
        if len(self.threads()) > 1:  # it would see the tests come in
            self.exit(1)
        trusted.restore()
        self.end_others()
        sys.modules["solution"] = module
        self.write(self.outward, self.token + b"\n")
        job = self.receive(self.inward)
        self.write(self.outward, job["token"] + self.tests(job["tests"], vars(module), trusted) + b"\n")
        self.exit(0)

    def end_others(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.kill(-1, signal.SIGKILL)  # all processes but this one and the first

    def tests(self, tests: list[tuple[Any, bool]], solution: dict[str, Any], trusted: _Snapshot) -> bytes:
        """A digit for each test: 1 passed, 0 failed."""
        names = {name: value for name, value in solution.items() if name not in trusted.builtins and name[:2] != "__"}
        comparer = _Comparer(names, trusted.modules)
        names |= {"__name__": "tests", "__builtins__": trusted.builtins}
        names |= {"_compared": comparer.compared, "_alike": comparer.alike}
        digits = b""
        for code, counts in tests:
            try:
                exec(code, names)
                passed = True
            except BaseException:
                passed = False
            if counts:
                digits += b"1" if passed else b"0"
        return digits


class _Snapshot:
    """The contents of all loaded modules and of their classes, to be put back."""

    def __init__(self) -> None:
        self.modules = dict(sys.modules)
        self.builtins = dict(vars(self.modules["builtins"]))
        proper = [module for module in self.modules.values() if isinstance(module, type(sys))]
        self.contents = [(vars(module), dict(vars(module))) for module in proper]
        classes = {value for _, names in self.contents for value in names.values() if type(value) is type}
        self.classes = [(each, dict(vars(each))) for each in classes if each.__flags__ & 1 << 9]  # made in Python
        self.change, self.remove = type.__setattr__, type.__delattr__

    def restore(self) -> None:
        for live, kept in self.contents:
            live.clear()
            live.update(kept)
        for each, kept in self.classes:
            for name in [name for name in vars(each) if name not in kept]:
                self.remove(each, name)
            for name, value in kept.items():
                if vars(each).get(name) is not value:
                    self.change(each, name, value)
        sys.modules.update(self.modules)


class _Comparer:
    """Comparisons of tests. An object whose class brings its own comparison in the candidate's code is only ever equal
    to another such object: otherwise a class that equals everything would pass every test."""

    methods = ("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__")
    plain = (int, float, complex, bool, str, bytes, type(None), type, type(main))

    def __init__(self, tests: dict[str, Any], modules: dict[str, Any]) -> None:
        self.tests, self.modules = tests, modules

    def compared(self, operators: tuple[str, ...], *values: Any) -> Any:
        result: Any = True
        for operator, left, right in zip(operators, values, values[1:]):
            self.alike(operator, left, right)
            result = _OPERATORS[operator](left, right)
            if operator != operators[-1] and not result:
                break
        return result

    def alike(self, operator: str, left: Any, right: Any) -> tuple[Any, Any]:
        """The two, if they may be compared; a container may bring its own ``in``."""
        if operator not in ("is", "is not"):
            ours, theirs = self.own(left), self.own(right)
            if ours != theirs and (ours or "in" not in operator):
                raise AssertionError("an object with a comparison of its own against one without")
        return left, right

    def own(self, value: Any) -> bool:
        """Whether it, or an element of it, has a comparison from the candidate's code."""
        stack, seen = [value], set[int]()
        while stack and len(seen) < 10_000:
            each = stack.pop()
            kind = type(each)
            if kind in self.plain or id(each) in seen:
                continue
            seen.add(id(each))
            if self.foreign(kind):
                return True
            if isinstance(each, dict):
                stack.extend(dict.keys(each))
                stack.extend(dict.values(each))
            elif isinstance(each, (list, tuple, set, frozenset)):
                stack.extend(each)
        return False

    def foreign(self, kind: type) -> bool:
        for method in self.methods:
            for each in type.mro(kind):
                if method in vars(each):
                    found = vars(each)[method]
                    break
            if type(found) is type(main):
                place = found.__globals__
                module = sys.modules.get(str(place.get("__name__")))
                known = place is self.tests or (module is not None and vars(module) is place and self.installed(module))
            else:
                known = type(found) is type(int.__eq__) and found.__name__ == method
            if not known:
                return True
        return False

    def installed(self, module: Any) -> bool:
        origin = getattr(getattr(module, "__spec__", None), "origin", None) or ""
        return module.__name__ in self.modules or origin.startswith((sys.prefix, sys.base_prefix))


_OPERATORS: dict[str, Any] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "is": lambda a, b: a is b,
    "is not": lambda a, b: a is not b,
    "in": lambda a, b: a in b,
    "not in": lambda a, b: a not in b,
}

if __name__ == "__main__":
    main()
