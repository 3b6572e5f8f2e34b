"""Structure of a picture by a DINO network: self-similarity of its positions (Tumanyan et al. 2022, Splice)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import VisionTransformer

from gan_style.core.errors import UserError
from gan_style.core.weights import fill, read
from gan_style.networks.vgg import MEAN, STD

HEAD = 64  # channels of an attention head, in every network of DINO
NAMES = {  # DINO's (Caron et al. 2021) -> torchvision's
    "cls_token": "class_token",
    "pos_embed": "encoder.pos_embedding",
    "patch_embed.proj.": "conv_proj.",
    r"blocks\.(\d+)\.norm1\.": r"encoder.layers.encoder_layer_\1.ln_1.",
    r"blocks\.(\d+)\.norm2\.": r"encoder.layers.encoder_layer_\1.ln_2.",
    r"blocks\.(\d+)\.attn\.qkv\.": r"encoder.layers.encoder_layer_\1.self_attention.in_proj_",
    r"blocks\.(\d+)\.attn\.proj\.": r"encoder.layers.encoder_layer_\1.self_attention.out_proj.",
    r"blocks\.(\d+)\.mlp\.fc1\.": r"encoder.layers.encoder_layer_\1.mlp.0.",
    r"blocks\.(\d+)\.mlp\.fc2\.": r"encoder.layers.encoder_layer_\1.mlp.3.",
    "norm.": "encoder.ln.",
}


class StructureDistance(nn.Module):
    """Mean square difference of self-similarities, [B, 3, H, W] twice -> [B], 0 for equal pictures.

    The self-similarity of a picture holds the cosines between the keys of all pairs of tokens in the last attention
    layer (Tumanyan et al. 2022, section 3.1): layout without appearance. The network, its depth, width
    and patch are read from the file; pictures are resized to the side that it was trained on.

    Args:
        weights: a file of DINO's form (`blocks.0.attn.qkv.weight`, ...), e.g. dino_deitsmall8_pretrain.pth.

    Raises:
        UserError: the file cannot be read or is of another form.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, weights: str | Path) -> None:
        super().__init__()
        state, self.sha256 = read(weights, "a DINO network")
        self.net = _transformer(state, weights)
        self.name = f"structure_dino_{self.sha256[:8]}"
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None])
        self.register_buffer("std", torch.tensor(STD)[:, None, None])
        self.requires_grad_(False).eval()

    def self_similarity(self, images: Tensor) -> Tensor:
        """Return cosines between the keys of tokens, the class token first: [B, T, T]."""
        x = images.float().expand(-1, 3, -1, -1)
        side = (self.net.image_size,) * 2
        if x.shape[-2:] != side:
            x = F.interpolate(x, side, mode="bilinear", align_corners=False, antialias=True)
        tokens = self.net.conv_proj(((x + 1) / 2 - self.mean) / self.std).flatten(2).mT
        tokens = torch.cat([self.net.class_token.expand(len(x), -1, -1), tokens], dim=1)
        tokens = tokens + self.net.encoder.pos_embedding
        *layers, last = self.net.encoder.layers
        for layer in layers:
            tokens = layer(tokens)
        attention, width = last.self_attention, self.net.hidden_dim
        keys = slice(width, 2 * width)  # queries, keys, values
        found = F.linear(last.ln_1(tokens), attention.in_proj_weight[keys], attention.in_proj_bias[keys])
        found = F.normalize(found, dim=-1)
        return found @ found.mT

    def forward(self, images: Tensor, others: Tensor) -> Tensor:
        return (self.self_similarity(images) - self.self_similarity(others)).square().mean(dim=(1, 2))

    def train(self, mode: bool = True) -> StructureDistance:
        """Stay in evaluation mode."""
        return super().train(False)


def _transformer(state: Mapping[str, Tensor], path: str | Path) -> VisionTransformer:
    depth = len({key.split(".")[1] for key in state if re.fullmatch(r"blocks\.\d+\.attn\.qkv\.weight", key)})
    patch, positions = (state.get(key, torch.empty(0)) for key in ("patch_embed.proj.weight", "pos_embed"))
    if not depth or patch.dim() != 4 or positions.dim() != 3 or "blocks.0.mlp.fc1.weight" not in state:
        raise UserError(f"{path} is not of DINO's form: expected blocks.0.attn.qkv.weight and the rest by these names")
    width, side = len(patch), patch.shape[-1]
    if width % HEAD:
        raise UserError(f"{path} is not of DINO's form: its width {width} is no multiple of {HEAD}, which a head has")
    net = VisionTransformer(
        image_size=round((positions.shape[1] - 1) ** 0.5) * side,
        patch_size=side,
        num_layers=depth,
        num_heads=width // HEAD,
        hidden_dim=width,
        mlp_dim=len(state["blocks.0.mlp.fc1.weight"]),
    )
    net.heads = nn.Identity()
    renamed = {}
    for key, value in state.items():
        pattern = next((old for old in NAMES if re.match(old, key)), None)
        if pattern is not None:  # the heads of DINO's training are left out
            renamed[re.sub(f"^{pattern}", NAMES[pattern], key)] = value
    fill(net, renamed, "a DINO network")
    return net
