# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # for and from wall.sh
title='Perl IO::Socket::IP'
needs=(perl:perl)
api='recvfrom, sendto'
serves=family
version() { perl -e 'printf "%vd\n", $^V'; }
serve() { run perl "$programs/echo.pl" "$LAB_PORT" "$wildcard"; }
question() { by_ask "$1"; }
