"""The examples of docs/python.md, run as they stand."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from tests.export.conftest import Exports, exported
from tests.media.pictures import picture, srgb_profile

__all__ = ["exported"]
PAGE = Path(__file__).parent.parent / "docs" / "python.md"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the photo of the examples, on its side."""
    tags = Image.Exif()
    tags[274], tags[315] = 6, "someone"
    tags.get_ifd(0x8769)[0xA002] = 28
    picture().save(tmp_path / "photo.jpg", exif=tags.tobytes(), icc_profile=srgb_profile(), dpi=(300, 300), quality=98)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def example(start: str) -> str:
    blocks: list[str] = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (found,) = [block for block in blocks if start in block]
    return found


def test_the_result_of_the_first_example_is_upright_and_keeps_what_the_photo_carried(folder: Path) -> None:
    exec(example("import esrt_core"), {})
    with Image.open(folder / "large.jpg") as large:
        assert large.size == (80, 112)
        assert large.info["icc_profile"] == srgb_profile()
        assert large.info["dpi"] == (300, 300)
        tags = large.getexif()
        assert (tags[274], tags[315], tags.get_ifd(0x8769)[0xA002]) == (1, "someone", 80)
        small = np.asarray(large.convert("RGB").resize((20, 28), Image.Resampling.BOX), float)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(folder / "photo.jpg")), float)
    assert np.abs(small - upright).mean() < 8


@pytest.mark.slow
def test_the_result_of_the_exported_program_is_upright_and_has_its_profile(folder: Path, exported: Exports) -> None:
    (folder / "esrt_x4.onnx").write_bytes(exported("any.onnx").path.read_bytes())
    exec(example("onnxruntime"), {})
    with Image.open(folder / "large.png") as large:
        assert large.size == (40, 56)
        assert large.info["icc_profile"] == srgb_profile()
