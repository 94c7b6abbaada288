"""Names and formats of results."""

from pathlib import Path

import pytest

from esrt_core.errors import OptionError
from esrt_core.media.image.formats import FORMATS, Format, format_named
from esrt_core.pipeline.image.options import UpscaleOptions
from esrt_core.pipeline.image.plan import Input, Target, decide_target, names_folder


def known(name: str) -> Format:
    found = format_named(name)
    assert found is not None
    return found


PNG, JPEG = known("png"), known("jpeg")


def decide(name: str, source: Format = JPEG, output: str | None = None, format: str | None = None) -> Target:
    return decide_target(Input(Path(name)), source, "x4", UpscaleOptions(output=output, format=format))


@pytest.mark.parametrize(
    ("name", "output", "target"),
    [
        ("photos/a.jpg", None, "photos/a_x4.jpg"),
        ("photos/a.JPEG", None, "photos/a_x4.JPEG"),
        ("a.b.c.jpg", None, "a.b.c_x4.jpg"),
        ("no_extension", None, "no_extension_x4.jpg"),
        (".jpg", None, ".jpg_x4.jpg"),
        ("photos/a.jpg", "out/", "out/a_x4.jpg"),
        ("photos/a.jpg", ".", "a_x4.jpg"),
        ("a.jpg", "sub/b.jpeg", "sub/b.jpeg"),
    ],
)
def test_the_name_beside_the_input_or_as_asked(name: str, output: str | None, target: str) -> None:
    assert decide(name, output=output) == Target(Path(target), JPEG)


def test_the_format_follows_the_output_then_the_option_then_the_source() -> None:
    assert decide("a.jpg", output="b.png").format == PNG
    assert decide("a.jpg", format="png") == Target(Path("a_x4.png"), PNG)
    assert decide("a.jpg", format="JPG") == Target(Path("a_x4.jpg"), JPEG)
    assert decide("a.jpg", output="plain", format="png") == Target(Path("plain"), PNG)
    assert decide("a.jpg", output="-") == Target(None, JPEG)


def test_standard_input_goes_to_standard_output_or_is_called_stdin() -> None:
    stdin = Input(b"...")
    assert decide_target(stdin, PNG, "x4", UpscaleOptions()).path is None
    assert decide_target(stdin, PNG, "x4", UpscaleOptions(output="out/")).path == Path("out/stdin_x4.png")


def test_a_format_that_is_only_read_becomes_png_and_that_is_said() -> None:
    read_only = next(entry for entry in FORMATS if not entry.writable)
    target = decide(f"a{read_only.extensions[0]}", read_only)
    assert target.path == Path("a_x4.png")
    assert target.notes == (f"{read_only.label} can be read but not written: the result is PNG",)


def test_a_wrong_extension_is_put_right() -> None:
    assert decide("a.jpg", PNG) == Target(Path("a_x4.png"), PNG)


@pytest.mark.parametrize(
    ("output", "format", "message"),
    [
        ("b.png", "jpeg", "b.png is named as PNG but --format is JPEG"),
        ("b.xyz", None, "cannot write '.xyz'"),
        ("b", None, "the name has no extension"),
    ],
)
def test_an_output_without_one_meaning_is_refused(output: str, format: str | None, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        decide("a.jpg", output=output, format=format)


def test_an_unknown_format_is_refused_with_those_there_are() -> None:
    with pytest.raises(OptionError, match="--format gog is not a known format; choose one of png, jpeg"):
        UpscaleOptions(format="gog")


def test_a_slash_at_the_end_means_a_folder() -> None:
    assert names_folder("out/")
    assert names_folder(".")
    assert not names_folder("out")


def test_the_comparison_lies_beside_the_result() -> None:
    assert decide("photos/a.jpg").sheet == Path("photos/a_x4_compare.png")
    assert decide("a.jpg", output="-").sheet is None


def test_options_are_checked_when_they_are_made() -> None:
    with pytest.raises(OptionError, match="-o needs a value"):
        UpscaleOptions(output="")
    with pytest.raises(OptionError, match="--compare"):
        UpscaleOptions(output="-", compare=True)
