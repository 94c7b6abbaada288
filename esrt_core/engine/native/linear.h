/* Products of a few rows of numbers with a matrix, in registers: the inner loop of linear layers and of Winograd's
   products. Output channels lie in the lanes. */

#ifndef ESRT_LINEAR_H
#define ESRT_LINEAR_H

#include "simd.h"

#define WIDEST 3 /* vectors of output channels in a block */
#define ROWS(wide) (SUMS == 24 || (wide) == 1 ? 8 : 4)
#define MOST_ROWS 8 /* of any block: what is read beyond the last row must be readable */
typedef Lanes Block[MOST_ROWS][WIDEST]; /* its first ROWS(wide) rows are used */

/* block[r][w] = sum over c of x[r * stride + c] * matrix[c * columns + w], w in vectors.

   The sums run over c in order, so that a row's result does not depend on the rows beside it. `rows` and `wide` must be
   constants, with rows * wide <= SUMS. */
INLINE void multiply(Block block, const float *x, long stride, const float *matrix, long columns, long inputs,
                     const int rows, const int wide) {
    UNROLLED(int r = 0; r < rows; r++)
        UNROLLED(int w = 0; w < wide; w++) block[r][w] = (Lanes){0};
    for (long c = 0; c < inputs; c++) {
        Lanes weight[WIDEST];
        UNROLLED(int w = 0; w < wide; w++) weight[w] = load(matrix + c * columns + w * LANES);
        UNROLLED(int r = 0; r < rows; r++)
            UNROLLED(int w = 0; w < wide; w++) block[r][w] += x[r * stride + c] * weight[w];
    }
}

/* Multiply rows by `wide` vectors of columns and write the result. */
INLINE void multiply_block(const float *x, long stride, const float *matrix, long columns, float *y, long y_stride,
                           long inputs, const int rows, const int wide) {
    Block block;
    multiply(block, x, stride, matrix, columns, inputs, rows, wide);
    UNROLLED(int r = 0; r < rows; r++)
        UNROLLED(int w = 0; w < wide; w++) store(y + r * y_stride + w * LANES, block[r][w]);
}

#endif
