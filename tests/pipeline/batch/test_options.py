"""Names of results among many."""

from pathlib import Path

import pytest

from esrt_core.errors import OptionError
from esrt_core.media.image.formats import ICO, JPEG, PNG, Format
from esrt_core.pipeline.batch.options import FolderOptions, target_in
from esrt_core.pipeline.image.names import check_template
from esrt_core.pipeline.image.options import UpscaleOptions
from esrt_core.pipeline.image.plan import Input
from esrt_core.pipeline.sizes import SizeRequest

VALUES = {"model": "clean", "scale": "4"}


def name_of(template: str | None, source: str, format_: Format = PNG, model: str = "clean") -> str:
    values = {**VALUES, "model": model}
    target = target_in(Path("out"), template, values, Input(Path(source)), format_, "x4", UpscaleOptions())
    assert target.path is not None
    assert target.path.parent == Path("out")
    return target.path.name


@pytest.mark.parametrize(
    ("template", "source", "format_", "name"),
    [
        (None, "in/a.png", PNG, "a.png"),
        (None, "in/a.JPG", JPEG, "a.JPG"),
        (None, "in/a.ico", ICO, "a.png"),
        ("{stem}_{model}_x{scale}.{ext}", "in/a.jpeg", JPEG, "a_clean_x4.jpeg"),
        ("{stem}-{size}", "in/a.b.png", PNG, "a.b-x4.png"),
        ("{stem}.png", "in/a.jpg", JPEG, "a.png.jpg"),
        ("{{{stem}}}", "in/a.png", PNG, "{a}.png"),
        ("..{stem}", "in/a.png", PNG, "a.png"),
        ("{stem}: <{stem}>?", "in/a.png", PNG, "a_ _a__.png"),
    ],
)
def test_a_name_comes_from_the_source_or_a_template(
    template: str | None, source: str, format_: Format, name: str
) -> None:
    assert name_of(template, source, format_) == name


@pytest.mark.parametrize("model", ["../../up", "/etc/x", "..", "a/b"])
def test_no_value_leads_out_of_the_folder(model: str) -> None:
    assert "/" not in name_of("{model}{stem}", "in/a.png", model=model)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("x.png", "gives every result the same name"),
        ("{stem}/{size}", "contains a slash"),
        ("{stem}{nothing}", r"unknown field \{nothing\}; use \{stem\}, \{model\}"),
        ("{stem!r}", "unknown field"),
        ("{stem:>400}", "unknown field"),
        ("{stem", "expected '}'"),
    ],
)
def test_a_template_that_cannot_be_meant_is_refused(template: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        check_template(template, SizeRequest())


def test_a_factor_has_no_place_in_a_name_where_a_size_is_asked() -> None:
    size = UpscaleOptions(SizeRequest(longest=100))
    FolderOptions(("in",), name="{stem}_{size}", upscale=size)
    with pytest.raises(OptionError, match=r"use \{size\}"):
        FolderOptions(("in",), name="{stem}_x{scale}", upscale=size)
