/* Color correction of enlarged tiles. back_projection.py has the reasons, and does the same in torch.

   Every channel of every tile is a plane of its own. The rows of its LR pixels are divided into bands, and a pass over
   all bands ends before the next one begins, because a blur reads the rows around it. The enlarged picture is read
   once in every pass and written in the first and the last one only. */

#include <math.h>
#include <string.h>

#include "exported.h"
#include "team.h"

#define SPAN 2.0f
#define ROUNDS 3
#define SIGMA 1.5
#define RADIUS 4
#define BAND 16 /* rows of LR pixels */

typedef struct {
    const float *x;              /* (planes, height, width) */
    float *y;                    /* (planes, scale * height, scale * width) */
    float *errors, *corrections; /* (planes, height, width); the errors are blurred along the rows */
    long planes, height, width, scale;
    int round; /* 0 for the first pass */
    float kernel[2 * RADIUS + 1];
} Correction;

/* What one thread needs for a row: `wide` ones have an enlarged row's length, the others RADIUS more on both sides. */
typedef struct {
    float *sums, *wide[3], *narrow, *other;
} Rows;

static long row_floats(long width, long scale) { return 4 * scale * width + 2 * (width + 2 * RADIUS); }

static Rows rows_in(float *memory, const Correction *job) {
    const long wide = job->scale * job->width, narrow = job->width + 2 * RADIUS;
    float *after = memory + 4 * wide;
    return (Rows){memory, {memory + wide, memory + 2 * wide, memory + 3 * wide}, after, after + narrow};
}

static long within(long index, long size) { return index < 0 ? 0 : index < size ? index : size - 1; }

static float lesser(float a, float b) { return a < b ? a : b; }

static float greater(float a, float b) { return a > b ? a : b; }

static float clipped(float value) { return lesser(greater(value, 0.0f), 1.0f); }

/* Find the bounds of an enlarged row: the range of the 3 x 3 LR pixels around each, wider by SPAN on both sides. */
static void find_bounds(const Correction *job, const float *x, long row, Rows *rows) {
    const long width = job->width, scale = job->scale;
    const float *above = x + within(row - 1, job->height) * width, *here = x + row * width;
    const float *below = x + within(row + 1, job->height) * width;
    float *least = rows->narrow, *most = rows->other;
    for (long i = 0; i < width; i++) {
        least[i] = lesser(lesser(above[i], here[i]), below[i]);
        most[i] = greater(greater(above[i], here[i]), below[i]);
    }
    for (long i = 0; i < width; i++) {
        const long left = within(i - 1, width), right = within(i + 1, width);
        const float low = lesser(lesser(least[left], least[i]), least[right]);
        const float high = greater(greater(most[left], most[i]), most[right]);
        for (long k = i * scale; k < (i + 1) * scale; k++) {
            rows->wide[0][k] = low - SPAN * (high - low);
            rows->wide[1][k] = high + SPAN * (high - low);
        }
    }
}

/* Compare the means of an enlarged row of LR pixels, from the sums of its columns, with the input; blur the errors. */
static void measure_errors(const Correction *job, const float *x, float *errors, Rows *rows) {
    const long width = job->width, scale = job->scale;
    const float share = 1.0f / (float)(scale * scale);
    float *padded = rows->narrow + RADIUS;
    for (long i = 0; i < width; i++) {
        float sum = 0;
        for (long k = i * scale; k < (i + 1) * scale; k++)
            sum += rows->sums[k];
        padded[i] = x[i] - sum * share;
    }
    for (long i = 1; i <= RADIUS; i++) {
        padded[-i] = padded[0];
        padded[width - 1 + i] = padded[width - 1];
    }
    memset(errors, 0, width * sizeof(float));
    for (long k = 0; k <= 2 * RADIUS; k++)
        for (long i = 0; i < width; i++)
            errors[i] += job->kernel[k] * padded[i + k - RADIUS];
}

/* Clamp a row of LR pixels' enlarged ones to their bounds. */
static void clamp_row(const Correction *job, const float *x, float *y, long row, Rows *rows) {
    const long length = job->scale * job->width;
    const float *low = rows->wide[0], *high = rows->wide[1];
    float *sums = rows->sums;
    find_bounds(job, x, row, rows);
    for (long k = row * job->scale; k < (row + 1) * job->scale; k++) {
        float *to = y + k * length;
        for (long i = 0; i < length; i++) {
            to[i] = lesser(greater(to[i], low[i]), high[i]);
            sums[i] += clipped(to[i]);
        }
    }
}

/* Enlarge a row of corrections along itself, linearly. */
static void enlarge_along(const Correction *job, const float *corrections, long row, float *out, Rows *rows) {
    const long width = job->width, scale = job->scale;
    float *padded = rows->narrow + RADIUS;
    memcpy(padded, corrections + within(row, job->height) * width, width * sizeof(float));
    padded[-1] = padded[0];
    padded[width] = padded[width - 1];
    for (long k = 0; k < scale; k++) {
        const float position = ((float)k + 0.5f) / (float)scale - 0.5f;
        const long before = position < 0 ? -1 : 0;
        const float after = position - (float)before;
        for (long i = 0; i < width; i++)
            out[i * scale + k] = (1 - after) * padded[i + before] + after * padded[i + before + 1];
    }
}

/* Add the corrections, enlarged, to a row of LR pixels' enlarged ones; in the last round write them. */
static void correct_row(const Correction *job, float *y, long row, Rows *rows) {
    const long length = job->scale * job->width;
    float *sums = rows->sums;
    for (long k = 0; k < job->scale; k++) {
        const float position = ((float)k + 0.5f) / (float)job->scale - 0.5f;
        const int first = position < 0 ? 0 : 1;
        const float after = position - (float)(first - 1);
        const float *a = rows->wide[first], *b = rows->wide[first + 1];
        float *to = y + (row * job->scale + k) * length;
        if (job->round == ROUNDS)
            for (long i = 0; i < length; i++)
                to[i] = clipped(to[i] + (1 - after) * a[i] + after * b[i]);
        else
            for (long i = 0; i < length; i++)
                sums[i] += clipped(to[i] + (1 - after) * a[i] + after * b[i]);
    }
}

static long bands_of(long height) { return (height + BAND - 1) / BAND; }

/* A pass over the enlarged pixels of a band. */
static void pass(const void *argument, long item, Member *member) {
    const Correction *job = argument;
    const long bands = bands_of(job->height), plane = item / bands, pixels = job->height * job->width;
    const long first = item % bands * BAND, end = first + BAND < job->height ? first + BAND : job->height;
    const float *x = job->x + plane * pixels, *corrections = job->corrections + plane * pixels;
    float *y = job->y + plane * pixels * job->scale * job->scale, *errors = job->errors + plane * pixels;
    Rows rows = rows_in(member->scratch, job);
    for (long row = first; row < end; row++) {
        memset(rows.sums, 0, job->scale * job->width * sizeof(float));
        if (job->round == 0) {
            clamp_row(job, x, y, row, &rows);
        } else {
            float *const oldest = rows.wide[0];
            rows.wide[0] = rows.wide[1], rows.wide[1] = rows.wide[2], rows.wide[2] = oldest;
            for (long near = row == first ? -1 : 1; near <= 1; near++)
                enlarge_along(job, corrections, row + near, rows.wide[near + 1], &rows);
            correct_row(job, y, row, &rows);
        }
        if (job->round < ROUNDS)
            measure_errors(job, x + row * job->width, errors + row * job->width, &rows);
    }
}

/* Blur the errors of a band along the columns and add them to its corrections. */
static void add_errors(const void *argument, long item, Member *member) {
    const Correction *job = argument;
    const long bands = bands_of(job->height), plane = item / bands, width = job->width;
    const long first = item % bands * BAND, end = first + BAND < job->height ? first + BAND : job->height;
    const float *errors = job->errors + plane * job->height * width;
    (void)member;
    for (long row = first; row < end; row++) {
        float *to = job->corrections + (plane * job->height + row) * width;
        for (long k = 0; k <= 2 * RADIUS; k++) {
            const float *from = errors + within(row + k - RADIUS, job->height) * width;
            for (long i = 0; i < width; i++)
                to[i] += job->kernel[k] * from[i];
        }
    }
}

static void correct(Member *member, void *argument) {
    Correction job = *(const Correction *)argument; /* each thread counts its own rounds */
    const long items = job.planes * bands_of(job.height);
    share(member, items, pass, NULL, &job);
    for (job.round = 1; job.round <= ROUNDS; job.round++) {
        share(member, items, add_errors, NULL, &job);
        share(member, items, pass, NULL, &job);
    }
}

static void make_kernel(float *kernel) {
    double sum = 0;
    for (int k = -RADIUS; k <= RADIUS; k++)
        sum += exp(-0.5 * k * k / (SIGMA * SIGMA));
    for (int k = -RADIUS; k <= RADIUS; k++)
        kernel[k + RADIUS] = (float)(exp(-0.5 * k * k / (SIGMA * SIGMA)) / sum);
}

static long phase_floats(long threads) { return threads * (1 + 2 * ROUNDS) * (long)(sizeof(Phase) / sizeof(float)); }

/* Return how many floats `workspace` must hold for a call of esrt_correct. */
EXPORTED long NAMED(esrt_correct_workspace, DIGEST)(long planes, long height, long width, long scale, long threads) {
    return phase_floats(threads) + 2 * planes * height * width + threads * row_floats(width, scale);
}

/* Correct the colors of y (planes, scale * height, scale * width), enlarged from x (planes, height, width) in [0, 1],
   in place: the result is in [0, 1]. All numbers must be finite. `workspace` begins at a multiple of 64 bytes. The bytes
   of a plane depend on nothing but itself and the processor. */
EXPORTED void NAMED(esrt_correct, DIGEST)(const float *x, float *y, float *workspace, long planes, long height,
                                          long width, long scale, long threads) {
    const long pixels = planes * height * width;
    float *errors = workspace + phase_floats(threads);
    Correction job = {x, y, errors, errors + pixels, planes, height, width, scale, 0, {0}};
    Team team = {.size = (int)threads, .phases = (Phase *)workspace};
    Member members[MOST_THREADS];
    make_kernel(job.kernel);
    memset(workspace, 0, (phase_floats(threads) + 2 * pixels) * sizeof(float));
    for (long index = 0; index < threads; index++)
        members[index] = (Member){&team, (int)index, 0, errors + 2 * pixels + index * row_floats(width, scale)};
    run_team(&team, members, correct, &job);
}
