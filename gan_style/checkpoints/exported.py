"""Descriptions inside files that `gan-style export` wrote: only these texts are read.

No graph is built and no tensor is read, so that nothing of a file from a stranger runs or takes memory.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from io import SEEK_CUR, BytesIO
from pathlib import Path
from typing import IO, Any

from gan_style.core.errors import UserError
from gan_style.core.paths import absent

GRAPHS = {".onnx": "ONNX", ".pt2": "a program of torch.export"}
TEXT = "gan_style.json"  # of a zip, in its folder or one below
LONGEST = 64_000_000  # bytes of a text: the codes of a thousand styles have some millions
# Of ONNX's protobuf: fields of a ModelProto and of its entries, and how a value is written.
IR, OPSETS, PROPERTIES, KEY, VALUE, DOMAIN, VERSION = 1, 8, 14, 1, 2, 1, 2
NUMBER, EIGHT, BYTES, FOUR = 0, 1, 2, 5
# The first release of onnxruntime that opens a graph of an opset, and of an IR version: measured with 1.7 to 1.23, each
# given a graph of one operator in every version (docs/export.md).
OPSET_RUNTIMES = {
    **{13: "1.7", 14: "1.8", 15: "1.9", 16: "1.11", 17: "1.12", 18: "1.14"},
    **{19: "1.15", 20: "1.17", 21: "1.18", 22: "1.21", 23: "1.23"},
}
IR_RUNTIMES = {7: "1.7", 8: "1.9", 9: "1.15", 10: "1.18", 11: "1.23"}


def about(path: Path) -> dict[str, Any]:
    """Return the description in a `.onnx` or `.pt2`; of an ONNX with its `ir` version and `opset`.

    Raises:
        UserError: the file cannot be read, or was not written by `gan-style export`.
    """
    if not path.is_file():
        raise UserError(f"there is no file {absent(path)}")
    try:
        found = _of_onnx(path) if path.suffix.lower() == ".onnx" else of_zip(path)
    except (ValueError, RecursionError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise UserError(f"{path} is damaged, or a file of another program: copy it again or name another") from error
    if "gan_style" not in found:
        raise UserError(f"{path} was not written by gan-style export: it does not say of what model it is")
    return found


def form_of_onnx(description: Mapping[str, Any]) -> str:
    """Say in which versions of ONNX a graph is written, and what the oldest onnxruntime is that reads it.

    Args:
        description: as `about` returns it.
    """
    ir, opset = description["ir"], description["opset"]
    runtimes = [table.get(version) for table, version in ((OPSET_RUNTIMES, opset), (IR_RUNTIMES, ir))]
    known = [tuple(int(part) for part in one.split(".")) for one in runtimes if one]
    oldest = f", for onnxruntime {'.'.join(map(str, max(known)))} and newer" if len(known) == len(runtimes) else ""
    return f"ONNX, IR {ir}, opset {opset}{oldest}"


def of_zip(path: Path) -> dict[str, Any]:
    """Return the description beside what torch keeps in a zip; empty where there is none.

    Raises:
        ValueError, zipfile.BadZipFile: the zip is damaged or its text is none.
    """
    with zipfile.ZipFile(path) as archive:
        part = next((part for part in archive.infolist() if part.filename.rpartition("/")[2] == TEXT), None)
        if part is None:
            return {}
        if max(part.file_size, part.compress_size) > LONGEST:
            raise ValueError("its text is too long")
        with archive.open(part) as file:
            found = json.loads(file.read(LONGEST))
    return found if isinstance(found, dict) else {}


def put_into_zip(path: Path, description: dict[str, Any]) -> None:
    """Add a description to what torch.save wrote, which torch.load passes over."""
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(f"{archive.namelist()[0].partition('/')[0]}/{TEXT}", json.dumps(description))


def _of_onnx(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = {"ir": None, "opset": None}
    with open(path, "rb") as file:
        for field, value in _fields(file, path.stat().st_size, (IR, OPSETS, PROPERTIES)):
            if field == IR:
                found["ir"] = value
                continue
            if not isinstance(value, bytes):
                raise ValueError("it is no ONNX")
            entry = dict(_fields(BytesIO(value), len(value), (KEY, VALUE)))
            if field == OPSETS and not entry.get(DOMAIN):
                found["opset"] = entry.get(VERSION)
            elif field == PROPERTIES:
                found[entry.get(KEY, b"").decode()] = json.loads(entry.get(VALUE, b"null"))
    return found


def _fields(file: IO[bytes], length: int, wanted: tuple[int, ...]) -> Iterator[tuple[int, Any]]:
    """Yield number and value of the wanted fields of a message of so many bytes; the others are passed over unread."""
    end, total = file.tell() + length, 0
    while file.tell() < end:
        field, kind = divmod(_number(file), 8)
        if kind == NUMBER:
            value: Any = _number(file)
        elif kind in (EIGHT, FOUR):
            value = file.read(8 if kind == EIGHT else 4)
        elif kind == BYTES:
            size = _number(file)
            if size > end - file.tell():
                raise ValueError("it ends too early")
            if field not in wanted:
                file.seek(size, SEEK_CUR)
                continue
            total += size
            if total > LONGEST:
                raise ValueError("its texts are too long")
            value = file.read(size)
        else:
            raise ValueError("it is no protobuf")
        if field in wanted:
            yield field, value


def _number(file: IO[bytes]) -> int:
    """Return a variable-length number, at most 64 bits."""
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise ValueError("it ends too early")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise ValueError("it is no protobuf")
