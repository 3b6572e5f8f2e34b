"""The config of a command, and Hydra's errors in one sentence."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from typing import Any

# Before anything imports it: albumentations asks the package index for a newer version of itself.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
# OpenMP's threads spin while they wait; beside any other busy process that costs a CPU run a multiple of its time.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import hydra
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from gan_style.core.config import config_dir, did_you_mean, plain
from gan_style.core.errors import UserError


def composed(words: Sequence[str], name: str = "plan") -> dict[str, Any]:
    """The plain config that `train` would get of these words, for a verb that trains no run.

    Args:
        name: of the run, where the words give none: without a command Hydra does not know what one is called after.

    Raises:
        UserError: a word that is not known or cannot be read.
    """
    try:
        with hydra.initialize_config_dir(str(config_dir()), version_base="1.3"):
            config: dict[str, Any] = plain(hydra.compose("train", [f"name={name}", *words]))
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(explain(error)) from error
    except ValueError as error:  # Hydra's own, such as for model=null
        raise UserError(f"{' '.join(str(error).split())}: see gan-style train --help") from error
    return config


def explain(error: Exception) -> str:
    """Hydra's and OmegaConf's messages in one sentence that names the key and the nearest valid one."""
    text = " ".join(str(error).split())
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, choice = error.missing_cfg_file.rpartition("/")
        if error.options:
            return (
                f"{group}={choice} is not known{did_you_mean(choice, error.options)} (all: {', '.join(error.options)})"
            )
        return f"there is no config {error.missing_cfg_file} in {config_dir()}"
    unknown = re.search(r"Could not override '([\w./@]+)'", text)
    if unknown:
        return f"{unknown[1]} is not a known key{_nearest_key(unknown[1])}"
    missing = re.search(r"full_key: ([\w.]+)", text)
    if missing and "Missing mandatory value" in text:
        return f"{missing[1]} must be given: add {missing[1]}=VALUE to the command"
    if isinstance(error, OverrideParseException):
        word = error.override or "an override"
        key, _, value = word.partition("=")
        quoted = f": put quotes around its value, as in '{key}=\"{value}\"'" if value else ""
        return f"{word} cannot be read{quoted}"
    return text.split(" See https")[0]


def _nearest_key(key: str) -> str:
    """Compose what is left of the command to learn which keys there are."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    words = [w for w in sys.argv[1:] if "=" in w and not w.lstrip("+~").startswith((f"{key}=", "hydra."))]
    groups = [w for w in words if "." not in w.split("=")[0]]
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(config_dir()), version_base="1.3"):
            node: Any = compose("train", groups)
    except Exception:
        return ""
    *parents, last = re.split(r"[./]", key)
    for parent in parents:
        if not isinstance(node, DictConfig) or parent not in node:
            break
        node = node[parent]
    return did_you_mean(last, node) if isinstance(node, DictConfig) else ""
