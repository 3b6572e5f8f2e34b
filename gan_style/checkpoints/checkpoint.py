"""Checkpoints: one plain file that says what it is, written so that a crash never costs the last good one.

    format, version     of this layout and of gan_style
    config              the resolved config: dicts, lists and scalars
    iteration           batches done
    domains             of A and B: name, channels, dtype, low, high
    preprocessing       how a file became a tensor
    state_dict, ema     weights of every network; averaged weights of the generators
    optimizers, pools, gradients, callbacks, precision     what a resumed run needs beside them
    best                the rule that chooses best.ckpt, and what it chose so far
    init_from           name and hash of the file that its networks came from, where there was one
    teacher             the same of the file that a distillation learns from

`torch.load(path, weights_only=True)` opens it: nothing in it can run code. A `.safetensors` (see safetensors.py) holds
the same without what only training needs.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from gan_style.checkpoints import nested, safetensors
from gan_style.core import torch_files
from gan_style.core.errors import UserError
from gan_style.core.exit_status import FULL
from gan_style.core.memory import raise_if_out
from gan_style.core.paths import absent, why
from gan_style.core.plain_data import plain_copy
from gan_style.core.version import __version__

FORMAT = 1
SHIPPED = {"microast": Path(__file__).with_name("microast.safetensors")}  # models of the package itself, by name
# What every checkpoint of that format has.
PARTS = ("config", "iteration", "domains", "preprocessing", "state_dict", "optimizers", "pools", "callbacks", "best")

DESCRIPTIONS = (
    "config",
    "domains",
    "preprocessing",
    "best",
    "styles",
    "imported",
    "init_from",
    "teacher",
    "version",
    "wandb_id",
)


def save(content: Mapping[str, Any], path: Path, advice: str = "then go on with resume=last") -> None:
    """Write a checkpoint under a temporary name, then rename it.

    Raises:
        UserError: the disk is full or not writable; what was at `path` before is still there.
    """
    kept = f"; the checkpoint saved before it is whole: {path}" if path.exists() else ""
    with writing(path, f"{advice}{kept}") as temporary, open(temporary, "wb") as file:
        torch.save({"format": FORMAT, "version": __version__, **content}, file)


@contextlib.contextmanager
def writing(path: Path, advice: str = "or write somewhere else") -> Iterator[Path]:
    """Give a temporary path beside `path`, whose file is moved to `path` at the end of the `with` block.

    Raises:
        UserError: the disk is full or not writable; what was at `path` before is still there.
    """
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:
        raise_if_out(error, f"{path} was written")
        # torch's writer hides a full disk behind a RuntimeError of its own
        cause = error.__context__ if isinstance(error.__context__, OSError) else error
        if "DataLoader worker" in str(error):  # torch says that anywhere in the main process, as a signal handler does
            raise
        reason = why(cause) if isinstance(cause, OSError) else " ".join(str(cause).split())[:200]
        full = isinstance(cause, OSError) and cause.errno in FULL
        first = "free some space" if full else "check the folder, its rights and the disk"
        raise UserError(f"cannot save {path} ({reason}): {first}, {advice}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def copy(source: Path, target: Path) -> None:
    """Give a checkpoint a second name, by a hard link where the file system has them."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)
        os.replace(temporary, target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise UserError(f"cannot save {target} ({error.strerror}); {source} is whole") from error


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU, or a model of `SHIPPED` where no file has its name.

    Raises:
        UserError: no such file, not a checkpoint of gan_style, or one that would run code.
    """
    if not path.is_file():
        if str(path) not in SHIPPED:
            raise UserError(_no_file(path))
        path = SHIPPED[str(path)]
    tensors = path.suffix.lower() == safetensors.SUFFIX
    content = safetensors.read(path) if tensors else torch_files.read(path, "a checkpoint of gan_style")
    if not isinstance(content, dict) or not isinstance(content.get("format"), int):
        bare = isinstance(content, dict) and bool(nested.tensors_in(content, path))
        advice = " (gan-style import takes in the official net_G.pth)" if bare else ""
        raise UserError(f"{path} is not a checkpoint of gan_style: it has no format{advice}")
    if content["format"] > FORMAT:
        raise UserError(
            f"{path} was written by gan_style {content.get('version')}, which is newer than this {__version__}"
        )
    missing = [part for part in PARTS if part not in content]
    if missing:
        raise UserError(f"{path} is not a whole checkpoint of gan_style: it has no {', '.join(missing)}")
    for part in DESCRIPTIONS:
        if part in content:
            content[part], _ = plain_copy(content[part], f"{path}: {part}", interpolations=part != "config")
    return content


def _no_file(path: Path) -> str:
    """Say what is where a checkpoint was expected: nothing, or a folder, perhaps that of a run, which has some."""
    if not path.is_dir():
        return f"there is no checkpoint {absent(path)}"
    kept = sorted(found for place in (path, path / "checkpoints") for found in place.glob("*.ckpt"))
    return f"{path} is a folder: name a checkpoint" + (f" in it, such as {kept[0]}" if kept else "")


def parts(model: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the nodes of a method's config that make its networks and losses: no optimiser, no schedule.

    Args:
        model: the config of a method, of gan_style or of another package.
    """
    return {
        key: node
        for key, node in model.items()
        if isinstance(node, Mapping) and "_target_" in node and key != "schedule" and not key.startswith("optimizer_")
    }


def differences(saved: Any, now: Any, path: str = "model") -> Iterator[str]:
    """Yield `path=old there, path=new here` for each value in which two plain configs differ."""
    if isinstance(saved, Mapping) and isinstance(now, Mapping):
        for key in [*saved, *(k for k in now if k not in saved)]:
            yield from differences(saved.get(key), now.get(key), f"{path}.{key}")
    elif saved != now:
        yield f"{path}={_brief(saved)} there, {path}={_brief(now)} here"


def _brief(value: Any) -> str:
    """Write a value of a config in a sentence, of a node what it makes."""
    if isinstance(value, Mapping) and "_target_" in value:
        return f"a {str(value['_target_']).rpartition('.')[2]}"
    return "null" if value is None else str(value)
