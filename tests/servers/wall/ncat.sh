# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # for and from wall.sh
title='ncat -u -l -k -e'
needs=(ncat:ncat)
api='recvfrom with MSG_PEEK, connect, recv, send'
version() { ncat --version 2>&1 | sed -n 's/^Ncat: Version \([^ ]*\).*/\1/p'; }
serve() { run -s ${#wildcards[@]} ncat -u -l -k -e /bin/cat "$LAB_PORT"; }
question() { converse ncat -u "$1" "$LAB_PORT"; }
engine=wrong # it connects the socket that it is bound with, whose address the kernel lets no program choose
