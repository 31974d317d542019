# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # for and from wall.sh
title='Erlang gen_udp'
needs=(escript:erlang-base)
api='recvfrom, sendto'
version() { erl -noshell -eval 'io:format("~s~n", [erlang:system_info(otp_release)]), halt().'; }
serve() { run escript "$programs/echo_gen_udp.escript" "$LAB_PORT" "${wildcards[-1]}"; }
question() { by_ask "$1"; }
