"""The generator and discriminator configs write out every option and build the published networks."""

import inspect
from pathlib import Path

import pytest
import torch
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig, OmegaConf

CONF = Path(__file__).parents[2] / "conf" / "model"
PARAMETERS = {
    "generator/resnet9": 11_378_179,
    "generator/resnet9_antialiased": 11_378_179,
    "generator/resnet6": 7_837_699,
    "generator/mobile": 349_891,
    "generator/unet256": 54_409_603,
    "generator/unet128": 41_825_667,
    "generator/painter": 782_804,
    "generator/path": 11_427_731,
    "generator/bridge": 7_514_883,
    "generator/attention": 278_959_808,
    "generator/attention_light": 10_589_888,
    "generator/munit": 15_026_187 - 2_764_936,  # without the style encoder
    "generator/unit": 8_780_163,
    "generator/stylegan2": 3_068_404,
    "discriminator/patch70": 2_764_737,
    "discriminator/patch84": 2_764_737,
    "discriminator/timed": 3_143_041,
    "discriminator/pixel": 8_705,
    "discriminator/stylegan2": 5_885_473,
    "discriminator/multiscale": 2 * 2_764_737,
    "discriminator/three_scales": 8_271_171,
}
DIFFERENT = {"generator/resnet6": {"blocks": 6}, "generator/unet128": {"depth": 7}}
DIFFERENT["generator/resnet9_antialiased"] = {"upsample": "bilinear", "downsample": "blur", "init": "xavier"}
DIFFERENT["generator/mobile"] = {"filters": 32, "upsample": "blur", "separable": True}
DIFFERENT["discriminator/patch84"] = {"downsample": "blur", "init": "xavier"}
DIFFERENT["generator/attention_light"] = {"image_size": None}
DIFFERENT["discriminator/three_scales"] = {"scales": 3, "layers": 4, "norm": "none", "last": "pixel"}
DIFFERENT["generator/painter"] = {
    **{"filters": 16, "depth": 4, "upsample": "blur"},
    **{"head": "band", "full_size_skip": True, "fine_filters": 16, "noise": True, "padding": "reflect"},
}


def options_of(name: str) -> DictConfig:
    """A config as it stands in a run on pictures of the published size."""
    return OmegaConf.create({"data": {"image_size": 256}, "network": OmegaConf.load(CONF / f"{name}.yaml")}).network


@pytest.mark.parametrize("name", PARAMETERS)
def test_config_builds_the_published_network(name: str) -> None:
    factory = instantiate(options_of(name))
    channels = {"in_channels": 3} | ({"out_channels": 3} if name.startswith("generator") else {})
    with torch.device("meta"):
        net = factory(**channels)
    assert sum(parameter.numel() for parameter in net.parameters()) == PARAMETERS[name]


@pytest.mark.parametrize("name", PARAMETERS)
def test_config_lists_every_option_with_its_default(name: str) -> None:
    path = CONF / f"{name}.yaml"
    options = OmegaConf.to_container(options_of(name), resolve=True)
    target = get_class(options.pop("_target_"))
    assert options.pop("_partial_") is True
    signature = inspect.signature(target).parameters.values()
    defaults = {one.name: one.default for one in signature if one.kind is one.KEYWORD_ONLY}
    assert options == defaults | DIFFERENT.get(name, {})
    assert list(options) == list(defaults)
    assert path.read_text().startswith("# ")
