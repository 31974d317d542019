// SPDX-License-Identifier: MIT
//
// Point 4: what the loader does: before constructors have run, after destructors, several preloaded
// libraries, and a library opened with RTLD_DEEPBIND.
#include "tests/transparency/probe.hpp"
#include "tests/transparency/serve.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <fstream>
#include <map>
#include <memory>
#include <pthread.h>
#include <string_view>

using namespace probe;

namespace {

// The loader calls this before the constructor of any library. Here getenv() does not work yet, so the topic
// is read from the arguments.
void before_everything(int count, char** arguments, char**) {
    if (count > 1 && std::strcmp(arguments[1], "preinit") == 0)
        serve("before any constructor");
}
__attribute__((section(".preinit_array"), used)) void (*const preinit)(int, char**,
                                                                       char**) = before_everything;

bool at_the_end = false;
__attribute__((destructor)) void destructor() {
    if (at_the_end)
        serve("in the program's destructor");
}

struct Global {
    ~Global() {
        if (at_the_end)
            serve("in a global object's destructor");
    }
} global;

void at_exit() {
    serve("in an atexit() handler");
}

// Goes on while the process exits around it.
void* busy(void* argument) {
    const int server = *static_cast<const int*>(argument);
    Client client;
    for (;;) {
        client.ask(server);
        char data[64];
        Name peer;
        recvfrom(server, data, sizeof data, 0, peer.get(), &peer.length);
        sendto(server, data, 1, 0, peer.get(), peer.length);
        client.hear();
    }
}

// A server that allocates, reads clocks and uses threads, so that other preloaded libraries have their part.
void with_others() {
    const int server = bound("0.0.0.0");
    for (int turn = 0; turn < 50; ++turn) {
        std::map<int, std::unique_ptr<std::string>> much;
        for (int number = 0; number < 100; ++number)
            much[number] = std::make_unique<std::string>(static_cast<size_t>(number * 10), 'x');
        timespec now{};
        say("clock_gettime", clock_gettime(CLOCK_REALTIME, &now));
        echo(server);
    }
    pthread_t thread{};
    const auto in_thread = [](void* argument) -> void* {
        echo(*static_cast<int*>(argument));
        return nullptr;
    };
    must(pthread_create(&thread, nullptr, in_thread, const_cast<int*>(&server)) == 0, "pthread_create");
    pthread_join(thread, nullptr);
    Message message(200);
    Client client;
    client.ask(server);
    message.show(server);
}

// Another preloaded library has a clock of its own. Ours does not touch it.
void with_clock() {
    auto* clock_calls = reinterpret_cast<int (*)()>(dlsym(RTLD_DEFAULT, "clock_calls"));
    must(clock_calls != nullptr, "dlsym");
    const int server = bound("0.0.0.0");
    const int before = clock_calls();
    for (int turn = 0; turn < 10; ++turn)
        echo(server);
    std::printf("the clock was read %d times\n", clock_calls() - before);
}

// A library that was opened with RTLD_DEEPBIND calls libc directly: it works as it does without the shim, on
// sockets of its own and, by recvfrom(), on the program's.
void deep_bind(const char* path) {
    const int server = bound("0.0.0.0");
    echo(server);
    void* library = dlopen(path, RTLD_NOW | RTLD_DEEPBIND);
    must(library != nullptr, "dlopen");
    auto* serve_there = reinterpret_cast<void (*)(const char*, int)>(dlsym(library, "serve_elsewhere"));
    must(serve_there != nullptr, "dlsym");
    serve_there("in the library", -1);
    serve_there("in the library, on the program's socket", server);
    echo(server);
}

// What the library promises not to touch: threads, signals, descriptors and the environment.
void show_process() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);)
        for (const char* field : {"Threads:", "SigBlk:", "SigPnd:", "ShdPnd:"})
            if (line.starts_with(field))
                std::printf("%s\n", line.c_str());
    for (int number = 1; number < NSIG; ++number) {
        struct sigaction action {};
        if (sigaction(number, nullptr, &action) == 0)
            std::printf("signal %d: %s, flags %x\n", number,
                        action.sa_handler == SIG_DFL   ? "default"
                        : action.sa_handler == SIG_IGN ? "ignored"
                                                       : "handled",
                        static_cast<unsigned>(action.sa_flags));
    }
    for (int fd = 0; fd < 100; ++fd)
        if (fcntl(fd, F_GETFD) >= 0)
            std::printf("descriptor %d is open\n", fd);
    // These two say how the program was started.
    for (char** entry = environ; *entry != nullptr; ++entry)
        if (std::strncmp(*entry, "LD_PRELOAD=", 11) != 0 && std::strncmp(*entry, "SHIM=", 5) != 0)
            std::printf("%s\n", *entry);
}

void untouched() {
    show_process();
    const int server = bound("0.0.0.0");
    for (int turn = 0; turn < 3; ++turn)
        echo(server);
    Client client;
    client.ask(server);
    const Name peer = say_heard(server);
    say("connect", connect(server, peer.get(), peer.length));
    show_process();
}

} // namespace

int main(int, char** arguments) {
    const int errno_at_start = errno;
    const std::string_view topic = arguments[1];
    // valgrind hides the kernel's own object (vdso(7)).
    if (topic == "valgrind") {
#ifdef __SANITIZE_ADDRESS__
        skip("valgrind does not run programs with the address sanitizer");
#endif
        execlp("valgrind", "valgrind", "--quiet", "--log-file=/dev/null", arguments[0], "plain", nullptr);
        skip("valgrind is not installed");
    }
    say("errno at the start of main()", errno_at_start);
    if (topic == "preinit" || topic == "plain") {
        echo(bound("0.0.0.0"));
    } else if (topic == "exit") {
        std::atexit(at_exit);
        at_the_end = true;
        echo(bound("0.0.0.0"));
    } else if (topic == "exit_with_threads") {
        static int server = bound("0.0.0.0");
        echo(bound("0.0.0.0"));
        std::atexit(at_exit);
        pthread_t threads[2];
        static int servers[2] = {bound("0.0.0.0"), bound("0.0.0.0")};
        for (int number = 0; number < 2; ++number)
            must(pthread_create(&threads[number], nullptr, busy, &servers[number]) == 0, "pthread_create");
        echo(server);
    } else if (topic == "with_others") {
        with_others();
    } else if (topic == "untouched") {
        untouched();
    } else if (topic == "with_clock") {
        with_clock();
    } else if (topic == "deepbind") {
        deep_bind(arguments[2]);
    } else {
        return 2;
    }
    return 0;
}
