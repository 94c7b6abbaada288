"""EMA: the moving average of the weights, which is what gets validated and shipped."""

import torch
from torch import Tensor, nn


class EMA:
    """Average a network's parameters over the last 1 / (1 - decay) steps, fewer while the run is young."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.shadow = {name: value.detach().clone() for name, value in network.named_parameters()}

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take the present parameters into the average."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        values = [value.detach() for value in network.parameters()]
        torch._foreach_lerp_(list(self.shadow.values()), values, 1 - decay)

    @torch.no_grad()
    def copy_to(self, network: nn.Module) -> None:
        """Write the average into the parameters of a network of the same shape."""
        for name, value in network.named_parameters():
            value.copy_(self.shadow[name])

    def state_dict(self) -> dict[str, int | dict[str, Tensor]]:
        """Return what load_state_dict() needs."""
        return {"updates": self.updates, "shadow": self.shadow}

    @torch.no_grad()
    def load_state_dict(self, updates: int, shadow: dict[str, Tensor]) -> None:
        """Go on from a saved average."""
        self.updates = updates
        for name, value in self.shadow.items():
            value.copy_(shadow[name])
