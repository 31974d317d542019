# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # for and from wall.sh
title='Mono Socket, threads'
needs=(mono:mono-runtime mcs:mono-mcs)
api='recvfrom, sendto'
version() { mono --version | sed -n '1s/.*version \([^ ]*\).*/\1/p'; }
serve() {
    mcs -out:"$dir/echo.exe" "$programs/Echo.cs"
    run mono "$dir/echo.exe" "$LAB_PORT" "${wildcards[-1]}"
}
question() { by_ask "$1"; }
