#!/bin/sh
# SPDX-License-Identifier: MIT
# Programs that preloading cannot reach are refused with a reason and an advice; those that it reaches are not.
. "${0%/*}/common.sh"
cd "$scratch" || exit 1

# both STATUS PATTERN PROGRAM: check says so, and the launcher does not start it.
both() {
    expect "$1" "$2" "$tool" check -- "$3"
    [ "$1" -ne 125 ] || expect_line_like '^  instead: ..*'
    expect "$1" "$2" "$tool" check --library "$library" "$3"
    refuse "$1" "$2" "$launcher" -- "$3"
    expect_line_like '^multihome: .* was not started\(; as root, .*\)\?$'
}
expect_line_like() {
    grep -q -e "$1" output || complain "the output lacks a line like: $1"
}

expect 0 'LD_PRELOAD reaches' "$tool" check ./probe
expect 0 '^preloaded=1$' "$launcher" ./probe
expect 0 '' "$tool" check --quiet ./probe
[ ! -s output ] || complain 'check --quiet is not quiet'
# glibc's loader, called by name, has no loader of its own and yet preloads.
loader=$(readelf -l probe 2>/dev/null | sed -n 's/.*interpreter: \(.*\)]$/\1/p')
[ -z "$loader" ] || expect 0 '^preloaded=1$' "$launcher" "$loader" ./probe

both 125 'statically linked:' ./probe_static
[ ! -e probe_static_pie ] || both 125 'statically linked (static-pie)' ./probe_static_pie
both 125 'Go program' ./probe_go
both 125 'Go program' ./probe_go_static
both 125 'does not use glibc' ./probe_musl
both 126 'loader /lib/no-such-loader.so.1 is not on this host' ./probe_no_loader

# ELF headers of other machines, by hand: class, byte order, sixteen bytes, type EXEC, machine.
# header NAME CLASS ORDER TYPE-AND-MACHINE
header() {
    printf '%b' "\0177ELF\0$2\0$3\0001\0\0\0\0\0\0\0\0\0$4" >"$1"
    head -c 200 /dev/zero >>"$1"
    chmod +x "$1"
}
header i386 001 001 '\0002\0\0003\0'
header aarch64 002 001 '\0002\0\0267\0'
header riscv 002 001 '\0002\0\0363\0'
header s390 002 002 '\0\0002\0\0026'
header unknown 002 001 '\0002\0\0377\0176'
[ "$(uname -m)" = i686 ] || both 125 'it is a 32-bit x86 (i386) program' ./i386
[ "$(uname -m)" = aarch64 ] || both 125 'it is a 64-bit AArch64 program' ./aarch64
[ "$(uname -m)" = riscv64 ] || both 125 'it is a 64-bit RISC-V program' ./riscv
[ "$(uname -m)" = s390x ] || both 125 'it is a 64-bit s390 program' ./s390
both 125 'machine number 32511' ./unknown
# A library for another machine is the same case from the other side.
echo MULTIHOME_DISABLE >>i386
refuse 125 'the library is made for 32-bit x86' env MULTIHOME_LIBRARY=i386 "$launcher" ./probe
# One that would be without effect.
refuse 125 'it is no libmultihome.so' env MULTIHOME_LIBRARY="$LAUNCHER_SOURCE/LICENSE" "$launcher" ./probe
refuse 125 'it is no libmultihome.so' env MULTIHOME_LIBRARY="$LAUNCHER_PROBES/libother.so" "$launcher" ./probe
head -c 20000 "$library" >cut.so
printf MULTIHOME_DISABLE >>cut.so
refuse 125 'the dynamic loader refuses it' env MULTIHOME_LIBRARY=cut.so "$launcher" ./probe
expect 2 'it is no library' "$tool" check --library "$LAUNCHER_SOURCE/LICENSE" ./probe
expect 2 'cannot be read' "$tool" check --library ./none ./probe

# Damaged files: a clear answer, never a crash.
header zeros 011 001 '\0002\0\0076\0'
both 126 'neither 32-bit nor 64-bit' ./zeros
for size in 4 5 15 16 17 19 20 40 63 64 100 500; do
    head -c "$size" probe >./cut
    chmod +x cut
    both 126 'cannot be started: it ' ./cut
done
head -c 64 /dev/zero >noise
chmod +x noise
both 126 'no ELF header' ./noise

# Scripts: the interpreter counts, and what env(1) goes on to start.
script() {
    printf '%b' "$2" >"$1"
    chmod +x "$1"
}
script good '#!/bin/sh\necho preloaded=script\n'
expect 0 'a script, run by /bin/sh): LD_PRELOAD reaches' "$tool" check ./good
expect 0 '^preloaded=script$' "$launcher" ./good
script plain_text 'echo preloaded=text\n'
expect 0 '^preloaded=text$' "$launcher" ./plain_text
script by_env '#!/usr/bin/env sh\necho preloaded=env\n'
expect 0 '^preloaded=env$' "$launcher" ./by_env
script by_split_env '#!/usr/bin/env -S A=1 sh -e\necho preloaded=env\n'
expect 0 '^preloaded=env$' "$launcher" ./by_split_env
script static_interpreter "#! $scratch/probe_static -x\n"
both 125 'static_interpreter (a script, run by .*probe_static): LD_PRELOAD cannot reach' ./static_interpreter
script static_by_env "#!/usr/bin/env $scratch/probe_static\n"
both 125 'statically linked' ./static_by_env
script go_by_split_env "#!/usr/bin/env -S B=2 $scratch/probe_go -x\n"
both 125 'Go program' ./go_by_split_env
script clears_environment '#!/usr/bin/env -S -i sh\n'
both 125 'clear the environment' ./clears_environment
script nested "#!$scratch/good\n"
expect 0 'run by /bin/sh' "$tool" check ./nested
script no_interpreter '#!/no/such/interpreter\n'
both 126 'it is a script for /no/such/interpreter: not found' ./no_interpreter
script two_words_by_env '#!/usr/bin/env sh -e\n'
both 126 'it is a script for sh -e: not found in PATH' ./two_words_by_env
printf '#!/bin/sh\r\nexit 0\r\n' >windows
chmod +x windows
both 126 'it is a script for /bin/sh: not found, because .* carriage return' ./windows
script endless "#!$scratch/endless\n"
both 126 'from script to script' ./endless

# What the last line of a script starts is not judged for certain, so it is only said.
script ends_static '#!/bin/sh\n# a comment\n  exec ./probe_static -x\n\n'
expect 0 'warning: the script ./ends_static ends by starting ./probe_static, .*statically linked' "$launcher" ./ends_static
expect_line preloaded=0
script ends_dynamic '#!/bin/sh\n./probe\n'
expect 0 '^preloaded=1$' "$launcher" ./ends_dynamic
! grep -q warning output || complain 'a warning of a script that ends well'

expect 127 'not found' "$tool" check ./none
expect 127 'not found in PATH' "$tool" check no-such-program-anywhere
expect 127 'empty' "$tool" check ''
# As the launcher: what is no file does not count, a file that may not be executed does.
mkdir -p first/probe second
: >second/probe
expect 0 '^first/../probe: LD' env PATH=first:first/.. "$tool" check probe
expect 127 'not found in PATH' env PATH=first "$tool" check probe
expect 126 'second/probe: cannot be started: it may not be executed' env PATH=first:second "$tool" check probe
expect 126 'directory' "$tool" check "$scratch"
expect 126 'not a regular file' "$tool" check /dev/null
expect 2 'required' "$tool" check
expect 2 'required' "$tool"

# Switched off, the program runs as it would alone.
expect 0 '^preloaded=0$' env MULTIHOME_DISABLE=1 "$launcher" ./probe_static

# Without the tool the launcher looks itself, as far as a shell can, and goes on.
rm "$tool"
expect 0 '^preloaded=1$' env PATH=/usr/bin:/bin "$launcher" ./probe
expect 127 'not found' env PATH=/usr/bin:/bin "$launcher" ./none
refuse 125 'it is no libmultihome.so' env PATH=/usr/bin:/bin MULTIHOME_LIBRARY="$LAUNCHER_SOURCE/LICENSE" "$launcher" ./probe
# A tool that cannot do its work is no leave to start.
# shellcheck disable=SC2016 # for the script that is written
printf '#!/bin/sh\n[ "$1" = --version ] || exit 2\n' >"$tool"
chmod +x "$tool"
refuse 125 'was not started' "$launcher" ./probe
printf '#!/bin/sh\nexit 125\n' >"$tool"
chmod +x "$tool"
expect 0 '^preloaded=1$' env PATH=/usr/bin:/bin "$launcher" ./probe
finish
