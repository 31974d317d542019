# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # for and from wall.sh
title='Guile'
needs=(guile-3.0:guile-3.0)
api='recvfrom, sendto'
version() { guile-3.0 -c '(display (version)) (newline)'; }
serve() { run guile-3.0 --no-auto-compile -s "$programs/echo.scm" "$LAB_PORT" "${wildcards[-1]}"; }
question() { by_ask "$1"; }
