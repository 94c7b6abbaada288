/* Softmax attention inside pieces of windows (paper, section 3.2: EMHA and the Feature Split Module).

   The map is cut into windows; the pixels of a window, in row-major order, form SPLITS consecutive pieces, each a
   sequence of its own. A head's queries, keys and values are one 3 x 3 convolution of the map, computed for a piece when
   it is attended to, so that they stay in the second cache. Queries lie in the lanes of vectors: QUERIES of them meet one
   key or value after the other, whose numbers are broadcast. Keys come in chunks whose scores stay in the first cache; when a chunk raises a query's largest
   score, what was summed up so far is scaled down (Milakov and Gimelshein, arXiv 1805.02867). */

#include <math.h>
#include <string.h>

#include "network.h"
#include "simd.h"

#define SPLITS 4
#define BLOCK 6  /* channels whose sums stay in registers; divides DIM */
#define CHUNK 96 /* keys; a multiple of KEYS */
#if SUMS == 24
#define WIDE 3    /* vectors of tokens */
#define KEYS (LANES == 16 ? 8 : 6) /* whose sums stay in registers */
#else
#define WIDE 2
#define KEYS 4
#endif
#define QUERIES (WIDE * LANES)
_Static_assert(QUERIES % KEYS == 0 && CHUNK % KEYS == 0, "a block of keys ends where a block of tokens does");

typedef Lanes Row[WIDE]; /* one number for each token */

typedef struct {
    long top, left, width; /* of the window, px */
    long first, length;    /* the piece's tokens in the window */
} Piece;

static long ceil_div(long a, long b) { return (a + b - 1) / b; }

/* The start of a window on an axis: the first ones are one pixel longer if the axis does not divide evenly. */
static long window_start(long length, long count, long index) {
    const long longer = length % count;
    return index * (length / count) + (index < longer ? index : longer);
}

static Piece piece_at(Size size, Windows windows, long index) {
    const long window = index / SPLITS, split = index % SPLITS;
    const long down = window / windows.across, right = window % windows.across;
    const long top = window_start(size.height, windows.down, down);
    const long left = window_start(size.width, windows.across, right);
    const long height = window_start(size.height, windows.down, down + 1) - top;
    const long width = window_start(size.width, windows.across, right + 1) - left;
    const long most = ceil_div(height * width, SPLITS), first = split * most, rest = height * width - first;
    return (Piece){top, left, width, first, rest < 0 ? 0 : rest < most ? rest : most};
}

static float *pixel_of(Map map, Piece piece, long token) {
    const long at = piece.first + token;
    return map.data + (piece.top + at / piece.width) * map.pitch + (piece.left + at % piece.width) * map.step;
}

/* The tokens of the longest piece, in whole blocks. */
static long piece_room(Size size, Windows windows) {
    const long most = ceil_div(ceil_div(size.height, windows.down) * ceil_div(size.width, windows.across), SPLITS);
    return ceil_div(most, QUERIES) * QUERIES;
}

long attention_scratch(Size size, Windows windows) {
    return piece_room(size, windows) * QKV + (CHUNK + 1) * QUERIES + 16 * tiles_in_chunk() * QKV +
           convolution_scratch(CHANNELS, QKV);
}

typedef struct {
    Map x, out;
    Size size;
    Windows windows;
    const Filter *qkv;
    const float *factors;
} AttentionJob;

static long pieces_of(Windows windows) { return SPLITS * windows.down * windows.across; }

/* The rows of a window that a piece lies in. */
static Area rows_of(Piece piece) {
    const long first = piece.first / piece.width, end = ceil_div(piece.first + piece.length, piece.width);
    return (Area){piece.top + first, piece.left, {end - first, piece.width}};
}

/* Normalize those of a tile's sums (4, 4, QKV) that belong to the piece and write them to its tokens (length, QKV). */
static void keep_tokens(const AttentionJob *job, const Filter *filter, Piece piece, Area area, long tile,
                        const float *sums, float *tokens) {
    const long across = ceil_div(area.size.width, 4), top = tile / across * 4, left = tile % across * 4;
    const long before = piece.first % piece.width; /* pixels of the area's first row that belong to another piece */
    for (long y = top; y < top + 4 && y < area.size.height; y++)
        for (long x = left; x < left + 4 && x < area.size.width; x++) {
            const long token = y * area.size.width + x - before;
            if (token < 0 || token >= piece.length)
                continue;
            const float factor = job->factors[(area.top + y) * job->size.width + area.left + x];
            const float *from = sums + ((y - top) * 4 + x - left) * QKV;
            UNROLLED(int c = 0; c < QKV; c += LANES)
                store(tokens + token * QKV + c, factor * load(from + c) + load(filter->bias + c));
        }
}

/* Compute the queries, keys and values of a head: tokens (length, QKV), filled up to whole blocks with the last one. */
static void project(const AttentionJob *job, const Filter *filter, Piece piece, float *tokens, float *scratch) {
    const Area area = rows_of(piece);
    const long tiles = tiles_3x3(area.size), most = tiles_in_chunk();
    float *sums = scratch, *room = sums + 16 * most * QKV;
    for (long first = 0; first < tiles; first += most) {
        const long count = tiles - first < most ? tiles - first : most;
        convolve_3x3(filter, job->x, job->size, area, first, count, sums, room);
        for (long t = 0; t < count; t++)
            keep_tokens(job, filter, piece, area, first + t, sums + t * 16 * QKV, tokens);
    }
    for (long token = piece.length; token % QUERIES; token++)
        memcpy(tokens + token * QKV, tokens + (piece.length - 1) * QKV, QKV * sizeof(float));
}

/* Write the scores of KEYS keys and raise `top` to the largest. */
APART void score(const float *queries, const float *keys, float *scores, Row top) {
    Row sum[KEYS];
    UNROLLED(int j = 0; j < KEYS; j++)
        UNROLLED(int w = 0; w < WIDE; w++) sum[j][w] = (Lanes){0};
    for (int d = 0; d < DIM; d++) {
        Row query;
        UNROLLED(int w = 0; w < WIDE; w++) query[w] = load(queries + d * QUERIES + w * LANES);
        UNROLLED(int j = 0; j < KEYS; j++)
            UNROLLED(int w = 0; w < WIDE; w++) sum[j][w] += query[w] * keys[j * QKV + d];
    }
    UNROLLED(int w = 0; w < WIDE; w++) {
        Lanes largest = top[w];
        UNROLLED(int j = 0; j < KEYS; j++) {
            store(scores + j * QUERIES + w * LANES, sum[j][w]);
            largest = larger(largest, sum[j][w]); /* a NaN may be lost here, but not in its score */
        }
        top[w] = largest;
    }
}

/* Turn the scores of one key into weights. */
INLINE void weigh(float *scores, const Lanes *top) {
    UNROLLED(int w = 0; w < WIDE; w++)
        store(scores + w * LANES, power_of_two(load(scores + w * LANES) - top[w]));
}

/* Scale BLOCK channels of the sums down and add the values of a chunk. With `top` the weights are scores still: one key
   ahead, while multiply-adds keep the processor busy, they are turned into weights, which are added up in `total`. What
   lies behind the last key is read and written, but not added. */
INLINE void mix(float *weights, const float *values, long count, const Row factor, Row *out, const Lanes *top,
                Row total) {
    Row sum[BLOCK], all;
    UNROLLED(int w = 0; w < WIDE; w++) all[w] = top ? factor[w] * total[w] : (Lanes){0};
    UNROLLED(int d = 0; d < BLOCK; d++)
        UNROLLED(int w = 0; w < WIDE; w++) sum[d][w] = factor[w] * out[d][w];
    if (top)
        weigh(weights, top);
    for (long j = 0; j < count; j++, weights += QUERIES, values += QKV) {
        if (top) {
            weigh(weights + QUERIES, top);
            __asm__ volatile("" ::: "memory");
        }
        Row weight;
        UNROLLED(int w = 0; w < WIDE; w++) {
            weight[w] = load(weights + w * LANES);
            if (top)
                all[w] += weight[w];
        }
        UNROLLED(int d = 0; d < BLOCK; d++)
            UNROLLED(int w = 0; w < WIDE; w++) sum[d][w] += weight[w] * values[d];
    }
    UNROLLED(int d = 0; d < BLOCK; d++)
        UNROLLED(int w = 0; w < WIDE; w++) out[d][w] = sum[d][w];
    if (top)
        UNROLLED(int w = 0; w < WIDE; w++) total[w] = all[w];
}

APART void mix_scores(float *scores, const float *values, long count, const Row factor, Row *out, const Row top,
                      Row total) {
    mix(scores, values, count, factor, out, top, total);
}

APART void mix_weights(float *weights, const float *values, long count, const Row factor, Row *out) {
    mix(weights, values, count, factor, out, NULL, NULL);
}

/* Let QUERIES queries (DIM, QUERIES), scaled to powers of two, meet the keys and values of `length` tokens. */
static void attend_queries(const float *queries, const float *tokens, long length, float *scores, Row out[DIM]) {
    Row total, top;
    UNROLLED(int w = 0; w < WIDE; w++) total[w] = (Lanes){0}, top[w] = fill(-INFINITY);
    for (long first = 0; first < length; first += CHUNK) {
        const long count = length - first < CHUNK ? length - first : CHUNK;
        const float *keys = tokens + first * QKV + DIM, *values = keys + DIM;
        Row before, factor;
        UNROLLED(int w = 0; w < WIDE; w++) before[w] = top[w];
        for (long j = 0; j < count; j += KEYS) /* behind the last key it is repeated, which changes no maximum */
            score(queries, keys + j * QKV, scores + j * QUERIES, top);
        UNROLLED(int w = 0; w < WIDE; w++) factor[w] = power_of_two(before[w] - top[w]);
        mix_scores(scores, values, count, factor, out, top, total);
        for (int d = BLOCK; d < DIM; d += BLOCK)
            mix_weights(scores, values + d, count, factor, out + d);
    }
    UNROLLED(int d = 0; d < DIM; d++)
        UNROLLED(int w = 0; w < WIDE; w++) out[d][w] /= total[w];
}

/* Attend with one head in one piece. */
static void attend_piece(const void *argument, long item, Member *member) {
    const AttentionJob *job = argument;
    const long index = item / HEADS, head = item % HEADS;
    const Piece piece = piece_at(job->size, job->windows, index);
    float *scores = member->scratch, *tokens = scores + (CHUNK + 1) * QUERIES;
    project(job, job->qkv + head, piece, tokens, tokens + piece_room(job->size, job->windows) * QKV);
    for (long first = 0; first < piece.length; first += QUERIES) {
        float queries[DIM * QUERIES] __attribute__((aligned(ALIGNMENT)));
        Row out[DIM];
        for (long d = 0; d < DIM; d++)
            for (long l = 0; l < QUERIES; l++)
                queries[d * QUERIES + l] = tokens[(first + l) * QKV + d];
        memset(out, 0, sizeof out);
        attend_queries(queries, tokens, piece.length, scores, out);
        for (long l = 0; l < QUERIES && first + l < piece.length; l++) {
            float *to = pixel_of(job->out, piece, first + l) + head * DIM;
            for (int d = 0; d < DIM; d++)
                to[d] = out[d][l / LANES][l % LANES];
        }
    }
}

/* Attend with all heads in all pieces of x, CHANNELS channels with a frame of zeros; `out` gets REDUCED channels.
   factors: (height, width), what the sums of queries, keys and values are multiplied by before their bias. */
void attend(Member *member, const Filter *qkv, Map x, const float *factors, Size size, Windows windows, Map out) {
    const AttentionJob job = {x, out, size, windows, qkv, factors};
    share(member, pieces_of(windows) * HEADS, attend_piece, NULL, &job);
}
