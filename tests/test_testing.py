"""`gan_style.testing`: our own parts keep what it asks for, and a part that breaks a promise is told which."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gan_style import testing
from gan_style.losses import gram_matrix, total_variation
from gan_style.metrics.edges import edge_agreement
from gan_style.metrics.pairs import cycle_error
from gan_style.metrics.truth import psnr, ssim
from gan_style.models.translator import Translator


def squared_grams(a: Tensor, b: Tensor) -> Tensor:
    return (gram_matrix(a) - gram_matrix(b)).square().sum()


class TestGrams(testing.LossContract):
    def loss(self, *inputs: Tensor) -> Tensor:
        return squared_grams(*inputs)


class TestTotalVariation(testing.LossContract):
    def loss(self, *inputs: Tensor) -> Tensor:
        return total_variation(inputs[0])


@pytest.mark.parametrize("score", [cycle_error, edge_agreement, psnr, ssim])
def test_our_scores_of_pairs(score: Callable[[Tensor, Tensor], Tensor]) -> None:
    testing.check_metric(score)


class TestTiny(testing.DataContract):
    overrides = ("data=tiny",)


class TestDrawnStyles(testing.DataContract):
    overrides = ("data=styles", "data.count=4", "data.image_size=32", "data.load_size=36")


# A part that breaks one promise


class Spoiled(nn.Module):
    """A generator with one fault."""

    per_sample = True

    def __init__(self, fault: str, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.fault = fault
        self.layer = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.idle = nn.Linear(1, 1) if fault == "idle" else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x.float() if self.fault == "float32" else x)
        if self.fault == "batch":
            y = y - y.mean(dim=0, keepdim=True)
        if self.fault == "size":
            return y[..., 1:].tanh()
        return 3 * y.tanh() if self.fault == "range" else y.tanh()


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("size", "becomes"),
        ("range", r"leaves \[-1, 1\]"),
        ("batch", "per_sample is True"),
        ("idle", r"idle\.weight gets no gradient"),
        ("float32", "float|dtype|type"),
    ],
)
def test_a_broken_generator_is_told_what(fault: str, sentence: str) -> None:
    with pytest.raises((AssertionError, RuntimeError), match=sentence):
        testing.check_generator(lambda **channels: Spoiled(fault, **channels))


def test_a_sound_one_is_not() -> None:
    testing.check_generator(lambda **channels: Spoiled("", **channels))


def test_a_broken_discriminator_is_told_what() -> None:
    with pytest.raises(AssertionError, match=r"not \[B, 1, h, w\]"):
        testing.check_discriminator(lambda in_channels: nn.Conv2d(in_channels, 2, 3))
    detached = nn.Conv2d(3, 1, 3)
    detached.register_forward_pre_hook(lambda module, inputs: tuple(x.detach() for x in inputs))
    with pytest.raises(AssertionError, match="G could not learn"):
        testing.check_discriminator(lambda in_channels: detached)
    normed = nn.Sequential(nn.Conv2d(3, 1, 3), nn.BatchNorm2d(1))
    normed.per_sample = True  # type: ignore[assignment]
    with pytest.raises(AssertionError, match="per_sample is True"):
        testing.check_discriminator(lambda in_channels: normed)


def test_a_broken_loss_is_told_what() -> None:
    x, y = torch.rand(1, 1, 2, 2), torch.rand(1, 1, 2, 2)
    with pytest.raises(AssertionError, match="a loss is a scalar"):
        testing.check_loss(lambda a, b: (a - b).square(), x, y)
    with pytest.raises(RuntimeError, match="Jacobian mismatch"):  # the derivative of half of it is left out
        testing.check_loss(lambda a, b: (a * a.detach()).mean(), x, y)


def test_a_broken_metric_is_told_what() -> None:
    with pytest.raises(AssertionError, match=r"not \[3\]"):
        testing.check_metric(lambda a, b: (a - b).abs().mean())
    with pytest.raises(AssertionError, match="others of its batch"):
        testing.check_metric(lambda a, b: (a - b.mean(0)).abs().mean((1, 2, 3)))
    with pytest.raises(AssertionError, match="changes the pictures"):
        testing.check_metric(lambda a, b: a.clamp_(0, 1).mean((1, 2, 3)))


class Changed:
    """A method whose one function is another."""

    def __init__(self, **functions: Callable[..., Any]) -> None:
        self.model = testing.build_model(testing.small_config("model=cut"))
        for name, function in functions.items():
            own = getattr(self.model, name)
            object.__setattr__(self.model, name, lambda *given, f=function, o=own: f(o(*given)))


def test_a_broken_method_is_told_what() -> None:
    batch = testing.example_batch()

    def changed(**functions: Callable[..., Any]) -> Translator:
        return Changed(**functions).model

    def renamed(images: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {**images, "mine": images["fake_B"]}

    with pytest.raises(AssertionError, match="glossary"):
        testing.check_images(changed(generate=renamed), batch)
    with pytest.raises(AssertionError, match=r"fake_B leaves \[-1, 1\]"):
        testing.check_images(changed(generate=lambda images: {**images, "fake_B": 5 + images["fake_B"]}), batch)
    with pytest.raises(AssertionError, match=r"\(33, 47\) becomes"):
        testing.check_translation(changed(translate=lambda y: y[..., : 2 * (y.shape[-1] // 2)]))
    with pytest.raises(AssertionError, match="gets no gradient in the turn of G"):
        testing.check_turns(changed(generator_loss=lambda loss: (next(changed().H.parameters()).sum(), {})), batch)
    with pytest.raises(AssertionError, match="the loss of G is nan"):
        testing.check_turns(changed(generator_loss=lambda loss: (loss[0] * float("nan"), loss[1])), batch)


def test_a_resume_that_is_not_exact_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = testing.small_config("model=cut")
    trained = []

    def train(given: Mapping[str, Any]) -> Path:
        trained.append(given)
        return real({**given, "model": given["model"] | {"lambda_nce": 2.0 if given["resume"] else 1.0}})

    real = testing.train
    monkeypatch.setattr(testing, "train", train)
    with pytest.raises(AssertionError, match="after a resume there differ"):
        testing.check_resume(copy.deepcopy(config), tmp_path)
    assert len(trained) == 3


def test_it_needs_no_pytest() -> None:
    assert "import pytest" not in Path(testing.__file__).read_text()
