#!/usr/bin/env bash
# Builds the kernels and the programs beside this file with sanitizers in build/sanitize and runs them: all under
# AddressSanitizer and UndefinedBehaviorSanitizer, those with threads under ThreadSanitizer too. Looks at the kernels as
# they are installed for code that one instruction set might lend to another.
set -euo pipefail
cd "$(dirname "$0")/../.."

compiler=${CXX:-g++}
native=src/sumtoone/native
flags=(-std=gnu++17 -g -ffp-contract=fast -fno-math-errno -fno-omit-frame-pointer -Wall -Wextra -Wno-psabi
    -Wno-unused-parameter -Wno-uninitialized -Wno-maybe-uninitialized -I"$native")

# Each unit: its name, its source, its flags.
units=("baseline kernels.cpp")
case $(uname -m) in
    x86_64 | amd64)
        avx512="-mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mprefer-vector-width=512"
        units+=("avx2 kernels.cpp -mavx2 -mfma" "avx512 kernels.cpp $avx512")
        flags+=(-DSUMTOONE_X86)
        if "$compiler" -mavx512bf16 -fsyntax-only -x c++ /dev/null 2>/dev/null; then
            units[-1]+=" -DSUMTOONE_BFLOAT16"
            units+=("avx512bf16 rounded.cpp $avx512 -mavx512bf16 -DSUMTOONE_BFLOAT16")
            bfloat16=-DSUMTOONE_BFLOAT16
        fi
        ;;
esac

# build FOLDER SANITIZERS… -- PROGRAM…: every unit once, then each program with all of them.
build() {
    local folder=$1 sanitizers=() objects=() jobs=()
    shift
    while [[ $1 != -- ]]; do sanitizers+=("$1") && shift; done
    shift
    mkdir -p "$folder"
    for unit in "${units[@]}"; do
        read -r name source options <<<"$unit"
        # shellcheck disable=SC2086
        "$compiler" "${flags[@]}" "${sanitizers[@]}" $options -DSUMTOONE_ISA="$name" \
            -c "$native/$source" -o "$folder/$name.o" &
        jobs+=($!)
        objects+=("$folder/$name.o")
    done
    for program in "$@"; do
        "$compiler" "${flags[@]}" ${bfloat16:+"$bfloat16"} "${sanitizers[@]}" -c "tests/native/$program.cpp" \
            -o "$folder/$program-main.o" &
        jobs+=($!)
    done
    for job in "${jobs[@]}"; do wait "$job"; done
    for program in "$@"; do
        "$compiler" "${sanitizers[@]}" "${objects[@]}" "$folder/$program-main.o" -pthread -o "$folder/$program"
    done
}

# The linker keeps one of several functions of a name, whatever instructions it was compiled for. So all that a unit
# offers to be kept must be in its own namespace.
expect_own_code() {
    local folder=$1 name source options foreign
    for unit in "${units[@]}"; do
        read -r name source options <<<"$unit"
        # DW.ref.…: where the handling of exceptions lies, which is no code.
        foreign=$(nm --defined-only "$folder/$name.o" |
            awk -v own="^_Z+NK?${#name}$name|^DW[.]ref[.]" '$2 ~ /^[WVu]$/ && $3 !~ own { print $3 }' | c++filt)
        [[ -z $foreign ]] || { printf '%s is not of %s alone: %s\n' "$source" "$name" "$foreign" >&2 && return 1; }
    done
    echo "symbols: each of ${#units[@]} units its own"
}

build build/sanitize/plain -O3 -fPIC -fvisibility=hidden --
expect_own_code build/sanitize/plain

# The threads of the pool wait for ever, and what they hold is never given back.
export ASAN_OPTIONS=detect_leaks=0:strict_string_checks=1 UBSAN_OPTIONS=print_stacktrace=1
build build/sanitize -O1 -fsanitize=address,undefined,float-cast-overflow -fno-sanitize-recover=all -- \
    sanitize predict trainer pool
build/sanitize/sanitize "$@"
build/sanitize/predict
build/sanitize/trainer
build/sanitize/pool

build build/sanitize/threads -O1 -fsanitize=thread -- predict trainer pool
export TSAN_OPTIONS=halt_on_error=1
build/sanitize/threads/predict 25
build/sanitize/threads/trainer 20
build/sanitize/threads/pool
