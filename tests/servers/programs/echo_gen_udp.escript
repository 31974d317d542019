#!/usr/bin/env escript
%% SPDX-License-Identifier: MIT
%% Echo on one socket, which serves both families when the wildcard is an IPv6 one.
main([Port, Wildcard]) ->
    Family = case Wildcard of "::" -> [inet6, {ipv6_v6only, false}]; _ -> [inet] end,
    {ok, Socket} = gen_udp:open(list_to_integer(Port), [binary, {active, true} | Family]),
    loop(Socket).

loop(Socket) ->
    receive
        {udp, Socket, Address, Port, Data} -> ok = gen_udp:send(Socket, Address, Port, Data)
    end,
    loop(Socket).
