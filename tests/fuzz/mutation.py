"""Damage files: bytes as disks, transfers and strangers damage them, and structures as only strangers do."""

import json
import random
import struct
from collections.abc import Callable, Iterator
from typing import Any

ODD = (
    0,
    1,
    2,
    3,
    7,
    8,
    127,
    128,
    255,
    256,
    257,
    32767,
    32768,
    65535,
    65536,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**63,
    2**64 - 1,
)
TEXTS = (
    b"[" * 3000,
    b"{" * 3000,
    b"\0",
    b"1e999",
    b"NaN",
    b"-Infinity",
    b"1" * 400,
    b"null",
    b'"\\ud800"',
    b"\xff\xfe",
    b"../" * 9,
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 7, 2**31, 2**63, 2**64, 10**400, 1.5, -0.0, 1e308, float("nan"), float("inf")),
    *(
        "",
        "x",
        "\0",
        "../x",
        "/x",
        "C:x",
        ".",
        "a" * 300,
        "\u00e9" * 200,
        "\ud800",
        "\u202e",
        "1e999",
        "writing",
        "done",
    ),
    *([], {}, [[]], [None], {"a": 1}, {"": {"": []}}),
)


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Return the data with one to a few damages."""
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 5, 9))):
        data = rng.choice(_DAMAGES)(data, rng)
    return data


def mutated_json(data: bytes, rng: random.Random) -> bytes:
    """Return JSON with one to a few values of another kind, missing, moved, doubled or in many levels."""
    value = [json.loads(data)]
    for _ in range(rng.choice((1, 1, 2, 3))):
        places = [place for place in _places(value) if place[0] is not value or rng.random() < 0.1]
        container, key = rng.choice(places or [(value, 0)])
        action = rng.random()
        if action < 0.6:
            container[key] = rng.choice(VALUES)
        elif action < 0.75 and container is not value:
            del container[key]
        elif action < 0.85 and isinstance(container, dict):
            container[f"{key} of a later version"] = container[key]
        elif action < 0.95:
            container[key] = rng.choice(list(_places(value)))[0]
        else:
            for _ in range(rng.choice((3, 60, 900))):
                container[key] = [container[key]]
        value = _unfolded(value)
    return json.dumps(value[0]).encode()


def _unfolded(value: list[Any]) -> list[Any]:
    """Return a value without circles, or nothing if there is one."""
    try:
        return [json.loads(json.dumps(value[0]))]
    except (ValueError, RecursionError):
        return [None]


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every container in a value with every key or index of it."""
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])


def _flip(data: bytes, rng: random.Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :] if data else data


def _set_byte(data: bytes, rng: random.Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + bytes([rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))]) + data[at + 1 :]


def _set_number(data: bytes, rng: random.Random) -> bytes:
    """Write an odd number of 1, 2, 4 or 8 bytes, in either order, where a size or an offset may be."""
    size, at = rng.choice((2, 4, 4, 8)), _place(data, rng)
    number = rng.choice(ODD) % 2 ** (8 * size)
    return data[:at] + int(number).to_bytes(size, rng.choice(("little", "big"))) + data[at + size :]


def _add_to_number(data: bytes, rng: random.Random) -> bytes:
    at, form = _place(data, rng), rng.choice(("<H", ">H", "<I", ">I"))
    size = struct.calcsize(form)
    if at + size > len(data):
        return data
    number = struct.unpack_from(form, data, at)[0] + rng.choice((-1, 1, -2, 2, 16, 255, 4096))
    return data[:at] + struct.pack(form, number % 2 ** (8 * size)) + data[at + size :]


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _remove(data: bytes, rng: random.Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + data[at + rng.choice((1, 2, 4, 16, 100)) :]


def _insert(data: bytes, rng: random.Random) -> bytes:
    at = _place(data, rng)
    return (
        data[:at] + (rng.choice(TEXTS) if rng.random() < 0.3 else rng.randbytes(rng.choice((1, 2, 4, 16)))) + data[at:]
    )


def _repeat(data: bytes, rng: random.Random) -> bytes:
    at, length = _place(data, rng), rng.choice((1, 4, 12, 64, 300))
    return data[: at + length] + data[at : at + length] * rng.choice((1, 2, 50)) + data[at + length :]


def _blank(data: bytes, rng: random.Random) -> bytes:
    """Leave zeros, as a power cut does."""
    at, length = _place(data, rng), rng.choice((1, 8, 64, 512))
    return data[:at] + bytes(len(data[at : at + length])) + data[at + length :]


def _move(data: bytes, rng: random.Random) -> bytes:
    start, length, at = _place(data, rng), rng.choice((2, 4, 12, 40)), _place(data, rng)
    return data[:at] + data[start : start + length] + data[at + length :]


def _place(data: bytes, rng: random.Random) -> int:
    """Return a place in the data, more often near the start, where headers are."""
    return min(int(len(data) * rng.random() ** 2), max(len(data) - 1, 0))


_DAMAGES: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _flip,
    *(_set_byte, _set_byte, _set_number, _set_number),
    _add_to_number,
    _cut,
    _remove,
    _insert,
    _repeat,
    _blank,
    _move,
)
