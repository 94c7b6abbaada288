import torch
from torch import Tensor, nn

from esrt_core.model.esrt import ESRT, ESRTConfig
from esrt_core.training.optimizers import Muon, build_optimizers, is_matrix, move_rates, orthogonalize, set_rates

TINY = ESRTConfig(2, channels=16, blocks=1)


def test_every_parameter_has_exactly_one_optimizer() -> None:
    network = ESRT(TINY)
    for kind in ("adam", "muon"):
        held = [id(p) for o in build_optimizers(network, kind, 1e-3, None) for g in o.param_groups for p in g["params"]]
        assert sorted(held) == sorted(id(p) for p in network.parameters())


def test_muon_takes_the_inner_matrices_only() -> None:
    taken = {name for name, value in ESRT(TINY).named_parameters() if is_matrix(name, value)}
    assert {"lcb.hpb.0.fuse.weight", "ltb.et.emha.qkv.weight", "tail.steps.0.weight"} <= taken
    assert not any(".ca." in name or name.endswith("bias") for name in taken)
    assert not taken & {"head.weight", "tail.last.weight", "up.last.weight", "a1"}


def test_orthogonalized_matrices_have_singular_values_near_one() -> None:
    torch.manual_seed(0)
    for shape in ((3, 8, 20), (2, 20, 8)):
        matrices = torch.randn(shape)
        values = torch.linalg.svdvals(orthogonalize(matrices))
        assert values.min() > 0.5
        assert values.max() < 1.3


def quadratic(weight: Tensor, target: Tensor) -> Tensor:
    return (weight.flatten(1) - target).square().sum()


def test_muon_finds_a_minimum_and_its_decay_bounds_the_weights() -> None:
    torch.manual_seed(0)
    weight, target = nn.Parameter(torch.randn(4, 2, 3, 3)), torch.randn(4, 18)
    muon = Muon([weight], lr=0.1, weight_decay=0.0)
    before = quadratic(weight, target).item()
    for _ in range(100):
        weight.grad = None
        quadratic(weight, target).backward()  # type: ignore[no-untyped-call]
        muon.step()
    assert quadratic(weight, target).item() < 0.1 * before
    decaying = Muon([weight], lr=0.1, weight_decay=1.0)
    weight.grad = torch.zeros_like(weight)
    norm = weight.norm().item()
    decaying.step()
    assert abs(weight.norm().item() - 0.9 * norm) < 1e-4


def test_rates_saved_on_a_gpu_serve_on_a_cpu() -> None:
    network = ESRT(TINY)
    [adam] = build_optimizers(network, "adam", 1e-3, None)
    state = adam.state_dict()
    for group in state["param_groups"]:
        group["lr"], group["capturable"] = torch.tensor(5e-4), True  # as a GPU keeps them
    adam.load_state_dict(state)
    move_rates([adam])
    assert isinstance(adam.param_groups[0]["lr"], float)
    network(torch.rand(1, 3, 8, 8)).sum().backward()
    before = network.head.weight.detach().clone()
    adam.step()
    assert not torch.equal(network.head.weight, before)
    set_rates([adam], 0.25)
    assert adam.param_groups[0]["lr"] == 0.25e-3
