# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # for and from wall.sh
title='Ruby UDPSocket'
needs=(ruby:ruby)
api='recvfrom, sendto'
version() { ruby -e 'puts RUBY_VERSION'; }
serve() { run ruby "$programs/echo.rb" "$LAB_PORT" "${wildcards[-1]}"; }
question() { by_ask "$1"; }
