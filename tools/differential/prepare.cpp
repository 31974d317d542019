// SPDX-License-Identifier: MIT
#include "tools/differential/prepare.hpp"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstring>
#include <ctime>

namespace multihome::differential {

namespace {

constexpr std::size_t most_messages = 6000; // laid out; a step may claim more

std::size_t clamp(std::int64_t value, std::size_t most) {
    return value < 0 ? most : std::min(static_cast<std::size_t>(value), most);
}

/// Where a call may wait, because it does not wait for good.
bool has_time_limit(int fd) {
    timeval limit{};
    socklen_t length = sizeof limit;
    return libc().getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, &length) == 0 && length == sizeof limit &&
           (limit.tv_sec != 0 || limit.tv_usec != 0);
}

/// Objects for each message of a call; one of them may be bad while the others are good.
class Objects {
public:
    Objects(Memory& memory, Region region, const Step& step, Field pointer, std::size_t size,
            std::size_t count, std::size_t stride = 0)
        : bad_(step.get(Field::bad)) {
        const bool one_is_bad = bad_ > 0 && count > 1;
        if (!one_is_bad)
            bad_ = 0;
        good_ = memory.place(region, one_is_bad ? Pointer::good : step.pointer(pointer), size, count, stride);
        if (one_is_bad)
            bad_one_ = memory.place(region, step.pointer(pointer), size);
    }
    [[nodiscard]] std::uintptr_t at(std::size_t index) const {
        return static_cast<std::int64_t>(index) + 1 == bad_ ? bad_one_.address : good_.at(index);
    }

private:
    std::int64_t bad_;
    Block good_;
    Block bad_one_;
};

class Preparation {
public:
    Preparation(const Step& step, Memory& memory, const Surroundings& surroundings, std::uint32_t serial)
        : step_(step), memory_(memory), surroundings_(surroundings), serial_(serial) {}

    PreparedCall make();

private:
    [[nodiscard]] std::uint64_t number(Field field) const {
        return static_cast<std::uint64_t>(step_.get(field));
    }
    [[nodiscard]] std::uint64_t call_flags() const {
        const bool waits = step_.get(Field::waits) != 0 && has_time_limit(step_.integer(Field::fd));
        return number(Field::flags) | (waits ? 0 : std::uint64_t{MSG_DONTWAIT});
    }

    /// The name's length that the call is given, from a step that may leave it open.
    [[nodiscard]] std::int64_t name_length(std::int64_t natural) const {
        const std::int64_t given = step_.get(Field::name_length);
        return given == 0 ? natural : given == -2 ? 0 : given;
    }

    std::uint64_t outgoing_name(std::uint64_t& length);
    std::uint64_t data(bool outgoing);
    void fill_data(std::uintptr_t address, std::size_t size);
    std::uint64_t option_value(bool outgoing);
    std::uint64_t messages(bool outgoing, bool many);
    std::uint64_t timeout();
    void receive_arguments();
    std::uint64_t length_place(std::int64_t value);

    const Step& step_;
    Memory& memory_;
    const Surroundings& surroundings_;
    std::uint32_t serial_;
    PreparedCall call_;
};

void Preparation::fill_data(std::uintptr_t address, std::size_t size) {
    // No byte is an ICMP type that a ping socket would send: the answers' identifiers are drawn by lot.
    std::array<unsigned char, 4096> bytes;
    for (std::size_t index = 0; index < std::min(bytes.size(), size); ++index)
        bytes[index] = static_cast<unsigned char>(0x20U + ((index + serial_) & 0x3fU));
    for (std::size_t done = 0; done < size; done += bytes.size())
        memory_.store(address + done, bytes.data(), std::min(bytes.size(), size - done));
}

std::uint64_t Preparation::data(bool outgoing) {
    const std::size_t size = clamp(step_.get(Field::length), 70000);
    const Block block = memory_.place(Region::data, step_.pointer(Field::data), size);
    if (outgoing)
        fill_data(block.address, size);
    return block.address;
}

std::uint64_t Preparation::outgoing_name(std::uint64_t& length) {
    sockaddr_storage name{};
    const socklen_t natural =
        surroundings_.address(static_cast<Place>(step_.get(Field::place)), step_.integer(Field::port), name);
    std::int64_t given = name_length(natural);
    // A UNIX socket bound to nothing but its family gets a name that is drawn by lot.
    if (name.ss_family == AF_UNIX && given == sizeof name.ss_family)
        ++given;
    length = static_cast<std::uint64_t>(given);
    const std::size_t size = clamp(given, 256);
    const Block block = memory_.place(Region::name, step_.pointer(Field::name), size);
    memory_.store(block.address, &name, std::min(size, sizeof name));
    return block.address;
}

std::uint64_t Preparation::length_place(std::int64_t value) {
    const Block block = memory_.place(Region::length, step_.pointer(Field::length_place), sizeof(socklen_t));
    memory_.store(block.address, static_cast<socklen_t>(value));
    return block.address;
}

std::uint64_t Preparation::option_value(bool outgoing) {
    constexpr int ipv6_packet_info = 50;
    const std::size_t size = clamp(step_.get(Field::length), 4096);
    const Block block = memory_.place(Region::value, step_.pointer(Field::data), size);
    if (!outgoing)
        return block.address;
    std::array<unsigned char, 64> bytes{};
    const std::int64_t value = step_.get(Field::value);
    std::memcpy(bytes.data(), &value, sizeof value);
    const int level = step_.integer(Field::level);
    const int option = step_.integer(Field::option);
    if (level == SOL_SOCKET && option == SO_BINDTODEVICE)
        std::memcpy(bytes.data(), value != 0 ? "lo" : "\0\0", 3);
    constexpr int loopback = 1; // its index
    if (level == IPPROTO_IPV6 && option == ipv6_packet_info) {
        in6_pktinfo info{value == 1 ? in6addr_loopback : in6addr_any, value == 2 ? loopback : 0U};
        std::memcpy(bytes.data(), &info, sizeof info);
    }
    if (level == IPPROTO_IP && option == IP_MULTICAST_IF && value != 0) {
        const bool by_index = size >= sizeof(ip_mreqn);
        const in_addr address{htonl(INADDR_LOOPBACK)};
        const ip_mreqn chosen{{}, {}, by_index ? loopback : 0};
        std::memcpy(bytes.data(), &chosen, sizeof chosen);
        if (!by_index)
            std::memcpy(bytes.data(), &address, sizeof address);
    }
    if (level == SOL_SOCKET && option == SO_RCVTIMEO) {
        const timeval limit{0, static_cast<suseconds_t>(value)};
        std::memcpy(bytes.data(), &limit, sizeof limit);
    }
    // These two are in network byte order.
    if ((level == IPPROTO_IP && option == 50) || (level == IPPROTO_IPV6 && option == 76)) {
        const std::uint32_t index = htonl(static_cast<std::uint32_t>(value));
        std::memcpy(bytes.data(), &index, sizeof index);
    }
    memory_.store(block.address, bytes.data(), std::min(size, bytes.size()));
    return block.address;
}

std::uint64_t Preparation::messages(bool outgoing, bool many) {
    const std::size_t count = many ? clamp(step_.get(Field::count), most_messages) : 1;
    Layout& layout = call_.layout;
    layout.message_size = many ? sizeof(mmsghdr) : sizeof(msghdr);
    const Block headers = memory_.place(Region::message, step_.pointer(Field::message), layout.message_size,
                                        count, layout.message_size);
    layout.messages = headers.address;

    sockaddr_storage name{};
    const socklen_t natural = outgoing ? surroundings_.address(static_cast<Place>(step_.get(Field::place)),
                                                               step_.integer(Field::port), name)
                                       : static_cast<socklen_t>(sizeof name);
    const std::int64_t given_name = name_length(natural);
    const std::size_t name_size = clamp(given_name, 256);
    const Objects names{memory_, Region::name, step_, Field::name, name_size, count};

    const std::int64_t given_vectors = step_.get(Field::vectors);
    const std::int64_t vector_count = given_vectors == 0 ? 1 : given_vectors == -1 ? 0 : given_vectors;
    const std::size_t vectors_laid = clamp(vector_count, 1100);
    const Objects vectors{memory_, Region::vector, step_, Field::vector, vectors_laid * sizeof(iovec), count};
    const std::size_t data_size = clamp(step_.get(Field::length), vectors_laid > 4 ? 1000 : 70000);
    const Objects datas{memory_, Region::data, step_, Field::data, data_size * vectors_laid, count};

    std::array<unsigned char, 1024> contents{};
    std::size_t unpadded = 0;
    const std::size_t built =
        outgoing ? build_control(static_cast<std::uint32_t>(number(Field::contents)), contents, unpadded) : 0;
    const std::int64_t given_control = step_.get(Field::control_length);
    const std::int64_t spread = step_.get(Field::spread);
    const auto control_length = [&](std::size_t index) -> std::int64_t {
        if (outgoing && given_control == 0)
            return static_cast<std::int64_t>(built);
        if (outgoing && given_control == -2)
            return static_cast<std::int64_t>(unpadded);
        return given_control + spread * static_cast<std::int64_t>(index % 8);
    };
    const std::size_t control_size =
        std::max(clamp(control_length(0), 16384), clamp(control_length(7), 16384));
    const Objects controls{memory_, Region::control, step_, Field::control, control_size, count};

    layout.parts.resize(count);
    for (std::size_t index = 0; index < count; ++index) {
        Layout::Part& part = layout.parts[index];
        part = {names.at(index), name_size, controls.at(index), clamp(control_length(index), 16384)};
        memory_.store(part.name, &name, outgoing ? std::min(name_size, sizeof name) : 0);
        memory_.store(part.control, contents.data(), outgoing ? std::min(control_size, built) : 0);
        for (std::size_t vector = 0; vector < vectors_laid; ++vector) {
            const std::uintptr_t address = datas.at(index) + vector * data_size;
            const iovec entry{reinterpret_cast<void*>(address), number(Field::length)};
            memory_.store(vectors.at(index) + vector * sizeof entry, entry);
            if (outgoing)
                fill_data(address, data_size);
        }
        mmsghdr header;
        std::memset(&header, Memory::pattern, sizeof header); // the padding shows as well
        header.msg_hdr.msg_name = reinterpret_cast<void*>(part.name);
        header.msg_hdr.msg_namelen = static_cast<socklen_t>(given_name);
        header.msg_hdr.msg_iov = reinterpret_cast<iovec*>(vectors.at(index));
        header.msg_hdr.msg_iovlen = static_cast<std::size_t>(vector_count);
        header.msg_hdr.msg_control = reinterpret_cast<void*>(part.control);
        header.msg_hdr.msg_controllen = static_cast<std::size_t>(control_length(index));
        memory_.store(headers.at(index), &header, layout.message_size);
    }
    return headers.address;
}

std::uint64_t Preparation::timeout() {
    const Block block = memory_.place(Region::time, step_.pointer(Field::time), sizeof(timespec));
    const std::int64_t seconds = step_.get(Field::timeout);
    timespec value{seconds, seconds > 0 ? 500'000'000 : 0};
    if (seconds == -1)
        value = {1, 1'000'000'000};
    if (seconds == -2)
        value = {-1, 0};
    memory_.store(block.address, value);
    call_.layout.timeout = block.address;
    call_.layout.timeout_runs = seconds > 0;
    return block.address;
}

void Preparation::receive_arguments() {
    const bool checked = step_.op == Op::__recvfrom_chk;
    const std::int64_t room = name_length(sizeof(sockaddr_storage));
    const std::size_t size = clamp(room, 256);
    const Block name = memory_.place(Region::name, step_.pointer(Field::name), size);
    call_.layout.parts.push_back({name.address, size, 0, 0});
    const std::uint64_t buffer = data(false);
    const std::uint64_t length = number(Field::length);
    const std::uint64_t name_place = length_place(room);
    if (checked)
        // The buffer is as long as it has to be: a shorter one ends the program, on both sides.
        call_.arguments = {number(Field::fd), buffer, length, length, call_flags(), name.address, name_place};
    else
        call_.arguments = {number(Field::fd), buffer, length, call_flags(), name.address, name_place};
}

PreparedCall Preparation::make() {
    auto& arguments = call_.arguments;
    call_.symbol = static_cast<Symbol>(step_.op);
    const std::uint64_t fd = number(Field::fd);
    std::uint64_t name_size = 0;
#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wswitch"
    switch (step_.op) {
    case Op::socket:
        arguments = {number(Field::domain), number(Field::type), number(Field::protocol)};
        break;
    case Op::bind:
    case Op::connect: {
        const std::uint64_t name = outgoing_name(name_size);
        arguments = {fd, name, name_size};
        break;
    }
    case Op::close:
    case Op::closefrom:
    case Op::dup:
        arguments = {fd};
        break;
    case Op::close_range:
    case Op::dup2:
    case Op::dup3:
    case Op::pidfd_getfd:
        arguments = {fd, number(Field::number), number(Field::flags)};
        break;
    case Op::fcntl:
    case Op::fcntl64:
        arguments = {fd, number(Field::command), number(Field::argument)};
        break;
    case Op::setsockopt:
        arguments = {fd, number(Field::level), number(Field::option), option_value(true),
                     number(Field::length)};
        break;
    case Op::getsockopt:
        arguments = {fd, number(Field::level), number(Field::option), option_value(false),
                     length_place(step_.get(Field::length))};
        break;
    case Op::recvfrom:
    case Op::__recvfrom_chk:
        receive_arguments();
        break;
    case Op::sendto: {
        const std::uint64_t name = outgoing_name(name_size);
        arguments = {fd, data(true), number(Field::length), call_flags(), name, name_size};
        break;
    }
    case Op::recvmsg:
    case Op::sendmsg:
        arguments = {fd, messages(step_.op == Op::sendmsg, false), call_flags()};
        break;
    case Op::recvmmsg:
        arguments = {fd, messages(false, true), number(Field::count), call_flags(), timeout()};
        break;
    case Op::sendmmsg:
        arguments = {fd, messages(true, true), number(Field::count), call_flags()};
        break;
    case Op::prctl:
        arguments = {number(Field::number), number(Field::argument)};
        break;
    case Op::syscall:
        arguments = {number(Field::number), number(Field::fd), number(Field::argument)};
        break;
    // Not `default:`, so that the compiler names a function that has no case yet.
    case Op::client_send:
    case Op::inspect:
    case Op::hidden_close:
    case Op::listen:
    case Op::socketpair:
    case Op::pass:
    case Op::hand_out:
    case Op::recv:
    case Op::send:
    case Op::elsewhere:
    case Op::ask_other:
    case Op::reset:
    case Op::count:
        break;
    }
#pragma GCC diagnostic pop
    const long system_call = step_.by_number ? system_call_of(call_.symbol) : -1;
    if (system_call >= 0) {
        std::copy_backward(arguments.begin(), arguments.end() - 1, arguments.end());
        arguments[0] = static_cast<std::uint64_t>(system_call);
        call_.symbol = Symbol::syscall;
    }
    return std::move(call_);
}

} // namespace

PreparedCall prepare(const Step& step, Memory& memory, const Surroundings& surroundings,
                     std::uint32_t serial) {
    return Preparation{step, memory, surroundings, serial}.make();
}

} // namespace multihome::differential
