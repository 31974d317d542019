// SPDX-License-Identifier: MIT
//
// Point 4: threads with the smallest stack there is, and processes made by clone().
#include "tests/transparency/probe.hpp"

#include <atomic>
#include <climits>
#include <pthread.h>
#include <sched.h>
#include <string_view>
#include <sys/mman.h>
#include <sys/wait.h>
#include <thread>

using namespace probe;

namespace {

constexpr unsigned batch = 1024;

int server;
// Not on the small stack.
mmsghdr messages[batch];
sockaddr_storage names[batch];
iovec parts[batch];
char data[batch][16];
alignas(cmsghdr) char control[batch][1024];

void prepare(size_t control_room) {
    for (unsigned number = 0; number < batch; ++number) {
        parts[number] = {data[number], sizeof data[number]};
        messages[number] = {};
        msghdr& header = messages[number].msg_hdr;
        header.msg_name = &names[number];
        header.msg_namelen = sizeof names[number];
        header.msg_iov = &parts[number];
        header.msg_iovlen = 1;
        if (control_room != 0) {
            std::memset(control[number], 0xaa, sizeof control[number]);
            header.msg_control = control[number];
            header.msg_controllen = control_room;
        }
    }
}

// What the kernel wrote to the control buffers, as one number.
unsigned long long control_sum() {
    unsigned long long sum = 0;
    for (unsigned number = 0; number < batch; ++number) {
        sum = sum * 31 + messages[number].msg_hdr.msg_controllen +
              static_cast<unsigned>(messages[number].msg_hdr.msg_flags);
        for (const char byte : control[number])
            sum = sum * 31 + static_cast<unsigned char>(byte);
    }
    return sum;
}

// A call takes up to 1024 messages, but with this many waiting it has enough to do.
constexpr unsigned waiting = 200;

void* batches(void*) {
    for (const size_t control_room : {0U, 24U, 100U, 256U, 512U, 1024U}) {
        Client client;
        for (unsigned number = 0; number < waiting; ++number)
            client.ask(server, asked_address, "x");
        prepare(control_room);
        say("recvmmsg", recvmmsg(server, messages, batch, MSG_DONTWAIT, nullptr));
        std::printf("with room for %zu: %llu\n", control_room, control_sum());
        for (unsigned number = 0; number < waiting; ++number) {
            messages[number].msg_hdr.msg_control = nullptr;
            messages[number].msg_hdr.msg_controllen = 0;
        }
        say("sendmmsg", sendmmsg(server, messages, waiting, 0));
        for (unsigned number = 0; number < waiting; ++number)
            client.print_answer();
    }
    return nullptr;
}

void* one_by_one(void*) {
    for (int call = 0; call < receive_calls; ++call) {
        Client client;
        client.ask(server);
        Name peer;
        say(receive_call_name(call), receive_by(call, server, peer));
        sendto(server, "answer", 6, 0, peer.get(), peer.length);
        client.print_answer();
    }
    return nullptr;
}

// As little as pthread_create() takes.
void on_small_stack(void* (*function)(void*)) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    // The two differ where the kernel's signal frames have outgrown the old constant.
    const long smallest = sysconf(_SC_THREAD_STACK_MIN);
    say("stack", pthread_attr_setstacksize(&attributes, static_cast<size_t>(smallest)));
    pthread_t thread{};
    const int result = pthread_create(&thread, &attributes, function, nullptr);
    if (result == 0)
        pthread_join(thread, nullptr);
    say("pthread_create", result);
}

// A destructor of thread-specific data that serves, after that of the shim's: the program's key is the
// younger one.
void serve_at_the_end(void*) {
    batches(nullptr);
}

void* with_specific_data(void* key) {
    batches(nullptr);
    pthread_setspecific(*static_cast<pthread_key_t*>(key), key);
    return nullptr;
}

void in_destructor() {
    batches(nullptr);
    pthread_key_t key{};
    must(pthread_key_create(&key, serve_at_the_end) == 0, "pthread_key_create");
    for (int round = 0; round < 2; ++round) {
        pthread_t thread{};
        must(pthread_create(&thread, nullptr, with_specific_data, &key) == 0, "pthread_create");
        pthread_join(thread, nullptr);
    }
}

// Another thread changes the length of the control messages that are being sent: they come, or they do not.
void shared_message() {
    Client client;
    client.ask(server);
    Name peer = say_heard(server);
    char data_[] = "answer";
    iovec part{data_, 6};
    mmsghdr shared[2]{};
    alignas(cmsghdr) char own[2][4096]{};
    constexpr size_t one = CMSG_SPACE(sizeof(int));
    for (int number = 0; number < 2; ++number) {
        for (size_t at = 0; at + one <= sizeof own[number]; at += one) {
            cmsghdr header{};
            header.cmsg_len = CMSG_LEN(sizeof(int));
            header.cmsg_level = IPPROTO_IP;
            header.cmsg_type = IP_TTL;
            std::memcpy(own[number] + at, &header, sizeof header);
            own[number][at + CMSG_LEN(0)] = 42;
        }
        shared[number].msg_hdr = header_for(peer, part);
        shared[number].msg_hdr.msg_control = own[number];
    }
    std::atomic<bool> is_done{false};
    std::thread other([&] {
        for (size_t length = 0; !is_done.load(); length = length == 0 ? sizeof own[0] / one * one : 0)
            for (mmsghdr& message : shared)
                __atomic_store_n(&message.msg_hdr.msg_controllen, length, __ATOMIC_RELAXED);
    });
    int failed = 0;
    for (int number = 0; number < 30'000; ++number) {
        if (sendmsg(server, &shared[0].msg_hdr, 0) != 6)
            ++failed;
        if (number % 8 == 0 && sendmmsg(server, shared, 2, 0) != 2)
            ++failed;
    }
    is_done = true;
    other.join();
    say("failed", failed);
    client.print_answer();
}

int cloned(void*) {
    one_by_one(nullptr);
    // Closes the server and puts something else there.
    const int other = socket(AF_INET, SOCK_STREAM, 0);
    dup2(other, server);
    int value = 0;
    socklen_t length = sizeof value;
    say("IP_PKTINFO", getsockopt(server, IPPROTO_IP, IP_PKTINFO, &value, &length));
    close(server);
    close(other);
    std::fflush(stdout);
    return 0;
}

// A process made by clone() with these flags, which the parent waits for.
void by_clone(int flags) {
    constexpr size_t size = size_t{256} * 1024;
    auto* stack =
        static_cast<char*>(mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    must(stack != MAP_FAILED, "mmap");
    std::fflush(stdout);
    const int copy = dup(server);
    const pid_t child = clone(cloned, stack + size, flags | SIGCHLD, nullptr);
    must(child > 0, "clone");
    int status = -1;
    must(waitpid(child, &status, 0) == child, "waitpid");
    say("its status", status);
    // Where the descriptors are shared the server is closed by now. Where the memory alone is shared, the
    // value shows that the option is on (multihome(7), LIMITS).
    int value = 0;
    socklen_t length = sizeof value;
    say("IP_PKTINFO", getsockopt(server, IPPROTO_IP, IP_PKTINFO, &value, &length));
    server = copy;
    one_by_one(nullptr);
    // Under the number that the child has closed.
    const int again = bound("0.0.0.0");
    echo(again);
}

} // namespace

int main(int, char** arguments) {
    const std::string_view topic = arguments[1];
    server = bound("0.0.0.0");
    switch_on(server, SOL_SOCKET, SO_RCVBUF, 1 << 20);
    if (topic == "small_stack")
        on_small_stack(one_by_one);
    else if (topic == "small_stack_batch")
        on_small_stack(batches);
    else if (topic == "destructor")
        in_destructor();
    else if (topic == "shared_message")
        shared_message();
    else if (topic == "clone")
        by_clone(0);
    else if (topic == "clone_files")
        by_clone(CLONE_FILES);
    else if (topic == "clone_memory")
        by_clone(CLONE_VM);
    else if (topic == "clone_memory_files")
        by_clone(CLONE_VM | CLONE_FILES);
    else
        return 2;
    return 0;
}
