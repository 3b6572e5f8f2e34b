"""The verbs that make pictures: `gan-style stylize`, `gan-style translate` and `gan-style sheet`."""

from __future__ import annotations

import contextlib
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import Progress

from gan_style.config import ALLOWED, build, compose_model
from gan_style.data.images import SUFFIXES, list_images, to_uint8
from gan_style.data.saving import save_image
from gan_style.errors import UserError
from gan_style.inference import LoadedTranslator
from gan_style.loading import load
from gan_style.models.gatys import Gatys
from gan_style.sheet import draw_sheet

LONGEST_SIDE_OF_GATYS = 512  # in pixels, unless --size says otherwise: its cost grows with every pixel


def stylize(parsed: Namespace) -> None:
    """One content picture in a mix of styles, by an optimisation or by a trained model."""
    content, output = Path(parsed.content).expanduser(), Path(parsed.output).expanduser()
    check_output(output)
    if not parsed.style:
        raise UserError("no style was given: add --style IMAGE")
    torch.manual_seed(parsed.seed)
    translator = translator_of(parsed)
    if parsed.size is None and isinstance(translator.model, Gatys):
        parsed.size = LONGEST_SIDE_OF_GATYS
    with progress_of(translator, output, parsed.every) as options:
        picture = translator.translate(content, **style_options(parsed), **options)
    save(picture, output)


def translate(parsed: Namespace) -> None:
    """A file or a folder through a trained model; names and tree are kept."""
    source, target = Path(parsed.input).expanduser(), Path(parsed.output).expanduser()
    translator = load(parsed.checkpoint)
    options = style_options(parsed)
    if source.is_dir():
        paths = list_images(source)
        if target.suffix.lower() in SUFFIXES and not target.is_dir():
            raise UserError(f"{source} is a folder, so the output must be one too, not {target}")
        pairs = [(path, target / path.relative_to(source)) for path in paths]
    elif source.is_file():
        inside = target / source.name if target.is_dir() or not target.suffix else target
        check_output(inside)
        pairs = [(source, inside)]
    else:
        raise UserError(f"there is no file or folder {source}")
    with Progress(transient=True) as progress:
        for path, result in progress.track(pairs, description="translating"):
            save(translator.translate(path, parsed.direction, **options), result)
    print(f"{len(pairs)} pictures into {target}")


def sheet(parsed: Namespace) -> None:
    """Methods and styles, or steps between two styles, beside each other on the same pictures."""
    output = Path(parsed.output).expanduser()
    check_output(output)
    if parsed.mixes and (parsed.mixes < 2 or len(parsed.style) != 2):
        raise UserError(
            f"a sheet of mixes goes from one style to another in two steps or more: --mixes {parsed.mixes} with "
            f"{len(parsed.style)} styles does not"
        )
    if not parsed.style:
        raise UserError("a sheet needs a style: --style IMAGE")
    models = {name: load(path) for name, path in name_checkpoints(parsed.checkpoint).items()}
    if not models or parsed.method == "gatys":
        models["gatys"] = gatys(parsed.weights, parsed.seed, parsed.set)
    styles = [parse_style(word)[0] for word in parsed.style]
    mixes = [[(style, 1.0)] for style in styles]
    names = [Path(style).stem for style in styles]
    if parsed.mixes:
        shares = [i / (parsed.mixes - 1) for i in range(parsed.mixes)]
        mixes = [[(styles[0], 1 - share), (styles[1], share)] for share in shares]
        names = [f"{1 - share:.0%} {names[0]}, {share:.0%} {names[1]}" for share in shares]
    columns = [
        (name, model, label, mix) for name, model in models.items() for label, mix in zip(names, mixes, strict=True)
    ]
    rows = []
    with Progress(transient=True) as progress:
        task = progress.add_task("drawing", total=len(parsed.content) * len(columns))
        for content in parsed.content:
            row = []
            for _, model, _, mix in columns:
                torch.manual_seed(parsed.seed)
                row.append(model.translate(content, style=mix, alpha=parsed.alpha, size=parsed.size))
                progress.advance(task)
            rows.append((Path(content), row))
    labels = [f"{name}: {label}" if len(models) > 1 else label for name, _, label, _ in columns]
    save_image(draw_sheet(rows, labels, [Path(style) for style in styles], cell=parsed.cell), output)
    print(output)


def translator_of(parsed: Namespace) -> LoadedTranslator:
    """What a `stylize` command names: a checkpoint, or Gatys, which needs no training."""
    if parsed.checkpoint:
        translator = load(parsed.checkpoint)
        if not translator.model.takes_style:
            raise UserError(f"{parsed.checkpoint} takes no style pictures: use gan-style translate {parsed.checkpoint}")
        return translator
    if parsed.method not in (None, "gatys"):
        raise UserError(f"--method {parsed.method} needs a trained model: add --checkpoint CKPT (train.py model=adain)")
    return gatys(parsed.weights, parsed.seed, parsed.set)


def gatys(weights: str | None, seed: int, overrides: Sequence[str]) -> LoadedTranslator:
    """The optimisation, ready to be given pictures."""
    words = [*overrides, f"seed={seed}", *([f'model.vgg.weights="{weights}"'] if weights else [])]
    node = compose_model("gatys", words) | {"count": 1, "size": 16}
    model = build(node, ALLOWED)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return LoadedTranslator(model.to(device), {})


def name_checkpoints(paths: Sequence[str]) -> dict[str, str]:
    """A label for each: the shortest of run, run and file, or whole path that no other has."""
    choices = []
    for given in map(Path, paths):
        run = given.expanduser().resolve().parent.parent.name
        choices.append((run, f"{run}/{given.stem}", str(given)))
    names = {}
    for path, labels in zip(paths, choices, strict=True):
        label = next((x for i, x in enumerate(labels) if [c[i] for c in choices].count(x) == 1), path)
        names[label] = path
    return names


@contextlib.contextmanager
def progress_of(translator: LoadedTranslator, output: Path, every: int) -> Iterator[dict[str, Any]]:
    """What makes an optimisation show its progress, and save what it has every so many steps."""
    if not isinstance(translator.model, Gatys):
        yield {}
        return
    with Progress(transient=True) as progress:
        task = progress.add_task("stylising")

        def step(done: int, total: int, terms: dict[str, float], picture: torch.Tensor) -> None:
            values = "  ".join(f"{name} {value:.4g}" for name, value in terms.items())
            progress.update(task, completed=done, total=total, description=values)
            if every and done % every == 0:
                save_image(to_uint8(picture)[0], output.with_name(f"{output.stem}-{done:05d}{output.suffix}"))

        yield {"progress": step}


def style_options(parsed: Namespace) -> dict[str, Any]:
    """The words of the command that `LoadedTranslator.translate` takes."""
    return {
        "style": [parse_style(word) for word in parsed.style] or None,
        "alpha": parsed.alpha,
        "preserve_color": parsed.preserve_color,
        "mask": parsed.mask or None,
        "size": parsed.size,
    }


def parse_style(word: str) -> tuple[str, float]:
    """`picture.jpg=0.7` -> ("picture.jpg", 0.7); a file whose name holds a `=` is itself.

    Raises:
        UserError: what stands behind the last `=` is not a number.
    """
    if "=" not in word or Path(word).expanduser().exists():
        return word, 1.0
    name, _, weight = word.rpartition("=")
    try:
        return name, float(weight)
    except ValueError:
        raise UserError(f"--style {word}: the weight {weight!r} is not a number: write {name}=0.5") from None


def check_output(path: Path) -> None:
    """Refuse an output that cannot be written before anything is computed."""
    if path.is_dir():
        raise UserError(f"{path} is a folder: name the picture to write, such as {path / 'out.png'}")
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"{path} cannot be saved: its name must end in one of {', '.join(SUFFIXES)}")


def save(picture: Any, path: Path) -> None:
    array = np.asarray(picture)
    save_image(array if array.ndim == 3 else array[..., None], path)
