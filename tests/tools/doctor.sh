#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Fifteen servers on a host with two addresses. doctor names each rightly, what it prints mends each that is wrong, and the
# client agrees before and after.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../lab/lab.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lab/lab.sh"
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

need dnsmasq ip nsenter setcap setpriv unshare
need_shim
lab_topology_a

echo=$LAB_DIR/echo
cp "$TOOLS_ECHO" "$echo"
cp "$TOOLS_ECHO" "$LAB_DIR/capable"
cp "$MULTIHOME_LIBRARY" "$LAB_DIR/libmultihome.so"
chmod 755 "$LAB_DIR"/*
setcap cap_net_bind_service=ep "$LAB_DIR/capable" || skip "no file capabilities on the file system of $LAB_DIR"

say "Fifteen servers"
start_server -p 5301 bound "${LAB_ECHO[@]}" --port 5301 --bind 192.0.2.3
start_server -p 5302 right dnsmasq --keep-in-foreground --conf-file=/dev/null --port=5302 --no-resolv --no-hosts \
    --user=root --pid-file=
start_server -p 5303 wrong env --chdir="$LAB_DIR" ./echo 5303 1 "$(printf '%0200d' 0)" # which is not found from here
with_shim start_server -p 5304 preloaded "$echo" 5304
LAB_PRELOAD=/nowhere/libmultihome.so start_server -p 5305 failed "$echo" 5305
with_shim start_server -p 5306 static "$TOOLS_STATIC" 5306
# Confined: what it sees of the file system lacks the library.
# shellcheck disable=SC2016 # for the inner shell
start_server -p 5307 confined unshare --mount sh -c 'mount -t tmpfs tmpfs /mnt && exec env LD_PRELOAD="$1" "$2" 5307' sh \
    /mnt/libmultihome.so "$echo"
start_server -p 5308 capabilities setpriv --reuid=65534 --regid=65534 --clear-groups \
    env LD_PRELOAD="$LAB_DIR/libmultihome.so" "$LAB_DIR/capable" 5308

# As squid's workers: executed while the real user is another one than the effective one, and with a name of its own.
with_shim start_server -p 5313 worker "$LAB_PYTHON" -c '
import os, sys
os.setresuid(65534, 0, 0)
os.execv(sys.argv[1], ["(echo-1)", "5313"])' "$echo"
# Has a name of its own alone.
start_server -p 5314 renamed "$LAB_PYTHON" -c 'import os, sys; os.execv(sys.argv[1], ["echo: serves", "5314"])' "$echo"

start_server -p 5311 container unshare --pid --fork --kill-child --mount-proc "$echo" 5311
MULTIHOME_DISABLE=1 with_shim start_server -p 5309 disabled "$echo" 5309
MULTIHOME_PORTS=53,5000-5100 with_shim start_server -p 5310 excluded "$echo" 5310
# One that may serve by an io_uring, which the library does not see.
with_shim start_server -p 5340 ring "$LAB_PYTHON" -c '
import ctypes, socket, sys
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("0.0.0.0", 5340))
if ctypes.CDLL(None).syscall(425, 1, ctypes.create_string_buffer(120)) < 0:
    open(sys.argv[1] + "/no_ring", "w")
while True:
    data, peer = server.recvfrom(65535)
    server.sendto(data, peer)' "$LAB_DIR"
# As Qt's: it asks for packet information, and does not answer by it.
asking='
import socket, sys
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.setsockopt(socket.IPPROTO_IP, 8, 1)
server.bind(("0.0.0.0", int(sys.argv[1])))
while True:
    data, peer = server.recvfrom(65535)
    server.sendto(data, peer)'
start_server -p 5312 asking "$LAB_PYTHON" -c "$asking" 5312

LAB_PORT=5304 expect_right 192.0.2.3
[ "$(LAB_PORT=5302 ask 192.0.2.3 --dns example.org)" = 192.0.2.3 ] || fail "dnsmasq does not answer rightly"
for port in 5303 5305 5306 5307 5308 5309 5310 5311 5312 5313 5314; do LAB_PORT=$port expect_bare_wrong 192.0.2.3; done

under=()
look() {
    status=0
    "${under[@]}" "$TOOLS_CTL" doctor --netns "$LAB_SERVER" "$@" >"$LAB_DIR/doctor.log" 2>&1 || status=$?
}
look -j
[ "$status" -eq 1 ] || fail "doctor: exit status $status with wrong servers"
"$LAB_PYTHON" "$TOOLS_HERE/schema.py" doctor "$TOOLS_MANUAL" <"$LAB_DIR/doctor.log" || fail "doctor's JSON is not what the manual states"
expect_verdict 5301 'ok bound to 192.0.2.3'
for port in 5302 5312; do
    [ "$(field "$port" certain)" = False ] || fail "$port: doctor is certain of what it cannot see"
    expect_verdict "$port" 'ok asks for packet information: right if it answers by it'
    [[ $(field "$port" notes) == *'To find out: multihomectl ask'* ]] || fail "$port: the notes are '$(field "$port" notes)'"
done
[ "$(field 5304 certain)" = True ] || fail "5304: doctor is not certain of the library"
expect_verdict 5303 'wrong at 192.0.2.3'
expect_verdict 5304 'ok multihome [0-9.]+'
expect_verdict 5305 'wrong .*preloading failed'
expect_verdict 5306 'wrong .*statically linked'
expect_verdict 5307 'wrong .*preloading failed'
expect_verdict 5308 'wrong .*file capabilities'
expect_verdict 5309 'wrong .*but MULTIHOME_DISABLE leaves it out'
expect_verdict 5310 'wrong .*but MULTIHOME_PORTS leaves it out'
expect_verdict 5311 'wrong .*in a container'
differed='executed while real and effective user or group differed'
expect_verdict 5313 "wrong .*$differed"
expect_verdict 5314 'wrong at 192.0.2.3'
# They name no program that could be started.
for port in 5313 5314; do
    [[ $(field "$port" command) != *echo* ]] || fail "$port: the command is '$(field "$port" command)'"
done
"$TOOLS_CTL" check --pid "$(field 5313 pid)" >"$LAB_DIR/said" 2>&1 && fail "check: the library reaches the worker"
grep -q "$differed" "$LAB_DIR/said" || fail "check: $(cat "$LAB_DIR/said")"

# A full path ends programs of musl's that inherit it.
note=
if compgen -G '/lib/ld-musl-*.so.1' >/dev/null; then note='LD_PRELOAD names the library by its full path'; fi
[[ $(field 5304 notes) == "$note"* ]] || fail "5304: the notes are '$(field 5304 notes)'"
expect_verdict 5340 'ok multihome [0-9.]+'
ring_note='it has an io_uring, .*: multihomectl ask'
[ -e "$LAB_DIR/no_ring" ] || [[ $(field 5340 notes) =~ $ring_note ]] || fail "5340: the notes are '$(field 5340 notes)'"
[[ ! $(field 5304 notes) =~ $ring_note ]] || fail "5304: the notes are '$(field 5304 notes)'"
[ -z "$(field 5303 notes)" ] || fail "5303: a note without a reason: $(field 5303 notes)"

say "The table says the same"
look
grep -q '^Note on 5302 (dnsmasq), 5312 (python3[^)]*): .*multihomectl ask' "$LAB_DIR/doctor.log" ||
    fail "no note on the servers that ask for packet information"
# Each note once, with all servers that it is on.
if [ -n "$note" ]; then
    grep -q "^Note on 5304 (echo), .*5340 (python3[^)]*).*: $note" "$LAB_DIR/doctor.log" || fail "no note on 5304 below the table"
    [ "$(grep -cF "$note" "$LAB_DIR/doctor.log")" -eq 1 ] || fail "a note for each server: $(grep Note "$LAB_DIR/doctor.log")"
fi
grep -q '^5303 .*WRONG  at 192.0.2.3' "$LAB_DIR/doctor.log" || fail "the table has no line for 5303"
# What is said of a command stands behind it, however long another one is.
grep -q '0  (instead of starting it alone)$' "$LAB_DIR/doctor.log" || fail "no remark behind the command for 5303"
! grep '^  5.* \{20\}(' "$LAB_DIR/doctor.log" || fail "a remark is far away from its command"
# With sudo, what runs as another user would run as root.
if grep '^  5308 *sudo multihome ' "$LAB_DIR/doctor.log" >"$LAB_DIR/line"; then
    grep -q 'it runs as user 65534 now, and would run as root)$' "$LAB_DIR/line" || fail "5308: $(cat "$LAB_DIR/line")"
else
    "$TOOLS_CTL" list | grep -q 'built without' || fail "5308: no command: $(grep 5308 "$LAB_DIR/doctor.log")"
fi
! grep '^  5306 .*runs as user' "$LAB_DIR/doctor.log" || fail "5306 runs as root"
grep -q '^10 of 15 servers answer from the wrong address' "$LAB_DIR/doctor.log" || fail "the table does not count the servers"
if grep -q "$(printf '\033')" "$LAB_DIR/doctor.log"; then fail "colours in a file"; fi
look -q
[ ! -s "$LAB_DIR/doctor.log" ] || fail "doctor -q speaks"
look -j

say "One that asks for packet information is not called right, nor wrong"
# shellcheck disable=SC2016 # for the inner shell
unshare --net --kill-child --fork sh -c '
    ip link set lo up && ip link add eth0 type veth peer name up0 && ip link set up0 up &&
        ip link set eth0 up && ip address add 192.0.2.2/24 dev eth0 && ip address add 192.0.2.3/24 dev eth0 &&
        ip route add default via 192.0.2.1 || exit 1
    "$1" -c "$2" 5312 &
    tries=0
    until grep -q ":14C0 " /proc/net/udp; do
        [ $((tries += 1)) -lt 200 ] || exit 1
        sleep 0.05
    done
    "$3" doctor' sh "$LAB_PYTHON" "$asking" "$TOOLS_CTL" >"$LAB_DIR/doctor.log" 2>&1 || fail "doctor: $(cat "$LAB_DIR/doctor.log")"
grep -qx 'No server is known to answer from the wrong address.' "$LAB_DIR/doctor.log" || fail "$(cat "$LAB_DIR/doctor.log")"
look -j

if command -v strace >/dev/null; then
    say "Where root may not look at a socket, to be root is no advice"
    for error in ENOSYS EPERM; do
        under=(strace -o "$LAB_DIR/calls" -e trace=pidfd_getfd -e inject="pidfd_getfd:error=$error")
        look -j
        expect_verdict 5303 'unknown its socket cannot be looked at here .*: multihomectl ask'
    done
    under=()
    look -j
else
    say "SKIP: sockets that may not be looked at: strace is not installed"
fi

say "What it prints mends each"
PATH=$TOOLS_SCRIPTS:${TOOLS_CTL%/*}:$PATH
export PATH
for name in wrong failed confined disabled excluded; do
    port=${LAB_PIDS[$name]#* }
    command=$(field "$port" command)
    [[ $command == *"multihome "* ]] || fail "$port: the command is '$command'"
    stop_server "$name"
    start_server -p "$port" "$name" sh -c "exec $command"
    LAB_PORT=$port expect_right 192.0.2.3
    LAB_PORT=$port expect_right 192.0.2.2
done
LAB_PORT=5340 expect_right 192.0.2.3 # by the library
look -j
[[ ! $(field 5340 notes) =~ $ring_note ]] || fail "5340: the notes are '$(field 5340 notes)'"
for port in 5303 5305 5307 5309 5310; do expect_verdict "$port" 'ok multihome [0-9.]+'; done

# At its control group, where it has one. Else in the network of the server, and not in this one.
group=$(sed -n 's/^0:://p' "/proc/$(field 5311 pid)/cgroup")
[[ $(field 5311 command) == "sudo multihomectl attach --cgroup ${group:-/}" && $group != / ]] ||
    [[ $(field 5311 command) =~ ^sudo\ nsenter\ --target\ [0-9]+\ --net\ multihomectl\ recipe\ one-interface\ --apply$ ]] ||
    fail "5311: the command is '$(field 5311 command)'"

# What preloading cannot reach: the kernel engine, or a recipe where there is none.
engine=works
"$TOOLS_CTL" run -- true >"$LAB_DIR/said" 2>&1 || engine=$(cat "$LAB_DIR/said")
if [[ $engine == *'built without the kernel engine'* ]]; then
    command=$(field 5306 command)
    [[ $command =~ ^sudo\ nsenter\ --target\ [0-9]+\ --net\ multihomectl\ recipe\ one-interface\ --apply$ ]] ||
        fail "5306: the command is '$command'"
    mkdir "$LAB_DIR/run" # where its journal is
    # shellcheck disable=SC2016,SC2086 # for the inner shell; a command line
    unshare --mount sh -c 'mount --bind "$0" /run && exec "$@"' "$LAB_DIR/run" ${command#sudo } >"$LAB_DIR/recipe.log" 2>&1 ||
        fail "$command: $(cat "$LAB_DIR/recipe.log")"
    for port in 5306 5308; do LAB_PORT=$port expect_right 192.0.2.3; done
    exit 0
fi
for name in static capabilities; do
    port=${LAB_PIDS[$name]#* }
    command=$(field "$port" command)
    [[ $command == 'sudo multihome --engine kernel '* ]] || fail "$port: the command is '$command'"
    [ "$engine" = works ] || { say "SKIP: $name: $engine" && continue; }
    stop_server "$name"
    # `ip netns exec` hides the tree of control groups.
    LAB_ENTER=(nsenter "--mount=/proc/$$/ns/mnt")
    start_server -p "$port" "$name" sh -c "exec ${command#sudo }"
    for address in 192.0.2.2 192.0.2.3; do LAB_PORT=$port expect_right "$address"; done
done
