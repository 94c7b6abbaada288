"""What image generators record as text of a PNG, as they record it in formats without text: as entries of EXIF.

AUTOMATIC1111's web UI puts `parameters` into the UserComment of JPEG, WebP and AVIF, in UTF-16 with the high byte
first whatever the order of the block (modules/images.py, through piexif). ComfyUI puts `prompt` and `workflow` into
the Model and Make of WebP, each after its name and a colon (comfy_extras/nodes_images.py).
"""

from esrt_core.media.image import exif

_UNICODE = b"UNICODE\0"
_MODEL, _MAKE = 0x0110, 0x010F
_TAGS = {"parameters": exif.USER_COMMENT, "prompt": _MODEL, "workflow": _MAKE}


def with_generation(
    block: bytes | None, texts: dict[str, str], most: int | None
) -> tuple[bytes | None, frozenset[str]]:
    """Return an EXIF block with what generators recorded, and the keywords of the texts that it holds now.

    An entry that the block has already is kept instead; `most` limits the length of the block in bytes.

    Raises: MediaError if the block is damaged.
    """
    image: exif.Directory = {}
    inner: exif.Directory = {}
    kept = set()
    result = block
    for keyword, tag in _TAGS.items():
        if keyword not in texts:
            continue
        value = _value(keyword, texts[keyword])
        present = None if block is None else exif.value_of(block, tag)
        if present is not None and _is_said(present):
            if present.raw == value.raw:
                kept.add(keyword)
            continue
        directory = inner if tag == exif.USER_COMMENT else image
        candidate = exif.with_entries(
            block,
            image | {tag: value} if directory is image else image,
            inner | {tag: value} if directory is inner else inner,
        )
        if most is None or len(candidate) <= most:
            directory[tag] = value
            result = candidate
            kept.add(keyword)
    return result, frozenset(kept)


def _value(keyword: str, text: str) -> exif.Value:
    if _TAGS[keyword] == exif.USER_COMMENT:
        raw, kind = _UNICODE + text.encode("utf-16-be", "surrogatepass"), exif.UNDEFINED
    else:
        raw, kind = f"{keyword}:{text}".encode("utf-8", "surrogatepass") + b"\0", exif.ASCII
    return exif.Value(kind, len(raw), raw)


def _is_said(value: exif.Value) -> bool:
    """Return whether a text is more than blanks; cameras leave room for comments."""
    text = value.raw[8:] if value.type == exif.UNDEFINED else value.raw
    return bool(text.strip(b" \0"))
