"""Keep the spherical and stereo metadata of 360 degree clips, which raw pictures cannot carry.

ffmpeg has no option that sets it, and when it copies an MP4 file it can lose the stereo mode. So the boxes `st3d` and
`sv3d` of the source are written into an MP4 or MOV result (Spherical Video V2,
https://github.com/google/spatial-media/blob/master/docs/spherical-video-v2-rfc.md). For Matroska the encoded picture
goes through an MP4 file with these boxes, from which ffmpeg copies the projection; the stereo mode is a tag there.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

from esrt_core.media.video.clip import ClipInfo
from esrt_core.media.video.ffmpeg import LOCAL_ONLY, file_url, run

_TO_ENTRY = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"*")  # "*" is the first box, the sample entry
_ENTRY_HEADER = 78  # bytes of a visual sample entry before its boxes (ISO/IEC 14496-12, 12.1.3)
_KEPT = (b"st3d", b"sv3d")
_CONTAINERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl")
UNOFFICIAL = ("-strict", "unofficial")  # without it ffmpeg does not write these boxes


def write_spherical_picture(pieces: Path, boxes: bytes) -> Path:
    """Join a list of segments to an MP4 file beside it, with spherical metadata.

    Raises: MediaError if ffmpeg fails, as for a codec that MP4 does not support.
    """
    target = pieces.parent / "picture.mp4"
    segments = [*LOCAL_ONLY, "-f", "concat", "-i", f"file:{pieces.name}"]
    run(["-copyts", *segments, "-c", "copy", "-f", "mp4", "-y", file_url(target)], pieces.parent)
    insert_boxes(target, boxes, pieces.parent)
    return target


def insert_boxes(path: Path, boxes: bytes, folder: Path) -> None:
    """Append boxes to the description of the first track of an MP4 file, which is written anew by way of a folder."""
    start, size = _find_moov(path)
    new = folder / "spherical.part"
    with path.open("rb") as source, new.open("wb") as target:
        source.seek(start)
        moov = _grown(source.read(size), _TO_ENTRY[1:], boxes)
        behind = start + size < path.stat().st_size
        source.seek(0)
        target.write(source.read(start))
        target.write(_shifted(moov, len(boxes)) if behind else moov)
        source.seek(start + size)
        shutil.copyfileobj(source, target)
    new.replace(path)


def spherical_boxes(clip: ClipInfo, folder: Path) -> bytes:
    """Return the boxes with the spherical and stereo metadata of a clip; of other containers as ffmpeg writes them.

    Raises: MediaError if ffmpeg fails.
    """
    if clip.container == "mov":
        boxes = _boxes_of(clip.path, clip.video.index)
        if boxes:
            return boxes
    sample = folder / "spherical.mp4"  # other containers, and the older XML of Spherical Video V1
    source = ["-f", clip.container, "-i", file_url(clip.path), "-map", f"0:{clip.video.index}"]
    run([*LOCAL_ONLY, *source, "-c", "copy", "-frames:v", "1", *UNOFFICIAL, "-f", "mp4", "-y", file_url(sample)])
    return _boxes_of(sample, 0)


def _boxes_of(path: Path, track: int) -> bytes:
    start, size = _find_moov(path)
    with path.open("rb") as file:
        file.seek(start)
        moov = file.read(size)
    box = [child for child in _children(moov[8:]) if child[4:8] == b"trak"][track]
    for kind in _TO_ENTRY[2:]:
        children = _children(box[16 if box[4:8] == b"stsd" else 8 :])
        box = next(child for child in children if kind in (child[4:8], b"*"))
    return b"".join(child for child in _children(box[8 + _ENTRY_HEADER :]) if child[4:8] in _KEPT)


def stereo_mode(boxes: bytes) -> str | None:
    """Return the stereo mode of an `st3d` box by its name in Matroska, or None."""
    modes = [box[12] for box in _children(boxes) if box[4:8] == b"st3d"]
    return {1: "top_bottom", 2: "left_right"}.get(modes[0]) if modes else None


def _find_moov(path: Path) -> tuple[int, int]:
    """Return the position and size of the box that describes an MP4 file, in bytes; (0, 0) if there is none."""
    start = 0
    with path.open("rb") as file:
        while len(header := file.read(16)) >= 8:
            size = int.from_bytes(header[:4])
            size = int.from_bytes(header[8:16]) if size == 1 else size
            if header[4:8] == b"moov":
                return start, size
            if size < 8:
                break
            start += size
            file.seek(start)
    return 0, 0


def _shifted(box: bytes, distance: int) -> bytes:
    """Return a box whose chunk offsets, in it and below it, are moved by a distance in bytes."""
    kind, body = box[4:8], box[8:]
    if kind in _CONTAINERS:
        return box[:8] + b"".join(_shifted(child, distance) for child in _children(body))
    width = {b"stco": 4, b"co64": 8}.get(kind)
    if width is None:
        return box
    offsets = (int.from_bytes(body[at : at + width]) for at in range(8, len(body), width))
    return box[:16] + b"".join((offset + distance).to_bytes(width) for offset in offsets)


def _children(body: bytes) -> Iterator[bytes]:
    start = 0
    while start + 8 <= len(body):
        size = int.from_bytes(body[start : start + 4])
        if size < 8:
            return
        yield body[start : start + size]
        start += size


def _grown(box: bytes, path: tuple[bytes, ...], boxes: bytes) -> bytes:
    """Return a box with other boxes appended to the one at a path of kinds below it."""
    body = box[8:]
    if path:
        skip = 8 if box[4:8] == b"stsd" else 0
        parts, rest = [body[:skip]], path
        for child in _children(body[skip:]):
            found = bool(rest) and path[0] in (child[4:8], b"*")
            parts.append(_grown(child, path[1:], boxes) if found else child)
            rest = () if found else rest
        body = b"".join(parts)
    else:
        body += boxes
    return (len(body) + 8).to_bytes(4) + box[4:8] + body
