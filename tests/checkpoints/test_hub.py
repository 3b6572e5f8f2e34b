"""Folders of a hub: written, read, and downloaded by name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest

import gan_style
from gan_style.checkpoints import hub
from gan_style.core.errors import UserError
from tests.checkpoints.hub_server import Hub
from tests.small_models import saved


def test_a_folder_of_a_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    translator = gan_style.load(saved(tmp_path / "a.ckpt", "model=cyclegan"), device="cpu")
    translator.save_pretrained(tmp_path / "hub" / "mine")
    folder = tmp_path / "hub" / "mine"
    assert sorted(p.name for p in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    assert json.loads((folder / "config.json").read_text())["domains"]["A"]["name"] == "photo"
    card = (folder / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: gan-style\n")
    assert "| method | CycleGAN |" in card
    image = np.random.default_rng(0).integers(0, 256, (21, 30, 3), np.uint8)
    expected = translator.translate(image, "B2A")
    assert np.array_equal(gan_style.from_pretrained(folder, device="cpu").translate(image, "B2A"), expected)

    asked = []

    def download(name: str, file: str) -> str:
        asked.append((name, file))
        return str(folder / file)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    monkeypatch.chdir(tmp_path)
    assert np.array_equal(gan_style.from_pretrained("somebody/mine").translate(image, "B2A"), expected)
    assert asked == [("somebody/mine", "model.safetensors")]

    def refuse(*_: str) -> str:
        raise ConnectionError("no way out")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", refuse)
    for name, sentence in (
        ("somebody/mine", r"the hub does not give its model.safetensors \(no way out\)"),
        (tmp_path, "holds no model.safetensors"),
        (folder / "config.json", "is a file: load it with gan_style.load"),
    ):
        with pytest.raises(UserError, match=sentence):
            gan_style.from_pretrained(name)


def test_a_card_leaves_nothing_open_that_is_known() -> None:
    about = {
        "config": {"model": {"_target_": "gan_style.models.cut.CUT"}},
        "domains": {letter: {"name": name} for letter, name in (("A", "horse"), ("B", "zebra"))},
        "preprocessing": {"image_size": 128},
        "iteration": 7,
        "best": {"rule": "lowest val/fid"},
        "weights": "averaged",
    }
    text = hub.card(about, "mine")
    for part in (
        "horse to zebra",
        "| trained at | 128 px |",
        "| chosen by | lowest val/fid |",
        "| weights | averaged |",
    ):
        assert part in text


UPLOAD = """
import sys
import numpy as np
import gan_style
translator = gan_style.load(sys.argv[1], device="cpu")
print(translator.push_to_hub("somebody/mine"))
image = np.random.default_rng(0).integers(0, 256, (21, 30, 3), np.uint8)
there = gan_style.from_pretrained("somebody/mine", device="cpu")
assert np.array_equal(there.translate(image, "B2A"), translator.translate(image, "B2A"))
"""


def test_a_model_goes_to_a_hub_and_comes_back_and_its_card_stays(tmp_path: Path) -> None:
    checkpoint = saved(tmp_path / "a.ckpt", "model=cyclegan")
    with Hub() as server:
        environment = os.environ | {"HF_ENDPOINT": server.url, "HF_TOKEN": "hf_secret", "HF_HOME": str(tmp_path / "hf")}
        environment |= {"no_proxy": "*", "HF_HUB_DISABLE_XET": "1"}

        def upload() -> str:
            words = [sys.executable, "-c", UPLOAD, str(checkpoint)]
            return subprocess.run(words, env=environment, check=True, capture_output=True, text=True).stdout

        assert f"{server.url}/somebody/mine/commit/" in upload()
        files = server.files["somebody/mine"]
        assert sorted(files) == ["README.md", "config.json", "model.safetensors"]
        assert b'gan_style.from_pretrained("somebody/mine")' in files["README.md"]
        assert server.tokens == {"Bearer hf_secret"}
        files["README.md"] = b"completed by hand"
        files["config.json"] = b"old"
        upload()
        assert files["README.md"] == b"completed by hand"
        assert files["config.json"] != b"old"


def test_what_cannot_be_uploaded_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    translator = gan_style.load(saved(tmp_path / "a.ckpt", "model=cut"), device="cpu")
    with pytest.raises(UserError, match="mine is no repository of a hub: give OWNER/NAME"):
        translator.push_to_hub("mine")

    def refuse(*_: object, **__: object) -> None:
        raise ConnectionError("no way out")

    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", refuse)
    with pytest.raises(UserError, match=r"somebody/mine cannot be uploaded \(no way out\): check name"):
        translator.push_to_hub("somebody/mine")
