// Elementary functions against the C library in f64, over all magnitudes and the special values.
#include <cmath>
#include <cstdio>
#include <initializer_list>
#include <limits>

#include "../cpu.h"
#include "../simd/math.h"

#define TEXT(x) #x
#define TEXT_OF(x) TEXT(x)

using namespace fovea::FOVEA_ISA;

static int failures = 0;

static void check(const char* name, V::F (*f)(V::F), double (*reference)(double), bool relative) {
  double worst = 0, at = 0;
  auto visit = [&](float x) {
    float out[V::lanes];
    V::store(out, f(V::set1(x)));
    double want = reference(x), got = out[0];
    if (std::isnan(want) || std::isinf(want) || (relative && (want > 3.4e38 || want < 1.2e-38))) {
      bool same = std::isnan(want) ? std::isnan(got) : want > 3.4e38 ? got > 3.4e38 || got == want
                  : std::isinf(want) ? got == want : std::fabs(got - want) < 1.5e-45;
      if (!same) failures++, std::printf("%s(%g) = %g, want %g\n", name, x, got, want);
      return;
    }
    double unit = std::ldexp(1.0, -24) * (relative ? std::fabs(want) : std::fmax(1, std::fabs(x)));
    double error = std::fabs(got - want) / unit;
    if (!(error <= worst)) worst = error, at = x;
  };
  for (int i = -2200000; i <= 2200000; i += 3) visit(float(i) * 5e-5f);
  for (double x = 1e-45; x < 3e38; x *= 1.01) visit(float(x)), visit(-float(x));
  for (float x : {0.0f, -0.0f, INFINITY, -INFINITY, NAN}) visit(x);
  std::printf("%-10s worst %.2f units of 2^-24 at %g\n", name, worst, at);
  if (!(worst <= 4)) failures++;
}

int main() {
  if (!fovea::machine_runs(TEXT_OF(FOVEA_ISA))) {
    std::puts("SKIPPED, this machine has no such instructions");
    return 0;
  }
  check("exp", exp, [](double x) { return std::exp(x); }, true);
  check("exp2", exp2, [](double x) { return x < -126 ? 0 : std::exp2(x); }, true);
  check("sigmoid", sigmoid, [](double x) { return 1 / (1 + std::exp(-x)); }, false);
  check("silu", silu, [](double x) { return x / (1 + std::exp(-x)); }, false);
  check("tanh", tanh, [](double x) { return std::tanh(x); }, false);
  check("erf", erf, [](double x) { return std::erf(x); }, false);
  check("gelu", gelu, [](double x) { return x == -INFINITY ? 0 : 0.5 * x * (1 + std::erf(x / std::sqrt(2.0))); }, false);
  check("gelu_tanh", gelu_tanh, [](double x) {
    return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))); }, false);
  for (int h = 0; h < 65536; h++) {
    uint16_t in[V::lanes], out[V::lanes] = {};
    float x[V::lanes];
    for (auto& v : in) v = uint16_t(h);
    V::store(x, V::load_f16(in));
    V::store_f16(out, V::load(x));
    bool nan = (h & 0x7fff) > 0x7c00;
    if (nan ? !std::isnan(x[0]) : out[0] != h || x[0] != float_of_f16(uint16_t(h)) || f16_of(x[0]) != h) failures++;
    // Halfway between neighbours, and a little to each side: ties go to even.
    if ((h & 0x7fff) < 0x7bff) {
      float next = float_of_f16(uint16_t(h + 1)), middle = 0.5f * (x[0] + next);
      for (float y : {middle, std::nextafter(middle, x[0]), std::nextafter(middle, next)}) {
        V::store_f16_tail(out, V::set1(y), 1);
        int want = y == middle ? h + (h & 1) : std::fabs(y - x[0]) < std::fabs(y - next) ? h : h + 1;
        if (out[0] != want || f16_of(y) != want) failures++;
      }
    }
  }
  if (failures) std::printf("%d FAILURES\n", failures);
  return failures != 0;
}
