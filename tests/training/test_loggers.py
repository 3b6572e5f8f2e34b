"""metrics.csv, TensorBoard and W&B: what was logged can be read back."""

from __future__ import annotations

import csv
import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gan_style.checkpoints.checkpoint import load
from gan_style.training.loggers import CSVLog

Run = Callable[..., Path]


def read(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_csv_joins_a_validation_to_its_iteration_and_takes_new_columns(tmp_path: Path) -> None:
    log = CSVLog(tmp_path / "metrics.csv")
    log.log_metrics({"a": 1.5}, step=1)
    log.log_metrics({"a": 2.5}, step=2)
    log.log_metrics({"val": 0.25}, step=2)
    log.log_metrics({"a": 3.5, "late": 7}, step=3)
    log.finalize("success")
    assert read(tmp_path / "metrics.csv") == [
        {"iteration": "1", "a": "1.5", "val": "", "late": ""},
        {"iteration": "2", "a": "2.5", "val": "0.25", "late": ""},
        {"iteration": "3", "a": "3.5", "val": "", "late": "7"},
    ]


def test_csv_of_a_resumed_run_drops_what_came_after_the_checkpoint(tmp_path: Path) -> None:
    log = CSVLog(tmp_path / "metrics.csv")
    for step in range(1, 6):
        log.log_metrics({"a": step}, step=step)
    log.finalize("success")
    log = CSVLog(tmp_path / "metrics.csv", from_iteration=3)
    log.log_metrics({"a": 40, "b": 1}, step=4)
    log.finalize("success")
    assert [(r["iteration"], r["a"]) for r in read(tmp_path / "metrics.csv")] == [
        ("1", "1"), ("2", "2"), ("3", "3"), ("4", "40"),
    ]  # fmt: skip


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_holds_losses_and_pictures(run: Run) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = run("run", "trainer.max_steps=3", "trainer.val_every=3", "logger=tensorboard")
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    assert [e.step for e in events.Scalars("train/G_gan_B")] == [1, 2, 3]
    assert [e.step for e in events.Images("images")] == [3]
    assert len(read(folder / "metrics.csv")) == 3


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every connection that leaves the machine fails; W&B's own process listens on loopback."""
    original = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> Any:
        if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "localhost", "::1"):
            raise OSError("no network in this test")
        return original(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)
    # Its threads look the server's name up for minutes, beyond the end of the test: here the server is a closed port.
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", os.environ.get("HOME", "/") + "/nowhere")
    return


def history(path: Path) -> tuple[list[dict[str, Any]], set[str], str]:
    """The history rows, the kinds of record and the config of a `run-*.wandb` file: LevelDB framing around protobuf."""
    from wandb.proto import wandb_internal_pb2

    data, position, payload, rows, kinds, config = path.read_bytes(), 7, b"", [], set(), ""
    while position + 7 <= len(data):
        left = 32768 - position % 32768
        if left < 7:
            position += left
            continue
        length, kind = int.from_bytes(data[position + 4 : position + 6], "little"), data[position + 6]
        payload += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):
            record = wandb_internal_pb2.Record.FromString(payload)
            payload = b""
            kinds.add(record.WhichOneof("record_type"))
            config += "".join(update.key + update.value_json for update in record.run.config.update)
            if record.history.item:
                rows.append(
                    {
                        "/".join(i.nested_key) if i.nested_key else i.key: json.loads(i.value_json)
                        for i in record.history.item
                    }
                )
    return rows, kinds, config


@pytest.mark.slow
@pytest.mark.usefixtures("no_network")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_wandb_works_without_account_and_network_and_keeps_its_run(run: Run) -> None:
    words = ("logger=wandb", "doctor.every=2", "model.generator.init_gain=9", "model.optimizer_G.lr=0")  # saturated
    folder = run("run", *words, "trainer.max_steps=2")
    run("run", *words, "trainer.max_steps=12", "resume=last")
    files = sorted(folder.glob("wandb/offline-run-*/run-*.wandb"))
    assert len(files) == 2
    ids = {file.stem.removeprefix("run-") for file in files}
    assert ids == {load(folder / "checkpoints/last.ckpt")["wandb_id"]}, "one run, in two parts"
    rows, kinds, config = history(files[0])
    steps = [row["trainer/global_step"] for row in rows if "train/G_gan_B" in row]
    assert steps == [1, 2]
    assert any("lr/G" in row for row in rows)
    assert any("val/psnr" in row for row in rows)
    assert any(key.startswith("images") for row in rows for key in row)
    assert "artifact" in kinds
    assert [row["trainer/global_step"] for row in history(files[1])[0] if "train/G_gan_B" in row] == list(range(3, 13))
    assert [row["trainer/global_step"] for row in history(files[1])[0] if "doctor/found/saturation" in row] == [6, 6]
    assert "lambda_cycle" in config


@pytest.mark.slow
@pytest.mark.usefixtures("no_network")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_wandb_online_without_an_account_goes_offline_and_says_so(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    folder = run("run", "trainer.max_steps=1", "logger=wandb", "logger.offline=false", "logger.init_timeout=3")
    assert "logged offline" in capsys.readouterr().err
    assert list(folder.glob("wandb/offline-run-*"))
