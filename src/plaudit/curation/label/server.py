"""Opens a queue for labelling: database, a port of this machine, a token, the browser; serves until it is stopped."""

from __future__ import annotations

import html
import secrets
import socket
import threading
import webbrowser
from collections.abc import Callable
from pathlib import Path

from plaudit.curation.label.queue import Queue
from plaudit.curation.label.store import LabelStore, default_database
from plaudit.errors import ConfigError, Interrupted, MissingExtraError, OutputError
from plaudit.files import ScratchFolder

__all__ = ["label_queue"]

HOST = "127.0.0.1"


def label_queue(
    queue: str | Path | Queue,
    database: str | Path | None = None,
    *,
    annotator: str | None = None,
    overlap: int | None = None,
    port: int = 0,
    browser: bool = True,
    ready: Callable[[str, int], None] | None = None,
) -> int:
    """Serves the label page on this machine until Ctrl-C or SIGTERM; every judgement is on the disk at once.

    Only who has the token, which is in the address, can read rows and write judgements.

    Args:
        queue: the file to label; a `Queue` to read it with options.
        database: where judgements go; None: beside the queue.
        annotator: who labels; None: the page asks, and several annotators can label at once.
        overlap: so many annotators suffice a row; None: every annotator sees every row.
        port: of 127.0.0.1; 0: a free one.
        browser: open the page in the user's browser.
        ready: called with the page's address, once it can be opened, and how many judgements stand.

    Returns:
        How many judgements stand, after Ctrl-C.

    Raises:
        MissingExtraError: FastAPI or uvicorn is not installed.
        ConfigError: a name, overlap or port that cannot be used, or a database of another queue.
        OutputError: another labeller has the database, or it cannot be written.
        DataError, RowError: the queue cannot be read.
        Interrupted: SIGTERM, where it is turned into that.
    """
    try:
        import uvicorn

        from plaudit.curation.label.app import create_app, valid_name
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("fastapi", "uvicorn", "starlette"):
            raise
        raise MissingExtraError("the label page", "label") from error
    if annotator is not None:
        try:
            annotator = valid_name(annotator)
        except ValueError as error:
            raise ConfigError(f"annotator is {annotator!r}; {error}") from None
    queue = queue if isinstance(queue, Queue) else Queue(queue)
    with _listen(port) as listener:
        path = default_database(queue.path) if database is None else Path(database)
        with LabelStore(path, queue, overlap=overlap) as store:
            token = secrets.token_urlsafe(24)
            address = f"http://{HOST}:{listener.getsockname()[1]}/#token={token}"
            app = create_app(store, token, title=queue.path.name, annotator=annotator)
            config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=2)
            if ready is not None:
                ready(address, store.judgements())
            opened = _open_browser(address) if browser else None
            try:
                uvicorn.Server(config).run(sockets=[listener])
            except Interrupted as error:
                stored = f"{store.judgements():,} judgements are stored in {path}"
                raise Interrupted(error.signal, f"stopped by {error.signal.name}; {stored}") from None
            except KeyboardInterrupt:  # the way to end it
                pass
            del opened  # the folder with the address
            return store.judgements()


def _listen(port: int) -> socket.socket:
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(128)
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"port {port} of {HOST} cannot be used: {reason}; choose another one, or 0") from error
    return listener


def _open_browser(address: str) -> ScratchFolder | None:
    """Opens the page through a private file, because other users can read a browser's command line.

    Nothing is opened where the only browser is one of the terminal, which this process needs for itself.
    """
    try:
        browser = webbrowser.get()
    except webbrowser.Error:
        return None
    if type(browser) is webbrowser.GenericBrowser:
        return None
    folder = ScratchFolder("label")
    file = folder.path / "open.html"
    target = html.escape(address)
    text = f'<!doctype html><meta http-equiv="refresh" content="0; url={target}"><a href="{target}">label</a>'
    file.write_text(text, encoding="utf-8")
    threading.Thread(target=browser.open, args=(file.as_uri(),), daemon=True).start()
    return folder
