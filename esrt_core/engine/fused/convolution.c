/* 3 x 3 and 5 x 5 convolutions with zero padding, channels last, float32: what esrt_core/engine/fused/kernels.py
   calls, by the name ENTRY.

   Winograd's minimal filtering (Lavin and Gray, arXiv 1509.09308), F(4 x 4, 3 x 3) and F(2 x 2, 5 x 5): SIDE x SIDE inputs
   and the kernel are evaluated at CELLS points, multiplied there, and the products interpolated to 4 x 4 or 2 x 2 outputs:
   36 products for each pair of channels in place of 144 or 100. The points along one axis are 0, +-A, +-B and infinity.
   With A = 1 / B the rounding is about twice that of a plain sum; with the usual 1 and 2 it is four times that. */

#include <immintrin.h>
#include <omp.h>
#include <stddef.h>
#include <stdlib.h>

#define MOST_OUT 4 /* outputs along one axis of a tile */
#define SIDE 6
#define CELLS (SIDE * SIDE)
#define TILES 24 /* tiles transformed together, so that what lies between stays in the cache; divides by GROUP */
#define MOST 256 /* input channels */
#define A 0.70710678f /* the square root of 1/2 */
#define B 1.41421356f
#ifdef __AVX512F__
#define LANES 16
#define GROUP 8 /* tiles whose sums stay in registers */
#define WIDEST 3 /* vectors of output channels whose sums do */
#define larger _mm512_max_ps /* gives the second where one is no number */
#define smaller _mm512_min_ps
#else
#define LANES 8
#define GROUP 6
#define WIDEST 2
#define larger _mm256_max_ps
#define smaller _mm256_min_ps
#endif
#define ALIGNMENT 64
#define UNROLLED _Pragma("GCC unroll 8") for
#define INLINE static inline __attribute__((always_inline))

typedef float Lanes __attribute__((vector_size(4 * LANES)));
typedef float Anywhere __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

static const float nothing[MOST];

typedef struct {
    const float *x, *residual, *kernel, *bias, *positive, *negative;
    float *y, alpha;
    long batch, height, width, in, out, size; /* size: the side of the kernel, 3 or 5 */
} Layer;

typedef struct {
    long sample, top, left;
} Tile;

/* Numbers from one point to the next: one cache line more than they need, or all points would share a few places in the
   cache. */
INLINE long stride(long channels) { return TILES * channels + ALIGNMENT / sizeof(float); }

INLINE Lanes load(const float *from) { return *(const Anywhere *)from; }

INLINE void store(float *to, Lanes value) { *(Anywhere *)to = value; }

/* Evaluate six inputs at the points. */
INLINE void spread(const Lanes d[SIDE], Lanes v[SIDE]) {
    const Lanes even_a = d[4] - 2.0f * d[2], odd_a = d[3] - 2.0f * d[1];
    const Lanes even_b = d[4] - 0.5f * d[2], odd_b = d[3] - 0.5f * d[1];
    v[0] = d[0] - 2.5f * d[2] + d[4];
    v[1] = even_a + A * odd_a;
    v[2] = even_a - A * odd_a;
    v[3] = even_b + B * odd_b;
    v[4] = even_b - B * odd_b;
    v[5] = d[1] - 2.5f * d[3] + d[5];
}

/* Make `outs` outputs, 4 or 2, of the products at the points. */
INLINE void gather(const Lanes m[SIDE], Lanes y[MOST_OUT], const int outs) {
    const Lanes even_a = m[1] + m[2], odd_a = m[1] - m[2], even_b = m[3] + m[4], odd_b = m[3] - m[4];
    y[0] = m[0] + even_a + even_b;
    y[1] = A * odd_a + B * odd_b;
    if (outs == 2) {
        y[1] += m[5];
        return;
    }
    y[2] = 0.5f * even_a + 2.0f * even_b;
    y[3] = 0.5f * A * odd_a + 2.0f * B * odd_b + m[5];
}

INLINE long outputs(const Layer *layer) { return SIDE + 1 - layer->size; }

static Tile tile_at(const Layer *layer, long index) {
    const long outs = outputs(layer);
    const long across = (layer->width + outs - 1) / outs, down = (layer->height + outs - 1) / outs;
    return (Tile){index / (across * down), index / across % down * outs, index % across * outs};
}

/* Evaluate a tile's input at the points: values (CELLS, TILES, in), from this tile's place on. */
static void transform_input(const Layer *layer, Tile tile, float *values) {
    const float *cells[SIDE][SIDE];
    for (long i = 0; i < SIDE; i++)
        for (long j = 0; j < SIDE; j++) {
            const long row = tile.top + i - layer->size / 2, column = tile.left + j - layer->size / 2;
            const int inside = row >= 0 && row < layer->height && column >= 0 && column < layer->width;
            const long pixel = (tile.sample * layer->height + row) * layer->width + column;
            cells[i][j] = inside ? layer->x + pixel * layer->in : nothing;
        }
    for (long c = 0; c < layer->in; c += LANES) {
        Lanes columns[SIDE][SIDE], d[SIDE], v[SIDE];
        for (int j = 0; j < SIDE; j++) {
            UNROLLED(int i = 0; i < SIDE; i++) d[i] = load(cells[i][j] + c);
            spread(d, v);
            UNROLLED(int i = 0; i < SIDE; i++) columns[i][j] = v[i];
        }
        for (int i = 0; i < SIDE; i++) {
            spread(columns[i], v);
            UNROLLED(int j = 0; j < SIDE; j++) store(values + (i * SIDE + j) * stride(layer->in) + c, v[j]);
        }
    }
}

/* Multiply GROUP tiles (GROUP, in) by `wide` vectors of the kernel's columns, (in, out), at one point. */
INLINE void multiply(const float *values, const float *kernel, float *products, long in, long out, const int wide) {
    Lanes sum[GROUP][WIDEST];
    UNROLLED(int t = 0; t < GROUP; t++)
        UNROLLED(int w = 0; w < wide; w++) sum[t][w] = (Lanes){0};
    for (long c = 0; c < in; c++) {
        Lanes weight[WIDEST];
        UNROLLED(int w = 0; w < wide; w++) weight[w] = load(kernel + c * out + w * LANES);
        UNROLLED(int t = 0; t < GROUP; t++)
            UNROLLED(int w = 0; w < wide; w++) sum[t][w] += values[t * in + c] * weight[w];
    }
    UNROLLED(int t = 0; t < GROUP; t++)
        UNROLLED(int w = 0; w < wide; w++) store(products + t * out + w * LANES, sum[t][w]);
}

static void multiply_tiles(const Layer *layer, long count, const float *values, float *products) {
    const long in = layer->in, out = layer->out;
    for (long cell = 0; cell < CELLS; cell++)
        for (long t = 0; t < count; t += GROUP) {
            const float *from = values + cell * stride(in) + t * in, *kernel = layer->kernel + cell * in * out;
            float *to = products + cell * stride(out) + t * out;
            long done = 0;
            for (; out - done >= WIDEST * LANES; done += WIDEST * LANES)
                multiply(from, kernel + done, to + done, in, out, WIDEST);
            if (out - done >= 2 * LANES)
                multiply(from, kernel + done, to + done, in, out, 2);
            else if (out - done >= LANES)
                multiply(from, kernel + done, to + done, in, out, 1);
        }
}

/* Make a tile's output of its products (CELLS, TILES, out) and write what lies inside the map. */
INLINE void transform_output(const Layer *layer, Tile tile, const float *products, const int outs) {
    const long rows = layer->height - tile.top < outs ? layer->height - tile.top : outs;
    const long columns = layer->width - tile.left < outs ? layer->width - tile.left : outs;
    for (long c = 0; c < layer->out; c += LANES) {
        Lanes half[MOST_OUT][SIDE], m[SIDE], y[MOST_OUT];
        for (int j = 0; j < SIDE; j++) {
            UNROLLED(int i = 0; i < SIDE; i++) m[i] = load(products + (i * SIDE + j) * stride(layer->out) + c);
            gather(m, y, outs);
            UNROLLED(int i = 0; i < outs; i++) half[i][j] = y[i];
        }
        const Lanes bias = load(layer->bias + c), zero = {0};
        const Lanes positive = load(layer->positive + c), negative = load(layer->negative + c);
        for (long i = 0; i < rows; i++) {
            gather(half[i], y, outs);
            const long pixel = (tile.sample * layer->height + tile.top + i) * layer->width + tile.left;
            for (long j = 0; j < columns; j++) {
                const Lanes sum = y[j] + bias;
                const long at = (pixel + j) * layer->out + c;
                Lanes result = positive * larger(zero, sum) + negative * smaller(zero, sum);
                if (layer->residual)
                    result += layer->alpha * load(layer->residual + at);
                store(layer->y + at, result);
            }
        }
    }
}

/* Compute y = positive max(s, 0) + negative min(s, 0) + alpha residual, where s is the convolution of x plus the bias, in
   `threads` threads of torch's OpenMP.

   x: (batch, height, width, in), y and residual: (batch, height, width, out), kernel: (CELLS, in, out), `size` px a side
   and evaluated at the points; bias, positive, negative: (out). `residual` may be null. Channels come in whole vectors,
   of inputs at most MOST. Returns 0, or 1 where there is no memory. */
int ENTRY(const float *x, const float *kernel, const float *bias, const float *positive, const float *negative,
          const float *residual, float alpha, float *y, long batch, long height, long width, long in, long out,
          long size, int threads) {
    const Layer layer = {x, residual, kernel, bias, positive, negative, y, alpha, batch, height, width, in, out, size};
    const long outs = outputs(&layer), tiles = batch * ((height + outs - 1) / outs) * ((width + outs - 1) / outs);
    const size_t room = CELLS * (stride(in) + stride(out));
    float *rooms = aligned_alloc(ALIGNMENT, threads * room * sizeof(float));
    if (!rooms)
        return 1;
#pragma omp parallel for num_threads(threads)
    for (long first = 0; first < tiles; first += TILES) {
        const long count = tiles - first < TILES ? tiles - first : TILES, padded = (count + GROUP - 1) / GROUP * GROUP;
        float *values = rooms + omp_get_thread_num() * room, *products = values + CELLS * stride(in);
        for (long t = 0; t < padded; t++) /* a group is filled up with its last tile */
            transform_input(&layer, tile_at(&layer, first + (t < count ? t : count - 1)), values + t * in);
        multiply_tiles(&layer, count, values, products);
        for (long t = 0; t < count; t++)
            if (size == 3)
                transform_output(&layer, tile_at(&layer, first + t), products + t * out, 4);
            else
                transform_output(&layer, tile_at(&layer, first + t), products + t * out, 2);
    }
    free(rooms);
    return 0;
}
