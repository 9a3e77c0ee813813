// The matrix kernels of one or more instruction sets against plain loops in f64 over weights that are decoded
// here, from the layout of the blocks in files. Bounds are derived, not guessed: see `bound_of`.
#include <initializer_list>
#include <limits>

#include "support.h"

using namespace fovea;
using namespace fovea::test;

// ---- The formats, as files hold them

struct Format {
  const char* name;
  DType dtype;
  int block, bytes;
  /** Largest size of a code; 0 for floats. */
  int codes = 0;
  /** Bytes of the f32 scale in front of a row, where that is the only one. */
  int header = 0;

  bool floats() const { return codes == 0; }
  /** Activations that share a scale. */
  int64_t group(int64_t k) const { return header ? k : 32; }
};
static const Format formats[] = {
    {"f32", DType::f32, 1, 4},     {"f16", DType::f16, 1, 2},     {"bf16", DType::bf16, 1, 2},
    {"q8_0", DType::q8_0, 32, 34, 128}, {"q4_0", DType::q4_0, 32, 18, 8}, {"q4_1", DType::q4_1, 32, 20, 15},
    {"q5_0", DType::q5_0, 32, 22, 16}, {"q5_1", DType::q5_1, 32, 24, 31}, {"q4_K", DType::q4_K, 256, 144, 15},
    {"q5_K", DType::q5_K, 256, 176, 31}, {"q6_K", DType::q6_K, 256, 210, 32},
    {"i8_row", DType::i8_row, 1, 1, 128, 4},
};

static double half(const uint8_t* p) {
  int h = p[0] | p[1] << 8, e = h >> 10 & 31, f = h & 1023;
  double x = e == 31 ? (f ? NAN : INFINITY) : e ? std::ldexp(1024 + f, e - 25) : std::ldexp(f, -24);
  return h & 0x8000 ? -x : x;
}
static void put_half(uint8_t* p, double x) {
  int e;
  double f = std::frexp(std::fabs(x), &e);
  int h = x == 0 || e < -13 ? 0 : int(std::lrint(f * 2048)) - 1024 + ((e + 14) << 10);
  h |= x < 0 ? 0x8000 : 0;
  p[0] = uint8_t(h), p[1] = uint8_t(h >> 8);
}

/** A weight as scale * code + min: its parts bound the rounding of sums. */
struct Weight {
  double product, min;
  double value() const { return product + min; }
  double reach() const { return std::fabs(product) + std::fabs(min); }
};

static void decode(DType dtype, const uint8_t* b, Weight* w) {
  auto fifth = [](const uint8_t* p, int k) { return (p[k / 8] >> (k % 8) & 1) << 4; };
  auto nibble = [](const uint8_t* p, int k) { return k < 16 ? p[k] & 15 : p[k - 16] >> 4; };
  auto six = [](const uint8_t* s, int g, double& scale, double& min) {
    scale = g < 4 ? s[g] & 63 : (s[g + 4] & 15) | (s[g - 4] >> 6) << 4;
    min = g < 4 ? s[g + 4] & 63 : s[g + 4] >> 4 | (s[g] >> 6) << 4;
  };
  bool scaled = dtype != DType::f32 && dtype != DType::bf16 && dtype != DType::i8_row;
  double d = scaled ? half(b) : 0, m = scaled && dtype != DType::f16 ? half(b + 2) : 0;
  float f;
  uint32_t bits;
  switch (dtype) {
    case DType::f32: std::memcpy(&f, b, 4), w[0] = {f, 0}; break;
    case DType::f16: w[0] = {d, 0}; break;
    case DType::bf16: bits = uint32_t(b[0] | b[1] << 8) << 16, std::memcpy(&f, &bits, 4), w[0] = {f, 0}; break;
    case DType::q8_0: for (int k = 0; k < 32; k++) w[k] = {d * int8_t(b[2 + k]), 0}; break;
    case DType::q4_0: for (int k = 0; k < 32; k++) w[k] = {d * (nibble(b + 2, k) - 8), 0}; break;
    case DType::q4_1: for (int k = 0; k < 32; k++) w[k] = {d * nibble(b + 4, k), m}; break;
    case DType::q5_0: for (int k = 0; k < 32; k++) w[k] = {d * ((nibble(b + 6, k) | fifth(b + 2, k)) - 16), 0}; break;
    case DType::q5_1: for (int k = 0; k < 32; k++) w[k] = {d * (nibble(b + 8, k) | fifth(b + 4, k)), m}; break;
    case DType::q4_K:
    case DType::q5_K:
      for (int k = 0; k < 256; k++) {
        int g = k / 32, high = dtype == DType::q5_K ? (b[16 + k % 32] >> g & 1) << 4 : 0;
        const uint8_t* q = b + (dtype == DType::q5_K ? 48 : 16) + 32 * (g / 2);
        double scale, min;
        six(b + 4, g, scale, min);
        w[k] = {d * scale * ((g % 2 ? q[k % 32] >> 4 : q[k % 32] & 15) | high), -m * min};
      }
      break;
    case DType::q6_K:
      for (int k = 0; k < 256; k++) {
        int h = k / 128, j = k % 128 / 32, l = k % 32;
        int low = b[64 * h + 32 * (j & 1) + l] >> (4 * (j >> 1)) & 15, high = b[128 + 32 * h + l] >> (2 * j) & 3;
        w[k] = {half(b + 208) * int8_t(b[192 + k / 16]) * ((low | high << 4) - 32), 0};
      }
      break;
    case DType::i8_row: w[0] = {double(int8_t(b[0])), 0}; break;
    case DType::i32: break;
  }
}

/** Random bytes are legal codes; the scales are set to plain numbers. */
static Bytes random_weights(const Format& f, int64_t elements, int64_t rows) {
  Bytes w(size_t(rows * f.header + elements / f.block * f.bytes));
  for (auto& b : w) b = uint8_t(random32());
  for (int64_t i = 0; f.header && i < rows; i++) {
    float scale = float((random32() & 1 ? 1 : -1) * (0.001 + 0.01 * uniform()));
    std::memcpy(&w[size_t(i * (f.header + elements / rows))], &scale, 4);
  }
  if (f.header) return w;
  for (size_t at = 0; at < w.size(); at += size_t(f.bytes)) {
    uint8_t* p = &w[at];
    float x = float(normal());
    double scale = (random32() & 1 ? 1 : -1) * (0.001 + 0.01 * uniform());
    if (f.dtype == DType::f32) std::memcpy(p, &x, 4);
    else if (f.dtype == DType::f16) put_half(p, x);
    else if (f.dtype == DType::bf16) std::memcpy(p, reinterpret_cast<uint8_t*>(&x) + 2, 2);
    else if (f.dtype == DType::q6_K) put_half(p + 208, scale / 50);
    else {
      bool super = f.block == 256, min = f.dtype == DType::q4_1 || f.dtype == DType::q5_1 || super;
      put_half(p, super ? std::fabs(scale) / 30 : scale);
      if (min) put_half(p + 2, super ? 0.001 * uniform() : 0.1 * normal());
    }
  }
  return w;
}

// ---- Products

struct Matrix {
  const Format* format;
  int64_t e, m, k;
  Bytes rows;
  Bytes panels;
  std::vector<Weight> values;

  Operand operand(bool packed, bool stack) const {
    std::vector<int64_t> shape = {m, k};
    if (stack) shape.insert(shape.begin(), e);
    return {packed ? panels.data() : rows.data(), format->dtype, packed ? Layout::panels : Layout::rows, shape};
  }
};

/** Over different bytes for different threads, so that what packing leaves out is seen. */
static Bytes make_panels(const KernelTable& table, Matrix& w, int threads) {
  Bytes panels(size_t(w.e * table.panel_bytes(w.format->dtype, w.m, w.k)), threads == 1 ? 0x55 : 0xaa);
  std::swap(w.panels, panels);
  run(table, Kind::pack, {w.operand(false, w.e > 1), w.operand(true, w.e > 1)}, {}, threads);
  std::swap(w.panels, panels);
  return panels;
}

static Matrix make(const KernelTable& table, const Format& f, int64_t e, int64_t m, int64_t k, int threads) {
  Matrix w = {&f, e, m, k, random_weights(f, e * m * k, e * m), {}, std::vector<Weight>(size_t(e * m * k))};
  const int64_t row = f.header + k / f.block * f.bytes;
  for (int64_t i = 0; i < e * m; i++)
    for (int64_t b = 0; b < k / f.block; b++) {
      Weight* to = &w.values[size_t(i * k + b * f.block)];
      decode(f.dtype, &w.rows[size_t(i * row + f.header + b * f.bytes)], to);
      float scale;
      if (f.header) std::memcpy(&scale, &w.rows[size_t(i * row)], 4), to->product *= scale;
    }
  w.panels = make_panels(table, w, threads);
  if (m % 16 == 0 && k >= 512 && double(w.panels.size()) > 1.03 * double(w.rows.size())) fail("panels too large");
  return w;
}

static Floats linear(const KernelTable& table, const Matrix& w, const Floats& x, const float* bias, int threads, bool packed = true) {
  int64_t n = w.k ? int64_t(x.size()) / w.k : 0;
  constexpr size_t guard = 16;
  Floats y(size_t(n * w.m) + 2 * guard, 12345.0f);
  run(table, Kind::linear, {{x.data(), DType::f32, Layout::rows, {n, w.k}}, w.operand(packed, false),
                            {bias, DType::f32, Layout::rows, {w.m}}, {y.data() + guard, DType::f32, Layout::rows, {n, w.m}}}, {0}, threads);
  for (size_t i = 0; i < guard; i++) if (y[i] != 12345.0f || y[y.size() - 1 - i] != 12345.0f) fail("wrote outside y");
  return Floats(y.begin() + guard, y.end() - guard);
}

/**
 * The error that rounding may leave (the same bound is in docs/kernels.md). Sums in f32: every step rounds at
 * most twice (u = 2^-24), over as many steps as a term passes. For integer formats also half a step of the 8-bit
 * activations, max|x| / 254 for each weight of a group, unless the activations are `exact`: integers with a
 * maximum of 127, which are their own codes. Near zero a result may lose half of 2^-149: a sum at each step; the
 * product of two scales, which then counts 127 * code times; an activation's scale, 127 * weight times.
 */
static double bound_of(const Matrix& w, int64_t j, const float* x, bool exact) {
  const double u = std::ldexp(1.0, -24), least = std::ldexp(1.0, -149);
  bool integer = !w.format->floats();
  const int64_t group = w.format->group(w.k);
  double rounding = 0, reach = 0, weights = 0;
  for (int64_t g = 0; g < w.k; g += group) {
    double most = 0;
    for (int64_t k = g; k < w.k && k < g + group; k++) most = std::fmax(most, std::fabs(x[k]));
    for (int64_t k = g; k < w.k && k < g + group; k++) {
      const Weight& v = w.values[size_t(j * w.k + k)];
      if (integer && !exact) rounding += std::fabs(v.value()) * most / 254 * 1.00001;
      reach += v.reach() * (integer && !exact ? std::fabs(x[k]) + most / 254 : std::fabs(x[k]));
      weights += v.reach();
    }
  }
  double steps = integer ? 3.0 * double(w.k) / 16 + 6 : std::fmin(double(w.k), 256) * 2 + double(w.k) / 256 + 4;
  double small = double(w.k) + (integer ? 127 * (double(w.format->codes) * double(w.k) + weights) : 0);
  return rounding + steps * u * reach + small * least;
}

static void compare(const Matrix& w, const Floats& x, const float* bias, const Floats& y, bool exact) {
  for (int64_t i = 0; i * w.k < int64_t(x.size()); i++)
    for (int64_t j = 0; j < w.m; j++) {
      double want = bias ? bias[j] : 0;
      for (int64_t k = 0; k < w.k; k++) want += w.values[size_t(j * w.k + k)].value() * x[size_t(i * w.k + k)];
      double error = std::fabs(y[size_t(i * w.m + j)] - want), bound = bound_of(w, j, &x[size_t(i * w.k)], exact) + 1e-7 * std::fabs(want);
      if (!(error <= bound)) {
        char text[100];
        std::snprintf(text, sizeof text, "row %d column %d: error %g beyond %g", int(i), int(j), error, bound);
        return fail(text);
      }
    }
}

/** Activations by what is difficult about them. */
enum class Values { codes, plain, cancelling, equal, denormal, largest };
constexpr Values difficult[] = {Values::cancelling, Values::equal, Values::denormal, Values::largest};

static Floats activations(const Matrix& w, int64_t n, Values values) {
  const int64_t k = w.k;
  Floats x(size_t(n * k));
  // With minimums the activations of a group are summed up by themselves.
  double reach = 32;
  for (int64_t j = 0; j < w.m; j++) {
    double sum = 0;
    for (int64_t c = 0; c < k; c++) sum += w.values[size_t(j * k + c)].reach();
    reach = std::fmax(reach, sum);
  }
  const size_t group = size_t(w.format->group(k)), largest = group > 5 ? 5 : 0;
  for (size_t i = 0; i < x.size(); i++) {
    int sign = random32() & 1 ? 1 : -1;
    switch (values) {
      case Values::codes: x[i] = i % group == largest ? float(sign * 127) : float(int(random32() % 255) - 127); break;
      case Values::plain: x[i] = float(normal() * (random32() % 50 == 0 ? 20 : 1)); break;
      case Values::cancelling: x[i] = i % 2 ? -x[i - 1] * float(1 + 1e-6 * uniform()) : float(1e6 * normal()); break;
      case Values::equal: x[i] = -3.14f; break;
      case Values::denormal: x[i] = float(1e-40 * normal()); break;
      // As large as leaves all sums finite.
      case Values::largest: x[i] = float(sign * (0.5 + 0.5 * uniform()) * 3e38 / reach); break;
    }
  }
  return x;
}

/** n rows are within their bounds and have the bits of each row alone, in panels and in rows, on any threads. */
static void check_linear(const KernelTable& table, const Format& f, int64_t m, int64_t k, int64_t n, bool deep) {
  where = std::string(table.isa) + " " + f.name + " [" + std::to_string(n) + ", " + std::to_string(k) + "] x " + std::to_string(m);
  Matrix w = make(table, f, 1, m, k, 2);
  Floats bias(static_cast<size_t>(m));
  for (float& b : bias) b = float(normal());
  for (Values values : {Values::codes, Values::plain}) {
    bool exact = values == Values::codes;
    Floats x = activations(w, n, values);
    const float* b = exact ? nullptr : bias.data();
    Floats y = linear(table, w, x, b, 1);
    if (deep) compare(w, x, b, y, exact);
    if (!same(y, linear(table, w, x, b, 2))) fail("two threads give other bits");
    if (!same(y, linear(table, w, x, b, exact ? 3 : 7))) fail("more threads give other bits");
    if (n * m * k < 4000000 && !same(y, linear(table, w, x, b, 2, false))) fail("rows give other bits than panels");
    for (int64_t i = 0; i < n; i += n > 32 ? 37 : 1) {
      Floats one(x.begin() + i * k, x.begin() + (i + 1) * k);
      if (!same(Floats(y.begin() + i * m, y.begin() + (i + 1) * m), linear(table, w, one, b, 2))) { fail("row " + std::to_string(i) + " alone gives other bits"); break; }
    }
  }
}

/** Every number of rows from 1 to 70, and difficult activations. */
static void check_rows(const KernelTable& table, const Format& f, int64_t step) {
  const int64_t m = 19, k = f.block == 1 ? 67 : f.block == 32 ? 96 : 256;
  Matrix w = make(table, f, 1, m, k, 1);
  where = std::string(table.isa) + " " + f.name + " many rows";
  Floats x = activations(w, 70, Values::plain), alone;
  for (int64_t i = 0; i < 70; i++)
    for (float y : linear(table, w, Floats(x.begin() + i * k, x.begin() + (i + 1) * k), nullptr, 1)) alone.push_back(y);
  compare(w, x, nullptr, alone, false);
  for (int64_t n = 1; n <= 70; n += step)
    if (!same(linear(table, w, Floats(x.begin(), x.begin() + n * k), nullptr, int(n % 3) + 1), Floats(alone.begin(), alone.begin() + n * m)))
      return fail(std::to_string(n) + " rows give other bits than each alone");
  for (Values values : difficult) {
    where = std::string(table.isa) + " " + f.name + " difficult values " + std::to_string(int(values));
    x = activations(w, 5, values);
    compare(w, x, nullptr, linear(table, w, x, nullptr, 2), false);
  }
}

/** Every single weight, through products with 127 times the unit vectors; then through embed. */
static void check_weights(const KernelTable& table, const Format& f, int64_t most_k) {
  const int64_t m = 37, k = most_k;
  where = std::string(table.isa) + " " + f.name + " weights";
  Matrix w = make(table, f, 1, m, k, 3);
  if (w.panels != make_panels(table, w, 1)) fail("the number of threads changes the panels");
  Floats x(size_t(k * k));
  for (int64_t i = 0; i < k; i++) x[size_t(i * k + i)] = 127;
  Floats y = linear(table, w, x, nullptr, 2);
  for (int64_t i = 0; i < k; i++)
    for (int64_t j = 0; j < m; j++) {
      const Weight& v = w.values[size_t(j * k + i)];
      if (!(std::fabs(y[size_t(i * m + j)] - 127 * v.value()) <= 127 * 4 * std::ldexp(1.0, -24) * v.reach()))
        return fail("weight " + std::to_string(j) + ", " + std::to_string(i));
    }
  std::vector<int32_t> ids = {0, 36, 15, 16, 17, 5, -1, 37, 1 << 30};
  for (bool packed : {true, false}) {
    Floats rows(ids.size() * size_t(k));
    run(table, Kind::embed, {w.operand(packed, false), {ids.data(), DType::i32, Layout::rows, {int64_t(ids.size())}},
                             {rows.data(), DType::f32, Layout::rows, {int64_t(ids.size()), k}}}, {}, 2);
    for (size_t i = 0; i < ids.size(); i++)
      for (int64_t c = 0; c < k; c++) {
        int64_t id = ids[i] < 0 || ids[i] >= m ? 0 : ids[i];
        if (rows[i * size_t(k) + size_t(c)] != float(w.values[size_t(id * k + c)].value())) return fail("embed " + std::to_string(i) + ", " + std::to_string(c));
      }
  }
}

static void check_special(const KernelTable& table, const Format& f) {
  where = std::string(table.isa) + " " + f.name + " special values";
  const int64_t m = 20, k = 512, n = 14;
  Matrix w = make(table, f, 1, m, k, 1);
  Floats clean = activations(w, n, Values::plain), x = clean;
  x[size_t(1 * k + 3)] = NAN;
  x[size_t(4 * k + 500)] = INFINITY;
  x[size_t(13 * k + 31)] = -INFINITY;
  Floats y = linear(table, w, x, nullptr, 2), before = linear(table, w, clean, nullptr, 2);
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < m; j++) {
      float got = y[size_t(i * m + j)], v = f.floats() ? float(w.values[size_t(j * k + (i == 4 ? 500 : 31))].value()) : 0;
      bool right = i == 1 ? std::isnan(got)
                   : i == 4 || i == 13 ? (!f.floats() ? std::isnan(got) : v == 0 ? std::isnan(got) : std::isinf(got) && (got > 0) == ((v > 0) == (i == 4)))
                                       : std::memcmp(&got, &before[size_t(i * m + j)], 4) == 0;
      if (!right) return fail("row " + std::to_string(i) + ": " + std::to_string(got));
    }
  // Very small, very large and no activations.
  for (float size : {1e-44f, 1e-38f, 1e-30f, 1e30f, 0.0f}) {
    Floats s(static_cast<size_t>(k));
    for (int64_t i = 0; i < k; i++) s[size_t(i)] = float(normal()) * size;
    Floats z = linear(table, w, s, nullptr, 1);
    for (int64_t j = 0; j < m; j++) {
      double want = 0;
      for (int64_t c = 0; c < k; c++) want += w.values[size_t(j * k + c)].value() * s[size_t(c)];
      if (!(std::fabs(z[size_t(j)] - want) <= bound_of(w, j, s.data(), false))) return fail("activations of size " + std::to_string(size));
    }
  }
}

static void check_experts(const KernelTable& table, const Format& f, int64_t n, int64_t picks, bool shared_rows) {
  const int64_t e = 5, m = 35, k = 256;
  where = std::string(table.isa) + " " + f.name + " experts " + std::to_string(n) + " x " + std::to_string(picks);
  Matrix w = make(table, f, e, m, k, 2);
  Floats x = activations(w, shared_rows ? n : n * picks, Values::plain), bias(size_t(e * m));
  for (float& b : bias) b = float(normal());
  std::vector<int32_t> experts(size_t(n * picks));
  for (auto& i : experts) i = int32_t(random32() % (e - 1));
  Floats all[3];
  for (int threads = 1; threads <= 3; threads++) {
    Floats& y = all[threads - 1];
    y.assign(size_t(n * picks * m), 0);
    run(table, Kind::expert_linear, {{x.data(), DType::f32, Layout::rows, {int64_t(x.size()) / k, k}}, w.operand(true, true),
        {experts.data(), DType::i32, Layout::rows, {n, picks}}, {bias.data(), DType::f32, Layout::rows, {e, m}},
        {y.data(), DType::f32, Layout::rows, {n * picks, m}}}, {}, threads);
  }
  if (!same(all[0], all[1]) || !same(all[0], all[2])) fail("threads give other bits");
  for (int64_t i = 0; i < n * picks; i += 1 + n / 8) {
    int64_t expert = experts[size_t(i)], row = shared_rows ? i / picks : i;
    int64_t bytes = table.panel_bytes(f.dtype, m, k);
    Matrix one = {&f, 1, m, k, {}, Bytes(w.panels.begin() + expert * bytes, w.panels.begin() + (expert + 1) * bytes),
                  std::vector<Weight>(w.values.begin() + expert * m * k, w.values.begin() + (expert + 1) * m * k)};
    Floats xi(x.begin() + row * k, x.begin() + (row + 1) * k), yi(all[0].begin() + i * m, all[0].begin() + (i + 1) * m);
    if (!same(yi, linear(table, one, xi, &bias[size_t(expert * m)], 1))) { fail("differs from linear"); break; }
    compare(one, xi, &bias[size_t(expert * m)], yi, false);
  }
}

int main(int count, char** arguments) {
  // A few shapes, for emulators and slow sanitizers.
  const bool tiny = count > 1 && std::string(arguments[1]) == "tiny";
  return for_each_table([&](const KernelTable& table) {
    for (const Format& f : formats) {
      check_weights(table, f, tiny ? 256 : 512);
      check_special(table, f);
      check_rows(table, f, tiny ? 23 : 1);
      for (int64_t m : {1, 16, 35}) for (int64_t k : {1, 2, 31, 33, 32, 96, 256, 1280}) {
        if (k % f.block || (tiny && (m == 16 || k == 2 || k == 32 || k == 1280))) continue;
        for (int64_t n : {1, 2, 3, 5, 7, 12, 13, 31}) if (!tiny || n * k < 300) check_linear(table, f, m, k, n, true);
      }
      check_linear(table, f, 150, 256, 1, true);
      // Many rows with tails in every dimension: an odd number of panels, steps of k, tiles of rows.
      if (f.block == 1) check_linear(table, f, tiny ? 51 : 259, tiny ? 260 : 520, 29, !tiny);
      if (!tiny) check_linear(table, f, 530, 2304, 6, true), check_linear(table, f, 48, 1280, 1100, false);
      // A last step of k with a last batch of groups that is not full, and all panels whole.
      check_linear(table, f, 64, f.block > 32 ? 768 : 1184, 140, false);
      for (bool shared_rows : {true, false}) check_experts(table, f, 1, 2, shared_rows), check_experts(table, f, 40, 3, shared_rows);
      if (!tiny) check_experts(table, f, 600, 2, true);
      if (!f.header && table.panel_bytes(f.dtype, 16, f.block == 1 ? 0 : f.block + 1) != 0) fail("panels for broken blocks");
    }
    if (table.panel_bytes(DType::i32, 16, 32) != 0) fail("panels of i32");
  });
}
