// SPDX-License-Identifier: MIT
#include "tests/differential/generate.hpp"

#include "tests/differential/values.hpp"

#include <algorithm>
#include <array>

namespace multihome::differential {

namespace {

class Generator {
public:
    Generator(std::uint64_t seed, std::size_t length)
        : random_(seed), length_(length), connect_ipv6_(random_.chance(50)), asks_inline_(random_.chance(25)),
          shares_ports_(random_.chance(30)) {}

    std::vector<Step> make() {
        const std::int64_t sockets = 2 + random_.below(4);
        for (std::int64_t index = 0; index < sockets; ++index)
            make_socket(static_cast<int>(index));
        while (steps_.size() + 1 < length_)
            random_step();
        add(Op::reset);
        return std::move(steps_);
    }

private:
    Step& add(Op op) {
        steps_.emplace_back();
        steps_.back().op = op;
        steps_.back().by_number = is_call(op) && random_.chance(8);
        return steps_.back();
    }

    std::int64_t descriptor() {
        if (random_.chance(3))
            return random_.pick(descriptors_beyond);
        return 3 + random_.below(made_ + (random_.chance(10) ? 4 : 0));
    }

    Place place_for(int family) {
        constexpr std::array ipv4{Place::v4_loopback, Place::v4_loopback, Place::v4_loopback,
                                  Place::v4_any,      Place::v4_nowhere,  Place::v4_broadcast,
                                  Place::v4_group,    Place::v4_limited};
        constexpr std::array ipv6{
            Place::v6_loopback,   Place::v6_loopback,   Place::v6_mapped_loopback, Place::v6_mapped_loopback,
            Place::v6_any,        Place::v6_mapped_any, Place::v6_nowhere,         Place::v6_group,
            Place::v6_link_local, Place::v6_short};
        if (family == 1)
            return Place::local;
        if (random_.chance(10))
            return static_cast<Place>(random_.below(static_cast<std::int64_t>(Place::v4_other)));
        const auto& places = family == 2 ? std::span<const Place>{ipv4} : std::span<const Place>{ipv6};
        return places[static_cast<std::size_t>(random_.below(static_cast<std::int64_t>(places.size())))];
    }

    Place destination() {
        if (random_.chance(60))
            return random_.chance(60) ? Place::v4_loopback : Place::v6_loopback;
        return place_for(random_.chance(50) ? 2 : 10);
    }

    /// Mostly somebody who listens: a client, or a socket of the program.
    std::int64_t port() {
        if (random_.chance(60))
            return random_.chance(75) ? 12 : 13;
        return random_.chance(10) ? -1 : random_.below(8);
    }

    void bad_pointer(Step& step, Field field, int percent) {
        if (random_.chance(percent))
            step.set(field, 1 + random_.below(static_cast<std::int64_t>(Pointer::count) - 1));
        else if (random_.chance(15))
            step.set(field, static_cast<std::int64_t>(random_.chance(50) ? Pointer::edge : Pointer::odd));
    }

    void data_length(Step& step) {
        step.set(Field::length, random_.chance(4) ? random_.pick(odd_lengths) : random_.pick(data_lengths));
    }

    void make_socket(int index) {
        struct Kind {
            int domain, type, protocol, weight;
        };
        constexpr std::array<Kind, 9> kinds{{{2, 2, 0, 35},
                                             {10, 2, 0, 35},
                                             {2, 2, 17, 5},
                                             {2, 1, 0, 5},
                                             {10, 1, 0, 3},
                                             {1, 2, 0, 6},
                                             {2, 2, 136, 5},
                                             {2, 2, 1, 3},
                                             {10, 2, 58, 3}}};
        std::int64_t at = random_.below(100);
        const Kind* kind = kinds.data();
        while (at >= kind->weight)
            at -= (kind++)->weight;
        Step& made = add(Op::socket);
        made.set(Field::domain, kind->domain);
        const bool is_udp =
            kind->type == 2 && (kind->protocol == 0 || kind->protocol == 17) && kind->domain != 1;
        const bool waits = is_udp && random_.chance(10);
        made.set(Field::type, kind->type | (waits ? 0 : nonblocking));
        made.set(Field::protocol, kind->protocol);
        const std::int64_t fd = 3 + made_++;
        if (waits)
            limit_waiting(fd);
        if (shares_ports_)
            share_port(fd);
        while (random_.chance(20))
            toggle_option(fd);
        if (random_.chance(15))
            return;
        Step& bound = add(Op::bind);
        bound.set(Field::fd, fd);
        bound.set(Field::port, index % 8);
        const int family = kind->domain;
        const bool wildcard = random_.chance(80);
        Place place = family == 1   ? Place::local
                      : family == 2 ? (wildcard ? Place::v4_any : Place::v4_loopback)
                                    : (wildcard ? Place::v6_any : Place::v6_loopback);
        if (family == 10 && random_.chance(8))
            place = Place::v6_mapped_any;
        bound.set(Field::place, static_cast<std::int64_t>(place));
        if (is_udp)
            servers_.push_back({fd, index % 8, place == Place::v6_any || place == Place::v6_loopback});
    }

    Step& set_option(std::int64_t fd, int option, std::int64_t value, std::int64_t length) {
        Step& step = add(Op::setsockopt);
        step.set(Field::fd, fd);
        step.set(Field::level, 1);
        step.set(Field::option, option);
        step.set(Field::value, value);
        step.set(Field::length, length);
        return step;
    }
    void share_port(std::int64_t fd) { set_option(fd, 2, 1, 4); }
    /// SO_RCVTIMEO: as short as the kernel's clock can.
    void limit_waiting(std::int64_t fd) { set_option(fd, 20, 1, 16); }

    void toggle_option(std::int64_t fd) {
        const SocketOption& option =
            options[static_cast<std::size_t>(random_.below(static_cast<std::int64_t>(options.size())))];
        // A program that asks for both, on a socket whose making or whose copies the shim has lost sight of,
        // looks like a socket with the shim's mark. So each sequence has but one of them.
        const bool asks_inline = option.level == 1 && option.name == 10;
        const bool asks_for_information =
            option.name == (option.level == 0 ? 8 : 49) || (option.level == 41 && option.name == 2);
        if (asks_inline_ ? asks_for_information : asks_inline)
            return;
        Step& step = add(Op::setsockopt);
        step.set(Field::fd, fd);
        step.set(Field::level, option.level);
        step.set(Field::option, option.name);
        step.set(Field::value, option.values < 0 ? -option.values : random_.below(option.values));
        // SO_TIMESTAMPING without the times of sending, which come with the packet, its lots drawn.
        if (option.level == 1 && (option.name == 37 || option.name == 65))
            step.set(Field::value, step.get(Field::value) & ~3);
        step.set(Field::length, random_.chance(85) ? 4 : random_.below(9));
        if (option.level == 1 && option.name == 25)
            step.set(Field::length, 4);
        if (option.level == 41 && option.name == 50)
            step.set(Field::length, 20);
        if (option.level == 0 && option.name == 32 && random_.chance(50))
            step.set(Field::length, 12);
        if (option.level == 1 && option.name == 61)
            step.set(Field::length, 8);
        if (random_.chance(2))
            step.set(Field::length, -1);
        bad_pointer(step, Field::data, 4);
    }

    void read_option() {
        const SocketOption& option =
            options[static_cast<std::size_t>(random_.below(static_cast<std::int64_t>(options.size())))];
        Step& step = add(Op::getsockopt);
        step.set(Field::fd, descriptor());
        step.set(Field::level, option.level);
        step.set(Field::option, option.name);
        step.set(Field::length, random_.chance(60) ? 4 : random_.below(20) - 1);
        bad_pointer(step, Field::data, 6);
        bad_pointer(step, Field::length_place, 4);
    }

    void client_sends() {
        Step& step = add(Op::client_send);
        step.set(Field::client, random_.below(3));
        const bool ipv6 = step.get(Field::client) == 1;
        step.set(Field::place, static_cast<std::int64_t>(ipv6                 ? Place::v6_loopback
                                                         : random_.chance(90) ? Place::v4_loopback
                                                                              : Place::v4_broadcast));
        step.set(Field::port, random_.below(5));
        step.set(Field::count, random_.chance(1) ? 1500 : random_.chance(5) ? 100 : 1 + random_.below(6));
        step.set(Field::length, random_.pick(Values{data_lengths}.first(9)));
        if (random_.chance(5))
            step.set(Field::contents, content_segment);
    }

    void receive(Op op) {
        Step& step = add(op);
        step.set(Field::fd, descriptor());
        data_length(step);
        step.set(Field::waits, random_.chance(50) ? 1 : 0);
        if (random_.chance(25))
            step.set(Field::flags, random_.pick(receive_flags));
        if (random_.chance(1))
            step.set(Field::flags, random_.pick(compat_flag));
        if (random_.chance(30))
            step.set(Field::name_length, random_.pick(name_lengths));
        bad_pointer(step, Field::name, 8);
        bad_pointer(step, Field::data, 4);
        bad_pointer(step, Field::length_place, 4);
        if (op != Op::recvfrom && op != Op::__recvfrom_chk) {
            message(step);
            if (random_.chance(80))
                step.set(Field::control_length, random_.pick(control_lengths));
        }
        // Looks at it and then takes it.
        constexpr std::int64_t peek = 2;
        if ((step.get(Field::flags) & peek) != 0 && random_.chance(50)) {
            Step take = step;
            take.set(Field::flags, step.get(Field::flags) & ~peek);
            steps_.push_back(take);
        }
    }

    /// A client asks a server, which answers as servers do.
    void converses() {
        if (servers_.empty())
            return;
        const Server server =
            servers_[static_cast<std::size_t>(random_.below(static_cast<std::int64_t>(servers_.size())))];
        const bool ipv6 = server.ipv6 && random_.chance(60);
        const std::int64_t client = ipv6 ? 1 : random_.chance(75) ? 0 : 2;
        const std::int64_t client_port = client == 2 ? 13 : 12;
        const Place peer = ipv6          ? Place::v6_loopback
                           : server.ipv6 ? Place::v6_mapped_loopback
                                         : Place::v4_loopback;
        Step& question = add(Op::client_send);
        question.set(Field::client, client);
        question.set(Field::place, static_cast<std::int64_t>(ipv6 ? Place::v6_loopback : Place::v4_loopback));
        question.set(Field::port, server.port);
        question.set(Field::count, 1 + random_.below(3));
        question.set(Field::length, 100);
        const std::int64_t rounds = 1 + random_.below(3);
        for (std::int64_t round = 0; round < rounds; ++round) {
            constexpr std::array receiving{Op::recvfrom, Op::recvmsg, Op::recvmmsg};
            Step& heard = add(receiving[static_cast<std::size_t>(random_.below(receiving.size()))]);
            heard.set(Field::fd, server.fd);
            heard.set(Field::length, 2000);
            heard.set(Field::count, heard.op == Op::recvmmsg ? 1 + random_.below(4) : 0);
            heard.set(Field::time, heard.op == Op::recvmmsg ? static_cast<std::int64_t>(Pointer::null) : 0);
        }
        std::int64_t fd = server.fd;
        if (shares_ports_ && (ipv6 || !connect_ipv6_) && random_.chance(30)) {
            // By a socket for this client. For connect_ipv6_ see connects().
            Step& made = add(Op::socket);
            made.set(Field::domain, server.ipv6 ? 10 : 2);
            made.set(Field::type, 2 | nonblocking);
            fd = 3 + made_++;
            share_port(fd);
            Step& bound = add(Op::bind);
            bound.set(Field::fd, fd);
            bound.set(Field::port, server.port);
            bound.set(Field::place, static_cast<std::int64_t>(server.ipv6 ? Place::v6_any : Place::v4_any));
            Step& connected = add(Op::connect);
            connected.set(Field::fd, fd);
            connected.set(Field::port, client_port);
            connected.set(Field::place, static_cast<std::int64_t>(peer));
            connect_ipv6_ = connect_ipv6_ || ipv6;
        }
        for (std::int64_t round = 0; round < rounds; ++round) {
            constexpr std::array sending{Op::sendto, Op::sendmsg, Op::sendmmsg, Op::send};
            Step& answer = add(sending[static_cast<std::size_t>(random_.below(sending.size()))]);
            answer.set(Field::fd, fd);
            answer.set(Field::length, 100);
            answer.set(Field::port, client_port);
            answer.set(Field::place, static_cast<std::int64_t>(peer));
            answer.set(Field::count, answer.op == Op::sendmmsg ? 1 + random_.below(4) : 0);
            if (random_.chance(10))
                answer.set(Field::flags, random_.pick(send_flags));
        }
    }

    void message(Step& step) {
        bad_pointer(step, Field::control, 6);
        bad_pointer(step, Field::vector, 3);
        bad_pointer(step, Field::message, 3);
        if (random_.chance(15))
            step.set(Field::vectors, random_.pick(List<7>{-1, 2, 3, 10, 1024, 1025, 1000000000}));
        if (step.op != Op::recvmmsg && step.op != Op::sendmmsg)
            return;
        step.set(Field::count, random_.chance(2) ? -1 : random_.pick(message_counts));
        if (step.get(Field::count) > 64 && random_.chance(70))
            step.set(Field::count, 4);
        // Many vectors for each of many messages take the engine itself a minute.
        if (step.get(Field::count) < 0 || step.get(Field::count) > 64)
            step.set(Field::vectors, std::min<std::int64_t>(step.get(Field::vectors), 10));
        step.set(Field::spread, random_.chance(40) ? 8 : 0);
        if (step.get(Field::count) > 0 && random_.chance(60))
            step.set(Field::bad, 1 + random_.below(step.get(Field::count)));
        if (step.op == Op::sendmmsg)
            return;
        step.set(Field::time, static_cast<std::int64_t>(Pointer::null));
        if (random_.chance(20)) {
            step.set(Field::timeout, random_.pick(List<4>{0, -1, -2, 3600}));
            step.set(Field::time, 0);
            bad_pointer(step, Field::time, 20);
        }
    }

    void send(Op op) {
        Step& step = add(op);
        step.set(Field::fd, descriptor());
        data_length(step);
        step.set(Field::place, static_cast<std::int64_t>(destination()));
        step.set(Field::port, port());
        if (random_.chance(15))
            step.set(Field::flags, random_.pick(send_flags));
        if (random_.chance(1))
            step.set(Field::flags, random_.pick(compat_flag));
        if (random_.chance(10))
            step.set(Field::name_length, random_.pick(name_lengths));
        bad_pointer(step, Field::name, 10);
        bad_pointer(step, Field::data, 4);
        if (op == Op::sendto)
            return;
        message(step);
        if (random_.chance(40)) {
            std::int64_t contents = 0;
            do
                contents |= std::int64_t{1} << random_.below(content_bits);
            while (random_.chance(30));
            step.set(Field::contents, contents);
        }
        if (random_.chance(15))
            step.set(Field::control_length, random_.chance(30) ? -2 : random_.pick(control_lengths));
        if (step.get(Field::count) > 64)
            step.set(Field::length, 1);
    }

    void connects() {
        Step& step = add(Op::connect);
        step.set(Field::fd, descriptor());
        // After the first IPv6 peer to no IPv4 one: a dual-stack socket that is connected to one and then to
        // the other keeps half of its first address. The shim has it follow the peer, which shows.
        connect_ipv6_ = connect_ipv6_ || random_.chance(15);
        constexpr std::array ipv4{Place::v4_loopback, Place::v6_mapped_loopback, Place::v4_any,
                                  Place::v4_nowhere, Place::v4_broadcast};
        constexpr std::array ipv6{Place::v6_loopback, Place::v6_loopback, Place::v6_any, Place::v6_nowhere,
                                  Place::v6_short};
        const auto& places = connect_ipv6_ ? ipv6 : ipv4;
        const Place to =
            places[static_cast<std::size_t>(random_.below(static_cast<std::int64_t>(places.size())))];
        step.set(Field::place, static_cast<std::int64_t>(random_.chance(30) ? Place::unspecified : to));
        step.set(Field::port, port());
        bad_pointer(step, Field::name, 8);
        if (random_.chance(10))
            step.set(Field::name_length, random_.pick(name_lengths));
    }

    void binds() {
        Step& step = add(Op::bind);
        step.set(Field::fd, descriptor());
        step.set(Field::place, static_cast<std::int64_t>(place_for(random_.chance(50) ? 2 : 10)));
        step.set(Field::port, random_.chance(20) ? -1 : random_.below(8));
        bad_pointer(step, Field::name, 8);
        if (random_.chance(10))
            step.set(Field::name_length, random_.pick(name_lengths));
    }

    void duplicates() {
        constexpr std::array ops{Op::dup, Op::dup2, Op::dup3, Op::fcntl, Op::fcntl64};
        Step& step = add(ops[static_cast<std::size_t>(random_.below(ops.size()))]);
        step.set(Field::fd, descriptor());
        step.set(Field::number, descriptor());
        step.set(Field::flags, random_.pick(List<4>{0, 0, 0x80000, 1}));
        step.set(Field::command, random_.pick(commands));
        step.set(Field::argument,
                 random_.chance(80) ? 3 + random_.below(8) : random_.pick(descriptors_beyond));
        if (step.op == Op::dup || step.op == Op::dup3)
            ++made_;
    }

    void closes() {
        const std::int64_t what = random_.below(20);
        const std::int64_t fd = descriptor();
        if (what < 12) {
            add(Op::close).set(Field::fd, fd);
        } else if (what < 15) {
            add(Op::hidden_close).set(Field::fd, fd < 3 ? 3 : fd);
        } else if (what < 18) {
            Step& step = add(Op::close_range);
            step.set(Field::fd, fd < 3 ? 3 : fd);
            step.set(Field::number, random_.chance(90) ? fd + random_.below(3) : -1);
            step.set(Field::flags, random_.pick(List<5>{0, 0, 4, 2, 0x80}));
        } else {
            add(Op::closefrom).set(Field::fd, 3 + random_.below(6));
        }
    }

    void random_step() {
        const std::int64_t what = random_.below(212);
        if (what < 40) {
            client_sends();
        } else if (what < 90) {
            constexpr std::array ops{Op::recvfrom, Op::recvfrom, Op::recvmsg,  Op::recvmsg,
                                     Op::recvmsg,  Op::recvmmsg, Op::recvmmsg, Op::__recvfrom_chk};
            receive(ops[static_cast<std::size_t>(random_.below(ops.size()))]);
        } else if (what < 130) {
            constexpr std::array ops{Op::sendto, Op::sendto, Op::sendmsg, Op::sendmsg, Op::sendmmsg};
            send(ops[static_cast<std::size_t>(random_.below(ops.size()))]);
        } else if (what < 150) {
            toggle_option(descriptor());
        } else if (what < 160) {
            read_option();
        } else if (what < 168) {
            connects();
        } else if (what < 171) {
            binds();
        } else if (what < 181) {
            duplicates();
        } else if (what < 187) {
            closes();
        } else if (what < 191) {
            make_socket(static_cast<int>(random_.below(8)));
        } else if (what < 199) {
            converses();
        } else {
            rare_step();
        }
    }

    void rare_step() {
        const std::int64_t what = random_.below(26);
        if (what < 4) {
            add(Op::inspect).set(Field::fd, descriptor());
        } else if (what < 6) {
            add(Op::socketpair);
            made_ += 2;
        } else if (what < 9 && !asks_inline_) {
            Step& step = add(Op::pass);
            step.set(Field::fd, descriptor());
            step.set(Field::flags, random_.below(2));
            ++made_;
        } else if (what < 11) {
            add(Op::hand_out).set(Field::fd, descriptor());
        } else if (what < 13 && !asks_inline_) {
            Step& step = add(Op::pidfd_getfd);
            step.set(Field::fd, own_pidfd);
            step.set(Field::number, descriptor());
            ++made_;
        } else if (what < 17) {
            Step& step = add(random_.chance(60) ? Op::recv : Op::send);
            step.set(Field::fd, descriptor());
            data_length(step);
            if (random_.chance(25))
                step.set(Field::flags,
                         random_.pick(step.op == Op::recv ? Values{receive_flags} : send_flags));
        } else if (what < 20) {
            Step& step = add(Op::elsewhere);
            step.set(Field::number, random_.below(static_cast<std::int64_t>(Elsewhere::count)));
            step.set(Field::count, 1 + random_.below(6));
        } else if (what < 22) {
            add(Op::listen).set(Field::fd, descriptor());
        } else if (what < 24) {
            Step& step = add(Op::prctl);
            step.set(Field::number, random_.pick(List<4>{3, 39, 16, 99999}));
        } else {
            Step& step = add(Op::syscall);
            step.set(Field::number, random_.pick(List<3>{99999, -1, 39999}));
        }
    }

    Random random_;
    std::size_t length_;
    std::int64_t made_ = 0;
    bool connect_ipv6_;
    bool asks_inline_;
    bool shares_ports_;
    struct Server {
        std::int64_t fd, port;
        bool ipv6;
    };
    std::vector<Server> servers_; // as long as nothing happens to them
    std::vector<Step> steps_;
};

} // namespace

std::uint64_t Random::next() {
    state_ += 0x9e37'79b9'7f4a'7c15;
    std::uint64_t value = state_;
    value = (value ^ (value >> 30U)) * 0xbf58'476d'1ce4'e5b9;
    value = (value ^ (value >> 27U)) * 0x94d0'49bb'1331'11eb;
    return value ^ (value >> 31U);
}

std::vector<Step> generate(std::uint64_t seed, std::size_t length) {
    return Generator{seed, length}.make();
}

} // namespace multihome::differential
