"""Checks of a training command before its pictures are read, or before a run folder is created."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from gan_style.checkpoints import checkpoint
from gan_style.core.allowed import in_config
from gan_style.core.config import target_of, with_defaults
from gan_style.core.errors import UserError
from gan_style.core.paths import absent, expanded
from gan_style.core.sizes import as_given, height_width
from gan_style.data.datamodule import UnpairedDataModule
from gan_style.models.translator import Translator
from gan_style.networks.contract import TRIED_SIDE, judges_of, minimum_size, narrowest
from gan_style.networks.recomputed import blocks_of
from gan_style.networks.wrap import wrapping
from gan_style.training import arithmetic
from gan_style.training.trainer import TrainerSettings

MAX_NAMES_SHOWN = 4  # in a message
# Settings that do not change the results, or whose effect is compared by `arithmetic.changes`. Paths of pictures are
# among them, because the pictures themselves are compared.
SAME_NUMBERS = {  # how many and which pictures there are is said by their own comparison
    "data": "num_workers cache on_error root A B test_A test_B content styles test_content "
    "set url archive sha256 name_A name_B count unshared",
    "model": "warm_start teacher",
    "callbacks": "image_grid truth_scores set_scores cycle_scores noise_scores",
    "trainer": "accelerator devices num_nodes strategy precision fast_convolutions compile checkpointing profiler "
    "sync_batchnorm max_steps max_epochs val_every save_every log_every",
}


def check_resumable(resume: Mapping[str, Any], path: Path | None) -> None:
    """Raise a UserError if a checkpoint was exported or imported, and so holds no training state."""
    if not resume["optimizers"]:
        raise UserError(
            f"{path} holds weights and no state of a training: resume= wants a checkpoint of a run, such as last.ckpt"
        )


# Settings of a discriminator that are losses and no architecture: a note tells of them, as of a lambda.
LOSSES_OF_JUDGES = ("model.discriminator.weights", "model.discriminator.gan_modes")


def check_architecture(config: Mapping[str, Any], resume: Mapping[str, Any], path: Path | None) -> None:
    """Check that the networks of a checkpoint are those of the command, before anything is built.

    Raises:
        UserError: names the first setting that differs.
    """
    nodes = {**checkpoint.parts(resume["config"]["model"]), **checkpoint.parts(config["model"])}
    # A method makes networks by factories, of the channels of its pictures; a loss is there as it is, and so is a VGG.
    networks = [key for key, node in nodes.items() if node.get("_partial_")]
    for part in ("_target_", *networks):
        saved, now = resume["config"]["model"].get(part), config["model"].get(part)
        saved = _completed(saved, now, in_config(config["allow"]))
        changes = checkpoint.differences(saved, now, f"model.{part}")
        found = next((one for one in changes if not one.startswith(LOSSES_OF_JUDGES)), None)
        if found:
            raise UserError(f"{path} is of another architecture: {found}")


def differences(
    config: Mapping[str, Any], resume: Mapping[str, Any], data: Mapping[str, Any], settings: TrainerSettings
) -> Iterator[str]:
    """Yield sentences about settings, pictures and machine that differ from those of a checkpoint.

    Args:
        config, resume: of the command, and the content of the checkpoint.
        data: description of the pictures, see `UnpairedDataModule.describe`.
        settings: of the command's trainer.
    """
    for found in (*_of_settings(config, resume), *_of_penalties(resume), *_of_images(resume, data)):
        yield f"{found}; {arithmetic.NOT_EXACTLY}"
    yield from arithmetic.changes(settings, data["preprocessing"]["image_size"], resume)


def _of_settings(config: Mapping[str, Any], resume: Mapping[str, Any]) -> Iterator[str]:
    for group in ("seed", "data", "model", "callbacks", "trainer"):
        here = config.get(group)
        saved = _completed(resume["config"].get(group), here, in_config(config["allow"]))
        same = {f"{group}.{key}" for key in SAME_NUMBERS.get(group, "").split()}
        for found in checkpoint.differences(saved, here, group):
            key = ".".join(found.split("=")[0].split(".")[:2])
            if key not in same:
                yield found


def _of_penalties(resume: Mapping[str, Any]) -> Iterator[str]:
    """Yield that a weight means something else than in the version that saved, which had no `penalty_every`."""
    model = resume["config"]["model"]
    for key in ("lambda_r1", "lambda_gp"):
        if model.get(key) and "penalty_every" not in model and "r1_every" not in model:
            yield f"model.{key} was the weight of a sum over the places of the discriminator and is that of their mean"


def _of_images(resume: Mapping[str, Any], data: Mapping[str, Any]) -> Iterator[str]:
    then, there = resume["preprocessing"].get("pictures", {}), data["preprocessing"]["pictures"]
    for part in (part for part in there if part in then):
        counts = [images["count"] for images in (then[part], there[part])]
        # Names are compared only where the content is not known: renamed files give the same results.
        known = "content" if "content" in then[part] and "content" in there[part] else "names"
        if counts[0] != counts[1] or then[part][known] != there[part][known]:
            kind, domain = "validation" if part.startswith("test_") else "training", part[-1]
            also = "; others of the same number" if counts[0] == counts[1] else ""
            yield f"domain {domain} had {counts[0]} {kind} pictures and has {counts[1]}{also}"


def _completed(saved: Any, now: Any, allowed: Sequence[str]) -> Any:
    """Add to a saved config the defaults of keys that were added to the package since."""
    if not (isinstance(saved, Mapping) and isinstance(now, Mapping)):
        return saved
    if "_target_" in saved and saved["_target_"] == now.get("_target_"):
        target = target_of(now, allowed)
        whole = {
            key: _own(target, key) if value is None else value for key, value in with_defaults(saved, allowed).items()
        }
        saved = {key: value for key, value in whole.items() if key in saved or key in now}
    return {key: _completed(value, now.get(key), allowed) for key, value in saved.items()}


def _own(target: Any, key: str) -> Any:
    """Return what a method has as its own where a setting is None, such as `gan_mode`; None where it has nothing."""
    value = getattr(target, key, None)
    return value if isinstance(value, str | float) else None


def check_styles(resume: Mapping[str, Any], names: Sequence[str], path: Path | None) -> None:
    """Check that the data has the styles that a checkpoint has learned, in the same order.

    Raises:
        UserError: names the first difference.
    """
    learned = list(resume.get("styles") or ())
    if learned == list(names):
        return
    gone, new = ([name for name in a if name not in b] for a, b in ((learned, names), (names, learned)))
    parts = [
        f"{word} {', '.join(some[:MAX_NAMES_SHOWN])}" for word, some in (("no longer", gone), ("now", new)) if some
    ]
    raise UserError(
        f"{path} has learned {len(learned)} named styles, but the data has {len(names)} ({'; '.join(parts)}): give the "
        "styles their names and number of then, or begin a new run with model.warm_start"
    )


def check_weights(model: Translator, resume: Mapping[str, Any], path: Path | None) -> None:
    """Check that the tensors of a checkpoint fit the model that was built, before the run folder changes.

    Raises:
        UserError: one has another shape, such as that of pictures with other channels, or is missing.
    """
    then, now = (
        {name: tuple(getattr(x, "shape", ())) for name, x in s.items()}
        for s in (resume["state_dict"], model.state_dict())
    )
    found = next(checkpoint.differences(then, now, "tensor"), None)
    if found:
        raise UserError(f"{path} is of another architecture: {found}")


def check_beginning(init_from: str | None, warm_start: str | None) -> None:
    """Check that the file with which a new run begins, `init_from` or `model.warm_start`, exists.

    Raises:
        UserError: there is no such file, or both are given.
    """
    for key, given in (("init_from", init_from), ("model.warm_start", warm_start)):
        if given == "":
            raise UserError(f"{key}= is empty: name a checkpoint, or leave it out")
        if given is not None and expanded(given).is_dir():
            raise UserError(
                f"{key}={given} is a folder: name a checkpoint in it, such as checkpoints/best.ckpt of a run"
            )
        if given is not None and not expanded(given).is_file():
            raise UserError(f"there is no checkpoint {absent(given)}: check {key}")
    if init_from is not None and warm_start is not None:
        raise UserError(
            "init_from and model.warm_start both say with which weights to begin: leave one out (init_from takes whole "
            "networks, model.warm_start single tensors)"
        )


def check_wrap(model: Translator, data: UnpairedDataModule, settings: TrainerSettings) -> None:
    """Pass a picture that goes round through the generators, where those of the data do.

    Where pictures have sizes of their own, one of the smallest's size is passed, too, if it is known.

    Raises:
        UserError: its side is no multiple of a network's stride, or a network ties weights to places.
    """
    if data.wrap is None:
        return
    if model.optimizes_images:
        raise UserError("data.wrap is for generators, and this model optimises the pictures themselves: leave it out")
    if settings.compile != "off":
        raise UserError("data.wrap and trainer.compile do not go together: leave one of them out")
    model.eval()
    with torch.random.fork_rng(devices=[]), torch.no_grad(), wrapping(data.wrap):
        _translate_zeros(model, data, data.transform.size if data.transform.fixed_size else (TRIED_SIDE, TRIED_SIDE))
        if data.smallest:
            name, height, width = data.smallest
            try:
                _translate_zeros(model, data, (height, width))
            except UserError as error:
                raise UserError(f"{name} is {width}x{height} (width x height) in training, but {error}") from None
    model.train()


def _translate_zeros(model: Translator, data: UnpairedDataModule, size: tuple[int, int]) -> None:
    for direction in model.directions:
        model.translate(torch.zeros(1, data.channels[direction.source], *size), direction)


def check_image_sizes(model: Translator, data: UnpairedDataModule) -> None:
    """Check that crops suit the discriminators and their losses, before a run folder is created.

    Raises:
        UserError: names the sizes, or the loss that wants pictures of one size.
    """
    pairing = {"model.lambda_gp": model.lambda_gp, "model.lambda_gp0": model.lambda_gp0}
    if model.gan_mode is not None and model.gan.relative:
        pairing["an adversarial loss that is relativistic"] = 1.0
    for name, weight in pairing.items():
        if weight > 0 and not data.transform.fixed_size:
            raise UserError(
                f"{name} puts pictures of A and B, real and made, side by side and wants them of one size: take "
                "data.preprocess=resize_and_crop or crop, or leave it out"
            )
    name, *sides = data.smallest or ("", *height_width(data.image_size))
    for network in model.networks("D") if data.smallest or data.transform.fixed_size else ():
        needed = minimum_size(network)
        if min(sides) >= needed:
            continue
        part, judge = narrowest(network)
        kind, lower = type(part).__name__, "or lower the layers or scales of model.discriminator"
        if judge:
            kind, lower = f"{kind} (the judge {judge})", "or take another model/discriminator"
            if len(judges_of(network)[0]) > 1:
                lower = f"or leave that judge out, model.discriminator.judges.{judge}=null"
        if data.transform.fixed_size:
            raise UserError(
                f"data.image_size={as_given(data.image_size)} is too small for {kind}, which needs {needed} on each "
                f"side: raise it, {lower}"
            )
        height, width = sides
        preprocess = data.transform.preprocess
        remedy = "raise data.load_size"
        if preprocess == "none":
            remedy = "take data.preprocess=resize_and_crop, leave such pictures out"
        raise UserError(
            f"{name} is {width}x{height} (width x height) under data.preprocess={preprocess}, too small for {kind}, "
            f"which needs {needed}x{needed}: {remedy}, {lower}"
        )


def check_settings(model: Translator, settings: TrainerSettings, name: str) -> None:
    """Check that the method supports the settings of the trainer.

    Raises:
        UserError: float16 without loss scaling, or checkpointing without blocks to recompute.
    """
    if settings.precision == "16-mixed" and not model.takes_float16:
        raise UserError(f"trainer.precision=16-mixed does not work for {name}: take bf16-mixed or 32-true")
    if settings.checkpointing and not blocks_of(*model.networks("G")):
        raise UserError(
            f"trainer.checkpointing=true computes residual blocks again, and what {type(model).__name__} trains here "
            "has none: leave it out, or take model/generator=resnet9"
        )
