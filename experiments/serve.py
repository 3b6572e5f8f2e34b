"""Serve an ONNX export over HTTP: onnxruntime, Pillow and the standard library, no torch.

    python experiments/serve.py out.onnx --port 8000
    curl --data-binary @photo.jpg http://127.0.0.1:8000/ -o painting.png

POST / takes a picture of any size and gives a PNG of that size; GET /health gives the model's description as JSON. One
process serves many clients: a thread per connection, of which so many compute at a time as `--at-once` says.
"""

from __future__ import annotations

import argparse
import json
import re
import threading
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

LARGEST_BODY = 32 * 2**20  # bytes
LARGEST_IMAGE = 4096 * 4096  # pixels


class Refused(Exception):  # noqa: N818 (an answer, as an HTTP status)
    """What is wrong with a request, in a sentence, and its HTTP status."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Served:
    """An exported model that takes and gives 8-bit pictures.

    Args:
        path: the .onnx.
        at_once: pictures computed at a time.
        threads: of each.
    """

    def __init__(self, path: str, at_once: int = 1, threads: int = 0) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(path, options, providers=onnxruntime.get_available_providers())
        self.turns = threading.Semaphore(at_once)
        inputs = [one.name for one in self.session.get_inputs()]
        if inputs != ["picture"]:
            raise SystemExit(
                f"{path} wants {' and '.join(inputs)}; this example serves models that take a picture alone"
            )
        a, b = self.about["direction"].split("2")
        for letter in (a, b):
            domain = self.about["domains"][letter]
            if domain.get("dtype", "uint8") != "uint8" or domain["channels"] not in (1, 3):
                raise SystemExit(f"{path} is not of 8-bit grey or colour pictures, which this example serves")
        self.mode = {1: "L", 3: "RGB"}[self.about["domains"][a]["channels"]]

    @cached_property
    def about(self) -> dict[str, Any]:
        """What the export says of itself."""
        texts = self.session.get_modelmeta().custom_metadata_map
        return {key: json.loads(text) for key, text in texts.items()}

    def translate(self, body: bytes) -> bytes:
        """The bytes of a picture file to those of a PNG.

        Raises:
            Refused: it is no picture, or too large.
        """
        try:
            with Image.open(BytesIO(body)) as opened:
                if opened.width * opened.height > LARGEST_IMAGE:
                    raise Refused(413, f"the picture has more than {LARGEST_IMAGE} pixels")
                image = np.asarray(ImageOps.exif_transpose(opened).convert(self.mode))
        except (OSError, Image.DecompressionBombError, ValueError, SyntaxError) as error:
            raise Refused(400, "the body is no picture that can be read: send the bytes of a PNG or JPEG") from error
        array = image.reshape(*image.shape[:2], -1).transpose(2, 0, 1)[None].astype(np.float32) / 127.5 - 1
        with self.turns:
            (output,) = self.session.run(["output"], {"picture": array})
        values = np.clip(np.rint((output[0].transpose(1, 2, 0) + 1) * 127.5), 0, 255).astype(np.uint8)
        stream = BytesIO()
        Image.fromarray(values[..., 0] if values.shape[2] == 1 else values).save(stream, format="PNG")
        return stream.getvalue()


class Handler(BaseHTTPRequestHandler):
    """One request; `served` belongs to the class that `server` makes."""

    served: Served
    timeout = 30  # of a client that sends nothing

    def do_GET(self) -> None:
        if self.path != "/health":
            return self._answer(404, b"POST a picture to /, or GET /health", "text/plain")
        self._answer(200, json.dumps(self.served.about).encode(), "application/json")

    def do_POST(self) -> None:
        try:
            self._answer(200, self.served.translate(self._body()), "image/png")
        except Refused as refused:
            self._answer(refused.status, str(refused).encode(), "text/plain")

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch("[0-9]{1,12}", length):
            raise Refused(411, "the length of the body is missing")
        if int(length) > LARGEST_BODY:
            raise Refused(413, f"the body is larger than {LARGEST_BODY} bytes")
        return self.rfile.read(int(length))

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing: a proxy in front keeps the log."""


def server(served: Served, host: str, port: int) -> ThreadingHTTPServer:
    """Not started; port 0 takes a free one."""
    return ThreadingHTTPServer((host, port), type("ServedHandler", (Handler,), {"served": served}))


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve an ONNX export over HTTP.")
    parser.add_argument("model")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 for other machines; default this one alone")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--at-once", type=int, default=1, metavar="N", help="pictures computed at a time; 1")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="of each; 0 is all cores")
    parsed = parser.parse_args()
    with server(Served(parsed.model, parsed.at_once, parsed.threads), parsed.host, parsed.port) as running:
        print(f"http://{parsed.host}:{running.server_address[1]}/", flush=True)
        try:
            running.serve_forever()
        except KeyboardInterrupt:
            print("stopped")


if __name__ == "__main__":
    main()
