// From rows to panels: reads the blocks of a row as files hold them and puts their codes and scales where the
// panels want them. Bits are moved, never computed with, so the values stay the same.
#pragma once
#include "../kernels.h"
#include "formats.h"

namespace fovea::FOVEA_ISA {

inline void put32(uint8_t* p, uint32_t x) { __builtin_memcpy(p, &x, 4); }
inline void put16(uint8_t* p, const uint8_t* from) { __builtin_memcpy(p, from, 2); }

/** 16 bytes of codes: byte i holds elements i and i + 16, as the quads of a panel do. */
inline void put_nibbles(uint8_t* codes, int r, const uint32_t four[4]) {
  for (int i = 0; i < 4; i++) put32(codes + 64 * i + 4 * r, four[i]);
}

/** Every fourth bit of x from bit c on, gathered in the low byte. */
inline uint32_t every_fourth(uint32_t x, int c) {
  x = (x >> c) & 0x11111111u;
  x = (x | x >> 3) & 0x03030303u;
  x = (x | x >> 6) & 0x000f000fu;
  return (x | x >> 12) & 0xffu;
}

// Rows<format>: `put(src, k0, panel, r)` moves the block at src, whose first element is k0 of row r.

/** Blocks of 32 with a scale, maybe a minimum, maybe fifth bits, then codes of four bits. */
template <class Fmt, int halves_, bool fifth> struct SmallRows {
  static constexpr int block_bytes = 2 * halves_ + 4 * fifth + 16;
  static void put(const uint8_t* src, int64_t k0, uint8_t* panel, int r) {
    Fmt to(panel, k0 / group);
    uint8_t* scales = const_cast<uint8_t*>(to.scales);
    uint8_t* codes = const_cast<uint8_t*>(to.codes);
    for (int i = 0; i < halves_; i++) put16(scales + 32 * i + 2 * r, src + 2 * i);
    uint32_t four[4];
    __builtin_memcpy(four, src + block_bytes - 16, 16);
    put_nibbles(codes, r, four);
    if constexpr (fifth) {
      uint32_t bits = load_as<uint32_t>(src + 2 * halves_), plane = 0;
      for (int c = 0; c < 4; c++) plane |= every_fourth(bits, c) << (8 * c);
      put32(codes + 256 + 4 * r, plane);
    }
  }
};

struct ByteRows {
  static constexpr int block_bytes = 34;
  static void put(const uint8_t* src, int64_t k0, uint8_t* panel, int r) {
    Q8_0 to(panel, k0 / group);
    put16(const_cast<uint8_t*>(to.scales) + 2 * r, src);
    uint8_t* codes = const_cast<uint8_t*>(to.codes);
    for (int t = 0; t < 8; t++) __builtin_memcpy(codes + 64 * t + 4 * r, src + 2 + 4 * t, 4);
  }
};

/**
 * q4_K and q5_K: [d][dmin][12 bytes: 8 scales and 8 minimums of 6 bits][32 bytes of fifth bits][128 of codes].
 * 32 code bytes hold two groups, one in the low and one in the high halves.
 */
template <class Fmt, bool fifth> struct SuperAffineRows {
  static constexpr int block_bytes = 4 + 12 + 32 * fifth + 128;
  static void put(const uint8_t* src, int64_t k0, uint8_t* panel, int r) {
    const uint8_t *six = src + 4, *plane = src + 16, *nibbles = plane + 32 * fifth;
    for (int g = 0; g < 8; g++) {
      Fmt to(panel, k0 / group + g);
      uint8_t* small = const_cast<uint8_t*>(to.small);
      uint8_t* codes = const_cast<uint8_t*>(to.codes);
      if (g == 0)
        for (int i = 0; i < 2; i++) put16(const_cast<uint8_t*>(to.super) + 32 * i + 2 * r, src + 2 * i);
      small[r] = g < 4 ? six[g] & 63 : (six[g + 4] & 15) | (six[g - 4] >> 6) << 4;
      small[128 + r] = g < 4 ? six[g + 4] & 63 : six[g + 4] >> 4 | (six[g] >> 6) << 4;
      uint32_t eight[8], four[4];
      __builtin_memcpy(eight, nibbles + 32 * (g / 2), 32);
      for (int i = 0; i < 4; i++) {
        uint32_t low = eight[i] >> (4 * (g % 2)), high = eight[i + 4] >> (4 * (g % 2));
        four[i] = (low & 0x0f0f0f0fu) | (high & 0x0f0f0f0fu) << 4;
      }
      put_nibbles(codes, r, four);
      if constexpr (fifth) {
        __builtin_memcpy(eight, plane, 32);
        uint32_t bits = 0;
        for (int t = 0; t < 8; t++) bits |= (eight[t] >> g & 0x01010101u) << t;
        put32(codes + 256 + 4 * r, bits);
      }
    }
  }
};

/**
 * q6_K: [128 bytes of low halves][64 bytes of high pairs of bits][16 signed scales][d]. Each half of the
 * block has 4 groups: low halves in 64 bytes (two groups low, two high), pairs of bits in 32.
 */
struct Q6Rows {
  static constexpr int block_bytes = 210;
  static void put(const uint8_t* src, int64_t k0, uint8_t* panel, int r) {
    for (int g = 0; g < 8; g++) {
      Q6_K to(panel, k0 / group + g);
      uint8_t* codes = const_cast<uint8_t*>(to.codes);
      if (g == 0) put16(const_cast<uint8_t*>(to.super) + 2 * r, src + 208);
      for (int i = 0; i < 2; i++) const_cast<uint8_t*>(to.small)[16 * i + r] = src[192 + 2 * g + i];
      uint32_t eight[8], four[4];
      int j = g % 4;
      __builtin_memcpy(eight, src + 64 * (g / 4) + 32 * (j % 2), 32);
      for (int i = 0; i < 4; i++) {
        uint32_t low = eight[i] >> (4 * (j / 2)), high = eight[i + 4] >> (4 * (j / 2));
        four[i] = (low & 0x0f0f0f0fu) | (high & 0x0f0f0f0fu) << 4;
      }
      put_nibbles(codes, r, four);
      __builtin_memcpy(eight, src + 128 + 32 * (g / 4), 32);
      for (int u = 0; u < 2; u++) {
        uint32_t plane = 0;
        for (int t = 0; t < 4; t++) plane |= (eight[4 * u + t] >> (2 * j) & 0x03030303u) << (2 * t);
        put32(codes + 256 + 64 * u + 4 * r, plane);
      }
    }
  }
};

/** Single values of the float formats. */
template <int width> struct FloatRows {
  static constexpr int block_bytes = width;
  static void put(const uint8_t* src, int64_t k0, uint8_t* panel, int r) {
    __builtin_memcpy(panel + (k0 * panel_rows + r) * width, src, width);
  }
};

/** A scale, then the codes of the row. */
struct WholeRows {
  static constexpr int header = 4;
  static void put(const uint8_t* src, int64_t k, uint8_t* panel, int r) {
    __builtin_memcpy(panel + 4 * r, src, header);
    uint8_t* codes = const_cast<uint8_t*>(I8_row::codes(panel)) + 4 * r;
    for (int64_t i = 0; i + 4 <= k; i += 4) __builtin_memcpy(codes + 16 * i, src + header + i, 4);
    for (int64_t i = k / 4 * 4; i < k; i++) codes[16 * (i / 4 * 4) + i % 4] = src[header + i];
  }
};

template <class Fmt> struct RowsOf;
template <> struct RowsOf<F32> : FloatRows<4> {};
template <> struct RowsOf<F16> : FloatRows<2> {};
template <> struct RowsOf<BF16> : FloatRows<2> {};
template <> struct RowsOf<Q8_0> : ByteRows {};
template <> struct RowsOf<Q4_0> : SmallRows<Q4_0, 1, false> {};
template <> struct RowsOf<Q4_1> : SmallRows<Q4_1, 2, false> {};
template <> struct RowsOf<Q5_0> : SmallRows<Q5_0, 1, true> {};
template <> struct RowsOf<Q5_1> : SmallRows<Q5_1, 2, true> {};
template <> struct RowsOf<Q4_K> : SuperAffineRows<Q4_K, false> {};
template <> struct RowsOf<Q5_K> : SuperAffineRows<Q5_K, true> {};
template <> struct RowsOf<Q6_K> : Q6Rows {};
template <> struct RowsOf<I8_row> : WholeRows {};

/** Bytes of a row of k elements. */
template <class Fmt> constexpr int64_t row_bytes(int64_t k) {
  if constexpr (rowwise<Fmt>) return RowsOf<Fmt>::header + k;
  else return k / Fmt::block * RowsOf<Fmt>::block_bytes;
}

/** Fills a panel from the `count` rows at `rows` (row length k); the rows that are missing become zeros. */
template <class Fmt> inline void pack_panel(const uint8_t* rows, int count, int64_t k, uint8_t* panel) {
  using Rows = RowsOf<Fmt>;
  // Also the gaps of the layout: equal matrices are to have equal panels, byte for byte.
  if (count < panel_rows || Fmt::gaps(k)) __builtin_memset(panel, 0, size_t(Fmt::bytes(k)));
  if constexpr (rowwise<Fmt>) {
    for (int r = 0; r < count; r++) Rows::put(rows + r * row_bytes<Fmt>(k), k, panel, r);
  } else {
    // Blocks come in whole rows, as the memory likes it. Floats scatter over so many lines that a step of k must
    // leave all of them in the first cache.
    const int64_t step = Fmt::integer ? k : 256;
    for (int64_t k0 = 0; k0 < k; k0 += step) {
      int64_t end = k0 + step < k ? k0 + step : k;
      for (int r = 0; r < count; r++) {
        const uint8_t* src = rows + r * row_bytes<Fmt>(k) + row_bytes<Fmt>(k0);
        for (int64_t at = k0; at < end; at += Fmt::block, src += Rows::block_bytes) Rows::put(src, at, panel, r);
      }
    }
  }
}

/** The op: tensors x (rows) and y (panels), [m, k] or [e, m, k]. */
inline void pack(const Op& op, const Work& work) {
  Tensor x = op.tensor(0), y = op.tensor(1);
  bool stack = x.d[2] != 1;
  int64_t e = stack ? x.d[0] : 1, m = x.d[stack ? 1 : 0], k = x.d[stack ? 2 : 1];
  with_format(x.dtype, [&](auto type) {
    using Fmt = typename decltype(type)::type;
    int64_t begin, end, panels = panels_of(m);
    work.share(e * panels, 1, begin, end);
    for (int64_t i = begin; i < end; i++) {
      int64_t row = i / panels * m + i % panels * panel_rows;
      int64_t left = m - i % panels * panel_rows;
      pack_panel<Fmt>(x.data + row * row_bytes<Fmt>(k), int(left < panel_rows ? left : panel_rows), k,
                      y.data + i * Fmt::bytes(k));
    }
  });
}

}  // namespace fovea::FOVEA_ISA
