import numpy as np
import pytest
from PIL import Image, ImageOps

from esrt_core.media.orientation import shown_size, stored_view
from tests.media.pictures import noise


@pytest.mark.parametrize("orientation", range(1, 9))
def test_stored_view_orients_like_pillow(orientation):
    stored = noise(9, 7, 3)
    image = Image.fromarray(stored)
    image.getexif()[274] = orientation
    expected = np.asarray(ImageOps.exif_transpose(image))
    width, height = shown_size(7, 9, orientation)
    shown = np.empty((height, width, 3), np.uint8)
    stored_view(shown, orientation)[...] = stored
    assert np.array_equal(shown, expected)
