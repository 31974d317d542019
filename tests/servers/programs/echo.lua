-- SPDX-License-Identifier: MIT
-- Echo on one socket.
local socket = require("socket")
local server = assert(arg[2]:find(":") and socket.udp6() or socket.udp4())
assert(server:setsockname(arg[2], tonumber(arg[1])))
while true do
    local data, address, port = assert(server:receivefrom())
    assert(server:sendto(data, address, port))
end
