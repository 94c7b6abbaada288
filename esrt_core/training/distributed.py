"""Data-parallel training in several processes started by torchrun, with gloo on CPUs and nccl on GPUs."""

import atexit
import os
import time
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

TIMEOUT = timedelta(minutes=30)  # the others wait while one process builds the store of decoded pictures
GRACE = 0.1  # s


@dataclass(frozen=True)
class Replica:
    """Hold this process's rank among `world` processes, its rank on this machine (`local_rank`) and its device."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    device: torch.device = torch.device("cpu")  # noqa: RUF009 - immutable

    @property
    def is_main_process(self) -> bool:
        """Whether this process writes files and reports progress."""
        return self.rank == 0

    def wrap(self, network: nn.Module) -> nn.Module:
        """Return the network with gradients averaged over all processes."""
        if self.world == 1:
            return network
        return DistributedDataParallel(network, gradient_as_bucket_view=True)

    def largest(self, values: list[float]) -> list[float]:
        """Return the maximum of each value over all processes, so that all make the same decision."""
        if self.world == 1:
            return values
        tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(tensor, dist.ReduceOp.MAX)
        return tensor.tolist()

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """Return the sum of a tensor over all processes, on the CPU."""
        if self.world == 1:
            return values
        tensor = values.to(self.device)
        dist.all_reduce(tensor)
        return tensor.cpu()

    def gather(self, values: list[float]) -> list[list[float]]:
        """Return the lists of all processes, in rank order."""
        if self.world == 1:
            return [values]
        lists: list[list[float]] = [[] for _ in range(self.world)]
        dist.all_gather_object(lists, values)
        return lists

    def wait(self) -> None:
        """Wait until all processes have called this."""
        if self.world > 1:
            dist.barrier()


def join(device: torch.device) -> Replica:
    """Join the process group that torchrun started; without torchrun, return a single replica.

    The group is joined once and left at exit: a group that was left cannot be joined again.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return Replica(device=device)
    local = int(os.environ.get("LOCAL_RANK", "0"))
    on_gpu = device.type == "cuda"
    own_device = torch.device("cuda", local) if on_gpu else device
    if on_gpu:
        torch.cuda.set_device(own_device)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if on_gpu else "gloo", timeout=TIMEOUT)
        atexit.register(_leave)
    return Replica(dist.get_rank(), dist.get_world_size(), local, own_device)


def _leave() -> None:
    """Leave the group, after gloo's threads have released the last tensors.

    They need the interpreter's lock for that, and would abort a program that is already finalizing.
    """
    time.sleep(GRACE)
    dist.destroy_process_group()
