#include "linear.h"

#include "network.h"

/* Multiply `count` rows by `wide` vectors of columns, in whole blocks. */
INLINE void multiply_columns(const float *x, long stride, const float *matrix, float *y, long y_stride, long count,
                             long in, long out, const int wide) {
    for (long r = 0; r < count; r += ROWS(wide))
        multiply_block(x + r * stride, stride, matrix, out, y + r * y_stride, y_stride, in, ROWS(wide), wide);
}

INLINE void multiply_rows(const float *x, long stride, const float *matrix, float *y, long y_stride, long count, long in,
                          long out) {
    long done = 0;
    for (; out - done >= WIDEST * LANES && out - done != 4 * LANES; done += WIDEST * LANES) /* 2 + 2: not 3 + 1 */
        multiply_columns(x, stride, matrix + done, y + done, y_stride, count, in, out, WIDEST);
    for (; out - done >= 2 * LANES; done += 2 * LANES)
        multiply_columns(x, stride, matrix + done, y + done, y_stride, count, in, out, 2);
    if (out - done >= LANES)
        multiply_columns(x, stride, matrix + done, y + done, y_stride, count, in, out, 1);
}

/* Multiply x (count, in) by a matrix (in, out): y (count, out). Whole blocks of rows are read and written: up to
   MOST_ROWS beyond the last one must be there. `out` comes in whole vectors.

   With a stride that the compiler knows, one register reaches all rows; eight pointers would not fit. */
void product(const float *x, long stride, const float *matrix, float *y, long y_stride, long count, long in, long out) {
    switch (stride) {
    case HALF: return multiply_rows(x, HALF, matrix, y, y_stride, count, in, out);
    case CHANNELS: return multiply_rows(x, CHANNELS, matrix, y, y_stride, count, in, out);
    case HIDDEN_PADDED: return multiply_rows(x, HIDDEN_PADDED, matrix, y, y_stride, count, in, out);
    case REDUCED: return multiply_rows(x, REDUCED, matrix, y, y_stride, count, in, out);
    case TOKEN: return multiply_rows(x, TOKEN, matrix, y, y_stride, count, in, out);
    default: multiply_rows(x, stride, matrix, y, y_stride, count, in, out);
    }
}
