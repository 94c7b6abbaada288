"""Which weights make the passes of a picture."""

import pytest

from esrt_core.errors import WeightsError
from esrt_core.pipeline.engines import Engines
from esrt_core.pipeline.lineup import Lineup, alone, find_lineups
from tests.conftest import WeightsOf


def test_auto_gives_damaged_pictures_photo_weights_and_the_others_clean_ones() -> None:
    lineups = find_lineups("auto")
    damaged = lineups.choose("JPEG of quality 70")
    assert (damaged.first, damaged.later, damaged.reason) == ("photo", "clean", "JPEG of quality 70")
    assert lineups.choose(None).first == "clean"
    assert lineups.choose(None).reason


@pytest.mark.parametrize("loss", [None, "JPEG of quality 70"])
@pytest.mark.parametrize("model", ["clean", "photo", "drawing"])
def test_a_named_model_is_taken_whatever_the_picture_is(model: str, loss: str | None) -> None:
    lineup = find_lineups(model).choose(loss)
    assert (lineup.first, lineup.reason) == (model, "")


def test_only_the_first_pass_sees_the_damage() -> None:
    lineup = find_lineups("photo").plain
    assert [lineup.model(place) for place in range(3)] == ["photo", "clean", "clean"]
    assert lineup.scales == (2, 4)
    assert lineup.later_scales == (2, 3, 4)


def test_a_drawing_stays_one_in_every_pass() -> None:
    assert find_lineups("drawing").all() == (alone("drawing", (2, 4)),)


def test_weights_of_ones_own_make_all_passes(weights_of: WeightsOf) -> None:
    path = str(weights_of(3))
    assert find_lineups(path).all() == (alone(path, (3,)),)


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(WeightsError, match="nonsense"):
        find_lineups("nonsense")


def test_engines_of_two_line_ups_share_their_networks(weights_of: WeightsOf) -> None:
    two, four = str(weights_of(2)), str(weights_of(4))
    engines = Engines(two)
    other = engines.of(Lineup(four, (4,), two, (2,)))
    assert (engines.model, other.model, other.scales) == (two, four, (4,))
    assert other.upscaler(2, place=1) is engines.upscaler(2)
    assert other.upscaler(4) is not other.upscaler(2, place=1)
    assert (other.weights(4).path, other.weights(2, 1).path) == (weights_of(4), weights_of(2))
