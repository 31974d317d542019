// SPDX-License-Identifier: MIT
//! Echo on one socket, which serves both families when the wildcard is an IPv6 one.
use std::net::UdpSocket;

fn main() -> std::io::Result<()> {
    let server = UdpSocket::bind(std::env::args().nth(1).expect("ADDRESS:PORT"))?;
    let mut data = [0; 65536];
    loop {
        let (length, peer) = server.recv_from(&mut data)?;
        server.send_to(&data[..length], peer)?;
    }
}
