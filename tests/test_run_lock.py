"""Two runs never write into one folder: on one machine, over a network, after kill -9, started at the same instant."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from gan_style.core.errors import Interrupted, UserError
from gan_style.training import loggers, run_folder, run_lock
from gan_style.training.run_lock import NAME, Holder, RunLock, held
from tests.conftest import SMALL, SMALL_RESNET

Run = Callable[..., Path]
ROOT = Path(__file__).parents[1]
# A lock without the rest of a training: nothing heavy is imported.
HOLD = """
import os, sys, time
from pathlib import Path
from gan_style.training import run_lock
{}
lock = run_lock.RunLock(Path({!r}))
"""


def content(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file of a folder, with its time."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@contextlib.contextmanager
def holder(folder: Path, before: str = "", after: str = "print('held', flush=True)\ntime.sleep(60)") -> Iterator[int]:
    """A process that holds a folder; its number."""
    code = HOLD.format(before, str(folder)) + f"lock.take()\n{after}\n"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "held\n"
        yield process.pid
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def elsewhere(**given: object) -> str:
    """The lock file of a holder on another machine."""
    return json.dumps(asdict(Holder()) | {"machine": "another", "host": "node7", "process": 12} | given)


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without locks of the system."""

    def missing(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", missing)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_lock, "TAKEOVER_SECONDS", 0.4)
    monkeypatch.setattr(run_lock, "WRITE_SECONDS", 0.05)


@pytest.mark.parametrize("words", [(), ("resume=last",)], ids=["anew", "resumed"])
def test_the_second_says_who_holds_it_and_changes_nothing(run: Run, tmp_path: Path, words: tuple[str, ...]) -> None:
    folder = tmp_path / "run"
    for name in ("config.yaml", "metrics.csv", "checkpoints/last.ckpt"):  # which the second does not come to read
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("of the first")
    with holder(folder) as process:
        before = content(folder)
        with pytest.raises(UserError) as refused:
            run("run", "trainer.max_steps=2", *words)
        assert content(folder) == before
    who = rf"process {process} on {os.uname().nodename} since 20\d\d-\d\d-\d\d \d\d:\d\d:"
    said = (
        rf"run_dir={folder} belongs to {who}.*, which trains into it: wait for its end, stop it there, or name another"
    )
    assert re.match(said, str(refused.value)), refused.value


def test_a_folder_that_is_being_begun_is_not_begun_twice(run: Run, tmp_path: Path) -> None:
    """Before there is a checkpoint, before data are read."""
    with held(tmp_path / "run"), pytest.raises(UserError, match="belongs to process"):
        run("run", "data=folders", "data.root=nowhere")


@pytest.mark.parametrize("end", ["done", "mistake", "interrupted"])
def test_it_is_let_go_at_every_end(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    seen = []

    def watch(*_: object) -> list[str]:
        seen.append(run_lock.read(tmp_path / "deep" / "run" / NAME))
        if end != "done":
            raise {"mistake": UserError, "interrupted": Interrupted}[end]("so it ends")
        return []

    monkeypatch.setattr("gan_style.training.run.schedule_notes", watch)
    with contextlib.suppress(UserError, Interrupted):
        run("deep/run", "trainer.max_steps=1")
    assert [found.process for found in seen if found] == [os.getpid()]
    assert not (tmp_path / "deep" / "run" / NAME).exists()
    assert (tmp_path / "deep").exists() == (end == "done"), "a start that failed leaves no folder"
    assert run_lock._held == []


def test_the_lock_of_a_killed_process_is_taken_over_which_is_said(
    run: Run, trained: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = trained("run", "trainer.max_steps=1")
    with holder(folder) as process:
        pass
    assert (folder / NAME).is_file()
    capsys.readouterr()
    run("run", "trainer.max_steps=2", "resume=last")
    notes = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note: ")]
    assert len(notes) == 1
    assert notes[0].startswith(f"note: {folder / NAME} names process {process} on ")
    assert notes[0].endswith(", which holds it no longer: this run takes over")
    assert not (folder / NAME).exists()


def test_loader_workers_that_outlive_a_killed_run_do_not_hold_its_folder(tmp_path: Path) -> None:
    fork = "if os.fork() == 0:\n    print('held', flush=True)\n    time.sleep(20)\n    os._exit(0)\ntime.sleep(60)"
    with holder(tmp_path, after=fork):  # the worker says so: it runs when the other is killed
        pass
    with held(tmp_path):
        pass


def test_a_fork_that_ends_does_not_let_go_for_its_parent(tmp_path: Path) -> None:
    fork = "if os.fork() == 0:\n    sys.exit()\nos.wait()\nprint('held', flush=True)\ntime.sleep(60)"
    with holder(tmp_path, after=fork), pytest.raises(UserError, match="belongs to"), held(tmp_path):
        pass


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("known", [True, False], ids=["another machine", "no locks here"])
def test_a_holder_that_no_lock_tells_of_is_believed_while_it_gives_signs(
    tmp_path: Path, request: pytest.FixtureRequest, known: bool
) -> None:
    if not known:
        request.getfixturevalue("no_locks")
    (tmp_path / NAME).write_text(elsewhere() if known else elsewhere(machine=Holder().machine))
    alive = threading.Timer(0.2, os.utime, [tmp_path / NAME])
    alive.start()
    with pytest.raises(UserError, match="belongs to process 12 on node7"), held(tmp_path):
        pass
    alive.join()
    assert (tmp_path / NAME).exists()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("known", [True, False], ids=["another machine", "no locks here"])
def test_one_that_gives_none_is_followed(
    tmp_path: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str], known: bool
) -> None:
    if not known:
        request.getfixturevalue("no_locks")
    (tmp_path / NAME).write_text(elsewhere() if known else elsewhere(machine=Holder().machine))
    with held(tmp_path):
        assert run_lock.read(tmp_path / NAME).process == os.getpid()  # type: ignore[union-attr]
    wait, over = capsys.readouterr().out.splitlines()
    assert "names process 12 on node7" in wait
    assert "waiting 0 s for a sign of it" in wait
    assert over.endswith("which holds it no longer: this run takes over")


@pytest.mark.usefixtures("no_locks", "impatient")
def test_one_that_lets_go_while_it_is_watched_is_followed_at_once(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text(elsewhere())
    threading.Timer(0.1, (tmp_path / NAME).unlink).start()
    with held(tmp_path):
        assert run_lock.read(tmp_path / NAME).process == os.getpid()  # type: ignore[union-attr]


def test_signs_are_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_lock, "HEARTBEAT_SECONDS", 0.05)
    with held(tmp_path):
        first = (tmp_path / NAME).stat().st_mtime_ns
        end = time.monotonic() + 10
        while (tmp_path / NAME).stat().st_mtime_ns == first:
            assert time.monotonic() < end
            time.sleep(0.02)


def test_one_that_was_thought_dead_writes_no_more(tmp_path: Path) -> None:
    """It slept, and another machine took the folder."""
    quick = "run_lock.HEARTBEAT_SECONDS = 0.1"
    code = HOLD.format(quick, str(tmp_path)) + "lock.take()\nprint('held', flush=True)\ntime.sleep(60)\n"
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    usurper = elsewhere()
    (tmp_path / NAME).write_text(usurper)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert said.startswith(f"gan_style: {tmp_path} was taken over by process 12 on node7 since ")
    assert said.count("\n") == 1
    assert (tmp_path / NAME).read_text() == usurper


RACE = """
import os, sys, time
from pathlib import Path
from gan_style.core import errors; from gan_style.training import run_lock
if {locks!r} == "none":
    import errno, fcntl
    def missing(*_):
        raise OSError(errno.ENOSYS, "no locks")
    fcntl.flock = missing
run_lock.TAKEOVER_SECONDS, run_lock.HEARTBEAT_SECONDS, run_lock.WRITE_SECONDS = 1.0, 0.1, 0.3
root, left = Path({root!r}), {left!r}
for turn in range({turns}):
    folder = root / f"{{turn}}"
    if left:
        folder.mkdir()
        (folder / ".lock").write_text(left)
    start, children = time.time() + 0.05, []
    for one in range(6):
        if os.fork() == 0:
            lock = run_lock.RunLock(folder)
            lock.holder = run_lock.Holder()
            while time.time() < start:
                pass
            try:
                lock.take()
            except errors.UserError:
                os._exit(2)
            time.sleep({hold})
            os._exit(0)
        children.append(0)
    print(sorted(os.waitstatus_to_exitcode(os.wait()[1]) for _ in children), flush=True)
"""


@pytest.mark.parametrize("locks", ["the system's", "none"])
def test_of_six_at_the_same_instant_one_wins(tmp_path: Path, locks: str) -> None:
    code = RACE.format(locks=locks, root=str(tmp_path), left="", turns=8 if locks != "none" else 2, hold=0.8)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    ends = [line for line in done.stdout.splitlines() if line.startswith("[")]
    assert set(ends) == {"[0, 2, 2, 2, 2, 2]"}, done.stdout + done.stderr[-2000:]


@pytest.mark.parametrize("locks", ["the system's", "none"])
def test_of_six_that_find_a_dead_one_of_another_machine_one_wins(tmp_path: Path, locks: str) -> None:
    code = RACE.format(locks=locks, root=str(tmp_path), left=elsewhere(), turns=1, hold=3)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines()[-1] == "[0, 2, 2, 2, 2, 2]", done.stdout + done.stderr[-2000:]


@pytest.mark.usefixtures("impatient")
def test_what_is_no_lock_file_is_no_trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("", "{", "[1]", "7", '{"process": 3}', elsewhere(process="1\x1b[2J"), "x" * 10_000):
        (tmp_path / NAME).write_text(text)
        with held(tmp_path):
            assert run_lock.read(tmp_path / NAME).process == os.getpid()  # type: ignore[union-attr]
    assert "\x1b" not in str(Holder(host="a\x1b[2Jb", since="\n"))
    (tmp_path / NAME).mkdir()
    with pytest.raises(OSError, match=r"\.lock"), held(tmp_path):
        pass
    (tmp_path / NAME).rmdir()
    (tmp_path / NAME).symlink_to(tmp_path / "target")
    with pytest.raises(OSError, match=r"\.lock"), held(tmp_path):
        pass
    assert not (tmp_path / "target").exists()


def test_a_full_disk_leaves_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError, match="No space left") as error, held(tmp_path / "a" / "b"):
        pass
    assert error.value.filename == str(tmp_path / "a" / "b")
    assert not (tmp_path / "a").exists()


def test_a_release_that_was_cut_short_is_finished_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = RunLock(tmp_path / "run")
    lock.take()
    close = os.close

    def interrupted(file: int) -> None:
        close(file)
        raise Interrupted

    monkeypatch.setattr(run_lock.os, "close", interrupted)
    with contextlib.suppress(Interrupted):
        lock.release()
    monkeypatch.setattr(run_lock.os, "close", close)
    assert (tmp_path / "run").exists()
    run_lock.release_all()
    assert not (tmp_path / "run").exists()
    assert run_lock._held == []


def test_two_runs_without_a_folder_never_share_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(run_folder.STARTED, raising=False)
    first, second = run_folder.new_run_dir("x"), run_folder.new_run_dir("x")
    assert first != second, "two in one process, or in a shell that was started by the first"
    monkeypatch.setattr(loggers, "is_first_process", lambda: False)
    assert run_folder.new_run_dir("x") == second, "the other processes of the run"


@pytest.mark.slow
@pytest.mark.parametrize("words", [(), ("resume=last",)], ids=["anew", "resumed"])
def test_of_two_trainings_at_once_one_trains_and_after_its_kill_the_other_takes_over(
    run: Run, tmp_path: Path, words: tuple[str, ...]
) -> None:
    folder = tmp_path / "run"
    if words:
        run("run", "trainer.max_steps=1", "trainer=cpu")
    common = [*SMALL, *SMALL_RESNET, "trainer=cpu", "trainer.save_every=2", f"run_dir={folder}"]
    command = [sys.executable, "train.py", *common, "trainer.max_steps=4000", *words]
    both = [
        subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        for _ in range(2)
    ]
    try:
        end = time.monotonic() + 200
        while all(process.poll() is None for process in both) and time.monotonic() < end:
            time.sleep(0.1)
        [loser] = [process for process in both if process.poll() is not None]
        [winner] = [process for process in both if process is not loser]
        assert loser.stderr is not None
        said = loser.stderr.read()
        assert loser.returncode == 2
        assert said.startswith(f"gan_style: run_dir={folder} belongs to process {winner.pid} on ")
        assert said.count("\n") == 1
        while not (folder / "checkpoints" / "last.ckpt").is_file() or len(iterations(folder)) < 5:
            assert winner.poll() is None
            time.sleep(0.1)
        winner.send_signal(signal.SIGKILL)
        winner.wait()
        assert (folder / NAME).is_file()
    finally:
        for process in both:
            process.kill()
            process.wait()
            assert process.stderr is not None
            process.stderr.close()
    done = iterations(folder)
    ends = [*common, f"trainer.max_steps={max(done) + 2}", "resume=last"]
    third = subprocess.run([sys.executable, "train.py", *ends], cwd=ROOT, capture_output=True, text=True)
    assert third.returncode == 0, third.stderr
    assert third.stdout.startswith(f"note: {folder / NAME} names process {winner.pid} on ")
    assert iterations(folder) == list(range(1, max(done) + 3)), "each once"
    assert not (folder / NAME).exists()


def iterations(folder: Path) -> list[int]:
    lines = (folder / "metrics.csv").read_text().splitlines() if (folder / "metrics.csv").is_file() else []
    return [int(line.split(",")[0]) for line in lines[1:]]
