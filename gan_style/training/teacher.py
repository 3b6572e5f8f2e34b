"""The teacher of a distillation: a trained translator, read from its checkpoint."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gan_style.checkpoints import checkpoint
from gan_style.checkpoints.restore import fitting, naming, restore
from gan_style.core.errors import UserError
from gan_style.core.paths import expanded
from gan_style.models.distill import RANDOM, Distill
from gan_style.models.translator import Translator
from gan_style.training.run_folder import say


def taught(
    model: Translator, given: str | None, resume: Mapping[str, Any] | None = None, path: Path | None = None
) -> dict[str, Any] | None:
    """Give a distillation its teacher. Returns: name and hash of its file, for checkpoints; None of other methods.

    Args:
        model: new, or to go on.
        given: `model.teacher` of the command.
        resume: content of the checkpoint that the run goes on from, and its path.

    Raises:
        UserError: no such checkpoint, one that cannot teach, or another than that of the run.
    """
    if not isinstance(model, Distill) or given == RANDOM:
        return None
    if given is None:
        raise UserError("model=distill learns from a trained translator: add model.teacher=CKPT")
    file = expanded(given)
    content = checkpoint.load(file)
    with file.open("rb") as opened:
        sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
    before = (resume or {}).get("teacher")
    if before and before["sha256"] != sha256:
        raise UserError(
            f"model.teacher={given} is not the file that {path} learns from, which was {before['file']} with the "
            f"sha256 {before['sha256'][:12]}...: name that one"
        )
    with naming(file), fitting():
        teacher = restore(content)
        for name, average in content["callbacks"].get("EMA", {}).items():
            getattr(teacher, name).load_state_dict(average)
        _require_channels(model, content["domains"])
        model.learn_from(teacher)
    say(f"learns from {type(teacher).__name__} of {file}, at its iteration {content['iteration']}")
    return {"file": file.name, "sha256": sha256}


def _require_channels(model: Distill, domains: Mapping[str, Any]) -> None:
    """Raise a UserError where the teacher's pictures have other channels than the student's."""
    for letter in "AB":
        theirs = domains[letter]["channels"]
        if theirs != model.channels[letter]:
            raise UserError(
                f"model.teacher takes pictures of {theirs} channels in {letter}, and the data have "
                f"{model.channels[letter]}: take data like those that it was trained on"
            )
