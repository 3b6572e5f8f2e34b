"""Old names of config keys: understood, said, and the same run."""

from __future__ import annotations

from pathlib import Path

import pytest

import gan_style
from gan_style.core.config import plain
from gan_style.core.moved import KEYS, of_today, renamed
from gan_style.core.plain_data import plain_copy
from tests.conftest import SMALL


def test_the_keys_of_today_are_in_our_configs() -> None:
    from gan_style.core.compose import composed

    config = composed([])
    for old in KEYS:
        *parents, last = of_today(old).split(".")
        node = config
        for parent in parents:
            node = node[parent]
        assert last in node, old
        assert old.rpartition(".")[2] not in node, old


@pytest.mark.parametrize("prefix", ["", "+", "++", "~"])
def test_overrides_are_renamed_with_their_prefix(prefix: str) -> None:
    found, notes = renamed([f"{prefix}trainer.quick=true", "trainer.quicker=1", "model=cut"])
    assert found == [f"{prefix}trainer.fast_convolutions=true", "trainer.quicker=1", "model=cut"]
    assert [note.split(";")[0] for note in notes] == ["note: trainer.quick is called trainer.fast_convolutions now"]


def test_a_config_is_renamed_and_what_it_gives_by_the_old_name_wins() -> None:
    given = {"trainer": {"quick": True, "fast_convolutions": None}, "callbacks": {"cycle_scores": {"pictures": 2}}}
    backwards = {"callbacks": given["callbacks"], "trainer": dict(reversed(given["trainer"].items()))}
    for config in (given, backwards):
        renewed, notes = plain_copy(config, "")
        assert len(notes) == 2
        assert renewed == {"trainer": {"fast_convolutions": True}, "callbacks": {"cycle_scores": {"images": 2}}}
        assert plain_copy(renewed, "") == (renewed, [])
    assert given["trainer"] == {"quick": True, "fast_convolutions": None}
    for odd in (None, {}, {"trainer": 3}, {"callbacks": None}, [], {"trainer.quick": 1}, {"model": {"quick": 1}}):
        assert plain_copy(odd, "") == (odd, [])


def test_a_training_with_an_old_key_says_so_and_has_the_new_one(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["model=cyclegan", "data=tiny", *SMALL, "trainer.max_steps=1", f"run_dir={tmp_path}/run"]
    gan_style.train(*words, "trainer.quick=true")
    said = capfd.readouterr()
    assert "trainer.quick is called trainer.fast_convolutions now" in said.out + said.err
    import yaml

    config = plain(yaml.safe_load((tmp_path / "run" / "config.yaml").read_text()))
    assert config["trainer"]["fast_convolutions"] is True
    assert "quick" not in config["trainer"]
