"""Table of published weights that this package reads, and their download; each file complete or not at all.

Digests are those that several sources name for a file, or that the file's own name carries; where none is known, the
table says so, and the digest of what arrived is printed. Nothing here opens a file: whoever does reads tensors alone.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from filelock import FileLock

from gan_style.core.errors import UserError, did_you_mean
from gan_style.core.paths import cannot_use, expanded
from gan_style.core.terminal import say
from gan_style.data.named.transfer import Unreachable, check_url, download, public

EFROS = "https://efrosgans.eecs.berkeley.edu"
ADAIN = "https://github.com/naoto0804/pytorch-AdaIN/releases/download/v0.0.0"
MICROAST = "https://github.com/EndyWon/MicroAST/raw/d2796c7dbf01dbc29ed35b11675d87fcc640f969/models"
TORCH = "https://download.pytorch.org/models"
FIDELITY = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0"

BSD = "the code is BSD; no licence of the weights is known"
IMAGENET = "the code is BSD; trained on ImageNet, whose pictures are for research"


@dataclass(frozen=True)
class WeightsFile:
    """Published file.

    Attributes:
        url: its address.
        sha256: its digest, or the first digits of it that its name carries; None where none is known.
        size_bytes: None where it is not known.
        parameters: numbers of 32 bits in it, which are nearly all of a file whose size is not known.
    """

    url: str
    sha256: str | None = None
    size_bytes: int | None = None
    parameters: int | None = None

    @property
    def name(self) -> str:
        return PurePosixPath(urlsplit(self.url).path).name


@dataclass(frozen=True)
class NamedWeights:
    """Published weights with a name.

    Attributes:
        name: as in `gan-style weights NAME`.
        about: what they do.
        files: one or more.
        licence: what is known of it.
        use: commands for what was fetched; {root} is its folder.
        cached: whether they belong in torch hub's cache, where every command finds them by itself.
    """

    name: str
    about: str
    files: tuple[WeightsFile, ...]
    licence: str
    use: tuple[str, ...] = ()
    cached: bool = False

    @property
    def size(self) -> str:
        """Size for messages; ~ where it follows from the number of parameters."""
        sizes = [file.size_bytes or 4 * (file.parameters or 0) for file in self.files]
        about = "" if all(file.size_bytes for file in self.files) else "~"
        return f"{about}{sum(sizes) / 1e6:.0f} MB" if all(sizes) else "?"

    @property
    def digest(self) -> str:
        """Return what a download is checked against, for messages."""
        if len(self.files) > 1 and all(file.sha256 for file in self.files):
            return f"of all {len(self.files)}"
        return (self.files[0].sha256 or "none known")[:12]


def _cyclegan(name: str, about: str) -> NamedWeights:
    """Build the entry of one of the generators that the CycleGAN code publishes."""
    file = WeightsFile(f"{EFROS}/cyclegan/pretrained_models/{name}.pth", parameters=11_378_179)
    use = (f"gan-style import {{root}}/{name}.pth {name}.ckpt",)
    return NamedWeights(f"cyclegan-{name}", about, (file,), BSD, use)


_TABLE = (
    _cyclegan("apple2orange", "apples to oranges"),
    _cyclegan("orange2apple", "oranges to apples"),
    _cyclegan("summer2winter_yosemite", "summer to winter"),
    _cyclegan("winter2summer_yosemite", "winter to summer"),
    _cyclegan("horse2zebra", "horses to zebras"),
    _cyclegan("zebra2horse", "zebras to horses"),
    _cyclegan("monet2photo", "Monet to photos"),
    _cyclegan("style_monet", "photos to Monet"),
    _cyclegan("style_cezanne", "photos to Cezanne"),
    _cyclegan("style_ukiyoe", "photos to Ukiyo-e"),
    _cyclegan("style_vangogh", "photos to van Gogh"),
    _cyclegan("sat2map", "aerial photos to maps"),
    _cyclegan("map2sat", "maps to aerial photos"),
    _cyclegan("cityscapes_photo2label", "streets to labels"),
    _cyclegan("cityscapes_label2photo", "labels to streets"),
    _cyclegan("facades_photo2label", "facades to labels"),
    _cyclegan("facades_label2photo", "labels to facades"),
    _cyclegan("iphone2dslr_flower", "flowers by a phone to flowers by a camera"),
    NamedWeights(
        "cut",
        "horses to zebras, cats to dogs and labels to streets by CUT and FastCUT, six generators",
        (WeightsFile(f"{EFROS}/CUT/pretrained_models.tar"),),
        BSD,
        (
            "tar -xf {root}/pretrained_models.tar",
            "gan-style import checkpoints/horse2zebra_cut_pretrained/latest_net_G.pth horse2zebra.ckpt",
        ),
    ),
    NamedWeights(
        "adain",
        "any picture as a style: AdaIN's decoder and the VGG-19 that it inverts",
        (
            WeightsFile(
                f"{ADAIN}/decoder.pth",
                "379ca41d59f3a37eed3599bbbc2560c19da5c458870a5ffd3a9dd41aa88f9472",
                parameters=3_505_219,
            ),
            WeightsFile(
                f"{ADAIN}/vgg_normalised.pth",
                "804ca2835ecf7539f0cd2a7ac3c18ce81e6f8468969ae7117ac0c148d286bb4a",
                80_102_481,
            ),
        ),
        "MIT",
        ("gan-style import {root} adain.ckpt", "export GAN_STYLE_VGG={root}/vgg_normalised.pth"),
    ),
    NamedWeights(
        "microast",
        "any picture as a style, at very large sizes: MicroAST's four networks",
        tuple(
            WeightsFile(f"{MICROAST}/{part}_iter_160000.pth.tar", sha256, size)
            for part, sha256, size in (
                ("content_encoder", "c8d895c0eec52507c157e102fab217c37f0c399ef3e168ef8b0b2677714660a4", 634_983),
                ("style_encoder", "94f6b3fa386828692c20809a0af8bd0eba9c04e90a7d8842086976e4d223c5af", 634_983),
                ("modulator", "8588055baf7d5ad8398d595d5518c6f030e3ff8dbb6007a7c1779776e11da28b", 12_158),
                ("decoder", "32e04a46b953fd9f94ec9e20f351511305a5260e000c18f9aef6570d5f1e23d9", 619_135),
            )
        ),
        "MIT",
        ("gan-style import {root} microast.ckpt",),
    ),
    NamedWeights(
        "vgg19",
        "features of styles and contents (AdaIN, Gatys, perceptual losses)",
        (WeightsFile(f"{TORCH}/vgg19-dcbb9e9d.pth", "dcbb9e9d", parameters=143_667_240),),
        IMAGENET,
        cached=True,
    ),
    NamedWeights(
        "vgg16",
        "the same, smaller; LPIPS",
        (WeightsFile(f"{TORCH}/vgg16-397923af.pth", "397923af", parameters=138_357_544),),
        IMAGENET,
        cached=True,
    ),
    NamedWeights(
        "squeezenet",
        "features of scores, --extractor squeezenet",
        (WeightsFile(f"{TORCH}/squeezenet1_1-b8a52dc0.pth", "b8a52dc0", parameters=1_235_496),),
        IMAGENET,
        cached=True,
    ),
    NamedWeights(
        "inception",
        "features of scores, --extractor inception: those of FID and KID in papers",
        (
            WeightsFile(
                f"{FIDELITY}/weights-inception-2015-12-05-6726825d.pth",
                "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
                95_628_359,
            ),
        ),
        "Apache-2.0",
        cached=True,
    ),
)
NAMED_WEIGHTS: Mapping[str, NamedWeights] = {entry.name: entry for entry in _TABLE}


def named_weights(name: str) -> NamedWeights:
    """Look up weights by their name.

    Raises:
        UserError: there are none; suggests the nearest name.
    """
    if name not in NAMED_WEIGHTS:
        raise UserError(f"{name} are no named weights{did_you_mean(name, NAMED_WEIGHTS)}")
    return NAMED_WEIGHTS[name]


def folder_of(entry: NamedWeights) -> Path:
    """Return the folder where weights are put unless another is named."""
    if not entry.cached:
        return Path("weights") / entry.name
    import torch

    return Path(torch.hub.get_dir()) / "checkpoints"


def fetch_weights(
    name: str,
    root: str | Path | None = None,
    *,
    url: str | None = None,
    sha256: str | None = None,
    say: Callable[[str], None] = say,
) -> list[Path]:
    """Make sure that a folder holds published weights.

    A file that is there already is used where its digest is right, or where none is known, without network.

    Args:
        name: of `NAMED_WEIGHTS`.
        root: the folder; None takes torch hub's cache for what belongs there, else weights/NAME.
        url: a mirror: of the file, or of the folder that holds several.
        sha256: of a single file, where it is not the one of the table.
        say: prints a line for the user.

    Returns: the files.

    Raises:
        UserError: says what is wrong and what to do; nothing half-finished is left under a file's name.
    """
    entry = named_weights(name)
    if sha256 is not None and (len(entry.files) > 1 or not re.fullmatch("[0-9a-fA-F]{64}", sha256)):
        wanted = "name has several files, each with its own" if len(entry.files) > 1 else "give 64 hexadecimal digits"
        raise UserError(f"--sha256 {sha256} is no digest of {name}: {wanted}")
    folder = expanded(root) if root else folder_of(entry)
    found = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file in entry.files:
            address = file.url if url is None else url if len(entry.files) == 1 else f"{url.rstrip('/')}/{file.name}"
            check_url(address, "--url ")
            pin = sha256.lower() if sha256 else file.sha256
            found.append(_fetched(folder / file.name, address, pin, file.size_bytes, say))
    except OSError as error:
        raise UserError(f"{name} cannot be put into {folder}: {cannot_use(error, str(folder))}") from error
    return found


def _fetched(path: Path, url: str, pin: str | None, size: int | None, say: Callable[[str], None]) -> Path:
    """Return the path of a file, downloaded beside it first where it is not there."""
    part = path.with_name(f".{path.name}.part")
    with FileLock(path.with_name(f".{path.name}.lock")):
        if path.is_file():
            _check(path, pin, f"{path} is another file: remove it, or name another folder with --root DIR")
            say(f"{path} is there")
            return path
        say(f"downloading {path.name} from {public(url)}")
        try:
            resumed = part.exists()
            download(url, part, size, say)
            if resumed and pin and not _sha256(part).startswith(pin):
                say("what was left of an earlier download does not fit: starting again")
                part.unlink()
                download(url, part, size, say)
        except Unreachable as error:
            raise UserError(
                f"{path.name} cannot be downloaded from {public(url)} ({error}): try again, give a mirror with "
                f"--url, or put the file there yourself as {path}"
            ) from error
        try:
            digest = _check(part, pin, f"{public(url)} has changed or is damaged, and was deleted; --sha256 takes it")
        except UserError:
            part.unlink()
            raise
        os.replace(part, path)
    known = "as it should be" if pin else "which nobody has published, so that nothing was checked but its length"
    say(f"{path}: {path.stat().st_size} bytes, sha256 {digest}, {known}")
    return path


def _check(path: Path, pin: str | None, otherwise: str) -> str:
    """Return the digest of a file, which must begin with `pin`.

    Raises:
        UserError: it does not.
    """
    digest = _sha256(path)
    if pin and not digest.startswith(pin):
        raise UserError(f"sha256 is {digest}, and should be {pin}: {otherwise}")
    return digest


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
