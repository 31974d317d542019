// SPDX-License-Identifier: MIT
#include "shim/base/log.hpp"

#include "shim/base/kernel_constants.hpp"
#include "shim/base/libc.hpp"
#include "shim/base/permissions.hpp"

#include <arpa/inet.h>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <spdlog/details/log_msg.h>
#include <spdlog/sinks/sink.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace multihome::log {

namespace {

// A line needs raw system calls only, which the program's interposed functions do not see.
using libc::raw_syscall;
using permissions::may;
using spdlog::details::log_msg;

// The numbers are the same but for `off`, which no line has.
constexpr spdlog::level::level_enum to_spdlog(LogLevel level) {
    return static_cast<spdlog::level::level_enum>(level);
}
static_assert(to_spdlog(LogLevel::trace) == spdlog::level::trace &&
              to_spdlog(LogLevel::error) == spdlog::level::err);

// The priorities of syslog(3).
unsigned priority_of(const log_msg& message) {
    constexpr unsigned priorities[] = {7, 7, 6, 4, 3}; // trace, debug, info, warn, error
    return priorities[message.level];
}

// Reads the clock that the vdso reads on every machine. Not by ::now(), which brings more of libstdc++ along.
spdlog::log_clock::time_point now() {
    const timespec time = libc::read_clock(CLOCK_REALTIME_COARSE);
    using namespace std::chrono;
    return spdlog::log_clock::time_point{
        duration_cast<spdlog::log_clock::duration>(seconds{time.tv_sec} + nanoseconds{time.tv_nsec})};
}

// Room for a line: a text, and what a target wants before it.
using Line = char[longest_text + 100];

// Writes the last `width` digits of `number` to `at`. (A width in a pattern brings most of fmt along.)
void put_digits(char* at, int width, int64_t number) {
    for (; width > 0; number /= 10)
        at[--width] = static_cast<char>('0' + number % 10);
}

// The time is in UTC, because localtime() takes a lock and reads files.
std::string_view line_for_file(Line& line, const log_msg& message) {
    using namespace std::chrono;
    const auto day = floor<days>(message.time);
    const year_month_day date{day};
    const hh_mm_ss time{floor<milliseconds>(message.time - day)};
    char stamp[] = "yyyy-mm-ddThh:mm:ss.mmmZ";
    put_digits(stamp, 4, int{date.year()});
    put_digits(stamp + 5, 2, unsigned{date.month()});
    put_digits(stamp + 8, 2, unsigned{date.day()});
    put_digits(stamp + 11, 2, time.hours().count());
    put_digits(stamp + 14, 2, time.minutes().count());
    put_digits(stamp + 17, 2, time.seconds().count());
    put_digits(stamp + 20, 3, time.subseconds().count());
    return put_together(line, FMT_COMPILE("{} multihome[{}] {}: {}\n"), stamp, raw_syscall(SYS_getpid),
                        spdlog::level::to_string_view(message.level), message.payload);
}

// The form of sd-daemon(3). The journal adds time and process itself.
std::string_view line_for_journal(Line& line, const log_msg& message) {
    return put_together(line, FMT_COMPILE("<{}>multihome: {}\n"), priority_of(message), message.payload);
}

// The form of RFC 3164 without the time, which the receiver adds.
std::string_view line_for_syslog(Line& line, const log_msg& message) {
    constexpr unsigned daemon = 3U << 3;
    return put_together(line, FMT_COMPILE("<{}>multihome[{}]: {}"), daemon | priority_of(message),
                        raw_syscall(SYS_getpid), message.payload);
}

// What fstat(2) says of a file; zeros where the descriptor is closed. The kernel fills it in like this on all
// of our architectures.
using FileStatus = struct stat64;
FileStatus status_of(int fd) {
    FileStatus status{};
    raw_syscall(number_of_fstat, fd, &status);
    return status;
}

// A file whose permissions have changed is still the same.
bool is_same(const FileStatus& one, const FileStatus& other) {
    return one.st_dev == other.st_dev && one.st_ino == other.st_ino &&
           ((one.st_mode ^ other.st_mode) & S_IFMT) == 0;
}

// A set of signals, as the kernel's sigset_t has it.
using SignalSet = uint64_t;
constexpr SignalSet set_of(int signal) {
    return SignalSet{1} << (signal - 1);
}

// Written once, from the constructor, before there are threads. Among the initialized data, to which each
// process writes at its start anyway: a page less.
[[gnu::section(".data")]] constinit FileStatus standard_error{};
[[gnu::section(".data")]] constinit bool standard_error_is_client = false;

// True where a line would wait for a reader. It may wait for a terminal that is stopped (Ctrl-S): that is
// what its user wants.
bool is_standard_error_full() {
    if ((!S_ISFIFO(standard_error.st_mode) && !S_ISSOCK(standard_error.st_mode)) ||
        !may(Activity::asking_for_room))
        return false;
    pollfd writable{STDERR_FILENO, POLLOUT, 0};
    const timespec at_once{};
    return raw_syscall(SYS_ppoll, &writable, 1, &at_once, 0, sizeof(SignalSet)) == 0;
}

// Returns why no line goes to standard error; null where lines do.
const char* what_bars_standard_error() {
    if (standard_error_is_client)
        return "standard error is a client's connection";
    if (!may(Activity::log_to_stderr))
        return "a system-call filter bars standard error";
    if (standard_error.st_mode == 0 || !is_same(status_of(STDERR_FILENO), standard_error))
        return "standard error is closed, or another file than at the start";
    return is_standard_error_full() ? "nobody reads standard error" : nullptr;
}

// Writes `line` by one write(2), and returns the kernel's result. Holds back the signals that may come of it:
// nobody reads the pipe, the file may not grow (RLIMIT_FSIZE), the terminal is another group's (stty tostop).
long write_without_signal(int fd, std::string_view line) {
    constexpr SignalSet held = set_of(SIGPIPE) | set_of(SIGXFSZ) | set_of(SIGTTOU);
    SignalSet before = 0;
    SignalSet waiting = 0;
    raw_syscall(SYS_rt_sigprocmask, SIG_BLOCK, &held, &before, sizeof held);
    // What waits already is the program's, which may hold these signals back itself.
    raw_syscall(SYS_rt_sigpending, &waiting, sizeof waiting);
    const long result = raw_syscall(SYS_write, fd, line.data(), line.size());
    const SignalSet raised = result == -EPIPE ? set_of(SIGPIPE) : result == -EFBIG ? set_of(SIGXFSZ) : 0;
    if ((raised & ~waiting) != 0) {
        const timespec at_once{};
        raw_syscall(SYS_rt_sigtimedwait, &raised, 0, &at_once, sizeof raised);
    }
    raw_syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, 0, sizeof before);
    return result;
}

// Opens the log file. Root follows no symbolic link: whoever may write to a directory on the way could lead
// it to any file. O_NONBLOCK, because opening a FIFO must not wait for a reader.
long open_file(const char* name) {
    constexpr int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_LARGEFILE;
    constexpr long mode = 0640;
    if (raw_syscall(SYS_geteuid) != 0)
        return raw_syscall(SYS_openat, AT_FDCWD, name, flags, mode);
    if (may(Activity::resolving_no_links)) {
        const open_how how{flags, mode, RESOLVE_NO_SYMLINKS};
        const long opened = raw_syscall(SYS_openat2, AT_FDCWD, name, &how, sizeof how);
        if (opened != -ENOSYS)
            return opened;
    }
    // Before Linux 5.6 the kernel can check only the last part of the name.
    return raw_syscall(SYS_openat, AT_FDCWD, name, flags | O_NOFOLLOW, mode);
}

// Appends `line` to a regular file, which it makes if there is none. Returns -errno on failure.
long append_to_file(const char* name, std::string_view line) {
    const long opened = open_file(name);
    if (opened < 0)
        return opened;
    const int fd = static_cast<int>(opened);
    // ENXIO, as the kernel says of a FIFO that nobody reads.
    const long result = S_ISREG(status_of(fd).st_mode) ? write_without_signal(fd, line) : -ENXIO;
    raw_syscall(SYS_close, fd);
    return result;
}

void send_to_syslog(std::string_view line) {
    const long opened = raw_syscall(SYS_socket, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (opened < 0)
        return;
    constexpr sockaddr_un address{AF_UNIX, "/dev/log"};
    raw_syscall(SYS_sendto, opened, line.data(), line.size(), MSG_NOSIGNAL | MSG_DONTWAIT, &address,
                sizeof address);
    raw_syscall(SYS_close, opened);
}

// Says why a file cannot be written.
const char* describe(int error) {
    if (error == ELOOP)
        return "root follows no symbolic link";
    if (error == ENXIO || error == EISDIR)
        return "it is not a regular file";
    const char* const text = strerrordesc_np(error); // async-signal-safe
    return text != nullptr ? text : "the kernel refuses it";
}

// Returns a line about lines, with the time of `other`.
log_msg at_time_of(const log_msg& other, spdlog::level::level_enum level, std::string_view text) {
    return {other.time, {}, other.logger_name, level, {text.data(), text.size()}};
}

// Takes lines as any sink of spdlog does. Nothing is held back, and each line has one form for each place.
class Sink final : public spdlog::sinks::sink {
public:
    // Writes a line to the first place that takes it.
    void log(const log_msg& message) override {
        const char* const file = settings::get().log_file;
        if (file == nullptr || !may(Activity::log_to_file))
            return log_without_file(message);
        Line line;
        const long result = append_to_file(file, line_for_file(line, message));
        if (result >= 0)
            return;
        static std::atomic<bool> told{false};
        if (is_first(told)) {
            char notice[longest_text];
            const auto text = put_together(
                notice, FMT_COMPILE("cannot write to the log file {} ({}): lines go to {} instead"), file,
                describe(static_cast<int>(-result)),
                what_bars_standard_error() == nullptr ? "standard error" : "syslog");
            log_without_file(at_time_of(message, spdlog::level::err, text));
        }
        log_without_file(message);
    }

    void flush() override {}
    void set_pattern(const std::string&) override {}
    void set_formatter(std::unique_ptr<spdlog::formatter>) override {}

private:
    // Writes a line to standard error, or else to syslog.
    static void log_without_file(const log_msg& message) {
        Line line;
        const char* const barred = what_bars_standard_error();
        if (barred == nullptr) {
            const Settings::JournalStream& journal = settings::get().journal;
            const bool is_journal =
                journal.inode == standard_error.st_ino && journal.device == standard_error.st_dev;
            write_without_signal(STDERR_FILENO,
                                 is_journal ? line_for_journal(line, message) : line_for_file(line, message));
        } else if (may(Activity::log_to_syslog)) {
            static std::atomic<bool> told{false};
            if (settings::get().log_file == nullptr && is_first(told)) {
                char notice[longest_text];
                const auto text = put_together(notice, FMT_COMPILE("{}: lines go to syslog instead"), barred);
                send_to_syslog(line_for_syslog(line, at_time_of(message, spdlog::level::info, text)));
            }
            send_to_syslog(line_for_syslog(line, message));
        }
    }
};

} // namespace

void remember_standard_error() {
    standard_error = status_of(STDERR_FILENO);
    if (!S_ISSOCK(standard_error.st_mode))
        return;
    // A socket of the internet carries our lines to the other end. So does the UNIX socket that a service
    // manager has made standard input as well. Those that collect lines (the journal) are standard error
    // alone.
    int domain = AF_UNSPEC;
    socklen_t length = sizeof domain;
    raw_syscall(SYS_getsockopt, STDERR_FILENO, SOL_SOCKET, SO_DOMAIN, &domain, &length);
    standard_error_is_client = domain != AF_UNIX || is_same(status_of(STDIN_FILENO), standard_error);
}

void write_line(LogLevel level, std::string_view text) {
    const libc::ErrnoGuard keep_errno;
    // Made for each line, so that no interrupted or forked thread leaves it half made.
    Sink sink;
    sink.log({now(), {}, "multihome", to_spdlog(level), {text.data(), text.size()}});
}

AddressText::AddressText(const Address& address) {
    const bool is_ipv4 = address.is_ipv4();
    const in6_addr bytes = address.ipv6();
    inet_ntop(is_ipv4 ? AF_INET : AF_INET6, bytes.s6_addr + (is_ipv4 ? 12 : 0), text, sizeof text);
}

AddressText::AddressText(const Peer& peer) {
    const AddressText address{peer.address};
    const in_port_t port = ntohs(peer.port);
    if (peer.address.is_ipv4())
        put_together(text, FMT_COMPILE("{}:{}"), address.text, port);
    else if (peer.scope == 0)
        put_together(text, FMT_COMPILE("[{}]:{}"), address.text, port);
    else
        put_together(text, FMT_COMPILE("[{}%{}]:{}"), address.text, peer.scope, port);
}

} // namespace multihome::log
