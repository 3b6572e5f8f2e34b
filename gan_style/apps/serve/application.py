"""The server's application: what each address answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from gan_style.apps.serve.batches import Batches
from gan_style.apps.serve.guard import Guard, Metrics
from gan_style.apps.serve.limits import Limits, Refused, Room, chosen
from gan_style.apps.serve.model import Served
from gan_style.core import memory
from gan_style.core.errors import ContentError, UserError
from gan_style.core.version import __version__
from gan_style.data.files import Picture, image_size, whole
from gan_style.data.ledger import Note
from gan_style.data.saving import encode, holding
from gan_style.data.values import Array
from gan_style.inference.files import Read, result_of

PATHS = ("/translate", "/")  # that take pictures; the second is for clients of earlier servers
KINDS = {".png": "image/png", ".tif": "image/tiff"}
TAKEN = ("image/png", "image/jpeg", "image/webp", "image/bmp", "image/tiff", "application/octet-stream")
DESCRIPTION = 'Translates pictures by a model of gan_style. Every error is `{"error": "one sentence"}`.'


class Problem(BaseModel):
    """Answer to a request that gets no picture."""

    error: str


def application(model: Served, limits: Limits, names: Collection[str]) -> FastAPI:
    """Build the application; its thread begins with its lifespan.

    Args:
        model: that is served.
        limits: of what it takes.
        names: of hosts that it answers to.
    """
    metrics, room = Metrics(), Room(limits)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.batches = Batches(model.run, limits.batch, limits.pixels, metrics.passes.observe)
        metrics.waiting.set_function(lambda: len(app.state.batches))
        yield
        await asyncio.to_thread(app.state.batches.close)

    app = FastAPIOffline(
        redoc_url=None,
        title="gan_style",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
    )
    app.add_middleware(Guard, names=names, metrics=metrics, paths=PATHS)
    _answer_errors(app)

    _take_pictures(app, model, room)
    _tell(app, model, metrics)
    return app


def _take_pictures(app: FastAPI, model: Served, room: Room) -> None:
    """Add the addresses that translate."""

    async def translate(request: Request, direction: str | None = None) -> Response:
        """Translate the picture that is the body: PNG, JPEG, WebP, BMP or TIFF. The answer is of the same size."""
        with room.request():
            return await _translated(request, direction, model, room)

    problems: dict[int | str, dict[str, Any]] = {status: {"model": Problem} for status in (400, 403, 408, 413, 503)}
    problems["default"] = {"model": Problem, "description": "Any other error"}  # else FastAPI adds its own 422
    body = {"required": True, "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in TAKEN}}
    for path in PATHS:
        app.add_api_route(
            path,
            translate,
            methods=["POST"],
            response_class=Response,
            responses={200: {"content": {kind: {} for kind in KINDS.values()}}, **problems},
            openapi_extra={"requestBody": body},
            include_in_schema=path == PATHS[0],
        )


def _tell(app: FastAPI, model: Served, metrics: Metrics) -> None:
    """Add the addresses that tell about the server."""

    @app.get("/health")
    async def health() -> dict[str, Any]:
        """Say what is served, and how much waits."""
        return {
            "status": "ok",
            "version": __version__,
            **model.about,
            "directions": [*model.directions],
            "waiting": len(app.state.batches),
        }

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def counts() -> Response:
        """Give the counts in the text format of Prometheus."""
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)


async def _translated(request: Request, direction: str | None, model: Served, room: Room) -> Response:
    way = chosen(direction, model.directions)
    data = await _received(request, room)
    try:
        with room.body(len(data)), room.picture(*await asyncio.to_thread(_size, data)):
            picture = await asyncio.to_thread(whole, data, model.taken(way))
            result = await asyncio.wrap_future(request.app.state.batches.put(picture.array, way))
            suffix, content, notes = await asyncio.to_thread(_encoded, result, picture)
    except ContentError as error:
        raise Refused(400, str(error.of("the body"))) from error
    except UserError as error:
        raise Refused(400, str(error)) from error
    except Exception as error:
        if not memory.ran_out(error):
            raise
        raise Refused(503, memory.sentence(error, "send a smaller picture")) from error
    said = {"x-notes": "; ".join(note.kind for note in notes).encode("ascii", "replace").decode()} if notes else {}
    return Response(content, media_type=KINDS[suffix], headers=said)


async def _received(request: Request, room: Room) -> bytes:
    """Read a body, as far as it may be long."""
    length = request.headers.get("content-length", "0")
    with room.body(int(length)):  # a number, or the request would not have come so far
        data = bytearray()
        try:
            async with asyncio.timeout(room.limits.body_seconds):
                async for part in request.stream():
                    data += part
                    with room.body(len(data)):  # a body without a length
                        pass
        except TimeoutError as error:
            sentence = f"the picture did not arrive within {room.limits.body_seconds:g} seconds: send it again"
            raise Refused(408, sentence) from error
    if not data:
        raise Refused(400, "the body is empty: send the bytes of a picture, as curl --data-binary @photo.jpg does")
    return bytes(data)


def _size(data: bytes) -> tuple[int, int]:
    return image_size(data, entire=True)


def _encoded(result: Array, picture: Picture) -> tuple[str, bytes, list[Note]]:
    """Encode a result with what its picture carries. Returns: suffix, bytes, and what was left out or changed."""
    target = holding(Path("a.png"), str(result.dtype), result.shape[2])
    result, carried, notes = result_of(result, Read(Path("the body"), target, picture))
    return target.suffix, encode(result, target.suffix, carried), notes


def _answer_errors(app: FastAPI) -> None:
    """Make every error one sentence of JSON."""

    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> JSONResponse:
        return _said(error.status, error.sentence)

    @app.exception_handler(HTTPException)
    async def of_http(request: Request, error: HTTPException) -> JSONResponse:
        sentences = {
            404: "there is nothing at this address: POST a picture to /translate, or GET /health, /metrics or /docs",
            405: "this address takes another method: POST a picture to /translate, or GET /health, /metrics or /docs",
        }
        return _said(error.status_code, sentences.get(error.status_code, str(error.detail)))

    @app.exception_handler(RequestValidationError)
    async def not_valid(request: Request, error: RequestValidationError) -> JSONResponse:
        return _said(400, "; ".join(f"{one['loc'][-1]}: {one['msg']}" for one in error.errors()))

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> JSONResponse:
        return _said(500, "the server failed on this picture, which its own output explains")


def _said(status: int, sentence: str) -> JSONResponse:
    headers = {"Retry-After": "1"} if status == 503 else {}
    return JSONResponse({"error": sentence}, status, headers)
