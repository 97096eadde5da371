#!/usr/bin/env bash
# Builds the kernels and tests/native/sanitize.cpp with sanitizers in build/sanitize and runs them.
set -euo pipefail
cd "$(dirname "$0")/../.."

compiler=${CXX:-g++}
native=src/sumtoone/native
build=build/sanitize
flags=(-std=gnu++17 -O1 -g -ffp-contract=fast -fno-math-errno -fno-omit-frame-pointer -Wall -Wextra -Wno-psabi
    -Wno-unused-parameter -Wno-uninitialized -Wno-maybe-uninitialized -I"$native")
sanitizers=(-fsanitize=address,undefined,float-cast-overflow -fno-sanitize-recover=all)
mkdir -p "$build"

sets=(baseline)
case $(uname -m) in
    x86_64 | amd64)
        sets+=(avx2 avx512)
        flags+=(-DSUMTOONE_X86)
        ;;
esac
declare -A options=([baseline]="" [avx2]="-mavx2 -mfma"
    [avx512]="-mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mprefer-vector-width=512")

objects=()
for name in "${sets[@]}"; do
    # shellcheck disable=SC2086
    "$compiler" "${flags[@]}" "${sanitizers[@]}" ${options[$name]} -DSUMTOONE_ISA="$name" \
        -c "$native/kernels.cpp" -o "$build/$name.o" &
    objects+=("$build/$name.o")
done
"$compiler" "${flags[@]}" "${sanitizers[@]}" -c tests/native/sanitize.cpp -o "$build/main.o"
for job in $(jobs -p); do wait "$job"; done
"$compiler" "${sanitizers[@]}" "${objects[@]}" "$build/main.o" -pthread -o "$build/sanitize"
# The threads of the pool wait for ever, and what they hold is never given back.
ASAN_OPTIONS=detect_leaks=0:strict_string_checks=1 UBSAN_OPTIONS=print_stacktrace=1 "$build/sanitize" "$@"
