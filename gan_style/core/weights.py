"""Files of weights: found, read safely, and identified by their hash."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gan_style.core import torch_files
from gan_style.core.errors import UserError
from gan_style.core.memory import raise_if_out
from gan_style.core.paths import absent, expanded


def read(path: str | Path, what: str) -> tuple[dict[str, Tensor], str]:
    """Read the state dict of a file, and return it with the sha256 of the file's bytes.

    Only tensors are read (`weights_only`), so that no file can run code.

    Args:
        path: the file, of torch.save or .safetensors.
        what: what should be in it, for the message: `an Inception network`.

    Raises:
        UserError: no such file, or not a state dict.
    """
    content, sha256 = read_whole(path, what)
    return _named(content), sha256


def read_whole(path: str | Path, what: str) -> tuple[Mapping[Any, Any], str]:
    """Read a file as `read` does, and return all of its content: beside tensors also dicts, lists and plain values."""
    path = expanded(path)
    if not path.is_file():
        raise UserError(f"there is no file {absent(path)} with weights of {what}: check the path")
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    content = _tensors(path) if path.suffix == ".safetensors" else torch_files.read(path, f"weights of {what}")
    if not isinstance(content, Mapping):
        raise UserError(f"{path} holds no state dict: expected weights of {what} by name")
    return content, sha256


def read_networks(path: str | Path, what: str) -> tuple[dict[str, dict[str, Tensor]], str]:
    """Read a file as `read` does, and the state dicts inside its dicts, by their names; that of the file itself by "".

    Those of optimisers are no state dicts of networks: their tensors lie deeper.
    """
    content, sha256 = read_whole(path, what)
    inside = {str(key): _named(value) for key, value in content.items() if isinstance(value, Mapping)}
    found = {"": _named(content), **inside}
    return {key: state for key, state in found.items() if state}, sha256


def _named(content: Mapping[Any, Any]) -> dict[str, Tensor]:
    return {str(key): value for key, value in content.items() if isinstance(value, Tensor)}


def _tensors(path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except Exception as error:  # safetensors' error class is not public
        raise_if_out(error, f"{path} was read")
        raise UserError(f"{path} is no whole .safetensors file: copy it again or name another file") from error


def fill(module: nn.Module, state: Mapping[str, Tensor], what: str) -> None:
    """Load a state dict that must fit exactly."""
    try:
        module.load_state_dict(dict(state))
    except RuntimeError as error:
        raise_if_out(error)
        raise UserError(f"these weights are not those of {what}: names or shapes differ, take another file") from error
    if not all(bool(value.isfinite().all()) for value in state.values()):
        raise UserError(f"these weights of {what} hold values that are NaN or infinite: take another file")


def hub(url: str, what: str) -> Path:
    """Return the path of a published file in torch hub's cache; downloaded if missing, checked by the hash in its name.

    Raises:
        UserError: it is not there and cannot be downloaded; says where to put it.
    """
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]
    if path.is_file():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        prefix = path.stem.rsplit("-", 1)[-1]
        torch.hub.download_url_to_file(url, str(path), hash_prefix=prefix, progress=False)
    except Exception as error:  # urllib, the disk and the hash check have no common class
        raise UserError(
            f"the weights of {what} are not in {path.parent} and cannot be downloaded "
            f"({' '.join(str(error).split())[:80]}): put {url} there, or name a local file"
        ) from error
    return path


def digest(module: nn.Module) -> str:
    """Compute the sha256 of the names and values of a module's state, for networks that come from no file."""
    total = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        if isinstance(value, Tensor):
            total.update(f"{name}{tuple(value.shape)}{value.dtype}".encode())
            total.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return total.hexdigest()
