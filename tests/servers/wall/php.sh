# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # for and from wall.sh
title='PHP stream_socket_server'
needs=(php:php-cli)
api='recvfrom, sendto'
serves=family
version() { php -r 'echo PHP_VERSION, "\n";'; }
serve() { run php "$programs/echo.php" "$(host_port "$wildcard")"; }
question() { by_ask "$1"; }
