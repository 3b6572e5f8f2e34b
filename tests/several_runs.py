"""Trains several small runs one after another in this process: `several_runs.py JSON`, a list of [port, words].

Two of these, started with the variables that torchrun sets, are two ranks that import torch and Lightning once. Each
run has a port of its own, because a fast rank would meet the store of the run before on the old one, and begins when
all have ended the one before, whose last checkpoint it may ask for.
"""

import json
import os
import sys

import torch.distributed as dist

from gan_style.training.run import train
from tests.conftest import composed

if __name__ == "__main__":
    for port, words in json.loads(sys.argv[1]):
        os.environ["MASTER_PORT"] = str(port)
        train(composed(*words))
        if dist.is_initialized():
            dist.barrier()
            dist.destroy_process_group()
