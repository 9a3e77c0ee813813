#!/bin/sh
# Builds and runs the tests of the kernels: this machine's instruction sets, again under the address and
# undefined-behaviour sanitizers, and aarch64 under qemu where its compiler is installed.
set -e
cd "$(dirname "$0")/.."
out=${TMPDIR:-/tmp}/fovea-kernels-test
mkdir -p "$out"
common="-std=c++17 -ffp-contract=off -Wall -Wextra -I."
avx2="-mavx2 -mfma -mf16c"
avx512="$avx2 -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni"

# build NAME COMPILER FLAGS ISA:ISA_FLAGS...  makes $out/NAME-linear and, for each ISA, $out/NAME-ISA-math
build() {
  name=$1 compiler=$2 flags=$3
  shift 3
  objects= tables=
  for each; do
    isa=${each%%:*} isa_flags=${each#*:}
    macro=FOVEA_ISA_$(echo "$isa" | tr a-z A-Z)
    $compiler $common $flags $isa_flags -D$macro -c isa.cpp -o "$out/$name-$isa.o"
    $compiler $common $flags $isa_flags -D$macro test/math_test.cpp -o "$out/$name-$isa-math"
    objects="$objects $out/$name-$isa.o" tables="$tables TABLE($isa)"
  done
  $compiler $common $flags "-DTEST_TABLES=$tables" test/linear_test.cpp $objects -o "$out/$name-linear" -pthread
}

# check RUNNER NAME SIZE
check() {
  for math in "$out/$2"-*-math; do $1 "$math"; done
  $1 "$out/$2-linear" $3
}

case $(uname -m) in
  x86_64)
    build plain g++ -O2 "avx512:$avx512" "avx2:$avx2" scalar:
    check "" plain
    # The second sanitizer makes compilers very slow on intrinsics: plain C++ goes through the same kernels.
    build memory g++ "-O1 -fsanitize=address" "avx512:$avx512" "avx2:$avx2"
    check "" memory quick
    build behaviour g++ "-O1 -fsanitize=address,undefined -fno-sanitize-recover=all" scalar:
    check "" behaviour quick
    if command -v aarch64-linux-gnu-g++ >/dev/null && command -v qemu-aarch64 >/dev/null; then
      build arm aarch64-linux-gnu-g++ "-O2 -static" neon: neon_dot:-march=armv8.2-a+dotprod
      check qemu-aarch64 arm tiny
    else
      echo "aarch64: no cross compiler or no qemu, skipped"
    fi
    ;;
  aarch64)
    build plain g++ -O2 neon: neon_dot:-march=armv8.2-a+dotprod scalar:
    check "" plain
    ;;
esac
if command -v clang-19 >/dev/null; then
  clang-19 $common -O2 --target=wasm32 -nostdlib -ffreestanding -msimd128 -mbulk-memory -matomics -fno-exceptions \
    -fno-rtti -DFOVEA_ISA_WASM -c isa.cpp -o "$out/wasm.o"
  echo "wasm: compiles"
else
  echo "wasm: no clang-19, skipped"
fi
