// Rows of a table by number, from rows or from panels. Knows nothing of products.
#pragma once
#include "pack.h"

namespace fovea::FOVEA_ISA {

/** Row r of a panel as f32. The product of scale and code is exact, so adding the minimum rounds once. */
template <class Fmt> inline void unpack_row(const uint8_t* panel, int r, int64_t k, float* y) {
  int v = r / V::lanes, lane = r % V::lanes;
  float lanes[V::lanes];
  if constexpr (rowwise<Fmt>) {
    V::store(lanes, Fmt::scale(panel, v));
    const int8_t* codes = reinterpret_cast<const int8_t*>(Fmt::codes(panel)) + 4 * r;
    for (int64_t i = 0; i < k; i++) y[i] = lanes[lane] * float(codes[16 * (i / 4 * 4) + i % 4]);
  } else if constexpr (Fmt::integer) {
    for (int64_t g = 0; g < k / group; g++) {
      Fmt w(panel, g);
      uint8_t bytes[4 * V::lanes];
      V::store(lanes, w.min(v));
      float min = lanes[lane];
      unroll<0, 8>([&](auto t) {
        constexpr int quads_in_run = Fmt::run / 4;
        V::store(lanes, w.scale(t.value / quads_in_run, v));
        V::B b = Fmt::Codes::template code<t.value>(w.codes, v);
        __builtin_memcpy(bytes, &b, sizeof bytes);
        for (int i = 0; i < 4; i++) {
          uint8_t code = bytes[4 * lane + i];
          int level = Fmt::Codes::bytes == Codes8::bytes ? int8_t(code) : code - Fmt::zero;
          float value = lanes[lane] * float(level);
          y[g * group + 4 * t.value + i] = Fmt::has_min ? value + min : value;
        }
      });
    }
  } else {
    for (int64_t i = 0; i < k; i++) {
      V::store(lanes, Fmt::weights(panel, i, v));
      y[i] = lanes[lane];
    }
  }
}

/** A row in the blocks of its format: step by step through a small panel of which it is the first row. */
template <class Fmt> inline void unpack_blocks(const uint8_t* src, int64_t k, float* y) {
  if constexpr (rowwise<Fmt>) {
    float scale = load_as<float>(src);
    for (int64_t i = 0; i < k; i++) y[i] = scale * float(int8_t(src[RowsOf<Fmt>::header + i]));
  } else {
    constexpr int64_t step = 256;
    alignas(64) uint8_t panel[Fmt::bytes(step)];
    for (int64_t k0 = 0; k0 < k; k0 += step) {
      int64_t n = k - k0 < step ? k - k0 : step;
      pack_panel<Fmt>(src + row_bytes<Fmt>(k0), 1, n, panel);
      unpack_row<Fmt>(panel, 0, n, y + k0);
    }
  }
}

/** The op: tensors table [v, d], ids [n], y [n, d]. */
inline void embed(const Op& op, const Work& work) {
  Tensor table = op.tensor(0), ids = op.tensor(1), y = op.tensor(2);
  int64_t d = table.d[1], begin, end;
  work.share(ids.d[0], 1, begin, end);
  with_format(table.dtype, [&](auto type) {
    using Fmt = typename decltype(type)::type;
    for (int64_t i = begin; i < end; i++) {
      int64_t id = ids.i32()[i];
      if (id < 0 || id >= table.d[0]) id = 0;
      if (table.layout == Layout::panels)
        unpack_row<Fmt>(table.data + id / panel_rows * Fmt::bytes(d), int(id % panel_rows), d, y.f32() + i * d);
      else unpack_blocks<Fmt>(table.data + id * row_bytes<Fmt>(d), d, y.f32() + i * d);
    }
  });
}

}  // namespace fovea::FOVEA_ISA
