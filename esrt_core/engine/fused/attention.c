/* Softmax attention inside whole sequences, float32: what esrt_core/engine/fused/kernels.py calls, by the name ENTRY.

   QUERIES lie in the lanes of vectors, and one key or value after the other meets all of them. The scores of these
   queries with every key stay in the cache; there is never a matrix of all scores. */

#include <immintrin.h>
#include <math.h>
#include <omp.h>
#include <stdint.h>
#include <stdlib.h>

#define DIM 18  /* channels of a head */
#define BLOCK 6 /* keys, or channels of the values, whose sums stay in registers; divides DIM */
#ifdef __AVX512F__
#define LANES 16
#define WIDE 3 /* vectors of queries */
#define larger _mm512_max_ps
#else
#define LANES 8
#define WIDE 2 /* more would not fit into the 16 registers of AVX2 */
#define larger _mm256_max_ps
#endif
#define QUERIES (WIDE * LANES)
#define ALIGNMENT 64
#define UNROLLED _Pragma("GCC unroll 8") for

typedef float Lanes __attribute__((vector_size(4 * LANES)));
typedef int32_t Integers __attribute__((vector_size(4 * LANES)));
typedef Lanes Row[WIDE]; /* one number for each query */

/* 2 to the power of x <= 0: a polynomial within half a unit of 0, then the exponent's bits. The polynomial was fitted so
   that its largest relative error is smallest; with float32's own it is about 1e-7. */
static inline Lanes power_of_two(Lanes x) {
    const float magic = 12582912.0f; /* 1.5 * 2**23: a sum with it is rounded to a whole number, its lowest bits */
    const Lanes zero = {0};
    x = larger(zero - 126.0f, x); /* below, float32 has no normal numbers; what is no number stays so */
    Lanes whole = x + magic;
    Lanes rest = x - (whole - magic);
    Lanes power = zero + 1.3276472e-3f;
    power = power * rest + 9.6755413e-3f;
    power = power * rest + 5.5507133e-2f;
    power = power * rest + 2.4022120e-1f;
    power = power * rest + 6.9314697e-1f;
    power = power * rest + 1.0000001f;
    return (Lanes)((Integers)power + (((Integers)whole - 0x4B400000) << 23)); /* the bits of magic taken away */
}

/* Write the scores of BLOCK keys and raise `top` to the largest. */
static inline void score(const Row queries[DIM], const float *keys, Row *scores, Row top) {
    Row sum[BLOCK] = {{{0}}};
    for (int d = 0; d < DIM; d++)
        UNROLLED(int j = 0; j < BLOCK; j++)
            UNROLLED(int w = 0; w < WIDE; w++)
                sum[j][w] += queries[d][w] * keys[j * DIM + d];
    UNROLLED(int j = 0; j < BLOCK; j++)
        UNROLLED(int w = 0; w < WIDE; w++) {
            scores[j][w] = sum[j][w];
            top[w] = larger(top[w], sum[j][w]);
        }
}

/* Turn scores into weights; return their sums. */
static inline void weigh(Row *scores, long length, const Row top, Row total) {
    for (long j = 0; j < length; j++)
        UNROLLED(int w = 0; w < WIDE; w++)
            total[w] += scores[j][w] = power_of_two(scores[j][w] - top[w]);
}

/* Sum up BLOCK channels of the values by their weights. */
static inline void mix(const Row *weights, const float *values, long length, Row *out) {
    Row sum[BLOCK] = {{{0}}};
    for (long j = 0; j < length; j++)
        UNROLLED(int d = 0; d < BLOCK; d++)
            UNROLLED(int w = 0; w < WIDE; w++)
                sum[d][w] += weights[j][w] * values[j * DIM + d];
    UNROLLED(int d = 0; d < BLOCK; d++)
        UNROLLED(int w = 0; w < WIDE; w++)
            out[d][w] = sum[d][w];
}

/* Attend with one head in one sequence; `scale` is in powers of two. */
static void attend(const float *qkv, float *out, long length, long heads, float scale, float *keys, float *values,
                   Row *scores) {
    const long row = 3 * heads * DIM, padded = (length + BLOCK - 1) / BLOCK * BLOCK;
    for (long j = 0; j < padded; j++) {
        const float *token = qkv + (j < length ? j : length - 1) * row; /* the last key again changes no maximum */
        for (int d = 0; d < DIM; d++) {
            keys[j * DIM + d] = token[heads * DIM + d];
            values[j * DIM + d] = token[2 * heads * DIM + d];
        }
    }
    for (long i = 0; i < length; i += QUERIES) {
        const int count = length - i < QUERIES ? (int)(length - i) : QUERIES;
        Row queries[DIM] = {{{0}}}, sum[DIM], total = {{0}}, top;
        for (int l = 0; l < count; l++)
            for (int d = 0; d < DIM; d++)
                queries[d][l / LANES][l % LANES] = scale * qkv[(i + l) * row + d];
        UNROLLED(int w = 0; w < WIDE; w++) top[w] = total[w] - INFINITY;
        for (long j = 0; j < length; j += BLOCK)
            score(queries, keys + j * DIM, scores + j, top);
        weigh(scores, length, top, total);
        for (int d = 0; d < DIM; d += BLOCK)
            mix(scores, values + d, length, sum + d);
        for (int d = 0; d < DIM; d++)
            UNROLLED(int w = 0; w < WIDE; w++) sum[d][w] /= total[w];
        for (int l = 0; l < count; l++)
            for (int d = 0; d < DIM; d++)
                out[(i + l) * heads * DIM + d] = sum[d][l / LANES][l % LANES];
    }
}

/* Attend in all sequences, in `threads` threads of torch's OpenMP.

   qkv: (sequences, length, 3, heads, DIM), out: (sequences, length, heads, DIM), both without gaps. Returns 0, or 1
   where there is no memory. */
int ENTRY(const float *qkv, float *out, long sequences, long length, long heads, float scale, int threads) {
    const size_t padded = (size_t)(length + BLOCK - 1) / BLOCK * BLOCK;
    const size_t bytes = padded * (sizeof(Row) + 2 * DIM * sizeof(float));
    const size_t aligned = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    char *room = aligned_alloc(ALIGNMENT, threads * aligned);
    if (!room)
        return 1;
#pragma omp parallel for num_threads(threads)
    for (long item = 0; item < sequences * heads; item++) {
        const long start = item / heads * length * heads * DIM, head = item % heads * DIM;
        Row *scores = (Row *)(room + omp_get_thread_num() * aligned);
        float *keys = (float *)(scores + padded), *values = keys + padded * DIM;
        attend(qkv + 3 * start + head, out + start + head, length, heads, scale * 1.44269504f, keys, values, scores);
    }
    free(room);
    return 0;
}
