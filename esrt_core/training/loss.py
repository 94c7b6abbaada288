"""What training minimises."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Loss:
    """Compare results with the truth: L1 plus `fft_weight` times the L1 of their spectra, or MSE.

    Both are (B, 3, H, W) in [0, 1]; the result is a float32 scalar. The frequency term is that of MIMO-UNet
    (arXiv 2108.05054, eq. 4) with orthonormal transforms.
    """

    fft_weight: float = 0.0
    mse: bool = False

    def __call__(self, result: Tensor, truth: Tensor) -> Tensor:
        """Return the loss."""
        result = result.float()
        if self.mse:
            return F.mse_loss(result, truth)
        loss = F.l1_loss(result, truth)
        if self.fft_weight:
            spectrum = torch.fft.rfft2(result - truth, norm="ortho")
            loss = loss + self.fft_weight * torch.view_as_real(spectrum).abs().mean()
        return loss
