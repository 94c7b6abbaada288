"""Count what a call costs without a clock: multiply-adds, operators, bytes allocated, in all and at once."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten


def _convolution(args: tuple[Any, ...], out: Tensor) -> int:
    return out.numel() * int(math.prod(args[1].shape[1:]))


def _product(args: tuple[Any, ...], out: Tensor) -> int:
    left = args[-2]  # addmm has one more argument in front
    return out.numel() * int(left.shape[-1])


def _attention(args: tuple[Any, ...], out: Tensor) -> int:
    query, key = args[:2]
    return 2 * int(query.numel()) * int(key.shape[-2])


MULTIPLY_ADDS: dict[Any, Callable[[tuple[Any, ...], Tensor], int]] = {
    aten.convolution.default: _convolution,
    aten.mkldnn_convolution.default: _convolution,
    aten.mm.default: _product,
    aten.addmm.default: _product,
    aten.addmm_.default: _product,
    aten._scaled_dot_product_flash_attention_for_cpu.default: _attention,
}
ONLY_VIEWS = ("view", "permute", "transpose", "t.", "as_strided", "slice", "select", "unsqueeze", "detach", "expand")


class Count(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Count under `with`, inside no_grad (inference mode hides what an operator is made of).

    Views are no operators, and what an operator writes in place is not allocated.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.multiply_adds = self.operators = self.bytes = self.largest = 0
        self._known: set[int] = set()
        self._kept: list[Tensor] = []  # so that no storage's address is used twice

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for tensor in (*args, *(kwargs or {}).values()):
            self._note(tensor)
        out = func(*args, **(kwargs or {}))
        first = out[0] if isinstance(out, tuple | list) else out
        if not func._schema.name.removeprefix("aten::").startswith(ONLY_VIEWS):
            self.operators += 1
        if func in MULTIPLY_ADDS:
            self.multiply_adds += MULTIPLY_ADDS[func](args, first)
        for tensor in out if isinstance(out, tuple | list) else (out,):
            size = self._note(tensor)
            self.bytes += size
            self.largest = max(self.largest, size)
        return out

    def _note(self, tensor: Any) -> int:
        """Remember a tensor's storage; return its bytes if it is a new one."""
        if not isinstance(tensor, Tensor) or tensor.untyped_storage().data_ptr() in self._known:
            return 0
        self._known.add(tensor.untyped_storage().data_ptr())
        self._kept.append(tensor)
        return tensor.untyped_storage().nbytes()
