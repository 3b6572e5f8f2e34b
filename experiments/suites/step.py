"""One CycleGAN iteration through Lightning, callbacks and all, against a bare loop over the same networks."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from suites.common import Step, alternate, composed, report

from gan_style.config import build


def run(words: dict[str, str]) -> dict[str, Any]:
    """One iteration at the paper's setting: ours, whole, against the same mathematics in a bare loop."""
    size, batch, rounds = (int(words.pop(k, d)) for k, d in (("size", "256"), ("batch", "1"), ("rounds", "7")))
    overrides = [
        f"data.image_size={size}",
        f"data.load_size={size}",
        f"data.batch_size={batch}",
        "data.count=8",
    ]
    config = composed([*overrides, *(f"{k}={v}" for k, v in words.items())])
    with tempfile.TemporaryDirectory() as folder:
        whole = LightningLoop(config, Path(folder), batches=2 * rounds + 4)
        bare = bare_loop(config, whole.batches)
        times = alternate({"bare loop": bare, "gan_style": whole.step}, rounds)
        whole.close()
    return report(f"CycleGAN iteration, {size} px, batch {batch}", times, against="bare loop")


class LightningLoop:
    """`train.py`'s own loop, held at every iteration so that it can take turns with another."""

    def __init__(self, config: dict[str, Any], folder: Path, batches: int) -> None:
        import threading

        from gan_style import run as train_run

        config = {**config, "run_dir": str(folder), "trainer": {**config["trainer"], "max_steps": batches}}
        config["trainer"]["val_every"] = 10 * batches
        config["best"] = {"monitor": None}  # nothing is validated
        data = build(config["data"])
        data.setup()
        self.batches = [{k: v[None] for k, v in data.train_set[i].items() if k in "AB"} for i in range(4)]
        self.batches = [{d: torch.cat([b[d]] * config["data"]["batch_size"]) for d in "AB"} for b in self.batches]
        self.batches = [data.on_after_batch_transfer(batch, 0) for batch in self.batches]  # uint8 until then
        torch.manual_seed(0)
        model = build(config["model"], channels_A=3, channels_B=3)
        settings, chosen = build(config["trainer"]), [build(node) for node in config["callbacks"].values() if node]
        trainer, _logs, _ = train_run.assemble(config, settings, data, model, chosen, folder, batches, None)
        train_run.quiet_lightning()
        self.go, self.done, self.failed = threading.Semaphore(0), threading.Semaphore(0), None
        trainer.callbacks.insert(0, hold(self.go, self.done))
        data.val_dataloader = lambda: []

        def fit() -> None:
            try:
                trainer.fit(model, datamodule=data)
            except Exception as error:
                self.failed = error
            self.done.release()

        self.thread = threading.Thread(target=fit, daemon=True)
        self.thread.start()
        self.done.acquire()  # it stands before its first batch
        if self.failed:
            raise self.failed

    def step(self) -> None:
        self.go.release()
        self.done.acquire()
        if self.failed:
            raise self.failed

    def close(self) -> None:
        while self.thread.is_alive():
            self.go.release()
            self.thread.join(0.1)


def hold(go: Any, done: Any) -> Any:
    """A callback that waits before every batch; the time between two batches is a whole iteration."""
    import pytorch_lightning as pl

    class Hold(pl.Callback):
        def on_train_batch_start(self, *_: Any) -> None:
            done.release()
            go.acquire()

    return Hold()


def bare_loop(config: dict[str, Any], batches: list[dict[str, torch.Tensor]]) -> Step:
    """The official step's mathematics over our networks: two turns, a pool, Adam, nothing else."""
    torch.manual_seed(0)
    model = build(config["model"], channels_A=3, channels_B=3)
    G_AB, G_BA, D_A, D_B = model.G_AB, model.G_BA, model.D_A, model.D_B
    generators = [*G_AB.parameters(), *G_BA.parameters()]
    discriminators = [*D_A.parameters(), *D_B.parameters()]
    adam_G = torch.optim.Adam(generators, lr=2e-4, betas=(0.5, 0.999))
    adam_D = torch.optim.Adam(discriminators, lr=2e-4, betas=(0.5, 0.999))
    count = 0

    def step() -> None:
        nonlocal count
        A, B = batches[count % len(batches)]["A"], batches[count % len(batches)]["B"]
        count += 1
        fake_B, fake_A = G_AB(A), G_BA(B)
        rec_A, rec_B, idt_A, idt_B = G_BA(fake_B), G_AB(fake_A), G_BA(A), G_AB(B)
        for p in discriminators:
            p.requires_grad_(False)
        loss = (D_B(fake_B) - 1).square().mean() + (D_A(fake_A) - 1).square().mean()
        loss = loss + 10 * (F.l1_loss(rec_A, A) + F.l1_loss(rec_B, B))
        loss = loss + 5 * (F.l1_loss(idt_A, A) + F.l1_loss(idt_B, B))
        adam_G.zero_grad()
        loss.backward()
        adam_G.step()
        for p in discriminators:
            p.requires_grad_(True)
        adam_D.zero_grad()
        for D, real, fake in ((D_A, A, model.pool_A.swap(fake_A)), (D_B, B, model.pool_B.swap(fake_B))):
            (0.5 * ((D(real) - 1).square().mean() + D(fake).square().mean())).backward()
        adam_D.step()

    return step
