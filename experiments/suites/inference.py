"""Pictures per second of `gan-style translate` against the official test path; size=256 count=8 options="--batch 2".

Both sides read, translate and write the same files with the same weights; the official side is written out plainly:
a picture at a time, plain layers, `tensor2im`, Pillow's PNG. The quality is the PSNR of our bytes against those of the
plain network, rounded; `tensor2im` cuts off instead, which alone is 51 dB.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from suites.common import Step, alternate, report
from suites.memory import MODELS, write_checkpoint

from gan_style.cli import translate
from gan_style.cli.arguments import style_options
from gan_style.cli.main import parser_of_verbs
from gan_style.data.images import read_image, to_tensor, to_uint8
from gan_style.data.ledger import Ledger
from gan_style.inference.files import inputs_and_outputs
from gan_style.inference.load import load


def run(words: dict[str, str]) -> dict[str, Any]:
    size, count, rounds = (int(words.pop(k, d)) for k, d in (("size", "256"), ("count", "8"), ("rounds", "5")))
    name, options = words.pop("model", "resnet9"), words.pop("options", "").split()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_checkpoint(root / "model.ckpt", MODELS[name] + [f"{key}={value}" for key, value in words.items()])
        write_photos(root / "in", count, size)
        network = plain_layers(load(root / "model.ckpt", device="cpu").model.G_AB)
        official = official_path(root, network)
        ours = {"gan-style translate": our_path(root, "ours", [])}
        if options:
            ours |= {" ".join(options): our_path(root, "with_options", options)}
        times = alternate({"official": official, **ours}, rounds)
        result = report(f"{name}, {count} pictures of {size} px", times, against="official")
        for name, side in zip(ours, ("ours", "with_options"), strict=False):
            result["rows"][name]["psnr_db"] = round(psnr(network, root / "in", root / side), 1)
            print(f"  {name:24} {result['rows'][name]['psnr_db']:6} dB against the plain network")
    return result


def write_photos(folder: Path, count: int, size: int) -> None:
    """Drawn photos as PNGs, so that both sides write PNGs."""
    from gan_style.data.scenes import draw_scene

    folder.mkdir()
    for i in range(count):
        Image.fromarray(draw_scene(0, i, size, "A")).save(folder / f"{i}.png")


def official_path(root: Path, network: torch.nn.Module) -> Step:
    """What the official test script does with each picture."""
    (root / "official").mkdir()

    def tensor2im(image: torch.Tensor) -> Any:
        array = image[0].cpu().float().numpy()
        return ((np.transpose(array, (1, 2, 0)) + 1) / 2.0 * 255.0).astype(np.uint8)

    def step() -> None:
        for path in sorted((root / "in").iterdir()):
            array = np.asarray(Image.open(path).convert("RGB"), np.float32) / 255
            image = (torch.from_numpy(array).permute(2, 0, 1)[None].contiguous() - 0.5) / 0.5
            with torch.no_grad():
                made = network(image)
            Image.fromarray(tensor2im(made)).save(root / "official" / f"{path.stem}.png")

    return step


def plain_layers(network: torch.nn.Module) -> torch.nn.Module:
    """The same weights with torch's own instance norm, as the official code has it."""
    for module in network.modules():
        for name, child in module.named_children():
            if isinstance(child, torch.nn.InstanceNorm2d):
                setattr(module, name, torch.nn.InstanceNorm2d(child.num_features))
    return network


def our_path(root: Path, side: str, options: list[str]) -> Step:
    """The verb, but for loading the model, which is done once on either side."""
    words = ["translate", str(root / "model.ckpt"), str(root / "in"), str(root / side), *options]
    parsed = parser_of_verbs().parse_args(words)
    translator = load(
        root / "model.ckpt",
        device="cpu",
        precision=parsed.precision,
        channels_last=parsed.channels_last,
        compile=parsed.compile,
    )
    pairs = inputs_and_outputs(root / "in", root / side, Ledger())
    chosen = style_options(parsed.style, parsed.alpha, parsed.preserve_color, parsed.mask, parsed.size, parsed.wrap)
    chosen |= translate.tile_options(parsed.tile, parsed.tile_mode)
    return lambda: raise_for(translate.translate_files(translator, pairs, parsed.direction, parsed.batch, **chosen))


def raise_for(unread: list[str]) -> None:
    if unread:
        raise SystemExit(unread[0])


@torch.no_grad()
def psnr(network: torch.nn.Module, sources: Path, made: Path) -> float:
    """Of all bytes of a folder against those of the plain network, in dB of 255."""
    squares = []
    for path in sorted(sources.iterdir()):
        exact = to_uint8(network(to_tensor(read_image(path))[None]))[0]
        squares.append(np.square(read_image(made / path.name).astype(float) - exact).mean())
    return float(10 * np.log10(255**2 / max(float(np.mean(squares)), 1e-12)))
