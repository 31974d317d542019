// SPDX-License-Identifier: MIT
#include "shim/base/log.hpp"

#include "shim/base/libc.hpp"

#include <arpa/inet.h>
#include <atomic>
#include <cstdio>
#include <fcntl.h>
#include <memory>
#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace multihome::log {

namespace {

spdlog::level::level_enum to_spdlog(LogLevel level) {
    switch (level) {
    case LogLevel::trace:
        return spdlog::level::trace;
    case LogLevel::debug:
        return spdlog::level::debug;
    case LogLevel::info:
        return spdlog::level::info;
    case LogLevel::warn:
        return spdlog::level::warn;
    case LogLevel::error:
        return spdlog::level::err;
    case LogLevel::off:
        break;
    }
    return spdlog::level::off;
}

constinit std::atomic<bool> silent{false};

struct FileIdentity {
    dev_t device = 0;
    ino_t inode = 0;
    bool known = false;

    friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
};

FileIdentity identity_of(int fd) {
    struct stat status;
    if (fstat(fd, &status) != 0)
        return {};
    return {status.st_dev, status.st_ino, true};
}

// Written once, by the loader's call, before there are threads.
constinit FileIdentity standard_error;

// "2026-01-31T12:00:00.123Z multihome[4711] warning: ..." in UTC, because localtime() takes a lock and reads
// files.
class LineFormatter final : public spdlog::formatter {
public:
    void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
        using namespace std::chrono;
        const auto now = time_point_cast<milliseconds>(message.time);
        const auto day = floor<days>(now);
        const year_month_day date{day};
        const hh_mm_ss time{now - day};
        // Asked of the kernel each time: a forked child has another number.
        const long pid = libc::raw_syscall(SYS_getpid);
        fmt::format_to(std::back_inserter(out), "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z multihome[{}] ",
                       static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                       static_cast<unsigned>(date.day()), time.hours().count(), time.minutes().count(),
                       time.seconds().count(), time.subseconds().count(), pid);
        const auto& level = spdlog::level::to_string_view(message.level);
        out.append(level.data(), level.data() + level.size());
        out.push_back(':');
        out.push_back(' ');
        out.append(message.payload.data(), message.payload.data() + message.payload.size());
        out.push_back('\n');
    }

    std::unique_ptr<spdlog::formatter> clone() const override { return std::make_unique<LineFormatter>(); }
};

// null_mutex: one write(2) a line keeps lines apart, and a lock could be held by an interrupted or forked
// thread.
class DescriptorSink final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
public:
    DescriptorSink() : base_sink(std::make_unique<LineFormatter>()) {}

protected:
    void sink_it_(const spdlog::details::log_msg& message) override {
        spdlog::memory_buf_t line;
        formatter_->format(message, line);
        const char* file = settings::get().log_file;
        int fd = STDERR_FILENO;
        if (file != nullptr) {
            // System calls of our own, so that the program's interposed functions do not see this descriptor.
            const long opened =
                libc::raw_syscall(SYS_openat, AT_FDCWD, reinterpret_cast<long>(file),
                                  O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
            if (opened < 0)
                return;
            fd = static_cast<int>(opened);
        } else if (!standard_error.known || identity_of(fd) != standard_error) {
            return;
        }
        libc::raw_syscall(SYS_write, fd, reinterpret_cast<long>(line.data()), static_cast<long>(line.size()));
        if (file != nullptr)
            libc::raw_syscall(SYS_close, fd);
    }

    void flush_() override {}
};

// Made when the first line is written: a process that has nothing to say does not pay for it. Never
// destroyed: other threads may still send while the process exits.
spdlog::logger& logger() {
    static spdlog::logger* const instance = [] {
        auto* created = new spdlog::logger("multihome", std::make_shared<DescriptorSink>());
        created->set_level(spdlog::level::trace);
        return created;
    }();
    return *instance;
}

} // namespace

void silence() {
    // Relaxed: set by the thread that is about to be filtered.
    silent.store(true, std::memory_order_relaxed);
}

void remember_standard_error() {
    const libc::ErrnoGuard keep_errno;
    standard_error = identity_of(STDERR_FILENO);
}

void write_line(LogLevel level, std::string_view line) {
    const libc::ErrnoGuard keep_errno;
    // A line that is written while another one is, from a signal handler, would find the logger half made.
    constinit static thread_local volatile sig_atomic_t writing = 0;
    if (writing != 0 || silent.load(std::memory_order_relaxed))
        return;
    writing = 1;
    logger().log(to_spdlog(level), spdlog::string_view_t(line.data(), line.size()));
    writing = 0;
}

AddressText::AddressText(const Address& address) {
    if (address.is_ipv4()) {
        const in_addr ipv4 = address.ipv4();
        inet_ntop(AF_INET, &ipv4, text, sizeof text);
    } else {
        const in6_addr ipv6 = address.ipv6();
        inet_ntop(AF_INET6, &ipv6, text, sizeof text);
    }
}

AddressText::AddressText(const Peer& peer) {
    const AddressText address{peer.address};
    const unsigned port = ntohs(peer.port);
    if (peer.address.is_ipv4())
        fmt::format_to_n(text, sizeof text - 1, "{}:{}", address.text, port).out[0] = '\0';
    else if (peer.scope != 0)
        fmt::format_to_n(text, sizeof text - 1, "[{}%{}]:{}", address.text, peer.scope, port).out[0] = '\0';
    else
        fmt::format_to_n(text, sizeof text - 1, "[{}]:{}", address.text, port).out[0] = '\0';
}

} // namespace multihome::log
