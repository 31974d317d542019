# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # for and from wall.sh
title='Lua luasocket'
needs=(lua5.4:lua5.4 /usr/share/lua/5.4/socket.lua:lua-socket)
api='recvfrom, sendto'
serves=family
version() { dpkg-query -W -f '${Version}' lua-socket | sed 's/-.*/\n/'; }
serve() { run lua5.4 "$programs/echo.lua" "$LAB_PORT" "$wildcard"; }
question() { by_ask "$1"; }
