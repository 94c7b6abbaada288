"""The Python API keeps what the command keeps: the same table of kinds, through `upscale` and `save`."""

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

import esrt_core
from esrt_core import OptionError, Upscaler
from esrt_core.media.frame import ColorSpace, Frame
from esrt_core.media.image import photoshop
from esrt_core.media.image.decode import probe
from esrt_core.media.image.formats import Format
from esrt_core.media.image.icc import is_nearly_srgb
from esrt_core.media.image.in_memory import CARRIED
from esrt_core.media.image.opening import load_extra
from esrt_core.media.image.picture import Metadata, Page, Picture, ReadLimits, Resolution, Unit
from tests.conftest import WeightsOf
from tests.media.image.test_formats_page import KINDS, WRITTEN
from tests.media.pictures import noise, present, read, saved, written
from tests.media.pictures import picture as patches


@pytest.fixture(scope="module")
def tiny(weights_of: WeightsOf) -> Upscaler:
    return Upscaler(2, str(weights_of(2)), "cpu", threads=1)


def through_the_api(tiny: Upscaler, image: Image.Image, path: Path) -> Picture:
    """Enlarge and save an image as README does."""
    esrt_core.save(tiny.upscale(image), path)
    return read(path)


def with_everything(entry: Format, kind: str, folder: Path) -> Path:
    """A file of a format that has one kind of metadata."""
    path = folder / f"a{entry.extensions[0]}"
    path.write_bytes(written([Page(Frame((noise(6, 8, 3),)))], entry.name, KINDS[kind][0])[0])
    return path


@pytest.mark.parametrize("entry", [entry for entry in WRITTEN if entry.pillow], ids=lambda entry: entry.name)
def test_what_the_command_keeps_the_api_keeps(tiny: Upscaler, entry: Format, tmp_path: Path) -> None:
    for kind, (_, is_kept, keeping, _) in KINDS.items():
        if entry.name not in keeping:
            continue
        path = with_everything(entry, kind, tmp_path)
        if entry.extra:
            load_extra(entry, str(path))
        with Image.open(path) as image:
            metadata = through_the_api(tiny, image, tmp_path / f"b{entry.extensions[0]}").metadata
        if kind == "GeoTIFF":  # is scaled
            assert struct.unpack("<3d", dict(metadata.tiff_tags)[33550].raw) == (0.5, 0.5, 0)
        else:
            assert is_kept(metadata), kind


def tiff(**parameters: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, np.asarray(patches()), photometric="rgb", metadata=None, **parameters)
    return file.getvalue()


RECORD = b"\x1c\2\x69\0\5title\0\0"
PRIMARIES = tuple(number for value in (640, 330, 210, 710, 150, 60) for number in (value, 1000))
FORMS: dict[str, tuple[bytes, str]] = {
    "IPTC as LONG": (tiff(extratags=[(33723, 4, 3, struct.unpack("<3I", RECORD), True)]), "tif"),
    "primaries": (tiff(extratags=[(319, 5, 6, PRIMARIES, True)]), "tif"),
    "shape in a TIFF": (tiff(resolution=(2, 1), resolutionunit=1), "tif"),
    "resolution in cm": (tiff(resolution=(100, 50), resolutionunit=3), "tif"),
    "comment": (saved(patches(), "JPEG", comment=b"words"), "jpg"),
}


def is_kept(form: str, metadata: Metadata) -> bool:
    if form == "IPTC as LONG":
        return photoshop.iptc_of(metadata.photoshop or b"") in (RECORD, RECORD[:-2])
    if form == "primaries":
        return metadata.icc is not None and not is_nearly_srgb(metadata.icc, ColorSpace.RGB)
    if form == "shape in a TIFF":
        return metadata.resolution == Resolution(2, 1, Unit.NONE)
    if form == "resolution in cm":
        return metadata.resolution == Resolution(100, 50, Unit.CM)
    return metadata.comments == (b"words",)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("opened", ["from a file", "from a loaded file", "from memory"])
def test_what_pillow_does_not_tell_is_read_from_the_file(
    tiny: Upscaler, form: str, opened: str, tmp_path: Path
) -> None:
    data, extension = FORMS[form]
    path = tmp_path / f"a.{extension}"
    path.write_bytes(data)
    image = Image.open(io.BytesIO(data) if opened == "from memory" else path)
    if opened == "from a loaded file":
        image.load()
    assert is_kept(form, through_the_api(tiny, image, tmp_path / f"b.{extension}").metadata)


def photo(path: Path) -> Image.Image:
    tags = Image.Exif()
    tags[274], tags[315] = 6, "someone"
    segment = next(iter(photoshop.segments(photoshop.of_iptc(b"\x1c\2\x69\0\5title"))))
    extra = b"\xff\xed" + (len(segment) + 2).to_bytes(2, "big") + segment
    patches().save(path, exif=tags, comment=b"words", extra=extra)
    return Image.open(path)


def test_what_the_program_changed_counts(tiny: Upscaler, tmp_path: Path) -> None:
    image = photo(tmp_path / "a.jpg")
    del image.info["exif"]
    large = tiny.upscale(image)
    assert "exif" not in large.info
    assert CARRIED not in large.info or large.info[CARRIED].exif is None
    esrt_core.save(large, tmp_path / "b.jpg")
    assert read(tmp_path / "b.jpg").metadata.exif is None
    large = tiny.upscale(photo(tmp_path / "a.jpg"))
    large.info["exif"] = None
    esrt_core.save(large, tmp_path / "b.jpg")
    assert read(tmp_path / "b.jpg").metadata.exif is None


def test_an_image_that_the_program_turned_is_not_turned_again(tiny: Upscaler, tmp_path: Path) -> None:
    image = photo(tmp_path / "a.jpg")
    ImageOps.exif_transpose(image, in_place=True)
    again = through_the_api(tiny, image, tmp_path / "b.jpg")
    assert (again.info.width, again.info.height) == (40, 56)
    again = through_the_api(tiny, photo(tmp_path / "a.jpg"), tmp_path / "b.jpg")
    assert (again.info.width, again.info.height) == (40, 56)
    assert b"someone" in present(again.metadata.exif)
    assert again.metadata.comments == (b"words",)
    assert photoshop.iptc_of(present(again.metadata.photoshop)) == b"\x1c\2\x69\0\5title"


def test_what_was_carried_is_carried_again_unless_the_picture_was_cut(tiny: Upscaler, tmp_path: Path) -> None:
    large = tiny.upscale(photo(tmp_path / "a.jpg"))
    again = through_the_api(tiny, large, tmp_path / "b.jpg")
    assert (again.info.width, again.metadata.comments) == (80, (b"words",))
    cut = through_the_api(tiny, large.crop((0, 0, 20, 20)), tmp_path / "b.jpg")
    assert (cut.info.width, cut.metadata.comments) == (40, ())
    assert b"someone" in present(cut.metadata.exif)


def test_another_file_under_the_name_of_a_loaded_image_is_not_taken_for_its_own(tiny: Upscaler, tmp_path: Path) -> None:
    image = photo(tmp_path / "a.jpg")
    image.load()
    patches().save(tmp_path / "a.jpg", comment=b"other")
    assert through_the_api(tiny, image, tmp_path / "b.jpg").metadata.comments == ()
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    assert b"someone" in present(through_the_api(tiny, image, tmp_path / "b.jpg").metadata.exif)


def test_saving_says_what_is_lost_and_refuses_what_it_does_not_know(tiny: Upscaler, tmp_path: Path) -> None:
    large = tiny.upscale(photo(tmp_path / "a.jpg"))
    notes = esrt_core.save(large, tmp_path / "b.webp", quality=80)
    assert sorted(note.split()[0] for note in notes) == ["IPTC", "comment"]
    assert probe(tmp_path / "b.webp", ReadLimits()).width == 40
    with pytest.raises(OptionError, match=r"a\.psd has no extension of a format that esrt writes"):
        esrt_core.save(large, tmp_path / "a.psd")
    with pytest.raises(OptionError, match="--quality"):
        esrt_core.save(large, tmp_path / "b.jpg", quality=0)
