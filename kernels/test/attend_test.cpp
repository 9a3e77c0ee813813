// Attention on one instruction set against plain loops in f64: odd widths, all cache formats, windows, soft caps,
// both sides, pages in disorder. The cache is filled by the kernel that writes it, and read by plain loops too. For instruction sets on which the tests of whole devices do not run.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <vector>

#include "../interpreter.h"
#include "../ops/attend.h"

using namespace fovea;

double fovea::now() { return 0; }

static float random_float() { return float(std::rand()) / float(RAND_MAX) - 0.5f; }

static bool check(int64_t n, int64_t position, int64_t heads, int64_t kv_heads, int64_t d, int64_t dv, int64_t page,
                  DType format, int64_t window, double softcap, bool causal = true) {
  int64_t keys = position + n, pages = (keys + page - 1) / page;
  std::vector<float> q(size_t(n * heads * d)), y(size_t(n * heads * dv));
  std::vector<int32_t> table, spans = {0, int32_t(n), int32_t(position)};
  for (float& x : q) x = 4 * random_float();
  // Pages lie in reverse order. Memory that no token has written is full of NaN.
  for (int64_t p = 0; p < pages; p++) table.push_back(int32_t(pages - 1 - p));
  std::vector<float> fresh[2];
  std::vector<uint8_t> caches[2];
  std::vector<int32_t> slots;
  for (int64_t j = 0; j < keys; j++) slots.push_back(int32_t(table[size_t(j / page)] * page + j % page));
  for (int which = 0; which < 2; which++) {
    fresh[which].resize(size_t(keys * kv_heads * (which ? dv : d)));
    for (float& x : fresh[which]) x = random_float();
    caches[which].resize(size_t(FOVEA_ISA::format_bytes(format, pages * kv_heads * page * (which ? dv : d))), 0xff);
  }
  std::vector<double> words = {double(Kind::attend), 0};
  auto tensor = [&](double id, double dtype, int64_t a, int64_t b, int64_t c, int64_t e) {
    for (double w : {id, 0.0, dtype, 0.0, double(a), double(b), double(c), double(e)}) words.push_back(w);
  };
  auto data = [](auto& v) { return reinterpret_cast<uint8_t*>(v.data()); };
  uint8_t* buffers[] = {nullptr, data(q), data(caches[0]), data(caches[1]), data(table), data(spans), data(y),
                        data(fresh[0]), data(fresh[1]), data(slots)};
  double type = double(int(format));
  Barrier barrier;
  tensor(7, 0, keys, kv_heads, d, 1);
  tensor(8, 0, keys, kv_heads, dv, 1);
  tensor(9, 11, keys, 1, 1, 1);
  tensor(2, type, pages, kv_heads, page, d);
  tensor(3, type, pages, kv_heads, page, dv);
  FOVEA_ISA::cache_write({words.data(), buffers, 5}, {0, 1, nullptr, &barrier, &barrier.counter});

  words.resize(2);
  tensor(1, 0, n, heads, d, 1);
  tensor(2, type, pages, kv_heads, page, d);
  tensor(3, type, pages, kv_heads, page, dv);
  tensor(4, 11, 1, pages, 1, 1);
  tensor(5, 11, 1, 3, 1, 1);
  tensor(6, 0, n, heads, dv, 1);
  for (double number : {0.3, double(window), softcap, double(keys), causal ? 1.0 : 0.0}) words.push_back(number);
  Op op = {words.data(), buffers, 6};
  std::vector<uint8_t> scratch(size_t(FOVEA_ISA::attend_scratch(op, 1)) + 64);
  FOVEA_ISA::attend(op, {0, 1, scratch.data() + (64 - uintptr_t(scratch.data()) % 64), &barrier, &barrier.counter});

  // What the cache holds; what is rounded lies within its bound of what was written.
  bool near = true;
  std::vector<float> held[2];
  for (int which = 0; which < 2; which++)
    for (int64_t j = 0; j < keys; j++)
      for (int64_t g = 0; g < kv_heads; g++)
        for (int64_t c = 0, width = which ? dv : d, at = j % page; c < width; c++) {
          int64_t head = table[size_t(j / page)] * kv_heads + g;
          const uint8_t* base = caches[which].data() + FOVEA_ISA::format_bytes(format, head * page * width);
          int64_t i = which ? at * width + c : (at / 16 * width + c) * 16 + at % 16;
          if (format == DType::f32) held[which].push_back(reinterpret_cast<const float*>(base)[i]);
          if (format == DType::f16) held[which].push_back(FOVEA_ISA::float_of_f16(reinterpret_cast<const uint16_t*>(base)[i]));
          if (format != DType::q8_0) continue;
          int64_t groups = width / 32;
          int64_t s = which ? at * groups + c / 32 : (at / 16 * groups + c / 32) * 16 + at % 16;
          float scale = FOVEA_ISA::float_of_f16(reinterpret_cast<const uint16_t*>(base + page * width)[s]);
          held[which].push_back(scale * float(reinterpret_cast<const int8_t*>(base)[i]));
          near &= std::fabs(held[which].back() - fresh[which][held[which].size() - 1]) <= 0.501f * scale;
        }
  auto row = [&](int which, int64_t j, int64_t g) {
    return held[which].data() + (j * kv_heads + g) * (which ? dv : d);
  };
  double worst = 0;
  for (int64_t i = 0; i < n; i++)
    for (int64_t h = 0; h < heads; h++) {
      int64_t g = h / (heads / kv_heads), p = position + i, from = window && p + 1 > window ? p + 1 - window : 0;
      int64_t to = causal ? p + 1 : window && p + window < keys ? p + window : keys;
      std::vector<double> want(size_t(dv), 0.0);
      double sum = 0;
      for (int64_t j = from; j < to; j++) {
        double s = 0;
        for (int64_t c = 0; c < d; c++) s += double(q[size_t((i * heads + h) * d + c)]) * row(0, j, g)[c];
        s *= 0.3;
        double w = std::exp(softcap ? softcap * std::tanh(s / softcap) : s);
        sum += w;
        for (int64_t c = 0; c < dv; c++) want[size_t(c)] += w * row(1, j, g)[c];
      }
      for (int64_t c = 0; c < dv; c++)
        worst = std::fmax(worst, std::fabs(want[size_t(c)] / sum - y[size_t((i * heads + h) * dv + c)]));
    }
  bool good = near && worst < 2e-6;
  if (!good) std::printf("[%d at %d, %d/%d heads of %d, %d] differs by %g\n", int(n), int(position), int(heads), int(kv_heads), int(d), int(dv), worst);
  return good;
}

int main() {
  bool good = true;
  for (DType format : {DType::f32, DType::f16, DType::q8_0})
    for (int64_t d : {1, 5, 8, 19, 32, 64, 96})
      for (int64_t dv : {1, 12, 33, 64, 160})
        for (int64_t page : {16, 64, 256}) {
          if (format == DType::q8_0 && (d % 32 || dv % 32)) continue;
          good &= check(1, 300, 4, 2, d, dv, page, format, 0, 0);
          good &= check(23, 250, 7, 1, d, dv, page, format, 0, 0);
          good &= check(40, 260, 2, 2, d, dv, page, format, 37, 5);
          good &= check(270, 0, 2, 2, d, dv, page, format, 0, 0, false);
          good &= check(70, 220, 4, 2, d, dv, page, format, 37, 5, false);
        }
  std::puts(good ? "ok" : "FAILED");
  return good ? 0 : 1;
}
