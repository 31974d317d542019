// SPDX-License-Identifier: MIT
//
// MULTIHOME_PORTS: what a listed port means for a server, and for one that goes on with each client on
// another port, as TFTP servers do.
#include "tests/transparency/probe.hpp"

using namespace probe;

namespace {

// The port in the list. In a namespace of the test's own nobody else has it.
int bound_at_listed_port() {
    const Name any("0.0.0.0", htons(5399));
    const int fd = socket(AF_INET, SOCK_DGRAM, 0);
    must(bind(fd, any.get(), any.length) == 0, "bind");
    return fd;
}

int make_bound() {
    return bound("0.0.0.0");
}

int make_unbound() {
    return socket(AF_INET, SOCK_DGRAM, 0);
}

// What is sent from a socket that the server makes for this client.
void hand_over(int server, int (*make)(), Client& client) {
    client.ask(server);
    const Name peer = say_heard(server);
    const int transfer = make();
    say_answered(transfer, peer);
    close(transfer);
}

// No other port is. A socket that is bound to one is as without the library; one that is not bound has no
// port that could be left out.
void listed_port() {
    own_namespace();
    const int server = bound_at_listed_port();
    echo(server);
    echo(server);
    Client client;
    hand_over(server, make_bound, client);
    std::printf("from a bound one: %s\n", client.hear().c_str());
    hand_over(server, make_unbound, client);
    client.print_answer();
    const int another = bound("0.0.0.0");
    client.ask(another);
    say_answered(another, say_heard(another));
    std::printf("on another port: %s\n", client.hear().c_str());
    echo(server);
}

// Those that the kernel chooses from are, too.
void listed_ports() {
    own_namespace();
    const int server = bound_at_listed_port();
    echo(server);
    Client client;
    hand_over(server, make_bound, client);
    client.print_answer();
}

} // namespace

int main(int, char** arguments) {
    return run_topic(arguments[1], {{"listed_port", listed_port}, {"listed_ports", listed_ports}});
}
