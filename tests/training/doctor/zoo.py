"""Planted failures: tiny translators, each with one thing wrong, trained under the real callback."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_style.core.errors import TrainingFailed
from gan_style.losses.adversarial import adversarial
from gan_style.metrics.probe import steganography_probe
from gan_style.models.translator import Images, Terms, Translator, l1
from gan_style.networks.filters import blur
from gan_style.networks.noise import Noise
from gan_style.training.callbacks.cost import Cost
from gan_style.training.callbacks.doctor import Doctor
from gan_style.training.callbacks.findings_file import read
from gan_style.training.callbacks.losses import LogLosses
from gan_style.training.callbacks.noise_scores import rendition_difference_of
from gan_style.training.engine.engine import Engine

SIZE = 32
LEVEL = 0.4  # mean of every picture of B; those of A have 0


def images(count: int, seed: int, mean: float = 0.0, size: int = SIZE) -> Tensor:
    """Soft coloured shapes [count, 3, size, size] in [-1, 1], each with this mean."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(count, 3, 5, 5, generator=generator)
    soft = 0.5 * torch.tanh(F.interpolate(coarse, (size, size), mode="bicubic", align_corners=True))
    return soft - soft.mean((1, 2, 3), keepdim=True) + mean


class Painter(nn.Module):
    """A healthy generator: another colour and a little texture of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.colour = nn.Conv2d(3, 3, 3, padding=1, padding_mode="replicate")
        with torch.no_grad():
            self.colour.weight.mul_(0.1)[:, :, 1, 1] += 0.5 * torch.eye(3)
            self.colour.bias.fill_(0.05)

    def forward(self, x: Tensor) -> Tensor:
        return self.colour(x)


class Planted(Painter):
    """Makes of a picture what the failure makes of it; trains like any other."""

    def __init__(self, of: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.of = of
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return (self.gain * self.of(x)).clamp(-1, 1)


class Overflows(Painter):
    """Its second layer overflows in the tenth pass."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = Scale()

    def forward(self, x: Tensor) -> Tensor:
        return self.scale(self.colour(x))


class Noisy(Painter):
    """Draws noise, as much as is asked for."""

    def __init__(self, strength: float) -> None:
        super().__init__()
        self.noise = Noise([3])
        nn.init.constant_(self.noise.strengths[0], strength)

    def forward(self, x: Tensor) -> Tensor:
        return self.noise.drawn(x)(super().forward(x), 0)


class Scale(nn.Module):
    passes = 0

    def forward(self, x: Tensor) -> Tensor:
        self.passes += 1
        return x * 1e38 * 1e3 if self.passes > 9 else x


def one_image(x: Tensor) -> Tensor:
    return images(1, seed=99, size=x.shape[-1]).expand_as(x) + 0.01 * x


def uneven(x: Tensor) -> Tensor:
    """A transposed convolution of 3 pixels at a stride of 2: every second pixel is covered twice."""
    kernel = torch.full((1, 1, 3, 3), 0.2)
    small = F.avg_pool2d(x + 1, 2).flatten(0, 1)[:, None]
    up = F.conv_transpose2d(small, kernel, stride=2)[..., : x.shape[-2], : x.shape[-1]]
    return up.reshape(x.shape) - 0.6


def hides_colour(x: Tensor) -> Tensor:
    grey = x.mean(1, keepdim=True)
    return grey + 1e-3 * (x - grey)


def shows_colour(y: Tensor) -> Tensor:
    grey = y.mean(1, keepdim=True)
    return grey + 1e3 * (y - grey)


def textured(count: int, seed: int, mean: float = 0.0) -> Tensor:
    """Pictures with strokes of a pixel, which a blur takes away."""
    strokes = torch.randn(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))
    return images(count, seed, mean) + 0.1 * strokes


class Judge(nn.Module):
    """A weak discriminator of a few patches."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(4, 1, 4, 2, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class Certain(nn.Module):
    """Knows the mean of B's pictures, and goes by that alone."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(1 / LEVEL))

    def forward(self, x: Tensor) -> Tensor:
        return self.slope.detach() * x.mean((1, 2, 3), keepdim=True) + 0 * self.slope


class Tiny(Translator):
    """G, D and two terms: adversarial, and what holds the output to the input."""

    generators = ("G_AB",)
    discriminators = ("D_B",)

    def __init__(
        self, G: nn.Module, D: nn.Module | None = None, *, detached: bool = False, explodes: bool = False
    ) -> None:
        sgd = functools.partial(torch.optim.SGD, lr=1e-3)
        super().__init__(optimizer_G=sgd, optimizer_D=sgd)
        self.G_AB, self.D_B = G, D or Judge()
        self.gan_mode, self.gan = "lsgan", adversarial("lsgan")
        self.detached, self.explodes = detached, explodes
        self.free = nn.Parameter(torch.ones(())) if explodes else None

    def generate(self, batch: Mapping[str, Tensor]) -> Images:
        return {"real_A": batch["A"], "real_B": batch["B"], "fake_B": self.G_AB(batch["A"])}

    def translate(self, images: Tensor, direction: str = "A2B") -> Tensor:
        return self.G_AB(images)

    def generator_loss(self, images: Images) -> tuple[Tensor, Terms]:
        fake = images["fake_B"]
        held = l1(fake.detach() if self.detached else fake, 0.9 * images["real_A"] + 0.01)
        terms = {"gan_B": self.gan.generator(self.D_B(fake)), "content": held}
        if self.free is not None:  # a step that is too long makes the next one longer
            terms["free"] = 1500 * (self.free - 0.5).square()
        return torch.stack(list(terms.values())).sum(), terms

    def discriminator_loss(self, images: Images) -> tuple[Tensor, Terms]:
        loss = self.gan.discriminator(self.D_B(images["real_B"]), self.D_B(images["fake_B"].detach()))
        return loss, {"B": loss}

    def parameters_of(self, player: str) -> list[nn.Parameter]:
        own = super().parameters_of(player)
        return [*own, self.free] if player == "G" and self.free is not None else own


ZOO: dict[str, Callable[[], Tiny]] = {
    "healthy": lambda: Tiny(Painter()),
    "not-finite": lambda: Tiny(Overflows()),
    "exploding-gradients": lambda: Tiny(Painter(), explodes=True),
    "collapse": lambda: Tiny(Planted(one_image)),
    "inversion": lambda: Tiny(Planted(lambda x: -0.8 * x)),
    "saturation": lambda: Tiny(Planted(lambda x: 1.5 * (30 * x).tanh())),
    "strong-discriminator": lambda: Tiny(Planted(lambda x: 0.5 * x), Certain()),
    "no-change": lambda: Tiny(Planted(lambda x: x)),
    "checkerboard": lambda: Tiny(Planted(uneven)),
    "blur": lambda: Tiny(Planted(lambda x: 0.7 * blur(x, 1.5))),
    "frozen-term": lambda: Tiny(Painter(), detached=True),
    "hidden-cycle": lambda: Tiny(Planted(hides_colour)),
    "ignored-noise": lambda: Tiny(Noisy(0.001)),
}


class Recorder:
    """A logger that keeps its rows by column."""

    def __init__(self) -> None:
        self.columns: dict[str, list[float]] = {}

    def log_metrics(self, row: Mapping[str, float], step: int) -> None:
        for name, value in row.items():
            self.columns.setdefault(name.removeprefix("doctor/"), []).append(value)


def trainer_of(doctor: Doctor, folder: Path, loggers: Sequence[Any]) -> Any:
    """What the callbacks read of a trainer."""
    return SimpleNamespace(
        callbacks=[LogLosses(10**9, Cost()), doctor],
        loggers=loggers,
        is_global_zero=True,
        world_size=1,
        callback_metrics={},
        default_root_dir=folder,
        should_stop=False,
    )


def observe(
    model: Translator,
    batches: Callable[[int], dict[str, Any]],
    folder: Path,
    *,
    iterations: int = 40,
    every: int = 4,
    scores: Callable[[Translator], dict[str, float]] | None = None,
    loggers: Sequence[Any] = (),
) -> list[dict[str, Any]]:
    """Train under the callback as Lightning does and return the findings.

    Args:
        model: all of its turns are taken.
        batches: iteration -> batch.
        folder: of the run.
        scores: those of two validations, long after the last of these iterations.
        loggers: get the rows.
    """
    doctor = Doctor(every=every)
    trainer = trainer_of(doctor, folder, loggers)
    losses = trainer.callbacks[0]
    engine = Engine(model)
    optimizers = dict(zip(model.players(), engine.configure_optimizers(), strict=True))
    engine.optimizer_of = lambda: optimizers  # type: ignore[method-assign]
    doctor.on_fit_start(trainer, engine)
    try:
        for i in range(iterations):
            batch = batches(i)
            doctor.on_train_batch_start(trainer, engine, batch, i)
            outputs = step(engine, optimizers, batch)
            for callback in (losses, doctor):
                callback.on_train_batch_end(trainer, engine, outputs, batch, i)
        model.iteration += 1000 if scores else 0  # long after the beginning
        for _ in range(2 if scores else 0):
            trainer.callback_metrics = {name: torch.tensor(value) for name, value in scores(model.eval()).items()}
            doctor.on_validation_end(trainer, engine)
    except TrainingFailed:
        pass
    return read(doctor.file.path) if doctor.file.path.is_file() else []


def step(engine: Engine, optimizers: Mapping[str, torch.optim.Optimizer], batch: dict[str, Any]) -> dict[str, Any]:
    """One iteration without Lightning."""
    engine.begin_iteration()
    model = engine.method
    images, losses = model.generate(batch), {}
    for turn in (turn for turn in model.turns if turn in model.players()):

        def closure(turn: str = turn) -> Tensor:
            optimizers[turn].zero_grad()
            total, terms = (model.generator_loss if turn == "G" else model.discriminator_loss)(images)
            if bool(total.isfinite()):  # as on a CPU in training
                total.backward()
            losses.update({f"{turn}_{name}": value.detach() for name, value in terms.items()})
            return total

        optimizers[turn].step(closure)
    model.iteration += 1
    return {"images": {name: image.detach() for name, image in images.items()}, "losses": losses}


def honesty(model: Translator) -> dict[str, float]:
    """The score of the cycle whose way back reads what `hides_colour` hides."""
    return {"val/A2B/cycle_honesty": steganography_probe(model.G_AB, shows_colour, images(4, seed=7)).honesty}


def renditions(model: Translator) -> dict[str, float]:
    """The score of the callback, of two pictures."""
    each = [rendition_difference_of(model, "A2B", one[None]) for one in images(2, seed=7)]
    return {"val/A2B/rendition_difference": sum(each) / len(each)}


SCORES = {"hidden-cycle": honesty, "ignored-noise": renditions}


def visit(name: str, folder: Path) -> list[dict[str, Any]]:
    """The findings about one of the zoo."""
    torch.manual_seed(3)
    iterations = 84 if name == "checkerboard" else 40  # which wants twice as many looks as the others
    return observe(ZOO[name](), batches_of(name), folder, scores=SCORES.get(name), iterations=iterations)


def batches_of(name: str) -> Callable[[int], dict[str, Any]]:
    """The pictures that one of the zoo is trained with: a blur can be seen where there is detail."""
    return textured_batch_of if name == "blur" else batch_of


def textured_batch_of(iteration: int) -> dict[str, Any]:
    return {"A": textured(2, seed=2 * iteration), "B": textured(2, seed=2 * iteration + 1, mean=LEVEL)}


def batch_of(iteration: int) -> dict[str, Any]:
    return {"A": images(2, seed=2 * iteration), "B": images(2, seed=2 * iteration + 1, mean=LEVEL)}
