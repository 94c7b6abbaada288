"""Chunks of a WebP that Pillow does not know reach another WebP, or are said."""

import pytest

from esrt_core.media.image import webp
from esrt_core.media.image.picture import CREDENTIALS, Metadata
from tests.media.pictures import animation, first, picture, read, reopened, saved, written

FURTHER = ((b"odd ", b"three"), (b"EVEN", b"four"))


def chunked(data: bytes, *more: tuple[bytes, bytes]) -> bytes:
    return webp.file_of([webp.chunk(*each) for each in (*webp.chunks(data), *more)])


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize("exif", [b"", b"II*\0\x08\0\0\0\0\0\0\0\0\0"])
def test_further_chunks_are_kept(mode: str, lossless: bool, exif: bytes) -> None:
    image = picture(mode)
    if mode == "RGBA":
        image.putalpha(128)
    decoded = read(chunked(saved(image, "WEBP", lossless=lossless, exif=exif), *FURTHER))
    assert decoded.metadata.webp_chunks == FURTHER
    data, notes = written(decoded.pages, "webp", decoded.metadata)
    assert notes == ()
    again = read(data)
    assert again.metadata == decoded.metadata
    plain, _ = written(decoded.pages, "webp", Metadata())
    assert (first(data).frame.planes[0] == first(plain).frame.planes[0]).all()
    assert again.info.has_alpha == (mode == "RGBA")
    assert reopened(data).mode == mode
    assert next(kind for kind, _ in webp.chunks(data)) == b"VP8X"


def test_further_chunks_of_an_animation_are_kept() -> None:
    decoded = read(chunked(animation("WEBP", [40, 60], alpha=True), *FURTHER))
    data, notes = written(decoded.pages, "webp", decoded.metadata)
    assert notes == ()
    assert read(data).metadata.webp_chunks == FURTHER
    assert read(data).info.pages == 2


def test_other_formats_say_what_they_cannot_hold() -> None:
    decoded = read(chunked(saved(picture(), "WEBP"), *FURTHER))
    assert written(decoded.pages, "png", decoded.metadata)[1] == (
        "WebP chunks (odd , EVEN) left out: PNG cannot hold them",
    )


def test_content_credentials_are_said() -> None:
    decoded = read(chunked(saved(picture(), "WEBP"), (b"C2PA", b"signed")))
    assert decoded.metadata.webp_chunks == ()
    assert decoded.notes == (CREDENTIALS,)


def test_a_chunk_that_is_cut_off_is_none() -> None:
    data = chunked(saved(picture(), "WEBP"), *FURTHER)
    assert webp.further_chunks(lambda at, length: data[at : at + length], len(data) - 1) == [FURTHER[0]]
