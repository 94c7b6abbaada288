/* Softmax attention inside pieces of windows (paper, section 3.2: EMHA and the Feature Split Module).

   The map is cut into windows; the pixels of a window, in row-major order, form SPLITS consecutive pieces, each a
   sequence of its own. A head's queries, keys and values are one 3 x 3 convolution of the map, computed for a piece when
   it is attended to, so that they stay in the second cache. Queries lie in the lanes of vectors: QUERIES of them meet one
   key or value after the other, whose numbers are broadcast. Keys come in chunks whose scores stay in the first cache.

   Softmax needs no maximum while powers of two of the scores themselves cannot overflow, which with trained weights they
   hardly ever can. Otherwise, when a chunk raises a query's largest score, what was summed up so far is scaled down
   (Milakov and Gimelshein, arXiv 1805.02867). */

#include <math.h>
#include <string.h>

#include "network.h"
#include "simd.h"

#define SPLITS 4
#define BLOCK 6  /* channels whose sums stay in registers; divides DIM */
#define CHUNK 96 /* keys; a multiple of KEYS */
#define MODERATE 100 /* scores up to this need no maximum: 2 ** 100 times values and tokens does not overflow */
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

INLINE void copy_rows(Row *to, const Row *from, const int count) { /* a compiler's memcpy would go through the stack */
    UNROLLED(int i = 0; i < count; i++)
        UNROLLED(int w = 0; w < WIDE; w++) to[i][w] = from[i][w];
}

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

/* Write the scores of KEYS keys and, unless it is null, raise `top` to the largest. */
INLINE void score_keys(const float *queries, const float *keys, float *scores, Lanes *top) {
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
        UNROLLED(int j = 0; j < KEYS; j++) store(scores + j * QUERIES + w * LANES, sum[j][w]);
        if (!top)
            continue;
        Lanes largest = top[w];
        UNROLLED(int j = 0; j < KEYS; j++) largest = larger(largest, sum[j][w]); /* a NaN stays in its score */
        top[w] = largest;
    }
}

APART void score(const float *queries, const float *keys, float *scores, Row top) {
    score_keys(queries, keys, scores, top);
}

APART void score_moderate(const float *queries, const float *keys, float *scores) {
    score_keys(queries, keys, scores, NULL);
}

/* Turn the scores of one key into weights: powers of two, of their distance from `top` unless it is null. */
INLINE void weigh(float *scores, const Lanes *top) {
    UNROLLED(int w = 0; w < WIDE; w++) {
        const Lanes score = load(scores + w * LANES);
        store(scores + w * LANES, top ? power_of_two(score - top[w]) : moderate_power(score));
    }
}

/* Add the values of a chunk to BLOCK channels of the sums, weighed. */
APART void mix(const float *weights, const float *values, long count, Row *out) {
    Row sum[BLOCK];
    copy_rows(sum, (const Row *)out, BLOCK);
    for (long j = 0; j < count; j++, weights += QUERIES, values += QKV) {
        Row weight;
        UNROLLED(int w = 0; w < WIDE; w++) weight[w] = load(weights + w * LANES);
        UNROLLED(int d = 0; d < BLOCK; d++)
            UNROLLED(int w = 0; w < WIDE; w++) sum[d][w] += weight[w] * values[d];
    }
    copy_rows(out, (const Row *)sum, BLOCK);
}

/* The same for the first channels, when the weights are scores still: one key ahead, while multiply-adds keep the
   processor busy, they are turned into weights, which are added up in `total`. What lies behind the last key is read and
   written, but not added. */
INLINE void weigh_and_mix(float *scores, const float *values, long count, const Lanes *top, Row total, Row *out) {
    Row sum[BLOCK], all;
    copy_rows(sum, (const Row *)out, BLOCK);
    UNROLLED(int w = 0; w < WIDE; w++) all[w] = total[w];
    weigh(scores, top);
    for (long j = 0; j < count; j++, scores += QUERIES, values += QKV) {
        weigh(scores + QUERIES, top);
        __asm__ volatile("" ::: "memory"); /* kept in registers until the next turn, they would drive sums out */
        Row weight;
        UNROLLED(int w = 0; w < WIDE; w++) {
            weight[w] = load(scores + w * LANES);
            all[w] += weight[w];
        }
        UNROLLED(int d = 0; d < BLOCK; d++)
            UNROLLED(int w = 0; w < WIDE; w++) sum[d][w] += weight[w] * values[d];
    }
    copy_rows(out, (const Row *)sum, BLOCK);
    UNROLLED(int w = 0; w < WIDE; w++) total[w] = all[w];
}

APART void mix_scores(float *scores, const float *values, long count, const Row top, Row total, Row *out) {
    weigh_and_mix(scores, values, count, top, total, out);
}

APART void mix_moderate_scores(float *scores, const float *values, long count, Row total, Row *out) {
    weigh_and_mix(scores, values, count, NULL, total, out);
}

typedef struct {
    Row top, total, out[DIM]; /* largest scores, sums of weights, weighed sums of values */
} Sums;

/* Let QUERIES queries (DIM, QUERIES) meet `count` keys and values whose scores are moderate. */
static void meet_moderate(const float *queries, const float *keys, long count, float *scores, Sums *sums) {
    for (long j = 0; j < count; j += KEYS)
        score_moderate(queries, keys + j * QKV, scores + j * QUERIES);
    mix_moderate_scores(scores, keys + DIM, count, sums->total, sums->out);
}

/* The same for any scores. Behind the last key it is repeated, which changes no maximum. */
static void meet_any(const float *queries, const float *keys, long count, float *scores, Sums *sums) {
    Row before;
    memcpy(before, sums->top, sizeof before);
    for (long j = 0; j < count; j += KEYS)
        score(queries, keys + j * QKV, scores + j * QUERIES, sums->top);
    UNROLLED(int w = 0; w < WIDE; w++) {
        const Lanes factor = power_of_two(before[w] - sums->top[w]);
        sums->total[w] *= factor;
        UNROLLED(int d = 0; d < DIM; d++) sums->out[d][w] *= factor;
    }
    mix_scores(scores, keys + DIM, count, sums->top, sums->total, sums->out);
}

/* Let QUERIES queries, scaled to powers of two, meet the keys and values of `length` tokens. */
static void attend_queries(const float *queries, const float *tokens, long length, int moderate, float *scores,
                           Sums *sums) {
    UNROLLED(int w = 0; w < WIDE; w++) {
        sums->top[w] = fill(-INFINITY), sums->total[w] = (Lanes){0};
        UNROLLED(int d = 0; d < DIM; d++) sums->out[d][w] = (Lanes){0};
    }
    for (long first = 0; first < length; first += CHUNK) {
        const long count = length - first < CHUNK ? length - first : CHUNK;
        const float *keys = tokens + first * QKV + DIM;
        if (moderate)
            meet_moderate(queries, keys, count, scores, sums);
        else
            meet_any(queries, keys, count, scores, sums);
        for (int d = BLOCK; d < DIM; d += BLOCK)
            mix(scores, keys + DIM + d, count, sums->out + d);
    }
    UNROLLED(int d = 0; d < DIM; d++)
        UNROLLED(int w = 0; w < WIDE; w++) sums->out[d][w] /= sums->total[w];
}

/* Find the largest absolute number that each channel of the keys has. */
static void measure_keys(const float *tokens, long length, float *largest) {
    Lanes most[QKV / LANES] = {0};
    for (long token = 0; token < length; token++)
        UNROLLED(int c = 0; c < QKV / LANES; c++) {
            const Lanes x = load(tokens + token * QKV + c * LANES);
            most[c] = larger(most[c], larger(-x, x));
        }
    float all[QKV];
    memcpy(all, most, sizeof all);
    memcpy(largest, all + DIM, DIM * sizeof(float));
}

/* Return whether no score of QUERIES queries can be other than moderate; what is not finite never is. */
static int are_moderate(const float *queries, const float *largest) {
    for (int w = 0; w < WIDE; w++) {
        Lanes bound = {0};
        for (int d = 0; d < DIM; d++) {
            const Lanes query = load(queries + d * QUERIES + w * LANES);
            bound += larger(-query, query) * largest[d];
        }
        for (int l = 0; l < LANES; l++)
            if (!(bound[l] <= MODERATE))
                return 0;
    }
    return 1;
}

/* Attend with one head in one piece. */
static void attend_piece(const void *argument, long item, Member *member) {
    const AttentionJob *job = argument;
    const long index = item / HEADS, head = item % HEADS;
    const Piece piece = piece_at(job->size, job->windows, index);
    float *scores = member->scratch, *tokens = scores + (CHUNK + 1) * QUERIES;
    project(job, job->qkv + head, piece, tokens, tokens + piece_room(job->size, job->windows) * QKV);
    float largest[DIM];
    measure_keys(tokens, piece.length, largest);
    for (long first = 0; first < piece.length; first += QUERIES) {
        float queries[DIM * QUERIES] __attribute__((aligned(ALIGNMENT)));
        Sums sums;
        for (long d = 0; d < DIM; d++)
            for (long l = 0; l < QUERIES; l++)
                queries[d * QUERIES + l] = tokens[(first + l) * QKV + d];
        attend_queries(queries, tokens, piece.length, are_moderate(queries, largest), scores, &sums);
        for (long l = 0; l < QUERIES && first + l < piece.length; l++) {
            float *to = pixel_of(job->out, piece, first + l) + head * DIM;
            for (int d = 0; d < DIM; d++)
                to[d] = sums.out[d][l / LANES][l % LANES];
        }
    }
}

/* Attend with all heads in all pieces of x, CHANNELS channels with a frame of zeros; `out` gets REDUCED channels.
   factors: (height, width), what the sums of queries, keys and values are multiplied by before their bias. */
void attend(Member *member, const Filter *qkv, Map x, const float *factors, Size size, Windows windows, Map out) {
    const AttentionJob job = {x, out, size, windows, qkv, factors};
    share(member, pieces_of(windows) * HEADS, attend_piece, NULL, &job);
}
