"""The program behind the scribble page: the page itself, tiles of pictures, strokes in and out, and Done.

Names in an address are looked up among the served takes, their cameras and frames, and the page's own files; no
address becomes a path. The page shows the text of an error.
"""

import json
import re
from collections.abc import Awaitable, Callable
from functools import cached_property
from importlib.resources import files
from threading import Lock
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.convertors import IntegerConvertor, register_url_convertor
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from capmat_errors import CapmatError, NotFound, StoreError
from flows.service.events import tell_labels
from storage.labels.drafts import DraftConflict
from storage.labels.strokes import decode_strokes
from storage.store.root import Root
from storage.takes.take import Take
from tasks.config import Config
from tasks.labels.desk import (
    describe_frame,
    describe_take,
    finish_scribbles,
    frames_to_show,
    keep_strokes,
    labels_left_out,
    mark_box,
    preview_strokes,
    saved_strokes,
)
from tasks.labels.epipolar import lines_of
from tasks.labels.hull_view import HullMaps
from tasks.labels.preview import Previews
from tasks.labels.snap import snapped
from tasks.labels.views import FrameViews
from tasks.train.background import Trials
from tasks.train.trial import Asked

MOST_BYTES = 16 * 2**20
"""Most bytes of one request; ten thousand ordinary strokes have three megabytes."""
_KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_TILES_KEPT_S = 600
_MOST_DIGITS = 16


class _Number(IntegerConvertor):
    """Python reads no number of thousands of digits, and no frame has one."""

    regex = f"[0-9]{{1,{_MOST_DIGITS}}}"


register_url_convertor("number", _Number())


class _Json(JSONResponse):
    """JSON in ASCII: an error may quote what no encoding can write, half of a surrogate pair."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content).encode()


class Desk:
    """What the program serves.

    Args:
        root: the store.
        takes: the takes, by name.
        author: signs new strokes, unless the person enters another name.
        config: the settings.
    """

    def __init__(self, root: Root, takes: dict[str, Take], author: str, config: Config) -> None:
        self.root, self.takes, self.author = root, takes, author
        self.quiet_s = config.redistill.quiet_s
        self.views = FrameViews(root, HullMaps(config.reconstruction))
        self.previews, self.finishing, self.trials = Previews(), Lock(), Trials(config)

    @cached_property
    def page(self) -> dict[str, bytes]:
        """The page's files by name: "main.js", "canvas/stage.js"."""
        page = files("flows.scribble").joinpath("page")
        parts = {"": page, **{f"{part.name}/": part for part in page.iterdir() if part.is_dir()}}
        return {
            at + file.name: file.read_bytes()
            for at, part in parts.items()
            for file in part.iterdir()
            if file.is_file()
        }

    def take(self, request: Request) -> Take:
        """The take that a request names; raises NotFound."""
        name = request.path_params["take"]
        if name not in self.takes:
            raise NotFound(
                f"take {name} is not served; choose from {', '.join(self.takes)}", fix="Choose one of them."
            )
        return self.takes[name]


def scribble_app(desk: Desk) -> Starlette:
    """The program; `flows.scribble.guard` belongs around it."""

    def page(request: Request) -> Response:
        name = request.path_params.get("file", "index.html")
        if name not in desk.page:
            return _Json({"error": "this page does not exist"}, 404)
        kind = _KINDS["." + name.rpartition(".")[2]]
        return Response(desk.page[name], media_type=kind, headers={"Cache-Control": "no-store"})

    def everything(_: Request) -> Any:
        takes = [describe_take(desk.root, take) for take in desk.takes.values()]
        return {"author": desk.author, "takes": takes}

    def frame(request: Request) -> Any:
        return describe_frame(desk.root, desk.views, desk.take(request), *_frame_of(request))

    def hull(request: Request) -> Any:
        take, (camera, number), hulls = desk.take(request), _frame_of(request), desk.views.hulls
        run = request.query_params.get("run", "")
        if not hulls.ready(take, run, number):
            return {"ready": False, "share": hulls.share(take, run, number)}
        return {"ready": True, "contradict": hulls.contradict(take, run, camera, number)}

    def lines(request: Request) -> Any:
        camera, _ = _frame_of(request)
        return {"lines": lines_of(desk.take(request), camera, request.query_params)}

    def tile(request: Request) -> Response:
        index = tuple(request.path_params[key] for key in ("level", "row", "column"))
        runs = tuple(request.query_params.getlist("run"))
        image = desk.views.tile(desk.take(request), *_frame_of(request), request.path_params["view"], index, runs)
        kept = {"Cache-Control": f"private, max-age={_TILES_KEPT_S}"}
        return Response(image.data, media_type=f"image/{image.kind}", headers=kept)

    def start_trial(request: Request) -> Any:
        take, here, run, id = desk.take(request), _frame_of(request), *_asked(request, "run", "id")
        frames = frames_to_show(desk.root, take, run, *here)
        return desk.trials.start(id, Asked(tuple(desk.takes), take.name, run, frames))

    def stop_trial(request: Request) -> Any:
        return desk.trials.stop(*_asked(request, "id"))

    def trial_png(request: Request) -> Response:
        png = desk.trials.png(request.path_params["id"], request.path_params["place"])
        return Response(png, media_type="image/png", headers={"Cache-Control": "no-store"})

    def takes_in(work: Callable[[Desk, Request, bytes], Any]) -> Callable[[Request], Awaitable[Response]]:
        """A route whose request has a document."""

        async def route(request: Request) -> Response:
            try:
                body = await _body(request)
            except ClientDisconnect:  # nobody hears the answer
                return Response(status_code=400)
            return await run_in_threadpool(_answered, lambda r: work(desk, r, body), request)

        return route

    def answers(act: Callable[[Request], Any]) -> Callable[[Request], Response]:
        return lambda request: _answered(act, request)

    at = "{take}/{camera}/{frame:number}"
    return Starlette(
        routes=[
            Route("/", page),
            Route("/page/{file:path}", page),
            Route("/api/desk", answers(everything)),
            Route(f"/api/frame/{at}", answers(frame)),
            Route(f"/api/hull/{at}", answers(hull)),
            Route(f"/api/lines/{at}", answers(lines)),
            Route(f"/api/tile/{at}/{{view}}/{{level:number}}/{{row:number}}/{{column:number}}", answers(tile)),
            Route(f"/api/strokes/{at}", takes_in(_save), methods=["PUT"]),
            Route(f"/api/preview/{at}", takes_in(_preview), methods=["POST"]),
            Route(f"/api/mark/{at}", takes_in(_mark), methods=["PUT"]),
            Route(f"/api/snap/{at}", takes_in(_snap), methods=["POST"]),
            Route("/api/trial", answers(lambda _: desk.trials.state())),
            Route("/api/trial", answers(stop_trial), methods=["DELETE"]),
            Route("/api/trial/{id}/{place:number}", answers(trial_png)),
            Route(f"/api/trial/{at}", answers(start_trial), methods=["POST"]),
            Route("/api/done", takes_in(_finish), methods=["POST"]),
        ],
        exception_handlers={Exception: _fault},
    )


def _answered(act: Callable[[Request], Any], request: Request) -> Response:
    """The answer of `act`, or its error."""
    try:
        answer = act(request)
    except CapmatError as error:
        status = 404 if isinstance(error, NotFound) else 503 if isinstance(error, StoreError) else 400
        return _Json({"error": str(error)}, status)
    return answer if isinstance(answer, Response) else _Json(answer, headers={"Cache-Control": "no-store"})


def _fault(_: Request, error: Exception) -> Response:
    """What the page shows of an error that is not ours; the terminal has all of it."""
    what = f"{type(error).__name__}: {error}"
    return _Json({"error": f"a fault of the program, {what}. Try again; its terminal says more."}, 500)


def _save(desk: Desk, request: Request, body: bytes) -> Any:
    take, (camera, frame) = desk.take(request), _frame_of(request)
    after = request.query_params.get("after", "")
    if not re.fullmatch(_Number.regex, after):
        return _Json({"error": "the request lacks `after`, the revision that the strokes are based on"}, 400)
    drawing = decode_strokes(body, _where(request))
    try:
        revision = keep_strokes(desk.root, take, camera, frame, drawing, int(after))
        return {"revision": revision, **labels_left_out(desk.root, drawing)}
    except DraftConflict as error:
        return _Json({"error": str(error), **saved_strokes(desk.root, take, camera, frame)}, 409)


def _preview(desk: Desk, request: Request, body: bytes) -> Any:
    take, drawing = desk.take(request), decode_strokes(body, _where(request))
    run, page = _asked(request, "run", "page")
    return preview_strokes(desk.root, desk.views, desk.previews, take, run, drawing, page)


def _mark(desk: Desk, request: Request, body: bytes) -> Any:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise CapmatError("the mark is not JSON", where=_where(request)) from error
    return mark_box(desk.root, desk.take(request), *_frame_of(request), said)


def _snap(desk: Desk, request: Request, body: bytes) -> Any:
    return snapped(desk.take(request), *_frame_of(request), decode_strokes(body, _where(request)).strokes)


def _finish(desk: Desk, _: Request, body: bytes) -> Any:
    author = _author(body)
    with desk.finishing:  # two at once would each make a version, although the second has nothing new
        done = finish_scribbles(desk.root.url, list(desk.takes), author)
    told = tell_labels(done["labels"]) if done["new"] else ""
    return {**done, "told": bool(told), "ui": _ui(told), "quiet_s": desk.quiet_s}


def _where(request: Request) -> str:
    return "take {take} camera {camera} frame {frame}".format(**request.path_params)


def _frame_of(request: Request) -> tuple[str, int]:
    return request.path_params["camera"], request.path_params["frame"]


def _asked(request: Request, *names: str) -> tuple[str, ...]:
    """Values of the query, empty where it lacks them."""
    return tuple(request.query_params.get(name, "") for name in names)


def _author(body: bytes) -> str:
    try:
        author = json.loads(body).get("author", "")
    except (ValueError, AttributeError, RecursionError) as error:
        raise CapmatError("expected a JSON object with an author", where="api/done") from error
    return author if isinstance(author, str) else ""


async def _body(request: Request) -> bytes:
    """The request's body; empty, which is not JSON, if it is longer than `MOST_BYTES`."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MOST_BYTES:
            return b""
    return bytes(body)


def _ui(told: str) -> str:
    """The address of the Prefect UI whose API took the event, or of this folder's server; empty if none answers."""
    from flows.service.access import is_ours
    from flows.service.server import running_server

    if told:
        return told.removesuffix("/api")
    server = running_server()
    return server.address if server and is_ours(server.port) else ""
