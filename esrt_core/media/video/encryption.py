"""Recognize clips that are encrypted, so that they are not called damaged."""

from pathlib import Path
from typing import Any

PROTECTED_TAGS = frozenset({"drmi", "encv"})  # sample entries of FairPlay and of common encryption (ISO/IEC 23001-7)
_WEBM_KEY = "enc_key_id"  # under which ffmpeg reports a ContentEncKeyID of Matroska
_TS_PACKETS = ((188, 0), (192, 4), (204, 0))  # bytes of a transport packet, and where its sync byte is
_SYNC = 0x47
_SEARCHED = 2**22  # bytes


def is_protected(stream: Any) -> bool:
    """Return whether the description of a stream says that it is encrypted."""
    tag = stream.codec_context.codec_tag if stream.codec_context else ""
    return tag in PROTECTED_TAGS or any(key.lower() == _WEBM_KEY for key in stream.metadata)


def is_scrambled(path: Path) -> bool:
    """Return whether most packets of a transport stream are scrambled (ISO/IEC 13818-1, 2.4.3.3)."""
    with path.open("rb") as file:
        data = file.read(_SEARCHED)
    for size, sync in _TS_PACKETS:
        starts = range(sync, len(data) - 3, size)
        if len(starts) > 1 and all(data[at] == _SYNC for at in starts):
            controls = [data[at + 3] >> 6 for at in starts if data[at + 3] & 0x10]
            return sum(control >= 2 for control in controls) * 2 > len(controls)
    return False
