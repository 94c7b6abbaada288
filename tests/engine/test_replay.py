import pytest
import torch
from torch import Tensor, nn

from esrt_core.engine.fast import fast_form
from esrt_core.engine.replay import RECORD_AT, Replay
from esrt_core.model import ESRT


class Counting(nn.Module):
    """Count how often the network is really called."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.calls = 0

    def forward(self, x: Tensor, windows: tuple[int, int]) -> Tensor:
        self.calls += 1
        out: Tensor = self.network(x, windows)
        return out


def test_nothing_is_recorded_on_a_cpu(network: ESRT) -> None:
    counting = Counting(fast_form(network))
    replay, x = Replay(counting), torch.rand(1, 3, 8, 8)
    with torch.inference_mode():
        results = [replay(x, (1, 1)) for _ in range(RECORD_AT + 2)]
    assert counting.calls == RECORD_AT + 2
    assert all(torch.equal(result, results[0]) for result in results)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@torch.inference_mode()
def test_a_recording_gives_what_the_network_gives(network: ESRT) -> None:
    counting = Counting(fast_form(network, torch.float16).cuda())
    replay = Replay(counting)
    for height in (16, 24, 16):  # another shape begins anew
        counting.calls = 0
        for _ in range(RECORD_AT + 3):
            x = torch.rand(2, 3, height, 16, device="cuda").contiguous(memory_format=torch.channels_last)
            assert torch.allclose(replay(x, (1, 1)), counting.network(x, (1, 1)), atol=2e-3)
        assert counting.calls == RECORD_AT  # the last of them was recorded
