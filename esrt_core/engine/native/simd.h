/* Vectors of float32 whose width follows the processor that the file is compiled for: GCC's and Clang's vector
   extensions, with intrinsics only for what these cannot say well. */

#ifndef ESRT_SIMD_H
#define ESRT_SIMD_H

#include <stdint.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX__)
#define LANES 8
#else
#define LANES 4
#endif

/* Vectors that a block of sums may keep in registers: three quarters of those the processor has. */
#if defined(__AVX512F__) || defined(__aarch64__)
#define SUMS 24
#else
#define SUMS 12
#endif

#define ALIGNMENT 64 /* bytes: a cache line, and the widest vector */
#define INLINE static inline __attribute__((always_inline))
#define APART static __attribute__((noinline)) /* inner loops: inlined together, compilers run out of registers */
#if defined(__clang__)
#define UNROLLED _Pragma("clang loop unroll(full)") for
#else
#define UNROLLED _Pragma("GCC unroll 32") for
#endif

typedef float Lanes __attribute__((vector_size(4 * LANES)));
typedef float Unaligned __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef uint32_t Bits __attribute__((vector_size(4 * LANES)));

INLINE Lanes load(const float *from) { return *(const Unaligned *)from; }

INLINE void store(float *to, Lanes value) { *(Unaligned *)to = value; }

INLINE Lanes fill(float value) { return value - (Lanes){0}; }

/* The larger and the smaller of two numbers; NaN if `b` is NaN, so that what is not finite reaches the output. */
#if defined(__AVX512F__)
INLINE Lanes larger(Lanes a, Lanes b) { return _mm512_max_ps(a, b); }
INLINE Lanes smaller(Lanes a, Lanes b) { return _mm512_min_ps(a, b); }
#elif defined(__AVX__)
INLINE Lanes larger(Lanes a, Lanes b) { return _mm256_max_ps(a, b); }
INLINE Lanes smaller(Lanes a, Lanes b) { return _mm256_min_ps(a, b); }
#elif defined(__x86_64__)
INLINE Lanes larger(Lanes a, Lanes b) { return _mm_max_ps(a, b); }
INLINE Lanes smaller(Lanes a, Lanes b) { return _mm_min_ps(a, b); }
#elif defined(__aarch64__)
INLINE Lanes larger(Lanes a, Lanes b) { return vmaxq_f32(a, b); }
INLINE Lanes smaller(Lanes a, Lanes b) { return vminq_f32(a, b); }
#else
INLINE Lanes choose(Bits first, Lanes a, Lanes b) { return (Lanes)(((Bits)a & first) | ((Bits)b & ~first)); }
INLINE Lanes larger(Lanes a, Lanes b) { return choose((Bits)(a > b), a, b); }
INLINE Lanes smaller(Lanes a, Lanes b) { return choose((Bits)(a < b), a, b); }
#endif

INLINE Lanes relu(Lanes x) { return larger((Lanes){0}, x); }

INLINE float sum_of_lanes(Lanes x) {
    float parts[LANES];
    store(parts, x);
    for (int half = LANES / 2; half; half /= 2) /* in pairs: the same order on every compiler */
        for (int l = 0; l < half; l++)
            parts[l] += parts[l + half];
    return parts[0];
}

/* 2 to the power of x <= 0: a polynomial on [-1/2, 1/2] times a power of two from the bits of the exponent. The
   polynomial was fitted for the smallest largest relative error; with float32's own rounding that is about 1e-7. */
INLINE Lanes power_of_two(Lanes x) {
    const float magic = 12582912.0f; /* 1.5 * 2**23: adding it rounds to an integer, which is then in the lowest bits */
    x = larger(fill(-126.0f), x);    /* below, float32 has no normal numbers; NaN stays NaN */
    const Lanes integer = x + magic;
    const Lanes rest = x - (integer - magic);
    Lanes power = fill(1.3276472e-3f);
    power = power * rest + 9.6755413e-3f;
    power = power * rest + 5.5507133e-2f;
    power = power * rest + 2.4022120e-1f;
    power = power * rest + 6.9314697e-1f;
    power = power * rest + 1.0000001f;
    return power * (Lanes)(((Bits)integer - (0x4B400000u - 127u)) << 23); /* magic's bits away, the bias added */
}

#endif
