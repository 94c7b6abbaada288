"""Items of an AVIF or HEIF file beside its main image: gain and depth maps, further images, signed data.

ISO/IEC 23008-12, 6.4 to 6.6 (roles of images) and 6.5.8 (auxC); C2PA Technical Specification 2.1, A.5 (box uuid).
"""

from dataclasses import dataclass

from esrt_core.media.image.isobmff import (
    ReadAt,
    associated,
    first_content,
    inside,
    item_infos,
    primary_of,
    references,
    walk,
)

_IMAGES = (b"hvc1", b"av01", b"avc1", b"vvc1", b"jpeg", b"j2k1", b"unci", b"grid", b"iden", b"iovl", b"tmap", b"mski")
_ALPHA = (b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", b"urn:mpeg:hevc:2015:auxid:1", b"urn:mpeg:avc:2015:auxid:1")
_DEPTH = (b"urn:mpeg:mpegB:cicp:systems:auxiliary:depth", b"urn:mpeg:hevc:2015:auxid:2")
_GAIN = "HDR gain map"
_PLAIN = (b"ftyp", b"meta", b"mdat", b"free", b"skip", b"wide", b"moov", b"idat", b"uuid")
_CREDENTIALS = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")


@dataclass(frozen=True)
class Beside:
    """Hold what a file has beside its main image and its EXIF and XMP.

    `images` names the images, each as often as there are some, without thumbnails and alpha; `has_sequence` is whether
    there are frames with times; `boxes` are further boxes at the top.
    """

    images: tuple[str, ...] = ()
    has_credentials: bool = False
    has_sequence: bool = False
    boxes: tuple[str, ...] = ()


def read_beside(read_at: ReadAt, byte_size: int) -> Beside:
    """Return what an AVIF or HEIF file has beside its main image."""
    top = list(walk(read_at, 0, byte_size))
    further = [box.kind.decode("latin-1").strip() for box in top if box.kind not in _PLAIN]
    return Beside(
        _images(dict(inside(first_content(read_at, byte_size, b"meta"), 4))),
        any(box.kind == b"uuid" and read_at(box.at, 16) == _CREDENTIALS for box in top),
        any(box.kind == b"moov" for box in top),
        tuple(dict.fromkeys(kind for kind in further if kind.isalnum())),
    )


def _images(meta: dict[bytes, bytes]) -> tuple[str, ...]:
    primary, kinds, refers = primary_of(meta), item_infos(meta), references(meta)
    parts = {item for (kind, _), targets in refers.items() if kind == b"dimg" for item in targets}
    thumbnails = {item for kind, item in refers if kind == b"thmb"}
    names = []
    for item, kind in kinds.items():
        if kind not in _IMAGES or item == primary or item in parts or item in thumbnails:
            continue
        role = _role(meta, item) if (b"auxl", item) in refers else _GAIN if kind == b"tmap" else "further image"
        if role:
            names.append(role)
    return tuple(names)


def _role(meta: dict[bytes, bytes], item: int) -> str:
    """Return the name of an auxiliary image, "" for alpha."""
    urn = dict(associated(meta, item)).get(b"auxC", b"")[4:].partition(b"\0")[0]
    if urn in _ALPHA:
        return ""
    if b"hdrgainmap" in urn:
        return _GAIN
    return "depth map" if urn in _DEPTH else "auxiliary image"
