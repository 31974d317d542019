// SPDX-License-Identifier: MIT
//
// Point 6: where something runs out, the program goes on as without the shim, or better.
#include "tests/transparency/probe.hpp"

#include <linux/capability.h>
#include <string_view>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

using namespace probe;

namespace {

// Nothing can be mapped any more.
void refuse_memory() {
    rlimit limit{4096, 4096};
    must(setrlimit(RLIMIT_AS, &limit) == 0, "RLIMIT_AS");
    must(mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED,
         "still there is memory");
}

// Answered, from whichever address; and nothing that was not asked for is seen.
void look(int server) {
    for (const long room : {-1L, 0L, 64L, 1024L}) {
        Client client;
        client.ask(server);
        Message message(room);
        message.show(server);
        say("sendto", message.answer(server));
        std::printf("answered: %s\n", client.hear() != "nobody" ? "yes" : "no");
    }
}

// Many messages in one call, which takes more memory than a stack should give.
void look_at_many(int server) {
    constexpr unsigned count = 64;
    static mmsghdr messages[count];
    static iovec parts[count];
    static char data[count][16];
    static sockaddr_storage names[count];
    alignas(cmsghdr) static char control[count][256];
    Client client;
    for (unsigned number = 0; number < count; ++number) {
        client.ask(server);
        parts[number] = {data[number], sizeof data[number]};
        std::memset(control[number], 0xaa, sizeof control[number]);
        msghdr& header = messages[number].msg_hdr;
        header = {};
        header.msg_name = &names[number];
        header.msg_namelen = sizeof names[number];
        header.msg_iov = &parts[number];
        header.msg_iovlen = 1;
        header.msg_control = number % 2 == 0 ? control[number] : nullptr;
        header.msg_controllen = number % 2 == 0 ? sizeof control[number] : 0;
    }
    say("recvmmsg", recvmmsg(server, messages, count, MSG_DONTWAIT, nullptr));
    for (const mmsghdr& message : messages)
        std::printf("%u %x %zu %u\n", message.msg_len, static_cast<unsigned>(message.msg_hdr.msg_flags),
                    message.msg_hdr.msg_controllen, message.msg_hdr.msg_namelen);
    for (const auto& buffer : control)
        for (const char byte : buffer)
            if (byte != '\xaa')
                std::printf("written\n");
    say("sendmmsg", sendmmsg(server, messages, count, 0));
    unsigned heard = 0;
    while (readable(client.fd(), 0)) {
        client.hear();
        ++heard;
    }
    std::printf("heard %u\n", heard);
}

// Each of many clients is answered in one call, from where it has asked. There is more room for control
// messages than on a stack.
void answer_many(int server) {
    constexpr unsigned count = 10;
    static mmsghdr messages[count];
    static iovec parts[count];
    static char data[count][16];
    static sockaddr_storage names[count];
    alignas(cmsghdr) static char control[count][8192];
    Client clients[count];
    for (unsigned number = 0; number < count; ++number) {
        clients[number].ask(server);
        parts[number] = {data[number], 1};
        messages[number].msg_hdr = {&names[number],
                                    sizeof names[number],
                                    &parts[number],
                                    1,
                                    control[number],
                                    sizeof control[number],
                                    0};
    }
    for (unsigned done = 0; done < count;) {
        const int received = recvmmsg(server, messages + done, count - done, MSG_DONTWAIT, nullptr);
        must(received > 0, "recvmmsg");
        done += static_cast<unsigned>(received);
    }
    for (mmsghdr& message : messages) {
        std::printf("room for control messages %zu\n", message.msg_hdr.msg_controllen);
        message.msg_hdr.msg_controllen = 0;
    }
    say_call("sendmmsg", [&] { return sendmmsg(server, messages, count, 0); });
    for (Client& client : clients)
        client.print_answer();
}

// As many datagrams as one of our calls takes where there is no memory. The next call must not wait for more.
void wait_for_one(int server) {
    constexpr unsigned count = 64;
    static iovec part{};
    mmsghdr messages[count]{};
    for (mmsghdr& message : messages) {
        message.msg_hdr.msg_iov = &part;
        message.msg_hdr.msg_iovlen = 1;
    }
    Client client;
    for (int number = 0; number < 8; ++number)
        client.ask(server);
    say("waits for one", recvmmsg(server, messages, count, MSG_WAITFORONE, nullptr));
}

// More local addresses than the list holds, each asked by a client of its own; answered at once, and once
// more later.
void many_addresses() {
    const int server = bound("0.0.0.0");
    constexpr int addresses = 1100;
    std::vector<std::string> asked;
    for (int number = 0; number < addresses; ++number) {
        asked.push_back("127.1." + std::to_string(number / 250) + "." + std::to_string(number % 250 + 1));
        echo(server, server, asked.back().c_str());
    }
    // At the first ones others are answered rightly, too. Two are waiting at the same time, and the later one
    // is answered first.
    for (int number = 0; number < 100; ++number) {
        Client first;
        Client second("127.0.0.5");
        Name peers[2];
        char data[64];
        first.ask(server, asked[static_cast<size_t>(number)].c_str());
        recvfrom(server, data, sizeof data, 0, peers[0].get(), &peers[0].length);
        second.ask(server);
        recvfrom(server, data, sizeof data, 0, peers[1].get(), &peers[1].length);
        for (const int which : {1, 0})
            say("sendto", sendto(server, "x", 1, 0, peers[which].get(), peers[which].length));
        first.print_answer(asked[static_cast<size_t>(number)].c_str());
        second.print_answer();
    }
}

// A table of the smallest size, and ten thousand peers, every twentieth of whom waits for an answer.
void flood() {
    const int server = bound("0.0.0.0");
    std::vector<Name> waiting;
    std::vector<int> sockets;
    for (int number = 0; number < 10'000; ++number) {
        const int fd =
            bound(("127.2." + std::to_string(number / 250) + "." + std::to_string(number % 250 + 1)).c_str());
        const Name to(asked_address, name_of(server).port());
        must(sendto(fd, "x", 1, 0, to.get(), to.length) == 1, "sendto");
        char data[8];
        Name peer;
        must(recvfrom(server, data, sizeof data, 0, peer.get(), &peer.length) == 1, "recvfrom");
        if (number % 20 != 0) {
            close(fd);
            continue;
        }
        waiting.push_back(peer);
        sockets.push_back(fd);
        // At once it is always right.
        if (number % 200 == 0) {
            must(sendto(server, "x", 1, 0, peer.get(), peer.length) == 1, "sendto");
            Name from;
            must(recvfrom(fd, data, sizeof data, 0, from.get(), &from.length) == 1, "recvfrom");
            std::printf("answer asked=%s from=%s\n", asked_address, from.address().c_str());
        }
    }
    int heard = 0;
    for (size_t number = 0; number < waiting.size(); ++number) {
        must(sendto(server, "x", 1, 0, waiting[number].get(), waiting[number].length) == 1, "sendto");
        heard += readable(sockets[number]) ? 1 : 0;
    }
    std::printf("heard %d\n", heard);
    echo(server);
}

// Kilobytes of this process that are locked into memory.
long locked_memory() {
    std::FILE* status = std::fopen("/proc/self/status", "r");
    must(status != nullptr, "/proc/self/status");
    char line[256];
    long kilobytes = -1;
    while (std::fgets(line, sizeof line, status) != nullptr)
        if (std::sscanf(line, "VmLck: %ld", &kilobytes) == 1)
            break;
    std::fclose(status);
    return kilobytes;
}

// A program that locks its memory, as those do that must never wait for a disk.
void lock_memory(rlim_t limit) {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct capabilities[2]{};
    must(syscall(SYS_capget, &header, capabilities) == 0, "capget");
    // With this one the limit does not count.
    capabilities[0].effective &= ~(1U << CAP_IPC_LOCK);
    must(syscall(SYS_capset, &header, capabilities) == 0, "capset");
    const rlimit wanted{limit, limit};
    if (setrlimit(RLIMIT_MEMLOCK, &wanted) != 0)
        skip("RLIMIT_MEMLOCK is lower than this");
    must(mlockall(MCL_FUTURE) == 0, "mlockall");
}

void serve_locked(rlim_t limit) {
    lock_memory(limit);
    const long before = locked_memory();
    const int server = bound("0.0.0.0");
    echo(server);
    std::printf("locked much more: %s\n", locked_memory() - before > 512 ? "yes" : "no");
    look_at_many(server);
    echo(server);
}

long page_faults() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt;
}

// What a worker or a helper does after fork(): it closes all that it may have inherited.
void close_the_rest() {
    const int server = bound("0.0.0.0");
    echo(server);
    page_faults();
    const long before = page_faults();
    say("close_range", close_range(static_cast<unsigned>(server) + 1, ~0U, 0));
    std::printf("many page faults: %s\n", page_faults() - before > 8 ? "yes" : "no");
    echo(server);
}

// Nothing is noted of a descriptor, and the kernel refuses where its clients have asked: each is answered as
// without the shim.
void refused_at_high_number() {
    own_namespace();
    constexpr int high = 10'000;
    const rlimit wanted{high + 1, high + 1};
    if (setrlimit(RLIMIT_NOFILE, &wanted) != 0)
        skip("may not raise RLIMIT_NOFILE");
    const int low = bound("::");
    echo(low);
    refuse_memory();
    const int server = dup2(low, high);
    must(server == high, "dup2");
    Client clients[3]{Client("fd00::4"), Client("fd00::4"), Client("fd00::4")};
    Name peers[3];
    for (int number = 0; number < 3; ++number) {
        clients[number].ask(server, "fd00::2");
        peers[number] = say_heard(server);
    }
    remove_address("fd00::2");
    say_answered(server, peers[0]);
    char data[] = "answer";
    iovec part{data, 6};
    mmsghdr batch[2]{};
    for (int number = 0; number < 2; ++number)
        batch[number].msg_hdr = header_for(peers[number + 1], part);
    say_call("sendmmsg", [&] { return sendmmsg(server, batch, 2, 0); });
    for (Client& client : clients)
        std::printf("answered from %s\n", client.hear().c_str());
}

} // namespace

int main(int, char** arguments) {
    const std::string_view topic = arguments[1];
    if (topic == "no_memory_at_bind") {
        refuse_memory();
        const int server = bound("0.0.0.0");
        look(server);
        look_at_many(server);
        // That is said once, however many sockets there are.
        for (int time = 0; time < 20; ++time)
            close(bound("0.0.0.0"));
    } else if (topic == "no_memory_later") {
        const int server = bound("0.0.0.0");
        echo(server);
        refuse_memory();
        look_at_many(server);
        answer_many(server);
        wait_for_one(server);
        echo(server);
    } else if (topic == "no_memory_for_high_numbers") {
        const int server = bound("0.0.0.0");
        echo(server);
        refuse_memory();
        must(dup2(server, 900'000) == 900'000, "dup2");
        look(900'000);
        close(server);
        look(900'000);
    } else if (topic == "refused_at_high_number") {
        refused_at_high_number();
    } else if (topic == "locked_memory") {
        serve_locked(rlim_t{6} << 20);
    } else if (topic == "little_locked_memory") {
        serve_locked(rlim_t{1} << 20);
    } else if (topic == "many_addresses") {
        many_addresses();
    } else if (topic == "flood") {
        flood();
    } else if (topic == "close_the_rest") {
        close_the_rest();
    } else {
        return 2;
    }
    return 0;
}
