"""The label page's server: the page, and four calls behind a token. Needs FastAPI; knows the store, not SQLite."""

from __future__ import annotations

import json
import secrets
from importlib.resources import files
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from starlette.middleware.trustedhost import TrustedHostMiddleware

from plaudit.curation.label.store import Choice, ConflictError, LabelStore, State, UnknownRowError
from plaudit.errors import PlauditError

__all__ = ["create_app", "valid_name"]

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
"""Nothing but the page's own script runs, whatever a response says."""

_PAGE = {"page.html": "text/html", "page.css": "text/css", "page.js": "text/javascript"}
_NAME_LENGTH = 60


def valid_name(name: str) -> str:
    """An annotator's name without outer space.

    Raises:
        ValueError: it is blank, too long, or has characters that are no text.
    """
    name = " ".join(name.split())
    if not name or len(name) > _NAME_LENGTH or not name.isprintable():
        raise ValueError(f"expected a name of 1 to {_NAME_LENGTH} printable characters")
    return name


Name = Annotated[str, AfterValidator(valid_name)]


class JudgementIn(BaseModel):
    """A judgement as the page sends it: the side that is better, as shown."""

    model_config = ConfigDict(extra="forbid")

    annotator: Name
    row: Annotated[int, Field(ge=0, lt=2**62)]
    choice: Choice
    key: Annotated[str, Field(pattern=r"^[0-9A-Za-z-]{8,64}$")]


class UndoIn(BaseModel):
    """What is to be taken back: an id from the state."""

    model_config = ConfigDict(extra="forbid")

    annotator: Name
    judgement: Annotated[int, Field(ge=0, lt=2**62)]


def create_app(store: LabelStore, token: str, *, title: str = "", annotator: str | None = None) -> FastAPI:
    """The application.

    Args:
        store: where judgements go.
        token: what every call has to carry in the header ``X-Label-Token``.
        title: name of the queue, for the page.
        annotator: the only name to label under; None: the page asks.
    """
    app = FastAPI(title="plaudit label", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])  # no DNS rebinding
    page = {name: (files(__package__) / name).read_bytes() for name in _PAGE}

    def check_token(x_label_token: Annotated[str, Header()] = "") -> None:
        if not secrets.compare_digest(x_label_token.encode(), token.encode()):
            raise HTTPException(403, "wrong token: open the address that plaudit data label printed when it started")

    def check_name(name: str) -> str:
        if annotator is not None and name != annotator:
            raise HTTPException(409, f"this page labels as {annotator}; load it again")
        return name

    @app.middleware("http")
    async def add_headers(request: Request, call_next: Any) -> Response:
        response: Response = await call_next(request)
        response.headers.update(HEADERS)
        return response

    @app.exception_handler(ConflictError)
    def conflict(request: Request, error: ConflictError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, 409)

    @app.exception_handler(UnknownRowError)
    def unknown_row(request: Request, error: UnknownRowError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, 404)

    @app.exception_handler(PlauditError)
    def not_stored(request: Request, error: PlauditError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, 503)

    def send(name: str) -> Response:
        return Response(page[name], media_type=_PAGE[name])

    app.get("/")(lambda: send("page.html"))
    app.get("/page.css")(lambda: send("page.css"))
    app.get("/page.js")(lambda: send("page.js"))

    guarded = [Depends(check_token)]

    @app.get("/api/session", dependencies=guarded)
    def session() -> dict[str, Any]:
        known = [annotator] if annotator is not None else store.annotators()
        return {"title": title, "annotator": annotator, "annotators": known}

    @app.get("/api/state", dependencies=guarded)
    def state(annotator: Name) -> dict[str, Any]:
        return _answer(store.state(check_name(annotator)))

    @app.post("/api/judgements", dependencies=guarded)
    def judge(judgement: JudgementIn) -> dict[str, Any]:
        name = check_name(judgement.annotator)
        return _answer(store.judge(name, judgement.row, judgement.choice, judgement.key))

    @app.post("/api/undo", dependencies=guarded)
    def undo(request: UndoIn) -> dict[str, Any]:
        return _answer(store.undo(check_name(request.annotator), request.judgement))

    return app


def _answer(state: State) -> dict[str, Any]:
    """The state for the page, which is told sides and never which response is a or chosen."""
    progress = {"done": state.done, "left": state.left, "skipped": state.skipped}
    item = None
    if state.item is not None:
        view = json.loads(state.item.view)
        left, right = ("a", "b") if state.item.left == "a" else ("b", "a")
        item = {"row": state.item.row, "prompt": view["prompt"], "left": view[left], "right": view[right]}
    undo = None if state.undo is None else {"judgement": state.undo, "choice": state.undo_choice}
    return {"item": item, "progress": progress, "undo": undo}
