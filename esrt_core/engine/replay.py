"""Replay: a network recorded on a GPU, so that its hundreds of kernels are started at once."""

import torch
from torch import Tensor, nn

Windows = tuple[int, int]

RECORD_AT = 6  # calls in a row with inputs of one shape; more than the four upright ones of --tta
ROOM = 2  # times the memory of a call that must be free: a recording keeps its own


class Replay:
    """Call a network, `(x, windows)`, and on CUDA record it as a graph when one shape comes again and again.

    One recording is kept, if there is room for it. A replayed result is valid until the next call.
    """

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self._form: tuple[torch.Size, Windows] | None = None
        self._times = 0
        self._recording: tuple[torch.cuda.CUDAGraph, Tensor, Tensor] | None = None

    def __call__(self, x: Tensor, windows: Windows) -> Tensor:
        """Return the network's result for x (B, 3, H, W), channels last."""
        form = (x.shape, windows)
        if form != self._form:
            if self._recording is not None:
                torch.cuda.synchronize()  # it may still be under way
            self._form, self._times, self._recording = form, 0, None
        self._times += 1
        if x.is_cuda and self._times == RECORD_AT and _has_room(x.device):
            self._recording = self._record(x, windows)
        if self._recording is None:
            y: Tensor = self._network(x, windows)
            return y
        graph, inputs, outputs = self._recording
        inputs.copy_(x)
        graph.replay()
        return outputs

    def _record(self, x: Tensor, windows: Windows) -> tuple[torch.cuda.CUDAGraph, Tensor, Tensor]:
        inputs = x.clone(memory_format=torch.channels_last)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            outputs: Tensor = self._network(inputs, windows)
        return graph, inputs, outputs


def _has_room(device: torch.device) -> bool:
    """Say whether there is room for a recording besides a call; what calls have left behind is given back."""
    call = torch.cuda.memory_reserved(device)
    torch.cuda.empty_cache()
    return torch.cuda.mem_get_info(device)[0] >= ROOM * call
