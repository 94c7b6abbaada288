import pytest

from esrt_core.engine.options import EngineOptions, check_devices
from esrt_core.errors import OptionError


@pytest.mark.parametrize("device", ["auto", "cpu", "mps", "cuda", "cuda:1", "xpu:0"])
def test_known_devices_are_taken(device: str) -> None:
    assert EngineOptions(device=device).device == device


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("device", "gpu", "unknown device 'gpu'"),
        ("device", "cpu:x", "unknown device"),
        ("threads", 0, "threads must be from 1"),
        ("precision", "int8", "unknown precision 'int8'"),
        ("tile", 16, "tile must be 0"),
        ("tile", -1, "tile must be 0"),
        ("tile", 5000, "tile must be 0"),
    ],
)
def test_a_wrong_value_is_named_in_one_line(field: str, value: object, message: str) -> None:
    with pytest.raises(OptionError, match=message) as caught:
        EngineOptions(**{field: value})  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("devices", "message"),
    [
        (("cuda:0", "cuda:0"), "--device cuda:0,cuda:0 names a device twice"),
        (("cuda:0", "gpu"), "unknown device 'gpu'"),
        (("cpu", "all"), "'all' names several devices"),
        (("cpu", ""), "unknown device ''"),
    ],
)
def test_devices_that_share_the_work_are_known_and_different(devices: tuple[str, ...], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        check_devices(devices)
    for good in (("all",), ("cuda:0", "cuda:1"), ("cuda:1", "cpu")):
        check_devices(good)
