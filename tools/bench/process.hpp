// SPDX-License-Identifier: MIT
//
// Starting the programs that are measured.
#pragma once

#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

namespace multihome::bench {

using Words = std::vector<std::string>;
inline void append(Words& words, const Words& more) {
    words.insert(words.end(), more.begin(), more.end());
}

// Throws std::system_error with errno and `what`.
[[noreturn]] void fail(std::string_view what);

// `result`, unless it is negative: then fails with errno.
int check(int result, std::string_view what);

// A descriptor that is closed at the end.
class Descriptor {
public:
    Descriptor() = default;
    explicit Descriptor(int number) : number_(number) {}
    ~Descriptor();
    Descriptor(Descriptor&& other) noexcept : number_(other.number_) { other.number_ = -1; }
    Descriptor& operator=(Descriptor&& other) noexcept {
        std::swap(number_, other.number_);
        return *this;
    }

    int get() const { return number_; }

private:
    int number_ = -1;
};

// A folder that is removed at the end.
class TemporaryFolder {
public:
    TemporaryFolder();
    ~TemporaryFolder();
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;

    const std::string& path() const { return path_; }

private:
    std::string path_;
};

// Room for what comes while a socket's owner has to wait. The kernel gives as much as it allows, to root all
// of it.
void enlarge_buffers(int socket);

// A program that runs beside the bench, its standard input and output connected to us. It is killed when this
// object ends, or when the bench does.
class Child {
public:
    // `environment`: settings NAME=VALUE beside the bench's own.
    explicit Child(const Words& command, const Words& environment = {});
    ~Child();
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;

    pid_t pid() const { return pid_; }
    int input() const { return input_.get(); }
    // Waits for a line of its output, without the line's end. Fails where the program ends before that.
    std::string read_line();
    // Waits for its end. Returns its exit status, -1 where a signal has ended it; `output` gets all its
    // output.
    int finish(std::string* output = nullptr);

private:
    std::string name_;
    pid_t pid_ = -1;
    Descriptor input_;
    Descriptor output_;
};

// The bench's own executable, which is also the servers that it measures.
std::string own_path();

// The path of `program` along PATH; empty where there is none.
std::string find_program(std::string_view program);

} // namespace multihome::bench
