#!/bin/sh
# SPDX-License-Identifier: MIT
# host_network.sh COMMAND [ARG...]: runs it in a network namespace that is its host's, as far as it can tell: the ports that
# it finds free stay free. Where none can be made, on the host itself, beside whoever else is there.
for own in 'unshare --net' 'unshare --map-root-user --net'; do
    # shellcheck disable=SC2016 # for the inner shell
    ! $own ip link set lo up 2>/dev/null || exec $own sh -c 'ip link set lo up && exec "$@"' sh "$@"
done
echo "no network namespace can be made: on the host's network"
exec "$@"
