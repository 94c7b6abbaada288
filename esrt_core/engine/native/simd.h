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

/* 2 to the power of x, -126 <= x < 126 or NaN, which stays NaN: what a table or a polynomial makes of the fraction, times
   a power of two by way of the bits of the exponent. */
#if defined(__AVX2__)
#if LANES == 16
#define FINEST 4 /* bits of the fraction that are looked up: as many as a register of entries has */
INLINE Lanes look_up(Bits index, Lanes table) { return _mm512_permutexvar_ps((__m512i)index, table); }
#else
#define FINEST 3
INLINE Lanes look_up(Bits index, Lanes table) { return _mm256_permutevar8x32_ps(table, (__m256i)index); }
#endif

/* The bits of 2 ** (i / LANES), less those of i where the exponent's bits are added. */
static const uint32_t fractions[16] __attribute__((aligned(ALIGNMENT))) = {
#if LANES == 16
    0x3F800000, 0x3F7DAAC3, 0x3F7B95C2, 0x3F79C3D3, 0x3F7837F0, 0x3F76F532, 0x3F75FED7, 0x3F75583F,
    0x3F7504F3, 0x3F7508A4, 0x3F75672A, 0x3F76248C, 0x3F7744FD, 0x3F78CCDF, 0x3F7AC0C7, 0x3F7D257D,
#else
    0x3F800000, 0x3F7B95C2, 0x3F7837F0, 0x3F75FED7, 0x3F7504F3, 0x3F75672A, 0x3F7744FD, 0x3F7AC0C7,
#endif
};

/* The polynomials were fitted for the smallest largest relative error: 4e-7 with 16 entries, 1e-7 with 8, float32's own
   rounding included. */
INLINE Lanes moderate_power(Lanes x) {
    const float magic = 12582912.0f / (1 << FINEST); /* 1.5 * 2**23: adding it rounds to LANES-ths, in the lowest bits */
    const Lanes rounded = x + magic;
    const Lanes rest = x - (rounded - magic);
    const Lanes power = look_up((Bits)rounded, *(const Lanes *)fractions);
#if LANES == 16
    const Lanes factor = (0.24021946f * rest + 0.69318783f) * rest + 1.0f;
#else
    const Lanes factor = ((5.5498901e-2f * rest + 0.24026407f) * rest + 0.69314721f) * rest + 1.0f;
#endif
    return factor * (Lanes)((Bits)power + ((Bits)rounded << (23 - FINEST))); /* magic's own bits are shifted out */
}
#else
/* The polynomial was fitted for the smallest largest relative error; with float32's own rounding that is about 1e-7. */
INLINE Lanes moderate_power(Lanes x) {
    const float magic = 12582912.0f; /* 1.5 * 2**23: adding it rounds to an integer, which is then in the lowest bits */
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

/* 2 to the power of x <= 0; below -126 float32 has no normal numbers. */
INLINE Lanes power_of_two(Lanes x) { return moderate_power(larger(fill(-126.0f), x)); }

#endif
