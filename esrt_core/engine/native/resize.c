/* Bilinear enlargement with aligned corners, as PyTorch's interpolate computes it. */

#include "linear.h"
#include "network.h"

/* Find where the `to` positions of an axis lie between the `from` ones. */
void make_taps(Tap *taps, long from, long to) {
    const float scale = to > 1 ? (float)(from - 1) / (float)(to - 1) : 0;
    for (long i = 0; i < to; i++) {
        const float position = scale * (float)i;
        const long first = (long)position < from - 1 ? (long)position : from - 1;
        taps[i] = (Tap){first, first < from - 1 ? first + 1 : first, position - (float)first};
    }
}

/* Enlarge x, of which `size` holds the size, to row y of a map `width` wide: out (width, CHANNELS). `scratch` holds a
   row of x. */
void enlarge_row(float *out, Map x, Size size, const Tap *rows, const Tap *columns, long y, long width,
                 float *scratch) {
    const float *first = x.data + rows[y].first * x.pitch, *second = x.data + rows[y].second * x.pitch;
    const float lower = rows[y].weight, upper = 1 - lower;
    for (long i = 0; i < size.width * CHANNELS; i += LANES)
        store(scratch + i, upper * load(first + i) + lower * load(second + i));
    for (long j = 0; j < width; j++) {
        const float *left = scratch + columns[j].first * CHANNELS, *right = scratch + columns[j].second * CHANNELS;
        const float after = columns[j].weight, before = 1 - after;
        UNROLLED(int c = 0; c < CHANNELS; c += LANES)
            store(out + j * CHANNELS + c, before * load(left + c) + after * load(right + c));
    }
}
