// SPDX-License-Identifier: MIT
//
// What a call takes more of a stack than without the shim is what multihome(7) says (LIMITS). A signal
// handler makes it, on a stack of its own.
#include "tests/transparency/probe.hpp"

#include <algorithm>
#include <sys/mman.h>

using namespace probe;

namespace {

constexpr size_t stack_size = size_t{64} * 1024;
#if defined(__x86_64__) && !defined(__clang__)
constexpr ptrdiff_t leeway = 0;
#else
constexpr ptrdiff_t leeway = 1024; // the manual speaks of x86-64 and gcc
#endif
// Of libc's own call, which the figures leave out.
constexpr ptrdiff_t of_libc = 64;

int server;
char* stack;
void (*call)();

// All that a call needs, so that the handler has nothing on the stack itself.
constexpr unsigned many = 8;
Name names[many];
char data[many][64];
iovec parts[many];
mmsghdr messages[many];
alignas(cmsghdr) unsigned char control[128];
long done;

void prepare_to_receive(bool with_room) {
    for (unsigned number = 0; number < many; ++number) {
        names[number].length = sizeof names[number].storage;
        parts[number] = {data[number], sizeof data[number]};
        messages[number].msg_hdr = header_for(names[number], parts[number]);
    }
    if (with_room) {
        messages[0].msg_hdr.msg_control = control;
        messages[0].msg_hdr.msg_controllen = sizeof control;
    }
}

// To whom the first name is.
void prepare_to_send(bool with_messages) {
    for (unsigned number = 0; number < many; ++number) {
        parts[number] = {data[number], 1};
        messages[number].msg_hdr = header_for(names[0], parts[number]);
    }
    if (with_messages) {
        msghdr& header = messages[0].msg_hdr;
        header.msg_control = control;
        header.msg_controllen = CMSG_SPACE(sizeof(int));
        *CMSG_FIRSTHDR(&header) = {CMSG_LEN(sizeof(int)), IPPROTO_IP, IP_TTL};
        const int hops = 64;
        std::memcpy(CMSG_DATA(CMSG_FIRSTHDR(&header)), &hops, sizeof hops);
    }
}

void no_call() {}
void call_recvfrom() {
    done = recvfrom(server, data[0], sizeof data[0], MSG_DONTWAIT, names[0].get(), &names[0].length);
}
void call_recvmsg() {
    done = recvmsg(server, &messages[0].msg_hdr, MSG_DONTWAIT);
}
void call_recvmmsg() {
    done = recvmmsg(server, messages, many, MSG_DONTWAIT, nullptr);
}
void call_sendto() {
    done = sendto(server, data[0], 1, 0, names[0].get(), names[0].length);
}
void call_sendmsg() {
    done = sendmsg(server, &messages[0].msg_hdr, 0);
}
void call_sendmmsg() {
    done = sendmmsg(server, messages, many, 0);
}

ptrdiff_t taken_by(void (*made)()) {
    call = made;
    std::memset(stack, 0x5a, stack_size);
    raise(SIGUSR1);
    return stack + stack_size -
           std::find_if(stack, stack + stack_size, [](char byte) { return byte != 0x5a; });
}

// Prints once what is the same with and without the shim.
void show(const char* name, void (*receive)(), bool with_room, void (*send)(), bool with_messages,
          bool is_receiving, ptrdiff_t most) {
    const ptrdiff_t without_a_call = taken_by(no_call);
    // In the first round the loader binds the program's symbols.
    ptrdiff_t more = 0;
    for (int round = 0; round < 3; ++round) {
        Client client;
        client.ask(server);
        prepare_to_receive(with_room);
        const ptrdiff_t received = taken_by(receive);
        std::printf("%s: received %ld, ", name, done);
        if (receive != call_recvfrom)
            names[0].length = messages[0].msg_hdr.msg_namelen;
        prepare_to_send(with_messages);
        const ptrdiff_t sent = taken_by(send);
        std::printf("sent %ld\n", done);
        more = (is_receiving ? received : sent) - without_a_call;
        client.print_answer();
    }
    if (more > most + of_libc + leeway)
        std::printf("takes %td bytes of the stack\n", more);
}

} // namespace

int main() {
    server = bound("0.0.0.0");
    auto* memory = mmap(nullptr, stack_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(memory != MAP_FAILED, "the stack");
    stack = static_cast<char*>(memory);
    stack_t alternate{};
    alternate.ss_sp = stack;
    alternate.ss_size = stack_size;
    must(sigaltstack(&alternate, nullptr) == 0, "sigaltstack");
    struct sigaction action {};
    action.sa_handler = [](int) { call(); };
    action.sa_flags = SA_ONSTACK;
    must(sigaction(SIGUSR1, &action, nullptr) == 0, "sigaction");

    show("recvfrom", call_recvfrom, false, call_sendto, false, true, 1126);
    show("recvmsg", call_recvmsg, false, call_sendto, false, true, 1126);
    show("recvmsg with room", call_recvmsg, true, call_sendto, false, true, 1638);
    show("recvmmsg", call_recvmmsg, false, call_sendto, false, true, 3584);
    show("recvmmsg with room", call_recvmmsg, true, call_sendto, false, true, 3584);
    show("sendto", call_recvfrom, false, call_sendto, false, false, 922);
    show("sendmsg", call_recvfrom, false, call_sendmsg, false, false, 922);
    show("sendmsg with messages", call_recvfrom, false, call_sendmsg, true, false, 1331);
    show("sendmmsg", call_recvfrom, false, call_sendmmsg, false, false, 1331);
    show("sendmmsg with messages", call_recvfrom, false, call_sendmmsg, true, false, 1331);
    return 0;
}
