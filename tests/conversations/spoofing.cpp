// SPDX-License-Identifier: MIT
//
// Anybody can send a datagram in a stranger's name. What then comes from the stranger's own socket here is,
// to the program, the same: so the peers below spoof themselves. One datagram may get an answer where it
// asked; it must not move what a program sends to a peer that works without the shim.
#include "tests/conversations/script.hpp"

#include <chrono>
#include <thread>

namespace multihome::conversations {

namespace {

// Short, so that a test need not wait: a question counts for a second, "we spoke first" for three.
constexpr const char* short_timeouts = "MULTIHOME_TIMEOUTS=1,3";
constexpr std::chrono::milliseconds after_question{2500};
constexpr std::chrono::milliseconds after_spoke_first{4500};
constexpr std::chrono::milliseconds push_interval{10};
constexpr unsigned pushes = 20;
constexpr unsigned spoofed_at_once = 50; // as many as fit into a socket before it is read

struct Served {
    int server;
    in_port_t port;
    Peer peer;
};

Served open_server(Actor& actor, Family family) {
    const int server = actor.open(family);
    return {server, actor.port_of(server), Peer{peer_address(family, 0)}};
}

// The peer asks and is answered at once, by the thread that read it.
void exchange(Actor& actor, Served& served, const std::string& address, Tally& tally) {
    const Question question = served.peer.ask(address, served.port);
    actor.receive(served.server);
    actor.send(served.server, served.peer.name(), question.token);
    tally.judge(question, served.peer.hear(question.token));
}

// A datagram in the peer's name, read and not answered.
void spoof(Actor& reader, Served& served, const std::string& address) {
    served.peer.ask(address, served.port);
    reader.receive(served.server);
}

// What the program sends on its own; returns where it came from.
Name push(Actor& pusher, Served& served) {
    static uint64_t number = uint64_t{1} << 63; // no question's token
    ++number;
    pusher.send(served.server, served.peer.name(), number);
    return served.peer.hear(number);
}

// All of it has to arrive from `address`.
void push_from(const std::string& address, Actor& pusher, Served& served, Tally& tally) {
    for (unsigned count = 0; count < pushes; ++count)
        tally.expect(name_of(address, served.port), push(pusher, served));
}

// Until no question counts any more.
void push_on(const Program& program, Actor& pusher, std::vector<Served>& all) {
    const auto wait = program.is_bare() ? std::chrono::milliseconds{0} : after_question;
    for (const auto end = std::chrono::steady_clock::now() + wait; std::chrono::steady_clock::now() < end;) {
        for (Served& served : all)
            push(pusher, served);
        std::this_thread::sleep_for(push_interval);
    }
}

// A thread reads and answers, another one pushes. The peer has been answered before, so no push goes astray.
void push_to_answered(Program& program, Family family, Tally& tally, unsigned exchanges,
                      bool spoof_is_answered) {
    Actor& reader = program.main();
    Actor& pusher = program.start_thread();
    const auto& [primary, second, third] = addresses(family);
    Served served = open_server(reader, family);
    for (unsigned number = 0; number < exchanges; ++number)
        exchange(reader, served, primary, tally);
    push_from(primary, pusher, served, tally);
    for (const std::string& address : {second, third, second}) {
        if (spoof_is_answered) {
            Tally ignored; // it may leave from where the stranger asked
            exchange(reader, served, address, ignored);
        } else {
            spoof(reader, served, address);
        }
        push_from(primary, pusher, served, tally);
    }
}

// Peers subscribe, after so many exchanges each, and are pushed to by the thread that reads or by another
// one. While the stranger's question counts, the pushes may be taken for its answers; after that they go to
// the peer again.
void push_after_question(Program& program, Family family, Tally& tally,
                         const std::vector<unsigned>& exchanges, bool by_thread) {
    Actor& reader = program.main();
    Actor& pusher = by_thread ? program.start_thread() : reader;
    const auto& [primary, second, third] = addresses(family);
    std::vector<Served> all;
    for (const unsigned count : exchanges) {
        all.push_back(open_server(reader, family));
        Served& served = all.back();
        for (unsigned number = 0; number < count; ++number)
            exchange(reader, served, primary, tally);
        if (count == 0)
            spoof(reader, served, primary); // no spoof: it subscribes, and the pushes are its answers
        push_from(primary, pusher, served, tally);
        spoof(reader, served, second);
    }
    push_on(program, pusher, all);
    for (Served& served : all)
        push_from(primary, pusher, served, tally);
}

// The stranger's datagram is the first that the program hears of the peer, which it goes on to send to.
void push_to_unheard(Program& program, Family family, Tally& tally, bool by_thread) {
    Actor& reader = program.main();
    Actor& pusher = by_thread ? program.start_thread() : reader;
    std::vector<Served> all;
    all.push_back(open_server(reader, family));
    spoof(reader, all[0], addresses(family)[1]);
    push_on(program, pusher, all);
    push_from(addresses(family)[0], pusher, all[0], tally);
}

// Peers subscribe at a secondary address by one datagram, are pushed to for longer than that counts, and
// subscribe again.
void subscribe_again(Program& program, Family family, Tally& tally, bool by_thread) {
    Actor& reader = program.main();
    Actor& pusher = by_thread ? program.start_thread() : reader;
    const std::string& publisher = addresses(family)[1];
    std::vector<Served> all;
    all.push_back(open_server(reader, family));
    spoof(reader, all[0], publisher); // no spoof: it subscribes
    push_on(program, pusher, all);
    for (unsigned time = 0; time < 3; ++time) {
        spoof(reader, all[0], publisher);
        push_from(publisher, pusher, all[0], tally);
    }
}

// Registered by one exchange at a secondary address, called much later from there. It answers, and is called
// again.
void telephone(Program& program, Family family, Tally& tally) {
    Actor& reader = program.main();
    const std::string& registrar = addresses(family)[1];
    struct Telephone {
        Actor& caller;
        Served served;
    };
    std::vector<Telephone> telephones;
    telephones.push_back({program.start_thread(), open_server(reader, family)});
    telephones.push_back({reader, open_server(reader, family)});
    for (Telephone& one : telephones) {
        exchange(reader, one.served, registrar, tally);
        // Others come and go meanwhile.
        for (unsigned number = 1; number < 50; ++number) {
            Served other{one.served.server, one.served.port, Peer{peer_address(family, number)}};
            exchange(reader, other, addresses(family)[number % 3], tally);
        }
    }
    if (!program.is_bare())
        std::this_thread::sleep_for(after_spoke_first);
    for (unsigned call = 0; call < 3; ++call)
        for (auto& [caller, served] : telephones) {
            tally.expect(name_of(registrar, served.port), push(caller, served));
            spoof(reader, served, registrar); // no spoof: the telephone is picked up
        }
}

// A program that asks others.

enum class Asks { unbound, bound_to_any_port, connected };

int open_asker(Actor& actor, Family family, Asks how, const Name& upstream) {
    if (how == Asks::bound_to_any_port)
        return actor.open(family);
    Order open;
    open.verb = Verb::open;
    open.family = family == Family::v4 ? AF_INET : AF_INET6;
    const int fd = actor.carry_out(open).fd;
    if (how == Asks::connected)
        actor.connect(fd, upstream);
    return fd;
}

// Datagrams in the upstream's name, `count` to each of our addresses. The server reads them, and answers them
// if it takes them for questions.
void flood_in_name_of(Peer& upstream, Actor& actor, Family family, int server, unsigned count,
                      bool is_answered) {
    const in_port_t port = actor.port_of(server);
    Order drain = actor.order(Verb::drain, server);
    drain.count = spoofed_at_once;
    if (is_answered)
        drain.flags |= static_cast<uint32_t>(Flag::answer);
    for (const std::string& address : addresses(family)) {
        for (unsigned sent = 0; sent < count; sent += spoofed_at_once) {
            for (unsigned number = 0; number < spoofed_at_once; ++number)
                upstream.ask(address, port);
            actor.carry_out(drain);
        }
    }
    upstream.forget_all();
}

// The program serves on one socket, and asks its upstream from others: from a new one each time, or from the
// same.
void ask_upstream(Program& program, Family family, Tally& tally, in_port_t upstream_port, Asks how,
                  bool anew) {
    Actor& actor = program.main();
    const int server = actor.open(family);
    Peer upstream{peer_address(family, 52), htons(upstream_port)};
    int asker = -1;
    for (uint64_t question = 1; question <= 4; ++question) {
        // To the bare program they are nothing.
        flood_in_name_of(upstream, actor, family, server, program.is_bare() ? spoofed_at_once : 1000, false);
        if (question > 2)
            flood_in_name_of(upstream, actor, family, server, spoofed_at_once, true);
        if (asker < 0)
            asker = open_asker(actor, family, how, upstream.name());
        Order send = actor.order(Verb::send, asker);
        send.name = upstream.name();
        if (how == Asks::connected)
            send.name.length = 0;
        send.token = question << 32;
        actor.carry_out(send);
        const Name source = upstream.hear(send.token);
        tally.expect(name_of(addresses(family)[0], source.v4.sin_port), source);
        const Question answer = upstream.ask(text_of(source), source.v4.sin_port);
        while (actor.receive(asker).token != answer.token) {
        }
        if (anew) {
            actor.close(asker);
            asker = -1;
        } else if (how != Asks::connected) {
            // Spoofed answers, which the program reads.
            for (unsigned number = 1; number < 3; ++number) {
                upstream.ask(addresses(family)[number], source.v4.sin_port);
                actor.receive(asker);
            }
        }
    }
}

// The program asks its upstream from a port of its own every now and then, with more silence in between than
// "we spoke first" lasts, and a stranger sends something in the upstream's name. One question may be taken
// for the answer to that. The upstream answers what comes from where the routing table says.
void ask_now_and_then(Program& program, Family family, Tally& tally, bool by_thread) {
    Actor& reader = program.main();
    Actor& asker = by_thread ? program.start_thread() : reader;
    const auto& [routed, second, third] = addresses(family);
    Served served = open_server(reader, family);
    tally.expect(name_of(routed, served.port), push(asker, served));
    for (const std::string& address : {second, third}) {
        if (!program.is_bare())
            std::this_thread::sleep_for(after_spoke_first);
        spoof(reader, served, address);
        push(asker, served); // this one
        for (unsigned question = 0; question < 6; ++question) {
            std::this_thread::sleep_for(push_interval); // what follows at once belongs to the answer
            tally.expect(name_of(routed, served.port), push(asker, served));
            if (question >= 3)
                spoof(reader, served, routed); // no spoof: the upstream answers
        }
    }
}

} // namespace

std::vector<Case> cases_of_spoofing() {
    std::vector<Case> cases;
    for (const unsigned exchanges : {1U, 2U})
        for (const bool answered : {false, true})
            cases.push_back({"spoofed.push_to_answered." + std::to_string(exchanges) +
                                 (answered ? ".spoof_answered" : ".spoof_unanswered"),
                             Bare::all_right, [=](Program& program, Family family, Tally& tally) {
                                 push_to_answered(program, family, tally, exchanges, answered);
                             }});
    const auto after_question_to = [&](const char* name, const std::vector<unsigned>& exchanges,
                                       bool by_thread) {
        cases.push_back({std::string{"spoofed.push_after_question."} + name, Bare::all_right,
                         [=](Program& program, Family family, Tally& tally) {
                             push_after_question(program, family, tally, exchanges, by_thread);
                         },
                         short_timeouts});
    };
    after_question_to("by_reader_to_one", {1}, false);
    after_question_to("by_reader", {0, 1, 2}, false);
    after_question_to("by_thread", {0, 1, 2}, true);
    for (const bool by_thread : {false, true}) {
        const std::string who = by_thread ? "by_thread" : "by_reader";
        cases.push_back({"spoofed.push_after_question." + who + "_to_unheard", Bare::all_right,
                         [=](Program& program, Family family, Tally& tally) {
                             push_to_unheard(program, family, tally, by_thread);
                         },
                         short_timeouts});
        cases.push_back({"spoofed.upstream.now_and_then." + who, Bare::all_right,
                         [=](Program& program, Family family, Tally& tally) {
                             ask_now_and_then(program, family, tally, by_thread);
                         },
                         short_timeouts});
        cases.push_back({"spoofed.telephone.subscribes_again." + who, Bare::wrong,
                         [=](Program& program, Family family, Tally& tally) {
                             subscribe_again(program, family, tally, by_thread);
                         },
                         short_timeouts});
    }
    cases.push_back({"spoofed.telephone.called", Bare::wrong, telephone, short_timeouts});
    const std::pair<const char*, Asks> ways[] = {
        {"unbound", Asks::unbound}, {"bound", Asks::bound_to_any_port}, {"connected", Asks::connected}};
    for (const in_port_t upstream_port : {in_port_t{53}, in_port_t{5353}})
        for (const auto& [name, how] : ways)
            for (const bool anew : {false, true})
                cases.push_back({"spoofed.upstream." + std::to_string(upstream_port) + "." + name +
                                     (anew ? ".anew" : ".kept"),
                                 Bare::all_right,
                                 [=, how = how](Program& program, Family family, Tally& tally) {
                                     ask_upstream(program, family, tally, upstream_port, how, anew);
                                 }});
    return cases;
}

} // namespace multihome::conversations
