# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # for and from wall.sh
title='Python socket'
needs=(/usr/bin/python3:python3)
api='recvfrom, sendto'
version() { "$LAB_PYTHON" -c 'import platform; print(platform.python_version())'; }
serve() { run "$LAB_PYTHON" "$programs/echo_socket.py" "$LAB_PORT" "${wildcards[-1]}"; }
question() { by_ask "$1"; }
