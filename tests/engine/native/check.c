/* Run the network on the vectors of a file, written by test_sanitized.py, and print the largest error; then correct its colors. */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

long esrt_weights_check(long scale, long blocks);
long esrt_workspace_check(long batch, long height, long width, long blocks, long down, long across, long threads);
void esrt_forward_check(const float *weights, const float *x, float *y, float *workspace, long batch, long height,
                        long width, long scale, long blocks, long down, long across, long threads);
long esrt_correct_workspace_check(long planes, long height, long width, long scale, long threads);
void esrt_correct_check(const float *x, float *y, float *workspace, long planes, long height, long width, long scale,
                        long threads);
int esrt_processor_check(void);

static float *allocate(long count) { /* exactly, so that a sanitizer sees the first number beyond it */
    void *memory = NULL;
    if (posix_memalign(&memory, 64, count * sizeof(float)))
        exit(2);
    return memory;
}

static float *read_floats(FILE *file, long count) {
    float *numbers = allocate(count);
    if (fread(numbers, sizeof(float), count, file) != (size_t)count)
        exit(3);
    return numbers;
}

int main(int argc, char **argv) {
    FILE *file = argc > 1 ? fopen(argv[1], "rb") : NULL;
    int form[8]; /* scale, blocks, batch, height, width, down, across, threads */
    if (!file || esrt_processor_check() < 0)
        return 4;
    double worst = 0;
    while (fread(form, sizeof form, 1, file) == 1) {
        const long scale = form[0], blocks = form[1], batch = form[2], height = form[3], width = form[4];
        const long pixels = 3 * batch * height * width;
        float *weights = read_floats(file, esrt_weights_check(scale, blocks)), *x = read_floats(file, pixels);
        float *expected = read_floats(file, pixels * scale * scale), *y = allocate(pixels * scale * scale);
        float *workspace = allocate(esrt_workspace_check(batch, height, width, blocks, form[5], form[6], form[7]));
        esrt_forward_check(weights, x, y, workspace, batch, height, width, scale, blocks, form[5], form[6], form[7]);
        for (long i = 0; i < pixels * scale * scale; i++)
            if (!(fabs((double)y[i] - expected[i]) <= worst)) /* NaN too */
                worst = fabs((double)y[i] - expected[i]);
        float *space = allocate(esrt_correct_workspace_check(3 * batch, height, width, scale, form[7]));
        esrt_correct_check(x, y, space, 3 * batch, height, width, scale, form[7]);
        for (long i = 0; i < pixels * scale * scale; i++)
            if (!(y[i] >= 0 && y[i] <= 1))
                return 5;
        free(space);
        free(weights), free(x), free(expected), free(y), free(workspace);
    }
    fclose(file);
    printf("%.9g\n", worst);
    return 0;
}
