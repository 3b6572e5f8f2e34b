"""Download of one file over HTTP: a broken connection continues where it stopped, in this process or the next."""

from __future__ import annotations

import base64
import contextlib
import http.client
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from rich.progress import (
    BarColumn,
    DownloadColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from gan_style.core.errors import UserError
from gan_style.core.progress import progress_bars
from gan_style.core.terminal import say
from gan_style.data.named.unpacking import CHUNK, check_space

TIMEOUT_SECONDS = 30.0  # to connect and for each read
WAIT_SECONDS = (1.0, 2.0, 4.0, 8.0)  # before each new try; starts over after a try that received new bytes
TEMPORARY_STATUS = (408, 425, 429)  # and 5xx
RANGE_NOT_SATISFIABLE = 416


class Unreachable(Exception):  # noqa: N818 (an event, whose message the caller completes)
    """Server that cannot be reached, does not have the file, or breaks off again and again."""


def check_url(url: str, key: str = "data.url=") -> None:
    """Raise a UserError unless this is an address of http or https; `key` is what the user gave it by."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and not re.search(r"[\x00-\x20\x7f]", url)
    except ValueError:
        good = False
    if not good:
        raise UserError(f"{key}{url} is no address to download from: give one with https:// or http://")


def public(url: str) -> str:
    """Remove secrets from an address: a password, a signed query."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def download(url: str, part: Path, size: int | None, say: Callable[[str], None] = say) -> None:
    """Complete the file `part` from a server, starting after the bytes that it already holds.

    The caller must check that it is the right file: a file that changed on the server between two tries is not noticed
    here.

    Args:
        url: http or https; redirects are followed, to these only.
        part: kept when the connection breaks, so that the next call continues it.
        size: bytes of the whole file, for servers that do not say.
        say: prints a line for the user.

    Raises:
        Unreachable: no such file or no connection, or it broke too often.
        UserError: the disk is full.
    """
    failures, furthest, answered = 0, _length(part), False
    with _Bar(part.name.strip(".").removesuffix(".part"), size) as bar:
        while True:
            try:
                response = _ask(url, _length(part))
                answered = True
                _receive(response, part, size, bar)
                return
            except urllib.error.HTTPError as error:
                error.close()
                answered, reason = True, f"status {error.code} {error.reason}".strip()
                if error.code == RANGE_NOT_SATISFIABLE:
                    return  # complete, or of another file, which the caller checks
                if error.code < 500 and error.code not in TEMPORARY_STATUS:
                    raise Unreachable(reason) from error
            except (OSError, http.client.HTTPException, _Broken) as error:  # URLError is an OSError
                reason = _reason(error)
                if not answered and isinstance(error, urllib.error.URLError):
                    raise Unreachable(reason) from error  # there is no network: waiting does not help
            if _length(part) > furthest:
                failures, furthest = 0, _length(part)
            if failures == len(WAIT_SECONDS):
                raise Unreachable(reason)
            say(f"{public(url)}: {reason}; trying again")
            time.sleep(WAIT_SECONDS[failures])
            failures += 1


class _Broken(Exception):  # noqa: N818
    """Connection that ended before the file did."""


class _OnlyHttp(urllib.request.HTTPRedirectHandler):
    """Handler that follows redirects to http and https only; http is safe because the sha256 is checked."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if urlsplit(newurl).scheme not in ("http", "https"):
            fp.close()
            raise Unreachable(f"it redirects to {public(newurl)}, which is not http")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _ask(url: str, start: int) -> Any:
    headers = {"User-Agent": "gan-style"} | ({"Range": f"bytes={start}-"} if start else {})
    parts = urlsplit(url)
    user, _, host = parts.netloc.rpartition("@")
    request = urllib.request.Request(parts._replace(netloc=host).geturl(), headers=headers)
    if user:  # urllib would take it for a part of the host; a redirect must not get the password
        credentials = base64.b64encode(unquote(user).encode()).decode("ascii")
        request.add_unredirected_header("Authorization", f"Basic {credentials}")
    return urllib.request.build_opener(_OnlyHttp).open(request, timeout=TIMEOUT_SECONDS)


def _receive(response: Any, part: Path, size: int | None, bar: _Bar) -> None:
    """Append what the server sends; from the start of the file where it ignored the range."""
    with response:
        have, total = _extent(response, part)
        expected = size if total is None else total
        if expected:
            check_space(part.parent, 2 * expected - have)  # for the zip, and about as much for its pictures
        try:
            with open(part, "r+b" if have else "wb") as file:
                file.truncate(have)
                file.seek(have)
                bar.show(have, total)
                while total is None or have < total:
                    block = _read(response, CHUNK if total is None else min(CHUNK, total - have))
                    if not block:
                        break
                    file.write(block)
                    file.flush()  # a process that is killed keeps all that came
                    have += len(block)
                    bar.show(have, total)
        except OSError as error:
            # An error of the disk, not of the connection: trying again does not help.
            with contextlib.suppress(OSError):
                part.unlink()
            raise UserError(
                f"{part} cannot be written ({error.strerror or error}): free some space or name a folder on another "
                "disk with data.root=DIR (--root DIR)"
            ) from error
    if expected and have < expected:
        raise _Broken("the connection broke")


def _read(response: Any, count: int) -> bytes:
    try:
        block: bytes = response.read1(count)
    except (OSError, http.client.HTTPException) as error:
        raise _Broken(_reason(error)) from error  # so that it is not taken for an error of the disk
    return block


def _reason(error: Exception) -> str:
    cause = getattr(error, "reason", None) or error
    return " ".join(str(getattr(cause, "strerror", None) or cause).split())[:120] or type(cause).__name__


def _extent(response: Any, part: Path) -> tuple[int, int | None]:
    """Return the first byte that the server sends, and the size of the whole file where it says."""
    length = response.headers.get("Content-Length")
    if response.status != 206:
        return 0, int(length) if length and length.isdigit() else None
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", "").strip())
    if not match or int(match[1]) > _length(part):
        raise _Broken("the server sent another range than the one asked for")
    return int(match[1]), None if match[2] == "*" else int(match[2])


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


class _Bar:
    """Progress in bytes: a bar with speed and time left on a terminal, else lines."""

    def __init__(self, label: str, size: int | None) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        self.progress = progress_bars(*columns, TimeRemainingColumn(), sizes=True)
        self.task: TaskID = self.progress.add_task(label, total=size)

    def __enter__(self) -> _Bar:
        self.progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.progress.stop()

    def show(self, done: int, total: int | None) -> None:
        if total is not None:
            self.progress.update(self.task, total=total)
        self.progress.update(self.task, completed=done)
