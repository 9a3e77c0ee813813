// The integer product for WebAssembly, in the order of sums that tile.h states. Engines compile what they get
// about as it stands, so it is written for them: quads in a loop, so that the sums of a group and little else are
// alive in it; masks that are computed once; the scales of two parts out of one vector.
#pragma once
#include "tile.h"

namespace fovea::FOVEA_ISA {

inline V::B lasting_bytes(int byte) { return lasting(byte * 0x01010101); }

// The codes of `parts` parts of a group from part v0 on: `next(v, low, high)` gives quads t and t + 4 of part v,
// for t = 0, 1, 2, 3 in turn.

template <class Codes, int parts> struct Pairs;

template <int parts> struct Pairs<Codes4, parts> {
  struct Masks {
    V::B four = lasting_bytes(15);
  };
  const uint8_t* p;
  Pairs(const uint8_t* codes, int v0) : p(codes + 16 * v0) {}
  FOVEA_FLAT void next(const Masks& m, int v, V::B& low, V::B& high) {
    V::B b = V::bload(p + 16 * v);
    low = V::band(b, m.four);
    high = V::band(V::bshr<4>(b), m.four);
  }
  void step() { p += 64; }
};

template <int parts> struct Pairs<Codes5, parts> {
  struct Masks {
    V::B four = lasting_bytes(15), fifth = lasting_bytes(16);
  };
  const uint8_t* p;
  V::B plane[parts];
  Pairs(const uint8_t* codes, int v0) : p(codes + 16 * v0) {
    unroll<0, parts>([&](auto v) FOVEA_FLAT { plane[v.value] = V::bload(p + 256 + 16 * v.value); });
  }
  FOVEA_FLAT void next(const Masks& m, int v, V::B& low, V::B& high) {
    V::B b = V::bload(p + 16 * v);
    low = V::bor(V::band(b, m.four), V::band(V::bshl<4>(plane[v]), m.fifth));
    high = V::bor(V::band(V::bshr<4>(b), m.four), V::band(plane[v], m.fifth));
    plane[v] = V::bshr<1>(plane[v]);
  }
  void step() { p += 64; }
};

template <int parts> struct Pairs<Codes6, parts> {
  struct Masks {
    V::B four = lasting_bytes(15), high = lasting_bytes(48);
  };
  const uint8_t* p;
  V::B plane[parts], second[parts];
  Pairs(const uint8_t* codes, int v0) : p(codes + 16 * v0) {
    unroll<0, parts>([&](auto v) FOVEA_FLAT {
      plane[v.value] = V::bload(p + 256 + 16 * v.value);
      second[v.value] = V::bload(p + 320 + 16 * v.value);
    });
  }
  FOVEA_FLAT void next(const Masks& m, int v, V::B& low, V::B& high) {
    V::B b = V::bload(p + 16 * v);
    low = V::bor(V::band(b, m.four), V::band(V::bshl<4>(plane[v]), m.high));
    high = V::bor(V::band(V::bshr<4>(b), m.four), V::band(V::bshl<4>(second[v]), m.high));
    plane[v] = V::bshr<2>(plane[v]);
    second[v] = V::bshr<2>(second[v]);
  }
  void step() { p += 64; }
};

template <int parts> struct Pairs<Codes8, parts> {
  struct Masks {};
  const uint8_t* p;
  Pairs(const uint8_t* codes, int v0) : p(codes + 16 * v0) {}
  FOVEA_FLAT void next(const Masks&, int v, V::B& low, V::B& high) {
    low = V::bload(p + 16 * v);
    high = V::bload(p + 256 + 16 * v);
  }
  void step() { p += 64; }
};

/** Parts that a tile of several tokens takes together. */
template <class Fmt> constexpr int parts_of_tile() {
  if constexpr (!Fmt::integer) return 2;
  else return sizeof(V::Act) == 1 && (Fmt::Codes::bytes == Codes4::bytes || Fmt::Codes::bytes == Codes5::bytes) ? 2 : 1;
}

template <class Codes, int width> FOVEA_FLAT inline V::Acc dot_of(V::Acc a, V::B w, V::X x) {
  if constexpr (Codes::bytes == Codes8::bytes && width > 1) return V::dot_s8_often(a, w, x);
  else return Codes::dot(a, w, x);
}

// The scales, and minimums, of `parts` parts from part v0 on.

template <int parts, class C, int zero>
FOVEA_FLAT inline void scales(const Scaled<C, zero>& w, const Halves& h, int, int v0, V::F (&to)[parts]) {
  h.load(w.scales, v0, to);
}
template <int parts, class C>
FOVEA_FLAT inline void scales(const Affine<C>& w, const Halves& h, int, int v0, V::F (&to)[parts]) {
  h.load(w.scales, v0, to);
}
template <int parts, class C>
FOVEA_FLAT inline void scales(const SuperAffine<C>& w, const Halves& h, int, int v0, V::F (&to)[parts]) {
  h.load(w.super, v0, to);
  unroll<0, parts>([&](auto v) FOVEA_FLAT {
    to[v.value] = V::mul(to[v.value], V::load_u8(w.small + 4 * (v0 + v.value)));
  });
}
template <int parts, class C, int zero>
FOVEA_FLAT inline void scales(const SuperScaled<C, zero>& w, const Halves& h, int r, int v0, V::F (&to)[parts]) {
  h.load(w.super, v0, to);
  unroll<0, parts>([&](auto v) FOVEA_FLAT {
    to[v.value] = V::mul(to[v.value], V::load_s8(w.small + 16 * r + 4 * (v0 + v.value)));
  });
}

template <int parts, class C>
FOVEA_FLAT inline void mins(const Affine<C>& w, const Halves& h, int v0, V::F (&to)[parts]) {
  h.load(w.scales + 32, v0, to);
}
template <int parts, class C>
FOVEA_FLAT inline void mins(const SuperAffine<C>& w, const Halves& h, int v0, V::F (&to)[parts]) {
  h.load(w.super + 32, v0, to);
  unroll<0, parts>([&](auto v) FOVEA_FLAT {
    to[v.value] = V::neg(V::mul(to[v.value], V::load_u8(w.small + 128 + 4 * (v0 + v.value))));
  });
}

/** Bytes ahead that one token asks for: memory is the slower part then, and there is no other way to ask. */
constexpr int ask_ahead = 3072;

/** Reads a word of each line that a group has at p, or the last word before `end`; nobody waits for them. */
template <class Codes> FOVEA_FLAT inline void ask(const uint8_t* p, const uint8_t* end) {
  const uint8_t* last = end - 64;
  unroll<0, Codes::bytes / 64 + 1>([&](auto line) FOVEA_FLAT {
    const uint8_t* at = p + 64 * line.value;
    (void)*reinterpret_cast<const volatile uint32_t*>(at < last ? at : last);
  });
}

/** As the template of the same name in tile.h. */
template <class Fmt, int width, int parts>
inline void integer_tile(const uint8_t* panel, int v0, int64_t g0, int64_t g1, const Activations<Fmt>& x,
                         int64_t tile, const Target& target) {
  using Codes = typename Fmt::Codes;
  constexpr int runs = group / Fmt::run;
  // Parts whose sums are in registers at a time.
  constexpr int few = Codes::bytes == Codes6::bytes && parts == 4 ? 2 : parts;
  const typename Pairs<Codes, few>::Masks masks;
  const Halves halves;
  V::F y[width][parts];
  unroll<0, width>([&](auto m) FOVEA_FLAT {
    unroll<0, parts>([&](auto v) FOVEA_FLAT { y[m.value][v.value] = target.load(m.value, v0 + v.value); });
  });
  const V::Act* q = x.q + int(tile * x.k) + int(g0) * group * width;
  const float* scale = x.scale + int(tile * (x.k / group)) + int(g0) * width;
  const float* sum = Fmt::has_min ? x.sum + int(tile * (x.k / group)) + int(g0) * width : nullptr;
  const int32_t* start = x.start + int(tile * (x.k / Fmt::run)) + int(g0) * runs * width;
  for (int g = int(g0); g < int(g1); g++) {
    Fmt w(panel, g);
    if constexpr (width == 1) ask<Codes>(w.codes + ask_ahead, panel + int(Fmt::bytes(x.k)));
    unroll<0, parts / few>([&](auto some) FOVEA_FLAT {
      constexpr int s0 = some.value * few;
      V::Acc dots[runs][width][few];
      unroll<0, runs>([&](auto r) FOVEA_FLAT {
        unroll<0, width>([&](auto m) FOVEA_FLAT {
          V::Acc first = V::acc(start[r.value * width + m.value]);
          unroll<0, few>([&](auto v) FOVEA_FLAT { dots[r.value][m.value][v.value] = first; });
        });
      });
      Pairs<Codes, few> pairs(w.codes, v0 + s0);
      const V::Act* four = q;
#pragma clang loop unroll(disable)
      for (int t = 0; t < 4; t++, four += 4 * width, pairs.step()) {
        V::B low[few], high[few];
        unroll<0, few>([&](auto v) FOVEA_FLAT { pairs.next(masks, v.value, low[v.value], high[v.value]); });
        unroll<0, width>([&](auto m) FOVEA_FLAT {
          V::X a = V::quad(four + 4 * m.value), b = V::quad(four + 16 * width + 4 * m.value);
          unroll<0, few>([&](auto v) FOVEA_FLAT {
            V::Acc& first = dots[0][m.value][v.value];
            V::Acc& second = dots[runs - 1][m.value][v.value];
            first = dot_of<Codes, width>(first, low[v.value], a);
            second = dot_of<Codes, width>(second, high[v.value], b);
          });
        });
      }
      unroll<0, runs>([&](auto r) FOVEA_FLAT {
        V::F s[few];
        scales(w, halves, r.value, v0 + s0, s);
        unroll<0, few>([&](auto v) FOVEA_FLAT {
          unroll<0, width>([&](auto m) FOVEA_FLAT {
            V::F& to = y[m.value][s0 + v.value];
            to = V::fma(V::to_float(V::sum(dots[r.value][m.value][v.value])),
                        V::mul(s[v.value], V::set1(scale[m.value])), to);
          });
        });
      });
      if constexpr (Fmt::has_min) {
        V::F least[few];
        mins(w, halves, v0 + s0, least);
        unroll<0, few>([&](auto v) FOVEA_FLAT {
          unroll<0, width>([&](auto m) FOVEA_FLAT {
            V::F& to = y[m.value][s0 + v.value];
            to = V::fma(least[v.value], V::set1(sum[m.value]), to);
          });
        });
      }
    });
    q += group * width;
    scale += width;
    sum += Fmt::has_min ? width : 0;
    start += runs * width;
  }
  unroll<0, width>([&](auto m) FOVEA_FLAT {
    unroll<0, parts>([&](auto v) FOVEA_FLAT { target.store(m.value, v0 + v.value, y[m.value][v.value]); });
  });
}

}  // namespace fovea::FOVEA_ISA
