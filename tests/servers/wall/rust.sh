# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # for and from wall.sh
title='Rust std::net::UdpSocket'
needs=(rustc:rustc)
api='recvfrom, sendto'
version() { rustc --version | cut -d ' ' -f 2; }
serve() {
    rustc -o "$dir/echo" "$programs/echo.rs"
    run "$dir/echo" "$(host_port "${wildcards[-1]}")"
}
question() { by_ask "$1"; }
