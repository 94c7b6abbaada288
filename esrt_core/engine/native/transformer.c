/* The efficient transformer (paper, section 3.2): 3 x 3 patches as tokens, attention, MLP, overlapping sums.

   Tokens are never all in memory. LayerNorm is (t - mean) / std, then an affine map, and a linear layer follows: the
   affine map and the centering are folded into that layer, and 1 / std is one factor for each token. So the first
   normalization, Reduction and the queries, keys and values are one 3 x 3 convolution whose sums are multiplied by a map
   of factors. After the attention the tokens of SEGMENT pixels at a time go through Expansion and the MLP's first layer;
   its second one and the overlapping sums of what that makes are a 3 x 3 convolution again. A token's numbers are in the
   order (row of the patch, column, channel), in which they lie in the map. */

#include <math.h>
#include <string.h>

#include "linear.h"
#include "network.h"

#define PATCH 3
#define SEGMENT 24 /* pixels; whole blocks of rows for every width */
#define EPSILON 1e-5f

typedef struct {
    const Transformer *weights;
    const TransformerSpace *space;
    Map x, y;
    Size size;
} TransformerJob;

long transformer_scratch(void) { return (SEGMENT + MOST_ROWS) * (TOKEN + HIDDEN_PADDED + REDUCED); }

static float *pixel(Map map, long y, long x) { return map.data + y * map.pitch + x * map.step; }

/* Mean and sum of squared differences from it, of `count` numbers. */
static void measure(const float *x, long count, float *mean, float *squares) {
    Lanes sum = {0}, square = {0};
    for (long c = 0; c < count; c += LANES)
        sum += load(x + c);
    *mean = sum_of_lanes(sum) / count;
    for (long c = 0; c < count; c += LANES) {
        const Lanes difference = load(x + c) - *mean;
        square += difference * difference;
    }
    *squares = sum_of_lanes(square);
}

/* Measure the pixels of row y, and set the frame around the map to zero there. */
static void measure_row(const void *argument, long y, Member *member) {
    (void)member;
    const TransformerJob *job = argument;
    const Size size = job->size;
    float *means = job->space->moments + y * size.width, *squares = means + size.height * size.width;
    for (long x = 0; x < size.width; x++)
        measure(pixel(job->x, y, x), CHANNELS, means + x, squares + x);
    memset(pixel(job->x, y, -1), 0, CHANNELS * sizeof(float));
    memset(pixel(job->x, y, size.width), 0, CHANNELS * sizeof(float));
    if (y == 0)
        memset(pixel(job->x, -1, -1), 0, (size.width + 2) * CHANNELS * sizeof(float));
    if (y == size.height - 1)
        memset(pixel(job->x, size.height, -1), 0, (size.width + 2) * CHANNELS * sizeof(float));
}

/* Combine the moments of a patch's nine pixels, zeros outside the map (Chan et al. 1979), to 1 / standard deviation. */
static void factor_row(const void *argument, long y, Member *member) {
    (void)member;
    const TransformerJob *job = argument;
    const Size size = job->size;
    const float *means = job->space->moments, *squares = means + size.height * size.width;
    for (long x = 0; x < size.width; x++) {
        float mean[PATCH * PATCH] = {0}, sum = 0, square = 0;
        for (long k = 0; k < PATCH * PATCH; k++) {
            const long row = y + k / PATCH - 1, column = x + k % PATCH - 1;
            if (row < 0 || row >= size.height || column < 0 || column >= size.width)
                continue;
            mean[k] = means[row * size.width + column];
            square += squares[row * size.width + column];
            sum += mean[k];
        }
        for (long k = 0; k < PATCH * PATCH; k++) {
            const float difference = mean[k] - sum / (PATCH * PATCH);
            square += CHANNELS * difference * difference;
        }
        job->space->factors[y * size.width + x] = 1 / sqrtf(square / TOKEN + EPSILON);
    }
}

/* Add patches and bias to what Expansion made of the attention: tokens (count, TOKEN), from pixel (y, x) on. */
static void add_patches(const TransformerJob *job, long y, long x, long count, float *tokens) {
    const float *bias = job->weights->expand_bias;
    for (long p = 0; p < count; p++, tokens += TOKEN)
        for (long down = 0; down < PATCH; down++) {
            const float *patch = pixel(job->x, y + down - 1, x + p - 1); /* its row lies in one piece */
            const long at = down * PATCH * CHANNELS;
            UNROLLED(int c = 0; c < PATCH * CHANNELS; c += LANES)
                store(tokens + at + c, load(tokens + at + c) + load(bias + at + c) + load(patch + c));
        }
}

/* The MLP's hidden layer lies over the attention's result, which is not needed any more by then. */
static Map hidden_map(const TransformerJob *job) { return job->space->attended; }

/* Normalize, add the bias, apply the ReLU of the MLP and keep hidden (count, HIDDEN_PADDED). */
static void activate(const TransformerJob *job, long y, long x, long count, const float *tokens, const float *hidden) {
    const Map map = hidden_map(job);
    for (long p = 0; p < count; p++, tokens += TOKEN, hidden += HIDDEN_PADDED) {
        float mean, squares;
        measure(tokens, TOKEN, &mean, &squares);
        const float factor = 1 / sqrtf(squares / TOKEN + EPSILON);
        UNROLLED(int c = 0; c < HIDDEN_PADDED; c += LANES)
            store(pixel(map, y, x + p) + c, relu(factor * load(hidden + c) + load(job->weights->fc1_bias + c)));
    }
}

/* Add the MLP's bias and fold along x: every third of a token goes to one of three maps, to be summed along y later. */
static void fold(const TransformerJob *job, long y, long x, long count, const float *tokens) {
    const float *bias = job->weights->fc2_bias;
    for (long p = 0; p < count; p++, tokens += TOKEN)
        for (long down = 0; down < PATCH; down++) {
            float *to = pixel(job->space->folded[down], y, x + p - 1);
            const long at = down * PATCH * CHANNELS;
            UNROLLED(int c = 0; c < PATCH * CHANNELS; c += LANES)
                store(to + c, load(to + c) + (load(tokens + at + c) + load(bias + at + c)));
        }
}

/* Put row y of the tokens through Expansion and the MLP's first layer.

   What was attended is copied first: a product reads whole blocks of rows, and what lies behind the last pixel is the next
   row, in which another thread may be writing its hidden layer. */
static void transform_row(const void *argument, long y, Member *member) {
    const TransformerJob *job = argument;
    const Transformer *weights = job->weights;
    float *tokens = member->scratch, *hidden = tokens + (SEGMENT + MOST_ROWS) * TOKEN;
    float *attended = hidden + (SEGMENT + MOST_ROWS) * HIDDEN_PADDED;
    for (int down = 0; down < PATCH; down++)
        memset(pixel(job->space->folded[down], y, -1), 0, (job->size.width + 2) * CHANNELS * sizeof(float));
    for (long x = 0; x < job->size.width; x += SEGMENT) {
        const long count = job->size.width - x < SEGMENT ? job->size.width - x : SEGMENT;
        memcpy(attended, pixel(job->space->attended, y, x), count * REDUCED * sizeof(float));
        product(attended, REDUCED, weights->expand, tokens, TOKEN, count, REDUCED, TOKEN);
        add_patches(job, y, x, count, tokens);
        product(tokens, TOKEN, weights->fc1, hidden, HIDDEN_PADDED, count, TOKEN, HIDDEN_PADDED);
        activate(job, y, x, count, tokens, hidden);
        fold(job, y, x, count, tokens);
    }
}

/* Fold along y: a pixel is in the last row of the patch above it and in the first of that below. */
static void fold_row(const void *argument, long y, Member *member) {
    (void)member;
    const TransformerJob *job = argument;
    const Map *folded = job->space->folded;
    for (long i = 0; i < job->size.width * CHANNELS; i += LANES) {
        Lanes sum = load(pixel(folded[1], y, 0) + i);
        if (y > 0)
            sum += load(pixel(folded[2], y - 1, 0) + i);
        if (y + 1 < job->size.height)
            sum += load(pixel(folded[0], y + 1, 0) + i);
        store(pixel(job->y, y, 0) + i, sum);
    }
}

/* x to y, CHANNELS channels each. x needs a frame of one pixel around it, which is set to zero. */
void transform(Member *member, const Transformer *weights, Map x, Map y, Size size, Windows windows,
               const TransformerSpace *space) {
    const TransformerJob job = {weights, space, x, y, size};
    const Convolution fc2 = {.filter = weights->fc2, .x = hidden_map(&job), .y = y, .size = size, .added = y};
    share(member, size.height, measure_row, NULL, &job);
    share(member, size.height, factor_row, NULL, &job);
    attend(member, weights->qkv, x, space->factors, size, windows, space->attended);
    share(member, size.height, transform_row, NULL, &job);
    share(member, size.height, fold_row, NULL, &job);
    convolve(member, &fc2);
}
