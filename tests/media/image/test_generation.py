import pytest
from PIL import PngImagePlugin

from esrt_core.media.image import exif
from esrt_core.media.image.exif import ASCII, UNDEFINED, Directories, Value
from esrt_core.media.image.generation import with_generation
from tests.media.pictures import picture, read, reopened, saved, written

TEXTS = {"parameters": "a cat \u65e5, Steps: 20", "prompt": '{"3": 1}', "workflow": '{"nodes": []}', "Author": "me"}
NOTE = Value(UNDEFINED, 20, bytes(range(20)))


def block(comment: Value | None = None) -> bytes:
    inner = {0x927C: NOTE} if comment is None else {0x927C: NOTE, 0x9286: comment}
    return exif.build(Directories("little", {}, inner, {}))


@pytest.mark.parametrize("format", ["jpeg", "webp", "avif", "tiff"])
def test_what_generators_recorded_travels_as_they_write_it(format: str) -> None:
    chunks = PngImagePlugin.PngInfo()
    for keyword, text in TEXTS.items():
        chunks.add_itxt(keyword, text)
    decoded = read(saved(picture(), "PNG", pnginfo=chunks, exif=b"Exif\0\0" + block()))
    data, notes = written(decoded.pages, format, decoded.metadata)
    label = {"jpeg": "JPEG", "webp": "WebP", "avif": "AVIF", "tiff": "TIFF"}[format]
    assert [note for note in notes if "text" in note] == [f"PNG text (Author) left out: {label} cannot hold it"]
    tags = reopened(data).getexif()
    assert tags[0x0110] == 'prompt:{"3": 1}'
    assert tags[0x010F] == 'workflow:{"nodes": []}'
    comment = tags.get_ifd(0x8769)[0x9286]
    assert comment == b"UNICODE\0" + TEXTS["parameters"].encode("utf-16-be")
    if format != "tiff":
        assert tags.get_ifd(0x8769)[0x927C] == NOTE.raw


def test_what_does_not_fit_is_left_out_alone_and_said() -> None:
    chunks = PngImagePlugin.PngInfo()
    chunks.add_text("workflow", "w" * 70_000)
    chunks.add_text("parameters", "p" * 10_000)
    decoded = read(saved(picture(), "PNG", pnginfo=chunks))
    data, notes = written(decoded.pages, "jpeg", decoded.metadata)
    assert notes == ("PNG text (workflow) left out: JPEG cannot hold it",)
    assert reopened(data).getexif().get_ifd(0x8769)[0x9286].endswith("p".encode("utf-16-be"))
    assert written(decoded.pages, "webp", decoded.metadata)[1] == ()


def test_a_comment_that_says_something_is_not_replaced() -> None:
    said, blank = (Value(UNDEFINED, 12, b"ASCII\0\0\0" + text) for text in (b"mine", b"   \0"))
    result, kept = with_generation(block(comment=said), TEXTS, None)
    assert result is not None
    assert exif.value_of(result, 0x9286) == said
    assert kept == {"prompt", "workflow"}
    _, kept = with_generation(block(comment=blank), TEXTS, None)
    assert kept == {"parameters", "prompt", "workflow"}


def test_what_is_there_already_counts_as_kept() -> None:
    first, _ = with_generation(None, TEXTS, None)
    again, kept = with_generation(first, TEXTS, None)
    assert again == first
    assert kept == {"parameters", "prompt", "workflow"}
    assert first is not None
    found = exif.value_of(first, 0x0110)
    assert found == Value(ASCII, 16, b'prompt:{"3": 1}\0')
