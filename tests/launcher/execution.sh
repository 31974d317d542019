#!/bin/sh
# SPDX-License-Identifier: MIT
# What the program gets: its arguments, its environment, other preloads, its status; and the errors of a shell.
. "${0%/*}/common.sh"

# shellcheck disable=SC2016 # nothing may be expanded
set -- 'two words' "it's" 'a "quote"' '' '*' '$HOME' '--log' -v '\n'
expect 0 '^preloaded=1$' "$launcher" "$probe" "$@"
printf '<%s>\n' "$probe" "$@" >"$scratch/wanted"
grep '^<' "$scratch/output" | cmp -s - "$scratch/wanted" || complain 'the arguments were changed'
expect 0 '^<--log>$' "$launcher" -- "$probe" --log

# Found as a shell finds it: argv[0] is what was typed.
cd "$scratch" || exit 1
expect 0 '^<./probe>$' "$launcher" ./probe
expect 0 '^<tree/../probe>$' "$launcher" tree/../probe
expect 0 '^<probe>$' env PATH="$scratch:$PATH" "$launcher" probe
expect 0 '^<probe>$' env PATH=":$PATH" "$launcher" probe
cp probe ./-v
expect 0 '^preloaded=1$' env PATH="$scratch:$PATH" "$launcher" -- -v
expect 0 '^preloaded=1$' "$launcher" -- ./-v
# A launcher that is reached through a link finds its library all the same.
ln -s "$launcher" link
expect 0 '^preloaded=1$' ./link ./probe
expect 0 '^preloaded=1$' env PATH="$scratch:$PATH" link ./probe

expect 7 '' "$launcher" sh -c 'exit 7'
expect 127 '^multihome: .*/none: not found' "$launcher" "$scratch/none"
expect 127 '^multihome: no-such-program-anywhere: not found' "$launcher" no-such-program-anywhere
expect 127 '^multihome: .*empty' "$launcher" ''
expect 126 '^multihome: .*directory' "$launcher" "$scratch"
: >plain
expect 126 '^multihome: .*executed' "$launcher" ./plain
expect 126 '^multihome: .*executed' env PATH="$scratch:$PATH" "$launcher" plain
mkdir first
cp plain first/probe
expect 0 '^<probe>$' env PATH="$scratch/first:$scratch:$PATH" "$launcher" probe

# The same process: what a service manager started is what it watches.
# shellcheck disable=SC2016 # for the inner shells
sh -c 'echo $$; exec "$0" sh -c "echo \$\$"' "$launcher" | uniq | wc -l | grep -qx ' *1' ||
    complain 'the program runs in another process than the launcher'

# Other preloads stay, in order, and none is there twice.
preload_is() {
    expect 0 '' env LD_PRELOAD="$1" "$launcher" env
    expect_line "LD_PRELOAD=$2"
}
cp "$LAUNCHER_PROBES/libother.so" "$LAUNCHER_PROBES/libanother.so" "$scratch/"
preload_is '' "$library"
preload_is "$scratch/libother.so" "$scratch/libother.so:$library"
preload_is "$scratch/libother.so:$scratch/libanother.so" "$scratch/libother.so:$scratch/libanother.so:$library"
preload_is "$scratch/libother.so $scratch/libanother.so" "$scratch/libother.so $scratch/libanother.so:$library"
preload_is "$library:$scratch/libother.so" "$library:$scratch/libother.so"
preload_is "$scratch/libother.so $library" "$scratch/libother.so $library"
expect 0 '' "$launcher" "$launcher" env
expect_line "LD_PRELOAD=$library"

# Nothing else in the environment changes, whatever the caller's variables are called.
environment() {
    env -i PATH="$PATH" program=1 library=2 log=3 verbose=4 status=5 here=6 IFS=: OPTIND=9 "$@" | sort
}
environment sh -c 'exec env' >before
environment "$launcher" env | grep -v '^LD_PRELOAD=' >after
cmp -s before after || complain "the environment was changed: $(diff before after)"
# Nor do variables whose names no shell can use get lost, whatever is in them.
odd_names() {
    env -i -- PATH="$PATH" -x.y=1 server.port=5000 'a-b=two
lines' "it's=it's \"\$HOME\" \`id\` \\" 0=zero %= "$@"
}
odd_names env | grep -v '^LD_PRELOAD=' >before
odd_names "$launcher" env | grep -v -e '^LD_PRELOAD=' -e '^PWD=' >after
sort -o before before
sort -o after after
cmp -s before after || complain "variables were lost: $(diff before after)"
odd_names "$launcher" env | grep -qx "LD_PRELOAD=$library" || complain 'odd names: not preloaded'
env -i PATH="$PATH" server.port=5000 "$launcher" sh -c 'echo $$' >process &
wait
grep -qx $! process || complain 'odd names: the program runs in another process than the launcher'
environment env MULTIHOME_DISABLE=1 "$launcher" env | grep -q '^LD_PRELOAD=' || complain 'disabled: not preloaded'

# The library: another one, a missing one, one that LD_PRELOAD cannot name.
mkdir 'with space' with:colon
cp "$library" 'with space/libmultihome.so'
cp "$library" with:colon/libmultihome.so
cp "$library" ./libmultihome.so
expect 0 "^LD_PRELOAD=$scratch/libmultihome.so\$" env MULTIHOME_LIBRARY="$scratch/libmultihome.so" "$launcher" env
expect 0 "^LD_PRELOAD=$scratch/libmultihome.so\$" env MULTIHOME_LIBRARY=libmultihome.so "$launcher" env
for directory in 'with space' with:colon; do
    refuse 125 'space or a colon' env MULTIHOME_LIBRARY="$scratch/$directory/libmultihome.so" "$launcher" touch "$mark"
    mkdir -p "$directory/scripts" "$directory/build"
    cp "$launcher" "$directory/scripts/"
    cp "$library" "$tool" "$directory/build/"
    refuse 125 'space or a colon' "$directory/scripts/multihome" touch "$mark"
done
refuse 125 'no such library' env MULTIHOME_LIBRARY="$scratch/none.so" "$launcher" touch "$mark"
rm "$library"
refuse 125 'libmultihome.so is not in' "$launcher" touch "$mark"
finish
