/* Which of the libraries this processor can run; the baseline library is asked. */

#include "exported.h"

/* Return 2 for AVX-512, 1 for AVX2, 0 for neither, operating system included. */
EXPORTED int NAMED(esrt_processor, DIGEST)(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    const int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const int avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                       __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    return avx2 ? avx512 ? 2 : 1 : 0;
#else
    return 0;
#endif
}
