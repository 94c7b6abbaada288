/* The network, from tiles to enlarged tiles: what network.py calls. */

#include <string.h>

#include "exported.h"
#include "linear.h"
#include "network.h"

#define SLACK 4096 /* floats behind every map, which blocks of rows may read */

typedef struct {
    const float *picture;
    float *result;
    Map features, results, merged, folded, body, reduced;
    BlockSpace blocks;
    TransformerSpace transformer;
} Space;

typedef struct {
    const Network *network;
    Size size;
    Windows windows;
} Form;

/* Hands out memory, or only counts it if there is none. */
typedef struct {
    float *start;
    long taken, most;
} Arena;

static float *take(Arena *arena, long count) {
    float *at = arena->start ? arena->start + arena->taken : NULL;
    arena->taken += (count + SLACK + 15) / 16 * 16;
    arena->most = arena->taken > arena->most ? arena->taken : arena->most;
    return at;
}

static Map take_map(Arena *arena, Size size, long channels) {
    return (Map){take(arena, size.height * size.width * channels), size.width * channels, channels};
}

/* A map with a frame of one pixel around it. */
static Map take_framed(Arena *arena, Size size, long channels) {
    Map map = take_map(arena, (Size){size.height + 2, size.width + 2}, channels);
    if (map.data)
        map.data += map.pitch + map.step;
    return map;
}

static void take_blocks(Arena *arena, Size size, BlockSpace *space) {
    const long rows = size.height > sum_groups(size) ? size.height : sum_groups(size);
    space->inner = take_map(arena, size, HALF);
    space->unit = take_map(arena, size, CHANNELS);
    space->fused = take_map(arena, size, CHANNELS);
    space->encoded = take_map(arena, size, CHANNELS);
    space->high = take_map(arena, size, CHANNELS);
    space->low = take_map(arena, (Size){size.height / 2, size.width / 2}, CHANNELS);
    space->sums = take(arena, rows * CHANNELS);
    space->kernel = take(arena, POINTS * CHANNELS * CHANNELS);
    space->out_kernel = take(arena, POINTS * CHANNELS * HALF);
    space->factors = take(arena, 2 * CHANNELS);
    space->rows = (Tap *)take(arena, size.height * (long)(sizeof(Tap) / sizeof(float)));
    space->columns = (Tap *)take(arena, size.width * (long)(sizeof(Tap) / sizeof(float)));
}

static void take_transformer(Arena *arena, Form form, TransformerSpace *space, Map *folded) {
    const long pixels = form.size.height * form.size.width;
    space->attended = take_map(arena, form.size, REDUCED);
    space->moments = take(arena, 2 * pixels);
    space->factors = take(arena, pixels);
    *folded = take_map(arena, form.size, CHANNELS);
    for (int down = 0; down < 3; down++)
        space->folded[down] = take_framed(arena, form.size, CHANNELS);
}

/* Lay out what one tile needs. The backbones follow each other in the same memory. */
static long lay_out(Space *space, float *memory, Form form, long blocks) {
    Arena arena = {memory, 0, 0};
    space->features = take_map(&arena, form.size, CHANNELS);
    space->merged = take_framed(&arena, form.size, CHANNELS);
    const long kept = arena.taken;
    space->results = take_map(&arena, form.size, blocks * CHANNELS);
    take_blocks(&arena, form.size, &space->blocks);
    arena.taken = kept;
    take_transformer(&arena, form, &space->transformer, &space->folded);
    space->body = (Map){space->transformer.attended.data, form.size.width * CHANNELS, CHANNELS};
    space->reduced = space->merged;
    return arena.most;
}

static long largest(long a, long b) { return a > b ? a : b; }

static long scratch_size(Form form, long blocks) {
    long size = convolution_scratch(largest(blocks * CHANNELS, HIDDEN_PADDED), CHANNELS);
    size = largest(size, attention_scratch(form.size, form.windows));
    size = largest(size, transformer_scratch());
    size = largest(size, block_scratch(form.size.width));
    size = largest(size, upsampler_scratch());
    size = largest(size, (form.size.width + MOST_ROWS) * (27 + CHANNELS));
    return (size + SLACK + 15) / 16 * 16;
}

typedef struct {
    const Form *form;
    const Space *space;
} HeadJob;

/* Row y of the head's 3 x 3 convolution of the picture, (3, height, width). */
static void head_row(const void *argument, long y, Member *member) {
    const HeadJob *job = argument;
    const Network *network = job->form->network;
    const Size size = job->form->size;
    float *patches = member->scratch, *out = patches + (size.width + MOST_ROWS) * 27, *patch = patches;
    for (long x = 0; x < size.width; x++)
        for (long k = 0; k < 27; k++) {
            const long row = y + k / 3 % 3 - 1, column = x + k % 3 - 1;
            const int inside = row >= 0 && row < size.height && column >= 0 && column < size.width;
            *patch++ = inside ? job->space->picture[(k / 9 * size.height + row) * size.width + column] : 0;
        }
    product(patches, 27, network->head, out, CHANNELS, size.width, 27, CHANNELS);
    float *to = job->space->features.data + y * job->space->features.pitch;
    for (long x = 0; x < size.width * CHANNELS; x += CHANNELS)
        for (long c = 0; c < CHANNELS; c += LANES)
            store(to + x + c, load(out + x + c) + load(network->head_bias + c));
}

static Map channels_from(Map map, long first) {
    map.data += first;
    return map;
}

/* Enlarge one tile. */
static void forward(Member *member, const Form *form, const Space *space) {
    const Network *network = form->network;
    const Size size = form->size;
    const HeadJob head = {form, space};
    share(member, size.height, head_row, NULL, &head);
    Map x = space->features;
    for (long block = 0; block < network->blocks; block++) {
        const Map y = channels_from(space->results, block * CHANNELS);
        hpb(member, network->hpb + block, x, y, size, &space->blocks);
        x = y;
    }
    const Convolution merge = {.filter = network->merge, .x = space->results, .y = space->merged, .size = size};
    const Convolution smooth = {
        .filter = network->smooth, .x = space->folded, .y = space->body, .size = size,
        .residual = space->features, .alpha = network->a1,
    };
    const Convolution reduce = {.filter = network->reduce, .x = space->body, .y = space->reduced, .size = size};
    convolve(member, &merge);
    transform(member, &network->et, space->merged, space->folded, size, form->windows, &space->transformer);
    convolve(member, &smooth);
    convolve(member, &reduce);
    upsample(member, network, space->features, space->reduced, size, space->result);
}

typedef struct {
    Form form;
    const float *x;
    float *y, *workspace;
    long batch, alone, tile_floats; /* alone: tiles that one thread computes */
} Call;

static void enlarge_tile(const Call *call, long tile, long place, Member *member) {
    const Size size = call->form.size;
    const long pixels = 3 * size.height * size.width, scale = call->form.network->scale;
    Space space;
    lay_out(&space, call->workspace + place * call->tile_floats, call->form, call->form.network->blocks);
    space.picture = call->x + tile * pixels;
    space.result = call->y + tile * pixels * scale * scale;
    forward(member, &call->form, &space);
}

static void enlarge_alone(const void *job, long item, Member *member) {
    Team solo = {.size = 1};
    Member self = {&solo, 0, 0, member->scratch};
    enlarge_tile(job, item, member->index, &self);
}

/* First every thread takes whole tiles, as long as there is one for each; then all share the tiles that are left. */
static void enlarge_batch(Member *member, void *job) {
    const Call *call = job;
    if (call->alone)
        share(member, call->alone, enlarge_alone, NULL, call);
    for (long tile = call->alone; tile < call->batch; tile++)
        enlarge_tile(call, tile, 0, member);
}

/* Calls of `share` for one tile: 44 in an HPB, 11 outside. */
static long phases_for(long blocks) { return 44 * blocks + 11; }

static long tiles_alone(long batch, long threads) { return threads > 1 ? batch / threads * threads : 0; }

static long phases_in(long batch, long blocks, long threads) {
    return 1 + (batch - tiles_alone(batch, threads)) * phases_for(blocks);
}

/* Return how many floats `weights` must hold; see esrt_forward. */
EXPORTED long NAMED(esrt_weights, DIGEST)(long scale, long blocks) { return packed_size(scale, blocks); }

/* Return how many floats `workspace` must hold for a call of esrt_forward. */
EXPORTED long NAMED(esrt_workspace, DIGEST)(long batch, long height, long width, long blocks, long down, long across,
                                            long threads) {
    const Form form = {.size = {height, width}, .windows = {down, across}};
    Space space;
    const long places = tiles_alone(batch, threads) ? threads : 1;
    const long phases = threads * phases_in(batch, blocks, threads) * (long)(sizeof(Phase) / sizeof(float));
    return phases + places * lay_out(&space, NULL, form, blocks) + threads * scratch_size(form, blocks);
}

/* Enlarge x (batch, 3, height, width) to y (batch, 3, scale * height, scale * width) in `threads` threads.

   The attention is cut into down x across windows. Height and width are at least 3, `threads` is at most MOST_THREADS.
   `weights` and `workspace` begin at a multiple of ALIGNMENT. The bytes of a result depend on its own tile, the weights
   and the processor alone. */
EXPORTED void NAMED(esrt_forward, DIGEST)(const float *weights, const float *x, float *y, float *workspace, long batch,
                                          long height, long width, long scale, long blocks, long down, long across,
                                          long threads) {
    Network network;
    Space space;
    Call call = {.form = {&network, {height, width}, {down, across}}, .x = x, .y = y, .batch = batch};
    Team team = {.size = (int)threads, .phases = (Phase *)workspace};
    Member members[MOST_THREADS];
    const long phases = threads * phases_in(batch, blocks, threads) * (long)(sizeof(Phase) / sizeof(float));
    const long scratch = scratch_size(call.form, blocks);
    unpack(&network, weights, scale, blocks);
    memset(workspace, 0, phases * sizeof(float));
    call.alone = tiles_alone(batch, threads);
    call.tile_floats = lay_out(&space, NULL, call.form, blocks);
    call.workspace = workspace + phases + threads * scratch;
    for (long index = 0; index < threads; index++)
        members[index] = (Member){&team, (int)index, 0, workspace + phases + index * scratch};
    run_team(&team, members, enlarge_batch, &call);
}
