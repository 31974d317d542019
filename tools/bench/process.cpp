// SPDX-License-Identifier: MIT
#include "tools/bench/process.hpp"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <fcntl.h>
#include <filesystem>
#include <sstream>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>

namespace multihome::bench {

void fail(std::string_view what) {
    throw std::system_error(errno, std::generic_category(), std::string(what));
}

int check(int result, std::string_view what) {
    if (result < 0)
        fail(what);
    return result;
}

void Descriptor::reset() {
    if (number_ >= 0)
        ::close(number_);
    number_ = -1;
}

void enlarge_buffers(int socket) {
    const int size = 8 << 20;
    if (setsockopt(socket, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) != 0)
        setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (setsockopt(socket, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) != 0)
        setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

namespace {

struct Pipe {
    Descriptor read;
    Descriptor write;
};

Pipe make_pipe() {
    int ends[2];
    check(pipe2(ends, O_CLOEXEC), "pipe2");
    return {Descriptor{ends[0]}, Descriptor{ends[1]}};
}

} // namespace

Child::Child(const std::vector<std::string>& command, const std::vector<std::string>& environment, bool quiet)
    : name_(command.at(0)) {
    Pipe input = make_pipe();
    Pipe output = make_pipe();
    // Everything is prepared before fork(), because other threads may hold locks of the allocator.
    std::vector<char*> arguments;
    arguments.reserve(command.size() + 1);
    for (const std::string& argument : command)
        arguments.push_back(const_cast<char*>(argument.c_str()));
    arguments.push_back(nullptr);
    std::vector<char*> variables;
    variables.reserve(environment.size() + 1);
    for (const std::string& variable : environment)
        variables.push_back(const_cast<char*>(variable.c_str()));
    const pid_t parent = getpid();
    pid_ = check(fork(), "fork");
    if (pid_ == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(126);
        dup2(input.read.get(), STDIN_FILENO);
        dup2(output.write.get(), STDOUT_FILENO);
        if (quiet)
            dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
        for (char* variable : variables)
            putenv(variable);
        execvp(arguments[0], arguments.data());
        _exit(127);
    }
    input_ = std::move(input.write);
    output_ = std::move(output.read);
}

Child::~Child() {
    if (pid_ < 0)
        return;
    kill(pid_, SIGKILL);
    int status = 0;
    wait(status);
}

void Child::wait(int& status) {
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
}

std::string Child::read_line() {
    std::string line;
    char next = 0;
    for (;;) {
        const ssize_t got = ::read(output_.get(), &next, 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            throw std::runtime_error(name_ + " ended before it said anything");
        if (next == '\n')
            return line;
        line += next;
    }
}

std::string Child::finish(int& status) {
    input_.reset();
    std::string all;
    char buffer[4096];
    for (;;) {
        const ssize_t got = ::read(output_.get(), buffer, sizeof buffer);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        all.append(buffer, static_cast<size_t>(got));
    }
    wait(status);
    return all;
}

double Child::processor_time() const {
    clockid_t clock{};
    if (clock_getcpuclockid(pid_, &clock) != 0)
        return 0;
    timespec now{};
    clock_gettime(clock, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

std::string own_path() {
    return std::filesystem::read_symlink("/proc/self/exe");
}

std::string find_program(std::string_view program) {
    const char* path = std::getenv("PATH");
    std::istringstream folders(path != nullptr ? path : "/usr/bin:/bin");
    for (std::string folder; std::getline(folders, folder, ':');) {
        std::string candidate = folder + '/' + std::string(program);
        if (access(candidate.c_str(), X_OK) == 0)
            return candidate;
    }
    return {};
}

} // namespace multihome::bench
