// SPDX-License-Identifier: MIT
#include "tools/bench/process.hpp"

#include <cerrno>
#include <csignal>
#include <cstdlib>
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

Descriptor::~Descriptor() {
    if (number_ >= 0)
        ::close(number_);
}

TemporaryFolder::TemporaryFolder()
    : path_(std::filesystem::temp_directory_path() / "multihome-bench-XXXXXX") {
    if (mkdtemp(path_.data()) == nullptr)
        fail(path_);
}

TemporaryFolder::~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

void enlarge_buffers(int socket) {
    const int size = 8 << 20;
    for (const auto& [force, ask] :
         {std::pair{SO_RCVBUFFORCE, SO_RCVBUF}, std::pair{SO_SNDBUFFORCE, SO_SNDBUF}})
        if (setsockopt(socket, SOL_SOCKET, force, &size, sizeof size) != 0)
            setsockopt(socket, SOL_SOCKET, ask, &size, sizeof size);
}

namespace {

// Null at the end, as execve(2) wants them.
std::vector<char*> pointers_to(const Words& words) {
    std::vector<char*> pointers;
    for (const std::string& word : words)
        pointers.push_back(const_cast<char*>(word.c_str()));
    pointers.push_back(nullptr);
    return pointers;
}

} // namespace

Child::Child(const Words& command, const Words& environment) : name_(command.at(0)) {
    int input[2];
    int output[2];
    check(pipe2(input, O_CLOEXEC), "pipe2");
    const Descriptor its_input(input[0]);
    input_ = Descriptor(input[1]);
    check(pipe2(output, O_CLOEXEC), "pipe2");
    output_ = Descriptor(output[0]);
    const Descriptor its_output(output[1]);
    // Everything is prepared before fork(), because other threads may hold locks of the allocator.
    const std::vector<char*> arguments = pointers_to(command);
    const std::vector<char*> variables = pointers_to(environment);
    const pid_t parent = getpid();
    pid_ = check(fork(), "fork");
    if (pid_ != 0)
        return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(126);
    dup2(its_input.get(), STDIN_FILENO);
    dup2(its_output.get(), STDOUT_FILENO);
    for (size_t index = 0; index < environment.size(); ++index)
        putenv(variables[index]);
    execvp(arguments[0], arguments.data());
    _exit(127);
}

Child::~Child() {
    if (pid_ < 0)
        return;
    kill(pid_, SIGKILL);
    while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
}

std::string Child::read_line() {
    std::string line;
    for (char next = 0; next != '\n'; line += next) {
        const ssize_t got = ::read(output_.get(), &next, 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            throw std::runtime_error(name_ + " ended before it said anything");
    }
    line.pop_back();
    return line;
}

int Child::finish(std::string* output) {
    input_ = Descriptor();
    char buffer[4096];
    for (ssize_t got = 1; got > 0 || (got < 0 && errno == EINTR);) {
        got = ::read(output_.get(), buffer, sizeof buffer);
        if (got > 0 && output != nullptr)
            output->append(buffer, static_cast<size_t>(got));
    }
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
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
