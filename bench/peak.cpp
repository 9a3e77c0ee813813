// Operations per second of n threads that only multiply and add in registers: what no program can exceed here.
// usage: peak THREADS  ->  JSON on standard output: GOP/s by kind ("f32", "int8 VNNI", ...); a multiply-add
// is two operations.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif
#if defined(__AMX_INT8__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#if defined(__ARM_FEATURE_DOTPROD)
#include <arm_neon.h>
#endif

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif
// Enough independent sums to hide the latency of a multiply-add, few enough for the registers.
constexpr int kSums = 12;
constexpr int kRounds = 1 << 22;

using Floats = float __attribute__((vector_size(kVectorBytes)));
static volatile float g_factor = 0.999f, g_sink;
static volatile int g_byte = 3, g_integer_sink;

/** Each returns the operations that it has done. */
static double floats() {
  Floats sums[kSums];
  for (int j = 0; j < kSums; j++) sums[j] = Floats{} + float(j);  // all different: equal sums would be made once
  const Floats factor = Floats{} + g_factor, addend = Floats{} + 0.5f;
  for (int i = 0; i < kRounds; i++) {
#pragma GCC unroll 12
    for (int j = 0; j < kSums; j++) sums[j] = sums[j] * factor + addend;
  }
  for (int j = 1; j < kSums; j++) sums[0] += sums[j];
  g_sink = sums[0][0];
  return 2.0 * kRounds * kSums * (kVectorBytes / 4);
}

#if defined(__AVX512VNNI__)
static double vnni() {
  __m512i sums[kSums];
  for (int j = 0; j < kSums; j++) sums[j] = _mm512_set1_epi32(j);
  const __m512i a = _mm512_set1_epi8(char(g_byte));
  for (int i = 0; i < kRounds; i++) {
#pragma GCC unroll 12
    for (int j = 0; j < kSums; j++) sums[j] = _mm512_dpbusd_epi32(sums[j], a, a);
  }
  for (int j = 1; j < kSums; j++) sums[0] = _mm512_add_epi32(sums[0], sums[j]);
  g_integer_sink = _mm512_reduce_add_epi32(sums[0]);
  return 2.0 * kRounds * kSums * 64;
}
#elif defined(__AVXVNNI__)
static double vnni() {
  __m256i sums[kSums];
  for (int j = 0; j < kSums; j++) sums[j] = _mm256_set1_epi32(j);
  const __m256i a = _mm256_set1_epi8(char(g_byte));
  for (int i = 0; i < kRounds; i++) {
#pragma GCC unroll 12
    for (int j = 0; j < kSums; j++) sums[j] = _mm256_dpbusd_avx_epi32(sums[j], a, a);
  }
  for (int j = 1; j < kSums; j++) sums[0] = _mm256_add_epi32(sums[0], sums[j]);
  g_integer_sink = _mm256_extract_epi32(sums[0], 0);
  return 2.0 * kRounds * kSums * 32;
}
#elif defined(__ARM_FEATURE_DOTPROD)
static double vnni() {
  int32x4_t sums[kSums];
  for (int j = 0; j < kSums; j++) sums[j] = vdupq_n_s32(j);
  const int8x16_t a = vdupq_n_s8(int8_t(g_byte));
  for (int i = 0; i < kRounds; i++) {
#pragma GCC unroll 12
    for (int j = 0; j < kSums; j++) sums[j] = vdotq_s32(sums[j], a, a);
  }
  for (int j = 1; j < kSums; j++) sums[0] = vaddq_s32(sums[0], sums[j]);
  g_integer_sink = vgetq_lane_s32(sums[0], 0);
  return 2.0 * kRounds * kSums * 16;
}
#endif

#if defined(__AMX_INT8__)
/** Whether the kernel lets this process use the tiles. */
static bool tiles_allowed() { return syscall(SYS_arch_prctl, 0x1023 /* ARCH_REQ_XCOMP_PERM */, 18) == 0; }

/** Products of tiles, as `step` does four of them on sums 0 to 3. */
template <class Step> static double tiles(const Step& step, double depth) {
  struct alignas(64) {
    uint8_t palette, start, zero[14];
    uint16_t bytes[16];
    uint8_t rows[16];
  } shape = {};
  shape.palette = 1;
  for (int t = 0; t < 8; t++) {
    shape.bytes[t] = 64;
    shape.rows[t] = 16;
  }
  _tile_loadconfig(&shape);
  alignas(64) int8_t bytes[1024];
  memset(bytes, g_byte, sizeof bytes);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_loadd(4, bytes, 64);
  _tile_loadd(5, bytes, 64);
  _tile_loadd(6, bytes, 64);
  _tile_loadd(7, bytes, 64);
  const int rounds = kRounds / 16;
  for (int i = 0; i < rounds; i++) {
    step();
  }
  _tile_stored(0, bytes, 64);
  _tile_release();
  g_integer_sink = bytes[0];
  return 2.0 * rounds * 4 * 16 * 16 * depth;
}

static double amx() {
  auto step = [] {
    _tile_dpbssd(0, 4, 6);
    _tile_dpbssd(1, 4, 7);
    _tile_dpbssd(2, 5, 6);
    _tile_dpbssd(3, 5, 7);
  };
  return tiles(step, 64);
}
#if defined(__AMX_BF16__)
static double amx_bf16() {
  auto step = [] {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  };
  return tiles(step, 32);
}
#endif
#endif

/** GOP/s of as many threads; the best of several passes. */
static double measure(int threads, double (*work)()) {
  double best = 0;
  for (int pass = 0; pass < 10; pass++) {
    std::vector<double> operations(size_t(threads) * 8);  // a cache line for each
    const auto start = std::chrono::steady_clock::now();
    std::vector<std::thread> others;
    for (int t = 1; t < threads; t++) others.emplace_back([&, t] { operations[size_t(t) * 8] = work(); });
    operations[0] = work();
    for (std::thread& thread : others) thread.join();
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    double total = 0;
    for (double x : operations) total += x;
    const double speed = total / seconds.count() / 1e9;
    if (speed > best) best = speed;
  }
  return best;
}

int main(int, char** argv) {
  const int threads = atoi(argv[1]);
  printf("{\"f32\": %.1f", measure(threads, floats));
#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)
  printf(", \"int8 VNNI\": %.1f", measure(threads, vnni));
#elif defined(__ARM_FEATURE_DOTPROD)
  printf(", \"int8 dot product\": %.1f", measure(threads, vnni));
#endif
#if defined(__AMX_INT8__)
  if (tiles_allowed()) printf(", \"int8 AMX\": %.1f", measure(threads, amx));
#if defined(__AMX_BF16__)
  if (tiles_allowed()) printf(", \"bf16 AMX\": %.1f", measure(threads, amx_bf16));
#endif
#endif
  printf("}\n");
}
