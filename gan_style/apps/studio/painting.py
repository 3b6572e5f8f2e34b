"""Bounds for paintings of the brush: Gradio's editor would keep any number of pictures of any size in memory."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import gradio as gr
import numpy as np
from fastapi import HTTPException
from gradio.components.base import server
from gradio.components.image_editor import AcceptBlobs, EditorData, EditorDataBlobs
from gradio.data_classes import FileData
from numpy.typing import NDArray
from PIL import Image

from gan_style.apps.studio.room import oldest_above

MAX_SIDE = 2560  # pixels; a screen may have several for each pixel of the canvas
MAX_LAYERS = 8
MAX_WAITING = 40  # paintings that were sent and not yet used: two for each position in the queue
MAX_WAITING_BYTES = 200_000_000  # of all of them
WRONG = f"a painting has at most {MAX_LAYERS} layers, which are PNG pictures of at most {MAX_SIDE} pixels a side"


def bound(editor: gr.ImageEditor) -> None:
    """Make an editor of type "numpy" accept small paintings only, and read nothing but their layers."""
    accept = editor.accept_blobs

    @server
    def accept_blobs(data: AcceptBlobs) -> None:
        index: Any = data.data["index"] or "null"  # a form holds text
        if not data.files or (index != "null" and not (index.isdecimal() and int(index) < MAX_LAYERS)):
            raise HTTPException(400, WRONG)
        try:
            opened(data.files[0][1])
        except gr.Error:
            raise HTTPException(400, WRONG) from None
        accept(data)
        sizes = {name: size_of(painting) for name, painting in list(editor.blob_storage.items())}
        for name in oldest_above(sizes, MAX_WAITING, MAX_WAITING_BYTES):
            editor.blob_storage.pop(name, None)

    def preprocess(payload: EditorData | None) -> dict[str, Any] | None:
        if payload is None:
            return None
        held = editor.blob_storage.pop(payload.id, None) if payload.id else payload
        layers = [layer for layer in (held.layers if held else ()) if layer is not None]
        if len(layers) > MAX_LAYERS:
            raise gr.Error(WRONG, print_exception=False)
        return {"background": None, "layers": [read(layer) for layer in layers], "composite": None}

    # Not a subclass: Gradio writes a file beside each.
    editor.accept_blobs = accept_blobs
    editor.preprocess = preprocess  # type: ignore[method-assign, assignment]


def size_of(painting: EditorDataBlobs) -> int:
    """Return the bytes of a stored painting."""
    return sum(len(part) for part in (painting.background, painting.composite, *painting.layers) if part)


def opened(layer: FileData | bytes) -> Image.Image:
    """Open a layer by its header.

    Raises:
        gr.Error: it is too large, or not a picture.
    """
    try:
        image = Image.open(BytesIO(layer) if isinstance(layer, bytes) else layer.path, formats=["PNG"])
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise gr.Error(WRONG, print_exception=False) from error
    if max(image.size) > MAX_SIDE:
        raise gr.Error(WRONG, print_exception=False)
    return image


def read(layer: FileData | bytes) -> NDArray[np.uint8]:
    """Read a layer, RGBA [h, w, 4].

    Raises:
        gr.Error: it is too large, damaged, or not a picture.
    """
    try:
        return np.asarray(opened(layer).convert("RGBA"))
    except (OSError, ValueError, SyntaxError) as error:
        raise gr.Error(WRONG, print_exception=False) from error
