/* Both upsamplers, each composed into one 5 x 5 convolution (see esrt_core/engine/fused/upsampler.py), and the PixelShuffle.

   The outermost pixels have kernels of their own, because the plain upsamplers pad their inner maps with zeros. */

#include <string.h>

#include "linear.h"
#include "network.h"

#define SPAN 24 /* outermost pixels computed together; whole blocks of rows for every width */
#define REACH 2 /* px around it that an inner pixel draws from */
#define EDGE 3  /* px from the edge that an outermost one draws from */
#define MOST_TAPS ((2 * REACH + 1) * EDGE)

typedef struct {
    const Network *network;
    Map features, body;
    Size size;
    float *picture;
} UpsamplerJob;

/* Consecutive outermost pixels that share their kernel. */
typedef struct {
    long place, y, x, down, right, count;
} Span;

enum Position { FIRST, INNER, LAST };

long upsampler_scratch(void) {
    const long inner = 2 * tiles_in_chunk() * 4 * MAX_PIXEL + convolution_scratch(CHANNELS, MAX_PIXEL);
    const long edge = 2 * SPAN * MAX_PIXEL + SPAN * MOST_TAPS * CHANNELS;
    return inner > edge ? inner : edge;
}

/* Write ReLU(up) + tail with their biases, which hold the scale x scale RGB pixels of LR pixel (y, x), channel by
   channel. */
static void shuffle(const UpsamplerJob *job, long y, long x, const float *up, const float *tail, const float *up_bias,
                    const float *tail_bias) {
    const long scale = job->network->scale, width = scale * job->size.width, height = scale * job->size.height;
    float sum[MAX_PIXEL];
    for (long k = 0; k < job->network->pixel; k += LANES)
        store(sum + k, relu(load(up + k) + load(up_bias + k)) + (load(tail + k) + load(tail_bias + k)));
    const float *from = sum;
    for (long channel = 0; channel < 3; channel++)
        for (long row = 0; row < scale; row++, from += scale) {
            float *to = job->picture + (channel * height + scale * y + row) * width + scale * x;
            for (long column = 0; column < scale; column++)
                to[column] = from[column];
        }
}

static void upsample_chunk(const UpsamplerJob *job, long first, float *scratch) {
    const long rest = tiles_5x5(job->size) - first, count = rest < tiles_in_chunk() ? rest : tiles_in_chunk();
    const Network *network = job->network;
    const long pixel = network->pixel, across = (job->size.width + 1) / 2;
    float *up = scratch, *tail = up + tiles_in_chunk() * 4 * pixel, *room = tail + tiles_in_chunk() * 4 * pixel;
    convolve_5x5(&network->up.inner, job->features, job->size, first, count, up, room);
    convolve_5x5(&network->tail.inner, job->body, job->size, first, count, tail, room);
    for (long k = 0; k < 4 * count; k++) {
        const long tile = first + k / 4, y = tile / across * 2 + k % 4 / 2, x = tile % across * 2 + k % 2;
        if (y > 0 && y < job->size.height - 1 && x > 0 && x < job->size.width - 1)
            shuffle(job, y, x, up + k * pixel, tail + k * pixel, network->up.inner.bias, network->tail.inner.bias);
    }
}

/* Where the pixels that an output draws from begin along one axis. */
static long first_tap(enum Position position, long at, long length) {
    return position == FIRST ? 0 : position == LAST ? length - EDGE : at - REACH;
}

/* Copy what the pixels of a span draw from: (count, taps, CHANNELS), zeros outside the map. Returns the taps. */
static long copy_taps(Map map, Size size, Span span, float *to) {
    const enum Position row = span.place / 3, column = span.place % 3;
    const long tall = row == INNER ? 2 * REACH + 1 : EDGE, wide = column == INNER ? 2 * REACH + 1 : EDGE;
    for (long p = 0; p < span.count; p++) {
        const long top = first_tap(row, span.y + p * span.down, size.height);
        const long left = first_tap(column, span.x + p * span.right, size.width);
        for (long y = top; y < top + tall; y++)
            for (long x = left; x < left + wide; x++, to += CHANNELS)
                if (y < 0 || y >= size.height || x < 0 || x >= size.width)
                    memset(to, 0, CHANNELS * sizeof(float));
                else
                    memcpy(to, map.data + y * map.pitch + x * map.step, CHANNELS * sizeof(float));
    }
    return tall * wide;
}

static void convolve_span(const Upsampler *weights, Map map, Size size, Span span, long pixel, float *out, float *taps) {
    const Place *place = weights->places + span.place;
    const long inputs = copy_taps(map, size, span, taps) * CHANNELS;
    product(taps, inputs, place->weight, out, pixel, span.count, inputs, pixel);
}

static void upsample_span(const UpsamplerJob *job, Span span, float *scratch) {
    const long pixel = job->network->pixel;
    float *up = scratch, *tail = up + SPAN * pixel, *taps = tail + SPAN * pixel;
    convolve_span(&job->network->up, job->features, job->size, span, pixel, up, taps);
    convolve_span(&job->network->tail, job->body, job->size, span, pixel, tail, taps);
    for (long p = 0; p < span.count; p++)
        shuffle(job, span.y + p * span.down, span.x + p * span.right, up + p * pixel, tail + p * pixel,
                job->network->up.places[span.place].bias, job->network->tail.places[span.place].bias);
}

static long spans_along(long length) { return (length - 2 + SPAN - 1) / SPAN; }

/* The spans: four corners, then top, bottom, left and right edge without them. */
static long spans_of(Size size) { return 4 + 2 * spans_along(size.width) + 2 * spans_along(size.height); }

static Span span_at(Size size, long index) {
    const long bottom = size.height - 1, right = size.width - 1;
    if (index < 4)
        return (Span){index / 2 * 6 + index % 2 * 2, index / 2 * bottom, index % 2 * right, 0, 0, 1};
    index -= 4;
    const long across = spans_along(size.width), along = spans_along(size.height);
    if (index < 2 * across) {
        const long last = index / across, start = 1 + index % across * SPAN;
        const long count = right - start < SPAN ? right - start : SPAN;
        return (Span){last * 6 + 1, last * bottom, start, 0, 1, count};
    }
    index -= 2 * across;
    const long last = index / along, start = 1 + index % along * SPAN;
    const long count = bottom - start < SPAN ? bottom - start : SPAN;
    return (Span){3 + last * 2, start, last * right, 1, 0, count};
}

static void upsample_item(const void *argument, long item, Member *member) {
    const UpsamplerJob *job = argument;
    const long spans = spans_of(job->size);
    if (item < spans)
        upsample_span(job, span_at(job->size, item), member->scratch);
    else
        upsample_chunk(job, (item - spans) * tiles_in_chunk(), member->scratch);
}

/* Make the picture (3, scale * height, scale * width) of the head's features and the body. */
void upsample(Member *member, const Network *network, Map features, Map body, Size size, float *picture) {
    const UpsamplerJob job = {network, features, body, size, picture};
    const long chunks = (tiles_5x5(size) + tiles_in_chunk() - 1) / tiles_in_chunk();
    share(member, spans_of(size) + chunks, upsample_item, NULL, &job);
}
