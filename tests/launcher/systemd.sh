#!/bin/sh
# SPDX-License-Identifier: MIT
# A unit that uses the drop-in as its comment says is accepted by systemd-analyze verify, with and without the settings
# that the drop-in suggests.
. "${0%/*}/common.sh"
: "${LAUNCHER_BUILD:?}" "${LAUNCHER_CMAKE:?}"
command -v systemd-analyze >/dev/null || skip 'systemd-analyze is not installed'

expect 0 '' "$LAUNCHER_CMAKE" --install "$LAUNCHER_BUILD" --component Unspecified --prefix "$scratch/prefix"
drop_in=$scratch/prefix/share/multihome/multihome.conf
units=$scratch/units
mkdir -p "$units/probe.service.d"
cat >"$units/probe.service" <<UNIT
[Unit]
Description=A server that uses the drop-in
DefaultDependencies=no
[Service]
ExecStart=$probe
NoNewPrivileges=yes
ProtectSystem=strict
UNIT

# Of the host's units, which may give cause for warnings, none is read.
# verify: prints what systemd says, and "refused" where that is anything at all: an unknown key is a warning to it.
verify() {
    said=$(SYSTEMD_UNIT_PATH=$units SYSTEMD_LOG_LEVEL=warning systemd-analyze verify --man=no "$units/probe.service" 2>&1) || said="$said (failed)"
    [ -z "$said" ] && echo accepted || printf 'refused: %s\n' "$said"
}
# The three lines of the comment: the second, with this test's directory of units.
sed -n 's,^# *\(ln -s .*\) /etc/systemd/system/UNIT\.service\.d/$,\1,p' "$drop_in" >"$scratch/link"
[ "$(wc -l <"$scratch/link")" -eq 1 ] || complain 'the drop-in does not say how to link it'
before=$(verify)
[ "$before" = accepted ] || skip "systemd-analyze verify does not work here: $before"
sh -c "$(cat "$scratch/link") $units/probe.service.d/"
expect 0 '^accepted$' verify

# All that it suggests, switched on.
rm "$units/probe.service.d/multihome.conf"
sed 's/^#\([A-Z][A-Za-z]*=\)/\1/' "$drop_in" >"$units/probe.service.d/multihome.conf"
expect 0 '^SystemCallFilter=' cat "$units/probe.service.d/multihome.conf"
expect 0 '^accepted$' verify

# A library whose path looks as if it had a specifier of systemd's in it, to a unit that hides it.
mkdir "$scratch/fake" "$scratch/5%q"
cp "$library" "$scratch/5%q/"
cat >"$scratch/fake/systemctl" <<SYSTEMCTL
#!/bin/sh
cat <<'SHOWN'
LoadState=loaded
Id=probe.service
ExecStart={ path=$probe ; argv[]=$probe ; ignore_errors=no ; start_time=[n/a] ; pid=0 }
InaccessiblePaths=$scratch/5%q
NoExecPaths=/
SHOWN
SYSTEMCTL
chmod +x "$scratch/fake/systemctl"
expect 0 '' env PATH="$scratch/fake:$PATH" "$tool" enable --dry-run --library "$scratch/5%q/libmultihome.so" probe
expect_line "BindReadOnlyPaths=$scratch/5%%q/libmultihome.so"
expect_line "ExecPaths=$scratch/5%%q/libmultihome.so"
mv "$units/probe.service.d/multihome.conf" "$scratch/"
sed -n '/^\[Service\]/,$p' "$scratch/output" | grep '^\[\|=' >"$units/probe.service.d/zz-multihome.conf"
expect 0 '^accepted$' verify
mv "$scratch/multihome.conf" "$units/probe.service.d/"

# The judge does read the drop-in.
echo 'Environmen=A=1' >>"$units/probe.service.d/multihome.conf"
expect 0 '^refused: .*Environmen' verify
finish
