# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # for and from wall.sh
title='Java DatagramSocket'
needs=(java:default-jdk-headless javac:default-jdk-headless)
api='recvfrom, sendto'
version() { java --version | sed -n '1s/^[^ ]* \([^ ]*\).*/\1/p'; }
serve() {
    # The least of compiling and collecting, for a quick start beside all the others, and no file outside $dir.
    run java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-UsePerfData "-Djava.io.tmpdir=$dir" \
        "$programs/EchoDatagramSocket.java" "$LAB_PORT"
}
question() { by_ask "$1"; }
