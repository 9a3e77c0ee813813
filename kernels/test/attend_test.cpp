// Attention of one or more instruction sets against plain loops in f64: odd widths, all cache formats, windows,
// soft caps, both sides, pages in disorder, difficult scores; the same bits on any number of threads. The cache is
// filled by the kernel that writes it, and read by plain loops too. "tiny" leaves a few shapes, for emulators and
// slow sanitizers.
#include <initializer_list>

#define FOVEA_ISA bits
#include "../simd/bits.h"
#include "support.h"

using namespace fovea;
using namespace fovea::test;

struct Shape {
  int64_t n, position, heads, kv_heads, d, dv, page;
  DType format;
  int64_t window;
  double softcap;
  /** Of the queries: small ones give weights that are nearly equal, large ones a single weight. */
  double size;
  bool causal = true;
};

constexpr double scale = 0.3;

const Operand absent = {nullptr, DType::i32, Layout::rows, {}};

/** Three sequences with 512 keys in common, two of them with 768, and a prompt: the same bits as without sharing. */
static void check_shared(const KernelTable& table, int64_t heads, int64_t kv_heads, DType format, int64_t window) {
  char text[80];
  std::snprintf(text, sizeof text, "%s shared, %d/%d heads, window %d", table.isa, int(heads), int(kv_heads), int(window));
  where = text;
  constexpr int64_t page = 64, d = 64, width = 16, rows = 9, pages = 40;
  const std::vector<int32_t> spans = {0, 1, 520, 1, 2, 900, 3, 1, 800, 4, 5, 0}, order = {0, 1, 2, 3};
  const std::vector<int32_t> shares = {0, 3, 0, 2, 1, 2, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0};
  std::vector<int32_t> places(4 * width, 0);
  int32_t next = 0;
  for (int64_t t = 0; t < 4; t++)
    for (int64_t p = 0; p < width; p++) {
      bool common = t < 3 && (p < 8 || (p < 12 && t > 0));
      int64_t first = p < 8 ? 0 : 1;
      places[size_t(t * width + p)] = common && t > first ? places[size_t(first * width + p)] : next++ % pages;
    }
  Floats q(size_t(rows * heads * d)), fresh(size_t(pages * page * kv_heads * d));
  for (float& x : q) x = float(4 * (uniform() - 0.5));
  for (float& x : fresh) x = float(uniform() - 0.5);
  std::vector<int32_t> slots;
  for (int32_t i = 0; i < pages * page; i++) slots.push_back(i);
  const int64_t bytes = format == DType::q8_0 ? page * d / 32 * 34 : page * d * (format == DType::f16 ? 2 : 4);
  Bytes caches[2] = {Bytes(size_t(pages * kv_heads * bytes)), Bytes(size_t(pages * kv_heads * bytes))};
  const Operand keys = {caches[0].data(), format, Layout::rows, {pages, kv_heads, page, d}};
  const Operand values = {caches[1].data(), format, Layout::rows, {pages, kv_heads, page, d}};
  const Operand written = {fresh.data(), DType::f32, Layout::rows, {pages * page, kv_heads, d}};
  run(table, Kind::cache_write, {written, written, {slots.data(), DType::i32, Layout::rows, {pages * page}}, keys, values},
      {}, 2);
  auto attend = [&](bool shared, int threads) {
    Floats out(q.size(), NAN);
    run(table, Kind::attend,
        {{q.data(), DType::f32, Layout::rows, {rows, heads, d}},
         keys,
         values,
         {places.data(), DType::i32, Layout::rows, {4, width}},
         {spans.data(), DType::i32, Layout::rows, {4, 3}},
         shared ? Operand{order.data(), DType::i32, Layout::rows, {4}} : absent,
         shared ? Operand{shares.data(), DType::i32, Layout::rows, {4, 4}} : absent,
         {out.data(), DType::f32, Layout::rows, {rows, heads, d}}},
        {scale, double(window), 0, double(width * page), 1, shared ? 4.0 : 0.0}, threads);
    return out;
  };
  Floats alone = attend(false, 1);
  for (int threads : {1, 2, 3})
    if (!same(alone, attend(true, threads))) fail("sharing changes bits");
}

static void check(const KernelTable& table, const Shape& s) {
  char text[120];
  std::snprintf(text, sizeof text, "%s [%d at %d, %d/%d heads of %d, %d], queries of size %g", table.isa, int(s.n),
                int(s.position), int(s.heads), int(s.kv_heads), int(s.d), int(s.dv), s.size);
  where = text;
  int64_t keys = s.position + s.n, pages = (keys + s.page - 1) / s.page;
  Floats q(size_t(s.n * s.heads * s.d)), y(size_t(s.n * s.heads * s.dv));
  for (float& x : q) x = float(s.size * (uniform() - 0.5));
  // Pages lie in reverse order. Memory that no token has written is full of NaN.
  std::vector<int32_t> places, slots, spans = {0, int32_t(s.n), int32_t(s.position)};
  for (int64_t p = 0; p < pages; p++) places.push_back(int32_t(pages - 1 - p));
  for (int64_t j = 0; j < keys; j++) slots.push_back(int32_t(places[size_t(j / s.page)] * s.page + j % s.page));
  const int64_t block = s.format == DType::q8_0 ? 32 : 1;
  const int64_t block_bytes = s.format == DType::q8_0 ? 34 : s.format == DType::f16 ? 2 : 4;
  auto format_bytes = [&](int64_t elements) { return size_t(elements / block * block_bytes); };
  Floats fresh[2];
  Bytes caches[2];
  for (int which = 0; which < 2; which++) {
    fresh[which].resize(size_t(keys * s.kv_heads * (which ? s.dv : s.d)));
    for (float& x : fresh[which]) x = float(uniform() - 0.5);
    caches[which].resize(format_bytes(pages * s.kv_heads * s.page * (which ? s.dv : s.d)), 0xff);
  }
  const Operand key_cache = {caches[0].data(), s.format, Layout::rows, {pages, s.kv_heads, s.page, s.d}};
  const Operand value_cache = {caches[1].data(), s.format, Layout::rows, {pages, s.kv_heads, s.page, s.dv}};
  run(table, Kind::cache_write,
      {{fresh[0].data(), DType::f32, Layout::rows, {keys, s.kv_heads, s.d}},
       {fresh[1].data(), DType::f32, Layout::rows, {keys, s.kv_heads, s.dv}},
       {slots.data(), DType::i32, Layout::rows, {keys}},
       key_cache,
       value_cache},
      {}, 2);
  auto attend = [&](int threads) {
    Floats out(y.size(), NAN);
    run(table, Kind::attend,
        {{q.data(), DType::f32, Layout::rows, {s.n, s.heads, s.d}},
         key_cache,
         value_cache,
         {places.data(), DType::i32, Layout::rows, {1, pages}},
         {spans.data(), DType::i32, Layout::rows, {1, 3}},
         absent,
         absent,
         {out.data(), DType::f32, Layout::rows, {s.n, s.heads, s.dv}}},
        {scale, double(s.window), s.softcap, double(keys), s.causal ? 1.0 : 0.0, 0.0}, threads);
    return out;
  };
  y = attend(1);
  for (int threads : {2, 3})
    if (!same(y, attend(threads))) fail("more threads give other bits");

  // What the cache holds; what is rounded lies within its bound of what was written.
  Floats held[2];
  for (int which = 0; which < 2; which++)
    for (int64_t j = 0; j < keys; j++)
      for (int64_t g = 0; g < s.kv_heads; g++)
        for (int64_t c = 0, width = which ? s.dv : s.d, at = j % s.page; c < width; c++) {
          int64_t head = places[size_t(j / s.page)] * s.kv_heads + g;
          const uint8_t* base = caches[which].data() + format_bytes(head * s.page * width);
          int64_t i = which ? at * width + c : (at / 16 * width + c) * 16 + at % 16;
          auto half = [&](const uint8_t* from, int64_t index) { return bits::float_of_f16(bits::load_as<uint16_t>(from + 2 * index)); };
          if (s.format == DType::f32) held[which].push_back(bits::load_as<float>(base + 4 * i));
          if (s.format == DType::f16) held[which].push_back(half(base, i));
          if (s.format != DType::q8_0) continue;
          int64_t groups = width / 32, scale_at = which ? at * groups + c / 32 : (at / 16 * groups + c / 32) * 16 + at % 16;
          float step = half(base + s.page * width, scale_at);
          held[which].push_back(step * float(int8_t(base[i])));
          if (!(std::fabs(held[which].back() - fresh[which][held[which].size() - 1]) <= 0.501f * step))
            fail("a rounded key or value is too far from what was written");
        }
  auto row = [&](int which, int64_t j, int64_t g) {
    return held[which].data() + (j * s.kv_heads + g) * (which ? s.dv : s.d);
  };
  const double u = std::ldexp(1.0, -24);
  for (int64_t i = 0; i < s.n; i++)
    for (int64_t h = 0; h < s.heads; h++) {
      int64_t g = h / (s.heads / s.kv_heads), p = s.position + i, from = s.window && p + 1 > s.window ? p + 1 - s.window : 0;
      int64_t to = s.causal ? p + 1 : s.window && p + s.window < keys ? p + s.window : keys;
      std::vector<double> scores, want(size_t(s.dv), 0.0);
      double sum = 0, most = 0, top = -INFINITY, off = 0;
      for (int64_t j = from; j < to; j++) {
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
      for (int64_t j = from; j < to; j++) {
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
    for (DType format : {DType::f32, DType::f16, DType::q8_0})
      for (int64_t d : {1, 5, 8, 19, 32, 64, 96})
        for (int64_t dv : {1, 12, 33, 64, 160})
          for (int64_t page : {16, 64, 256}) {
            if (format == DType::q8_0 && (d % 32 || dv % 32)) continue;
            if (tiny && (page != (dv == 64 ? 64 : 16) || d == 8 || d == 96 || dv == 12 || dv == 160 || (d == 1) != (dv == 1))) continue;
            check(table, {1, 300, 4, 2, d, dv, page, format, 0, 0, 4});
            check(table, {23, 250, 7, 1, d, dv, page, format, 0, 0, 4});
            check(table, {40, 260, 2, 2, d, dv, page, format, 37, 5, 4});
            check(table, {270, 0, 2, 2, d, dv, page, format, 0, 0, 4, false});
            check(table, {70, 220, 4, 2, d, dv, page, format, 37, 5, 4, false});
          }
    // Weights of one key alone, too, where a score is far larger than what rounding loses of the largest.
    for (DType format : {DType::f32, DType::f16, DType::q8_0})
      for (int64_t window : {0, 300}) {
        check_shared(table, 2, 2, format, window);
        check_shared(table, 8, 1, format, window);
        // More rows than a block has; so many parts that threads take several tiles at once.
        check_shared(table, 48, 1, format, window);
        check_shared(table, 16, 8, format, window);
      }
    for (double size : {0.0, 1e-39, 1e4, 1e8, 1e12, 1e20, 1e30})
      check(table, {9, 600, 3, 1, 20, 9, 16, DType::f32, 0, 0, size});
  });
}
