"""Asking a server over HTTP until it answers sense: bounded attempts, then a `RemoteError`. The standard library only.

Connection errors, timeouts, status 408, 425, 429 and 5xx, and answers that are no sense to the caller are tried again.
Other statuses (4xx, redirects) are final: the request is wrong for this server.
"""

from __future__ import annotations

import http.client
import json
import logging
import random
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from plaudit.errors import RemoteError

__all__ = ["NonsenseError", "finite_numbers", "post", "shown"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

LONGEST_WAIT = 30.0
"""Seconds between two attempts at most."""
MOST_SHOWN = 120
"""Characters of an answer that an error shows."""


class NonsenseError(Exception):
    """An answer that is not what was asked for."""


def post(
    url: str,
    body: Any,
    read: Callable[[Any], T],
    *,
    timeout: float,
    retries: int,
    wait: float = 0.5,
    headers: Mapping[str, str] | None = None,
) -> T:
    """Sends a JSON document and reads the JSON that comes back.

    Args:
        url: where to.
        body: what to send.
        read: makes the result of the parsed answer; raises `NonsenseError` (or KeyError, TypeError, IndexError) where
            that has another form.
        timeout: seconds without a byte from the server after which an attempt has failed.
        retries: further attempts after the first.
        wait: seconds before the second attempt, then twice as many and so on up to 30, each times a random factor in
            [0.5, 1.5].
        headers: sent with every attempt.

    Raises:
        RemoteError: no proper answer after all attempts, or the server refuses the request.
    """
    try:
        data = json.dumps(body, ensure_ascii=True, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise RemoteError(f"{url}: a prompt cannot be written as JSON ({error})") from error
    request_headers = {"Content-Type": "application/json", "Accept": "application/json", **(headers or {})}
    for attempt in range(retries + 1):
        try:
            return _read(_send(url, data, request_headers, timeout), read)
        except (NonsenseError, OSError, http.client.HTTPException) as error:
            problem, cause = _told(error, url, timeout), error
        logger.warning("%s: %s (attempt %d of %d)", url, problem, attempt + 1, retries + 1)
        if attempt < retries:
            time.sleep(min(LONGEST_WAIT, wait * 2**attempt) * random.uniform(0.5, 1.5))
    often = "once" if retries == 0 else f"{retries + 1} times"
    raise RemoteError(f"{url} was asked {often} and gave no scores: {problem}") from cause


def finite_numbers(values: Sequence[Any], count: int) -> list[float]:
    """Scores as they must be.

    Raises:
        NonsenseError: another number of them, or one that is no finite float32.
    """
    if len(values) != count:
        raise NonsenseError(f"the answer has {len(values)} scores for {count} responses")
    for value in values:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 3e38:
            raise NonsenseError(f"the answer has the score {value!r:.40}; expected a finite number")
    return [float(value) for value in values]


def shown(answer: Any) -> str:
    """The start of an answer, in one line."""
    text = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else json.dumps(answer, ensure_ascii=False)
    return " ".join(text.split())[:MOST_SHOWN]


def _send(url: str, data: bytes, headers: Mapping[str, str], timeout: float) -> bytes:
    request = urllib.request.Request(url, data, dict(headers), method="POST")
    with _OPENER.open(request, timeout=timeout) as answer:
        body: bytes = answer.read()
        return body


def _read(answer: bytes, read: Callable[[Any], T]) -> T:
    try:
        document = json.loads(answer)
    except ValueError:
        raise NonsenseError(f"the answer is no JSON: {shown(answer) or 'nothing'}") from None
    try:
        return read(document)
    except (KeyError, TypeError, IndexError) as error:
        kind = f"{type(error).__name__}: {error}"
        raise NonsenseError(f"the answer has another form than documented ({kind}): {shown(answer)}") from error


def _told(error: Exception, url: str, timeout: float) -> str:
    """What went wrong, where another attempt may help.

    Raises:
        RemoteError: it may not.
    """
    if isinstance(error, urllib.error.HTTPError):
        with error:
            said = shown(error.read(2000))
        problem = f"status {error.code}" + (f", {said}" if said else "")
        if error.code in (408, 425, 429) or error.code >= 500:
            return problem
        where = f" (to {error.headers['Location']})" if 300 <= error.code < 400 else ""
        raise RemoteError(f"{url} refused the request: {problem}{where}") from error
    if isinstance(error, NonsenseError):
        return str(error)
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, TimeoutError):
        return f"no answer within {timeout:g} s"
    return f"no connection ({reason or type(reason).__name__})"


class _StayHere(urllib.request.HTTPRedirectHandler):
    """A redirected POST would become a GET without its body."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_StayHere)
