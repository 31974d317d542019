# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # for and from wall.sh
title='Node.js dgram'
needs=(node:nodejs)
api='recvmsg, sendmsg'
version() { node --version | tr -d v; }
serve() { run node "$programs/echo.js" "$LAB_PORT" "${wildcards[-1]}"; }
question() { by_ask "$1"; }
