/* 3 x 3 and 5 x 5 convolutions with zero padding.

   Winograd's minimal filtering (Lavin and Gray, arXiv 1509.09308), F(4 x 4, 3 x 3) and F(2 x 2, 5 x 5): a tile of
   SIDE x SIDE inputs and the kernel are evaluated at POINTS points, multiplied there channel by channel, and the products
   interpolated to 4 x 4 or 2 x 2 outputs: 36 products for each pair of channels in place of 144 or 100. The points along
   one axis are 0, +-A, +-B and infinity. With A = 1 / B the rounding is about twice that of a plain sum; with the usual 1
   and 2 it is four times that.

   Tiles lie at fixed places of the map, and the sums over channels run in order, so that an output depends neither on
   the tiles computed beside it nor on the thread. */

#include <string.h>

#include "linear.h"
#include "network.h"

#define SIDE 6
#define MOST_OUTPUTS 4 /* along one axis of a tile */
#define CHUNK 8        /* tiles transformed together, so that what lies between stays in the cache; a block of rows */
#define A 0.70710678f  /* the square root of 1/2 */
#define B 1.41421356f

typedef struct {
    long top, left;
} Tile;

/* Floats from one point to the next: one cache line more than needed, or all points would compete for a few places of
   the cache. */
INLINE long stride(long channels) { return CHUNK * channels + ALIGNMENT / (long)sizeof(float); }

long convolution_scratch(long in, long out) {
    return POINTS * (stride(in) + stride(out)) + MOST_ROWS * (in + out) + POINTS * in + 2 * 16 * CHANNELS;
}

INLINE long tiles_along(long length, long outputs) { return (length + outputs - 1) / outputs; }

static long tiles_in(Size size, long outputs) {
    return tiles_along(size.height, outputs) * tiles_along(size.width, outputs);
}

static Tile tile_at(Size size, long outputs, long index) {
    const long across = tiles_along(size.width, outputs);
    return (Tile){index / across * outputs, index % across * outputs};
}

/* Evaluate six inputs at the first or the last three points. */
INLINE void evaluate_half(const Lanes d[SIDE], Lanes v[SIDE / 2], const int last) {
    const float square = last ? 0.5f : 2.0f; /* of the other pair of points */
    const Lanes even = d[4] - square * d[2], odd = d[3] - square * d[1];
    if (last) {
        v[0] = even + B * odd;
        v[1] = even - B * odd;
        v[2] = d[1] - 2.5f * d[3] + d[5];
    } else {
        v[0] = d[0] - 2.5f * d[2] + d[4];
        v[1] = even + A * odd;
        v[2] = even - A * odd;
    }
}

/* Interpolate `outputs` outputs, 4 or 2, from the products at the points. */
INLINE void interpolate(const Lanes m[SIDE], Lanes y[MOST_OUTPUTS], const int outputs) {
    const Lanes even_a = m[1] + m[2], odd_a = m[1] - m[2], even_b = m[3] + m[4], odd_b = m[3] - m[4];
    y[0] = m[0] + even_a + even_b;
    y[1] = A * odd_a + B * odd_b;
    if (outputs == 2) {
        y[1] += m[5];
        return;
    }
    y[2] = 0.5f * even_a + 2.0f * even_b;
    y[3] = 0.5f * A * odd_a + 2.0f * B * odd_b + m[5];
}

/* Copy a tile's inputs to (SIDE, SIDE, in), with zeros outside the map. */
static void copy_inputs(Map x, Size size, long top, long left, long in, float *patch) {
    for (long i = top; i < top + SIDE; i++)
        for (long j = left; j < left + SIDE; j++, patch += in)
            if (i < 0 || i >= size.height || j < 0 || j >= size.width)
                memset(patch, 0, in * sizeof(float));
            else
                memcpy(patch, x.data + i * x.pitch + j * x.step, in * sizeof(float));
}

/* Evaluate a tile's inputs at the points: values (POINTS, CHUNK, in), from this tile's place on. */
static void transform_input(Map x, Size size, Tile tile, long reach, long in, float *values, float *patch) {
    const long top = tile.top - reach, left = tile.left - reach;
    const float *from = x.data + top * x.pitch + left * x.step;
    long pitch = x.pitch, step = x.step;
    if (top < 0 || left < 0 || top + SIDE > size.height || left + SIDE > size.width) {
        copy_inputs(x, size, top, left, in, patch);
        from = patch, pitch = SIDE * in, step = in;
    }
    for (long c = 0; c < in; c += LANES)
        UNROLLED(int last = 0; last < 2; last++) { /* half of the rows at a time, so that they stay in registers */
            Lanes rows[SIDE / 2][SIDE], d[SIDE], v[SIDE / 2];
            UNROLLED(int j = 0; j < SIDE; j++) {
                UNROLLED(int i = 0; i < SIDE; i++) d[i] = load(from + i * pitch + j * step + c);
                evaluate_half(d, v, last);
                UNROLLED(int i = 0; i < SIDE / 2; i++) rows[i][j] = v[i];
            }
            UNROLLED(int i = 0; i < SIDE / 2; i++)
                UNROLLED(int half = 0; half < 2; half++) {
                    evaluate_half(rows[i], v, half);
                    float *to = values + ((3 * last + i) * SIDE + 3 * half) * stride(in) + c;
                    UNROLLED(int j = 0; j < SIDE / 2; j++) store(to + j * stride(in), v[j]);
                }
        }
}

static void multiply_points(const Filter *filter, long count, const float *values, float *products) {
    const long in = filter->in, out = filter->out;
    for (long point = 0; point < POINTS; point++)
        product(values + point * stride(in), in, filter->kernel + point * in * out, products + point * stride(out), out,
                count, in, out);
}

/* Turn the sums of `LANES` channels at one pixel into what is written. */
INLINE Lanes end(const Convolution *work, Lanes sum, Lanes bias, long i, long j, long c, const enum Ending ending) {
    sum += bias;
    if (ending == ACTIVATED)
        sum = load(work->positive + c) * larger((Lanes){0}, sum) + load(work->negative + c) * smaller((Lanes){0}, sum);
    if (ending != SKIPPED && work->residual.data)
        sum += load(work->alpha + c) * load(work->residual.data + i * work->residual.pitch + j * work->residual.step + c);
    if (ending != SKIPPED && work->added.data)
        sum += load(work->added.data + i * work->added.pitch + j * work->added.step + c);
    return sum;
}

/* Interpolate a tile's outputs from its products (POINTS, CHUNK, out) and write those inside the map; `skipped` holds
   (16, out) and `sums` (out). */
INLINE void transform_output(const Convolution *work, Tile tile, const float *products, const float *skipped,
                             float *sums, const enum Ending ending) {
    const long out = work->filter.out;
    const long rows = work->size.height - tile.top, columns = work->size.width - tile.left;
    float *to = work->y.data + tile.top * work->y.pitch + tile.left * work->y.step;
    for (long c = 0; c < out; c += LANES) {
        Lanes half[MOST_OUTPUTS][SIDE], m[SIDE], y[MOST_OUTPUTS], total = {0};
        const Lanes bias = load(work->filter.bias + c);
        UNROLLED(int j = 0; j < SIDE; j++) {
            UNROLLED(int i = 0; i < SIDE; i++) m[i] = load(products + (i * SIDE + j) * stride(out) + c);
            interpolate(m, y, MOST_OUTPUTS);
            UNROLLED(int i = 0; i < MOST_OUTPUTS; i++) half[i][j] = y[i];
        }
        UNROLLED(int i = 0; i < MOST_OUTPUTS; i++) {
            if (i >= rows)
                break;
            interpolate(half[i], y, MOST_OUTPUTS);
            UNROLLED(int j = 0; j < MOST_OUTPUTS; j++) {
                if (j >= columns)
                    break;
                Lanes result = end(work, y[j], bias, tile.top + i, tile.left + j, c, ending);
                if (ending == SKIPPED) {
                    result = relu(result + load(skipped + (i * MOST_OUTPUTS + j) * out + c));
                    total += result;
                }
                store(to + i * work->y.pitch + j * work->y.step + c, result);
            }
        }
        if (ending == SKIPPED)
            store(sums + c, load(sums + c) + total);
    }
}

/* Multiply a tile's 16 pixels of the skip map by the 1 x 1 weights: (16, out). */
static void multiply_skip(const Convolution *work, Tile tile, float *pixels, float *skipped) {
    const long out = work->filter.out, rows = work->size.height - tile.top, columns = work->size.width - tile.left;
    const Map map = work->skip;
    for (long i = 0; i < 4; i++)
        for (long j = 0; j < 4; j++)
            if (i < rows && j < columns)
                memcpy(pixels + (4 * i + j) * CHANNELS,
                       map.data + (tile.top + i) * map.pitch + (tile.left + j) * map.step, CHANNELS * sizeof(float));
    for (long c = 0; c < out; c += 2 * LANES)
        for (long r = 0; r < 16; r += SUMS / 3)
            multiply_block(pixels + r * CHANNELS, CHANNELS, work->skip_weights + c, out, skipped + r * out + c, out,
                           CHANNELS, SUMS / 3, 2);
}

static long chunks_in(Size size, long outputs) { return (tiles_in(size, outputs) + CHUNK - 1) / CHUNK; }

/* How many groups of pixels SKIPPED sums up: one for each chunk. */
long sum_groups(Size size) { return chunks_in(size, 4); }

static void convolve_chunk(const void *job, long item, Member *member) {
    const Convolution *work = job;
    const Filter *filter = &work->filter;
    const long first = item * CHUNK, rest = tiles_in(work->size, 4) - first, count = rest < CHUNK ? rest : CHUNK;
    float *values = member->scratch, *products = values + POINTS * stride(filter->in) + MOST_ROWS * filter->in;
    float *patch = products + POINTS * stride(filter->out) + MOST_ROWS * filter->out;
    float *skipped = patch + 16 * CHANNELS;
    for (long t = 0; t < count; t++)
        transform_input(work->x, work->size, tile_at(work->size, 4, first + t), 1, filter->in, values + t * filter->in,
                        patch);
    multiply_points(filter, count, values, products);
    for (long t = 0; t < count; t++) {
        const Tile tile = tile_at(work->size, 4, first + t);
        const float *from = products + t * filter->out;
        if (work->ending == LINEAR)
            transform_output(work, tile, from, NULL, NULL, LINEAR);
        else if (work->ending == ACTIVATED)
            transform_output(work, tile, from, NULL, NULL, ACTIVATED);
        else {
            float *sums = work->sums + item * filter->out;
            if (t == 0)
                memset(sums, 0, filter->out * sizeof(float));
            multiply_skip(work, tile, patch, skipped);
            transform_output(work, tile, from, skipped, sums, SKIPPED);
        }
    }
}

static void finish_convolution(const void *job, long item, Member *member) {
    const Convolution *work = job;
    work->finish(work->finish_job, item, member);
}

/* Convolve a map; see Convolution. y may be the residual's or the skip's map, never x's. */
void convolve(Member *member, const Convolution *work) {
    share(member, chunks_in(work->size, 4), convolve_chunk, work->finish ? finish_convolution : NULL, work);
}

long tiles_in_chunk(void) { return CHUNK; }

/* Compute the sums of `count` tiles of the area from the tile `first` on: out (count, outputs, outputs, out). */
INLINE void convolve_tiles(const Filter *filter, Map x, Size size, Area area, long first, long count, float *out,
                           float *scratch, const int outputs) {
    float *values = scratch, *products = values + POINTS * stride(filter->in) + MOST_ROWS * filter->in;
    float *patch = products + POINTS * stride(filter->out) + MOST_ROWS * filter->out;
    for (long t = 0; t < count; t++) {
        Tile tile = tile_at(area.size, outputs, first + t);
        tile.top += area.top, tile.left += area.left;
        transform_input(x, size, tile, outputs == 4 ? 1 : 2, filter->in, values + t * filter->in, patch);
    }
    multiply_points(filter, count, values, products);
    for (long t = 0; t < count; t++, out += outputs * outputs * filter->out)
        for (long c = 0; c < filter->out; c += LANES) {
            Lanes half[MOST_OUTPUTS][SIDE], m[SIDE], y[MOST_OUTPUTS];
            UNROLLED(int j = 0; j < SIDE; j++) {
                UNROLLED(int i = 0; i < SIDE; i++)
                    m[i] = load(products + (i * SIDE + j) * stride(filter->out) + t * filter->out + c);
                interpolate(m, y, outputs);
                UNROLLED(int i = 0; i < outputs; i++) half[i][j] = y[i];
            }
            UNROLLED(int i = 0; i < outputs; i++) {
                interpolate(half[i], y, outputs);
                UNROLLED(int j = 0; j < outputs; j++) store(out + (i * outputs + j) * filter->out + c, y[j]);
            }
        }
}

long tiles_3x3(Size size) { return tiles_in(size, 4); }

/* Convolve an area of the map 3 x 3, without the bias: out (count, 4, 4, out) for `count` tiles of 4 x 4 outputs from
   the tile `first` on, at most a chunk. Outputs outside the area are there too; outside the map they hold anything. */
void convolve_3x3(const Filter *filter, Map x, Size size, Area area, long first, long count, float *out,
                  float *scratch) {
    convolve_tiles(filter, x, size, area, first, count, out, scratch, 4);
}

long tiles_5x5(Size size) { return tiles_in(size, 2); }

/* The same for a 5 x 5 convolution of the whole map: out (count, 2, 2, out). */
void convolve_5x5(const Filter *filter, Map x, Size size, long first, long count, float *out, float *scratch) {
    convolve_tiles(filter, x, size, (Area){0, 0, size}, first, count, out, scratch, 2);
}
