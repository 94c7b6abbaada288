import pytest

from esrt_core.architecture import SCALES, parameter_shapes
from esrt_core.model import ESRT, ESRTConfig


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(("channels", "blocks"), [(16, 1), (32, 3), (48, 2)])
def test_the_shapes_are_those_of_the_network(scale: int, channels: int, blocks: int) -> None:
    state = ESRT(ESRTConfig(scale, channels, blocks)).state_dict()
    assert parameter_shapes(scale, channels, blocks) == {name: tuple(tensor.shape) for name, tensor in state.items()}
