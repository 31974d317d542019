# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # for and from wall.sh
title='Python socketserver, threads'
needs=(/usr/bin/python3:python3)
serves=family
api='recvfrom, sendto'
version() { "$LAB_PYTHON" -c 'import platform; print(platform.python_version())'; }
serve() { run "$LAB_PYTHON" "$programs/echo_socketserver.py" "$LAB_PORT" "$wildcard"; }
question() { by_ask "$1"; }
