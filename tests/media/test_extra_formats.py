"""HEIC and JPEG XL: read and written with the extra, refused with its name without it."""

from collections.abc import Callable

import numpy as np
import pytest

from esrt_core.errors import MediaError
from esrt_core.media.frame import Frame
from esrt_core.media.image import Metadata, Page
from tests.media.pictures import first, picture, read, srgb_profile, written

PACKAGES = {"heic": "pillow_heif", "jxl": "pillow_jxl"}


@pytest.fixture
def encoded() -> Callable[[str], bytes]:
    def encode(name: str) -> bytes:
        pytest.importorskip(PACKAGES[name])
        pixels = np.asarray(picture(size=(64, 48)))
        data, _ = written([Page(frame_of(pixels))], name, Metadata(icc=srgb_profile(), dpi=(300, 300)))
        return data

    return encode


def frame_of(pixels: np.ndarray) -> Frame:
    return Frame((np.ascontiguousarray(pixels),))


@pytest.mark.parametrize("name", PACKAGES)
def test_pixels_and_profile_come_back(encoded: Callable[[str], bytes], name: str) -> None:
    data = encoded(name)
    result = read(data)
    assert result.info.format.name == name
    assert result.metadata.icc
    back = first(data).frame.planes[0].astype(int)
    assert back.shape == (48, 64, 3)
    assert abs(back - np.asarray(picture(size=(64, 48)))).mean() < 8


@pytest.mark.parametrize("name", PACKAGES)
def test_without_the_package_the_extra_is_named(
    encoded: Callable[[str], bytes], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    data = encoded(name)

    def missing(module: str) -> None:
        raise ImportError(module)

    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(MediaError, match=r"\.\[formats\]"):
        read(data)
