"""Written whole or not at all; read as data or not at all."""

from __future__ import annotations

import os
import pickle
import subprocess
from pathlib import Path

import pytest
import torch

from gan_style.checkpoints import checkpoint
from gan_style.core.errors import UserError


def content(value: float = 1.0) -> dict[str, object]:
    parts: dict[str, object] = {key: {} for key in checkpoint.PARTS}
    return parts | {"state_dict": {"w": torch.full((300, 300), value)}, "iteration": 3}


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "checkpoints" / "last.ckpt"
    checkpoint.save(content(), path)
    loaded = checkpoint.load(path)
    assert torch.equal(loaded["state_dict"]["w"], torch.ones(300, 300))
    assert (loaded["iteration"], loaded["format"]) == (3, checkpoint.FORMAT)
    assert [p.name for p in path.parent.iterdir()] == ["last.ckpt"]


def test_a_failing_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "last.ckpt"
    checkpoint.save(content(1), path)

    def full(*args: object, **kwargs: object) -> None:
        args[1].write(b"half a file")  # type: ignore[attr-defined]
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(UserError, match=r"No space left.*the checkpoint saved before it is whole"):
        checkpoint.save(content(2), path)
    monkeypatch.undo()
    assert float(checkpoint.load(path)["state_dict"]["w"][0, 0]) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_really_full_disk_keeps_the_old_file(tmp_path: Path) -> None:
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(tmp_path)], capture_output=True)
    if mount.returncode:
        pytest.skip("this machine does not let us mount a file system")
    try:
        path = tmp_path / "last.ckpt"
        checkpoint.save(content(1.0), path)
        with pytest.raises(UserError, match=r"No space left on device.*the checkpoint saved before it is whole"):
            checkpoint.save(content(2.0), path)
        assert float(checkpoint.load(path)["state_dict"]["w"][0, 0]) == 1
        assert [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_best_is_a_file_of_its_own(tmp_path: Path) -> None:
    last, best = tmp_path / "last.ckpt", tmp_path / "best.ckpt"
    checkpoint.save(content(1), last)
    checkpoint.copy(last, best)
    checkpoint.save(content(2), last)
    assert float(checkpoint.load(best)["state_dict"]["w"][0, 0]) == 1


class Bomb:
    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("exploded",)


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {}, "format": 1, "x": Bomb()}, tmp_path / "bomb.ckpt")
    (tmp_path / "plain.ckpt").write_bytes(pickle.dumps(Bomb()))
    for name in ("bomb.ckpt", "plain.ckpt"):
        with pytest.raises(UserError, match=name):
            checkpoint.load(tmp_path / name)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("wrong", [b"", b"PK\x03\x04 broken", b"text"])
def test_other_files_are_refused_by_name(tmp_path: Path, wrong: bytes) -> None:
    path = tmp_path / "some.ckpt"
    path.write_bytes(wrong)
    with pytest.raises(UserError, match=r"some\.ckpt"):
        checkpoint.load(path)


def test_a_folder_is_answered_with_a_checkpoint_in_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is a folder: name a checkpoint$"):
        checkpoint.load(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    for name in ("last", "best"):
        (tmp_path / "checkpoints" / f"{name}.ckpt").touch()
    with pytest.raises(UserError, match=r"name a checkpoint in it, such as .*checkpoints/best\.ckpt$"):
        checkpoint.load(tmp_path)


def test_parts_that_are_missing_are_named(tmp_path: Path) -> None:
    whole = content()
    torch.save({"format": 1, **{k: v for k, v in whole.items() if k != "pools"}}, tmp_path / "half.ckpt")
    with pytest.raises(UserError, match="not a whole checkpoint of gan_style: it has no pools"):
        checkpoint.load(tmp_path / "half.ckpt")


def test_another_tools_checkpoint_and_a_newer_one(tmp_path: Path) -> None:
    torch.save({"model": torch.zeros(1)}, tmp_path / "other.ckpt")
    with pytest.raises(UserError, match="not a checkpoint of gan_style"):
        checkpoint.load(tmp_path / "other.ckpt")
    torch.save({"state_dict": {}, "format": 99, "version": "9.9"}, tmp_path / "newer.ckpt")
    with pytest.raises(UserError, match=r"9\.9, which is newer"):
        checkpoint.load(tmp_path / "newer.ckpt")


def test_differences_name_their_keys() -> None:
    a = {"generator": {"blocks": 9, "norm": "instance"}}
    assert list(checkpoint.differences(a, a)) == []
    b = {"generator": {"blocks": 6, "norm": "instance"}}
    found = list(checkpoint.differences(a, b))
    assert found == ["model.generator.blocks=9 there, model.generator.blocks=6 here"]
    assert len(list(checkpoint.differences(a, {"generator": {"blocks": 6}}))) == 2
