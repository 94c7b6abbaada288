import numpy as np
import pytest

from esrt_core.media.samples import integers_to_16, normalise, restore, widen_to_16


def test_integers_that_fit_stay():
    samples, notes = integers_to_16(np.array([[0, 65535]], np.int32))
    assert samples.tolist() == [[0, 65535]]
    assert notes == ()


def test_wide_unsigned_integers_keep_their_upper_bits():
    samples, notes = integers_to_16(np.array([[0, 2**32 - 1]], np.uint32))
    assert samples.tolist() == [[0, 65535]]
    assert notes == ("32 bits reduced to 16",)


def test_signed_integers_are_stretched():
    samples, notes = integers_to_16(np.array([[-100, 0, 100]], np.int16))
    assert samples.tolist() == [[0, 32768, 65535]]
    assert notes == ("values from -100 to 100 stretched over 16 bits",)


def test_twelve_bits_become_sixteen():
    assert widen_to_16(np.array([[0, 4095]], np.uint16), 12).tolist() == [[0, 65535]]


def test_floats_within_0_and_1_stay():
    values = np.array([[0.25, 0.5]], np.float32)
    normal, value_range, notes = normalise(values)
    assert np.array_equal(normal, values)
    assert value_range is None
    assert notes == ()


@pytest.mark.parametrize("values", [[[-3.0, 250.0]], [[0.5, 4.0]], [[-0.5, 0.2]]])
def test_other_floats_are_scaled_and_restored(values):
    normal, value_range, _ = normalise(np.array(values, np.float64))
    assert normal.min() >= 0
    assert normal.max() <= 1
    assert np.allclose(restore(normal, value_range), values, atol=1e-4)


def test_what_is_not_finite_is_replaced_and_noted():
    normal, _, notes = normalise(np.array([[np.nan, np.inf, 0.25]], np.float32))
    assert np.array_equal(normal, np.full((1, 3), np.float32(0.25)))
    assert "not finite" in notes[0]
