// SPDX-License-Identifier: MIT
#include "shim/base/log.hpp"

#include "shim/base/libc.hpp"
#include "shim/base/log_target.hpp"
#include "shim/base/permissions.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <atomic>
#include <ctime>
#include <spdlog/details/log_msg.h>
#include <spdlog/sinks/sink.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace multihome::log {

namespace {

using spdlog::details::log_msg;

constexpr size_t longest_line = 400;

// The same numbers, but for that of `off`, which no line has.
constexpr spdlog::level::level_enum to_spdlog(LogLevel level) {
    return static_cast<spdlog::level::level_enum>(level);
}
static_assert(to_spdlog(LogLevel::trace) == spdlog::level::trace &&
              to_spdlog(LogLevel::error) == spdlog::level::err);

// The priorities of syslog(3).
unsigned priority_of(spdlog::level::level_enum level) {
    return level >= spdlog::level::err    ? 3
           : level == spdlog::level::warn ? 4
           : level == spdlog::level::info ? 6
                                          : 7;
}

// The kernel's clock that the vdso reads on every machine. Not with ::now(), which brings more of libstdc++
// along.
spdlog::log_clock::time_point now() {
    timespec time{};
    clock_gettime(CLOCK_REALTIME_COARSE, &time);
    using namespace std::chrono;
    return spdlog::log_clock::time_point{
        duration_cast<spdlog::log_clock::duration>(seconds{time.tv_sec} + nanoseconds{time.tv_nsec})};
}

// A line as one of the targets wants it.
class Line {
public:
    // "2026-01-31T12:00:00.123Z multihome[4711] warning: ..." in UTC, because localtime() takes a lock and
    // reads files.
    void format_for_file(const log_msg& message) {
        using namespace std::chrono;
        const auto time = time_point_cast<milliseconds>(message.time);
        const auto day = floor<days>(time);
        const year_month_day date{day};
        const hh_mm_ss of_day{time - day};
        append_number(static_cast<unsigned>(static_cast<int>(date.year())), 4, "-");
        append_number(static_cast<unsigned>(date.month()), 2, "-");
        append_number(static_cast<unsigned>(date.day()), 2, "T");
        append_number(static_cast<uint64_t>(of_day.hours().count()), 2, ":");
        append_number(static_cast<uint64_t>(of_day.minutes().count()), 2, ":");
        append_number(static_cast<uint64_t>(of_day.seconds().count()), 2, ".");
        append_number(static_cast<uint64_t>(of_day.subseconds().count()), 3, "Z ");
        append_name_and_process();
        buffer_.append(" ");
        const auto& level = spdlog::level::to_string_view(message.level);
        buffer_.append({level.data(), level.size()});
        append_payload(message, "\n");
    }

    // sd-daemon(3): the journal adds time and process itself.
    void format_for_journal(const log_msg& message) {
        append_priority(priority_of(message.level));
        buffer_.append("multihome");
        append_payload(message, "\n");
    }

    // RFC 3164 without the time, which the receiver adds.
    void format_for_syslog(const log_msg& message) {
        constexpr unsigned daemon = 3U << 3;
        append_priority(daemon | priority_of(message.level));
        append_name_and_process();
        append_payload(message, "");
    }

    std::string_view text() const { return buffer_.text(); }

private:
    void append_number(uint64_t number, unsigned width, std::string_view then) {
        buffer_.append_number(number, width);
        buffer_.append(then);
    }
    void append_priority(unsigned priority) {
        buffer_.append("<");
        append_number(priority, 1, ">");
    }
    void append_name_and_process() {
        buffer_.append("multihome[");
        // Asked of the kernel each time: a forked child has another number.
        append_number(static_cast<uint64_t>(libc::raw_syscall(SYS_getpid)), 1, "]");
    }
    void append_payload(const log_msg& message, std::string_view then) {
        buffer_.append(": ");
        buffer_.append({message.payload.data(), message.payload.size()});
        buffer_.append(then);
    }

    char text_[longest_line + 100]; // and what stands before it
    TextBuffer buffer_{text_};
};

// Written once, by the loader's call, before there are threads. Among the initialized data, because each
// process writes there at its start already: a page less.
[[gnu::section(".data")]] constinit FileIdentity standard_error;
[[gnu::section(".data")]] constinit bool standard_error_is_network = false;

const char* describe(int error) {
    switch (-error) {
    case EACCES:
    case EPERM:
        return "permission denied";
    case ENOENT:
    case ENOTDIR:
        return "there is no such directory";
    case ELOOP:
        return "root follows no symbolic link";
    case ENXIO:
    case EISDIR:
        return "it is not a regular file";
    case ENOSPC:
    case EFBIG:
        return "there is no room for it";
    case EMFILE:
    case ENFILE:
        return "there are too many open files";
    default:
        return "the kernel refuses it";
    }
}

// True the first time. Relaxed: nothing but the flag itself depends on it.
bool is_first(std::atomic<bool>& told) {
    return !told.exchange(true, std::memory_order_relaxed);
}

// A line about lines.
log_msg at_time_of(const log_msg& other, spdlog::level::level_enum level, std::string_view text) {
    return {other.time, {}, other.logger_name, level, {text.data(), text.size()}};
}

class Sink final : public spdlog::sinks::sink {
public:
    void log(const log_msg& message) override {
        Line line;
        if (const char* file = settings::get().log_file;
            file != nullptr && permissions::may(Activity::log_to_file)) {
            line.format_for_file(message);
            const int result = append_to_file(file, line.text());
            if (result == 0)
                return;
            static std::atomic<bool> told{false};
            if (is_first(told)) {
                char text[longest_line];
                TextBuffer notice{text};
                const TextArgument arguments[] = {file, describe(result), name_of_the_rest()};
                append_pattern(notice, "cannot write to the log file {} ({}): lines go to {} instead",
                               arguments);
                log_without_file(at_time_of(message, spdlog::level::err, notice.text()));
            }
        }
        log_without_file(message);
    }

    void flush() override {}
    void set_pattern(const std::string&) override {}
    void set_formatter(std::unique_ptr<spdlog::formatter>) override {}

private:
    static bool may_use_standard_error() {
        return standard_error.mode != 0 && !standard_error_is_network &&
               permissions::may(Activity::log_to_stderr) && identity_of(STDERR_FILENO) == standard_error;
    }

    static const char* name_of_the_rest() { return may_use_standard_error() ? "standard error" : "syslog"; }

    static void log_without_file(const log_msg& message) {
        if (may_use_standard_error()) {
            const Settings::JournalStream& journal = settings::get().journal;
            Line line;
            if (journal.inode == standard_error.inode && journal.device == standard_error.device)
                line.format_for_journal(message);
            else
                line.format_for_file(message);
            write_to_descriptor(STDERR_FILENO, standard_error, line.text());
        } else if (permissions::may(Activity::log_to_syslog)) {
            static std::atomic<bool> told{false};
            if (settings::get().log_file == nullptr && is_first(told))
                log_to_syslog(
                    at_time_of(message, spdlog::level::info,
                               standard_error_is_network
                                   ? "standard error is a network connection: lines go to syslog instead"
                                   : "standard error is closed, or another file than at the start: lines go "
                                     "to syslog instead"));
            log_to_syslog(message);
        }
    }

    static void log_to_syslog(const log_msg& message) {
        Line line;
        line.format_for_syslog(message);
        send_to_syslog(line.text());
    }
};

} // namespace

void remember_standard_error() {
    standard_error = identity_of(STDERR_FILENO);
    standard_error_is_network = is_network_connection(STDERR_FILENO, standard_error);
}

void write_line(LogLevel level, std::string_view pattern, std::span<const TextArgument> arguments) {
    const libc::ErrnoGuard keep_errno;
    char text[longest_line];
    TextBuffer line{text};
    append_pattern(line, pattern, arguments);
    // Made for each line: there is nothing that an interrupted or forked thread could leave half made.
    Sink sink;
    sink.log({now(), {}, "multihome", to_spdlog(level), {line.text().data(), line.text().size()}});
}

AddressText::AddressText(const Address& address) {
    const in_addr ipv4 = address.ipv4();
    const in6_addr ipv6 = address.ipv6();
    if (address.is_ipv4())
        inet_ntop(AF_INET, &ipv4, text, sizeof text);
    else
        inet_ntop(AF_INET6, &ipv6, text, sizeof text);
}

AddressText::AddressText(const Peer& peer) {
    const AddressText address{peer.address};
    TextBuffer buffer{text}; // which is longer than what comes together
    const bool ipv4 = peer.address.is_ipv4();
    buffer.append(ipv4 ? "" : "[");
    buffer.append(address.text);
    if (!ipv4 && peer.scope != 0) {
        buffer.append("%");
        buffer.append_number(peer.scope);
    }
    buffer.append(ipv4 ? ":" : "]:");
    buffer.append_number(ntohs(peer.port));
}

} // namespace multihome::log
