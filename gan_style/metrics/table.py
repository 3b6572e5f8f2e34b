"""Table of all scores: name, better end, inputs and function of each.

Training, `gan-style evaluate` and `compare`, their tables and plots, and the report read it. It imports nothing heavy:
the function of a row is imported when it is asked for.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Better = Literal["highest", "lowest", "one"]  # one: the nearer to 1, as a ratio

EXTRACTOR = "extractor"  # features of the network that the run or the command names
PATCHES = "patches"  # of Laplacian pyramids


@dataclass(frozen=True, eq=False)
class Score:
    """Row of the table, one score.

    A score either compares two sets of pictures, by the `features` of each picture; or it scores single pictures, by
    its `inputs`. Pictures are float32 tensors [B, 3, H, W] in [-1, 1]. Values of a picture must not depend on the other
    pictures of its batch.

    The floor of a score of sets is the score of real pictures against other real ones, its ceiling that of the
    untranslated input. A score of single pictures has a ceiling where its inputs include `fakes`, and a floor where
    they are its only input.

    Attributes:
        name: of its column, in lower case; the extractor's name is added where `features` is `extractor`.
        better: the end that is better.
        function: real features [N, ...] and fake ones [M, ...] -> a number; of single pictures: a batch of each of
            `inputs` -> [B]. The function, or its import path below `gan_style.metrics`, or "" where
            `gan_style.evaluation` makes it, because it needs weights or a model.
        features: of a score of sets: `extractor`, `patches`, or a function of pictures [B, 3, H, W] -> [B, ...], or
            its import path below `gan_style.metrics`.
        inputs: of a score of single pictures: `fakes`, `sources`, `truth` (what each source should become), `back`
            (what came back of each fake), `targets` (the style that each was given), `several` (one source in several
            styles or noises, [B, S, 3, H, W]), `generators` (there and back); of drawn data `samples` (true pictures of
            each source, [B, S, 3, H, W]), `labels` (the material of each pixel, [B, H, W]) and `shown` (what material
            the judge takes each pixel of the fake for, [B, H, W]).
        title: as a report shows it; "" shows the name.
        text: description that "; higher is better." can follow.
        unit: empty for none.
        digits: decimals that are shown.
        least: pictures that either set needs.
        share: whether it lies in [0, 1], which an interval may not leave.
        slow: whether the interval of `evaluate` is taken of a tenth of the draws.
        all_pairs: whether it compares all pairs of pictures, which is slow for large sets.
        quicker: arguments of the function that make it faster, for validations.
        inception: its name with the Inception weights of 2015.
        source: config of a score of one's own.
    """

    name: str
    better: Better
    function: str | Callable[..., Any]
    features: str | Callable[..., Any] | None = None
    inputs: tuple[str, ...] = ()
    title: str = ""
    text: str = ""
    unit: str = ""
    digits: int = 3
    least: int = 2
    share: bool = False
    slow: bool = False
    all_pairs: bool = False
    quicker: Mapping[str, Any] = field(default_factory=dict)
    inception: str = ""
    source: str = ""

    def compute(self) -> Callable[..., Any]:
        """Return the function of the row, imported now."""
        return _imported(self.function) if isinstance(self.function, str) else self.function

    def look(self) -> Callable[..., Any] | None:
        """Return the function of pictures that gives the features of the row, imported now; None where it has none."""
        if isinstance(self.features, str):
            return None if self.features in (EXTRACTOR, PATCHES) else _imported(self.features)
        return self.features

    @property
    def higher(self) -> bool:
        """True where higher is better."""
        return self.better == "highest"

    @property
    def of_sets(self) -> bool:
        """True where it compares two sets, rather than single pictures."""
        return self.features is not None


def _neighbours(name: str, text: str, share: bool = True) -> Score:
    """Make the row of a share of one set within the neighbourhoods of the other."""
    return Score(
        name,
        "highest",
        f"manifold.{name}",
        EXTRACTOR,
        title=name.capitalize(),
        text=text,
        least=6,  # one more than neighbours, see metrics/manifold.py
        share=share,
        all_pairs=True,
    )


# In the order in which result files and tables have them.
TABLE = (
    Score(
        "kid",
        "lowest",
        "kernel.kid",
        EXTRACTOR,
        title="KID",
        text="Kernel distance between the features of translated and real pictures, 0 for the same distribution",
        digits=4,
        inception="kid",
    ),
    Score(
        "frechet",
        "lowest",
        "frechet.frechet_distance",
        EXTRACTOR,
        title="Fréchet distance",
        text="Between the features of translated and real pictures; with few pictures it mostly measures their number",
        slow=True,
        inception="fid",
    ),
    Score(
        "cmmd",
        "lowest",
        "kernel.cmmd",
        EXTRACTOR,
        title="CMMD",
        text="Gaussian kernel distance between features",
        digits=4,
    ),
    Score(
        "swd",
        "lowest",
        "sliced.sliced_wasserstein",
        PATCHES,
        title="SWD",
        text="Sliced Wasserstein distance between patches of the two sets",
        slow=True,
        quicker={"directions": 128},  # for a quarter of the time of 512
    ),
    Score(
        "patch_distance",
        "lowest",
        "sliced.patch_distance",
        PATCHES,
        title="Patch distance",
        text="SWD with the channels of both sets on the scale of the real one, so that other colours, a blur and "
        "hard contrasts cost what they are; 0 for the same distribution",
        slow=True,
        quicker={"directions": 128},
    ),
    Score(
        "texture",
        "lowest",
        "texture.texture_distance",
        "texture.texture_patches",
        title="Texture distance",
        text="Sliced Wasserstein distance between high-passed patches of translated and real pictures, of 255; "
        "what colours and places are there does not matter, a blur does",
        digits=2,
        slow=True,
    ),
    Score(
        "grid",
        "lowest",
        "grid.grid_excess",
        "grid.folded",
        title="Grid",
        text="Deviation of the pattern that repeats at a stride of 2, 4, 8 or 16 pixels, above that of real pictures, "
        "of 255",
        digits=2,
        slow=True,
    ),
    Score(
        "domain_detail",
        "one",
        "detail.energy_ratio",
        "detail.gradient_energies",
        title="Detail, of the domain",
        text="Energy of the gradients of translated pictures over that of real pictures of the domain",
        digits=2,
    ),
    Score(
        "domain_fine_detail",
        "one",
        "detail.energy_ratio",
        "detail.fine_energies",
        title="Fine detail, of the domain",
        text="Energy of what a Gaussian of one pixel takes away over that of real pictures of the domain",
        digits=2,
    ),
    _neighbours("precision", "Share of translated pictures among the real ones"),
    _neighbours("recall", "Share of real pictures among the translated ones"),
    _neighbours("coverage", "Share of real pictures with a translated one near"),
    _neighbours("density", "How densely real pictures surround the translated ones", share=False),
    Score(
        "edge_agreement",
        "highest",
        "edges.edge_agreement",
        inputs=("fakes", "sources"),
        title="Edge agreement",
        text="Correlation of the edges of input and output",
    ),
    Score(
        "lpips",
        "lowest",
        "",
        inputs=("fakes", "sources"),
        title="LPIPS",
        text="Perceptual distance between pictures",
    ),
    Score(
        "content",
        "lowest",
        "",
        inputs=("fakes", "sources"),
        title="Content distance",
        text="Distance of VGG features of input and output, relative to the input's",
    ),
    Score(
        "structure",
        "lowest",
        "",
        inputs=("fakes", "sources"),
        title="Structure distance",
        text="Difference of DINO's self-similarities of input and output",
    ),
    Score(
        "psnr",
        "highest",
        "truth.psnr",
        inputs=("fakes", "truth"),
        title="PSNR (dB)",
        text="Peak signal-to-noise ratio between the translated picture and its true counterpart, in dB",
        unit="dB",
        digits=2,
    ),
    Score(
        "ssim",
        "highest",
        "truth.ssim",
        inputs=("fakes", "truth"),
        title="SSIM",
        text="Structural similarity of the translated picture and its true counterpart, in [0, 1]",
    ),
    Score(
        "local_distance",
        "lowest",
        "local.local_distance",
        inputs=("fakes", "truth"),
        title="Local distance",
        text="Distance of local colours and local detail to those of the true counterpart, of 255; other strokes cost "
        "little, a blur much",
        digits=2,
    ),
    Score(
        "energy_distance",
        "lowest",
        "local.energy_distance",
        inputs=("fakes", "samples"),
        title="Energy distance",
        text="Energy distance of local colours and local detail to samples of the truth, of 255",
        digits=2,
    ),
    Score(
        "label_iou",
        "highest",
        "labels.label_iou",
        inputs=("shown", "labels"),
        title="Label IoU",
        text="Mean intersection over union of the materials that a fixed linear judge sees and the true ones",
    ),
    Score(
        "invented",
        "lowest",
        "objects.invented_objects",
        inputs=("shown", "labels"),
        title="Invented objects",
        text="Trees and woods per picture where the truth has none",
        digits=2,
    ),
    Score(
        "lost",
        "lowest",
        "objects.lost_objects",
        inputs=("shown", "labels"),
        title="Lost objects",
        text="Trees and woods per picture of the truth that the translation does not show",
        digits=2,
    ),
    Score(
        "detail",
        "one",
        "detail.detail",
        inputs=("fakes", "samples"),
        title="Detail",
        text="Energy of the gradients over that of the truth",
        digits=2,
    ),
    Score(
        "fine_detail",
        "one",
        "detail.fine_detail",
        inputs=("fakes", "samples"),
        title="Fine detail",
        text="Energy of what a Gaussian of one pixel takes away over that of the truth",
        digits=2,
    ),
    Score(
        "spread",
        "one",
        "spread.spread",
        inputs=("several", "samples"),
        title="Spread",
        text="Deviation over translations of one input, by noise or seeds, over that of the truth",
        digits=2,
    ),
    Score(
        "cycle_error",
        "lowest",
        "pairs.cycle_error",
        inputs=("sources", "back"),
        title="Cycle error",
        text="Mean absolute difference, on [-1, 1], between an input and what comes back of it",
    ),
    Score(
        "diversity",
        "highest",
        "",
        inputs=("several",),
        title="Diversity",
        text="Mean distance between translations of one picture by other noise, or in other noise codes of one style",
    ),
    Score(
        "rendition_difference",
        "highest",
        "pairs.rendition_difference",
        inputs=("several",),
        title="Rendition difference",
        text="Mean absolute difference, on [-1, 1], between the same translations as of diversity",
    ),
    Score(
        "style_gram",
        "lowest",
        "",
        inputs=("fakes",),
        title="Style distance (Gram)",
        text="Relative squared distance of the Gram matrices of VGG features to those of the style",
    ),
    Score(
        "style_mean_std",
        "lowest",
        "",
        inputs=("fakes",),
        title="Style distance (mean, deviation)",
        text="Relative squared distance of the means and deviations of VGG features to those of the style",
    ),
    Score(
        "cycle_honesty",
        "highest",
        "",
        inputs=("generators",),
        title="Cycle honesty",
        text="How much of the cycle survives when nothing can be hidden in the picture; 1 hides nothing",
    ),
)
NAMED = {row.name: row for row in TABLE}
GIVEN = "given_"  # before the name of a distance to the style that each picture was given
# Names that only a result has: a run asks for frechet.
_RESULTS = {
    "fid": replace(
        NAMED["frechet"],
        name="fid",
        title="FID",
        text="Fréchet distance between the features of translated and real pictures",
        digits=2,
    )
}


def row_of(column: str) -> Score | None:
    """Return the row that a column of results belongs to, None for one that no row knows.

    Args:
        column: such as `kid_random0`, `fid` or `given_style_gram_vgg19`, in upper or lower case.
    """
    name = column.lower().removeprefix(GIVEN)
    found = [row for row in (*TABLE, *_RESULTS.values()) if name == row.name or name.startswith(f"{row.name}_")]
    return max(found, key=lambda row: len(row.name), default=None)


def without_infinities(score: Mapping[str, Any]) -> tuple[dict[str, Any], float | None]:
    """Return a score with None in place of numbers that are NaN or infinite, which JSON has not, and the first such."""
    broken = {key: x for key, x in score.items() if isinstance(x, float) and not math.isfinite(x)}
    return {**score, **dict.fromkeys(broken)}, next(iter(broken.values()), None)


def described(row: Score) -> dict[str, str]:
    """Return the entries of a result file about a score of one's own, which no reader could look up."""
    return {key: value for key in ("better", "title", "text") if (value := getattr(row, key))}


def better_end(column: str, entry: Mapping[str, Any]) -> Better | None:
    """Return the better end of a score, by the table or else by the result file; None where neither knows.

    Args:
        column: such as `kid_random0`.
        entry: of the result file, with `better` for a score of one's own.
    """
    row, said = row_of(column), entry.get("better")
    if row is not None:
        return row.better
    return said if said in ("highest", "lowest") else None


def goodness(better: Better, value: float) -> float:
    """Return a number that is the higher the better a value is."""
    if better == "one":
        return -abs(math.log(value)) if value > 0 else -math.inf
    return value if better == "highest" else -value


def _imported(path: str) -> Callable[..., Any]:
    module, _, name = path.rpartition(".")
    found: Callable[..., Any] = getattr(importlib.import_module(f"gan_style.metrics.{module}"), name)
    return found
