// SPDX-License-Identifier: MIT
#include "tools/netlink.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fmt/core.h>

#include "tools/output.hpp"

namespace multihome::tools {
namespace {

mnl_socket* open_socket(int protocol) {
    mnl_socket* socket = mnl_socket_open2(protocol, SOCK_CLOEXEC);
    if (socket != nullptr && mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) == 0)
        return socket;
    const int reason = errno;
    if (socket != nullptr)
        mnl_socket_close(socket);
    // NOLINTNEXTLINE(concurrency-mt-unsafe): this program has one thread
    throw Impossible(fmt::format("cannot ask the kernel by netlink: {}", std::strerror(reason)));
}

} // namespace

Attributes::Attributes(const nlmsghdr* message, std::size_t header_size) {
    if (mnl_nlmsg_get_payload_len(message) >= header_size)
        read(mnl_nlmsg_get_payload_offset(message, header_size), mnl_nlmsg_get_payload_tail(message));
}

Attributes::Attributes(const nlattr* nest) {
    if (nest != nullptr) {
        const auto* begin = static_cast<const char*>(mnl_attr_get_payload(nest));
        read(begin, begin + mnl_attr_get_payload_len(nest));
    }
}

void Attributes::read(const void* begin, const void* end) {
    const auto* attribute = static_cast<const nlattr*>(begin);
    const auto left = [&] {
        return static_cast<int>(static_cast<const char*>(end) - reinterpret_cast<const char*>(attribute));
    };
    for (; mnl_attr_ok(attribute, left()); attribute = mnl_attr_next(attribute)) {
        const std::size_t type = mnl_attr_get_type(attribute);
        if (type >= by_type_.size())
            by_type_.resize(type + 1);
        by_type_[type] = attribute;
    }
}

const nlattr* Attributes::find(unsigned type) const {
    return type < by_type_.size() ? by_type_[type] : nullptr;
}

const void* Attributes::bytes(unsigned type, std::size_t size) const {
    const nlattr* attribute = find(type);
    return attribute != nullptr && mnl_attr_get_payload_len(attribute) >= size
               ? mnl_attr_get_payload(attribute)
               : nullptr;
}

std::uint32_t Attributes::number(unsigned type, std::uint32_t otherwise) const {
    std::uint32_t value = otherwise;
    if (const void* found = bytes(type, sizeof value))
        std::memcpy(&value, found, sizeof value);
    return value;
}

std::string Attributes::text(unsigned type) const {
    const auto* found = static_cast<const char*>(bytes(type, 1));
    return found != nullptr ? std::string(found, strnlen(found, mnl_attr_get_payload_len(find(type))))
                            : std::string{};
}

Netlink::Netlink(int protocol) : protocol_(protocol), socket_(open_socket(protocol)) {}

Netlink::~Netlink() {
    mnl_socket_close(socket_);
}

NetlinkReply Netlink::ask_once(nlmsghdr* request) {
    NetlinkReply reply;
    request->nlmsg_seq = ++sequence_;
    if (mnl_socket_sendto(socket_, request, request->nlmsg_len) < 0) {
        reply.error = errno;
        return reply;
    }
    std::vector<char> buffer(std::max(static_cast<std::size_t>(MNL_SOCKET_BUFFER_SIZE), std::size_t{32768}));
    const mnl_cb_t next = [](const nlmsghdr*, void*) { return MNL_CB_OK; };
    for (;;) {
        const ssize_t size = mnl_socket_recvfrom(socket_, buffer.data(), buffer.size());
        if (size < 0 && errno == EINTR)
            continue;
        const int more = size < 0 ? MNL_CB_ERROR
                                  : mnl_cb_run(buffer.data(), static_cast<std::size_t>(size), sequence_,
                                               mnl_socket_get_portid(socket_), next, nullptr);
        if (more == MNL_CB_ERROR) {
            reply.error = errno;
            return reply;
        }
        reply.datagrams.emplace_back(buffer.data(), static_cast<std::size_t>(size));
        // The answer to a single question is one message; a dump ends with NLMSG_DONE.
        if (more == MNL_CB_STOP || (request->nlmsg_flags & NLM_F_DUMP) != NLM_F_DUMP)
            return reply;
    }
}

NetlinkReply Netlink::ask(nlmsghdr* request) {
    constexpr int attempts = 5;
    for (int attempt = 1;; ++attempt) {
        NetlinkReply reply = ask_once(request);
        // libmnl says EINTR for NLM_F_DUMP_INTR: something changed while the kernel was listing.
        if (reply.error != EINTR || attempt == attempts)
            return reply;
        // The rest of that list would be taken for the answer to the next question.
        mnl_socket* const fresh = open_socket(protocol_);
        mnl_socket_close(socket_);
        socket_ = fresh;
    }
}

} // namespace multihome::tools
