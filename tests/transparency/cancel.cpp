// SPDX-License-Identifier: MIT
//
// Point 4: a thread that is blocked in a receive call is cancelled, or comes to a send call cancelled. glibc
// unwinds it through the shim's frames.
#include "tests/transparency/probe.hpp"

#include <atomic>
#include <csetjmp>
#include <csignal>
#include <pthread.h>
#include <semaphore.h>
#include <string_view>
#include <sys/syscall.h>

using namespace probe;

extern "C" ssize_t __recvfrom_chk(int, void*, size_t, size_t, int, sockaddr*, socklen_t*);

namespace {

int server;
std::string_view call;
bool asynchronous;
bool cancelled_before; // it is cancelled before it makes the call
sem_t started;
std::atomic<int> thread_id;

struct Object {
    ~Object() {
        std::printf("destructor ran\n");
        std::fflush(stdout);
    }
};

void cleanup(void* text) {
    std::printf("cleanup handler: %s\n", static_cast<const char*>(text));
}

// A peer that the server has heard, so that the shim has a source to add.
Name heard;

// Like most, a thread that sends is seldom blocked.
void send() {
    char data[] = "answer";
    iovec part{data, sizeof data};
    mmsghdr message{header_for(heard, part), 0};
    if (call == "sendto")
        sendto(server, data, sizeof data, 0, heard.get(), heard.length);
    else if (call == "sendmsg")
        sendmsg(server, &message.msg_hdr, 0);
    else
        sendmmsg(server, &message, 1, 0);
}

void receive() {
    char data[64];
    Name peer;
    if (call == "recvfrom_chk") {
        __recvfrom_chk(server, data, sizeof data, sizeof data, 0, peer.get(), &peer.length);
    } else if (call == "recvmmsg_of_many" || call == "recvmmsg_with_room") {
        // More than the shim has room for on the stack, or usually keeps for a thread.
        static mmsghdr messages[1024];
        static iovec parts[1024];
        static char control[1024][512];
        for (int number = 0; number < 1024; ++number) {
            parts[number] = {data, sizeof data};
            messages[number].msg_hdr.msg_iov = &parts[number];
            messages[number].msg_hdr.msg_iovlen = 1;
            messages[number].msg_hdr.msg_control = control[number];
            messages[number].msg_hdr.msg_controllen = call == "recvmmsg_with_room" ? sizeof control[0] : 0;
        }
        recvmmsg(server, messages, 1024, 0, nullptr);
    } else if (call == "recv") {
        recv(server, data, sizeof data, 0);
    } else if (call == "recvfrom_by_number") {
        syscall(SYS_recvfrom, server, data, sizeof data, 0, peer.get(), &peer.length);
    } else {
        for (int number = 0; number < receive_calls; ++number)
            if (call == receive_call_name(number))
                receive_by(number, server, peer);
    }
}

void make_call() {
    if (call.starts_with("send"))
        send();
    else
        receive();
}

void* blocked(void*) {
    char outer[] = "outer";
    char inner[] = "inner";
    int before = 0;
    pthread_setcanceltype(asynchronous ? PTHREAD_CANCEL_ASYNCHRONOUS : PTHREAD_CANCEL_DEFERRED, &before);
    pthread_cleanup_push(cleanup, outer);
    {
        Object object;
        pthread_cleanup_push(cleanup, inner);
        thread_id = static_cast<int>(syscall(SYS_gettid));
        sem_post(&started);
        if (cancelled_before)
            while (true)
                make_call();
        make_call();
        pthread_cleanup_pop(0);
    }
    pthread_cleanup_pop(0);
    return nullptr;
}

void cancel_once() {
    sem_init(&started, 0, 0);
    pthread_t thread{};
    must(pthread_create(&thread, nullptr, blocked, nullptr) == 0, "pthread_create");
    sem_wait(&started);
    if (!cancelled_before)
        wait_until_blocked(thread_id);
    const int cancelled = pthread_cancel(thread);
    void* result = nullptr;
    pthread_join(thread, &result);
    say("pthread_cancel", cancelled);
    std::printf("%s\n", result == PTHREAD_CANCELED ? "cancelled" : "returned");
    // Nothing was held when the thread went.
    echo(server);
}

// Cancelled before it closes anything.
void* closes(void*) {
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, nullptr);
    pthread_cancel(pthread_self());
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, nullptr);
    close(server);
    return nullptr;
}

void cancel_in_close() {
    pthread_t thread{};
    must(pthread_create(&thread, nullptr, closes, nullptr) == 0, "pthread_create");
    void* result = nullptr;
    pthread_join(thread, &result);
    std::printf("%s\n", result == PTHREAD_CANCELED ? "cancelled" : "returned");
    look("still open", server, server);
}

sigjmp_buf before_call;

void leave_call(int) {
    siglongjmp(before_call, 1);
}

void* left(void*) {
    thread_id = static_cast<int>(syscall(SYS_gettid));
    if (sigsetjmp(before_call, 1) == 0) {
        sem_post(&started);
        char data = 0;
        syscall(SYS_recvfrom, server, &data, sizeof data, 0, nullptr, nullptr);
    }
    int state = 0;
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state);
    std::printf("cancellation is %s\n", state == PTHREAD_CANCEL_ENABLE ? "on" : "off");
    return nullptr;
}

// A signal handler jumps out of a call that waits on a socket of another kind.
void leave_once() {
    int pair[2];
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "socketpair");
    server = pair[0];
    sem_init(&started, 0, 0);
    pthread_t thread{};
    must(pthread_create(&thread, nullptr, left, nullptr) == 0, "pthread_create");
    sem_wait(&started);
    wait_until_blocked(thread_id);
    pthread_kill(thread, SIGUSR1);
    pthread_join(thread, nullptr);
    close(pair[0]);
    close(pair[1]);
}

// In bytes.
long mapped() {
    long pages = 0;
    FILE* const file = std::fopen("/proc/self/statm", "r");
    must(file != nullptr && std::fscanf(file, "%ld", &pages) == 1, "statm");
    std::fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

} // namespace

int main(int, char** arguments) {
    call = arguments[1];
    if (call == "left_by_number") {
        std::signal(SIGUSR1, leave_call);
        for (int time = 0; time < 3; ++time)
            leave_once();
        echo(bound("0.0.0.0"));
        return 0;
    }
    server = bound("0.0.0.0");
    if (call == "close") {
        cancel_in_close();
        return 0;
    }
    if (call.starts_with("send")) {
        Client client;
        client.ask(server);
        heard = say_heard(server);
        cancelled_before = true;
        for (int time = 0; time < 20; ++time)
            cancel_once();
        return 0;
    }
    // syscall(2) is no cancellation point.
    const bool by_number = call == "recvfrom_by_number";
    asynchronous = by_number;
    cancel_once(); // the shim's first look at anything
    const long before = mapped();
    for (const bool kind : {false, true}) {
        asynchronous = kind || by_number;
        for (int time = 0; time < 20; ++time)
            cancel_once();
    }
    std::printf("more than 20 MB are left mapped: %s\n", mapped() - before > 20'000'000 ? "yes" : "no");
    if (by_number)
        return 0;
    asynchronous = false;
    cancelled_before = true;
    cancel_once();
    return 0;
}
