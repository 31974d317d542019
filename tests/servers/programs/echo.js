// SPDX-License-Identifier: MIT
// Echo on one socket, which serves both families when the wildcard is an IPv6 one.
const [port, wildcard] = process.argv.slice(2);
const server = require('dgram').createSocket(wildcard.includes(':') ? 'udp6' : 'udp4');
server.on('message', (data, peer) => server.send(data, peer.port, peer.address));
server.bind(Number(port), wildcard);
