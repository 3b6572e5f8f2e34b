"""Networks of another training, or of another tool, for a new training to begin with."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from gan_style.checkpoints import checkpoint
from gan_style.checkpoints.restore import fitting, naming
from gan_style.core.config import with_defaults
from gan_style.core.errors import UserError
from gan_style.core.paths import expanded
from gan_style.models.translator import Translator
from gan_style.models.warm_start import with_averages
from gan_style.training.run_folder import say

MAX_SETTINGS_ADVISED = 6  # in a message
NO_SHAPE = ("init", "init_gain", "checkpointing")  # arguments of networks that change no tensor's shape
SAME_FUNCTION = (*NO_SHAPE, "dropout", "weights", "gan_modes")  # and nothing that trained weights compute


@dataclass(frozen=True)
class Beginning:
    """Networks that a training took from a file, and those that begin anew.

    Args:
        path, sha256: of the file.
        iteration: at which it was saved.
        taken: names of networks.
        anew: network -> why, as a clause.
        otherwise: network that was taken -> settings by which it computes something else with the same weights.
    """

    path: Path
    sha256: str
    iteration: int
    taken: list[str]
    anew: dict[str, str]
    otherwise: dict[str, list[str]]

    def note(self) -> str:
        """Return the line that a run prints."""
        anew = "; ".join(f"{name}, {why}" for name, why in self.anew.items())
        otherwise = "; ".join(f"{name} has {', '.join(found)}" for name, found in self.otherwise.items())
        return (
            f"begins with {', '.join(self.taken)} of {self.path}"
            + (f"; anew begin {anew}" if anew else "")
            + (f"; note that {otherwise}" if otherwise else "")
        )

    def record(self) -> dict[str, Any]:
        """Return what checkpoints and run.json keep."""
        about = {"file": self.path.name, "sha256": self.sha256, "iteration": self.iteration}
        return {**about, "networks": self.taken, "anew": list(self.anew)}


def begin_from(given: str, model: Translator, config: Mapping[str, Any], discriminators: bool) -> Beginning:
    """Copy into a new model the networks of a checkpoint that fit whole; of generators the averaged weights.

    Discriminators are taken, too, where they fit: what a new one says is noise, and spoils a trained generator before
    it has learned anything (Wang et al. 2018, arXiv:1805.01677, found them the more useful half).

    Args:
        given: the path of a checkpoint of a run, of an import or of an export.
        model: at iteration 0.
        config: of the model, for the advice where nothing fits.
        discriminators: whether to take those.

    Raises:
        UserError: no such checkpoint, one that is no checkpoint of ours, or one without a generator that fits.
    """
    path = expanded(given)
    content = checkpoint.load(path)
    with naming(path), fitting():
        state = with_averages(content)
        why_not = {}
        names = [n for n in (*model.names_of("G"), *model.names_of("D")) if getattr(model, n).state_dict()]
        for name in names:
            own: Mapping[str, Any] = getattr(model, name).state_dict()
            theirs = {key: state[f"{name}.{key}"] for key in _keys_of(name, state)}
            difference = _difference(name, theirs, own) or _other_head(name, content["config"]["model"], config)
            if name in model.names_of("D") and not discriminators:
                difference = "as init_discriminators=false says"
            if difference:
                why_not[name] = difference
            else:
                getattr(model, name).load_state_dict(theirs)
        if all(name in why_not for name in model.generators):
            raise UserError(_nothing_fits(given, model, why_not, content, config))
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        iteration = content["iteration"]
        if type(iteration) is not int or not 0 <= iteration < 2**63:
            raise ValueError("its iteration is no whole number")
        taken = [name for name in names if name not in why_not]
        others = {name: _other_settings(name, content["config"]["model"], config) for name in taken}
    return Beginning(path, sha256, iteration, taken, why_not, {name: found for name, found in others.items() if found})


def goes_on_from(given: str | None, resume: Mapping[str, Any]) -> str | None:
    """Return the `init_from` of a run that goes on, which reads no such file; a line tells of another one given."""
    before: str | None = resume["config"].get("init_from")
    if given is not None and given != before:
        say(f"note: init_from={given} is not read: a run that goes on has networks of its own")
    return before


def _keys_of(network: str, state: Mapping[str, Any]) -> list[str]:
    """Return the names of a network's tensors without its own."""
    return [key.removeprefix(f"{network}.") for key in state if key.startswith(f"{network}.")]


def _difference(network: str, theirs: Mapping[str, Any], own: Mapping[str, Any]) -> str | None:
    """Return the first tensor by which two networks differ, as a clause; None where one fits the other."""
    if not theirs:
        return f"as there is no {network}"
    for key in [*own, *(key for key in theirs if key not in own)]:
        then, now = _size(theirs.get(key)), _size(own.get(key))
        if then != now:
            return f"as {network}.{key} is {then} there and {now} here"
    return None


def _node_of(network: str, config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the node that makes a generator or a discriminator; empty if none does."""
    kind = {"G": "generator", "D": "discriminator"}.get(network.split("_")[0])
    node = config.get(f"{kind}_{network[2:]}") or config.get(str(kind))
    return node if isinstance(node, Mapping) and "_target_" in node else {}


def _completed(node: Mapping[str, Any]) -> dict[str, Any]:
    """Return a node with the defaults of its target; of one of another package only what it says."""
    try:
        return with_defaults(node)
    except UserError:
        return dict(node)


def _settings_of(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the settings of a node and of those in it, as `judges.texture.gain`, with the defaults of their targets."""
    for key, value in (_completed(node) if "_target_" in node else node).items():
        if isinstance(value, Mapping) and value:
            yield from _settings_of(value, f"{prefix}{key}.")
        elif not key.startswith("_") or (prefix and key == "_target_"):
            yield f"{prefix}{key}", value


def _other_settings(network: str, saved: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """List the settings of a network by which the same weights compute something else."""
    then, ours = (dict(_settings_of(_node_of(network, config))) for config in (saved, now))
    keys = [key for key in then if key in ours and not {*key.split(".")} & {*SAME_FUNCTION} and then[key] != ours[key]]
    return [f"{key}={then[key]} there and {ours[key]} here" for key in keys]


def _other_head(network: str, saved: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """Tell, as a clause, that the last features become an image in another way, so that the weights mean nothing."""
    found = [one for one in _other_settings(network, saved, now) if one.startswith("head=")]
    return f"as it has {found[0]}" if found else None


def _size(value: Any) -> str:
    if value is None:
        return "missing"
    if not isinstance(value, Tensor):
        return type(value).__name__
    return "x".join(map(str, value.shape)) or "a number"


def _nothing_fits(
    given: str,
    model: Translator,
    why_not: Mapping[str, str],
    content: Mapping[str, Any],
    config: Mapping[str, Any],
) -> str:
    """Return why no generator could be taken, and the settings with which it could."""
    there = list(dict.fromkeys(key.split(".")[0] for key in content["state_dict"] if "." in key))
    if not model.generators:
        return f"{type(model).__name__} trains no generator that could begin elsewhere: leave init_from={given} out"
    missing = [name for name in model.generators if name not in there]
    if len(missing) == len(model.generators):
        return (
            f"init_from={given} has no {' or '.join(missing)}, but {', '.join(there) or 'no network'}: name a "
            f"checkpoint with a generator of {type(model).__name__}'s names"
        )
    why = next(why_not[name] for name in model.generators if name not in missing).removeprefix("as ")
    advice = list(_settings(content["config"]["model"], config))[:MAX_SETTINGS_ADVISED]
    do = f"train with {' '.join(advice)}" if advice else "train with the networks of that checkpoint"
    return f"init_from={given} is of another architecture, so no generator fits: {why}; {do}, or name another file"


def _settings(saved: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Yield overrides with which the generators of a config, and what goes with them, would be those of a saved one."""
    then = checkpoint.parts(saved)
    for part, node in checkpoint.parts(now).items():
        if part not in then or not node.get("_partial_") or part.startswith("discriminator"):
            continue  # a discriminator that does not fit begins anew
        kinds = [str(one["_target_"]).rpartition(".")[2] for one in (then[part], node)]
        if kinds[0] != kinds[1]:
            yield f"the model/{part} of a {kinds[0]} in place of a {kinds[1]}"
            continue
        here = dict(_settings_of(node))
        for key, value in _settings_of(then[part]):
            if key.rpartition(".")[2] not in NO_SHAPE and value != here.get(key):
                yield f"model.{part}.{key}={'null' if value is None else value}"
