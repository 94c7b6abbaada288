/* Where the packed weights lie: packing.py writes them in this order, each array filled up to whole cache lines. */

#include "network.h"

#define LINE 16 /* floats */

typedef struct {
    const float *start;
    long taken;
} Cursor;

static const float *take(Cursor *cursor, long count) {
    const long at = cursor->taken;
    cursor->taken += (count + LINE - 1) / LINE * LINE;
    return cursor->start ? cursor->start + at : NULL;
}

static Filter take_filter(Cursor *cursor, long in, long out) {
    Filter filter = {.in = in, .out = out};
    filter.kernel = take(cursor, POINTS * in * out);
    filter.bias = take(cursor, out);
    return filter;
}

static void take_gate(Cursor *cursor, Gate *gate) {
    gate->down = take(cursor, SQUEEZED * CHANNELS);
    gate->down_bias = take(cursor, SQUEEZED);
    gate->up = take(cursor, SQUEEZED * CHANNELS);
    gate->up_bias = take(cursor, CHANNELS);
}

static void take_arfb(Cursor *cursor, Arfb *arfb) {
    arfb->reduce1 = take_filter(cursor, CHANNELS, HALF);
    arfb->slopes1 = take(cursor, HALF);
    arfb->expand1 = take_filter(cursor, HALF, CHANNELS);
    arfb->m1 = take(cursor, CHANNELS);
    arfb->reduce2 = take_filter(cursor, CHANNELS, HALF);
    arfb->slopes2 = take(cursor, HALF);
    arfb->expand2 = take_filter(cursor, HALF, CHANNELS);
    arfb->skip = take(cursor, CHANNELS * CHANNELS);
    take_gate(cursor, &arfb->ca);
    arfb->conv = take_filter(cursor, CHANNELS, CHANNELS);
    arfb->positive = take(cursor, CHANNELS);
    arfb->negative = take(cursor, CHANNELS);
    arfb->l4 = take(cursor, CHANNELS);
}

static void take_hpb(Cursor *cursor, Hpb *hpb) {
    take_arfb(cursor, &hpb->enc);
    take_arfb(cursor, &hpb->low);
    take_arfb(cursor, &hpb->high);
    hpb->fuse_low = take(cursor, CHANNELS * CHANNELS);
    hpb->fuse_high = take(cursor, CHANNELS * CHANNELS);
    take_gate(cursor, &hpb->ca);
    take_arfb(cursor, &hpb->out);
}

static void take_transformer(Cursor *cursor, Transformer *et) {
    for (int head = 0; head < HEADS; head++)
        et->qkv[head] = take_filter(cursor, CHANNELS, QKV);
    et->expand = take(cursor, REDUCED * TOKEN);
    et->expand_bias = take(cursor, TOKEN);
    et->fc1 = take(cursor, TOKEN * HIDDEN_PADDED);
    et->fc1_bias = take(cursor, HIDDEN_PADDED);
    et->fc2 = take_filter(cursor, HIDDEN_PADDED, CHANNELS);
    et->fc2_bias = take(cursor, TOKEN);
}

static void take_upsampler(Cursor *cursor, Upsampler *upsampler, long pixel) {
    upsampler->inner = take_filter(cursor, CHANNELS, pixel);
    for (int place = 0; place < 9; place++) {
        const int tall = place / 3 == 1 ? 5 : 3, wide = place % 3 == 1 ? 5 : 3;
        if (place == 4) /* inner */
            continue;
        upsampler->places[place].weight = take(cursor, tall * wide * CHANNELS * pixel);
        upsampler->places[place].bias = take(cursor, pixel);
    }
}

static long lay_out(Network *network, const float *weights, long scale, long blocks) {
    Cursor cursor = {weights, 0};
    *network = (Network){.scale = scale, .blocks = blocks};
    network->pixel = (3 * scale * scale + LINE - 1) / LINE * LINE;
    network->head = take(&cursor, 27 * CHANNELS);
    network->head_bias = take(&cursor, CHANNELS);
    for (long block = 0; block < blocks; block++)
        take_hpb(&cursor, network->hpb + block);
    network->merge = take_filter(&cursor, blocks * CHANNELS, CHANNELS);
    take_transformer(&cursor, &network->et);
    network->smooth = take_filter(&cursor, CHANNELS, CHANNELS);
    network->a1 = take(&cursor, CHANNELS);
    network->reduce = take_filter(&cursor, CHANNELS, CHANNELS);
    take_upsampler(&cursor, &network->tail, network->pixel);
    take_upsampler(&cursor, &network->up, network->pixel);
    return cursor.taken;
}

void unpack(Network *network, const float *weights, long scale, long blocks) {
    lay_out(network, weights, scale, blocks);
}

/* The floats of all packed weights. */
long packed_size(long scale, long blocks) {
    Network network;
    return lay_out(&network, NULL, scale, blocks);
}
