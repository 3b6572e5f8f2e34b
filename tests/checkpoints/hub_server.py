"""A hub on loopback: as much of its protocol as an upload of small files and their download take."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """Repositories in memory.

    Attributes:
        files: "OWNER/NAME" -> path -> content.
        tokens: of the requests.
    """

    def __init__(self) -> None:
        self.files: dict[str, dict[str, bytes]] = {}
        self.tokens: set[str | None] = set()
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hub.post(self)

            def do_GET(self) -> None:
                hub.get(self, True)

            def do_HEAD(self) -> None:
                hub.get(self, False)

            def log_message(self, *words: Any) -> None:
                """Nothing on the terminal."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self) -> Hub:
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def post(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        self.tokens.add(request.headers.get("Authorization"))
        path = urlsplit(request.path).path
        if path == "/api/validate-yaml":
            return _answer(request, {"errors": [], "warnings": []})
        if path == "/api/repos/create":
            said = json.loads(body)
            name = f"{said['organization']}/{said['name']}"
            self.files.setdefault(name, {})
            return _answer(request, {"url": f"{self.url}/{name}", "id": name})
        name = "/".join(path.split("/")[3:5])
        if "/preupload/" in path:
            files = [
                {"path": one["path"], "uploadMode": "regular", "shouldIgnore": False}
                for one in json.loads(body)["files"]
            ]
            return _answer(request, {"files": files})
        if "/commit/" in path:
            for line in body.splitlines():
                entry = json.loads(line)
                if entry["key"] == "file":
                    self.files[name][entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
            return _answer(request, {"commitUrl": f"{self.url}/{name}/commit/{COMMIT}", "commitOid": COMMIT})
        request.send_error(404)

    def get(self, request: BaseHTTPRequestHandler, with_body: bool) -> None:
        parts = urlsplit(request.path).path.strip("/").split("/")
        if parts[0] == "api":
            found = {"id": "/".join(parts[2:4]), "sha": COMMIT, "siblings": [], "tags": []}
            return _answer(request, found)
        content = self.files.get("/".join(parts[:2]), {}).get("/".join(parts[4:]))
        if content is None:
            request.send_response(404)
            request.send_header("X-Error-Code", "EntryNotFound")
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        request.send_response(200)
        request.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
        request.send_header("X-Repo-Commit", COMMIT)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        if with_body:
            request.wfile.write(content)


def _answer(request: BaseHTTPRequestHandler, value: Any) -> None:
    text = json.dumps(value).encode()
    request.send_response(200)
    request.send_header("Content-Type", "application/json")
    request.send_header("Content-Length", str(len(text)))
    request.end_headers()
    request.wfile.write(text)
