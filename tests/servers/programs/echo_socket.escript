#!/usr/bin/env escript
%% SPDX-License-Identifier: MIT
%% Echo on one socket, which serves both families when the wildcard is an IPv6 one.
main([Port, Wildcard]) ->
    Family = case Wildcard of "::" -> inet6; _ -> inet end,
    {ok, Socket} = socket:open(Family, dgram, udp),
    [ok = socket:setopt(Socket, {ipv6, v6only}, false) || Family =:= inet6],
    ok = socket:bind(Socket, #{family => Family, addr => any, port => list_to_integer(Port)}),
    loop(Socket).

loop(Socket) ->
    {ok, {Peer, Data}} = socket:recvfrom(Socket),
    ok = socket:sendto(Socket, Data, Peer),
    loop(Socket).
