import copy

import torch

from esrt_core.model.esrt import ESRT, ESRTConfig
from esrt_core.training.compilation import compile_blocks


def test_compiled_blocks_compute_the_same_and_copies_are_plain() -> None:
    torch.manual_seed(0)
    network = ESRT(ESRTConfig(2, channels=16, blocks=1))
    names, x = list(network.state_dict()), torch.rand(1, 3, 8, 8)
    before = network(x)
    compile_blocks(network, backend="eager")  # what Dynamo records, run without a compiler
    assert torch.allclose(network(x), before, atol=1e-6)
    assert sum(_is_compiled(module) for module in network.modules()) == 4
    assert list(network.state_dict()) == names
    assert not any(_is_compiled(module) for module in copy.deepcopy(network).modules())


def _is_compiled(module: torch.nn.Module) -> bool:
    return module._compiled_call_impl is not None
