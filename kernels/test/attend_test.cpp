// Attention of one or more instruction sets against plain loops in f64: odd widths, both cache formats, windows,
// soft caps, pages in disorder, difficult scores; the same bits on any number of threads. "tiny" leaves a few
// shapes, for emulators and slow sanitizers.
#include <initializer_list>

#define FOVEA_ISA bits
#include "../simd/bits.h"
#include "support.h"

using namespace fovea;
using namespace fovea::test;

struct Shape {
  int64_t n, position, heads, kv_heads, d, dv, page;
  bool half;
  int64_t window;
  double softcap;
  /** Of the queries: small ones give weights that are nearly equal, large ones a single weight. */
  double size;
};

constexpr double scale = 0.3;

static void check(const KernelTable& table, const Shape& s) {
  char text[120];
  std::snprintf(text, sizeof text, "%s [%d at %d, %d/%d heads of %d, %d], queries of size %g", table.isa, int(s.n),
                int(s.position), int(s.heads), int(s.kv_heads), int(s.d), int(s.dv), s.size);
  where = text;
  int64_t keys = s.position + s.n, pages = (keys + s.page - 1) / s.page;
  Floats q(size_t(s.n * s.heads * s.d)), y(size_t(s.n * s.heads * s.dv));
  for (float& x : q) x = float(s.size * (uniform() - 0.5));
  // Pages lie in reverse order. Values as the cache holds them, and the cache itself.
  std::vector<int32_t> places, spans = {0, int32_t(s.n), int32_t(s.position)};
  for (int64_t p = 0; p < pages; p++) places.push_back(int32_t(pages - 1 - p));
  Floats caches[2];
  std::vector<uint16_t> halves[2];
  for (int which = 0; which < 2; which++) {
    caches[which].resize(size_t(pages * s.kv_heads * s.page * (which ? s.dv : s.d)));
    for (float& x : caches[which]) {
      halves[which].push_back(bits::f16_of(x = float(uniform() - 0.5)));
      if (s.half) x = bits::float_of_f16(halves[which].back());
    }
  }
  DType type = s.half ? DType::f16 : DType::f32;
  auto cache = [&](int which) -> const void* {
    if (s.half) return halves[which].data();
    return caches[which].data();
  };
  auto attend = [&](int threads) {
    Floats out(y.size(), NAN);
    run(table, Kind::attend,
        {{q.data(), DType::f32, Layout::rows, {s.n, s.heads, s.d}},
         {cache(0), type, Layout::rows, {pages, s.kv_heads, s.page, s.d}},
         {cache(1), type, Layout::rows, {pages, s.kv_heads, s.page, s.dv}},
         {places.data(), DType::i32, Layout::rows, {1, pages}},
         {spans.data(), DType::i32, Layout::rows, {1, 3}},
         {out.data(), DType::f32, Layout::rows, {s.n, s.heads, s.dv}}},
        {scale, double(s.window), s.softcap, double(keys)}, threads);
    return out;
  };
  y = attend(1);
  for (int threads : {2, 3})
    if (!same(y, attend(threads))) fail("more threads give other bits");

  auto row = [&](int which, int64_t j, int64_t g) {
    int64_t width = which ? s.dv : s.d;
    return caches[which].data() + ((places[size_t(j / s.page)] * s.kv_heads + g) * s.page + j % s.page) * width;
  };
  const double u = std::ldexp(1.0, -24);
  for (int64_t i = 0; i < s.n; i++)
    for (int64_t h = 0; h < s.heads; h++) {
      int64_t g = h / (s.heads / s.kv_heads), p = s.position + i, from = s.window && p + 1 > s.window ? p + 1 - s.window : 0;
      std::vector<double> scores, want(size_t(s.dv), 0.0);
      double sum = 0, most = 0, top = -INFINITY, off = 0;
      for (int64_t j = from; j <= p; j++) {
        double score = 0, sizes = 0;
        for (int64_t c = 0; c < s.d; c++) {
          double product = double(q[size_t((i * s.heads + h) * s.d + c)]) * row(0, j, g)[c];
          score += product;
          sizes += std::fabs(product);
        }
        score *= scale;
        // Every product of the sum rounds at most twice a step; scale, cap and the difference to the maximum.
        off = std::fmax(off, u * (2 * double(s.d) * scale * sizes + 8 * (std::fabs(score) + s.softcap)));
        if (s.softcap) score = s.softcap * std::tanh(score / s.softcap);
        scores.push_back(score);
        top = std::fmax(top, score);
      }
      for (int64_t j = from; j <= p; j++) {
        double w = std::exp(scores[size_t(j - from)] - top);
        sum += w;
        for (int64_t c = 0; c < s.dv; c++) {
          want[size_t(c)] += w * row(1, j, g)[c];
          most = std::fmax(most, std::fabs(row(1, j, g)[c]));
        }
      }
      // A score that is off by e makes its weight off by a factor of exp(e), as numerator and as part of the
      // sum; then two sums over the keys of a tile and their merging.
      double tiles = double(keys) / 256 + 1;
      double bound = most * (std::expm1(2 * off) + 2 * u * (2 * std::fmin(double(keys), 256) + 8 * tiles + 8));
      for (int64_t c = 0; c < s.dv; c++) {
        double error = std::fabs(want[size_t(c)] / sum - y[size_t((i * s.heads + h) * s.dv + c)]);
        if (error <= bound) continue;
        std::snprintf(text, sizeof text, "row %d, head %d, column %d: error %g beyond %g", int(i), int(h), int(c), error, bound);
        return fail(text);
      }
    }
}

int main(int count, char** arguments) {
  const bool tiny = count > 1 && std::string(arguments[1]) == "tiny";
  return for_each_table([&](const KernelTable& table) {
    for (bool half : {false, true})
      for (int64_t d : {1, 5, 8, 19, 64})
        for (int64_t dv : {1, 12, 33, 64})
          for (int64_t page : {1, 16, 256}) {
            if (tiny && (page == 256 || d == 8 || dv == 12)) continue;
            check(table, {1, 300, 4, 2, d, dv, page, half, 0, 0, 4});
            check(table, {23, 250, 7, 1, d, dv, page, half, 0, 0, 4});
            check(table, {40, 260, 2, 2, d, dv, page, half, 37, 5, 4});
          }
    for (double size : {0.0, 1e-39, 1e4, 1e30}) check(table, {9, 600, 3, 1, 20, 9, 16, false, 0, 0, size});
  });
}
