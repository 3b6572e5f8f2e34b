"""What several processes compute together, against one that has the whole batch."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from gan_style.core.errors import UserError
from gan_style.models.processes import alone, averaged, summed
from gan_style.models.style_conditional import StyleConditional
from gan_style.training.engine.batch_norm import SyncBatchNorms, SyncedBatchNorm, computes_together
from gan_style.training.engine.engine import Engine
from gan_style.training.engine.players import (
    Player,
    own_gradients,
    refuse_missing_gradients,
    same_start,
    settle_buckets,
)
from tests.small_models import made

WORLD = 3
BATCH = torch.linspace(-1, 1, 6 * 2 * 4 * 4, dtype=torch.float64).sin().view(6, 2, 4, 4)
LABELS, CODES = torch.tensor([0, 1, 1, 0, 0, 1]), torch.linspace(0, 1, 6 * 8, dtype=torch.float64).view(6, 8)


class Net(nn.Module):
    """`nobodys` has no gradient; `last` is laid out channels-last."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.nobodys = nn.Conv2d(3, 3, 1).double()
        self.first = nn.Conv2d(2, 3, 3, padding=1).double()
        self.norm = nn.BatchNorm2d(3).double()
        self.last = nn.Conv2d(3, 2, 3).double().to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.last(torch.tanh(self.norm(self.first(x))))
        return y

    def loss(self, x: Tensor) -> Tensor:
        """With a gradient's gradient, as a penalty has."""
        x = x.clone().requires_grad_()
        y = self(x)
        (slope,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        return y.square().mean() + slope.square().mean()


def styles() -> StyleConditional:
    model = made("model=style_conditional", "model.style_size=8", styles=2).double()
    assert isinstance(model, StyleConditional)
    return model


def gradients(net: Net) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}


def one_of_three(rank: int, port: int, folder: str) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    dist.init_process_group("gloo", rank=rank, world_size=WORLD)
    mine, found = BATCH.chunk(WORLD)[rank], {}
    net = Net()
    net.norm.__class__ = SyncedBatchNorm
    if rank == 1:
        nn.init.zeros_(net.first.weight)  # overwritten by the first process's
    same_start(net)
    wrapped = DistributedDataParallel(
        Player(list(net.parameters())), gradient_as_bucket_view=True, find_unused_parameters=True
    )
    wrapped(net.loss(mine)).backward()
    found["whole"] = gradients(net)
    assert net.last.weight.grad.stride() == net.last.weight.stride()
    found["buffers"] = {name: buffer.clone() for name, buffer in net.named_buffers()}
    refuse_missing_gradients(wrapped, net, "G")  # it was said that there may be some

    net.norm.eval()  # from here on the same function in every pass
    trained = [p for name, p in net.named_parameters() if not name.startswith("nobodys")]
    wrapped = DistributedDataParallel(Player(trained), gradient_as_bucket_view=True)
    settle_buckets(wrapped)
    assert all(p.grad is None for p in trained)
    for name in ("first pass", "second pass"):
        net.zero_grad()
        wrapped(net.loss(mine)).backward()
        found[name] = gradients(net)
    net.zero_grad()
    with wrapped.no_sync():
        wrapped(net.loss(mine)).backward()
    found["own"] = gradients(net)
    wrapped(net.loss(mine)).backward()
    found["accumulated"] = gradients(net)

    found["sum"], found["mean"] = summed([mine, mine.sum()]), averaged([mine])
    model = styles()
    for _ in range(2):
        model._remember(CODES.chunk(WORLD)[rank], LABELS.chunk(WORLD)[rank])
    found["styles"] = {"means": model.style_means, "visits": model.style_visits}
    if rank == 0:
        with alone():  # would wait for the others otherwise
            net.train()
            net(mine)
            assert torch.equal(summed([mine])[0], mine)
    torch.save(found, Path(folder) / f"{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("ranks")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(one_of_three, (port, str(folder)), nprocs=WORLD)
    return [torch.load(folder / f"{rank}.pt") for rank in range(WORLD)]


def assert_close(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-10, atol=1e-14, msg=name)


@pytest.mark.ddp
def test_the_gradient_and_the_statistics_are_those_of_the_whole_batch(ranks: list[dict[str, Any]]) -> None:
    net = Net()
    net.loss(BATCH).backward()
    for found in ranks:
        assert_close(found["buffers"], dict(net.named_buffers()))
    assert all(torch.equal(found["whole"][k], ranks[0]["whole"][k]) for found in ranks for k in found["whole"])
    assert_close(ranks[0]["whole"], gradients(net))


@pytest.mark.ddp
def test_passes_of_the_same_batch_are_equal_bit_for_bit(ranks: list[dict[str, Any]]) -> None:
    """DistributedDataParallel sorts its buckets after the first pass; three processes then round in another order."""
    for found in ranks:
        assert all(torch.equal(found["first pass"][k], found["second pass"][k]) for k in found["first pass"])


@pytest.mark.ddp
def test_an_open_step_is_each_process_s_own_and_a_whole_one_is_the_mean(ranks: list[dict[str, Any]]) -> None:
    own = [found["own"] for found in ranks]
    assert not torch.equal(own[0]["first.weight"], own[1]["first.weight"])
    mean = {name: torch.stack([one[name] for one in own]).mean(0) for name in own[0]}
    assert_close(ranks[0]["accumulated"], {name: 2 * value for name, value in mean.items()})
    assert_close(own_gradients(own, 0), mean)  # three were saved, and this is one process
    assert own_gradients(own[:1], 0) == own_gradients(own[0], 0) == own[0]


@pytest.mark.ddp
def test_sums_and_means_of_styles_are_those_of_the_whole_batch(ranks: list[dict[str, Any]]) -> None:
    parts = BATCH.chunk(WORLD)
    for found in ranks:
        torch.testing.assert_close(found["sum"], [torch.stack(parts).sum(0), BATCH.sum()])
        torch.testing.assert_close(found["mean"], [torch.stack(parts).mean(0)])
        model = styles()
        for _ in range(2):
            model._remember(CODES, LABELS)
        assert_close(found["styles"], {"means": model.style_means, "visits": model.style_visits})


@pytest.fixture
def one_process() -> Any:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    dist.init_process_group("gloo", rank=0, world_size=1, init_method=f"tcp://127.0.0.1:{port}")
    yield
    dist.destroy_process_group()


def test_a_parameter_without_a_gradient_is_named(one_process: None) -> None:
    net = Net()
    wrapped = DistributedDataParallel(Player(list(net.parameters())))
    wrapped(net.loss(BATCH)).backward()
    with pytest.raises(UserError, match=r"nobodys\.weight, nobodys\.bias had no gradient in a turn of G"):
        refuse_missing_gradients(wrapped, net, "G")


@pytest.mark.parametrize("on_gpu", [False, True])
def test_batch_norms_are_put_in_and_taken_out_and_keep_their_names(on_gpu: bool) -> None:
    model = made("model.generator.norm=batch", "model.discriminator.norm=batch")
    kinds: Callable[[], list[type]] = lambda: [type(m) for m in model.modules() if "BatchNorm" in type(m).__name__]  # noqa: E731
    before, names = kinds(), list(model.state_dict())
    assert not computes_together(model)
    plugin = SyncBatchNorms(on_gpu)
    engine = Engine(model)
    plugin.apply(engine)
    assert computes_together(model)
    assert set(kinds()) == ({nn.SyncBatchNorm, SyncedBatchNorm} if on_gpu else {SyncedBatchNorm})
    assert all(isinstance(m, SyncedBatchNorm) for m in model.D_A.modules() if "BatchNorm" in type(m).__name__)
    assert list(model.state_dict()) == names
    plugin.revert(engine)
    assert list(model.state_dict()) == names
    assert len(kinds()) == len(before)
    assert not computes_together(model)
