// The op linear with operands rounded to bf16, on every instruction set that was built: sums within their bound, rows
// whose bits do not depend on other rows, threads, or the layout of weights. `rounded_test [tiny]`.
#include "support.h"

using namespace fovea;
using namespace fovea::test;

static uint32_t bits_of(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  return bits;
}
static float float_of(uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, 4);
  return x;
}

/** To nearest, ties to even. */
static float rounded(float x) {
  const uint32_t bits = bits_of(x);
  return std::isnan(x) ? x : float_of((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000);
}

struct Weights {
  DType dtype;
  int64_t m, k;
  Bytes rows, panels;
  Floats values;

  Operand operand(bool packed) const {
    return {packed ? panels.data() : rows.data(), dtype, packed ? Layout::panels : Layout::rows, {m, k}};
  }
};

/** Random weights; those of f16 have 11 bits, so that rounding them to bf16 loses some. */
static Weights make(const KernelTable& table, DType dtype, int64_t m, int64_t k) {
  Weights w = {dtype, m, k, Bytes(size_t(m * k * (dtype == DType::f32 ? 4 : 2)) + 1), {}, {}};
  for (int64_t i = 0; i < m * k; i++) {
    if (dtype == DType::f32) {
      w.values.push_back(float(normal()));
      std::memcpy(&w.rows[size_t(4 * i)], &w.values.back(), 4);
      continue;
    }
    const uint16_t sign = uint16_t(random32() & 1), fraction = uint16_t(random32() & 1023), exponent = uint16_t(8 + random32() % 10);
    uint16_t half = uint16_t(sign << 15 | exponent << 10 | fraction);
    float value = float(std::ldexp(1024 + fraction, exponent - 25)) * (sign ? -1 : 1);
    if (dtype == DType::bf16) value = rounded(value), half = uint16_t(bits_of(value) >> 16);
    w.values.push_back(value);
    std::memcpy(&w.rows[size_t(2 * i)], &half, 2);
  }
  w.panels.resize(size_t(table.panel_bytes(dtype, m, k)));
  run(table, Kind::pack, {w.operand(false), w.operand(true)}, {}, 2);
  for (float& value : w.values) value = rounded(value);
  return w;
}

static Floats linear(const KernelTable& table, const Weights& w, const Floats& x, const float* bias, int threads, bool packed = true) {
  const int64_t n = int64_t(x.size()) / w.k;
  constexpr size_t guard = 16;
  Floats y(size_t(n * w.m) + 2 * guard, 12345.0f);
  run(table, Kind::linear, {{x.data(), DType::f32, Layout::rows, {n, w.k}}, w.operand(packed),
                            {bias, DType::f32, Layout::rows, {w.m}}, {y.data() + guard, DType::f32, Layout::rows, {n, w.m}}}, {1}, threads);
  for (size_t i = 0; i < guard; i++) if (y[i] != 12345.0f || y[y.size() - 1 - i] != 12345.0f) fail("wrote outside y");
  return Floats(y.begin() + guard, y.end() - guard);
}

static Floats row_of(const Floats& rows, int64_t i, int64_t size) {
  return Floats(rows.begin() + i * size, rows.begin() + (i + 1) * size);
}

static void check(const KernelTable& table, DType dtype, int64_t m, int64_t k, int64_t n) {
  where = std::string(table.isa) + " rounded " + std::to_string(int(dtype)) + " [" + std::to_string(n) + ", " + std::to_string(k) + "] x " + std::to_string(m);
  const Weights w = make(table, dtype, m, k);
  Floats x(size_t(n * k)), bias(static_cast<size_t>(m));
  for (float& v : x) v = float(normal() * (random32() % 50 == 0 ? 20 : 1));
  for (float& b : bias) b = float(normal());
  const Floats y = linear(table, w, x, bias.data(), 1);
  for (int threads : {2, 5})
    if (!same(y, linear(table, w, x, bias.data(), threads))) fail("more threads give other bits");
  if (!same(y, linear(table, w, x, bias.data(), 2, false))) fail("rows give other bits than panels");
  for (int64_t i = 0; i < n; i += n > 32 ? 17 : 3) {
    for (int64_t j = 0; j < m; j++) {
      double want = bias[size_t(j)], sizes = std::fabs(want);
      for (int64_t c = 0; c < k; c++) {
        const double p = double(rounded(x[size_t(i * k + c)])) * w.values[size_t(j * k + c)];
        want += p, sizes += std::fabs(p);
      }
      if (!(std::fabs(y[size_t(i * m + j)] - want) <= (2 * double(k) + 4) * std::ldexp(1.0, -24) * sizes)) return fail("beyond its bound");
    }
    if (!same(row_of(y, i, m), linear(table, w, row_of(x, i, k), bias.data(), 2))) return fail("a row alone has other bits");
  }
  // Numbers that are none stay in their row.
  if (n > 1) {
    x[size_t(k)] = NAN;
    const Floats other = linear(table, w, x, bias.data(), 2);
    if (!same(row_of(other, 0, m), row_of(y, 0, m)) || (n > 2 && !same(row_of(other, n - 1, m), row_of(y, n - 1, m)))) fail("a NaN leaves its row");
    for (int64_t j = 0; j < m; j++) if (!std::isnan(other[size_t(m + j)])) return fail("a NaN is lost");
  }
}

int main(int count, char** arguments) {
  const bool tiny = count > 1 && std::string(arguments[1]) == "tiny";
  return for_each_table([&](const KernelTable& table) {
    for (DType dtype : {DType::f32, DType::f16, DType::bf16}) {
      for (int64_t m : {1, 16, 35, 150}) for (int64_t k : {1, 2, 31, 33, 64, 300, 1280}) {
        if (tiny && (m == 16 || m == 150 || k == 2 || k == 64 || k == 1280)) continue;
        for (int64_t n : {1, 2, 13, 17, 33, 70}) if (!tiny || n * k < 1200) check(table, dtype, m, k, n);
      }
      // Several chunks of tokens, and units of several panels.
      if (!tiny) check(table, dtype, 300, 520, 1100);
    }
  });
}
