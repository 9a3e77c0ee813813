// Products with weight matrices: the ops linear and expert_linear, and what is fused with them. Chunks of rows go
// through multiplier.h; many rows times floats go another way (many_rows.h).
#pragma once
#include "multiplier.h"
#include "rounded.h"

namespace fovea::FOVEA_ISA {

/** Multiplications below which one thread is faster than two that must meet. */
constexpr int64_t small_product = 1 << 15;

template <class Fmt> inline int64_t product_scratch(const Product& p, int threads) {
  if constexpr (!Fmt::integer) {
    if (p.rounded) return RoundedScratch<Fmt>(p).bytes(threads);
    if (is_many(p)) return dense_of<Fmt>(p).scratch(threads);
  }
  return Activations<Fmt>::bytes(Tiles<Fmt>::capacity(p.n), p.k) +
         threads * (Tiles<Fmt>::bytes(p.n, p.e) + Multiplier<Fmt>::own_bytes(p));
}

template <class Fmt> inline void multiply(const Product& p, const Work& shared) {
  if constexpr (!Fmt::integer)
    if (is_many(p) && !p.rounded) return multiply_many<Fmt>(p, shared);
  Work work = shared;
  const bool alone = p.multiplications() < small_product;
  if (alone) {
    if (work.thread != 0) return;
    work.threads = 1;
  }
  auto meet = [&] {
    if (alone) work.counters->clear(1);
    else work.barrier();
  };
  if constexpr (!Fmt::integer)
    if (p.rounded) return multiply_rounded<Fmt>(p, work, meet);
  int64_t tile_bytes = Tiles<Fmt>::bytes(p.n, p.e), tokens = Tiles<Fmt>::capacity(p.n);
  uint8_t* mine = work.scratch + Activations<Fmt>::bytes(tokens, p.k) +
                  work.thread * (tile_bytes + Multiplier<Fmt>::own_bytes(p));
  Choice choice;
  if (work.tuning && !alone) {
    const ProductShape shape = shape_of(p, work.threads);
    choice = work.tuning->find(shape);
    if (work.thread == 0 && work.tuning->samples) work.tuning->now = shape;
  }
  Tiles<Fmt> tiles(p, choice.tiles, mine);
#if defined(FOVEA_ISA_AMX)
  if constexpr (matrix_tiles<Fmt>) amx::begin(Fmt::run);
#endif
  Multiplier<Fmt> multiplier = {p, tiles, choice, Activations<Fmt>(work.scratch, tokens, p.k), mine + tile_bytes};
  for (int64_t from = 0; from < p.n;) {
    if (from > 0) meet();
    Chunk c = tiles.next(from);
    if (Fmt::integer || c.wide || p.norm) {
      multiplier.prepare(c, work);
      meet();
    }
    multiplier.chunk(c, work);
  }
#if defined(FOVEA_ISA_AMX)
  if constexpr (matrix_tiles<Fmt>) amx::end();
#endif
}

inline const float* floats_or_null(const Tensor& t) { return t.data ? t.f32() : nullptr; }

inline Product product_of_linear(const Op& op) {
  Tensor x = op.tensor(0), weight = op.tensor(1), bias = op.tensor(2), y = op.tensor(3);
  return {x.f32(), x.d[0], 1, weight.d[1], 1, nullptr, {{weight, weight.d[0], floats_or_null(bias), y.f32()}},
          1, nullptr, nullptr, op.number(0) != 0};
}

inline Product product_of_experts(const Op& op) {
  Tensor x = op.tensor(0), weight = op.tensor(1), experts = op.tensor(2), bias = op.tensor(3), y = op.tensor(4);
  int64_t picks = experts.d[1];
  return {x.f32(), experts.d[0] * picks, x.d[0] == experts.d[0] ? picks : 1, weight.d[2], weight.d[0],
          experts.i32(), {{weight, weight.d[1], floats_or_null(bias), y.f32()}}, 1, nullptr, nullptr, false};
}

inline void run_product(const Product& p, const Work& work) {
  if (p.n == 0 || p.matrix[0].m == 0) return;
  with_format(p.dtype(), [&](auto type) { multiply<typename decltype(type)::type>(p, work); });
}

inline int64_t scratch_of_product(const Product& p, int threads) {
  int64_t bytes = 0;
  with_format(p.dtype(), [&](auto type) { bytes = product_scratch<typename decltype(type)::type>(p, threads); });
  return bytes;
}

/** The op: tensors x [n, k], weight [m, k], bias [m] or absent, y [n, m]; number: whether rounded to bf16. */
inline void linear(const Op& op, const Work& work) { run_product(product_of_linear(op), work); }
inline int64_t linear_scratch(const Op& op, int threads) {
  return scratch_of_product(product_of_linear(op), threads);
}

/** Neighbouring ops in one go; see `Fused`. Its scratch memory is that of any of its linear ops. */
inline void fused(const Fused& f, const Work& work) {
  Product p = product_of_linear(f.linear[0]);
  for (int i = 1; i < f.count; i++) p.matrix[p.count++] = product_of_linear(f.linear[i]).matrix[0];
  Norm norm;
  if (f.norm.words) {
    norm = {f.norm.tensor(0).f32(), f.norm.tensor(1).f32(), float(f.norm.number(0))};
    p.norm = &norm;
  }
  After after;
  if (f.after.words) {
    switch (f.after.kind()) {
      case Kind::gated: after = {After::gate, f.after.tensor(2).f32(), int(f.after.number(0)), nullptr}; break;
      case Kind::activation: after = {After::activation, f.after.tensor(1).f32(), int(f.after.number(0)), nullptr}; break;
      default: after = {After::sum, f.after.tensor(2).f32(), 0, f.after.tensor(f.other).f32()};
    }
    p.after = &after;
  }
  run_product(p, work);
}

/** The op: tensors x, weight [e, m, k], experts [n, p], bias [e, m] or absent, y [n * p, m]. */
inline void expert_linear(const Op& op, const Work& work) { run_product(product_of_experts(op), work); }
inline int64_t expert_linear_scratch(const Op& op, int threads) {
  return scratch_of_product(product_of_experts(op), threads);
}

}  // namespace fovea::FOVEA_ISA
