// SPDX-License-Identifier: MIT
// Calls, and what is recorded of them.
#include "tools/differential/runner.hpp"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <string>

namespace multihome::differential {

namespace {

bool moves_data(Op op) {
    switch (op) {
    case Op::recvfrom:
    case Op::__recvfrom_chk:
    case Op::recvmsg:
    case Op::recvmmsg:
    case Op::sendto:
    case Op::sendmsg:
    case Op::sendmmsg:
        return true;
    default:
        return false;
    }
}

} // namespace

int Runner::protocol_of(int fd) {
    int protocol = 0;
    socklen_t length = sizeof protocol;
    return libc().getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &length) == 0 ? protocol : 0;
}

void Runner::note_tcp(const Step& step) {
    if (step.op != Op::sendto && step.op != Op::sendmsg && step.op != Op::sendmmsg)
        return;
    const bool one_piece = step.get(Field::vectors) == 0 && step.op != Op::sendmmsg;
    const std::int64_t length = step.get(Field::length);
    tcp_sent_ += one_piece && length >= 0 && length <= always_fits ? length : always_fits + 1;
}

void Runner::add(Label label, std::size_t index, std::uint64_t value) {
    if (mailbox_.entry_count == Mailbox::maximum_entries) {
        ++mailbox_.overflow;
        return;
    }
    mailbox_.entries[mailbox_.entry_count++] = {step_, label, static_cast<std::uint16_t>(index), value};
}

void Runner::dump() {
    memory_.each_used([this](Region region, std::uintptr_t address, std::size_t size) {
        const DumpHeader header{region, address, size};
        if (mailbox_.dump_size + sizeof header + size > Mailbox::maximum_dump)
            return;
        std::memcpy(mailbox_.dump.data() + mailbox_.dump_size, &header, sizeof header);
        std::memcpy(mailbox_.dump.data() + mailbox_.dump_size + sizeof header,
                    reinterpret_cast<const void*>(address), size);
        mailbox_.dump_size += static_cast<std::uint32_t>(sizeof header + size);
    });
}

long Runner::call_plainly(Symbol symbol, std::initializer_list<std::uint64_t> arguments) {
    std::array<std::uint64_t, maximum_arguments> values{};
    std::copy(arguments.begin(), arguments.end(), values.begin());
    return functions_.call(symbol, values);
}

void Runner::normalise_name(std::uintptr_t address, std::size_t length) {
    std::array<unsigned char, 4> start{};
    const std::size_t there = memory_.load(address, start.data(), std::min(length, start.size()));
    normalise_address(start.data(), there);
    memory_.store(address, start.data(), there);
}

void Runner::normalise_control_at(std::uintptr_t address, std::size_t length) {
    std::array<unsigned char, 16384> control;
    const std::size_t there = memory_.load(address, control.data(), std::min(length, control.size()));
    normalise_control(control.data(), there);
    memory_.store(address, control.data(), there);
}

void Runner::record_messages(const Layout& layout) {
    constexpr std::size_t named_one_by_one = 4; // the others are in the memory's hash as well
    // What each message has left of the one before, where all are written to one place, is no control message
    // any more whose times could be taken out.
    const auto share = [](const Layout::Part& one, const Layout::Part& other) {
        return one.control == other.control && (one.control_room != 0 || other.control_room != 0);
    };
    if (std::adjacent_find(layout.parts.begin(), layout.parts.end(), share) != layout.parts.end())
        memory_.leave_out(Region::control);
    for (std::size_t index = 0; index < layout.parts.size(); ++index) {
        const Layout::Part& part = layout.parts[index];
        mmsghdr header{};
        if (layout.messages == 0) {
            normalise_name(part.name, part.name_room);
            continue;
        }
        if (memory_.load(layout.messages + index * layout.message_size, &header, layout.message_size) !=
            layout.message_size)
            continue;
        normalise_name(part.name, part.name_room);
        normalise_control_at(part.control,
                             std::min<std::size_t>(part.control_room, header.msg_hdr.msg_controllen));
        if (index >= named_one_by_one)
            continue;
        add(Label::message_name_length, index, header.msg_hdr.msg_namelen);
        add(Label::message_control_length, index, header.msg_hdr.msg_controllen);
        add(Label::message_flags, index, static_cast<std::uint64_t>(header.msg_hdr.msg_flags));
        if (layout.message_size == sizeof header)
            add(Label::message_length, index, header.msg_len);
    }
}

void Runner::record_memory(const Layout& layout) {
    timespec left{};
    if (layout.timeout_runs && memory_.load(layout.timeout, &left, sizeof left) == sizeof left &&
        left.tv_nsec != 500'000'000)
        // What is left of a timeout depends on the clock; that something was written does not.
        memory_.store(layout.timeout, timespec{1, 1});
    for (std::size_t index = 0; index < region_count; ++index)
        if (const std::uint64_t hash = memory_.hash(static_cast<Region>(index)); hash != 0)
            add(Label::memory, index, hash);
    if (step_ == mailbox_.detailed_step)
        dump();
}

void Runner::record_arrivals() {
    surroundings_.settle();
    std::string note;
    for (int client = 0; client < client_count; ++client) {
        std::uint64_t digest = 0;
        while (
            surroundings_.client_receive(client, digest, step_ == mailbox_.detailed_step ? &note : nullptr))
            add(Label::arrived, static_cast<std::size_t>(client), digest);
    }
    const std::size_t used = std::strlen(mailbox_.notes.data());
    std::snprintf(mailbox_.notes.data() + used, mailbox_.notes.size() - used, "%s", note.c_str());
}

void Runner::after_call(const Step& step, const Layout& layout) {
    record_messages(layout);
    record_memory(layout);
    switch (step.op) {
    case Op::sendto:
    case Op::sendmsg:
    case Op::sendmmsg:
        record_arrivals();
        break;
    case Op::connect:
        surroundings_.settle();
        inspect(step.integer(Field::fd));
        break;
    case Op::bind:
    case Op::setsockopt:
        inspect(step.integer(Field::fd));
        break;
    case Op::closefrom:
    case Op::close_range:
        surroundings_.repair();
        break;
    default:
        break;
    }
}

void Runner::call(const Step& step) {
    if ((step.op == Op::pidfd_getfd && asks_itself(step.integer(Field::number))) ||
        may_answer_across_families(step))
        return;
    memory_.clear();
    const PreparedCall call = prepare(step, memory_, surroundings_, step_);
    const bool on_tcp = moves_data(step.op) && protocol_of(step.integer(Field::fd)) == IPPROTO_TCP;
    if (on_tcp)
        note_tcp(step);
    errno = untouched_errno;
    const long result = functions_.call(call.symbol, call.arguments);
    has_connected_ = has_connected_ || (step.op == Op::connect && result == 0);
    const int error = errno;
    // How much a connection with much in it takes or has at once, and whether it looks at the memory at all,
    // is the clock's.
    if (on_tcp && tcp_goes_by_the_clock() && (result >= 0 || error == EAGAIN || error == EFAULT)) {
        add(Label::moved_on_tcp, 0, static_cast<std::uint64_t>(result >= 0 && error != untouched_errno));
        return;
    }
    // The message at which a call for many stopped: as below.
    const bool may_stop =
        step.get(Field::name) != 0 || step.get(Field::data) != 0 || step.get(Field::vector) != 0;
    if (step.op == Op::recvmmsg && may_stop && result >= 0 &&
        static_cast<std::size_t>(result) < call.layout.parts.size()) {
        const Layout::Part& part = call.layout.parts[static_cast<std::size_t>(result)];
        static const std::array<unsigned char, 16384> nothing{};
        memory_.store(part.control, nothing.data(), std::min(part.control_room, nothing.size()));
    }
    // What a call that ended in the middle has written to control buffers that it reports nothing of, and
    // what of a control message was written before the writing failed, is nothing that a program could use.
    if ((result < 0 && error == EFAULT) || step.pointer(Field::control) == Pointer::cross)
        memory_.leave_out(Region::control);
    // The same for an option's value that is half there, or whose length could not be written.
    if (result < 0 && error == EFAULT &&
        (step.pointer(Field::data) == Pointer::cross || step.op == Op::getsockopt))
        memory_.leave_out(Region::value);
    add(Label::result, 0, static_cast<std::uint64_t>(result));
    add(Label::error, 0, static_cast<std::uint64_t>(error));
    after_call(step, call.layout);
}
void Runner::run_step(const Step& step) {
    if (is_call(step.op))
        call(step);
    else
        event(step);
}

void Runner::run() {
    for (;;) {
        await_turn(mailbox_, Turn::side, 0);
        mailbox_.entry_count = 0;
        mailbox_.dump_size = 0;
        mailbox_.overflow = 0;
        mailbox_.notes.front() = 0;
        surroundings_.repair();
        for (step_ = 0; step_ < mailbox_.step_count; ++step_) {
            mailbox_.current_step = step_;
            run_step(mailbox_.steps[step_]);
        }
        if (step_ == 0 || mailbox_.steps[step_ - 1].op != Op::reset)
            reset();
        if (shares_ports_)
            Surroundings::leave();
        give_turn(mailbox_, Turn::coordinator);
    }
}

} // namespace multihome::differential
