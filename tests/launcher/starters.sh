#!/bin/sh
# SPDX-License-Identifier: MIT
# Programs that start another one without LD_PRELOAD: the launcher says so, and what to do instead.
. "${0%/*}/common.sh"
cd "$scratch" || exit 1

# Stand-ins with the names of programs that need not be installed, and must not run.
mkdir bin
for name in sudo doas pkexec run0 systemctl service systemd-run docker podman systemd-nspawn inetd openbsd-inetd \
    systemd-socket-activate 7probe; do
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

# One list for the launcher and for what multihomectl says of a unit. This systemd knows one unit.
mkdir units shells
for name in su runuser setpriv; do cp probe "shells/$name"; done
path=$PATH
PATH=$scratch/shells:$PATH
cat >units/systemctl <<'SYSTEMCTL'
#!/bin/sh
printf 'LoadState=loaded\nId=a.service\n'
printf '%s\n' "$COMMANDS" | while read -r program words; do
    ignore=no
    case $program in -*) ignore=yes program=${program#-} ;; esac
    echo "ExecStart={ path=$program ; argv[]=$program${words:+ $words} ; ignore_errors=$ignore ; start_time=[n/a] ; pid=0 }"
done
SYSTEMCTL
chmod +x units/systemctl
# judge STATUS PATTERN "SUBCOMMAND..." LINE...: of a unit with these ExecStart=.
judge() {
    judge_status=$1
    judge_pattern=$2
    judge_call=$3
    shift 3
    # shellcheck disable=SC2086 # words of a command line
    expect "$judge_status" "$judge_pattern" env COMMANDS="$(printf '%s\n' "$@")" PATH="$scratch/units:$PATH" \
        "$tool" $judge_call a --library "$library"
}
# In a unit the first word is a path.
path_of() {
    command -v "${1%% *}" | tr -d '\n'
    printf '%s' "${1#"${1%% *}"}"
}
while read -r verdict words; do
    case $verdict in
    drops)
        # shellcheck disable=SC2086 # words of a command line
        refuse 125 'environment\|LD_PRELOAD\|preloaded\|container' "$launcher" $words
        [ "$(wc -l <"$scratch/output")" -eq 1 ] || complain "more than one line on: $words"
        judge 125 "^  instead: ..*" "check --unit" "$(path_of "$words")"
        judge 1 "LD_PRELOAD cannot reach this program" "enable --dry-run" "$(path_of "$words")"
        ;;
    keeps)
        # shellcheck disable=SC2086
        expect 0 '^preloaded=1$\|^LD_PRELOAD=' "$launcher" $words
        judge 0 'LD_PRELOAD reaches this program' "check --unit" "$(path_of "$words")"
        judge 0 '^Environment="LD_PRELOAD=' "enable --dry-run" "$(path_of "$words")"
        ;;
    esac
done <"$LAUNCHER_SOURCE/tests/launcher/starters.txt"
# What the tool alone knows: a command that goes on to multihome(1), a variable of a unit's, an environment that the
# unit has set up.
judge 0 'reaches' "check --unit" "$(path_of 'env -i multihome ./probe')"
judge 0 'reaches' "check --unit" "$(path_of 'sudo -u nobody /usr/bin/multihome ./probe')"
# shellcheck disable=SC2016 # for systemd
judge 0 'reaches' "check --unit" "$(path_of 'inetd $OPTIONS')"
# shellcheck disable=SC2016
judge 0 'reaches' "check --unit" "$(path_of 'env LD_PRELOAD=/usr/$LIB/multihome/libmultihome.so ./probe')"
# shellcheck disable=SC2016
judge 0 'reaches' "check --unit" "$(path_of 'env -i LD_PRELOAD=/usr/$LIB/multihome/libmultihome.so ./probe')"
# Of a login shell, how long the command behind -c is, nobody says.
judge 0 'reaches' "check --unit" "$(path_of 'su nobody -c ls -l')"
refuse 125 'clears the environment.*multihome' "$launcher" su -c x --login nobody
# All ExecStart= are looked at, and what env(1) starts. One that is not reached may be a helper's: enable says so.
judge 125 'probe_static: it is statically linked' "check --unit" "$scratch/probe" "$scratch/probe_static"
judge 125 "it starts $scratch/probe_static: it is statically linked" "check --unit" "$(path_of "env A=1 $scratch/probe_static")"
judge 0 '^Environment="LD_PRELOAD=' "enable --dry-run" "$scratch/probe" "$(path_of 'systemctl start b')"
expect_line "multihomectl: a.service: $scratch/bin/systemctl: LD_PRELOAD cannot reach this program"
! grep -q 'attach a.service' "$scratch/output" || complain 'another control group is to be attached'
judge 1 'attach a.service' "enable --dry-run" "$scratch/probe_static" "$(path_of 'env -i x')"
refuse 125 'starts ./probe_static, .*statically linked' "$launcher" env A=1 ./probe_static
refuse 125 'starts ./probe_static, .*statically linked' "$launcher" nohup setsid -w ./probe_static
refuse 125 'starts ./probe_static, .*statically linked' "$launcher" timeout --signal=KILL 3 nice -n 5 ./probe_static
refuse 125 'starts ./probe_static, .*statically linked' "$launcher" ip netns exec a ./probe_static
judge 125 "it starts $scratch/probe_static: it is statically linked" "check --unit" \
    "$(path_of "timeout 3 $scratch/probe_static")"
mkdir moved
cp probe moved/probe_go
# What is started is another file than would be found here.
expect 0 '^preloaded=1$' "$launcher" env -C moved ./probe_go
judge 0 'reaches' "check --unit" "$(path_of "env PATH=/nowhere probe_go")"
judge 0 'reaches' "check --unit" "-/nowhere" "$scratch/probe"
! grep -q nowhere "$scratch/output" || complain 'one that may be missing is missed'
judge 127 'nowhere: not found' "check --unit" "-/nowhere"
judge 127 'probe_static: it is statically linked' "check --unit" "$scratch/absent" "$scratch/probe_static"
judge 127 'absent: not found' "check --unit" "$scratch/probe" "$scratch/absent"
PATH=$path

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
# A profile with a name of its own; longer names and paths are others. The kernel's list is made up.
# shellcheck disable=SC2016 # for the inner shell
confined='
    set -e
    for place in /sys/kernel/security /etc/apparmor.d; do mount -t tmpfs tmpfs "$place"; done
    mkdir /sys/kernel/security/apparmor
    printf "%s (enforce)\n" "/chroot$1" named2 named >/sys/kernel/security/apparmor/profiles
    echo "profile $2 $1 flags=(complain) {" >/etc/apparmor.d/other
    exec "$0" --dry-run "$1"'
if [ -d /sys/kernel/security ] && [ -d /etc/apparmor.d ] &&
    unshare --mount mount -t tmpfs tmpfs /etc/apparmor.d 2>/dev/null; then
    expect 0 '^profile   named (enforce)$' unshare --mount sh -c "$confined" "$launcher" "$probe" named
    expect 0 '^profile   none$' unshare --mount sh -c "$confined" "$launcher" "$probe" none
else
    echo 'SKIP: a profile with a name of its own: nothing can be mounted here'
fi
refuse 125 'statically linked' "$launcher" --dry-run ./probe_static
refuse 125 'sudo removes' "$launcher" --dry-run sudo ./probe
refuse 127 'not found' "$launcher" --dry-run ./none
refuse 0 'switched off' env MULTIHOME_DISABLE=1 "$launcher" --dry-run ./probe_static
finish
