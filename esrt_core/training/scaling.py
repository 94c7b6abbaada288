"""What the loss is multiplied by for the backward pass."""

import torch

GROWTH = 1000  # finite steps after which a factor that was halved is doubled again


class LossScale:
    """Keep the gradients of a step in float16's range.

    Without a factor small ones would vanish. After a step whose gradients are not finite it is half as much, down to 1,
    and in time as much as before again.
    """

    def __init__(self, most: float, device: torch.device) -> None:
        self.most = most
        self.factor = torch.tensor(most, device=device)  # where a recorded step reads it
        self.finite_steps = 0

    @property
    def lowest(self) -> bool:
        """Whether it cannot become less."""
        return float(self.factor) <= 1

    def adapt(self, finite: bool) -> None:
        """Take note of a step."""
        self.finite_steps += finite
        if not finite:
            self.factor.mul_(0.5).clamp_(min=1.0)
        elif self.finite_steps % GROWTH == 0:
            self.factor.mul_(2.0).clamp_(max=self.most)

    def restore(self, factor: float, finite_steps: int) -> None:
        """Go on where a run stopped; one that goes on elsewhere may be allowed less."""
        self.factor.fill_(min(factor, self.most))
        self.finite_steps = finite_steps
