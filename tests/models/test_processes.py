"""Gradients of two processes against those of one that sees both halves of the batch."""

import os
import socket
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn

from gan_style.models.processes import GradientAverage, same_start

pytestmark = pytest.mark.ddp
BATCH = torch.linspace(-1, 1, 4 * 2 * 4 * 4, dtype=torch.float64).view(4, 2, 4, 4)


class Net(nn.Module):
    """`second` is met by the second process alone, `nobodys` by none; `last` is laid out channels-last."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        make = {"dtype": torch.float64}
        self.first = nn.Conv2d(2, 3, 3, padding=1, **make)
        self.second = nn.Conv2d(3, 3, 1, **make)
        self.nobodys = nn.Conv2d(3, 3, 1, **make)
        self.last = nn.Conv2d(3, 2, 3, **make).to(memory_format=torch.channels_last)

    def forward(self, x: Tensor, ranks: tuple[int, ...]) -> Tensor:
        halves = zip(x.chunk(len(ranks)), ranks, strict=True)
        met = [torch.tanh(self.second(self.first(half)) if rank else self.first(half)) for half, rank in halves]
        return self.last(torch.cat(met)).square().mean()


def one_of_two(rank: int, port: int, bucket_bytes: int, folder: str) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    dist.init_process_group("gloo", rank=rank, world_size=2)
    net = Net()
    if rank == 1:
        nn.init.zeros_(net.first.weight)  # overwritten by the first process's
    same_start(net)
    averages = GradientAverage(list(net.parameters()), bucket_bytes)
    found = []
    for accumulated in (False, True, False):  # the second adds to the first's, as an accumulated step does
        if not accumulated:
            net.zero_grad()
        with averages.during_backward():
            net(BATCH.chunk(2)[rank], (rank,)).backward()
        found.append({name: None if p.grad is None else p.grad.clone() for name, p in net.named_parameters()})
        assert net.last.weight.grad.stride() == net.last.weight.stride()
    torch.save(found, Path(folder) / f"{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


@pytest.mark.parametrize("bucket_bytes", [1, 300, 2**20], ids=["each alone", "a few", "all at once"])
def test_the_mean_of_two_processes_is_the_gradient_of_the_whole_batch(tmp_path: Path, bucket_bytes: int) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(one_of_two, (port, bucket_bytes, str(tmp_path)), nprocs=2)
    net = Net()
    net(BATCH, (0, 1)).backward()
    for rank in range(2):
        for times, found in zip((1, 2, 1), torch.load(tmp_path / f"{rank}.pt"), strict=True):
            for name, parameter in net.named_parameters():
                if parameter.grad is None:
                    assert name.startswith("nobodys")
                    assert found[name] is None
                else:
                    torch.testing.assert_close(found[name], times * parameter.grad, rtol=1e-12, atol=1e-15)
