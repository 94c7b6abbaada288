/* Softmax attention inside pieces of windows (paper, section 3.2: EMHA and the Feature Split Module).

   The map is cut into windows; the pixels of a window, in row-major order, form SPLITS consecutive pieces, each a
   sequence of its own. Tokens lie in the lanes of vectors: QUERIES of them meet one key or value after the other, whose
   numbers are broadcast. Keys come in chunks whose scores stay in the first cache; when a chunk raises a query's largest
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
#define OUTPUTS 9 /* channels of queries, keys and values computed together; divides DIM */
#else
#define WIDE 2
#define KEYS 4
#define OUTPUTS 6
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

/* The tokens of the longest piece, in whole vectors. */
long piece_room(Size size, Windows windows) {
    const long most = ceil_div(ceil_div(size.height, windows.down) * ceil_div(size.width, windows.across), SPLITS);
    return ceil_div(most, QUERIES) * QUERIES;
}

long attention_scratch(Size size, Windows windows) {
    return 2 * DIM * piece_room(size, windows) + (CHUNK + 1) * QUERIES;
}

typedef struct {
    Map map;
    Size size;
    Windows windows;
    const float *qkv;
    float *pieces;
    long room;
} AttentionJob;

static long pieces_of(Windows windows) { return SPLITS * windows.down * windows.across; }

/* Transpose LANES tokens of a piece: (LANES, REDUCED) to columns of (REDUCED, room). The last token fills up. */
static void gather_tokens(const AttentionJob *job, Piece piece, long first, float *to) {
    const float *from[LANES];
    for (long l = 0; l < LANES; l++)
        from[l] = pixel_of(job->map, piece, first + l < piece.length ? first + l : piece.length - 1);
    for (long c = 0; c < REDUCED; c++)
        for (long l = 0; l < LANES; l++)
            to[c * job->room + l] = from[l][c];
}

static void gather_block(const void *argument, long item, Member *member) {
    (void)member;
    const AttentionJob *job = argument;
    const long blocks = job->room / QUERIES, block = item % blocks, index = item / blocks;
    const Piece piece = piece_at(job->size, job->windows, index);
    for (long first = block * QUERIES; first < (block + 1) * QUERIES; first += LANES)
        if (first < ceil_div(piece.length, QUERIES) * QUERIES)
            gather_tokens(job, piece, first, job->pieces + index * REDUCED * job->room + first);
}

/* Bring the map's pixels, REDUCED channels, into the order of the pieces: pieces (piece, REDUCED, piece_room). */
void gather_pieces(Member *member, Map reduced, Size size, Windows windows, float *pieces) {
    const AttentionJob job = {reduced, size, windows, NULL, pieces, piece_room(size, windows)};
    share(member, pieces_of(windows) * (job.room / QUERIES), gather_block, NULL, &job);
}

/* Compute OUTPUTS channels of queries, keys or values of QUERIES tokens. */
APART void project(const float *tokens, long room, const float *weights, float *out, long out_room) {
    Row sum[OUTPUTS];
    UNROLLED(int o = 0; o < OUTPUTS; o++)
        UNROLLED(int w = 0; w < WIDE; w++) sum[o][w] = (Lanes){0};
    for (long c = 0; c < REDUCED; c++) {
        Row x;
        UNROLLED(int w = 0; w < WIDE; w++) x[w] = load(tokens + c * room + w * LANES);
        UNROLLED(int o = 0; o < OUTPUTS; o++)
            UNROLLED(int w = 0; w < WIDE; w++) sum[o][w] += x[w] * weights[c * 3 * DIM + o];
    }
    UNROLLED(int o = 0; o < OUTPUTS; o++)
        UNROLLED(int w = 0; w < WIDE; w++) store(out + o * out_room + w * LANES, sum[o][w]);
}

/* Write the scores of KEYS keys and raise `top` to the largest. */
APART void score(const float *queries, const float *keys, long room, float *scores, Row top) {
    Row sum[KEYS];
    UNROLLED(int j = 0; j < KEYS; j++)
        UNROLLED(int w = 0; w < WIDE; w++) sum[j][w] = (Lanes){0};
    for (int d = 0; d < DIM; d++) {
        Row query;
        UNROLLED(int w = 0; w < WIDE; w++) query[w] = load(queries + d * QUERIES + w * LANES);
        UNROLLED(int j = 0; j < KEYS; j++)
            UNROLLED(int w = 0; w < WIDE; w++) sum[j][w] += query[w] * keys[d * room + j];
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
INLINE void mix(float *weights, const float *values, long room, long count, const Row factor, Row *out,
                const Lanes *top, Row total) {
    Row sum[BLOCK], all;
    UNROLLED(int w = 0; w < WIDE; w++) all[w] = top ? factor[w] * total[w] : (Lanes){0};
    UNROLLED(int d = 0; d < BLOCK; d++)
        UNROLLED(int w = 0; w < WIDE; w++) sum[d][w] = factor[w] * out[d][w];
    if (top)
        weigh(weights, top);
    for (long j = 0; j < count; j++, weights += QUERIES) {
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
            UNROLLED(int w = 0; w < WIDE; w++) sum[d][w] += weight[w] * values[d * room + j];
    }
    UNROLLED(int d = 0; d < BLOCK; d++)
        UNROLLED(int w = 0; w < WIDE; w++) out[d][w] = sum[d][w];
    if (top)
        UNROLLED(int w = 0; w < WIDE; w++) total[w] = all[w];
}

APART void mix_scores(float *scores, const float *values, long room, long count, const Row factor, Row *out,
                      const Row top, Row total) {
    mix(scores, values, room, count, factor, out, top, total);
}

APART void mix_weights(float *weights, const float *values, long room, long count, const Row factor, Row *out) {
    mix(weights, values, room, count, factor, out, NULL, NULL);
}

/* Let QUERIES queries (DIM, QUERIES), scaled to powers of two, meet `length` keys and values (DIM, room). */
static void attend_queries(const float *queries, const float *keys, const float *values, long room, long length,
                           float *scores, Row out[DIM]) {
    Row total, top;
    UNROLLED(int w = 0; w < WIDE; w++) total[w] = (Lanes){0}, top[w] = fill(-INFINITY);
    for (long first = 0; first < length; first += CHUNK) {
        const long count = length - first < CHUNK ? length - first : CHUNK;
        Row before, factor;
        UNROLLED(int w = 0; w < WIDE; w++) before[w] = top[w];
        for (long j = 0; j < count; j += KEYS) /* behind the last key it is repeated, which changes no maximum */
            score(queries, keys + first + j, room, scores + j * QUERIES, top);
        UNROLLED(int w = 0; w < WIDE; w++) factor[w] = power_of_two(before[w] - top[w]);
        mix_scores(scores, values + first, room, count, factor, out, top, total);
        for (int d = BLOCK; d < DIM; d += BLOCK)
            mix_weights(scores, values + d * room + first, room, count, factor, out + d);
    }
    UNROLLED(int d = 0; d < DIM; d++)
        UNROLLED(int w = 0; w < WIDE; w++) out[d][w] /= total[w];
}

/* Attend with one head in one piece. */
static void attend_piece(const void *argument, long item, Member *member) {
    const AttentionJob *job = argument;
    const long index = item / HEADS, head = item % HEADS, room = job->room;
    const Piece piece = piece_at(job->size, job->windows, index);
    const float *tokens = job->pieces + index * REDUCED * room, *weights = job->qkv + head * REDUCED * 3 * DIM;
    float *keys = member->scratch, *values = keys + DIM * room, *scores = values + DIM * room;
    for (long first = 0; first < piece.length; first += QUERIES)
        for (int o = 0; o < 2 * DIM; o += OUTPUTS)
            project(tokens + first, room, weights + DIM + o, keys + o * room + first, room);
    for (long first = 0; first < piece.length; first += QUERIES) {
        float queries[DIM * QUERIES] __attribute__((aligned(ALIGNMENT)));
        Row out[DIM];
        for (int o = 0; o < DIM; o += OUTPUTS)
            project(tokens + first, room, weights + o, queries + o * QUERIES, QUERIES);
        memset(out, 0, sizeof out);
        attend_queries(queries, keys, values, room, piece.length, scores, out);
        for (long l = 0; l < QUERIES && first + l < piece.length; l++) {
            float *to = pixel_of(job->map, piece, first + l) + head * DIM;
            for (int d = 0; d < DIM; d++)
                to[d] = out[d][l / LANES][l % LANES];
        }
    }
}

/* Attend with all heads in all pieces; `out` gets HEADS * DIM channels. qkv: (HEADS, REDUCED, 3 * DIM). */
void attend(Member *member, const float *qkv, const float *pieces, Size size, Windows windows, Map out) {
    const AttentionJob job = {out, size, windows, qkv, (float *)pieces, piece_room(size, windows)};
    share(member, pieces_of(windows) * HEADS, attend_piece, NULL, &job);
}
