// SPDX-License-Identifier: MIT
#include "tools/run_command.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <system_error>

#include "tools/program.hpp"

namespace multihome::tools {
namespace {

/// What a person's PATH often lacks, and where these tools are.
constexpr const char* system_folders = ":/usr/local/sbin:/usr/sbin:/sbin";

/// A file in memory: unlike a pipe it takes any amount, whoever reads first.
class Memory {
public:
    explicit Memory(const std::string& content) : file_(memfd_create("multihomectl", MFD_CLOEXEC)) {
        if (!file_.valid() ||
            write(file_.number(), content.data(), content.size()) != static_cast<ssize_t>(content.size()) ||
            lseek(file_.number(), 0, SEEK_SET) != 0)
            throw std::system_error(errno, std::generic_category(), "cannot make a file in memory");
    }
    [[nodiscard]] int number() const { return file_.number(); }
    [[nodiscard]] std::string content() const {
        std::string text;
        std::array<char, 65536> piece;
        ssize_t size = 0;
        while ((size = pread(file_.number(), piece.data(), piece.size(), static_cast<off_t>(text.size()))) >
               0)
            text.append(piece.data(), static_cast<size_t>(size));
        return text;
    }

private:
    Descriptor file_;
};

std::string system_search_path() {
    const char* path = std::getenv("PATH"); // NOLINT(concurrency-mt-unsafe): this program has one thread
    return std::string{path != nullptr ? path : "/usr/bin:/bin"} + system_folders;
}

[[noreturn]] void become(const Command& command, int input, int output, int errors, int network_namespace) {
    if (network_namespace >= 0 && setns(network_namespace, CLONE_NEWNET) != 0)
        _exit(126);
    dup2(input, STDIN_FILENO);
    dup2(output, STDOUT_FILENO);
    dup2(errors, STDERR_FILENO);
    // The tools' words are read by this program, and they are not to be served by our library.
    setenv("LC_ALL", "C", 1);                        // NOLINT(concurrency-mt-unsafe)
    setenv("PATH", system_search_path().c_str(), 1); // NOLINT(concurrency-mt-unsafe)
    unsetenv("LD_PRELOAD");                          // NOLINT(concurrency-mt-unsafe)
    std::vector<char*> arguments;
    for (const std::string& word : command)
        arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    execvp(arguments[0], arguments.data());
    _exit(errno == ENOENT ? 127 : 126);
}

struct sigaction inherited_child_signal; // NOLINT: it belongs to the process

} // namespace

void hear_of_children() {
    struct sigaction action {};
    action.sa_handler = SIG_DFL;
    sigaction(SIGCHLD, &action, &inherited_child_signal);
}

void give_back_child_signal() {
    sigaction(SIGCHLD, &inherited_child_signal, nullptr);
}

CommandResult run_command(const Command& command, const std::string& input, int network_namespace) {
    const Memory in{input};
    const Memory out{""};
    const Memory err{""};
    const pid_t child = fork();
    if (child < 0)
        throw std::system_error(errno, std::generic_category(), "cannot start " + command.front());
    if (child == 0)
        become(command, in.number(), out.number(), err.number(), network_namespace);
    int status = 0;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            throw std::system_error(errno, std::generic_category(), "waitpid");
    CommandResult result;
    result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    result.output = out.content();
    result.errors = err.content();
    if (result.status == 127 && result.errors.empty())
        result.errors = command.front() + " is not installed\n";
    return result;
}

bool has_command(const std::string& name) {
    const std::string path = system_search_path();
    for (size_t begin = 0; begin <= path.size();) {
        const size_t end = std::min(path.find(':', begin), path.size());
        const std::string file = path.substr(begin, end - begin) + '/' + name;
        if (access(file.c_str(), X_OK) == 0)
            return true;
        begin = end + 1;
    }
    return false;
}

std::string shell_command(const Command& command) {
    std::string line;
    for (const std::string& word : command) {
        if (!line.empty())
            line += ' ';
        const bool plain =
            !word.empty() && word.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                                    "0123456789_-./:=,%@+") == std::string::npos;
        if (plain) {
            line += word;
            continue;
        }
        line += '\'';
        for (const char character : word)
            line += character == '\'' ? "'\\''" : std::string{character};
        line += '\'';
    }
    return line;
}

} // namespace multihome::tools
