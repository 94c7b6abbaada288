"""The parameter names of the authors' published code, and ours beside them."""

import re
from collections.abc import Callable, Iterable

_ARFB = {
    "enc": "encoder",
    "low": "decoder_low",
    "high": "decoder_high",
    "out": "alise",
}
_RULES: list[
    tuple[str, str | Callable[[re.Match[str]], str]]
] = [  # (ours, theirs), applied in order; a pattern matches a whole dotted piece
    (r"^head\.", "head.0."),
    (r"^tail\.last\.", "tail.1."),
    (r"^up\.last\.", "up.1.conv."),
    (r"^(tail|up)\.steps\.0\.", r"\1.0.0."),
    (r"^(tail|up)\.steps\.1\.", r"\1.0.2."),
    (r"^a([12])$", r"body.0.weight\1.scale"),
    (r"^ltb\.reduce\.", "body.0.reduce."),
    (r"^ltb\.conv\.", "body.0.alise."),
    (r"^ltb\.et\.emha\.expand\.", "body.0.attention.atten.proj."),
    (r"^ltb\.et\.emha\.", "body.0.attention.atten."),
    (r"^ltb\.et\.", "body.0.attention."),
    (r"^lcb\.hpb\.(\d+)\.", lambda m: f"body.0.encoder{int(m[1]) + 1}."),
    (r"\.(arfb_\w+)\.conv\.", r".\1.layer4.conv."),
    (r"\.arfb_(enc|low|high|out)\.", lambda m: f".{_ARFB[m[1]]}."),
    (r"(encoder\d+)\.fuse\.", r"\1.alise2.conv."),
    (r"(encoder\d+)\.ca\.down\.", r"\1.att.conv_du.0."),
    (r"(encoder\d+)\.ca\.up\.", r"\1.att.conv_du.2."),
    (r"\.fuse\.", ".alise.conv."),
    (r"\.ca\.down\.", ".atten.conv_du.0."),
    (r"\.ca\.up\.", ".atten.conv_du.2."),
    (r"\.l([1-5])$", r".weight\1.scale"),
    (r"\.ru([12])\.act\.", r".layer\1.relu."),
    (r"\.ru([12])\.m([12])$", r".layer\1.weight\2.scale"),
    (r"\.ru([12])\.reduce\.", r".layer\1.conv."),
    (r"\.ru([12])\.expand\.", r".layer\1.conv1."),
]


def authors_name(name: str) -> str:
    """Return what the authors' code calls one of our parameters."""
    if name.startswith("reduce."):
        return name
    for pattern, replacement in _RULES:
        name = re.sub(pattern, replacement, name)
    return name


def our_names(names: Iterable[str]) -> dict[str, str]:
    """Map the authors' names of our parameters to ours."""
    return {authors_name(name): name for name in names}
