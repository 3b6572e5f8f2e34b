"""Download of a named set to its folder, or from a local zip; complete or not at all.

The set is built beside the folder and moved there last, in one step, so that a process may be killed at any time:

    .NAME.zip.part     the bytes of the zip received so far; the next call continues it
    .NAME.unpacking    its pictures; removed by the next call
    .NAME.lock         lock of the process that fetches, for which others wait; stays, empty
    NAME               the set, with `.gan_style.json`, which says where it came from
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from gan_style.core.errors import UserError
from gan_style.core.paths import absent, expanded, resolved
from gan_style.core.terminal import say
from gan_style.data.named.folder import MANIFEST, count_images, listed, missing_folders, read_manifest
from gan_style.data.named.table import FOLDERS, NamedSet, named_set
from gan_style.data.named.transfer import Unreachable, check_url, download, public
from gan_style.data.named.unpacking import unpack

Say = Callable[[str], None]


@dataclass(frozen=True)
class _Request:
    """Arguments of `fetch`."""

    set: NamedSet
    root: Path
    url: str
    archive: Path | None
    sha256: str | None  # as the user gave it
    say: Say

    @property
    def target(self) -> Path:
        """Path of the folder with links resolved: a link must not be replaced by a folder."""
        return resolved(self.root)

    def beside(self, suffix: str) -> Path:
        return self.target.parent / f".{self.set.name}{suffix}"


def fetch(
    name: str,
    root: Path,
    *,
    url: str | None = None,
    archive: str | None = None,
    sha256: str | None = None,
    say: Say = say,
) -> Path:
    """Make sure that a folder holds a named set.

    Pictures that are there already are used as they are, without network.

    Args:
        name: of `NAMED_SETS`.
        root: the folder; made where it is missing or empty, otherwise never changed.
        url: a mirror of the zip.
        archive: a local copy of the zip; nothing is downloaded then.
        sha256: of the zip, where it is not the one of the table.
        say: prints a line for the user.

    Returns: the folder.

    Raises:
        UserError: says what is wrong and what to do; nothing half-finished is left.
    """
    wanted = named_set(name)
    zip_path = expanded(archive) if archive else None
    request = _Request(wanted, expanded(root), url or wanted.url, zip_path, _checked(sha256), say)
    check_url(request.url)
    try:
        if _is_there(request) and not _leftovers(request):
            return request.root
        _check_request(request)
        request.target.parent.mkdir(parents=True, exist_ok=True)
        with _locked(request):
            if not _is_there(request):
                _make(request)
            _tidy(request)
    except OSError as error:
        reason = f"{error.strerror or error}: {error.filename or request.root}"
        raise UserError(
            f"{name} cannot be put into {request.root} ({reason}): mend that, or set data.root=DIR"
        ) from error
    return request.root


def _is_there(request: _Request) -> bool:
    """Check whether the folder holds the set; warns where it differs from the table.

    Raises:
        UserError: the folder holds something else, which must not be overwritten.
    """
    name, root = request.set.name, request.root
    if root.exists() and not root.is_dir():
        raise UserError(f"data.root={root} is a file: name the folder for {name}")
    if not root.is_dir() or not any(root.iterdir()):
        return False
    manifest = read_manifest(root)
    if manifest.get("name", name) != name:
        raise UserError(f"{root} holds {manifest['name']}, not {name}: name another folder with data.root=DIR")
    if missing := missing_folders(request.set, root):
        found = sorted(path.name for path in root.iterdir())
        below = [path.name for path in sorted(root.iterdir()) if not missing_folders(request.set, path)]
        hint = f"did you mean data.root={root / below[0]}?" if below else ""
        raise UserError(
            f"{root} has no folder {' and '.join(missing)} with pictures; it holds {', '.join(found[:8])}: "
            + (hint or f"remove it, and {name} comes here, or train on it as it is with data=folders data.root={root}")
        )
    recorded = manifest.get("sha256")
    if request.sha256 and recorded and recorded != request.sha256:
        raise UserError(
            f"{root} was made of a zip with sha256 {recorded}, not {request.sha256}: "
            "remove the folder to have the other"
        )
    counts = count_images(root)
    expected = manifest.get("counts") or request.set.counts
    if expected and counts != expected:
        fetched = "" if request.set.withdrawn else f"; `gan-style download {name} --root DIR` puts {name} elsewhere"
        request.say(
            f"warning: {root} holds {listed(counts)} pictures, but {name} has {listed(expected)}: they are not that "
            f"set as it was published, and are used as they are{fetched}"
        )
    return True


def _check_request(request: _Request) -> None:
    """Raise a UserError if this set cannot be downloaded as requested."""
    name = request.set.name
    if request.set.withdrawn:
        reason = request.set.withdrawn
        raise UserError(f"{name} cannot be downloaded: {reason} and name their folder with data.root=DIR")
    if not (request.sha256 or request.set.sha256):
        raise UserError(
            f"no sha256 of {name} is known, so that nobody can say whether it arrives whole: download {request.url} "
            f"yourself, look at it, and run `gan-style download {name} --archive ZIP --sha256 HASH` (train: "
            "data.archive=ZIP data.sha256=HASH) with what sha256sum says"
        )
    if request.archive and not request.archive.is_file():
        raise UserError(f"there is no file data.archive={absent(request.archive)}: name the zip of {name}")


@contextmanager
def _locked(request: _Request) -> Iterator[None]:
    """Hold the lock, so that only one process at a time fetches a set into a folder."""
    lock = FileLock(request.beside(".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        request.say(f"another process fetches {request.set.name}: waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _make(request: _Request) -> None:
    """Get the zip, unpack it beside the folder, and move it there."""
    temporary = request.beside(".unpacking")
    if temporary.exists():
        shutil.rmtree(temporary)
    pin = request.sha256 or request.set.sha256 or ""
    archive = request.archive or _downloaded(request, pin)
    source = str(request.archive or public(request.url))
    try:
        with open(archive, "rb") as opened:
            # One file handle, so that the bytes that are unpacked are those that were hashed.
            found, size = _hash(opened), opened.tell()
            if found != pin:
                raise _mismatch(request, source, found, size, pin)
            counts = unpack(opened, source, temporary, request.say)
        _check_counts(request, source, counts)
        address = None if request.archive else public(request.url)
        manifest = {"name": request.set.name, "url": address, "sha256": pin, "counts": counts}
        (temporary / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        if hasattr(os, "sync"):
            os.sync()  # one call for thousands of files, so that none is empty after a power cut
        if os.name == "nt" and request.target.is_dir():
            request.target.rmdir()  # on other systems a rename replaces an empty folder, and only that
        os.rename(temporary, request.target)
    except (UserError, OSError):
        if not request.archive:
            archive.unlink(missing_ok=True)  # the next call must not continue a wrong zip
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)  # the next call removes what is left
    request.say(f"{request.root} holds {request.set.name}: {listed(counts)} pictures; {request.set.about}")
    request.say(f"licence: {request.set.licence}")
    request.say(f"cite: {request.set.citation}")


def _downloaded(request: _Request, pin: str) -> Path:
    """Download the zip; the caller checks its hash."""
    part = request.beside(".zip.part")
    resumed = part.exists()
    if resumed and _hash_of(part) == pin:
        return part  # whole: an earlier call was killed while it unpacked
    size = request.set.size_bytes if pin == request.set.sha256 else None
    request.say(f"downloading {request.set.name} ({request.set.size}) from {public(request.url)}")
    try:
        download(request.url, part, size, request.say)
        if resumed and _hash_of(part) != pin:
            # An earlier call may have used another server, or the file may have changed since.
            request.say("what was left of an earlier download does not fit: starting again")
            part.unlink()
            download(request.url, part, size, request.say)
    except Unreachable as error:
        raise UserError(
            f"{request.set.name} ({request.set.size}) cannot be downloaded from {public(request.url)} ({error}): try "
            "again, "
            f"or give data.archive=ZIP, data.url=MIRROR (http:// will do, its sha256 is checked) or data.root=DIR with "
            f"the folders {' '.join(FOLDERS)} (gan-style download: --archive, --url, --root)"
        ) from error
    return part


def _mismatch(request: _Request, source: str, found: str, size: int, pin: str) -> UserError:
    known = f" and {request.set.size_bytes} bytes" if request.set.size_bytes and pin == request.set.sha256 else ""
    deleted = "" if request.archive else ", and was deleted"
    return UserError(
        f"{source} has sha256 {found} and {size} bytes, but {pin}{known} was expected: it is damaged or has changed"
        f"{deleted}; if you trust it, `{_command(request)} --sha256 {found}` (train: data.sha256={found}) takes and "
        "records it"
    )


def _command(request: _Request) -> str:
    """Return the command that repeats the request."""
    arguments = ["gan-style", "download", request.set.name]
    arguments += ["--root", str(request.root)] if request.root != Path("data") / request.set.name else []
    arguments += ["--url", public(request.url)] if request.url != request.set.url and not request.archive else []
    arguments += ["--archive", str(request.archive)] if request.archive else []
    return shlex.join(arguments)


def _check_counts(request: _Request, source: str, counts: dict[str, int]) -> None:
    name, expected = request.set.name, request.set.counts
    if missing := [folder for folder in request.set.folders if not counts[folder]]:
        raise UserError(f"{source} has no picture in {' and '.join(missing)}: it is no zip of {name}; get another")
    if not expected or counts == expected:
        return
    differ = f"{source} holds {listed(counts)} pictures, but {name} has {listed(expected)}"
    if not request.sha256:
        raise UserError(f"{differ}: if you trust it, data.sha256={request.set.sha256} (--sha256) takes it as it is")
    request.say(f"{differ}: taken, as its sha256 was given")


def _leftovers(request: _Request) -> bool:
    """Check for files of a process that was killed between moving the set and removing its zip."""
    here = any(request.beside(suffix).exists() for suffix in (".zip.part", ".unpacking"))
    return here and os.access(request.target.parent, os.W_OK)


def _tidy(request: _Request) -> None:
    request.beside(".zip.part").unlink(missing_ok=True)
    if request.beside(".unpacking").exists():
        shutil.rmtree(request.beside(".unpacking"))


def _checked(sha256: str | None) -> str | None:
    if sha256 is None:
        return None
    if not re.fullmatch("[0-9a-fA-F]{64}", str(sha256)):
        raise UserError(f"data.sha256={sha256} is no sha256: give its 64 hexadecimal digits, as sha256sum prints them")
    return sha256.lower()


def _hash(file: Any) -> str:
    return hashlib.file_digest(file, "sha256").hexdigest()


def _hash_of(path: Path) -> str:
    with open(path, "rb") as file:
        return _hash(file)
