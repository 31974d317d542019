#!/bin/sh
# SPDX-License-Identifier: MIT
# sanitized.sh SOURCE BUILD asan|tsan build|unit|fuzz|stress: the unit tests, with asan the fuzzer that has the shim
# inside, with tsan a server whose threads share sockets, built with sanitizers below BUILD and run there.
set -eu
source=$1
build=$2/$3
sanitizers=$3
fuzz_steps=20000
stress_requests=20000

run() { # PROGRAM [ARGUMENT...]
    [ -x "$build/$1" ] || {
        echo "SKIP: $1 is not built with $sanitizers"
        exit 77
    }
    export ASAN_OPTIONS="detect_stack_use_after_return=1:abort_on_error=0"
    # Two threads that make the same control message store the same words, while the kernel may be reading them: for it, the
    # sanitizer reads in sendmsg(), and by no atomic.
    echo 'race:multihome::SourceMessage::make' >"$build/suppressions"
    export TSAN_OPTIONS="halt_on_error=1:second_deadlock_stack=1:suppressions=$build/suppressions"
    export UBSAN_OPTIONS="print_stacktrace=1"
    # The memory that these sanitizers reserve may clash with a highly randomised layout of the process.
    fixed_layout=
    if command -v setarch >/dev/null && setarch -R true 2>/dev/null; then fixed_layout="setarch -R"; fi
    program=$build/$1
    shift
    $fixed_layout "$program" "$@"
}

case $4 in
build)
    echo 'int main() {}' >"$build.probe.cpp"
    case $sanitizers in
    asan) flags=-fsanitize=address,undefined ;;
    *) flags=-fsanitize=thread ;;
    esac
    if ! "${CXX:-c++}" "$flags" -o "$build.probe" "$build.probe.cpp" >/dev/null 2>&1; then
        rm -f "$build.probe" "$build.probe.cpp"
        echo "SKIP: the compiler has no $flags"
        exit 77
    fi
    rm -f "$build.probe" "$build.probe.cpp"
    cmake -S "$source" -B "$build" --preset "$sanitizers" -DMULTIHOME_UNITY=ON -DMULTIHOME_WERROR=ON
    targets=multihome_unit_tests
    case $sanitizers in
    asan) targets="$targets multihome_fuzz_linked" ;;
    *) targets="$targets multihome_stress multihome_stress_server multihome_sanitized" ;;
    esac
    # shellcheck disable=SC2086 # a list
    cmake --build "$build" --target $targets
    ;;
unit)
    # What takes turns with another process under ptrace(2), and what plays all orders of threads in one, shows a sanitizer
    # nothing that other suites do not.
    run multihome_unit_tests --no-version --test-suite-exclude=explorer,stopped_writer
    ;;
fuzz) run multihome_fuzz_linked --seed 1 --steps "$fuzz_steps" ;;
stress)
    # A report ends the server, which then answers no more.
    stress() { # OPTION...
        run multihome_stress many_ports "$@" --requests "$stress_requests" --server "$build/multihome_stress_server" \
            --library "$build/libmultihome_sanitized.so"
    }
    # Each port asks once: which of two questions a thread answers that reads, and answers for others, nobody can always tell.
    stress --style pool --ports "$stress_requests"
    stress --style readers --ports 200
    ;;
esac
