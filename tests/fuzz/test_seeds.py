"""Inputs that once broke a reader, and headers that claim what no memory holds: each is answered by a sentence."""

from __future__ import annotations

import io
import resource
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from gan_style.core import budget, torch_files
from gan_style.core.errors import UserError
from gan_style.data.files import read_raw
from gan_style.data.opened import named_bytes
from gan_style.data.shards import Shard, open_shard, read_index, scan, write_index
from gan_style.inference.load import load
from tests.data.image_files import png
from tests.fuzz import targets, valid
from tests.small_models import saved

SIDE = 50_000
KNOWN = sorted(path.name for path in targets.SEEDS.glob("*.bin"))


@pytest.mark.parametrize("name", KNOWN)
def test_what_once_broke_a_reader_is_a_sentence_or_is_read(name: str) -> None:
    targets.feed(name.split("-")[0], (targets.SEEDS / name).read_bytes())


@pytest.mark.parametrize("name", targets.TARGETS)
def test_valid_inputs_are_fed(name: str) -> None:
    """Else nothing behind the first check is ever reached."""
    said = [targets.feed(name, data) for data in targets.examples(name)]
    if name not in ("mask", "listing"):  # whose files name others
        assert "" in said


@contextmanager
def little_memory(more: int = 400_000_000) -> Iterator[None]:
    """Inside, this process gets at most so many bytes more than it has."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + more, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def large_png() -> bytes:
    data = bytearray(png(np.zeros((1, 1, 3)), 2, 8))
    data[16:24] = struct.pack(">II", SIDE, SIDE)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


def large_tiff(dtype: type, samples: int = 1) -> bytes:
    """A valid file whose width and height were changed, of a kind that Pillow or tifffile reads."""
    buffer = io.BytesIO()
    more = {"photometric": "minisblack", "planarconfig": "contig"} if samples > 1 else {}
    zeros = np.zeros((7, 9) + (samples,) * (samples > 1), dtype)
    tifffile.imwrite(buffer, zeros, compression="zlib", metadata=None, **more)
    data = buffer.getvalue()
    for tag, old in ((256, 9), (257, 7), (278, 7)):
        for kind, form in ((3, "<HHIHH"), (4, "<HHII")):
            entry = struct.pack(form, tag, kind, 1, old, *([0] if kind == 3 else []))
            data = data.replace(entry, struct.pack("<HHII", tag, 4, 1, SIDE))
    return data


def large_npy() -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": (SIDE, SIDE, 3)})
    return buffer.getvalue() + bytes(100)


def large_webp() -> bytes:
    """Its header has 14 bits for a side."""
    return b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8L" + struct.pack("<I", 10) + b"\x2f" + b"\xff" * 4 + bytes(5)


LARGE = {
    "a.png": large_png(),
    "grey.tif": large_tiff(np.uint8),
    "float.tif": large_tiff(np.float32),
    "many.tif": large_tiff(np.uint16, samples=5),
    "a.npy": large_npy(),
    "a.dcm": valid.dicom()
    .replace(b"\x28\x00\x10\x00US\x02\x00\x06\x00", b"\x28\x00\x10\x00US\x02\x00\x50\xc3")
    .replace(b"\x28\x00\x11\x00US\x02\x00\x05\x00", b"\x28\x00\x11\x00US\x02\x00\x50\xc3"),
}


def raw(name: str, data: bytes) -> np.ndarray:
    with named_bytes(Path(name), data):
        return read_raw(data).array


@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="only Linux bounds the memory of a process")
@pytest.mark.parametrize("name", LARGE)
def test_a_header_that_claims_gigabytes_is_refused_before_memory_is_taken(name: str) -> None:
    with little_memory(), pytest.raises(UserError, match=f"{name} claims more than 178 million pixels: make it small"):
        raw(name, LARGE[name])


def test_a_webp_of_the_largest_size_is_refused() -> None:
    with little_memory(), pytest.raises(UserError, match=r"a\.webp "):
        raw("a.webp", large_webp())


def animated_webp(side: int) -> bytes:
    """A canvas of this side, on which a small picture lies: its reader makes two of the canvas at once."""
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "WEBP", lossless=True)
    three = struct.pack("<I", side - 1)[:3]
    frame = bytes(6) + b"\7\0\0" * 2 + b"\x64\0\0\0" + buffer.getvalue()[12:]
    parts = {b"VP8X": b"\2\0\0\0" + three * 2, b"ANIM": bytes(6), b"ANMF": frame}
    body = b"WEBP" + b"".join(name + struct.pack("<I", len(part)) + part for name, part in parts.items())
    return b"RIFF" + struct.pack("<I", len(body)) + body


def test_a_canvas_is_measured_before_it_is_made() -> None:
    assert raw("a.webp", animated_webp(8)).shape == (8, 8, 3)
    with little_memory(), pytest.raises(UserError, match=r"a\.webp claims more than 178 million pixels"):
        raw("a.webp", animated_webp(60_000))


def packed_tiff(size: int) -> bytes:
    """A float picture of 10 x 10 in one strip that unpacks to `size` bytes of zeros."""
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.zeros((10, 10), np.float32), compression="zlib", metadata=None)
    data = bytearray(buffer.getvalue())
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as file:
        places = {code: file.pages[0].tags[code].offset for code in (273, 279)}
    strip = deflated(size)
    for code, value in ((273, len(data)), (279, len(strip))):
        struct.pack_into("<HII", data, places[code] + 2, 4, 1, value)
    return bytes(data) + strip


def deflated(size: int) -> bytes:
    packer, block = zlib.compressobj(9), bytes(min(size, 10**7))
    return b"".join([*(packer.compress(block) for _ in range(size // len(block))), packer.flush()])


def packed_dicom(size: int) -> bytes:
    """A DICOM file that is packed as a whole, with an element of `size` bytes of zeros before its picture."""
    from pydicom import dcmread
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    dataset = dcmread(io.BytesIO(valid.dicom()))
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.add_new(0x00091001, "OB", bytes(size))
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="only Linux bounds the memory of a process")
@pytest.mark.parametrize(("name", "make", "size"), [("a.tif", packed_tiff, 10**9), ("a.dcm", packed_dicom, 5 * 10**8)])
def test_what_unpacks_to_gigabytes_is_refused(name: str, make: Callable[[int], bytes], size: int) -> None:
    assert raw(name, make(400)).size in (100, 30)
    data = make(size)
    assert len(data) < 2_000_000
    with little_memory(200_000_000), pytest.raises(UserError, match=rf"{name} is a damaged .* unpacks to "):
        raw(name, data)


def test_a_checkpoint_with_packed_parts_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    whole = zipfile.ZipFile(io.BytesIO(targets.saved_bytes({"a": torch.zeros(100)})))
    with whole, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for part in whole.namelist():
            packed.writestr(part, whole.read(part))
    with pytest.raises(UserError, match=r"a\.ckpt is not a checkpoint: its parts are packed"):
        torch_files.read(path, "a checkpoint")


@pytest.mark.parametrize("meta", [False, True])
def test_weights_that_are_there_once_do_not_count_a_million_times(tmp_path: Path, meta: bool) -> None:
    path = saved(tmp_path / "a.ckpt", "model=cut")
    content = torch.load(path, weights_only=True)
    content["config"]["model"]["generator"]["filters"] = 20_000
    empty = torch.empty(10**12, device="meta") if meta else torch.zeros(1).expand(10**12)
    content["state_dict"]["G_AB.large"] = empty
    torch.save(content, path)
    with little_memory(3 * 10**9), pytest.raises(UserError, match="asks for a far larger network than its weights"):
        load(path, device="cpu")


def test_an_index_that_points_out_of_its_shard_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "trainA-000000.tar"
    with tarfile.open(path, "w") as tar:
        member, data = tarfile.TarInfo("000000.png"), png(np.zeros((4, 4, 3)), 2, 8)
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))
    for offset, size in ((512, 10**12), (-1, 10), (512, -1)):
        whole = scan(path)
        write_index(Shard(path, whole.names, np.array([[offset, size, 4, 4]])))
        assert read_index(path) is None
        assert open_shard(path).entries.tolist() == whole.entries.tolist()


def test_the_budget_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    small = png(np.zeros((4, 4, 3)), 2, 8)
    monkeypatch.setenv(budget.SETTING, "16")
    assert raw("a.png", small).shape == (4, 4, 3)
    monkeypatch.setenv(budget.SETTING, "15")
    with pytest.raises(UserError, match=r"claims more than 15 pixels: .* raise GAN_STYLE_MAX_PIXELS in the environm"):
        raw("a.png", small)
    for wrong in ("", "0", "-1", "1e9", "many"):
        monkeypatch.setenv(budget.SETTING, wrong)
        with pytest.raises(UserError, match=f"GAN_STYLE_MAX_PIXELS={wrong} in the environment is not valid"):
            raw("a.png", small)


@pytest.mark.parametrize(("key", "value"), [("filters", 100_000), ("blocks", 10**9)])
def test_a_checkpoint_that_asks_for_a_huge_network_is_refused(tmp_path: Path, key: str, value: int) -> None:
    path = saved(tmp_path / "a.ckpt", "model=cut")
    content = torch.load(path, weights_only=True)
    content["config"]["model"]["generator"][key] = value
    torch.save(content, path)
    with pytest.raises(UserError, match=r"a\.ckpt: the checkpoint"):
        load(path, device="cpu")


def test_files_that_torch_cannot_read_are_named_for_what_they_are(tmp_path: Path, recwarn: object) -> None:
    whole = targets.saved_bytes({"a": torch.zeros(300)})
    flipped = bytearray(whole)
    flipped[whole.index(bytes(300)) + 100] ^= 1
    files = {
        "empty": (b"", "it is empty"),
        "text": (b"epoch 3, all is well", "it is text"),
        "cut": (whole[:-30], "it is cut off"),
        "flipped": (bytes(flipped), r"damaged \(.*/data/0 is not what was written"),
        "protocol": (targets.saved_bytes({"a": torch.zeros(1)}, pickle_protocol=4), "pickle of another form"),
        "code": (targets.saved_bytes({"a": Path}), "which could run code when it is read, so it was refused unread"),
        "noise": (bytes(range(256)) * 2, "it is damaged, or a file of another program"),
    }
    for name, (data, reason) in files.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UserError, match=f"{name} is .*{reason}") as caught:
            torch_files.read(tmp_path / name, "a checkpoint")
        assert "weights_only" not in str(caught.value)
        assert "pytorch" not in str(caught.value).lower()
    assert not list(recwarn)  # type: ignore[call-overload]
