#include "cpu.h"

#include <stdint.h>

#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#elif defined(__linux__) && defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace fovea {

#if defined(__x86_64__)

// Compilers' own tests differ in what they know, so the processor is asked (Intel's manual, volume 2, CPUID).
namespace {

struct Processor {
  /** Leaf 1, ecx; leaf 7, ebx, ecx and edx; leaf 7.1, eax; XCR0: the registers that the system saves. */
  uint32_t basic = 0, features = 0, more = 0, further = 0, latest = 0, saved = 0;

  Processor() {
    uint32_t a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return;
    basic = c;
    if (basic & bit_OSXSAVE) __asm__ volatile("xgetbv" : "=a"(saved), "=d"(d) : "c"(0));
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return;
    features = b;
    more = c;
    further = d;
    if (a >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d)) latest = a;
  }
};

constexpr uint32_t bit(int n) { return 1u << n; }
bool all(uint32_t word, uint32_t bits) { return (word & bits) == bits; }

/** Asks the system for the registers of AMX, which it gives only to those who ask; all threads have them then. */
bool tiles_granted() {
#if defined(__linux__)
  constexpr long request = 0x1023, tile_data = 18;
  return syscall(SYS_arch_prctl, request, tile_data) == 0;
#else
  return false;
#endif
}

}  // namespace

bool machine_runs(const std::string& isa) {
  static const Processor has;
  constexpr uint32_t fma = bit(12), avx = bit(28), f16c = bit(29);
  constexpr uint32_t avx2 = bit(5), avx512f = bit(16), avx512dq = bit(17), avx512bw = bit(30), avx512vl = bit(31);
  constexpr uint32_t avx512vnni = bit(11), avxvnni = bit(4);
  constexpr uint32_t ymm = bit(1) | bit(2), zmm = ymm | bit(5) | bit(6) | bit(7);
  bool with_avx2 = all(has.basic, fma | avx | f16c) && all(has.features, avx2) && all(has.saved, ymm);
  bool with_avx512 =
      with_avx2 && all(has.features, avx512f | avx512dq | avx512bw | avx512vl) && all(has.saved, zmm);
  if (isa == "amx") {
    constexpr uint32_t tile = bit(24), int8 = bit(25), bf16 = bit(22), avx512bf16 = bit(5), saved = bit(17) | bit(18);
    static const bool granted = with_avx512 && all(has.more, avx512vnni) && all(has.latest, avx512bf16) &&
                                all(has.further, tile | int8 | bf16) && all(has.saved, saved) && tiles_granted();
    return granted;
  }
  if (isa == "avx512_vnni") return with_avx512 && all(has.more, avx512vnni);
  if (isa == "avx512") return with_avx512;
  if (isa == "avx_vnni") return with_avx2 && all(has.latest, avxvnni);
  if (isa == "avx2") return with_avx2;
  return isa == "scalar";
}

#else

bool machine_runs(const std::string& isa) {
#if defined(__aarch64__)
  if (isa == "neon") return true;
#if defined(__linux__)
  if (isa == "neon_dot") return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
#else
  if (isa == "neon_dot") return true;
#endif
#endif
  return isa == "scalar";
}

#endif

}  // namespace fovea
