"""The faults: each does something to a real training, goes on with it, and says what was lost."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NamedTuple

from tests.faults.children import Child, quiet_end, until
from tests.faults.harness import ITERATIONS, Bench, images, iterations_of, readable, when_at


class Outcome(NamedTuple):
    """Of one try."""

    said: str  # the sentence that the disturbed run ended with, or the note of the one that went on
    lost: list[str] | None  # where the finished run differs from the undisturbed one; None where none was finished


def sentence(child: Child) -> str:
    """The last line that a run said; a traceback is no sentence.

    Raises:
        AssertionError: it said none.
    """
    text = child.text()
    assert "Traceback" not in text, text[-2000:]
    lines = [line for line in text.splitlines() if line.startswith(("gan_style: ", "note: "))]
    return lines[-1] if lines else ""


def kill_at_random(bench: Bench) -> Outcome:
    """kill -9, while it is prepared, trains, validates or writes."""
    bench.whole()
    folder, at = bench.new(), bench.random.randint(0, ITERATIONS - 1)
    with quiet_end(bench.begin(folder)) as child:
        when_at(folder, at, child)
        time.sleep(bench.random.random() * 0.1)  # within the iteration; which moment it is does not change the result
        child.kill()
        child.wait()
    assert readable(folder)
    bench.go_on(folder)
    return Outcome("", bench.lost(folder))


def kill_while_saving(bench: Bench) -> Outcome:
    """kill -9 between two writes of a checkpoint: half a file is there, under another name than the checkpoint's."""
    bench.whole()
    folder, number, share = bench.new(), bench.random.randint(1, 8), bench.random.choice((0.0, 0.3, 0.9, 1.0))
    with quiet_end(bench.begin(folder, prepare=lambda: pause_while_saving(folder, number, share))) as child:
        until(lambda: (folder / "paused").exists() or child.ended(), child=child)
        assert list((folder / "checkpoints").glob(".*.last.ckpt")), "it was to be killed while it writes"
        child.kill()
        assert child.wait() == -signal.SIGKILL
    assert readable(folder)
    bench.go_on(folder)
    return Outcome("", bench.lost(folder))


def pause_while_saving(folder: Path, number: int, share: float) -> None:
    """In the child: the checkpoint of this number stops in its middle for ever, a share of it written."""
    import io

    import torch

    save = torch.save

    def half(content: object, file: BinaryIO) -> None:
        whole = io.BytesIO()
        save(content, whole)
        file.write(whole.getvalue()[: int(len(whole.getvalue()) * share)])
        file.flush()
        (folder / "paused").touch()
        signal.pause()

    save_otherwise(number, half)


def save_otherwise(number: int, otherwise: Callable[..., None]) -> None:
    """In the child: from the checkpoint of this number on something else happens than `torch.save`."""
    import torch

    save, count = torch.save, 0

    def counted(content: object, file: object) -> None:
        nonlocal count
        count += 1
        (save if count < number else otherwise)(content, file)

    torch.save = counted


def signalled(bench: Bench, number: int, group: bool = False) -> Outcome:
    """A signal: it saves, says so and exits with 130."""
    bench.whole()
    folder = bench.new()
    with quiet_end(bench.begin(folder)) as child:
        when_at(folder, bench.random.randint(1, ITERATIONS - 6), child)
        (os.killpg if group else os.kill)(child.pid, number)
        assert child.wait(60) == 130, child.text()
        said = sentence(child)
    assert "resume=last" in said
    bench.go_on(folder)
    return Outcome(said, bench.lost(folder))


def sigterm(bench: Bench) -> Outcome:
    """SIGTERM, as a scheduler sends it before it kills."""
    return signalled(bench, signal.SIGTERM)


def ctrl_c(bench: Bench) -> Outcome:
    """Ctrl-C, which reaches the whole group of processes."""
    return signalled(bench, signal.SIGINT, group=True)


def worker_killed(bench: Bench) -> Outcome:
    """kill -9 to a loader worker, as the kernel does where memory runs out."""
    bench.whole()
    folder = bench.new()
    with quiet_end(bench.begin(folder, "data.num_workers=2")) as child:
        when_at(folder, 4, child)
        os.kill(children_of(child.pid)[0], signal.SIGKILL)
        assert child.wait(60) == 1, child.text()
        said = sentence(child)
    assert "data.num_workers" in said
    bench.go_on(folder, "data.num_workers=2")
    return Outcome(said, bench.lost(folder))


def children_of(pid: int) -> list[int]:
    """Processes that a process has started (Linux)."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(word) for task in tasks for word in (task / "children").read_text().split()]


def corrupt_newest(bench: Bench) -> Outcome:
    """The newest checkpoint is cut off after the run was killed: the one before it is taken."""
    bench.whole()
    folder = bench.new()
    with quiet_end(bench.begin(folder)) as child:
        when_at(folder, 9, child)
        child.kill()
        child.wait()
    last = folder / "checkpoints" / "last.ckpt"
    content = last.read_bytes()
    last.unlink()  # best.ckpt may be another name of the same file
    last.write_bytes(content[: bench.random.randint(0, len(content) - 1)])
    child = bench.go_on(folder)
    [said] = [line for line in child.text().splitlines() if "the one before it is taken" in line]
    return Outcome(said, bench.lost(folder))


def disk_full(bench: Bench) -> Outcome:
    """No space is left while a checkpoint is written: torch.save leaves half of it and raises what a full disk does."""
    bench.whole()
    folder = bench.new()
    with quiet_end(bench.begin(folder, prepare=lambda: full_at(8))) as child:
        assert child.wait() == 2, child.text()
        said = sentence(child)
    assert "No space left" in said
    assert readable(folder)
    bench.go_on(folder)
    return Outcome(said, bench.lost(folder))


def small_disk(bench: Bench) -> Outcome:
    """A disk that is really full, of a few megabytes for this run alone: whatever is written next finds no space."""
    bench.whole()
    disk = bench.new()
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        return Outcome("skipped: no disk can be mounted here, which takes root", None)
    try:
        folder, ballast = disk / "run", disk / "ballast"
        with quiet_end(bench.begin(folder, said=bench.folder / "small-disk.txt")) as child:
            when_at(folder, bench.random.randint(3, ITERATIONS - 6), child)
            fill(ballast)
            assert child.wait() == 2, child.text()
            said = sentence(child)
        assert "No space left" in said, child.text()
        assert "free some space, then go on with resume=last" in said, child.text()
        assert readable(folder)
        ballast.unlink()
        bench.go_on(folder)
        return Outcome(said, bench.lost(folder))
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(ballast: Path) -> None:
    """Write until the disk takes no more."""
    with contextlib.suppress(OSError), open(ballast, "wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


def full_at(number: int) -> None:
    """In the child: from the checkpoint of this number on the disk takes half of it."""
    import errno

    def short(content: object, file: BinaryIO) -> None:
        file.write(b"PK" + bytes(5000))
        raise OSError(errno.ENOSPC, "No space left on device")

    save_otherwise(number, short)


def image_lost(bench: Bench, cut: bool, cache: str) -> Outcome:
    """A picture is removed or cut off while training reads the set; afterwards it is put back."""
    data = bench.new()
    words = (*images(data), f"data.cache={cache}")
    bench.whole(words)
    folder, victim = bench.new(), data / "trainA" / "3.png"
    content, stamp = victim.read_bytes(), victim.stat()
    with quiet_end(bench.begin(folder, *words)) as child:
        when_at(folder, 7, child)  # by then a cache has seen every picture once
        victim.unlink()
        if cut:
            victim.write_bytes(content[:200])
        status = child.wait()
        said = sentence(child)
    if cache == "off":
        assert status == 2, child.text()
        assert str(victim) in said
    else:
        assert status == 0, child.text()
    victim.write_bytes(content)
    os.utime(victim, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    if status:
        bench.go_on(folder, *words)
    return Outcome(said, bench.lost(folder, words))


def clock_jump(bench: Bench) -> Outcome:
    """The clock jumps a day back, then a year ahead, as time servers do: no time in a row is negative or a day."""
    import csv

    bench.whole()
    folder = bench.new()
    with quiet_end(bench.begin(folder, prepare=jumping_clock)) as child:
        assert child.wait() == 0, child.text()
    with open(folder / "metrics.csv", newline="") as file:
        for row in csv.DictReader(file):
            times = {k: float(v) for k, v in row.items() if v and k.startswith(("time/", "speed/"))}
            assert all(0 <= value < 86_400 for value in times.values()), times
    return Outcome("", bench.lost(folder))


def jumping_clock() -> None:
    """In the child: every call of the wall clock is a day earlier or a year later than the one before."""
    real, count = time.time, 0

    def jumping() -> float:
        nonlocal count
        count += 1
        return real() + (-86_400 if count % 2 else 31_536_000)

    time.time = jumping


def wandb_gone(bench: Bench) -> Outcome:
    """The logger of W&B fails in the middle: training goes on."""
    bench.whole()
    folder = bench.new()
    with quiet_end(bench.begin(folder, "logger=wandb", prepare=failing_wandb)) as child:
        assert child.wait() == 0, child.text()
    [said] = [line for line in child.text().splitlines() if "W&B has failed" in line]
    return Outcome(said, bench.lost(folder))


def failing_wandb() -> None:
    """In the child: W&B's calls fail from the fifth row on, as where its service or its disk is gone."""
    from pytorch_lightning.loggers import WandbLogger

    os.environ["WANDB_MODE"] = "disabled"  # else it starts a service, which outlives a killed child
    log, count = WandbLogger.log_metrics, 0

    def failing(self: WandbLogger, *args: object, **options: object) -> None:
        nonlocal count
        count += 1
        if count > 4:
            raise ConnectionError("the service is gone")
        log(self, *args, **options)

    WandbLogger.log_metrics = failing


def read_only(bench: Bench) -> Outcome:
    """A run folder that cannot be made is refused before anything is trained."""
    file = bench.new()
    file.write_text("in the way")
    with quiet_end(bench.begin(file / "run", said=bench.folder / "refused.txt")) as child:
        assert child.wait() == 2, child.text()
        said = sentence(child)
    assert "is a file, and a folder is wanted there" in said
    return Outcome(said, None)


def free_port() -> int:
    """For ranks that meet."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def rank_killed(bench: Bench) -> Outcome:
    """kill -9 to the second of two ranks: the first ends with a sentence, and both go on together."""
    words = ("trainer.devices=2", "trainer=ddp", "trainer.accelerator=cpu", "data.batch_size=2")
    ranks = both_ranks(bench, whole := bench.new(), words)
    for child in ranks:
        assert child.wait() == 0, child.text()
    first, second = both_ranks(bench, folder := bench.new(), words)
    with quiet_end(first), quiet_end(second):
        until(lambda: iterations_of(folder) >= 6, child=first)
        second.kill()
        assert first.wait(60) == 1, first.text()
        said = sentence(first)
    for child in both_ranks(bench, folder, (*words, "resume=last")):
        assert child.wait() == 0, child.text()
    bench._whole[words] = whole
    return Outcome(said, bench.lost(folder, words))


def both_ranks(bench: Bench, folder: Path, words: tuple[str, ...]) -> list[Child]:
    """Two trainings that torchrun's variables make one."""
    port, found = free_port(), []
    for rank in range(2):
        given = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "x"}
        given |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}

        def prepare(given: dict[str, str] = given) -> None:
            from pytorch_lightning.utilities.rank_zero import rank_zero_only

            os.environ.update(given)
            rank_zero_only.rank = int(given["RANK"])

        said = folder.with_name(f"{folder.name}-rank{rank}.txt")
        found.append(bench.begin(folder, *words, prepare=prepare, said=said))
    return found


FAULTS: dict[str, Callable[[Bench], Outcome]] = {
    "kill -9 at a random moment": kill_at_random,
    "kill -9 while a checkpoint is written": kill_while_saving,
    "SIGTERM": sigterm,
    "Ctrl-C": ctrl_c,
    "a loader worker killed": worker_killed,
    "a rank killed": rank_killed,
    "the newest checkpoint cut off": corrupt_newest,
    "no space left": disk_full,
    "no space left, on a real disk": small_disk,
    "run folder that cannot be written": read_only,
    "a picture removed, no cache": lambda bench: image_lost(bench, cut=False, cache="off"),
    "a picture cut off, no cache": lambda bench: image_lost(bench, cut=True, cache="off"),
    "a picture removed, in the cache": lambda bench: image_lost(bench, cut=False, cache="auto"),
    "the clock jumps": clock_jump,
    "W&B gone": wandb_gone,
}
REPEATED = ("kill -9 at a random moment", "kill -9 while a checkpoint is written")
