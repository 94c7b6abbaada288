"""Several processes that train one network: started by torchrun, gloo on CPUs, nccl on GPUs."""

import atexit
import os
import time
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

PATIENCE = timedelta(minutes=30)  # the others wait while one process builds the patch store
GRACE = 0.1  # s


@dataclass(frozen=True)
class Replica:
    """Say which of how many processes this is (`local_rank`: on this machine), and its device."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    device: torch.device = torch.device("cpu")  # noqa: RUF009 - immutable

    @property
    def is_main_process(self) -> bool:
        """Whether this process writes the files and reports."""
        return self.rank == 0

    def wrap(self, network: nn.Module) -> nn.Module:
        """Return the network with gradients averaged over the processes."""
        if self.world == 1:
            return network
        return DistributedDataParallel(network, gradient_as_bucket_view=True)

    def largest(self, values: list[float]) -> list[float]:
        """Return the largest of each value over the processes, so that all take the same decision."""
        if self.world == 1:
            return values
        tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(tensor, dist.ReduceOp.MAX)
        return tensor.tolist()

    def gather(self, values: list[float]) -> list[list[float]]:
        """Return the lists of all processes, in their order."""
        if self.world == 1:
            return [values]
        lists: list[list[float]] = [[] for _ in range(self.world)]
        dist.all_gather_object(lists, values)
        return lists

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.world > 1:
            dist.barrier()


def join(device: torch.device) -> Replica:
    """Join the processes that torchrun started, once: a group that was left cannot be joined again. Alone without it.

    The group is left when the program ends.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return Replica(device=device)
    local = int(os.environ.get("LOCAL_RANK", "0"))
    on_gpu = device.type == "cuda"
    own = torch.device("cuda", local) if on_gpu else device
    if on_gpu:
        torch.cuda.set_device(own)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if on_gpu else "gloo", timeout=PATIENCE)
        atexit.register(_leave)
    return Replica(dist.get_rank(), dist.get_world_size(), local, own)


def _leave() -> None:
    """Leave the group as soon as gloo's threads have let go of the last tensors.

    For that they need the interpreter's lock; a program that is already ending would be aborted by them.
    """
    time.sleep(GRACE)
    dist.destroy_process_group()
