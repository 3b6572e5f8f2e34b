"""Networks: tensors in, tensors out; no loss, no optimiser, no device."""

from gan_style.networks.adain import AdaINDecoder
from gan_style.networks.init import initialize
from gan_style.networks.patch_projector import PatchProjector
from gan_style.networks.patchgan import MultiScaleDiscriminator, PatchDiscriminator, PixelDiscriminator
from gan_style.networks.resnet import ResnetGenerator
from gan_style.networks.style_discriminator import ConditionalDiscriminator, VGGDiscriminator
from gan_style.networks.styled import MappingNetwork, StyledGenerator, StyleEncoder
from gan_style.networks.two_branch import TwoBranchGenerator
from gan_style.networks.unet import UNetGenerator
from gan_style.networks.vgg import VGG

# The functions `adain`, `fast_convolutions` and `winograd` have the names of their modules and stay there.
__all__ = [
    "VGG",
    "AdaINDecoder",
    "ConditionalDiscriminator",
    "MappingNetwork",
    "MultiScaleDiscriminator",
    "PatchDiscriminator",
    "PatchProjector",
    "PixelDiscriminator",
    "ResnetGenerator",
    "StyleEncoder",
    "StyledGenerator",
    "TwoBranchGenerator",
    "UNetGenerator",
    "VGGDiscriminator",
    "initialize",
]
