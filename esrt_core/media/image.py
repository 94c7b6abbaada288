"""Still pictures and animations: look at a file, decode it, encode it."""

from collections.abc import Iterator
from dataclasses import replace

from esrt_core.errors import MediaError
from esrt_core.media.encoding import encode, pages_kept
from esrt_core.media.opening import opened
from esrt_core.media.options import EncodeOptions
from esrt_core.media.picture import ImageInfo, Metadata, Page, Picture, ReadLimits, Source
from esrt_core.media.reading import describe, load_what_headers_hide, read, read_pages

__all__ = [
    "EncodeOptions",
    "ImageInfo",
    "Metadata",
    "Page",
    "Picture",
    "ReadLimits",
    "Source",
    "decode",
    "encode",
    "pages_kept",
    "probe",
]


class _LazyPages:
    """Decode a file's pages anew, one by one, each time they are iterated."""

    def __init__(self, source: Source, limits: ReadLimits, count: int) -> None:
        self._source, self._limits, self._count = source, limits, count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Page]:
        return read_pages(self._source, self._limits)


def probe(source: Source, limits: ReadLimits) -> ImageInfo:
    """Describe a picture by its headers. Raises MediaError when it cannot or must not be read."""
    with opened(source, limits) as opening:
        return describe(opening).info


def decode(source: Source, limits: ReadLimits) -> Picture:
    """Decode a picture. Raises MediaError when it cannot or must not be read.

    A truncated file is refused, or with `limits.allow_truncated` decoded as far as it goes, which is noted.
    """
    try:
        return _decode(source, replace(limits, allow_truncated=False), limits)
    except MediaError:
        if not limits.allow_truncated:
            raise
    picture = _decode(source, limits, limits)
    return replace(
        picture, notes=("the file is truncated or damaged: a part of the picture is missing", *picture.notes)
    )


def _decode(source: Source, limits: ReadLimits, later: ReadLimits) -> Picture:
    """Decode a still picture within `limits`; the pages of a longer file will be decoded within `later`."""
    with opened(source, limits) as opening:
        load_what_headers_hide(opening)
        description = describe(opening)
        info = description.info
        if info.pages > 1:
            return Picture(_LazyPages(source, later, info.pages), info, description.metadata, info.notes)
        page = read(opening, description, description.page_numbers[0])
    return Picture((page,), info, description.metadata, (*info.notes, *page.notes))
