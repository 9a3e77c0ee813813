// Checksums of memory, by which damage is found; the equation is in src/ops/checksum.ts. Knows not what the
// memory means.
#pragma once
#include "../kernels.h"
#include "../simd/simd.h"

namespace fovea::FOVEA_ISA {

/** Words that have a sum of their own: 256 KiB, which stay in the second cache. */
constexpr int64_t sum_chunk = 65536;
constexpr int sum_lanes = 64;

/** V::lanes words at any address; its operators are those of the compiler. */
typedef uint32_t Words __attribute__((vector_size(4 * V::lanes)));

inline uint32_t turn(uint32_t x, int bits) { return x << bits | x >> (32 - bits); }

/** The two words of the sum of `count` words (whole lines of 16) at p. */
inline void sum_of(const uint8_t* p, int64_t count, int32_t* sum) {
  constexpr int vectors = sum_lanes / V::lanes, in_line = 16 / V::lanes;
  constexpr uint32_t prime = 0x9e3779b1u;
  uint32_t lanes[sum_lanes];
  for (int l = 0; l < sum_lanes; l++) lanes[l] = uint32_t(l) + 1;
  Words a[vectors];
  __builtin_memcpy(a, lanes, sizeof a);
  auto step = [&](Words& to, const uint8_t* from) {
    Words x;
    __builtin_memcpy(&x, from, sizeof x);
    x = (to ^ x) * prime;
    to = x << 15 | x >> 17;
  };
  int64_t blocks = count / sum_lanes;
  for (int64_t i = 0; i < blocks; i++, p += 4 * sum_lanes) {
    // Memory is asked a little ahead; behind the end this does nothing.
    __builtin_prefetch(p + 4096);
    __builtin_prefetch(p + 4096 + 64);
    __builtin_prefetch(p + 4096 + 128);
    __builtin_prefetch(p + 4096 + 192);
    FOVEA_UNROLL(16)
    for (int v = 0; v < vectors; v++) step(a[v], p + 4 * V::lanes * v);
  }
  int lines = int(count % sum_lanes / 16);
  for (int v = 0; v < lines * in_line; v++) step(a[v], p + 4 * V::lanes * v);
  __builtin_memcpy(lanes, a, sizeof a);
  uint32_t first = uint32_t(count), second = uint32_t(count);
  for (uint32_t lane : lanes) {
    first = turn((first ^ lane) * prime, 15);
    second = turn((second + lane) * 0x85ebca77u, 13);
  }
  sum[0] = int32_t(first);
  sum[1] = int32_t(second);
}

inline void checksum(const Op& op, const Work& work) {
  Tensor x = op.tensor(0), y = op.tensor(1);
  int64_t words = x.d[0], chunks = y.d[0];
  // Taken, not shared: the first touch of mapped pages costs more here than there.
  for (int64_t i = work.take(); i < chunks; i = work.take()) {
    int64_t left = words - i * sum_chunk;
    sum_of(x.data + i * sum_chunk * 4, left < sum_chunk ? left : sum_chunk, y.i32() + 2 * i);
  }
}

}  // namespace fovea::FOVEA_ISA
