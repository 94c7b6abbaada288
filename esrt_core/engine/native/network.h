/* The network's packed weights, the maps that travel between its layers, and the layers.

   Lu et al., "Transformer for Single Image Super-Resolution", arXiv 2108.11084; the names HPB, ARFB, RU, CA, ET are the
   paper's. packing.py folds the learned scalars into the weights and writes them in the order of weights.c. */

#ifndef ESRT_NETWORK_H
#define ESRT_NETWORK_H

#include <stddef.h>

#include "team.h"

#define CHANNELS 32
#define HALF 16    /* channels inside a residual unit */
#define MAX_BLOCKS 8
#define TOKEN 288  /* 3 x 3 pixels of 32 channels */
#define HEADS 8
#define DIM 18     /* channels of a head */
#define REDUCED (HEADS * DIM)
#define QKV 64     /* queries, keys and values of a head, 3 * DIM, in whole vectors */
#define HIDDEN 72  /* of the MLP */
#define HIDDEN_PADDED 80 /* whole vectors */
#define SQUEEZED 2 /* channels inside a channel attention */
#define MAX_PIXEL 48 /* numbers that make the scale x scale RGB pixels of one LR pixel, in whole vectors */

/* A feature map, channels last: pixel (y, x) begins at data + y * pitch + x * step. */
typedef struct {
    float *data;
    long pitch, step;
} Map;

typedef struct {
    long height, width;
} Size;

/* A convolution, evaluated at Winograd's points: kernel (POINTS, in, out), bias (out). */
typedef struct {
    const float *kernel, *bias;
    long in, out;
} Filter;

typedef struct {
    const float *down, *down_bias; /* (SQUEEZED, CHANNELS), (SQUEEZED) */
    const float *up, *up_bias;     /* (SQUEEZED, CHANNELS), (CHANNELS) */
} Gate;

/* Folded as in esrt_core/engine/fused/blocks.py: neither the second unit's result nor the concatenation is made. */
typedef struct {
    Filter reduce1, expand1, reduce2, expand2, conv;
    const float *slopes1, *slopes2; /* of the PReLUs, (HALF) */
    const float *m1, *l4;           /* factors of the residuals, (CHANNELS) */
    const float *skip;              /* 1 x 1, (CHANNELS, CHANNELS) */
    const float *positive, *negative; /* what sums above and below zero are multiplied by after conv, (CHANNELS) */
    Gate ca;
} Arfb;

typedef struct {
    Arfb enc, low, high, out;
    const float *fuse_low, *fuse_high; /* 1 x 1, (CHANNELS, CHANNELS) */
    Gate ca;
} Hpb;

typedef struct {
    Filter qkv[HEADS]; /* LayerNorm's affine map and centering, Reduction, queries in powers of two, keys, values */
    const float *expand, *expand_bias; /* (REDUCED, TOKEN), (TOKEN) */
    const float *fc1, *fc1_bias;      /* LayerNorm's affine map and centering too, (TOKEN, HIDDEN_PADDED) */
    Filter fc2;             /* and the overlapping sums of its result, HIDDEN_PADDED channels to CHANNELS */
    const float *fc2_bias;  /* (TOKEN): before these sums, in which pixels at the edge have fewer patches */
} Transformer;

/* Kernels of the outermost pixels, 3 x 3 places: index 3 * row + column, each 0 first, 1 inner, 2 last. */
typedef struct {
    const float *weight, *bias; /* (taps, CHANNELS, pixel), (pixel) */
} Place;

typedef struct {
    Filter inner; /* 5 x 5 */
    Place places[9];
} Upsampler;

typedef struct {
    long scale, blocks, pixel; /* pixel: 3 * scale ** 2 in whole vectors of 16 */
    const float *head, *head_bias; /* (27, CHANNELS), (CHANNELS) */
    Hpb hpb[MAX_BLOCKS];
    Filter merge, smooth, reduce;
    Transformer et;
    const float *a1; /* (CHANNELS) */
    Upsampler tail, up;
} Network;

/* weights.c */
void unpack(Network *network, const float *weights, long scale, long blocks);
long packed_size(long scale, long blocks);

/* linear.c */
void product(const float *x, long stride, const float *matrix, float *y, long y_stride, long count, long in, long out);

/* winograd.c */
enum Ending { LINEAR, ACTIVATED, SKIPPED };

typedef struct {
    Filter filter;
    Map x, y;
    Size size;
    enum Ending ending;
    const float *positive, *negative; /* ACTIVATED: what sums above and below zero are multiplied by, (out) */
    Map residual;                     /* LINEAR and ACTIVATED: alpha times this is added; data may be null */
    const float *alpha;               /* (out) */
    Map added;                        /* LINEAR and ACTIVATED: added as it is; data may be null */
    Map skip;                         /* SKIPPED: ReLU(sums + skip_weights skip), and its channels are summed up */
    const float *skip_weights;        /* (CHANNELS, out) */
    float *sums;                      /* (sum_groups(size), out) */
    Work *finish;                     /* called once at the end with finish_job; may be null */
    const void *finish_job;
} Convolution;

#define POINTS 36
long convolution_scratch(long in, long out);
long sum_groups(Size size);
void convolve(Member *member, const Convolution *convolution);
typedef struct {
    long top, left;
    Size size;
} Area;

long tiles_in_chunk(void);
long tiles_3x3(Size size);
void convolve_3x3(const Filter *filter, Map x, Size size, Area area, long first, long count, float *out,
                  float *scratch);
long tiles_5x5(Size size);
void convolve_5x5(const Filter *filter, Map x, Size size, long first, long count, float *out, float *scratch);

/* resize.c */
typedef struct {
    long first, second; /* source positions */
    float weight;       /* of the second */
} Tap;
void make_taps(Tap *taps, long from, long to);
void enlarge_row(float *out, Map x, Size size, const Tap *rows, const Tap *columns, long y, long width, float *scratch);

/* blocks.c */
typedef struct {
    Map inner, unit, fused;          /* HALF, CHANNELS, CHANNELS channels: what an ARFB makes on its way */
    Map encoded, high, low;          /* of an HPB; `low` at half size */
    float *sums;                     /* of channels, for the channel attention: (groups or rows, CHANNELS) */
    float *kernel, *out_kernel;      /* weights times gates, (POINTS, CHANNELS, CHANNELS) and (POINTS, CHANNELS, HALF) */
    float *factors;                  /* of the residuals, times gates: (2, CHANNELS) */
    Tap *rows, *columns;              /* from half size to full size */
} BlockSpace;
long block_scratch(long width);
void hpb(Member *member, const Hpb *weights, Map x, Map y, Size size, const BlockSpace *space);

/* attention.c */
typedef struct {
    long down, across; /* windows */
} Windows;
long attention_scratch(Size size, Windows windows);
void attend(Member *member, const Filter *qkv, Map x, const float *factors, Size size, Windows windows, Map out);

/* transformer.c */
typedef struct {
    Map attended;    /* REDUCED channels: what the heads make; later the first HIDDEN_PADDED are the hidden layer */
    float *moments;  /* (2, height, width): mean and sum of squares of a pixel's channels */
    float *factors;  /* (height, width): 1 / standard deviation of a patch */
    Map folded[3];   /* rows of the patches, folded along x */
} TransformerSpace;
long transformer_scratch(void);
void transform(Member *member, const Transformer *weights, Map x, Map y, Size size, Windows windows,
               const TransformerSpace *space);

/* upsampler.c */
long upsampler_scratch(void);
void upsample(Member *member, const Network *network, Map features, Map body, Size size, float *picture);

#endif
