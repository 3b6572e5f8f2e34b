"""A named set in its folder: at hand, out of a zip, or from its server; whole or not there at all.

Everything happens beside the folder and is moved there last, in one step, so that a process may be killed at any time:

    .NAME.zip.part     what has arrived of the zip; the next call goes on with it
    .NAME.unpacking    its pictures; thrown away by the next call
    .NAME.lock         held by the process that fetches, others wait for it; stays, empty
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
from gan_style.core.paths import expanded, resolved
from gan_style.core.terminal import say
from gan_style.data.named.folder import MANIFEST, count_pictures, listed, missing_folders, read_manifest
from gan_style.data.named.table import FOLDERS, NamedSet, named_set
from gan_style.data.named.transfer import Unreachable, check_url, download, public
from gan_style.data.named.unpacking import unpack

Say = Callable[[str], None]


@dataclass(frozen=True)
class _Order:
    """What `fetch` was asked for."""

    set: NamedSet
    root: Path
    url: str
    archive: Path | None
    sha256: str | None  # as the user gave it
    say: Say

    @property
    def place(self) -> Path:
        """Where the folder really is: a link must not be replaced by a folder."""
        return resolved(self.root)

    def beside(self, suffix: str) -> Path:
        return self.place.parent / f".{self.set.name}{suffix}"


def fetch(
    name: str,
    root: Path,
    *,
    url: str | None = None,
    archive: str | None = None,
    sha256: str | None = None,
    say: Say = say,
) -> Path:
    """See to it that a folder holds a named set.

    Pictures that are there already are used as they are, without network.

    Args:
        name: of `NAMED_SETS`.
        root: the folder; made where it is missing or empty, otherwise never changed.
        url: a mirror of the zip.
        archive: the zip itself, at hand; nothing is downloaded then.
        sha256: of the zip, where it is not the one of the table.
        say: takes lines for people to read.

    Returns: the folder.

    Raises:
        UserError: names what is wrong and the ways out; no half of a set is left.
    """
    wanted = named_set(name)
    zip_path = expanded(archive) if archive else None
    order = _Order(wanted, expanded(root), url or wanted.url, zip_path, _checked(sha256), say)
    check_url(order.url)
    try:
        if _is_there(order) and not _leftovers(order):
            return order.root
        _check_order(order)
        order.place.parent.mkdir(parents=True, exist_ok=True)
        with _alone(order):
            if not _is_there(order):
                _make(order)
            _tidy(order)
    except OSError as error:
        reason = f"{error.strerror or error}: {error.filename or order.root}"
        raise UserError(
            f"{name} cannot be put into {order.root} ({reason}): mend that, or set data.root=DIR"
        ) from error
    return order.root


def _is_there(order: _Order) -> bool:
    """Whether the set is at hand; says where it is not what the table has.

    Raises:
        UserError: the folder holds something else, which is the user's.
    """
    name, root = order.set.name, order.root
    if root.exists() and not root.is_dir():
        raise UserError(f"data.root={root} is a file: name the folder for {name}")
    if not root.is_dir() or not any(root.iterdir()):
        return False
    manifest = read_manifest(root)
    if manifest.get("name", name) != name:
        raise UserError(f"{root} holds {manifest['name']}, not {name}: name another folder with data.root=DIR")
    if missing := missing_folders(order.set, root):
        found = sorted(path.name for path in root.iterdir())
        below = [path.name for path in sorted(root.iterdir()) if not missing_folders(order.set, path)]
        hint = f"did you mean data.root={root / below[0]}?" if below else ""
        raise UserError(
            f"{root} has no folder {' and '.join(missing)} with pictures; it holds {', '.join(found[:8])}: "
            + (hint or f"remove it, and {name} comes here, or train on it as it is with data=folders data.root={root}")
        )
    recorded = manifest.get("sha256")
    if order.sha256 and recorded and recorded != order.sha256:
        raise UserError(
            f"{root} was made of a zip with sha256 {recorded}, not {order.sha256}: remove the folder to have the other"
        )
    counts = count_pictures(root)
    expected = manifest.get("counts") or order.set.counts
    if expected and counts != expected:
        fetched = "" if order.set.withdrawn else f"; `gan-style download {name} --root DIR` puts {name} elsewhere"
        order.say(
            f"warning: {root} holds {listed(counts)} pictures, but {name} has {listed(expected)}: they are not that "
            f"set as it was published, and are used as they are{fetched}"
        )
    return True


def _check_order(order: _Order) -> None:
    """Raises: UserError: this set cannot be had like that."""
    name = order.set.name
    if order.set.withdrawn:
        raise UserError(f"{name} cannot be downloaded: {order.set.withdrawn} and name their folder with data.root=DIR")
    if not (order.sha256 or order.set.sha256):
        raise UserError(
            f"no sha256 of {name} is known, so that nobody can say whether it arrives whole: download {order.url} "
            f"yourself, look at it, and run `gan-style download {name} --archive ZIP --sha256 HASH` (train: "
            "data.archive=ZIP data.sha256=HASH) with what sha256sum says"
        )
    if order.archive and not order.archive.is_file():
        raise UserError(f"there is no file data.archive={order.archive}: name the zip of {name}")


@contextmanager
def _alone(order: _Order) -> Iterator[None]:
    """Only one process at a time fetches a set into a folder."""
    lock = FileLock(order.beside(".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        order.say(f"another process fetches {order.set.name}: waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _make(order: _Order) -> None:
    """Get the zip, unpack it beside the folder, and move it there."""
    temporary = order.beside(".unpacking")
    if temporary.exists():
        shutil.rmtree(temporary)
    pin = order.sha256 or order.set.sha256 or ""
    archive = order.archive or _downloaded(order, pin)
    source = str(order.archive or public(order.url))
    try:
        with open(archive, "rb") as opened:
            # From one handle: what is unpacked is what was hashed.
            found, size = _hash(opened), opened.tell()
            if found != pin:
                raise _mismatch(order, source, found, size, pin)
            counts = unpack(opened, source, temporary, order.say)
        _check_counts(order, source, counts)
        address = None if order.archive else public(order.url)
        manifest = {"name": order.set.name, "url": address, "sha256": pin, "counts": counts}
        (temporary / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        if hasattr(os, "sync"):
            os.sync()  # one call for thousands of pictures: after a power cut none may be empty
        if os.name == "nt" and order.place.is_dir():
            order.place.rmdir()  # elsewhere a rename takes the place of an empty folder, and of no other
        os.rename(temporary, order.place)
    except (UserError, OSError):
        if not order.archive:
            archive.unlink(missing_ok=True)  # a wrong zip is of no use to the next call
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)  # what could not be removed, the next call removes
    order.say(f"{order.root} holds {order.set.name}: {listed(counts)} pictures; {order.set.about}")
    order.say(f"licence: {order.set.licence}")
    order.say(f"cite: {order.set.citation}")


def _downloaded(order: _Order, pin: str) -> Path:
    """The zip from its server; it may still be the wrong one."""
    part = order.beside(".zip.part")
    resumed = part.exists()
    if resumed and _hash_of(part) == pin:
        return part  # whole: an earlier call was killed while it unpacked
    size = order.set.size_bytes if pin == order.set.sha256 else None
    order.say(f"downloading {order.set.name} ({order.set.size}) from {public(order.url)}")
    try:
        download(order.url, part, size, order.say)
        if resumed and _hash_of(part) != pin:
            # What an earlier call left may be of another server, or of a file that has changed since.
            order.say("what was left of an earlier download does not fit: starting again")
            part.unlink()
            download(order.url, part, size, order.say)
    except Unreachable as error:
        raise UserError(
            f"{order.set.name} ({order.set.size}) cannot be downloaded from {public(order.url)} ({error}): try again, "
            f"or give data.archive=ZIP, data.url=MIRROR (http:// will do, its sha256 is checked) or data.root=DIR with "
            f"the folders {' '.join(FOLDERS)} (gan-style download: --archive, --url, --root)"
        ) from error
    return part


def _mismatch(order: _Order, source: str, found: str, size: int, pin: str) -> UserError:
    known = f" and {order.set.size_bytes} bytes" if order.set.size_bytes and pin == order.set.sha256 else ""
    deleted = "" if order.archive else ", and was deleted"
    return UserError(
        f"{source} has sha256 {found} and {size} bytes, but {pin}{known} was expected: it is damaged or has changed"
        f"{deleted}; if you trust it, `{_again(order)} --sha256 {found}` (train: data.sha256={found}) takes and "
        "records it"
    )


def _again(order: _Order) -> str:
    """The command that asks for the same once more."""
    words = ["gan-style", "download", order.set.name]
    words += ["--root", str(order.root)] if order.root != Path("data") / order.set.name else []
    words += ["--url", public(order.url)] if order.url != order.set.url and not order.archive else []
    words += ["--archive", str(order.archive)] if order.archive else []
    return shlex.join(words)


def _check_counts(order: _Order, source: str, counts: dict[str, int]) -> None:
    name, expected = order.set.name, order.set.counts
    if missing := [folder for folder in order.set.folders if not counts[folder]]:
        raise UserError(f"{source} has no picture in {' and '.join(missing)}: it is no zip of {name}; get another")
    if not expected or counts == expected:
        return
    differ = f"{source} holds {listed(counts)} pictures, but {name} has {listed(expected)}"
    if not order.sha256:
        raise UserError(f"{differ}: if you trust it, data.sha256={order.set.sha256} (--sha256) takes it as it is")
    order.say(f"{differ}: taken, as its sha256 was given")


def _leftovers(order: _Order) -> bool:
    """Whether a process was killed between moving the set to its place and removing its zip."""
    here = any(order.beside(suffix).exists() for suffix in (".zip.part", ".unpacking"))
    return here and os.access(order.place.parent, os.W_OK)


def _tidy(order: _Order) -> None:
    order.beside(".zip.part").unlink(missing_ok=True)
    if order.beside(".unpacking").exists():
        shutil.rmtree(order.beside(".unpacking"))


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
