"""Places within a picture, as they are after its orientation was applied to the pixels (EXIF 3.0, 4.6.5.1)."""


def turned(values: list[float], turn: int, right: float, bottom: float) -> list[float]:
    """Return a point (x, y), a circle (x, y, diameter) or a centered rectangle (x, y, width, height) as oriented.

    `turn` is the orientation, 1 to 8; `right` and `bottom` are the largest x and y before it.
    """
    x, y, *sides = values
    opposite_x, opposite_y = right - x, bottom - y
    points = [
        (x, y),
        (opposite_x, y),
        (opposite_x, opposite_y),
        (x, opposite_y),
        (y, x),
        (opposite_y, x),
        (opposite_y, opposite_x),
        (y, opposite_x),
    ]
    return [*points[turn - 1], *(sides[::-1] if turn >= 5 else sides)]


def placed(values: list[float], *, turn: int, size: tuple[int, int], stated: tuple[int, int]) -> list[float]:
    """Return a subject's place as oriented, in px of the stored picture, whose (width, height) is `size`.

    Programs that reduce a photo may leave it in px of the size that EXIF states. A place outside both stays.
    """
    if values[0] >= size[0] or values[1] >= size[1]:
        if values[0] >= stated[0] or values[1] >= stated[1]:
            return values
        values = [value * size[i % 2] / stated[i % 2] for i, value in enumerate(values)]
    return turned(values, turn, size[0] - 1, size[1] - 1)
