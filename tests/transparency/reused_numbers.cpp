// SPDX-License-Identifier: MIT
//
// Point 3: a server's number stands for something else, and the shim may not have seen how that came about.
#include "tests/kernel_calls.hpp"
#include "tests/transparency/probe.hpp"

#include <fcntl.h>
#include <string_view>

using namespace probe;

namespace {

// Makes something else than a server, and returns one descriptor of it, to be closed behind our back.
using Make = int (*)();

int make_unix_socket() {
    int pair[2];
    must(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0, "socketpair");
    must(sendto(pair[1], "x", 1, 0, nullptr, 0) == 1, "sendto");
    return pair[0];
}

int make_file() {
    return open("/dev/null", O_RDWR);
}

// accept() is not interposed: the shim sees this one for the first time when it is used.
int make_tcp_connection() {
    // Out of the way of the number that is to be used again.
    const int listener = fcntl(socket(AF_INET, SOCK_STREAM, 0), F_DUPFD, 300);
    const int caller = fcntl(socket(AF_INET, SOCK_STREAM, 0), F_DUPFD, 300);
    closefrom(400);
    Name at("127.0.0.1", 0);
    must(bind(listener, at.get(), at.length) == 0 && listen(listener, 1) == 0, "listen");
    at = name_of(listener);
    must(connect(caller, at.get(), at.length) == 0 && send(caller, "x", 1, 0) == 1, "connect");
    return accept(listener, nullptr, nullptr);
}

// Bound by system calls that are not seen.
int make_unseen(const char* address) {
    const int fd = kernel::socket();
    const Name name(address, 0);
    kernel::call(SYS_bind, fd, reinterpret_cast<long>(name.get()), name.length);
    return fd;
}

int make_udp_of_one_address() {
    return make_unseen("127.0.0.9");
}

int make_unseen_server() {
    return make_unseen("0.0.0.0");
}

int make_udp_client() {
    const int fd = kernel::socket();
    const Name somebody("127.0.0.9", htons(9));
    must(sendto(fd, "x", 1, 0, somebody.get(), somebody.length) == 1, "sendto");
    return fd;
}

int make_server() {
    return bound("0.0.0.0");
}

struct Kind {
    const char* name;
    Make make;
    // From which datagram on the answer has to leave from the address that was asked. The shim finds out that
    // a number was reused where it could not see it when a datagram comes without packet information, and
    // that a client is bound to the wildcard is not its business.
    int right_from;
};
constexpr int never = 1000;
// A number that was known to be none of the shim's business, which is not looked at again.
constexpr Kind unseen_for_good{"an unseen server", make_unseen_server, never};
constexpr Kind kinds[] = {
    {"a UNIX socket", make_unix_socket, never},
    {"a file", make_file, never},
    {"a TCP connection", make_tcp_connection, never},
    {"bound to one address", make_udp_of_one_address, 0},
    {"a client", make_udp_client, never},
    {"a server", make_server, 0},
    {"an unseen server", make_unseen_server, 1},
};

// What a program may do with it, the first use being option, datagram or sending by turns.
void use(const Kind& kind, int fd, unsigned turn) {
    int datagrams = 0;
    int type = 0;
    socklen_t type_length = sizeof type;
    Name own;
    const bool udp = getsockname(fd, own.get(), &own.length) == 0 && own.storage.ss_family == AF_INET &&
                     getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_length) == 0 && type == SOCK_DGRAM;
    const std::string asked = own.address() == "0.0.0.0" ? asked_address : own.address();
    const auto set_option = [&] {
        int value = 1;
        socklen_t length = sizeof value;
        say("set IP_PKTINFO", setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &value, sizeof value));
        say("get IP_PKTINFO", getsockopt(fd, IPPROTO_IP, IP_PKTINFO, &value, &length));
        std::printf("is %d\n", value);
        if (turn % 2 == 0) {
            value = 0;
            say("set IP_PKTINFO to 0", setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &value, sizeof value));
        }
    };
    const auto receive = [&] {
        Client client;
        if (udp)
            client.ask(fd, asked.c_str());
        Message message(64);
        message.show(fd, MSG_DONTWAIT);
        if (!udp || message.answer(fd) != 6)
            return;
        if (datagrams++ >= kind.right_from)
            client.print_answer(asked.c_str());
        else
            std::printf("answered: %s\n", client.hear() != "nobody" ? "yes" : "no");
    };
    if (turn % 3 == 0)
        set_option();
    // Twice before an option is touched, which would repair what was not forgotten.
    for (int time = 0; time < (udp ? 2 : 1); ++time)
        receive();
    set_option();
    if (udp)
        receive();
}

void close_by(std::string_view how, int fd) {
    if (how == "close") {
        close(fd);
    } else if (how == "raw_close") {
        kernel::close(fd);
    } else if (how == "fclose") {
        FILE* file = fdopen(fd, "r");
        must(file != nullptr && std::fclose(file) == 0, "fclose");
    } else if (how == "close_range") {
        say("close_range", close_range(static_cast<unsigned>(fd), ~0U, 0));
    } else if (how == "close_range_by_number") {
        say("close_range", syscall(SYS_close_range, fd, ~0U, 0));
    } else if (how == "closefrom") {
        closefrom(fd);
    } else {
        const int null = open("/dev/null", O_RDONLY);
        say("dup2", dup2(null, fd) == fd);
        kernel::close(null);
        kernel::close(fd);
    }
}

void reuse(std::string_view how) {
    for (const Kind& kind : kinds)
        for (unsigned turn = 0; turn < 6; ++turn) {
            const int server = server_in_use();
            close_by(how, server);
            const int now = kind.make();
            std::printf("now %s, %s number\n", kind.name, now == server ? "the same" : "another");
            use(how == "dup2" && kind.make == make_unseen_server ? unseen_for_good : kind, now, turn);
            kernel::close(now);
        }
}

// A pair of UNIX sockets. The first has the number of a server, which is closed unseen.
struct PairAtServer {
    int ends[2];

    explicit PairAtServer(int server) {
        close_by("fclose", server);
        must(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) == 0, "socketpair");
        say("the same number", ends[0] == server);
    }

    // Sends descriptors to the first. The shim does not see it: it would look at its sockets before.
    void send(const std::vector<int>& descriptors) const {
        const size_t size = descriptors.size() * sizeof(int);
        std::vector<char> control(CMSG_SPACE(size));
        char data[1] = {'x'};
        iovec part{data, 1};
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        cmsghdr* header = CMSG_FIRSTHDR(&message);
        *header = {CMSG_LEN(size), SOL_SOCKET, SCM_RIGHTS};
        std::memcpy(CMSG_DATA(header), descriptors.data(), size);
        must(kernel::call(SYS_sendmsg, ends[1], reinterpret_cast<long>(&message)) == 1, "sendmsg");
    }
};

constexpr int highest = 64;
int count_descriptors() {
    int count = 0;
    for (int fd = 0; fd < highest; ++fd)
        count += fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
    return count;
}

// Three descriptors are sent to who has room for fewer: the kernel brings no more than there is room for.
void descriptors_without_room() {
    for (int call = 0; call < 4; ++call)
        for (size_t room = 0; room <= CMSG_SPACE(3 * sizeof(int)); ++room) {
            const int server = server_in_use();
            const PairAtServer pair(server);
            pair.send({0, 1, 2});
            const int before = count_descriptors();
            Message message(static_cast<long>(room));
            mmsghdr several[2]{{message.header, 0}, {message.header, 0}};
            ssize_t received = 0;
            if (call == 0)
                received = recvmsg(server, &message.header, 0);
            else if (call == 1)
                received = recvmsg(server, &message.header, MSG_PEEK);
            else if (call == 2)
                received = recvmmsg(server, several, 2, MSG_DONTWAIT, nullptr);
            else
                received = recvfrom(server, message.data.data(), 1, 0,
                                    reinterpret_cast<sockaddr*>(&message.name), &message.header.msg_namelen);
            const msghdr& header = call == 2 ? several[0].msg_hdr : message.header;
            const cmsghdr* first = CMSG_FIRSTHDR(&header);
            std::printf("room for %zu: received %zd, flags %x, %zu bytes, the first of %zu, %d descriptors\n",
                        room, received, static_cast<unsigned>(header.msg_flags), header.msg_controllen,
                        first != nullptr && call != 3 ? first->cmsg_len : 0, count_descriptors() - before);
            for (int fd = server; fd < highest; ++fd)
                kernel::close(fd);
        }
}

// A server arrives at a number that was none of the shim's business.
void passed_without_being_seen() {
    const int server = server_in_use();
    const int other = bound("0.0.0.0");
    const int passed = fcntl(other, F_DUPFD, 300);
    close(other);
    const int number = socket(AF_INET, SOCK_STREAM, 0);
    const PairAtServer pair(server);
    pair.send({passed});
    close(number);
    Message message(CMSG_SPACE(sizeof(int)));
    say("recvmsg", recvmsg(server, &message.header, 0));
    int arrived = -1;
    std::memcpy(&arrived, message.control.data() + CMSG_LEN(0), sizeof arrived);
    say("the number", arrived == number);
    look("passed", arrived, arrived);
}

// A socket that is about to be a server, and is closed unseen. Its number goes to a TCP connection that has
// SO_OOBINLINE from its listener.
void reuse_address() {
    const Listener listener;
    const int server = socket(AF_INET, SOCK_DGRAM, 0);
    switch_on(server, SOL_SOCKET, SO_REUSEADDR);
    close_by("fclose", server);
    const int accepted = listener.accept_caller();
    say("the same number", accepted == server);
    int value = -1;
    socklen_t length = sizeof value;
    say("SO_OOBINLINE", getsockopt(accepted, SOL_SOCKET, SO_OOBINLINE, &value, &length));
    std::printf("is %d\n", value);
}

// The program learns that the number stands for nothing, and the operator reads nothing else.
void bound_after_fclose() {
    const int server = socket(AF_INET, SOCK_DGRAM, 0);
    close_by("fclose", server);
    const Name any("0.0.0.0", 0);
    say("bind", bind(server, any.get(), any.length));
}

} // namespace

int main(int, char** arguments) {
    constexpr std::string_view prefix = "reuse_after_";
    const std::string_view topic = arguments[1];
    if (!topic.starts_with(prefix))
        return run_topic(topic, {{"descriptors_without_room", descriptors_without_room},
                                 {"passed_without_being_seen", passed_without_being_seen},
                                 {"reuse_address_and_closed", reuse_address},
                                 {"bound_after_fclose", bound_after_fclose}});
    reuse(topic.substr(prefix.size()));
    return 0;
}
