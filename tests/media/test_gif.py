import numpy as np

from esrt_core.media.frame import ColorSpace, Frame
from esrt_core.media.gif import to_palette
from tests.media.pictures import noise


def colours_of(image):
    return np.asarray(image.convert("RGBA"))


def test_few_colours_are_exact():
    colour = np.kron(noise(5, 5, 3), np.ones((4, 4, 1), np.uint8))
    assert np.array_equal(colours_of(to_palette(Frame((colour,))))[..., :3], colour)


def test_hidden_pixels_do_not_spoil_the_palette():
    colour = noise(40, 40, 3)
    colour[:4] = (200, 10, 30)
    alpha = np.zeros((40, 40), np.uint8)
    alpha[:4] = 255
    result = colours_of(to_palette(Frame((colour,), alpha=alpha)))
    assert np.array_equal(result[..., 3], alpha)
    assert np.all(result[:4, :, :3] == (200, 10, 30))


def test_half_transparency_becomes_hard():
    frame = Frame((np.full((1, 2), 90, np.uint8),), ColorSpace.GRAY, alpha=np.array([[127, 128]], np.uint8))
    assert colours_of(to_palette(frame))[..., 3].tolist() == [[0, 255]]


def test_a_frame_all_hidden_is_all_transparent():
    frame = Frame((noise(3, 3, 3),), alpha=np.zeros((3, 3), np.uint8))
    assert not colours_of(to_palette(frame))[..., 3].any()


def test_what_stands_still_keeps_its_colours():
    smooth = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8)
    first = np.dstack([smooth, smooth // 2, 200 - smooth])
    second = first.copy()
    second[:4, :4] = 255 - second[:4, :4]
    one = to_palette(Frame((first,)), dither=False)
    two = to_palette(Frame((second,)), one, dither=False)
    assert np.array_equal(colours_of(one)[8:], colours_of(two)[8:])


def test_a_new_scene_gets_a_new_palette():
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 0] = np.arange(32) * 8
    blue = red[..., ::-1].copy()
    result = to_palette(Frame((blue,)), to_palette(Frame((red,))), dither=False)
    assert np.array_equal(colours_of(result)[..., :3], blue)
