// SPDX-License-Identifier: MIT
#include "tools/differential/pair.hpp"

#include "tools/differential/surroundings.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fmt/core.h>
#include <stdexcept>
#include <string_view>

extern char** environ; // NOLINT(readability-redundant-declaration): POSIX wants it declared here

namespace multihome::differential {

namespace {

constexpr int no_own_network = 90; // what a child exits with that may not have one
constexpr int patience_in_seconds = 60;

constexpr std::array<const char*, 2> side_names{"shimmed", "bare"};

/// The environment of a side: the settings that would switch the shim off are not what is to be tested.
std::vector<std::string> environment_for(const std::string& library) {
    std::vector<std::string> result;
    for (char** entry = environ; *entry != nullptr; ++entry) {
        const std::string_view text = *entry;
        if (!text.starts_with("LD_PRELOAD=") && !text.starts_with("MULTIHOME_DISABLE=") &&
            !text.starts_with("MULTIHOME_PORTS="))
            result.emplace_back(text);
    }
    if (!library.empty())
        result.push_back("LD_PRELOAD=" + library);
    return result;
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
    std::vector<char*> pointers;
    pointers.reserve(texts.size() + 1);
    for (std::string& text : texts)
        pointers.push_back(text.data());
    pointers.push_back(nullptr);
    return pointers;
}

} // namespace

Pair::Pair(Launch launch) : launch_(std::move(launch)), isolated_(launch_.own_network) {
    for (Process& process : processes_) {
        process.descriptor = memfd_create("multihome-differential", 0);
        if (process.descriptor < 0 || ftruncate(process.descriptor, sizeof(Mailbox)) != 0)
            throw std::runtime_error(fmt::format("no shared memory: {}", strerrordesc_np(errno)));
        void* memory =
            mmap(nullptr, sizeof(Mailbox), PROT_READ | PROT_WRITE, MAP_SHARED, process.descriptor, 0);
        if (memory == MAP_FAILED)
            throw std::runtime_error(fmt::format("no shared memory: {}", strerrordesc_np(errno)));
        process.mailbox = static_cast<Mailbox*>(memory);
    }
    start();
}

Pair::~Pair() {
    stop();
    for (Process& process : processes_) {
        munmap(process.mailbox, sizeof(Mailbox));
        close(process.descriptor);
    }
}

void Pair::stop() {
    for (Process& process : processes_) {
        if (process.pid <= 0)
            continue;
        kill(process.pid, SIGKILL);
        waitpid(process.pid, nullptr, 0);
        process.pid = -1;
    }
}

void Pair::start() {
    stop();
    if (isolated_ && try_start(shimmed) && try_start(bare))
        return;
    // No network of one's own for this user: then on the host's loopback, one after the other.
    stop();
    isolated_ = false;
    first_port_ = find_free_ports();
    if (first_port_ == 0)
        throw std::runtime_error("no sixteen free ports in a row");
    for (const Who who : {shimmed, bare})
        if (!try_start(who))
            throw std::runtime_error(fmt::format("the {} side does not start", side_names.at(who)));
}

bool Pair::try_start(Who who) {
    Process& process = processes_.at(who);
    Mailbox& mailbox = *process.mailbox;
    mailbox.problem.fill(0);
    mailbox.detailed_step = Mailbox::no_step;
    mailbox.turn.store(static_cast<std::uint32_t>(Turn::side));
    std::vector<std::string> arguments = launch_.arguments;
    arguments.push_back(
        fmt::format("{}:{}:{}", side_names.at(who), process.descriptor, isolated_ ? 0 : first_port_));
    std::vector<std::string> environment = environment_for(who == shimmed ? launch_.library : std::string{});
    const std::vector<char*> argument_pointers = pointers_to(arguments);
    const std::vector<char*> environment_pointers = pointers_to(environment);
    process.pid = fork();
    if (process.pid < 0)
        throw std::runtime_error(fmt::format("fork: {}", strerrordesc_np(errno)));
    if (process.pid == 0) {
        // Before the new program starts: a user's own namespace gives its rights only until then.
        if (isolated_ && !isolate_network())
            _exit(no_own_network);
        execve("/proc/self/exe", argument_pointers.data(), environment_pointers.data());
        _exit(127);
    }
    for (int second = 0; second < patience_in_seconds; ++second) {
        if (await_turn(mailbox, Turn::coordinator, 1)) {
            if (mailbox.problem.front() == 0)
                return true;
            const std::string problem = mailbox.problem.data();
            stop();
            throw std::runtime_error(fmt::format("the {} side: {}", side_names.at(who), problem));
        }
        int status = 0;
        if (waitpid(process.pid, &status, WNOHANG) == process.pid) {
            process.pid = -1;
            if (isolated_ && WIFEXITED(status) && WEXITSTATUS(status) == no_own_network)
                return false;
            throw std::runtime_error(fmt::format("the {} side ended with status {:#x} when it started",
                                                 side_names.at(who), static_cast<unsigned>(status)));
        }
    }
    stop();
    throw std::runtime_error(fmt::format("the {} side does not answer", side_names.at(who)));
}

bool Pair::wait_for(Who who, Difference& difference) {
    Process& process = processes_.at(who);
    for (int second = 0; second < patience_in_seconds; ++second) {
        if (await_turn(*process.mailbox, Turn::coordinator, 1)) {
            if (process.mailbox->problem.front() == 0)
                return true;
            difference = {process.mailbox->current_step, fmt::format("the {} side: {}", side_names.at(who),
                                                                     process.mailbox->problem.data())};
            return false;
        }
        int status = 0;
        if (waitpid(process.pid, &status, WNOHANG) != process.pid)
            continue;
        process.pid = -1;
        difference.step = process.mailbox->current_step;
        difference.text =
            WIFSIGNALED(status)
                ? fmt::format("the {} side died of SIG{}", side_names.at(who), sigabbrev_np(WTERMSIG(status)))
                : fmt::format("the {} side exited with status {}", side_names.at(who), WEXITSTATUS(status));
        return false;
    }
    difference.step = process.mailbox->current_step;
    difference.text = fmt::format("the {} side hangs", side_names.at(who));
    return false;
}

bool Pair::run_both(std::span<const Step> steps, std::uint32_t detailed, Difference& difference) {
    if (steps.size() > Mailbox::maximum_steps)
        throw std::length_error("too many steps at once");
    for (const Who who : {shimmed, bare}) {
        Mailbox& mailbox = *processes_.at(who).mailbox;
        std::copy(steps.begin(), steps.end(), mailbox.steps.begin());
        mailbox.step_count = static_cast<std::uint32_t>(steps.size());
        mailbox.detailed_step = detailed;
        give_turn(mailbox, Turn::side);
        if (!isolated_ && !wait_for(who, difference)) {
            start();
            return false;
        }
    }
    bool good = true;
    for (const Who who : {shimmed, bare})
        good = good && (!isolated_ || wait_for(who, difference));
    if (!good)
        start();
    return good;
}

bool Pair::run(std::span<const Step> steps, Difference& difference) {
    if (!run_both(steps, Mailbox::no_step, difference))
        return false;
    const Mailbox& left = *processes_[shimmed].mailbox;
    const Mailbox& right = *processes_[bare].mailbox;
    const std::span<const Entry> ours{left.entries.data(), left.entry_count};
    const std::span<const Entry> theirs{right.entries.data(), right.entry_count};
    const auto [first, second] = std::mismatch(ours.begin(), ours.end(), theirs.begin(), theirs.end());
    if (first == ours.end() && second == theirs.end()) {
        if (left.overflow + right.overflow == 0)
            return true;
        throw std::length_error("more to report than there is room for");
    }
    const bool left_has_it = first != ours.end();
    const bool right_has_it = second != theirs.end();
    difference.step =
        std::min(left_has_it ? first->step : UINT32_MAX, right_has_it ? second->step : UINT32_MAX);
    difference.text.clear();
    // All that differs in that step.
    auto our = first;
    auto their = second;
    while (our != ours.end() || their != theirs.end()) {
        const bool our_turn = our != ours.end() && our->step == difference.step;
        const bool their_turn = their != theirs.end() && their->step == difference.step;
        if (!our_turn && !their_turn)
            break;
        if (our_turn && their_turn && our->label == their->label && our->index == their->index) {
            if (our->value != their->value)
                difference.text += fmt::format("  {}: shimmed {}, bare {}\n", name_of(*our), value_of(*our),
                                               value_of(*their));
            ++our;
            ++their;
        } else if (our_turn && (!their_turn || our->label < their->label)) {
            difference.text += fmt::format("  {}, only when shimmed\n", describe(*our++));
        } else {
            difference.text += fmt::format("  {}, only when bare\n", describe(*their++));
        }
    }
    return false;
}

std::string Pair::explain(std::span<const Step> steps, std::size_t step) {
    Difference ignored;
    if (!run_both(steps, static_cast<std::uint32_t>(step), ignored))
        return {};
    const Mailbox& left = *processes_[shimmed].mailbox;
    const Mailbox& right = *processes_[bare].mailbox;
    std::string text;
    for (std::size_t at = 0; at + sizeof(DumpHeader) <= std::min(left.dump_size, right.dump_size);) {
        DumpHeader header{};
        DumpHeader other{};
        std::memcpy(&header, left.dump.data() + at, sizeof header);
        std::memcpy(&other, right.dump.data() + at, sizeof other);
        at += sizeof header;
        if (header.address != other.address || header.size != other.size)
            return text + "  the sides' memory is laid out differently\n";
        int told = 0;
        for (std::size_t byte = 0; byte < header.size && told < 16; ++byte) {
            const unsigned ours = left.dump[at + byte];
            const unsigned theirs = right.dump[at + byte];
            if (ours == theirs)
                continue;
            text += fmt::format("  {} at {:#x}: shimmed {:02x}, bare {:02x}\n", name_of(header.region),
                                header.address + byte, ours, theirs);
            ++told;
        }
        at += header.size;
    }
    if (std::strcmp(left.notes.data(), right.notes.data()) != 0)
        text += fmt::format("  shimmed:{}\n  bare:   {}\n", left.notes.data(), right.notes.data());
    return text;
}

bool Pair::shim_answers_from_where_it_was_asked() {
    Step ask;
    ask.op = Op::ask_other;
    Difference ignored;
    if (!run_both(std::span{&ask, 1}, Mailbox::no_step, ignored))
        return false;
    const Mailbox& mailbox = *processes_[shimmed].mailbox;
    constexpr std::uint64_t asked = INADDR_LOOPBACK + 1;
    const bool answered = mailbox.entry_count >= 1 && mailbox.entries[0].value == asked;
    // What was learned from it would steer what comes.
    restart();
    return answered;
}

} // namespace multihome::differential
