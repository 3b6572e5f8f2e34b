"""Models to choose from on the page: checkpoints by name, the shipped one, Gatys where VGG's weights are present."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

from gan_style.checkpoints.checkpoint import SHIPPED
from gan_style.checkpoints.labels import name_checkpoints
from gan_style.core.errors import UserError
from gan_style.core.paths import expanded, printable, resolved
from gan_style.inference.load import gatys, load
from gan_style.inference.translator import LoadedTranslator
from gan_style.report.read import as_number, read_run
from gan_style.report.summary import data_name, iterations, model_name

GATYS = "gatys"
OURS = {
    "microast": "MicroAST: any picture as a style, at once",
    GATYS: "Gatys: each picture is optimised, for minutes",
}
MIN_ITERATIONS = 1000  # for a model without a caution; the papers train for tens of thousands
MAX_LOADED = 3  # models in memory; others are loaded again when they are chosen


class Models:
    """Models by name, loaded when they are first used.

    Args:
        checkpoints: given by the user; named as on a sheet.
        runs: the folder of runs; each with a best.ckpt (or else a last.ckpt) is named by its path in there.
        weights: of Gatys' VGG, `imagenet`, `random` or a file; None leaves Gatys out.
        allow: packages of one's own that checkpoints may name.

    Raises:
        UserError: a checkpoint that is given cannot be loaded, or weights cannot be read.
    """

    def __init__(self, checkpoints: Sequence[str], runs: Path, weights: str | None, allow: Sequence[str] = ()) -> None:
        self.runs = runs
        self._given = {name: expanded(path) for name, path in name_checkpoints(checkpoints).items()}
        self._weights, self._allow = weights, allow
        self._loaded: OrderedDict[tuple[str, int], LoadedTranslator] = OrderedDict()
        self._checkpoints: dict[str, Path] = {}
        self.look()
        for name in [*self.names[: min(MAX_LOADED, len(self._given))], *([GATYS] if weights else [])]:
            self.load(name)

    def look(self) -> None:
        """Search the folder of runs again."""
        found = find_runs(self.runs)
        name_of = {resolved(path): name for name, path in found.items()}
        named = {name_of.pop(resolved(path), name): path for name, path in self._given.items()}
        left = {name: found[name] for name in name_of.values()}
        found = named | {str(path) if name in named else name: path for name, path in left.items()}
        self._checkpoints = found | {name: Path(name) for name in SHIPPED if name not in found}

    @property
    def names(self) -> list[str]:
        """Names of the given models first, then of the newest runs, then the shipped ones and Gatys."""
        return [*self._checkpoints, *([GATYS] if self._weights else [])]

    @property
    def choices(self) -> list[tuple[str, str]]:
        """Return what a person reads of each model, and its name; the name stands beside it where two are alike."""
        labels = [self.label(name) for name in self.names]
        alike = {label for label in labels if labels.count(label) > 1}
        return [
            (f"{label} ({name})" if label in alike else label, name)
            for label, name in zip(labels, self.names, strict=True)
        ]

    def label(self, name: str | None) -> str:
        """Return what a model is, such as "CycleGAN: monet2photo, 600 iterations", as far as its run's folder tells."""
        path = self._checkpoints.get(str(name))
        if str(name) in OURS and (path is None or not path.is_file()):
            return OURS[str(name)]
        run = read_run(path.parent.parent) if path and path.parent.name == "checkpoints" else None
        if run is None or not run.settings:
            return str(name)
        made = iterations(run)
        data, length = data_name(run), "" if made is None else f"{made:,} iteration{'s' * (made != 1)}"
        return printable(": ".join(part for part in (model_name(run), ", ".join(filter(None, (data, length)))) if part))

    @property
    def first(self) -> str:
        """Name of the model that the page opens with: the first given one, or else a shipped one."""
        return self.names[0] if self._given else next(iter(SHIPPED))

    def load(self, name: str | None) -> LoadedTranslator:
        """Load the model of this name.

        Raises:
            UserError: there is none, or its checkpoint cannot be loaded.
        """
        if name not in self.names:
            raise UserError(f"the model {name} is not there any more: look again" if name else "choose a model first")
        path = self._checkpoints.get(name)
        stamp = path.stat().st_mtime_ns if path and path.is_file() else 0  # a running training may replace it
        key = (name, stamp)
        if key not in self._loaded:
            self._loaded[key] = load(path, allow=self._allow) if path else gatys(self._weights, 0, [])
        self._loaded.move_to_end(key)
        while len(self._loaded) > MAX_LOADED:
            self._loaded.popitem(last=False)
        return self._loaded[key]


def caution(translator: LoadedTranslator) -> str:
    """Return a warning about a model that cannot show what its method can do, as far as its checkpoint tells, or ""."""
    about = translator.about or {}
    if not about or about.get("imported"):  # training elsewhere is not counted
        return ""
    encoder = about["config"]["model"].get("vgg") or {}
    if encoder.get("weights") == "random" and translator.model.carries_vgg:
        return (
            f"This {type(translator.model).__name__} has a VGG of random weights, which sees no styles: expect pale "
            "pictures; train it on real ones."
        )
    iteration = as_number(about["iteration"])
    if iteration is not None and iteration < MIN_ITERATIONS:
        times = "iteration" if iteration == 1 else "iterations"
        return (
            f"This model was trained for {iteration:g} {times} only: expect pale or blurred pictures until it has more."
        )
    return ""


def find_runs(folder: Path) -> dict[str, Path]:
    """Find the checkpoint of each run below a folder, by name, the newest first.

    Runs of Gatys are left out: their checkpoints hold one picture and translate no other.
    """
    found: dict[Path, Path] = {}
    for last in sorted(folder.rglob("checkpoints/last.ckpt")) + sorted(folder.rglob("checkpoints/best.ckpt")):
        if last.is_file():  # not a broken link
            found[last.parent.parent] = last  # best.ckpt comes last and replaces last.ckpt
    runs = sorted(found, key=lambda run: found[run].stat().st_mtime_ns, reverse=True)
    return {printable(str(run.relative_to(folder))): found[run] for run in runs if model_name(read_run(run)) != "Gatys"}


def weights_at_hand(given: str | None) -> str | None:
    """Return the VGG weights that Gatys can use without a download; given ones are returned as they are."""
    if given or os.environ.get("GAN_STYLE_VGG"):
        return given or os.environ["GAN_STYLE_VGG"]
    import torch

    from gan_style.networks.vgg import URLS

    cached = Path(torch.hub.get_dir()) / "checkpoints" / URLS["vgg19"].rsplit("/", 1)[-1]
    return "imagenet" if cached.is_file() else None
