// SPDX-License-Identifier: MIT
//
// Point 1, outgoing: the program's own control messages travel together with the source, and a source that
// the program chose itself wins.
#include "tests/transparency/probe.hpp"

#include <linux/net_tstamp.h>
#include <netinet/udp.h>
#include <string>
#include <utility>

using namespace probe;

namespace {

// A control buffer that the program makes up.
class Control {
public:
    template <typename Data>
    Control& add(int level, int type, const Data& data) {
        const size_t at = bytes_.size();
        bytes_.resize(at + CMSG_SPACE(sizeof data));
        cmsghdr header{};
        header.cmsg_len = CMSG_LEN(sizeof data);
        header.cmsg_level = level;
        header.cmsg_type = type;
        std::memcpy(&bytes_[at], &header, sizeof header);
        std::memcpy(&bytes_[at + CMSG_LEN(0)], &data, sizeof data);
        unpadded_ = at + header.cmsg_len;
        return *this;
    }
    Control& add_bytes(size_t count, unsigned char byte) {
        bytes_.resize(bytes_.size() + count, byte);
        unpadded_ = bytes_.size();
        return *this;
    }

    void* data() { return bytes_.data(); }
    size_t size() const { return bytes_.size(); }
    // Without the padding behind the last message, which the kernel does not need.
    size_t unpadded() const { return unpadded_; }

private:
    std::vector<unsigned char> bytes_;
    size_t unpadded_ = 0;
};

class Conversation {
public:
    Conversation(const char* server_address, const char* asked, const char* client_address_)
        : server_(bound(server_address)), client_(client_address_), asked_(asked) {
        if (std::strchr(client_address_, ':') != nullptr) {
            switch_on(client_.fd(), IPPROTO_IPV6, IPV6_RECVHOPLIMIT);
            switch_on(client_.fd(), IPPROTO_IPV6, IPV6_RECVTCLASS);
        } else {
            switch_on(client_.fd(), IPPROTO_IP, IP_RECVTTL);
            switch_on(client_.fd(), IPPROTO_IP, IP_RECVTOS);
        }
        client_.ask(server_, asked_);
        peer_ = say_heard(server_);
    }

    int server() const { return server_; }

    // Answers with these control messages, and prints what the client gets.
    void answer(const char* what, void* control, size_t length, bool source_is_chosen = false,
                std::string text = "answer", int flags = 0) {
        iovec part{text.data(), text.size()};
        msghdr message = header_for(peer_, part);
        message.msg_control = control;
        message.msg_controllen = length;
        const std::string before(static_cast<char*>(control), control != nullptr ? length : 0);
        if (say_call(what, [&] { return sendmsg(server_, &message, flags); }) >= 0)
            print_arrivals(source_is_chosen);
        if (before != std::string(static_cast<char*>(control), control != nullptr ? length : 0))
            std::printf("the program's own control messages were changed\n");
    }
    void answer(const char* what, Control control, bool source_is_chosen = false,
                const std::string& text = "answer") {
        answer(what, control.data(), control.size(), source_is_chosen, text);
        answer("  unpadded", control.data(), control.unpadded(), source_is_chosen, text);
    }

    // Answers from a source that the program chooses.
    void choose(const char* what, const in_pktinfo& source) {
        answer(what, Control{}.add(IPPROTO_IP, IP_PKTINFO, source), true);
    }
    void choose(const char* what, const in6_pktinfo& source) {
        answer(what, Control{}.add(IPPROTO_IPV6, IPV6_PKTINFO, source), true);
    }

    // Two datagrams of one sendmmsg(), the second one without control messages of its own.
    void answer_twice(Control control, bool first_is_chosen = false) {
        char data[] = "answer";
        iovec part{data, 6};
        mmsghdr messages[2]{};
        for (mmsghdr& message : messages)
            message.msg_hdr = header_for(peer_, part);
        messages[0].msg_hdr.msg_control = control.data();
        messages[0].msg_hdr.msg_controllen = control.size();
        say_call("sendmmsg", [&] { return sendmmsg(server_, messages, 2, 0); });
        std::printf("lengths %u %u\n", messages[0].msg_len, messages[1].msg_len);
        print_arrivals(first_is_chosen);
    }

private:
    void print_arrivals(bool first_is_chosen) {
        // On loopback a datagram has arrived when sendmsg() returns.
        for (bool first = true; readable(client_.fd(), first ? 5000 : 0); first = false) {
            Message message(256);
            const long received = recvmsg(client_.fd(), &message.header, 0);
            Name from;
            std::memcpy(&from.storage, &message.name, sizeof from.storage);
            if (first_is_chosen && first)
                std::printf("chosen: from=%s\n", from.address().c_str());
            else
                std::printf("answer asked=%s from=%s\n", asked_, from.address().c_str());
            message.print(received);
        }
    }

    int server_;
    Client client_;
    const char* asked_;
    Name peer_;
};

in_pktinfo from_ipv4(const char* address, int interface_index = 0) {
    in_pktinfo info{};
    inet_pton(AF_INET, address, &info.ipi_spec_dst);
    info.ipi_ifindex = interface_index;
    return info;
}

in6_pktinfo from_ipv6(const char* address) {
    in6_pktinfo info{};
    inet_pton(AF_INET6, address, &info.ipi6_addr);
    return info;
}

void header_fields() {
    Conversation talk("0.0.0.0", asked_address, client_address);
    talk.answer("IP_TTL", Control{}.add(IPPROTO_IP, IP_TTL, 42));
    talk.answer("IP_TOS", Control{}.add(IPPROTO_IP, IP_TOS, 0x10));
    talk.answer("IP_TOS of one byte", Control{}.add(IPPROTO_IP, IP_TOS, static_cast<unsigned char>(0x20)));
    talk.answer("both", Control{}.add(IPPROTO_IP, IP_TTL, 43).add(IPPROTO_IP, IP_TOS, 0x18));
    talk.answer("IP_TTL of 0", Control{}.add(IPPROTO_IP, IP_TTL, 0));
    talk.answer("IP_TTL of 300", Control{}.add(IPPROTO_IP, IP_TTL, 300));
    talk.answer("SO_MARK", Control{}.add(SOL_SOCKET, SO_MARK, 0));
    // 40 are more than the shim has room for on its stack.
    for (const auto& [what, count] : {std::pair{"40 messages", 40}, std::pair{"20 messages", 20}}) {
        Control many;
        for (int number = 0; number < count; ++number)
            many.add(IPPROTO_IP, IP_TTL, 10 + number);
        talk.answer(what, many);
    }
    talk.answer_twice(Control{}.add(IPPROTO_IP, IP_TTL, 44));
}

void header_fields6() {
    own_namespace();
    Conversation talk("::", "fd00::2", "fd00::4");
    talk.answer("IPV6_HOPLIMIT", Control{}.add(IPPROTO_IPV6, IPV6_HOPLIMIT, 42));
    talk.answer("IPV6_TCLASS", Control{}.add(IPPROTO_IPV6, IPV6_TCLASS, 0x10));
    talk.answer("both", Control{}.add(IPPROTO_IPV6, IPV6_HOPLIMIT, 43).add(IPPROTO_IPV6, IPV6_TCLASS, 0x18));
    talk.answer("IPV6_HOPLIMIT of 300", Control{}.add(IPPROTO_IPV6, IPV6_HOPLIMIT, 300));
    talk.answer_twice(Control{}.add(IPPROTO_IPV6, IPV6_HOPLIMIT, 44));
    Conversation mapped("::", asked_address, client_address);
    mapped.answer("IPV6_HOPLIMIT towards IPv4", Control{}.add(IPPROTO_IPV6, IPV6_HOPLIMIT, 42));
    mapped.answer("IP_TTL on an IPv6 socket", Control{}.add(IPPROTO_IP, IP_TTL, 42));
}

void segmentation() {
    Conversation talk("0.0.0.0", asked_address, client_address);
    const auto size = static_cast<uint16_t>(5);
    const Control control = Control{}.add(SOL_UDP, UDP_SEGMENT, size);
    talk.answer("UDP_SEGMENT", control, false, "three pieces");
    talk.answer("with IP_TTL", Control{}.add(SOL_UDP, UDP_SEGMENT, size).add(IPPROTO_IP, IP_TTL, 42), false,
                "twopieces");
    talk.answer("too short a length", Control{}.add(SOL_UDP, UDP_SEGMENT, static_cast<unsigned char>(5)));
    talk.answer_twice(control);
    // Too many pieces: EINVAL that has nothing to do with the source.
    talk.answer("too many pieces", Control{}.add(SOL_UDP, UDP_SEGMENT, static_cast<uint16_t>(1)), false,
                std::string(200, 'x'));
    talk.answer("and afterwards", nullptr, 0);
}

void transmission_time() {
    Conversation talk("0.0.0.0", asked_address, client_address);
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    const auto time = static_cast<uint64_t>(now.tv_sec) * 1000000000U;
    talk.answer("SCM_TXTIME without SO_TXTIME", Control{}.add(SOL_SOCKET, SCM_TXTIME, time));
    const sock_txtime choice{CLOCK_MONOTONIC, 0};
    must(setsockopt(talk.server(), SOL_SOCKET, SO_TXTIME, &choice, sizeof choice) == 0, "SO_TXTIME");
    talk.answer("SCM_TXTIME", Control{}.add(SOL_SOCKET, SCM_TXTIME, time));
    talk.answer("with IP_TTL", Control{}.add(SOL_SOCKET, SCM_TXTIME, time).add(IPPROTO_IP, IP_TTL, 42));
}

// The kernel takes a source that is local by a route alone once an option is on. Whether it takes the
// program's own messages without ours is asked before. This one has no padding at its end.
void transmission_time_any_ip() {
    namespace_with_local_route();
    Conversation talk("::", "fd00:7::5", "fd00::4");
    const sock_txtime choice{CLOCK_MONOTONIC, 0};
    must(setsockopt(talk.server(), SOL_SOCKET, SO_TXTIME, &choice, sizeof choice) == 0, "SO_TXTIME");
    talk.answer("SCM_TXTIME", Control{}.add(SOL_SOCKET, SCM_TXTIME, uint64_t{1}));
}

// As many messages as the kernel takes from a program: it takes no more with ours.
void full() {
    Conversation talk("0.0.0.0", asked_address, client_address);
    long most = 0;
    if (FILE* file = std::fopen("/proc/sys/net/core/optmem_max", "r"); file != nullptr) {
        must(std::fscanf(file, "%ld", &most) == 1, "optmem_max");
        std::fclose(file);
    }
    Control control;
    while (control.size() + CMSG_SPACE(sizeof(int)) < static_cast<size_t>(most))
        control.add(IPPROTO_IP, IP_TTL, 42);
    talk.answer("full", control, true);
    talk.answer_twice(control, true);
    // There is room again.
    talk.answer("with IP_TTL", Control{}.add(IPPROTO_IP, IP_TTL, 42));
}

void own_choice() {
    Conversation talk("0.0.0.0", asked_address, client_address);
    const in_pktinfo other = from_ipv4(other_address);
    talk.choose("chosen", other);
    talk.choose("an interface alone", from_ipv4("0.0.0.0", 1));
    // Zeros say nothing.
    talk.answer("zeros", Control{}.add(IPPROTO_IP, IP_PKTINFO, in_pktinfo{}));
    talk.answer_twice(Control{}.add(IPPROTO_IP, IP_PKTINFO, in_pktinfo{}));
    // What was heard, given back: the kernel does not read the address there, so that no source is chosen.
    in_pktinfo given_back = from_ipv4("0.0.0.0", 1);
    inet_pton(AF_INET, asked_address, &given_back.ipi_addr);
    talk.answer("given back as heard", Control{}.add(IPPROTO_IP, IP_PKTINFO, given_back));
    talk.answer_twice(Control{}.add(IPPROTO_IP, IP_PKTINFO, given_back));
    talk.answer("chosen last", Control{}.add(IPPROTO_IP, IP_TTL, 42).add(IPPROTO_IP, IP_PKTINFO, other),
                true);
    talk.answer("chosen first", Control{}.add(IPPROTO_IP, IP_PKTINFO, other).add(IPPROTO_IP, IP_TTL, 42),
                true);
    talk.choose("not local", from_ipv4("192.0.2.77"));
    talk.answer("too short", Control{}.add(IPPROTO_IP, IP_PKTINFO, 1), true);
    talk.choose("IPv6 on an IPv4 socket", from_ipv6("::ffff:127.0.0.3"));
    // The choice is for that one datagram.
    talk.answer("not chosen", nullptr, 0);
}

void own_choice6() {
    own_namespace();
    Conversation talk("::", "fd00::2", "fd00::4");
    const in6_pktinfo other = from_ipv6("fd00::3");
    talk.choose("chosen", other);
    talk.answer("IPV6_2292PKTINFO", Control{}.add(IPPROTO_IPV6, 2, other), true);
    talk.choose("an interface alone", in6_pktinfo{{}, 1});
    talk.answer("zeros", Control{}.add(IPPROTO_IPV6, IPV6_PKTINFO, in6_pktinfo{}));
    talk.answer_twice(Control{}.add(IPPROTO_IPV6, IPV6_PKTINFO, in6_pktinfo{}));
    talk.answer("zeros of IPV6_2292PKTINFO", Control{}.add(IPPROTO_IPV6, 2, in6_pktinfo{}));
    talk.choose("not local", from_ipv6("2001:db8::77"));
    // A choice for all datagrams (RFC 3542, 6.2), as far as this kernel follows it.
    must(setsockopt(talk.server(), IPPROTO_IPV6, IPV6_PKTINFO, &other, sizeof other) == 0, "IPV6_PKTINFO");
    const in6_pktinfo none{};
    must(setsockopt(talk.server(), IPPROTO_IPV6, IPV6_PKTINFO, &none, sizeof none) == 0, "IPV6_PKTINFO");
    talk.answer("not chosen", nullptr, 0);
    Conversation mapped("::", asked_address, client_address);
    mapped.choose("v4-mapped", from_ipv6("::ffff:127.0.0.3"));
    mapped.answer("zeros towards IPv4", Control{}.add(IPPROTO_IPV6, IPV6_PKTINFO, in6_pktinfo{}));
    mapped.answer("IPv4's zeros", Control{}.add(IPPROTO_IP, IP_PKTINFO, in_pktinfo{}));
    mapped.choose("IPv4 on an IPv6 socket", from_ipv4(other_address));
    mapped.answer("not chosen", nullptr, 0);
}

// What the kernel refuses, it refuses as before; what it ignores, it ignores.
void garbage() {
    Conversation talk("0.0.0.0", asked_address, client_address);
    for (size_t length = 0; length <= 40; ++length) {
        Control zeros;
        zeros.add_bytes(length, 0);
        talk.answer("zeros", zeros.data(), length);
        Control ones;
        ones.add_bytes(length, 0xff);
        talk.answer("ones", ones.data(), length);
    }
    talk.answer("nothing of 64 bytes", nullptr, 64);
    talk.answer("unknown type", Control{}.add(IPPROTO_IP, 200, 1));
    talk.answer("unknown level", Control{}.add(12345, 1, 1));
    talk.answer("garbage behind", Control{}.add(IPPROTO_IP, IP_TTL, 42).add_bytes(16, 0xff));
    talk.answer("too little behind", Control{}.add(IPPROTO_IP, IP_TTL, 42).add_bytes(15, 0xff));
    // Of odd alignment.
    Control odd;
    odd.add(IPPROTO_IP, IP_TTL, 42);
    char shifted[64];
    std::memcpy(shifted + 1, odd.data(), odd.size());
    talk.answer("unaligned", shifted + 1, odd.size());
    talk.answer("MSG_CONFIRM", nullptr, 0, false, "answer", MSG_CONFIRM | MSG_DONTROUTE);
    talk.answer("MSG_OOB", nullptr, 0, false, "answer", MSG_OOB);
}

} // namespace

int main(int, char** arguments) {
    return run_topic(arguments[1], {{"ttl_tos", header_fields},
                                    {"hoplimit_tclass", header_fields6},
                                    {"segment", segmentation},
                                    {"txtime", transmission_time},
                                    {"txtime_any_ip", transmission_time_any_ip},
                                    {"full", full},
                                    {"own_choice", own_choice},
                                    {"own_choice6", own_choice6},
                                    {"garbage", garbage}});
}
