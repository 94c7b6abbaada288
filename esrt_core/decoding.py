"""Decode what files say into typed values: any content that is not what it should be is one kind of error.

Every file may lie, those that this program wrote too: a power cut tears lines and leaves NUL bytes, a later version
adds keys, and files come from strangers.
"""

import json
import math
import sys
from collections.abc import Iterable, Iterator
from typing import NoReturn, TypeVar

import msgspec

from esrt_core.files import display_text

MAX_DEPTH = 50  # levels of lists and objects; what this program writes has at most five
_MAX_INTEGER = 2**64  # seeds and sizes are below
_ERROR_HANDLER = sys.getfilesystemencodeerrors()  # how names that are not Unicode are held in text

T = TypeVar("T")


class DecodeError(ValueError):
    """Reject content that is not what it should be; the message is one printable line without the file's name."""


def decode_json(content: bytes | str, kind: type[T]) -> T:
    """Return JSON as a value of `kind`: a dataclass, a typed container or a plain type.

    Values are never converted (only an integer to a float) and unknown keys are ignored. Numbers are finite and below
    2^64, text can be a file name (no NUL, no impossible surrogates).

    Raises: DecodeError for anything else, however broken.
    """
    try:
        text = content if isinstance(content, str) else content.decode("utf-8")
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise DecodeError(f"it is not JSON: {_reason(error)}") from error
    return decode_value(value, kind)


def decode_value(value: object, kind: type[T]) -> T:
    """Return a parsed value (of JSON or TOML: dicts, lists, text, numbers) as one of `kind`, as decode_json() does.

    Raises: DecodeError if it is not one.
    """
    _check(value)
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, OverflowError, RecursionError) as error:
        raise DecodeError(_reason(error)) from error


def decode_rows(lines: Iterable[bytes], kind: type[T]) -> Iterator[T]:
    """Yield the lines of a log of JSON objects as values of `kind`; ignore every line that is not one."""
    for line in lines:
        try:
            yield decode_json(line, kind)
        except DecodeError:
            continue


def _check(value: object) -> None:
    """Check the depth of a value, its numbers and its text, without recursion."""
    level = [value]
    for _ in range(MAX_DEPTH):
        below: list[object] = []
        for item in level:
            if isinstance(item, dict):
                below += [*item, *item.values()]
            elif isinstance(item, list):
                below += item
            else:
                _check_leaf(item)
        if not below:
            return
        level = below
    raise DecodeError(f"it has more than {MAX_DEPTH} levels")


def _check_leaf(item: object) -> None:
    if isinstance(item, str):
        if "\0" in item:
            raise DecodeError("it has text with a NUL character")
        if not item.isascii():
            _check_encodable(item)
    elif isinstance(item, float) and not math.isfinite(item):
        raise DecodeError("it has a number that is not finite")
    elif isinstance(item, int) and abs(item) >= _MAX_INTEGER:
        raise DecodeError("it has a number of more than 64 bits")


def _check_encodable(text: str) -> None:
    try:
        text.encode("utf-8", _ERROR_HANDLER)
    except UnicodeEncodeError as error:
        raise DecodeError("it has text that is not Unicode") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"the number {name}")


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "too many levels"
    text = display_text(str(error))
    return text[:1].lower() + text[1:200]
