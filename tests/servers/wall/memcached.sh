# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # for and from wall.sh
title='memcached, 4 threads'
needs=(memcached:memcached)
# Each thread answers on a dup() of the descriptor that it receives on.
api='recvfrom, sendmsg'
version() { memcached -V | sed 's/^memcached //'; }
serve() { run -s ${#wildcards[@]} memcached -u root -t 4 -p 0 -U "$LAB_PORT"; }
# The frame header (request identifier, sequence number, datagrams, reserved) and "version".
question() { by_ask "$1" --request 0000000000010000"$(printf 'version\r\n' | od -An -v -tx1 | tr -d ' \n')"; }
