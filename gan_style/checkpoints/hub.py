"""Models as folders of a hub: config.json, model.safetensors and a model card.

translator.save_pretrained("mine")              # a folder
translator.push_to_hub("NAME/mine")             # a repository of the hub
translator = gan_style.from_pretrained("mine")  # or "NAME/mine"
"""

from __future__ import annotations

import copy
import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gan_style.checkpoints import checkpoint, safetensors
from gan_style.core.allowed import ALLOWED_FROM_CHECKPOINT, is_below
from gan_style.core.errors import UserError
from gan_style.core.extras import extra
from gan_style.core.paths import expanded
from gan_style.core.quoting import in_markdown, shortened
from gan_style.core.sizes import in_pixels, parsed
from gan_style.models.pretrained import Pretrained
from gan_style.models.translator import Translator, network_of

if TYPE_CHECKING:
    pass

WEIGHTS, CARD = f"model{safetensors.SUFFIX}", "README.md"


def save_pretrained(
    model: Translator, about: Mapping[str, Any] | None, folder: str | Path, name: str | None = None
) -> None:
    """Write a model as a folder.

    Args:
        model, about: of what `gan_style.load` gave.
        folder: made where it is not there; files of these names in it are replaced.
        name: of the model on its card; None takes the folder's.

    Raises:
        UserError: the model is from no checkpoint, or the folder cannot be written.
    """
    target = expanded(folder)
    if target.exists() and not target.is_dir():
        raise UserError(f"{target} is a file: name a folder for the model")
    state, said = weights_of(model, about)
    with checkpoint.writing(target / WEIGHTS) as beside:
        safetensors.write(state, said, beside)
    for file, text in (("config.json", json.dumps(said, indent=2) + "\n"), (CARD, card(said, name or target.name))):
        with checkpoint.writing(target / file) as beside:
            beside.write_text(text, encoding="utf-8")


def push_to_hub(model: Translator, about: Mapping[str, Any] | None, name: str, private: bool = False) -> str:
    """Upload a model to a repository of the hub, which is made where it is not there.

    A card that is there stays, since somebody may have completed it. Who uploads is whom `hf auth login` or $HF_TOKEN
    says.

    Args:
        model, about: of what `gan_style.load` gave.
        name: "OWNER/NAME" of the repository.
        private: of a repository that is made now.

    Returns: the address of the upload.

    Raises:
        UserError: the model is from no checkpoint, or the hub refuses or cannot be reached.
    """
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise UserError(f"{shortened(name)} is no repository of a hub: give OWNER/NAME")
    client = extra("hub", "huggingface_hub").HfApi()
    with tempfile.TemporaryDirectory() as folder:
        save_pretrained(model, about, folder, name)
        try:
            client.create_repo(name, private=private, exist_ok=True)
            kept = [CARD] if client.file_exists(name, CARD) else []
            done = client.upload_folder(
                repo_id=name, folder_path=folder, ignore_patterns=kept, commit_message="Upload by gan-style"
            )
        except Exception as error:  # of the network, of the hub and of a missing token: no common class
            reason = " ".join(str(error).split())[:160]
            raise UserError(
                f"{name} cannot be uploaded ({reason}): check name and network, and who you are with `hf auth whoami`"
            ) from error
    return str(done.commit_url)


def card(about: Mapping[str, Any], name: str) -> str:
    """Write the README of the folder, which a hub shows."""
    model = about["config"]["model"]
    generator: Mapping[str, Any] = model.get("generator") or model.get("decoder") or {}
    size = parsed(about["preprocessing"].get("image_size"))
    domains = [str(about["domains"][letter]["name"]) for letter in "AB"]
    rows = {
        "method": str(model["_target_"]).rpartition(".")[2],
        "network": str(generator.get("_target_", "")).rpartition(".")[2],
        "domains": " and ".join(domains),
        "trained at": "? px" if size is None else in_pixels(size),
        "iteration": about["iteration"],
        "chosen by": (about["best"] or {}).get("rule", ""),
        "weights": about["weights"],
    }
    table = "\n".join(f"| {key} | {in_markdown(value)} |" for key, value in rows.items())
    own = _own_packages(about["config"])
    asked = f", allow={own}" if own else ""
    title, translates = in_markdown(name), in_markdown(f"{domains[0]} to {domains[1]}")
    return (
        "---\nlibrary_name: gan-style\npipeline_tag: image-to-image\ntags:\n- image-to-image\n- gan\n---\n\n"
        f"# {title}\n\nTranslates pictures: {translates}. The licence of the training pictures was not "
        f"recorded; add it here.\n\n| | |\n| --- | --- |\n{table}\n\n"
        f"```python\nimport gan_style\n\ntranslator = gan_style.from_pretrained({json.dumps(name)}{asked})\n"
        'picture = translator.translate("photo.jpg")\n```\n'
    )


def _own_packages(config: Any) -> tuple[str, ...]:
    """Return the packages that a plain config names and that no file may name by itself, such as ("mylab.",)."""
    found, left = set(), [config]
    while left:
        node = left.pop()
        left += node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        if (
            isinstance(node, dict)
            and "_target_" in node
            and not is_below(str(node["_target_"]), ALLOWED_FROM_CHECKPOINT)
        ):
            found.add(f"{str(node['_target_']).split('.')[0]}.")
    return tuple(sorted(found))


def weights_of(
    model: Translator, said: Mapping[str, Any] | None, direction: str | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the state dict of a model and its description; of one direction alone where one is named.

    Raises:
        UserError: the model is from no checkpoint, or has no generator of that direction alone.
    """
    about = copy.deepcopy(dict(said or {}))
    if not about or not model.generators:
        raise UserError("only a model that was loaded from a checkpoint, and that was trained, can be written")
    state = {key: value for key, value in model.state_dict().items() if key.split(".")[0] not in model.names_of("D")}
    if direction is None or len(model.directions) == 1:
        return state, about
    network, settings = model.generator_of(direction), about["config"]["model"]
    generator = settings.get(f"generator_{network_of(direction).removeprefix('G_')}") or settings.get("generator")
    whole = "leave --direction out, which writes both directions"
    if network is None:
        raise UserError(f"{type(model).__name__} has no generator of {direction} alone: {whole}")
    if not isinstance(generator, Mapping):  # other keys may make its networks, and which made this one is not said
        raise UserError(
            f"model.generator is not set, so its config names no generator that {direction} is made of: {whole}"
        )
    target = f"{Pretrained.__module__}.{Pretrained.__name__}"
    about["config"]["model"] = {"_target_": target, "generator": generator, "directions": [str(direction)]}
    return {f"{network_of(direction)}.{key}": value for key, value in network.state_dict().items()}, about
