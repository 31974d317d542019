#!/bin/sh
# SPDX-License-Identifier: MIT
# Set-user-ID, set-group-ID and file capabilities: the answer of `multihomectl check` is compared with what the kernel
# then really tells the program (AT_SECURE), for root and for an ordinary user.
. "${0%/*}/common.sh"

[ "$(id -u)" -eq 0 ] || skip 'making set-user-ID programs needs root'
command -v setpriv >/dev/null || skip 'setpriv is not installed'
case ,$(findmnt -no OPTIONS -T "$scratch" 2>/dev/null), in
*,nosuid,* | *,noexec,*) skip "$scratch is on a file system mounted nosuid or noexec" ;;
esac
cd "$scratch" || exit 1
user=65534
# As an ordinary user. Called by expect and compare.
# shellcheck disable=SC2317
ordinary() {
    setpriv "--reuid=$user" "--regid=$user" --clear-groups "$@"
}

# variant NAME OWNER GROUP MODE
variant() {
    cp probe "$1"
    chown "$2:$3" "$1"
    chmod "$4" "$1"
}
variant plain 0 0 755
variant set_user_root 0 0 4755
variant set_user_other 1 0 4755
variant set_user_same "$user" "$user" 4755
variant set_group_root 0 0 2755
variant set_group_other 0 1 2755
variant set_group_same 0 "$user" 2755
variant set_group_not_executable 0 1 2745
variant set_both 1 1 6755
variants='plain set_user_root set_user_other set_user_same set_group_root set_group_other set_group_same
    set_group_not_executable set_both'
# The bits of a script mean nothing to the kernel.
printf '#!%s/plain\n' "$scratch" >script
chmod 4755 script
variants="$variants script"
capability=cap_net_bind_service
if command -v setcap >/dev/null && cp probe try && setcap $capability=ep try; then
    for flags in ep p i ei; do
        cp probe "capabilities_$flags"
        setcap "$capability=$flags" "capabilities_$flags"
        variants="$variants capabilities_$flags"
    done
else
    echo 'SKIP: file capabilities: setcap does not work here'
fi

secure_seen=0
# compare STARTER...: for each variant, started through these words. env(1) stands between, because what setpriv itself
# starts still inherits capabilities from it.
compare() {
    for variant in $variants; do
        checks=$((checks + 1))
        secure=$("$@" env "./$variant" 2>error | sed -n 's/^secure=//p')
        if [ -z "$secure" ]; then
            # The kernel refuses effective capabilities that it cannot give in full; then there is nothing to compare.
            echo "not started by the kernel: $* $variant: $(cat error)"
            continue
        fi
        "$@" env "$tool" check "./$variant" >output 2>&1
        status=$?
        case $secure:$status in
        0:0) ;;
        1:125) secure_seen=$((secure_seen + 1)) ;;
        *)
            complain "AT_SECURE is $secure, check says $status: $* $variant"
            cat output
            ;;
        esac
        # The launcher refuses or reaches it; it never starts what would ignore LD_PRELOAD.
        "$@" env "$launcher" "./$variant" >output 2>&1
        status=$?
        case $status:$(sed -n 's/^preloaded=//p' output):$secure in
        0:1:* | 125::1) ;;
        *)
            complain "the launcher's status is $status, AT_SECURE is $secure: $* $variant"
            cat output
            ;;
        esac
    done
}
compare env
compare ordinary
compare ordinary --no-new-privs
compare ordinary --inh-caps=+net_bind_service
compare ordinary --inh-caps=+net_bind_service --ambient-caps=+net_bind_service
# Here this process itself has changed ids. (Debian's sh then drops them, so that the launcher may go on.)
compare setpriv --ruid=$user
# The matrix is worth something only if both answers came up.
[ "$secure_seen" -ge 10 ] || complain "only $secure_seen of the programs were secure"

refuse 125 'set-user-ID root' ordinary "$launcher" ./set_user_root
refuse 125 'AmbientCapabilities=' ordinary "$launcher" ./set_user_root
refuse 125 'set-group-ID' ordinary "$launcher" ./set_group_other
if [ -e capabilities_ep ]; then
    refuse 125 'has file capabilities' ordinary "$launcher" ./capabilities_ep
    refuse 125 'AmbientCapabilities=' ordinary "$launcher" ./capabilities_ep
    # The advice holds: ambient capabilities leave preloading on.
    expect 0 '^preloaded=1$' ordinary --inh-caps=+net_bind_service --ambient-caps=+net_bind_service "$launcher" ./plain
fi

# A program that may be run but not read: set-user-ID is still seen, and for the rest it is started.
variant unreadable 0 0 711
variant unreadable_set_user 0 0 4711
expect 0 'may not be read' ordinary "$tool" check ./unreadable
expect 0 '^secure=0$' ordinary "$launcher" ./unreadable
refuse 125 'set-user-ID' ordinary "$launcher" ./unreadable_set_user
# A program that only others may run.
variant forbidden 0 0 700
refuse 126 'may not be executed' ordinary "$launcher" ./forbidden
expect 126 'may not be executed' ordinary "$tool" check ./forbidden

# Without multihomectl the launcher sees the bits itself.
rm "$tool"
for variant in set_user_root set_user_other set_group_root set_group_other set_both; do
    refuse 125 'is set-' ordinary env PATH=/usr/bin:/bin "$launcher" "./$variant"
done
for variant in plain set_user_same set_group_same; do
    expect 0 '^preloaded=1$' ordinary env PATH=/usr/bin:/bin "$launcher" "./$variant"
done
finish
