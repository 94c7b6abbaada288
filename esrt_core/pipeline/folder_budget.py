"""What a run may have in hand at once, so that its memory is bounded."""

from esrt_core.pipeline.folder_plan import Task

IN_HAND_BYTES = 512 * 2**20  # of decoded pixels, before and after; a larger picture is in hand by itself
IN_HAND = 48  # pictures


class Budget:
    """Count what the pictures in hand take."""

    def __init__(self) -> None:
        self._pictures = 0
        self._bytes = 0

    def admits(self, task: Task) -> bool:
        """Tell whether there is room for a task; there always is when nothing is in hand."""
        fits = self._pictures < IN_HAND and self._bytes + bytes_in_hand(task) <= IN_HAND_BYTES
        return fits or self._pictures == 0

    def add(self, task: Task) -> None:
        """Take a task in hand."""
        self._pictures += 1
        self._bytes += bytes_in_hand(task)

    def remove(self, task: Task) -> None:
        """Let go of a task."""
        self._pictures -= 1
        self._bytes -= bytes_in_hand(task)


def bytes_in_hand(task: Task) -> int:
    """Return about what a picture's frames take: of one page, before and after, and once more while it is encoded."""
    info, size = task.plan.info, task.plan.size
    pixels = info.width * info.height + 2 * size.width * size.height
    return pixels * (4 if info.has_alpha else 3) * (info.depth // 8)
