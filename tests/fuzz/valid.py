"""Valid inputs of each target: what a fuzzer begins from. The first byte chooses the suffix (see `targets.feed`)."""

from __future__ import annotations

import csv
import io
import json
import tarfile
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import tifffile
import torch
from PIL import Image

from tests.conftest import small_config
from tests.data.image_files import encode, encode_wide
from tests.data.named.tiny_set import zipped
from tests.fuzz import targets
from tests.inference.video.clips import clip

SMALL = np.arange(6 * 5 * 4, dtype=np.uint8).reshape(6, 5, 4) * 2


def _chosen(suffix: str, data: bytes) -> bytes:
    return bytes([targets.FORMATS.index(suffix)]) + data


def _tiff(array: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, **options)
    return buffer.getvalue()


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def dicom() -> bytes:
    """A grey picture of 12 bits."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    dataset, meta = Dataset(), FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPInstanceUID = ExplicitVRLittleEndian, generate_uid(entropy_srcs=["x"])
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    dataset.file_meta = meta
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = 6, 5, 1
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.PixelData = np.arange(30, dtype="<u2").tobytes()
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def picture() -> list[bytes]:
    rgb, grey = Image.fromarray(SMALL[..., :3]), Image.fromarray(SMALL[..., 0])
    palette = grey.convert("P")
    wide = encode_wide(SMALL[..., :3].astype(np.uint16) * 257, ".png")
    return [
        *(_chosen(".png", encode(one, "PNG")) for one in (rgb, palette, Image.fromarray(SMALL))),
        _chosen(".png", wide),
        *(_chosen(".jpg", encode(one, "JPEG")) for one in (rgb, rgb.convert("CMYK"))),
        _chosen(".jpg", encode(rgb, "JPEG", progressive=True, exif=b"Exif\0\0II*\0\x08\0\0\0\0\0")),
        *(_chosen(".webp", encode(rgb, "WEBP", lossless=lossless)) for lossless in (True, False)),
        *(_chosen(".bmp", encode(one, "BMP")) for one in (rgb, palette)),
        *(_chosen(".tif", encode(rgb, "TIFF", compression=kind)) for kind in (None, "tiff_lzw", "tiff_deflate")),
        _chosen(".tif", _tiff(np.ones((6, 5), np.float32))),
        _chosen(".tif", _tiff(np.ones((6, 5, 5), np.uint16), photometric="minisblack", planarconfig="contig")),
        *(_chosen(".npy", _npy(one)) for one in (SMALL, np.ones((3, 4), np.float32), np.ones((3, 4), ">u2"))),
        _chosen(".dcm", dicom()),
    ]


def reader() -> list[bytes]:
    """Pictures for the eye, without the byte that chooses a suffix; more formats than `picture` has."""
    rgb = Image.fromarray(SMALL[..., :3])
    more = [encode(rgb, kind) for kind in ("GIF", "AVIF", "JPEG2000")]
    moving = encode(rgb, "WEBP", save_all=True, append_images=[rgb.rotate(180)], duration=40)
    return [*(one[1:] for one in picture() if one[0] < 5), *more, moving]


def mask() -> list[bytes]:
    return [one for one in picture() if one[0] < 5]


def checkpoint() -> list[bytes]:
    from gan_style.checkpoints import safetensors

    content = targets._content()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.safetensors"
        safetensors.write(content["state_dict"], safetensors.described(content, averaged=False), path)
        tensors = path.read_bytes()
    old = targets.saved_bytes(content, _use_new_zipfile_serialization=False)
    return [b"\0" + targets.saved_bytes(content), b"\0" + old, b"\1" + tensors]


def structure() -> list[bytes]:
    return [b"", b"\1\0\0", b"\4\1\14\2\7\4"]


def official() -> list[bytes]:
    state = targets._official()
    old = targets.saved_bytes(state, _use_new_zipfile_serialization=False)
    newer = targets.saved_bytes(state, pickle_protocol=4)
    return [b"\0" + targets.saved_bytes(state), b"\0" + old, b"\0" + newer]


def official_names() -> list[bytes]:
    return [b"", b"\1\0\0", b"\4\0\14\2\0\4"]


def archive() -> list[bytes]:
    png = encode(Image.fromarray(SMALL), "PNG")
    folders = {f"set/{folder}/{i}.png": png for folder in ("trainA", "trainB", "testA", "testB") for i in range(2)}
    return [zipped(folders), zipped(folders, method=8), zipped({"../x.png": png})]


def listing() -> list[bytes]:
    with io.StringIO() as text:
        csv.writer(text).writerows([["path", "note"], ["given.csv", "a, b"], ["../inside/x.png", ""]])
        table = text.getvalue().encode()
    return [b"\0" + table, b"\1a.png\n# b\n../c.png\n", b"\0path\nx.png\n"]


def shard() -> list[bytes]:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in ("a.png", "b.jpg", "c.txt"):
            data = encode(Image.fromarray(SMALL[..., :3]), "JPEG" if name == "b.jpg" else "PNG")
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return [buffer.getvalue()]


@cache
def video() -> tuple[bytes, ...]:
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for number, suffix in enumerate((".mp4", ".mkv", ".avi")):
            sound = None if suffix == ".avi" else "aac"
            codec = "mpeg4" if suffix == ".avi" else "libx264"
            path = clip(Path(folder) / f"a{suffix}", frames=4, size=(32, 16), sound=sound, codec=codec)
            found.append(bytes([number]) + path.read_bytes())
    return tuple(found)


FOUND = b'{"code": "collapse", "iteration": 3, "severity": "critical", "symptom": "x", "cause": "y"}\n'


def run_folder() -> list[bytes]:
    metrics = b"iteration,train/G,lr/G\n1,0.5,0.1\n2,nan,0.1\n"
    scores = b'{"scores": {"A2B": {"psnr": {"value": 1}}}, "baselines": {}}'
    return [b"\0".join((metrics, scores, b'{"iterations": 3}', b"name: x\nmodel:\n  _target_: a.b\n", FOUND))]


def overrides() -> list[bytes]:
    return [b"data.image_size=16", b"model.generator.filters=x", b"+a.b=[1,{c: 2}]", b"~model.generator", b"model=null"]


def zero_tensor() -> torch.Tensor:
    """A tensor that claims much and holds nothing: storage of one number, strides of zero."""
    return torch.zeros(1).expand(2**40)


def config() -> list[bytes]:
    """The model of a checkpoint of ours, and what hostile ones put there."""
    model = small_config("model=cut")["model"]
    create = "${oc.create:{_target_: os.makedirs, name: x}}"
    nodes = [
        model,
        model | {"gan_mode": create},
        {**model, "generator": {**model["generator"], "norm": "${oc.env:HOME}"}},
    ]
    nodes += [model | {"schedule": {"_target_": target}} for target in ("os.getcwd", "torch.optim.Adam")]
    return [json.dumps(node).encode() for node in nodes]
