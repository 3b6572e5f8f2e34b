"""Models as folders of a hub: config.json, model.safetensors and a model card.

translator.save_pretrained("mine")              # then: hf upload NAME/mine mine
translator = gan_style.from_pretrained("mine")  # or "NAME/mine"
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gan_style import checkpoint, portable
from gan_style.errors import UserError
from gan_style.export import weights_of
from gan_style.extras import extra
from gan_style.loading import load
from gan_style.paths import expanded
from gan_style.quoting import in_markdown

if TYPE_CHECKING:
    from gan_style.inference import LoadedTranslator

WEIGHTS = f"model{portable.SUFFIX}"


def save_pretrained(translator: LoadedTranslator, folder: str | Path) -> None:
    """Write a model as a folder.

    Args:
        translator: what `gan_style.load` gave.
        folder: made where it is not there; files of these names in it are replaced.

    Raises:
        UserError: the model is from no checkpoint, or the folder cannot be written.
    """
    target = expanded(folder)
    if target.exists() and not target.is_dir():
        raise UserError(f"{target} is a file: name a folder for the model")
    state, about = weights_of(translator)
    with checkpoint.writing(target / WEIGHTS) as beside:
        portable.write(state, about, beside)
    for name, text in (("config.json", json.dumps(about, indent=2) + "\n"), ("README.md", card(about, target.name))):
        with checkpoint.writing(target / name) as beside:
            beside.write_text(text, encoding="utf-8")


def from_pretrained(name: str | Path, *, device: str | None = None) -> LoadedTranslator:
    """A model from a folder, or from a repository of the hub, which is downloaded into its cache once.

    Raises:
        UserError: the folder holds no model, or the hub has no such repository or cannot be reached.
    """
    folder = expanded(name)
    if folder.is_dir():
        if not (folder / WEIGHTS).is_file():
            raise UserError(f"{folder} holds no {WEIGHTS}: give a folder that save_pretrained wrote")
        return load(folder / WEIGHTS, device=device)
    if folder.is_file():
        raise UserError(f"{folder} is a file: load it with gan_style.load")
    hub = extra("hub", "huggingface_hub")
    try:
        path = hub.hf_hub_download(str(name), WEIGHTS)
    except Exception as error:  # of the network, of the hub and of its cache: no common class
        reason = " ".join(str(error).split())[:160]
        raise UserError(
            f"{name} is no folder here, and the hub does not give its {WEIGHTS} ({reason}): check name and network"
        ) from error
    return load(path, device=device)


def card(about: Mapping[str, Any], name: str) -> str:
    """The README of the folder: what a hub shows."""
    model = about["config"]["model"]
    generator: Mapping[str, Any] = model.get("generator") or model.get("decoder") or {}
    domains = [str(about["domains"][letter]["name"]) for letter in "AB"]
    rows = {
        "method": str(model["_target_"]).rpartition(".")[2],
        "network": str(generator.get("_target_", "")).rpartition(".")[2],
        "domains": " and ".join(domains),
        "trained at": f"{about['preprocessing'].get('image_size', '?')} px",
        "iteration": about["iteration"],
        "chosen by": (about["best"] or {}).get("rule", ""),
        "weights": about["weights"],
    }
    table = "\n".join(f"| {key} | {in_markdown(value)} |" for key, value in rows.items())
    title, translates = in_markdown(name), in_markdown(f"{domains[0]} to {domains[1]}")
    return (
        "---\nlibrary_name: gan-style\npipeline_tag: image-to-image\ntags:\n- image-to-image\n- gan\n---\n\n"
        f"# {title}\n\nTranslates pictures: {translates}. The licence of the training pictures was not "
        f"recorded; add it here.\n\n| | |\n| --- | --- |\n{table}\n\n"
        f"```python\nimport gan_style\n\ntranslator = gan_style.from_pretrained({json.dumps(name)})\n"
        'picture = translator.translate("photo.jpg")\n```\n'
    )
