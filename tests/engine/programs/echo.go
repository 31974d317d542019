// SPDX-License-Identifier: MIT

// A UDP echo server as Go programs are written: it makes its system calls itself. echo PORT v4|v6|dual
package main

import (
	"log"
	"net"
	"os"
)

func main() {
	networks := map[string]string{"v4": "udp4", "v6": "udp6", "dual": "udp"}
	server, err := net.ListenPacket(networks[os.Args[2]], ":"+os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	buffer := make([]byte, 65536)
	for {
		size, peer, err := server.ReadFrom(buffer)
		if err != nil {
			log.Fatal(err)
		}
		if _, err := server.WriteTo(buffer[:size], peer); err != nil {
			log.Print(err)
		}
	}
}
