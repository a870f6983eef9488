"""The pages and their data over HTTP, on the loopback address alone.

Whoever asks must know the token of the printed address; the name in Host and the page in Origin must be ours, so that
no other page in the same browser can ask. Nothing is loaded from elsewhere, and nothing is written but by
`Draft.finish`.
"""

from __future__ import annotations

import json
import secrets
import socket
from collections.abc import Callable
from importlib import resources
from typing import Any, Final

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from calcreport.errors import CalcReportError, UsageError
from calcreport.model.terms import PATTERN_LABELS
from calcreport.review.desk import Desk
from calcreport.review.drafts import Draft
from calcreport.rules.regions import REGIONS

_LOOPBACK: Final = "127.0.0.1"  # this machine alone
_MOST_BYTES: Final = 1_048_576  # of a request; a review of a thousand lesions with reasons fits
# Types of assets by the ends of their names, and errors that are answered by 409.
_MEDIA_TYPES: Final = {"html": "text/html; charset=utf-8", "css": "text/css; charset=utf-8", "js": "text/javascript"}
_CONFLICTS: Final = frozenset({"review.changed_meanwhile", "review.changed_on_disk", "render.changed_meanwhile"})
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Of every response: only our own scripts, styles and data, kept by no cache, shown in no frame."""

Answer = Callable[[Desk, Request, dict[str, Any]], Response]
"""Answers a request, given the content of its body; runs in a thread."""


def listen(port: int) -> socket.socket:
    """Take a port of the loopback address, any free one for 0; `UsageError` ``usage.port``."""
    port_socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        port_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        port_socket.bind((_LOOPBACK, port))
        port_socket.listen()  # whoever opens the printed address at once waits, and is not refused
    except (OSError, OverflowError) as error:
        port_socket.close()
        msg = f"port {port} cannot be used on this machine; name another one with --port, or none for any that is free"
        raise UsageError(msg, code="usage.port") from error
    return port_socket


def serve(desk: Desk, port_socket: socket.socket, token: str) -> None:
    """Serve until the process is asked to stop."""
    app = make_app(desk, token, port=port_socket.getsockname()[1])
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,  # addresses hold the token, and names of folders
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=3,
    )
    uvicorn.Server(config).run(sockets=[port_socket])


def make_app(desk: Desk, token: str, *, port: int) -> ASGIApp:
    """Make the application: routes behind the guard."""
    study = "/api/studies/{folder}"
    routes = [Route("/", _asset), Route("/assets/{name}", _asset)]
    routes += [
        _route(desk, path, method, answer)
        for path, method, answer in (
            ("/api/words", "GET", lambda *_: JSONResponse({"patterns": PATTERN_LABELS, "regions": REGIONS})),
            ("/api/studies", "GET", lambda desk, _request, _body: JSONResponse(desk.list_studies())),
            (study, "GET", _state),
            (f"{study}/review", "PUT", _decide),
            (f"{study}/review", "DELETE", _state),
            (f"{study}/finish", "POST", _finish),
            (f"{study}/images", "GET", lambda desk, r, _: JSONResponse(desk.describe_images(r.path_params["folder"]))),
            (study + "/stacks/{number:int}/{index:int}", "GET", _slice),
            (study + "/stacks/{number:int}", "GET", _reduced),
            (study + "/films/{number:int}", "GET", _film),
            (study + "/pictures/{name}", "GET", _picture),
        )
    ]
    return _Guard(Starlette(routes=routes), token, port)


class _Guard:
    """Refuses what does not come from our own page, and puts `_HEADERS` on every response."""

    def __init__(self, app: ASGIApp, token: str, port: int) -> None:
        self._app, self._token = app, token
        self._hosts = {f"{name}:{port}" for name in (_LOOPBACK, "localhost")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                ours = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]
                message["headers"] = [*message["headers"], *ours]
            await send(message)

        if scope["type"] == "http":
            refusal = self._refusal(Request(scope))
            await (refusal or self._app)(scope, receive, send_guarded)

    def _refusal(self, request: Request) -> Response | None:
        headers = request.headers
        host, origin = headers.get("host", ""), headers.get("origin")
        is_ours = host in self._hosts and origin in {None, f"http://{host}"}
        if not is_ours or headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
            return _error("review.foreign", "this page answers to this machine and its own pages only", 403)
        given = headers.get("authorization", "").removeprefix("Bearer ") or request.query_params.get("token", "")
        is_code = request.url.path.startswith("/assets/")  # the program's own, without a word about anybody
        if is_code or secrets.compare_digest(given.encode(), self._token.encode()):
            return None
        return _error("review.no_token", "open the address that calcreport review printed; it ends in a token", 403)


def _error(code: str, message: str, status: int, **more: object) -> Response:
    return JSONResponse({"code": code, "message": message, **more}, status_code=status)


def _route(desk: Desk, path: str, method: str, answer: Answer) -> Route:
    """Route whose named failures become answers with their code; nothing of a traceback leaves the process."""

    async def endpoint(request: Request) -> Response:
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > _MOST_BYTES:
                return _error("review.too_large", "the request is larger than any review", 413)
        try:
            content = json.loads(body or b"{}")
            if not isinstance(content, dict):
                return _error("review.not_mapping", "the request is no review", 400)
            return await run_in_threadpool(answer, desk, request, content)
        except CalcReportError as error:
            return _error(error.code, error.message, 409 if error.code in _CONFLICTS else 422)
        except (IndexError, KeyError):
            return _error("review.not_here", "there is nothing under this address", 404)
        except (ValueError, RecursionError):
            return _error("review.not_mapping", "the request is no review", 400)

    return Route(path, endpoint, methods=[method])


async def _asset(request: Request) -> Response:
    name = request.path_params.get("name", "index.html")
    kind = _MEDIA_TYPES.get(name.rpartition(".")[2])
    file = resources.files("calcreport.review") / "assets" / name
    if kind is None or "/" in name or not file.is_file():
        return _error("review.not_here", "there is nothing under this address", 404)
    return Response(file.read_bytes(), media_type=kind)


def _state(desk: Desk, request: Request, _body: dict[str, Any]) -> Response:
    """Present state of a study; with DELETE what was not finished is dropped, because the reader says so."""
    draft = desk.draft(request.path_params["folder"])
    with draft.lock:
        # Nothing is lost by taking what lies on disk now where nothing was changed here.
        if request.method == "DELETE" or (draft.is_stale() and not draft.is_changed):
            draft.load()
        return JSONResponse(draft.state())


def _changing(desk: Desk, request: Request, change: Callable[[Draft], None]) -> Response:
    """Change a draft where the request names its present version; a refusal comes with the present state."""
    draft = desk.draft(request.path_params["folder"])
    with draft.lock:
        try:
            draft.check(request.headers.get("if-match"))
            change(draft)
        except CalcReportError as error:
            status = 409 if error.code in _CONFLICTS else 422
            return _error(error.code, error.message, status, state=draft.state())
        return JSONResponse(draft.state())


def _decide(desk: Desk, request: Request, body: dict[str, Any]) -> Response:
    lesions = body.get("lesions")
    if not isinstance(lesions, dict):
        return _error("review.not_mapping", "the request is no review", 400)
    return _changing(desk, request, lambda draft: draft.decide(lesions))


def _finish(desk: Desk, request: Request, body: dict[str, Any]) -> Response:
    return _changing(desk, request, lambda draft: draft.finish(str(body.get("reader") or "").strip()))


def _pixels(content: bytes, **headers: str) -> Response:
    return Response(content, media_type="application/octet-stream", headers=headers)


def _slice(desk: Desk, request: Request, _body: dict[str, Any]) -> Response:
    where = request.path_params
    return _pixels(desk.images(where["folder"]).slice_hu(where["number"], where["index"]))


def _reduced(desk: Desk, request: Request, _body: dict[str, Any]) -> Response:
    content, layout = desk.images(request.path_params["folder"]).reduced_hu(request.path_params["number"])
    return _pixels(content, **{"X-Layout": json.dumps(layout)})


def _film(desk: Desk, request: Request, _body: dict[str, Any]) -> Response:
    return _pixels(desk.images(request.path_params["folder"]).film_grey(request.path_params["number"]))


def _picture(desk: Desk, request: Request, _body: dict[str, Any]) -> Response:
    content = desk.picture(request.path_params["folder"], request.path_params["name"])
    if content is None:
        return _error("review.not_here", "there is nothing under this address", 404)
    return Response(content, media_type="image/png")
