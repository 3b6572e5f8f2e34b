"""Configs of a group that have a key, beside files of a user's own that are none."""

from __future__ import annotations

from pathlib import Path

from gan_style.core.choices import having
from gan_style.core.config import config_dir


def test_files_that_are_no_configs_have_no_key(tmp_path: Path) -> None:
    group = tmp_path / "model" / "generator"
    group.mkdir(parents=True)
    texts = {"mine": "noise: 1", "broken": "noise: [", "text": "some noise here", "number": "5", "none": ""}
    for name, text in texts.items():
        (group / f"{name}.yaml").write_text(text)
    (group / "bytes.yaml").write_bytes(b"noise: \xff\xfe")
    (group / "two.yaml").write_text("noise: 1\n---\nnoise: 2\n")
    (group / "folder.yaml").mkdir()
    (group / "nowhere.yaml").symlink_to(tmp_path / "gone")
    assert having("model/generator", "noise", [tmp_path]) == ["mine"]
    both = having("model/generator", "noise", [config_dir(), tmp_path])
    assert {"mine", "painter"} <= set(both)
    assert "attention" not in both


def test_what_a_config_builds_on_is_no_setting() -> None:
    assert having("model", "defaults", [config_dir()]) == []
