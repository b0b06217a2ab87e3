"""A reward server in a thread, for tests: it answers what it is told to."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[Any, int], Any]


class Server:
    """Answers by a function of (body, number of the request): a document, bytes, or (status, document)."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.headers: list[dict[str, str]] = []
        self.answer: Answer = lambda body, number: lengths(body)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.asked.append(body)
                outer.headers.append(dict(self.headers))
                found = outer.answer(body, len(outer.asked))
                status, found = found if isinstance(found, tuple) else (200, found)
                data = found if isinstance(found, bytes) else json.dumps(found).encode()
                try:
                    self.send_response(status)
                    if 300 <= status < 400:
                        self.send_header("Location", "http://elsewhere.invalid/")
                    self.end_headers()
                    self.wfile.write(data)
                except (BrokenPipeError, ConnectionResetError):
                    pass  # the client has given up

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.root = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def lengths(body: Any) -> Any:
    """Scores that are the texts' lengths, in the dialect of the request."""
    if isinstance(body, dict) and "query" in body:
        return {"rewards": [len(q) for q in body["query"]], "scores": [0.5] * len(body["query"]), "extra_logs": {}}
    return [{"scores": [len(response) for response in each["responses"]], "model": "x"} for each in body]
