/* The convolutional blocks: ARFB and HPB with their channel attentions (paper, section 3.1). The arithmetic is that of
   esrt_core/engine/fused/blocks.py. */

#include <math.h>
#include <string.h>

#include "linear.h"
#include "network.h"

/* What a channel attention needs to turn sums into gates, and the weights that the gates are multiplied into: a
   convolution of gated channels is one with gated weights, so that no pass over the map is needed. */
typedef struct {
    const Gate *gate;
    const float *sums; /* (groups, CHANNELS) */
    long groups;
    float pixels;
    const Filter *filter; /* takes the gated map */
    float *kernel;        /* (POINTS, in, out): its kernel, gated */
    const float *factors[2]; /* (CHANNELS) each, or null */
    float *gated;            /* (2, CHANNELS): the factors, gated */
} GateJob;

static void open_gates(const void *argument, long item, Member *member) {
    (void)item, (void)member;
    const GateJob *job = argument;
    float mean[CHANNELS] = {0}, gates[CHANNELS];
    for (long group = 0; group < job->groups; group++)
        for (int c = 0; c < CHANNELS; c++)
            mean[c] += job->sums[group * CHANNELS + c];
    memcpy(gates, job->gate->up_bias, sizeof gates);
    for (int s = 0; s < SQUEEZED; s++) {
        float hidden = 0;
        for (int c = 0; c < CHANNELS; c++)
            hidden += job->gate->down[s * CHANNELS + c] * (mean[c] / job->pixels);
        hidden += job->gate->down_bias[s];
        hidden = hidden < 0 ? 0 : hidden; /* NaN stays NaN */
        for (int c = 0; c < CHANNELS; c++)
            gates[c] += job->gate->up[s * CHANNELS + c] * hidden;
    }
    for (int c = 0; c < CHANNELS; c++)
        gates[c] = 1 / (1 + expf(-gates[c]));
    const long in = job->filter->in, out = job->filter->out;
    for (long point = 0; point < POINTS; point++)
        for (long c = 0; c < in; c++)
            for (long o = 0; o < out; o++)
                job->kernel[(point * in + c) * out + o] = gates[c] * job->filter->kernel[(point * in + c) * out + o];
    for (int f = 0; f < 2; f++)
        for (int c = 0; c < CHANNELS; c++)
            if (job->factors[f])
                job->gated[f * CHANNELS + c] = gates[c] * job->factors[f][c];
}

/* What the first convolution and the residuals of an ARFB are multiplied with: its own weights, or these gated. */
typedef struct {
    const float *reduce1, *m1, *l4;
} Entry;

static const float ones[CHANNELS] = {[0 ... CHANNELS - 1] = 1};

static void gated_arfb(Member *member, const Arfb *weights, Entry entry, Map x, Map y, Map added, Size size,
                       const BlockSpace *space) {
    const GateJob gates = {
        .gate = &weights->ca, .sums = space->sums, .groups = sum_groups(size), .pixels = size.height * size.width,
        .filter = &weights->conv, .kernel = space->kernel,
    };
    Convolution reduce1 = {
        .filter = weights->reduce1, .x = x, .y = space->inner, .size = size, .ending = ACTIVATED,
        .positive = ones, .negative = weights->slopes1,
    };
    const Convolution expand1 = {
        .filter = weights->expand1, .x = space->inner, .y = space->unit, .size = size, .ending = LINEAR,
        .residual = x, .alpha = entry.m1,
    };
    const Convolution reduce2 = {
        .filter = weights->reduce2, .x = space->unit, .y = space->inner, .size = size, .ending = ACTIVATED,
        .positive = ones, .negative = weights->slopes2,
    };
    const Convolution expand2 = {
        .filter = weights->expand2, .x = space->inner, .y = space->fused, .size = size, .ending = SKIPPED,
        .skip = space->unit, .skip_weights = weights->skip, .sums = space->sums,
        .finish = open_gates, .finish_job = &gates,
    };
    Convolution conv = {
        .filter = weights->conv, .x = space->fused, .y = y, .size = size, .ending = ACTIVATED,
        .positive = weights->positive, .negative = weights->negative, .residual = x, .alpha = entry.l4, .added = added,
    };
    reduce1.filter.kernel = entry.reduce1;
    conv.filter.kernel = space->kernel;
    convolve(member, &reduce1);
    convolve(member, &expand1);
    convolve(member, &reduce2);
    convolve(member, &expand2);
    convolve(member, &conv);
}

/* y may be x. */
static void arfb(Member *member, const Arfb *weights, Map x, Map y, Size size, const BlockSpace *space) {
    const Entry entry = {weights->reduce1.kernel, weights->m1, weights->l4};
    gated_arfb(member, weights, entry, x, y, (Map){0}, size, space);
}

typedef struct {
    const Hpb *weights;
    const BlockSpace *space;
    Size size, low;
    GateJob gates;
} HpbJob;

long block_scratch(long width) { return 4 * width * CHANNELS + 2 * MOST_ROWS * CHANNELS; }

static float *row(Map map, long y) { return map.data + y * map.pitch; }

/* Average 2 x 2 pixels: row y of the low frequencies. */
static void pool_row(const void *argument, long y, Member *member) {
    (void)member;
    const HpbJob *job = argument;
    const float *first = row(job->space->encoded, 2 * y), *second = row(job->space->encoded, 2 * y + 1);
    float *out = row(job->space->low, y);
    for (long j = 0; j < job->low.width; j++, first += 2 * CHANNELS, second += 2 * CHANNELS, out += CHANNELS)
        UNROLLED(int c = 0; c < CHANNELS; c += LANES)
            store(out + c, 0.25f * (load(first + c) + load(first + CHANNELS + c) + load(second + c) +
                                    load(second + CHANNELS + c)));
}

static void make_all_taps(const void *argument, long item, Member *member) {
    (void)item, (void)member;
    const HpbJob *job = argument;
    make_taps(job->space->rows, job->low.height, job->size.height);
    make_taps(job->space->columns, job->low.width, job->size.width);
}

/* Subtract the enlarged low frequencies from row y. */
static void subtract_row(const void *argument, long y, Member *member) {
    const HpbJob *job = argument;
    float *encoded = row(job->space->encoded, y), *enlarged = member->scratch;
    const long numbers = job->size.width * CHANNELS;
    enlarge_row(enlarged, job->space->low, job->low, job->space->rows, job->space->columns, y, job->size.width,
                enlarged + numbers);
    for (long i = 0; i < numbers; i += LANES)
        store(encoded + i, load(encoded + i) - load(enlarged + i));
}

/* Multiply row y of the low frequencies by their half of the 1 x 1 convolution, before they are enlarged. */
static void fuse_low_row(const void *argument, long y, Member *member) {
    const HpbJob *job = argument;
    const long numbers = job->low.width * CHANNELS, padding = MOST_ROWS * CHANNELS;
    float *from = member->scratch, *to = from + numbers + padding;
    memcpy(from, row(job->space->low, y), numbers * sizeof(float));
    product(from, CHANNELS, job->weights->fuse_low, to, CHANNELS, job->low.width, CHANNELS, CHANNELS);
    memcpy(row(job->space->low, y), to, numbers * sizeof(float));
}

/* Add both halves of the 1 x 1 convolution, apply its ReLU and sum up row y for the channel attention. */
static void fuse_row(const void *argument, long y, Member *member) {
    const HpbJob *job = argument;
    const long numbers = job->size.width * CHANNELS, padding = MOST_ROWS * CHANNELS;
    float *from = member->scratch, *high = from + numbers + padding, *low = high + numbers + padding;
    float *out = row(job->space->high, y), *sums = job->space->sums + y * CHANNELS;
    memcpy(from, out, numbers * sizeof(float));
    product(from, CHANNELS, job->weights->fuse_high, high, CHANNELS, job->size.width, CHANNELS, CHANNELS);
    enlarge_row(low, job->space->low, job->low, job->space->rows, job->space->columns, y, job->size.width, low + numbers);
    for (long c = 0; c < CHANNELS; c += LANES) {
        Lanes total = {0};
        for (long j = c; j < numbers; j += CHANNELS) {
            const Lanes sum = relu(load(high + j) + load(low + j));
            store(out + j, sum);
            total += sum;
        }
        store(sums + c, total);
    }
}

static void open_last_gates(const void *argument, long item, Member *member) {
    const HpbJob *job = argument;
    open_gates(&job->gates, item, member);
}

/* x to y, which must be two maps. */
void hpb(Member *member, const Hpb *weights, Map x, Map y, Size size, const BlockSpace *space) {
    const Size half = {size.height / 2, size.width / 2};
    const GateJob gates = {
        .gate = &weights->ca, .sums = space->sums, .groups = size.height, .pixels = size.height * size.width,
        .filter = &weights->out.reduce1, .kernel = space->out_kernel,
        .factors = {weights->out.m1, weights->out.l4}, .gated = space->factors,
    };
    const HpbJob job = {weights, space, size, half, gates};
    const Entry entry = {space->out_kernel, space->factors, space->factors + CHANNELS};
    arfb(member, &weights->enc, x, space->encoded, size, space);
    share(member, half.height, pool_row, make_all_taps, &job);
    share(member, size.height, subtract_row, NULL, &job);
    arfb(member, &weights->high, space->encoded, space->high, size, space);
    BlockSpace small = *space; /* maps of half the size, in the same memory */
    small.inner.pitch = half.width * HALF;
    small.unit.pitch = small.fused.pitch = half.width * CHANNELS;
    for (int time = 0; time < 5; time++)
        arfb(member, &weights->low, space->low, space->low, half, &small);
    share(member, half.height, fuse_low_row, NULL, &job);
    share(member, size.height, fuse_row, open_last_gates, &job);
    gated_arfb(member, &weights->out, entry, space->high, y, x, size, space);
}
