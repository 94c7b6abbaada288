/* The names of exported functions, which end in a digest of the sources. */

#ifndef ESRT_EXPORTED_H
#define ESRT_EXPORTED_H

#define JOINED(name, digest) name##_##digest
#define NAMED(name, digest) JOINED(name, digest)
#define EXPORTED __attribute__((visibility("default")))

#endif
