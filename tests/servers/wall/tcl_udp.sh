# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # for and from wall.sh
title='Tcl udp'
needs=(tclsh:tcl '/usr/lib/tcltk/*/udp*/pkgIndex.tcl:tcl-udp')
api='recvfrom, sendto'
serves=family
version() { tclsh <<<'puts [package require udp]'; }
serve() { run tclsh "$programs/echo.tcl" "$LAB_PORT" "$wildcard"; }
question() { by_ask "$1"; }
