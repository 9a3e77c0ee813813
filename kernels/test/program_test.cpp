// Programs of several ops: neighbours that are run in one go against the same ops one by one, to the bit, with every
// choice for products, on one and several threads; and dense products against plain loops in f64.
#include "support.h"

using namespace fovea;
using namespace fovea::test;

struct Format {
  const char* name;
  DType dtype;
  int64_t block, bytes;
};
static const Format formats[] = {{"f32", DType::f32, 1, 4},      {"f16", DType::f16, 1, 2},
                                 {"q8_0", DType::q8_0, 32, 34},  {"q4_0", DType::q4_0, 32, 18},
                                 {"q6_K", DType::q6_K, 256, 210}};

static Floats normals(size_t count) {
  Floats x(count);
  for (float& each : x) each = float(normal());
  return x;
}

/** Bytes of which any two are a plain number in half precision; any four are one in f32. */
static Bytes weights(const Format& f, int64_t elements) {
  Bytes bytes(size_t(elements / f.block * f.bytes));
  for (size_t i = 0; i < bytes.size(); i++)
    bytes[i] = f.block == 1 ? (i % size_t(f.bytes) == size_t(f.bytes) - 1 ? 0x3c : uint8_t(random32() & 63))
                            : uint8_t(16 + random32() % 44);
  return bytes;
}

/**
 * A norm and three products of its result, of which the last two are joined by a gate; products that an activation
 * follows, and a sum with what stands on either side.
 */
static void check_neighbours(const KernelTable& table, const Format& f, int64_t n, int64_t k, bool rounded) {
  where = std::string(table.isa) + " neighbours " + f.name + (rounded ? " rounded " : " ") + std::to_string(n) + " rows";
  const int64_t sizes[] = {70, 48, 48};
  Floats x = normals(size_t(n * k)), scale = normals(size_t(k)), bias = normals(70), added = normals(size_t(n * 48));
  std::vector<Bytes> panels;
  for (int64_t m : sizes) {
    Bytes rows = weights(f, m * k);
    panels.emplace_back(size_t(table.panel_bytes(f.dtype, m, k)));
    run(table, Kind::pack,
        {{rows.data(), f.dtype, Layout::rows, {m, k}}, {panels.back().data(), f.dtype, Layout::panels, {m, k}}}, {}, 2);
  }
  auto all = [&](int threads, bool one_by_one, Tuning* tuning) {
    // Normed rows, three products, the gate, an activation, sums.
    std::vector<Floats> out = {Floats(size_t(n * k), NAN)};
    for (int64_t m : sizes) out.emplace_back(size_t(n * m), NAN);
    for (int64_t m : {48, 70, 48, 48}) out.emplace_back(size_t(n * m), NAN);
    // Sums in the place of the product, and in that of what is added.
    out.push_back(added);
    Commands commands;
    auto rows_of = [&](const Floats& y, int64_t m) { return Operand{y.data(), DType::f32, Layout::rows, {n, m}}; };
    commands.add(Kind::rmsnorm, {rows_of(x, k), {scale.data(), DType::f32, Layout::rows, {1, k}}, rows_of(out[0], k)}, {1e-5});
    auto product = [&](size_t i) {
      const float* b = i == 0 ? bias.data() : nullptr;
      commands.add(Kind::linear,
                   {rows_of(out[0], k), {panels[i].data(), f.dtype, Layout::panels, {sizes[i], k}},
                    {b, DType::f32, Layout::rows, {b ? sizes[i] : 0}}, rows_of(out[i + 1], sizes[i])},
                   {double(rounded)});
    };
    product(0);
    // Again, so that the gate follows two products alone.
    commands.add(Kind::rmsnorm, {rows_of(x, k), {scale.data(), DType::f32, Layout::rows, {1, k}}, rows_of(out[0], k)}, {1e-5});
    product(1);
    product(2);
    commands.add(Kind::gated, {rows_of(out[2], 48), rows_of(out[3], 48), rows_of(out[4], 48)}, {0});
    product(0);
    commands.add(Kind::activation, {rows_of(out[1], 70), rows_of(out[5], 70)}, {1});
    product(1);
    commands.add(Kind::add, {rows_of(out[2], 48), rows_of(added, 48), rows_of(out[6], 48)}, {});
    product(2);
    commands.add(Kind::add, {rows_of(added, 48), rows_of(out[3], 48), rows_of(out[7], 48)}, {});
    product(2);
    commands.add(Kind::add, {rows_of(out[8], 48), rows_of(out[3], 48), rows_of(out[8], 48)}, {});
    interpret_all(table, commands, threads, one_by_one, tuning);
    return out;
  };
  auto equal = [](const std::vector<Floats>& a, const std::vector<Floats>& b) {
    for (size_t i = 0; i < a.size(); i++)
      if (!same(a[i], b[i])) return false;
    return true;
  };
  const std::vector<Floats> wanted = all(1, true, nullptr);
  for (int threads : {1, 2, 5})
    if (!equal(all(threads, false, nullptr), wanted)) fail("in one go they give other bits");

  // Every choice, for all products that are there: they tell their shapes when they are timed.
  std::vector<Sample> samples(64);
  for (int threads : {1, 3}) {
    Tuning noting;
    noting.samples = samples.data();
    noting.room = int32_t(samples.size());
    all(threads, false, &noting);
    // Many rows of floats go as dense products; there, and where operands are rounded, nothing can be chosen.
    if (noting.count == 0 && !rounded && (f.block > 1 || n < 8)) fail("no times were noted");
    std::vector<Choice> choices;
    for (int ahead : {64, 16384}) choices.push_back({ahead, 0, 0, 0});
    for (int count : {1, 3, 64}) choices.push_back({0, count, 0, 0});
    for (int step : {256, 512, 4096}) choices.push_back({0, 0, step, 0});
    for (int tiles : {1, 2, 3}) choices.push_back({0, 0, 0, tiles});
    choices.push_back({512, 2, 256, 3});
    for (const Choice& choice : choices) {
      std::vector<Tuned> places(16);
      for (int i = 0; i < noting.count; i++) {
        uint32_t at = Tuning::hash(samples[size_t(i)].shape);
        while (places[at % 16].shape.m != 0 && !(places[at % 16].shape == samples[size_t(i)].shape)) at++;
        places[at % 16] = {samples[size_t(i)].shape, choice};
      }
      Tuning tuning;
      tuning.table = places.data();
      tuning.mask = 15;
      if (!equal(all(threads, false, &tuning), wanted))
        fail("ahead " + std::to_string(choice.ahead) + ", panels " + std::to_string(choice.panels) + ", step " +
             std::to_string(choice.step) + ", tiles " + std::to_string(choice.tiles) + " give other bits");
    }
  }
}

/** y = c + a b, transposes and all, within the bound of docs/kernels.md; the same bits on more threads. */
static void check_matmul(const KernelTable& table, int64_t batch, int64_t n, int64_t k, int64_t m, bool ta, bool tb) {
  where = std::string(table.isa) + " matmul " + std::to_string(n) + " x " + std::to_string(k) + " x " + std::to_string(m);
  Floats a = normals(size_t(batch * n * k)), b = normals(size_t(batch * k * m)), c = normals(size_t(batch * n * m));
  auto product = [&](int threads) {
    Floats y(c.size(), NAN);
    std::vector<int64_t> left = {batch, n, k}, right = {batch, k, m};
    if (ta) std::swap(left[1], left[2]);
    if (tb) std::swap(right[1], right[2]);
    run(table, Kind::matmul,
        {{a.data(), DType::f32, Layout::rows, left}, {b.data(), DType::f32, Layout::rows, right},
         {c.data(), DType::f32, Layout::rows, {batch, n, m}}, {y.data(), DType::f32, Layout::rows, {batch, n, m}}},
        {double(ta), double(tb), 0}, threads);
    return y;
  };
  Floats y = product(1);
  for (int threads : {2, 5})
    if (!same(y, product(threads))) fail("more threads give other bits");
  for (int64_t i = 0; i < batch; i++)
    for (int64_t r = 0; r < n; r++)
      for (int64_t j = 0; j < m; j++) {
        const size_t at = size_t((i * n + r) * m + j);
        double want = c[at], sizes = std::fabs(want);
        for (int64_t q = 0; q < k; q++) {
          double p = double(a[size_t(i * n * k + (ta ? q * n + r : r * k + q))]) * b[size_t(i * k * m + (tb ? j * k + q : q * m + j))];
          want += p;
          sizes += std::fabs(p);
        }
        if (!(std::fabs(y[at] - want) <= (2 * double(k) + 4) * std::ldexp(1.0, -24) * sizes)) return fail("beyond its bound");
      }
}

int main(int count, char** arguments) {
  const bool tiny = count > 1 && std::string(arguments[1]) == "tiny";
  return for_each_table([&](const KernelTable& table) {
    for (const Format& f : formats)
      for (int64_t n : {1, 3, 8, 13, 40}) {
        if (tiny && (n == 3 || n == 40)) continue;
        check_neighbours(table, f, n, tiny ? 512 : 1280, false);
        if (f.block == 1) check_neighbours(table, f, n, tiny ? 512 : 1280, true);
      }
    for (bool ta : {false, true})
      for (bool tb : {false, true}) {
        check_matmul(table, 1, 33, 300, 70, ta, tb);
        check_matmul(table, 3, 5, 31, 17, ta, tb);
        if (!tiny) check_matmul(table, 1, 100, 600, 130, ta, tb);
      }
  });
}
