"""Systems other than Linux, by code: without the modules and functions that Windows lacks, and other accelerators."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from gan_style.cli.main import main
from gan_style.core import devices, machine
from gan_style.core.errors import UserError
from tests.small_models import saved

ROOT = Path(__file__).parents[1]
MODULES = ("fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "syslog")
OF_OS = (
    *("posix_fallocate", "sysconf", "register_at_fork", "killpg", "pwrite", "pread", "sched_getaffinity", "setsid"),
    *("getuid", "geteuid", "getgid", "fork", "mkfifo", "O_NOFOLLOW", "O_NONBLOCK", "uname", "nice", "wait4"),
)
OF_SIGNAL = ("SIGKILL", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGQUIT", "pthread_sigmask", "setitimer", "alarm")

# Other packages are imported first: they have their own ways on Windows, which are not there on Linux.
SCRIPT = f"""
import os, signal, sys, importlib, pkgutil, json
import albumentations, hydra, hydra.core.global_hydra, lightning_fabric, omegaconf, pytorch_lightning, rich.progress
import tifffile, torch, torchvision, cv2, numpy, PIL.Image, multiprocessing, tempfile, subprocess, asyncio, wandb
import torch.utils.tensorboard, torch.export, torch._dynamo
for name in ("gradio", "uvicorn", "fastapi_offline", "prometheus_client", "optuna", "av", "onnxruntime"):
    try:
        importlib.import_module(name)
    except ImportError:
        pass
for name in {MODULES!r}:
    sys.modules[name] = None
for owner, names in ((os, {OF_OS!r}), (signal, {OF_SIGNAL!r})):
    for name in names:
        if hasattr(owner, name):
            delattr(owner, name)

import pytorch_lightning.trainer.connectors.signal_connector as connector
connector._IS_WINDOWS = True  # else it asks for SIGKILL itself
connector._SignalConnector._valid_signals = staticmethod(lambda: {{signal.SIGINT, signal.SIGTERM}})  # Windows' own

import gan_style
count = 0
for module in pkgutil.walk_packages(gan_style.__path__, "gan_style."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
        count += 1
print(f"imported {{count}}", flush=True)
from gan_style.cli.main import main
assert main(["translate", "a.ckpt", "in.png", "out.png"]) == 0
from gan_style.cli import train
sys.argv = ["train.py", *json.loads(sys.argv[1])]
train.main()
sys.argv += ["resume=last", "trainer.max_steps=3"]
train.main()
print("trained", flush=True)
"""


@pytest.mark.slow
def test_without_what_windows_lacks_it_is_imported_translates_trains_and_resumes(tmp_path: Path) -> None:
    import json

    import numpy as np
    from PIL import Image

    saved(tmp_path / "a.ckpt", "model=cut")
    for part in ("trainA", "trainB"):
        for i in range(4):
            (tmp_path / "set" / part).mkdir(parents=True, exist_ok=True)
            noise = np.random.default_rng(i).integers(0, 256, (40, 40, 3), np.uint8)
            Image.fromarray(noise).save(tmp_path / "set" / part / f"{i}.png")
    Image.fromarray(noise).save(tmp_path / "in.png")
    words = [
        *("data=folders", "data.root=set", "data.image_size=32", "data.load_size=36", "data.num_workers=0"),
        *("model.generator.filters=4", "model.discriminator.filters=4", "model.generator.blocks=1", "trainer=cpu"),
        *("trainer.max_steps=2", "run_dir=run", "data.cache=0.001"),
    ]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(words)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "trained" in done.stdout
    assert "iteration 2 to 3" in done.stdout
    assert (tmp_path / "out.png").is_file()
    assert (tmp_path / "run" / "report.html").is_file()
    assert not (tmp_path / "run" / ".lock").exists(), "released"


def test_nobody_else_asks_for_what_windows_lacks() -> None:
    """Every use goes through two modules, which have a counterpart or a sentence."""
    names = [*(f"import {name}" for name in MODULES), *(f"os.{name}" for name in OF_OS)]
    words = [re.compile(rf"\b{name}\b") for name in [*names, *(f"signal.{name}" for name in OF_SIGNAL)]]
    found = [
        f"{path.name}: {word.pattern}"
        for path in (ROOT / "gan_style").rglob("*.py")
        if path.name not in ("machine.py", "signals.py")
        for word in words
        for line in path.read_text(encoding="utf-8").splitlines()
        if word.search(line) and "hasattr" not in line
    ]
    guarded = ["arithmetic.py", "run_lock.py", "look.py"]  # behind a hasattr
    assert {entry.split(":")[0] for entry in found} <= {*guarded}, found


def test_without_locks_of_the_system_a_run_is_held_by_its_heartbeat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gan_style.training import run_lock

    monkeypatch.setattr(machine, "fcntl", None)
    monkeypatch.setattr(run_lock, "TAKEOVER_SECONDS", 1.0)
    monkeypatch.setattr(run_lock, "HEARTBEAT_SECONDS", 0.1)
    with run_lock.held(tmp_path / "run"), pytest.raises(UserError, match="which trains into it"):
        run_lock.RunLock(tmp_path / "run").take()
    assert not (tmp_path / "run" / ".lock").exists()


def test_what_the_system_does_not_say(monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine.peak_memory() > 10**7
    assert machine.physical_memory() > 10**8
    by_status = machine.peak_memory()
    monkeypatch.setattr(Path, "read_text", lambda *args, **kwargs: "Name: python")
    assert machine.peak_memory() > by_status / 2  # by getrusage
    monkeypatch.setattr(machine, "resource", None)
    assert machine.peak_memory() == 0
    monkeypatch.delattr(os, "sysconf")
    assert machine.physical_memory() == machine.ASSUMED_MEMORY_BYTES


def test_the_peak_of_memory_is_not_that_of_the_process_before() -> None:
    code = "from gan_style.core import machine; print(machine.peak_memory())"
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert machine.peak_memory() > 3e8  # torch is in this one, and not in that
    assert float(said) < machine.peak_memory() / 2


def test_a_group_is_asked_and_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    for end, status in ((machine.ask_to_end, -signal.SIGTERM), (machine.kill_group, -signal.SIGKILL)):
        process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], **machine.own_group())
        end(process)
        assert process.wait(30) == status
    monkeypatch.delattr(os, "killpg")
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], **machine.own_group())
    machine.kill_group(process)
    assert process.wait(30) == -signal.SIGKILL


@pytest.mark.parametrize("device", ["mps", "xpu", "cuda:7", "nonsense"])
def test_an_accelerator_that_is_not_there_is_named(
    device: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if device in devices.there():
        pytest.skip(f"there is {device} here")
    saved(tmp_path / "a.ckpt", "model=cut")
    words = ["translate", str(tmp_path / "a.ckpt"), str(tmp_path / "a.ckpt"), str(tmp_path / "b.png")]
    assert main([*words, "--device", device]) == 2
    assert f"device={device} cannot be used: take cpu" in capsys.readouterr().err


def test_accelerators_that_torch_sees_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.xpu, "is_available", lambda: True)
    assert [name for name in devices.there() if name != "cuda"] == ["mps", "xpu"]
    with pytest.raises(UserError, match=r"take cpu, .*mps, xpu"):
        devices.device_of("nonsense")
