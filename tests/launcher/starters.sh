#!/bin/sh
# SPDX-License-Identifier: MIT
# Programs that start another one without LD_PRELOAD: the launcher says so, and what to do instead.
. "${0%/*}/common.sh"
cd "$scratch" || exit 1

# Stand-ins with the names of programs that need not be installed, and must not run.
mkdir bin
for name in sudo doas pkexec systemctl service systemd-run docker podman inetd openbsd-inetd systemd-socket-activate; do
    cp probe "bin/$name"
done
PATH=$scratch/bin:$PATH
export PATH

for name in sudo doas pkexec; do
    refuse 125 "$name removes LD_PRELOAD.*'$name multihome COMMAND'" "$launcher" "$name" ./probe
    refuse 125 "$name removes LD_PRELOAD" "$launcher" "bin/$name" -u nobody ./probe
done
# sudo itself is set-user-ID: what is wrong with it as a program is no advice for anybody. As root the bit changes nothing.
if [ "$(id -u)" -ne 0 ] || command -v setpriv >/dev/null; then
    as_user=
    [ "$(id -u)" -ne 0 ] || as_user='setpriv --reuid 65534 --regid 65534 --clear-groups'
    chmod -R a+rX bin
    chmod u+s bin/sudo
    for way in "$launcher" "$launcher --dry-run"; do
        # shellcheck disable=SC2086 # command lines, or nothing
        refuse 125 "sudo removes LD_PRELOAD.*'sudo multihome COMMAND'" $as_user $way sudo ./probe
        ! grep -q 'chmod\|remove the bit' "$scratch/output" || complain 'sudo is to lose its bit'
    done
    chmod u-s bin/sudo
fi
refuse 125 'multihomectl enable' "$launcher" systemctl restart unbound
refuse 125 'multihomectl enable' "$launcher" service unbound restart
refuse 125 'multihomectl enable' "$launcher" systemd-run ./probe
refuse 125 'container' "$launcher" docker run image
refuse 125 'container' "$launcher" podman run image
refuse 125 'add -E' "$launcher" inetd /etc/inetd.conf
refuse 125 'add -E' "$launcher" openbsd-inetd -i
expect 0 '^preloaded=1$' "$launcher" inetd -E
refuse 125 'add -E LD_PRELOAD' "$launcher" systemd-socket-activate -d -l 53 ./probe
refuse 125 'add -E LD_PRELOAD' "$launcher" systemd-socket-activate -E PATH -d -l 53 ./probe
expect 0 '^preloaded=1$' "$launcher" systemd-socket-activate -d -E LD_PRELOAD -l 53 ./probe
expect 0 '^preloaded=1$' "$launcher" systemd-socket-activate -d --setenv=LD_PRELOAD ./probe

mkdir shells
for name in su runuser setpriv; do cp probe "shells/$name"; done
for words in 'su -' 'su - nobody' 'su -l nobody' 'su -c x --login nobody' 'su nobody -lc x' 'runuser -l nobody -c x' \
    'runuser - nobody' 'setpriv --reuid 1 --reset-env x'; do
    # shellcheck disable=SC2086 # words of a command line
    refuse 125 'clears the environment.*multihome' "$launcher" shells/$words
done
# These hand it on: to a shell that is none for a login, where a list names it, and to a command with such a word.
for words in 'su nobody' 'su -c -l nobody' 'su -p -s /bin/sh nobody' 'su -w A,LD_PRELOAD - nobody' \
    'su --whitelist-environment=LD_PRELOAD -l nobody' 'runuser nobody -c x' 'runuser -u nobody ls -l' \
    'runuser -u nobody -- ls -l' 'su nobody -- -l' 'setpriv --reuid 1 x'; do
    # shellcheck disable=SC2086 # words of a command line
    expect 0 '^preloaded=1$' "$launcher" shells/$words
done

for words in -i - --ignore-environment '-u LD_PRELOAD' --unset=LD_PRELOAD -uLD_PRELOAD 'A=1 -i' LD_PRELOAD= '-u A -i'; do
    # shellcheck disable=SC2086 # words of a command line
    refuse 125 'env .*LD_PRELOAD' "$launcher" env $words ./probe
done
refuse 125 'sudo removes' "$launcher" env A=1 sudo ./probe
refuse 125 'sudo removes' "$launcher" nohup sudo ./probe
refuse 125 'sudo removes' "$launcher" setsid -w env -u A sudo ./probe
# Those that hand it on, and words that only look like it.
expect 0 '^preloaded=1$' "$launcher" env A=1 ./probe -i
expect 0 '^preloaded=1$' "$launcher" env -u A ./probe sudo
expect 0 '^preloaded=1$' "$launcher" nohup ./probe
expect 0 '^<sudo>$' "$launcher" ./probe sudo
# Switched off, the program runs as it would alone.
expect 0 '^<./probe>$' env MULTIHOME_DISABLE=1 "$launcher" sudo ./probe

# --dry-run: everything is looked at, nothing is started.
expect 0 "^library   $library\$" "$launcher" --dry-run --ports '53, 54' --log INFO "$probe"
expect_line "program   $probe"
expect_line "preload   $library"
expect_line 'setting   MULTIHOME_PORTS=53,54'
expect_line 'setting   MULTIHOME_LOG=info'
expect_line 'obstacle  none'
refuse 0 '^library ' "$launcher" -n touch "$mark"
refuse 0 '^setting   MULTIHOME_TIMEOUTS=1,2$' env MULTIHOME_TIMEOUTS=1,2 "$launcher" -n touch "$mark"
refuse 125 'statically linked' "$launcher" --dry-run ./probe_static
refuse 125 'sudo removes' "$launcher" --dry-run sudo ./probe
refuse 127 'not found' "$launcher" --dry-run ./none
refuse 0 'switched off' env MULTIHOME_DISABLE=1 "$launcher" --dry-run ./probe_static
finish
