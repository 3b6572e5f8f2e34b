"""Contracts of methods, networks, losses, metrics and data sets, as tests for a package of your own.

Each `check_...` tests one promise of the contract and raises an AssertionError where it is broken. The classes are the
same as test methods, to be inherited in a test file (docs/your_own.md):

    class TestMine(MethodContract):
        overrides = ("model=mine", "allow=[mylab.]")
        config_dir = Path(__file__).parents[1] / "conf"
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from gan_style.checkpoints import checkpoint
from gan_style.core.allowed import in_config
from gan_style.core.compose import composed
from gan_style.core.config import build
from gan_style.data.datamodule import UnpairedDataModule
from gan_style.losses.adversarial import maps_of
from gan_style.models.translator import Translator
from gan_style.networks.contract import can_join
from gan_style.training.run import train

# Names that a method may give its pictures (docs/glossary.md); grids and scores know them.
NAMES = frozenset(f"{kind}_{domain}" for kind in ("real", "fake", "rec", "idt") for domain in "AB")
BRANCHES = frozenset({"content_B", "style_B"})
SIZES = ((32, 32), (33, 47), (20, 64))  # height and width of pictures that go in
# Overrides that make any method small; those whose keys its config has are used.
SMALL_MODEL = {
    "model.vgg.weights": "random",
    "model.teacher": "random",
    "model.vgg.depth": "relu2_1",
    "model.generator.filters": "4",
    "model.generator.blocks": "1",
    "model.style_encoder.filters": "4",
    "model.discriminator.filters": "4",
    "model.discriminator.judges.global.filters": "4",
    "model.discriminator.judges.local.filters": "4",
    "model.discriminator.scales": "2",
    "model.num_patches": "16",
    "model.patch_width": "8",
    "model.scales": "1",
    "model.steps": "3",
}
# Eight drawn scenes: a loader process would take longer to begin than they take to draw.
SMALL_RUN = ("data=tiny", "data.num_workers=0", "trainer.log_every=1", "run_dir=unused")
PROMISED = 1e-4  # largest difference on [-1, 1] that counts as rounding


# Small versions of the configs that users train


def small_config(*overrides: str, config_dir: str | Path | None = None) -> dict[str, Any]:
    """Compose the plain config of a command, with a few filters and eight drawn scenes of 32 pixels.

    Args:
        *overrides: of the command, such as `model=mine`; they win over those that make it small.
        config_dir: a folder of YAML files of one's own, as of `--config-dir`.
    """
    return composed(small_overrides(*overrides, config_dir=config_dir), config_dir)


def small_overrides(*overrides: str, config_dir: str | Path | None = None) -> list[str]:
    """Return the overrides of `small_config`."""
    return [*SMALL_RUN, *fitting(*overrides, config_dir=config_dir), *overrides]


def fitting(*overrides: str, config_dir: str | Path | None = None) -> list[str]:
    """Return the overrides of SMALL_MODEL that the config of a command has keys for and does not set itself."""
    return chosen(SMALL_MODEL, composed([*SMALL_RUN, *overrides], config_dir), keys_of(overrides))


def keys_of(overrides: Sequence[str]) -> set[str]:
    """Return the keys that overrides set or remove."""
    return {override.split("=")[0].lstrip("+~") for override in overrides}


def chosen(values: Mapping[str, object], config: Mapping[str, Any], given: Collection[str]) -> list[str]:
    """Return overrides for the values whose keys a config has and a command does not give.

    Args:
        values: by dotted key.
        config: composed from the command.
        given: keys of the command.
    """

    def has(key: str) -> bool:
        node: Any = config
        for part in key.split("."):
            if not isinstance(node, Mapping) or part not in node:
                return False
            node = node[part]
        return True

    return [f"{key}={value}" for key, value in values.items() if key not in given and has(key)]


def build_model(config: Mapping[str, Any], **extra: Any) -> Translator:
    """Build the method of a plain config, for images of three channels; the same weights every time."""
    torch.manual_seed(0)
    channels = {"channels_A": 3, "channels_B": 3}
    model = build(config["model"], in_config(config["allow"]), **(channels | extra))
    assert isinstance(model, Translator), f"{type(model).__name__} is no gan_style.models.translator.Translator"
    return model


def example_batch(size: int = 32, count: int = 2) -> dict[str, Tensor]:
    """Draw images of both domains, [count, 3, size, size] in [-1, 1]; the same every time."""
    random = torch.Generator().manual_seed(1)
    return {domain: torch.rand(count, 3, size, size, generator=random) * 2 - 1 for domain in "AB"}


def differences(a: Any, b: Any, path: str = "") -> list[str]:
    """List where two nested structures differ, bit for bit. NaN equals NaN: gradients may overflow."""
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        alike = a.dtype == b.dtype and a.shape == b.shape
        return [] if alike and bool(((a == b) | (a.isnan() & b.isnan())).all()) else [path]
    if isinstance(a, dict) and isinstance(b, dict):
        if a.keys() != b.keys():
            return [f"{path}: keys {set(a) ^ set(b)}"]
        return [d for key in a for d in differences(a[key], b[key], f"{path}/{key}")]
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        if len(a) != len(b):
            return [f"{path}: {len(a)} and {len(b)} items"]
        return [d for i, (x, y) in enumerate(zip(a, b, strict=True)) for d in differences(x, y, f"{path}/{i}")]
    return [] if a == b else [f"{path}: {a} and {b}"]


# Methods


def check_images(model: Translator, batch: Mapping[str, Tensor], names: frozenset[str] = NAMES | BRANCHES) -> None:
    """Check that `generate` gives `real_A`, `fake_B`, ... by the glossary's names, of the batch's size, in [-1, 1]."""
    images = model.generate(batch)
    assert {"real_A", "fake_B"} <= set(images), f"generate gives {sorted(images)}, without real_A or fake_B"
    assert set(images) <= names, f"generate gives {sorted(set(images) - names)}, which docs/glossary.md does not know"
    for name, image in images.items():
        assert image.shape == batch["A"].shape, f"{name} has the shape {tuple(image.shape)}"
        assert image.abs().max() <= 1, f"{name} leaves [-1, 1]"


def check_turns(model: Translator, batch: Mapping[str, Tensor]) -> None:
    """Check each player's turn: the loss is finite, all its weights get a gradient, and in D's turn none of G's."""
    images = model.generate(batch)
    losses = {"G": model.generator_loss, "D": model.discriminator_loss}
    for player in model.players():
        mine = [p for net in model.networks(player) for p in net.parameters()]
        others = [p for p in model.parameters() if all(p is not q for q in mine)]
        for p in others:
            p.requires_grad_(False)
        model.zero_grad()
        total, terms = losses[player](images)
        total.backward(retain_graph=True)
        for p in others:
            p.requires_grad_(True)
        assert torch.isfinite(total), f"the loss of {player} is {total}"
        for name, term in terms.items():
            assert torch.isfinite(term), f"{name} of {player} is {term}"
        for name, p in model.named_parameters():
            if any(p is q for q in mine):
                assert p.grad is not None, f"{name} gets no gradient in the turn of {player}"
                assert torch.isfinite(p.grad).all(), f"the gradient of {name} in the turn of {player} is not finite"
        if player == "D":
            generators = [p for net in model.networks("G") for p in net.parameters()]
            assert all(p.grad is None for p in generators), "the fakes of D's turn must be detached"


def check_translation(model: Translator, sizes: Sequence[tuple[int, int]] = SIZES) -> None:
    """Check that `translate` takes images of any size in each direction and keeps size and range [-1, 1]."""
    model.eval()
    with torch.no_grad():
        for direction in model.directions:
            for size in sizes:
                translated = model.translate(torch.zeros(1, 3, *size), direction)
                assert translated.shape[-2:] == size, f"{direction}: {size} becomes {tuple(translated.shape[-2:])}"
                assert translated.abs().max() <= 1, f"{direction} leaves [-1, 1]"


def check_training(config: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Check that two iterations train, and that the checkpoint is plain and fits the method of its config.

    Returns: the checkpoint.
    """
    run = train(_shorter(config, 2, folder))
    content: dict[str, Any] = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert content["iteration"] == 2
    rebuilt = build(content["config"]["model"], in_config(config["allow"]), channels_A=3, channels_B=3)
    before = copy.deepcopy(dict(rebuilt.state_dict()))
    rebuilt.load_state_dict(content["state_dict"])
    assert differences(before, dict(rebuilt.state_dict())), "two iterations change no weight"
    return content


def check_resume(config: Mapping[str, Any], folder: Path) -> None:
    """Check that six iterations, and three and then three more, give the same checkpoint bit for bit.

    Each of them validates after every third iteration, whatever the config says.
    """
    config = {**config, "trainer": config["trainer"] | {"val_every": 3}}
    whole = train(_shorter(config, 6, folder / "whole"))
    parts = train(_shorter(config, 3, folder / "parts"))
    train(_shorter(config, 6, parts, resume="last"))
    a, b = (checkpoint.load(run / "checkpoints" / "last.ckpt") for run in (whole, parts))
    for content in (a, b):
        del content["config"], content["best"]
    found = differences(a, b)
    assert not found, f"after a resume there differ {', '.join(found[:8])}"


def _shorter(config: Mapping[str, Any], steps: int, folder: Path, **changed: Any) -> dict[str, Any]:
    trainer = config["trainer"] | {"max_steps": steps}
    return {**config, "trainer": trainer, "run_dir": str(folder), **changed}


class MethodContract:
    """Tests of a method: inherit them in a class whose name begins with Test.

    Attributes:
        overrides: of the training: `("model=mine", "allow=[mylab.]")`.
        config_dir: the folder of its YAML files.
        names: of pictures that `generate` may give.
    """

    overrides: ClassVar[Sequence[str]]
    config_dir: ClassVar[Path | None] = None
    names: ClassVar[frozenset[str]] = NAMES | BRANCHES

    def config(self) -> dict[str, Any]:
        """Return the config of a small training."""
        return small_config(*self.overrides, config_dir=self.config_dir)

    def test_images_have_standard_names_shapes_and_range(self) -> None:
        check_images(build_model(self.config()), example_batch(), self.names)

    def test_each_turn_moves_its_own_player_only(self) -> None:
        check_turns(build_model(self.config()), example_batch())

    def test_any_size_in_the_same_size_out(self) -> None:
        check_translation(build_model(self.config()))

    def test_two_iterations_train_and_the_checkpoint_is_plain(self, tmp_path: Path) -> None:
        check_training(self.config(), tmp_path / "run")

    def test_a_resume_is_exact(self, tmp_path: Path) -> None:
        check_resume(self.config(), tmp_path)


# Networks


def check_generator(
    make: Callable[..., nn.Module], sizes: Sequence[tuple[int, int]] = (*SIZES, (5, 9)), out_channels: int = 1
) -> None:
    """Check that a generator keeps any size, gives [-1, 1], trains all weights, and keeps `per_sample`.

    Args:
        make: called as `make(in_channels=..., out_channels=...)`, as methods do.
        sizes: height and width of the images.
        out_channels: of 3 in; 3 for a generator that begins at its input.
    """
    torch.manual_seed(0)
    network = make(in_channels=3, out_channels=out_channels)
    for size in sizes:
        x = torch.rand(2, 3, *size) * 2 - 1
        y = network(x)
        assert y.shape == (2, out_channels, *size), f"{tuple(x.shape)} becomes {tuple(y.shape)}"
        assert y.abs().max() <= 1, "the output leaves [-1, 1]"
        _check_alone(network, x, [y], lambda one: [network(one)])
    _check_gradients(network, lambda: network(torch.rand(1, 3, 32, 32) * 2 - 1).square().mean())
    precise = copy.deepcopy(network).eval().double()
    assert precise(torch.zeros(1, 3, 32, 32, dtype=torch.float64)).dtype == torch.float64, "float64 does not pass"


def check_discriminator(make: Callable[..., nn.Module], size: int = 64) -> None:
    """Check that a discriminator gives finite logits [B, 1, h, w] or several, all gradients, and `per_sample`.

    Args:
        make: called as `make(in_channels=...)`, as methods do.
        size: side of the pictures; 64 is enough for patches of 70x70.
    """
    torch.manual_seed(0)
    network = make(in_channels=3)
    images = (torch.rand(2, 3, size, size) * 2 - 1).requires_grad_()

    def logits(batch: Tensor = images) -> list[Tensor]:
        return maps_of(network(batch))

    maps = logits()
    for map_ in maps:
        shape = tuple(map_.shape)
        assert len(shape) == 4, f"logits have the shape {shape}, not [B, 1, h, w]"
        assert shape[:2] == (2, 1), f"logits have the shape {shape}, not [B, 1, h, w]"
        assert torch.isfinite(map_).all(), "a logit is not finite"
    _check_alone(network, images, maps, logits)
    _check_gradients(network, lambda: torch.stack([map_.square().mean() for map_ in logits()]).sum())
    learned = images.grad is not None and bool(images.grad.abs().max() > 0)
    assert learned, "the input gets no gradient: G could not learn"


def _check_alone(
    network: nn.Module, images: Tensor, together: list[Tensor], call: Callable[[Tensor], list[Tensor]]
) -> None:
    """Check that a network whose passes may be joined gives for each image alone what it gave for all together."""
    if can_join(network):
        for both, *apart in zip(together, *map(call, images.split(1)), strict=True):
            found = (torch.cat(apart) - both).abs().max() < PROMISED
            assert found, "per_sample is True, and a picture depends on others of its batch"


def _check_gradients(network: nn.Module, loss: Callable[[], Tensor]) -> None:
    network.zero_grad()
    loss().backward()
    for name, p in network.named_parameters():
        if p.requires_grad:
            assert p.grad is not None, f"{name} gets no gradient"
            assert torch.isfinite(p.grad).all(), f"the gradient of {name} is not finite"


class GeneratorContract:
    """Tests of a generator: inherit them and write `make`."""

    def make(self, *, in_channels: int, out_channels: int) -> nn.Module:
        """Make a small one for images of these channels."""
        raise NotImplementedError

    def test_it_keeps_what_a_generator_promises(self) -> None:
        check_generator(self.make)


class DiscriminatorContract:
    """Tests of a discriminator: inherit them and write `make`."""

    def make(self, *, in_channels: int) -> nn.Module:
        """Make a small one for images of these channels."""
        raise NotImplementedError

    def test_it_keeps_what_a_discriminator_promises(self) -> None:
        check_discriminator(self.make)


# Losses, metrics and data


def check_loss(loss: Callable[..., Tensor], *inputs: Tensor) -> None:
    """Check that a loss is a finite scalar with the right derivative by its first input, by differences in float64.

    Args:
        loss: tensors in, a scalar out.
        *inputs: small ones, such as [2, 3, 4, 4], as each value of the first is varied by itself.
    """
    precise = [x.detach().double() for x in inputs]
    value = loss(*precise)
    assert value.shape == (), f"a loss is a scalar, and this one has the shape {tuple(value.shape)}"
    assert torch.isfinite(value), f"the loss is {value}"
    assert torch.autograd.gradcheck(lambda x: loss(x, *precise[1:]), precise[0].requires_grad_())


def check_metric(score: Callable[[Tensor, Tensor], Tensor], channels: int = 3) -> None:
    """Check that a score of pairs is finite, [B], does not depend on the rest of the batch, and changes no image.

    Args:
        score: pictures [B, C, H, W] in [-1, 1] twice -> [B].
    """
    random = torch.Generator().manual_seed(0)
    images, others = (torch.rand(3, channels, 32, 32, generator=random) * 2 - 1 for _ in range(2))
    before = images.clone(), others.clone()
    values = score(images, others)
    assert values.shape == (3,), f"three pairs get a score of the shape {tuple(values.shape)}, not [3]"
    assert torch.isfinite(values).all(), f"the scores are {values.tolist()}"
    apart = torch.cat([score(one, other) for one, other in zip(images.split(1), others.split(1), strict=True)])
    assert torch.allclose(values, apart, atol=PROMISED), "the score of a pair depends on others of its batch"
    assert not differences(before, (images, others)), "the score changes the pictures that it is given"


def check_data(make: Callable[[], UnpairedDataModule], positions: int = 4) -> None:
    """Check that a data set gives the same items every time, in range, of one size, and has validation pictures."""
    data, again = make(), make()
    for one in (data, again):
        one.setup()
    for position in range(positions):
        item = data.train_set[position]
        assert not differences(item, again.train_set[position]), f"position {position} is not the same every time"
        batch = data.on_after_batch_transfer({domain: item[domain][None] for domain in "AB"}, 0)
        for domain, images in batch.items():
            assert images.shape[:2] == (1, data.channels[domain]), f"{domain} has the shape {tuple(images.shape[1:])}"
            assert images.dtype == torch.float32, f"{domain} is {images.dtype}, not float32"
            assert images.abs().max() <= 1, f"{domain} leaves [-1, 1]"
    assert len(data.val_set) > 0, "there is no picture to look at"
    assert not differences(data.describe(), again.describe()), "describe() is not the same every time"


class LossContract:
    """Tests of a loss: inherit them and write `loss` and `inputs`."""

    def loss(self, *inputs: Tensor) -> Tensor:
        raise NotImplementedError

    def inputs(self) -> tuple[Tensor, ...]:
        """Return small tensors that the loss takes; two sets of images unless overridden."""
        random = torch.Generator().manual_seed(0)
        a, b = (torch.rand(2, 3, 4, 4, generator=random) * 2 - 1 for _ in range(2))
        return a, b

    def test_it_keeps_what_a_loss_promises(self) -> None:
        check_loss(self.loss, *self.inputs())


class MetricContract:
    """Tests of a score of pairs: inherit them and write `score`."""

    def score(self, images: Tensor, others: Tensor) -> Tensor:
        raise NotImplementedError

    def test_it_keeps_what_a_metric_promises(self) -> None:
        check_metric(self.score)


class DataContract:
    """Tests of a data set: inherit them and set `overrides`, as of `MethodContract`."""

    overrides: ClassVar[Sequence[str]]
    config_dir: ClassVar[Path | None] = None

    def make(self) -> UnpairedDataModule:
        config = composed(["run_dir=unused", *self.overrides], self.config_dir)
        data = build(config["data"], in_config(config["allow"]))
        assert isinstance(data, UnpairedDataModule), f"{type(data).__name__} is no UnpairedDataModule"
        return data

    def test_it_keeps_what_a_data_set_promises(self) -> None:
        check_data(self.make)
