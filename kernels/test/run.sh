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

# build NAME COMPILER FLAGS ISA:ISA_FLAGS...  makes $out/NAME-linear and, for each ISA, $out/NAME-ISA-math and
# $out/NAME-ISA-attend
build() {
  name=$1 compiler=$2 flags=$3
  shift 3
  objects= tables=
  for each; do
    isa=${each%%:*} isa_flags=${each#*:}
    macro=FOVEA_ISA_$(echo "$isa" | tr a-z A-Z)
    $compiler $common $flags $isa_flags -D$macro -c isa.cpp -o "$out/$name-$isa.o"
    $compiler $common $flags $isa_flags -D$macro test/math_test.cpp -o "$out/$name-$isa-math"
    $compiler $common $flags $isa_flags -D$macro test/attend_test.cpp interpreter.cpp wait.cpp \
      -o "$out/$name-$isa-attend" -pthread
    objects="$objects $out/$name-$isa.o" tables="$tables TABLE($isa)"
  done
  $compiler $common $flags "-DTEST_TABLES=$tables" test/linear_test.cpp $objects -o "$out/$name-linear" -pthread
}

# engine NAME FLAGS  runs the test of the engine with the objects of the build "plain"
engine() {
  g++ $common $2 test/engine_test.cpp engine.cpp memory.cpp wait.cpp interpreter.cpp dispatch.cpp "$out"/plain-*.o \
    -o "$out/$1-engine" -pthread
  for threads in 1 2 5; do "$out/$1-engine" $threads 500; done
}

# check RUNNER NAME SIZE
check() {
  for test in "$out/$2"-*-math "$out/$2"-*-attend; do $1 "$test"; done
  $1 "$out/$2-linear" $3
}

case $(uname -m) in
  x86_64)
    build plain g++ -O2 "avx512:$avx512" "avx2:$avx2" scalar:
    check "" plain
    engine thread "-O1 -g -fsanitize=thread"
    engine memory "-O1 -g -fsanitize=address,undefined"
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
  for flags in -DFOVEA_ISA_WASM "-mrelaxed-simd -DFOVEA_ISA_WASM_RELAXED"; do
    clang-19 $common -O2 --target=wasm32 -nostdlib -ffreestanding -msimd128 -mbulk-memory -matomics -fno-exceptions \
      -fno-rtti $flags -c isa.cpp -o "$out/wasm.o"
  done
  echo "wasm: compiles"
else
  echo "wasm: no clang-19, skipped"
fi
