"""The config of a command, and Hydra's errors in one sentence."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Set before albumentations is imported: it asks the package index for a newer version of itself.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gan_style.core.choices import belonging, having
from gan_style.core.commands import typed_train
from gan_style.core.config import SPECIAL, plain
from gan_style.core.config import config_dir as our_configs
from gan_style.core.errors import UserError, did_you_mean
from gan_style.core.hydra_guard import composing, require_own_allow
from gan_style.core.paths import expanded, printable
from gan_style.core.quoting import one_line

MAX_OTHERS = 6  # configs named that have a key which this one has not


def composed(overrides: Sequence[str], config_dir: str | Path | None = None) -> dict[str, Any]:
    """Compose the plain config that the command `train` gets of these overrides, see `composed_of`."""
    return composed_of(overrides, config_dir)[0]


def composed_of(
    overrides: Sequence[str], config_dir: str | Path | None = None
) -> tuple[dict[str, Any], dict[str, str | None]]:
    """Compose the plain config that the command `train` gets, and say of which files.

    Args:
        overrides: of config keys, such as "model=cut".
        config_dir: a folder of the user's own configs, as `--config-dir` names it.

    Returns: the config, and group -> choice.

    Raises:
        UserError: an override or a folder that is not known or cannot be read, or a config that the command refuses.
    """
    given = [_text(override) for override in overrides]
    folders = [] if config_dir is None else [expanded(config_dir)]
    try:
        with composing(our_configs(), *folders):
            whole = hydra.compose("train", given, return_hydra_config=True)
            HydraConfig.instance().set_config(whole)  # run names are interpolated from it
            config = OmegaConf.masked_copy(whole, [str(key) for key in whole if key != "hydra"])
            found: dict[str, Any] = plain(config)
            require_own_allow(found.get("allow"), given)
            choices: dict[str, Any] = plain(whole.hydra.runtime.choices)
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(explain(error, given, folders)) from error
    except UserError:
        raise
    except ValueError as error:  # Hydra's own, such as for model=null
        raise UserError(f"{one_line(error)}: see {' '.join(typed_train())} --help") from error
    return found, {str(group): choice for group, choice in choices.items()}


def _text(override: object) -> str:
    if not isinstance(override, str) or override.startswith("-"):
        said = printable(one_line(repr(override)))[:80]
        raise UserError(f"{said} is no setting of a training: give texts such as 'model=cut'")
    return override


def explain(error: Exception, overrides: Sequence[str] | None = None, config_dirs: Sequence[Path] = ()) -> str:
    """Explain an error of Hydra or OmegaConf in one sentence that names the key and the nearest valid one.

    Args:
        error: raised by composing.
        overrides: that were composed; None for those of this process's command line.
        config_dirs: folders of configs beside our own.
    """
    text = one_line(error)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        given = (o.lstrip("+").partition("=") for o in (sys.argv[1:] if overrides is None else overrides))
        split = (error.missing_cfg_file.rpartition("/"), *given)
        group, _, choice = next(one for one in reversed(split) if f"{one[0]}/{one[2]}" == error.missing_cfg_file)
        if error.options:
            meant = " or ".join(belonging(group, choice, [our_configs(), *config_dirs]))
            nearest = f": write {meant}" if meant else did_you_mean(choice, error.options)
            every = ", ".join(error.options)
            return f"{group}={choice} is not known{nearest}" + ("" if every in nearest else f" (all: {every})")
        return f"there is no config {error.missing_cfg_file} in {our_configs()}"
    unknown = re.search(r"Could not override '([\w./@]+)'", text)
    if unknown:
        inner = str(getattr(error.__cause__, "full_key", None))  # of a value that is a node with a key of its own
        key = inner if inner.startswith(f"{unknown[1]}.") else unknown[1]
        nearest = _nearest_key(key, sys.argv[1:] if overrides is None else overrides, config_dirs)
        return f"{key} is not a known key{nearest}"
    missing = re.search(r"full_key: ([\w.]+)", text)
    if missing and "Missing mandatory value" in text:
        return f"{missing[1]} must be given: add {missing[1]}=VALUE to the command"
    if isinstance(error, OverrideParseException):
        override = error.override or "an override"
        key, _, value = override.partition("=")
        quoted = f": put quotes around its value, as in '{key}=\"{value}\"'" if value else ""
        return f"{override} cannot be read{quoted}"
    return text.split(" See https")[0]


def _nearest_key(key: str, overrides: Sequence[str], config_dirs: Sequence[Path]) -> str:
    """Suggest the nearest key among those of the other overrides' config."""
    overrides = [o for o in overrides if "=" in o and not o.lstrip("+~").startswith((f"{key}=", "hydra."))]
    groups = [o for o in overrides if "." not in o.split("=")[0]]
    try:
        with composing(our_configs(), *config_dirs):
            node: Any = hydra.compose("train", groups)
    except Exception:
        return ""
    *parents, last = re.split(r"[./]", key)
    for parent in parents:
        if not isinstance(node, DictConfig) or parent not in node:
            break
        node = node[parent]
    group = "/".join(parents)
    if others := having(group, last, [our_configs(), *config_dirs]) if group else []:
        more = f" and {len(others) - MAX_OTHERS} more" if len(others) > MAX_OTHERS else ""
        return f" here, but with {group}={', '.join(others[:MAX_OTHERS])}{more}"
    return did_you_mean(last, [key for key in node if key not in SPECIAL]) if isinstance(node, DictConfig) else ""
