"""Tasks: pairs of domains of drawn scenes, each an unpaired translation whose truth is known.

A task shows one scene in two domains. A picture is a pure function of the task, (seed, index), the part of the set that
it belongs to, the domain and the sample; what a pixel shows and where trees stand come from the same rendering.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gan_style.core.errors import UserError, did_you_mean
from gan_style.core.sizes import Size, height_width
from gan_style.data.scenes import domains
from gan_style.data.scenes.domains import Domain
from gan_style.data.scenes.frame import check_size
from gan_style.data.scenes.geometry import Composition, FloatArray, compose, with_more_trees
from gan_style.data.scenes.photo import Rendering, render_photo

Part = Literal["trainA", "trainB", "testA", "testB"]
PARTS: tuple[Part, ...] = ("trainA", "trainB", "testA", "testB")
DEFAULT_TASK = "paint"
DEFAULT_UNSHARED = 0.3
# Of the training scenes of a domain of task `shifted`, the share that is of this domain's own kind.
SHIFTED_SHARE = 0.85
# Keep the choice of a scene apart from the noise of the scene itself, which is drawn from (seed, index) alone.
OF_SHARE, OF_SHIFT, OF_TREES = 0x5A4E, 0x5B1F, 0x5C7E


def starts_of(count: int, val_count: int) -> dict[Part, int]:
    """Return the index of the first scene of each part of a set: no two parts, of any domain, share a scene.

    Args:
        count: training scenes of each domain.
        val_count: test scenes of each domain.
    """
    return {"trainA": 0, "trainB": count, "testA": 2 * count, "testB": 2 * count + val_count}


@dataclass(frozen=True)
class TreeBox:
    """A tree that can be seen in a picture.

    Attributes:
        number: `Scene.tree_map == number` is the mask of its visible pixels; trees are numbered far to near, from 1.
        left, top, right, bottom: the box around these pixels; right and bottom are exclusive.
        pixels: how many pixels of it can be seen.
    """

    number: int
    left: int
    top: int
    right: int
    bottom: int
    pixels: int


@dataclass(frozen=True, eq=False)
class Scene:
    """A scene in one domain.

    Attributes:
        image: [H, W, 3] uint8.
        labels: the material of each pixel, an index of `MATERIALS`, [H, W] uint8.
        tree_map: the number of the tree that each pixel shows, 0 for none, [H, W] uint8; hills of wood are of the
            material tree, but none of these trees.
        objects: the trees that can be seen.
    """

    image: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    tree_map: NDArray[np.uint8]
    objects: tuple[TreeBox, ...]


Edit = Callable[[Composition], Composition]
Composed = tuple[Composition, np.random.Generator]


def _as_drawn(task: Task, seed: int, index: int, part: Part) -> Composed:
    rng = np.random.default_rng([seed, index])
    return compose(rng), rng


def _trees_in_some_of_B(task: Task, seed: int, index: int, part: Part) -> Composed:
    scene, rng = _as_drawn(task, seed, index, part)
    if part.endswith("A") or not _chosen(seed, index, task.unshared, OF_SHARE):
        scene = replace(scene, trees=())
    return scene, rng


def _with_more_trees(task: Task, seed: int, index: int, part: Part) -> Composed:
    scene, rng = _as_drawn(task, seed, index, part)
    return with_more_trees(scene, np.random.default_rng([seed, index, OF_TREES]), 4), rng


def _of_another_kind_in_A_than_in_B(task: Task, seed: int, index: int, part: Part) -> Composed:
    if part.startswith("test"):
        return _as_drawn(task, seed, index, part)
    mountains = _chosen(seed, index, SHIFTED_SHARE, OF_SHIFT) == (part == "trainB")
    for attempt in itertools.count():
        rng = np.random.default_rng([seed, index, attempt, OF_SHIFT])
        scene = compose(rng)
        if scene.alpine == mountains and scene.lake != mountains:
            return scene, rng
    raise AssertionError("unreachable")


def _chosen(seed: int, index: int, share: float, salt: int) -> bool:
    """Choose a share of the indices, evenly spread: of any n in a row about share * n, give or take one or two."""
    start = float(np.random.default_rng([seed, salt]).random())
    return math.fmod(start + index * 0.6180339887498949, 1.0) < share


@dataclass(frozen=True, eq=False)
class Task:
    """An unpaired translation between two domains of drawn scenes.

    Attributes:
        name: as in `data.task`.
        title: for people.
        text: what it asks, in one sentence.
        A, B: the two domains.
        compose: draws the composition of a scene, and the generator that goes on with its noise.
        count: training pictures of each domain, unless the user says otherwise.
        unshared: the share of B's scenes that hold what A's never do; 0 for all tasks but `unshared`.
        same_labels: a scene has the same labels and objects in both domains.
    """

    name: str
    title: str
    text: str
    A: Domain
    B: Domain
    compose: Callable[[Task, int, int, Part], Composed] = field(default=_as_drawn, repr=False)
    count: int = 400
    unshared: float = 0.0
    same_labels: bool = True

    @property
    def names(self) -> dict[str, str]:
        """Names of one picture of A and of one of B."""
        return {"A": self.A.name, "B": self.B.name}

    @property
    def key(self) -> str:
        """Name with the settings that change pictures: two tasks of one key draw the same."""
        # no dot, which would begin a suffix in the name of a file
        return f"{self.name}{self.unshared:g}".replace(".", "_") if self.name == "unshared" else self.name

    @property
    def directions_one_to_many(self) -> Mapping[str, bool]:
        """Directions whose truth is many pictures, so that samples differ; the truth of the others is a single one."""
        return {"A2B": self.B.varies, "B2A": self.A.varies}

    def scene(
        self,
        seed: int,
        index: int,
        size: Size,
        domain: str,
        sample: int = 0,
        *,
        part: Part = "testA",
        edit: Edit | None = None,
    ) -> Scene:
        """Draw a scene with its labels and objects, in one pass.

        Args:
            seed: of the data set, not negative.
            index: number of the scene in the data set, not negative.
            size: side of a square picture, or height and width, from 16 to 1024; see `frame.framed`.
            domain: "A" or "B".
            sample: 0 is the picture of the data set; others are further true pictures of the same scene, with the same
                labels, where the domain has any.
            part: the set that the scene belongs to, whichever domain it is shown in: the truth of a picture of testA is
                its scene in domain B with part "testA". It matters for the tasks `unshared` and `shifted`.
            edit: changes the composition, for example its trees, before it is drawn.
        """
        image = self._rendered(seed, index, size, domain, sample, part, edit)
        return Scene(
            image=_bytes(self._finished(image, (seed, index, sample), domain)),
            labels=image.labels,
            tree_map=image.tree_map,
            objects=_boxes(image.tree_map),
        )

    def draw(
        self, seed: int, index: int, size: Size, domain: str, sample: int = 0, *, part: Part = "testA"
    ) -> NDArray[np.uint8]:
        """Draw a picture, [H, W, 3] uint8; see `scene`."""
        image = self._rendered(seed, index, size, domain, sample, part)
        return _bytes(self._finished(image, (seed, index, sample), domain))

    def samples(
        self, seed: int, index: int, size: Size, domain: str, count: int, *, first: int = 0, part: Part = "testA"
    ) -> NDArray[np.uint8]:
        """Draw the samples `first` to `first + count` of a scene in one domain, [count, H, W, 3] uint8.

        Faster than `draw` where they differ only in their strokes; one that does not vary is drawn once.
        """
        shown, keys = self._domain(domain), [(seed, index, sample) for sample in range(first, first + count)]
        if not shown.varies:
            return np.broadcast_to(self.draw(seed, index, size, domain, part=part), (count, *height_width(size), 3))
        if shown.change is not None:
            return np.stack([self.draw(*key[:2], size, domain, key[2], part=part) for key in keys])
        image = self._rendered(seed, index, size, domain, first, part)
        return np.stack([_bytes(self._finished(image, key, domain)) for key in keys])

    def labels(self, seed: int, index: int, size: Size, domain: str, *, part: Part = "testA") -> NDArray[np.uint8]:
        """Return the material of each pixel, an index of `MATERIALS`, [H, W] uint8; see `scene`."""
        return self._rendered(seed, index, size, domain, 0, part).labels

    def objects(self, seed: int, index: int, size: Size, domain: str, *, part: Part = "testA") -> tuple[TreeBox, ...]:
        """Return the trees that can be seen; see `scene`."""
        return _boxes(self._rendered(seed, index, size, domain, 0, part).tree_map)

    def composition(self, seed: int, index: int, part: Part = "testA") -> Composition:
        """Return what a scene holds, before a domain shows it."""
        return self.compose(self, seed, index, part)[0]

    def _domain(self, domain: str) -> Domain:
        if domain not in ("A", "B"):
            raise ValueError(f'domain must be "A" or "B", got {domain!r}')
        return self.A if domain == "A" else self.B

    def _rendered(
        self, seed: int, index: int, size: Size, domain: str, sample: int, part: Part, edit: Edit | None = None
    ) -> Rendering:
        shown = self._domain(domain)
        check_size("size", size)
        if part not in PARTS:
            raise ValueError(f"part must be one of {', '.join(PARTS)}, got {part!r}")
        scene, rng = self.compose(self, seed, index, part)
        scene = scene if edit is None else edit(scene)
        scene = scene if shown.change is None else shown.change(scene, (seed, index, sample))
        return render_photo(scene, rng, size, shown.surfaces)

    def _finished(self, image: Rendering, key: domains.Key, domain: str) -> FloatArray:
        finish = self._domain(domain).finish
        return (image.rgb if finish is None else finish(image, key))[image.window]


def _bytes(rgb: FloatArray) -> NDArray[np.uint8]:
    return np.rint(np.clip(rgb, 0, 1) * 255).astype(np.uint8)


def _boxes(tree_map: NDArray[np.uint8]) -> tuple[TreeBox, ...]:
    """Return the boxes of the numbers in a map of trees."""
    pixels = np.bincount(tree_map.reshape(-1))
    found = []
    for number in np.flatnonzero(pixels[1:]) + 1:
        rows, cols = (np.flatnonzero((tree_map == number).any(axis=axis)) for axis in (1, 0))
        left, top, right, bottom = (int(x) for x in (cols[0], rows[0], cols[-1] + 1, rows[-1] + 1))
        found.append(TreeBox(int(number), left, top, right, bottom, int(pixels[number])))
    return tuple(found)


_ALL = (
    Task(
        "recolour",
        "one to one: other colours",
        "A photo becomes one on infrared film; the truth is one picture.",
        domains.PHOTO,
        domains.INFRARED_PHOTO,
    ),
    Task(
        "paint",
        "one to many: photo to painting",
        "A photo becomes a painting, whose brush strokes are free.",
        domains.PHOTO,
        domains.PAINTING,
    ),
    Task(
        "photo",
        "many to one: painting to photo",
        "A painting becomes the photo that it was painted from, whatever its brush strokes.",
        domains.PAINTING,
        domains.PHOTO,
    ),
    Task(
        "unshared",
        "no bijection: trees in B only",
        "Summer becomes winter; no summer photo shows a tree, a share of the winter photos does (data.unshared).",
        domains.SUMMER_PHOTO,
        domains.WINTER_PHOTO,
        compose=_trees_in_some_of_B,
        unshared=DEFAULT_UNSHARED,
    ),
    Task(
        "few",
        "few pictures",
        "A photo becomes a painting, learned from 20 pictures of each (data.count).",
        domains.PHOTO,
        domains.PAINTING,
        count=20,
    ),
    Task(
        "shifted",
        "shifted: other materials in A than in B",
        "A photo becomes a painting; training saw photos mostly of lakes and hills, and paintings mostly of mountains.",
        domains.PHOTO,
        domains.PAINTING,
        compose=_of_another_kind_in_A_than_in_B,
    ),
    Task(
        "night",
        "day to night",
        "A photo by day becomes one by moonlight; stars and moon are free, and so is the time of day on the way back.",
        domains.DAY_PHOTO,
        domains.NIGHT_PHOTO,
    ),
    Task(
        "shapes",
        "geometry: other shapes",
        "Slender conifers become trees with round crowns and peaks become domes, each on its spot.",
        domains.POINTED_PHOTO,
        domains.ROUNDED_PHOTO,
        compose=_with_more_trees,
        same_labels=False,
    ),
)
TASKS: Mapping[str, Task] = MappingProxyType({task.name: task for task in _ALL})


def find_task(name: str, unshared: float | None = None, given_as: str = "data.task=") -> Task:
    """Return the task of this name.

    Args:
        name: a key of `TASKS`.
        unshared: for task `unshared`, the share of B's scenes with trees; None is 0.3.
        given_as: what a user writes before the name; used in messages.

    Raises:
        UserError: there is no such task, or it has no such share.
    """
    if name not in TASKS:
        raise UserError(f"{given_as}{name} is no task{did_you_mean(name, TASKS)}")
    task = TASKS[name]
    if unshared is None:
        return task
    if name != "unshared":
        raise UserError(f"data.unshared={unshared:g} is for data.task=unshared, and the task is {name}: leave it out")
    return replace(task, unshared=unshared)
