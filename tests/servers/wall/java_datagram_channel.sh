# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # for and from wall.sh
title='Java DatagramChannel'
needs=(java:default-jdk-headless javac:default-jdk-headless)
api='recvfrom, sendto'
version() { java --version | sed -n '1s/^[^ ]* \([^ ]*\).*/\1/p'; }
# One thread for the compiler and the collector: two of these start beside all the others.
serve() { run java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC "$programs/EchoDatagramChannel.java" "$LAB_PORT"; }
question() { by_ask "$1"; }
