// SPDX-License-Identifier: MIT
// Questions to the kernel by netlink: sock_diag(7) and rtnetlink(7), in the network namespace of this thread.
#pragma once

#include <linux/netlink.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <libmnl/libmnl.h>

namespace multihome::tools {

/// All that the kernel answered. Complete, or `error` says why there is none.
struct NetlinkReply {
    int error = 0; ///< an errno
    std::vector<std::string> datagrams;

    /// Calls `take` for each message that is not of netlink itself.
    template <typename Take>
    void for_each(Take&& take) const {
        for (const std::string& datagram : datagrams) {
            int left = static_cast<int>(datagram.size());
            const auto* message = reinterpret_cast<const nlmsghdr*>(datagram.data());
            for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left))
                if (message->nlmsg_type >= NLMSG_MIN_TYPE)
                    take(message);
        }
    }
};

/// The attributes of a message by their number; null where there is none. Attributes may come in any order
/// and may be missing: the kernel's version decides.
class Attributes {
public:
    /// `header_size`: of the family's header in front of the attributes.
    Attributes(const nlmsghdr* message, std::size_t header_size);
    /// Those inside another one; none where it is null.
    explicit Attributes(const nlattr* nest);

    /// Null unless it is there and has at least `size` bytes.
    [[nodiscard]] const void* bytes(unsigned type, std::size_t size) const;
    /// `otherwise` where it is not there.
    [[nodiscard]] std::uint32_t number(unsigned type, std::uint32_t otherwise = 0) const;
    [[nodiscard]] std::string text(unsigned type) const;
    [[nodiscard]] const nlattr* find(unsigned type) const;

private:
    void read(const void* begin, const void* end);

    std::vector<const nlattr*> by_type_;
};

class Netlink {
public:
    /// `protocol`: NETLINK_ROUTE or NETLINK_SOCK_DIAG. Throws Impossible.
    explicit Netlink(int protocol);
    Netlink(const Netlink&) = delete;
    Netlink& operator=(const Netlink&) = delete;
    ~Netlink();

    /// Sends `request` and collects the answer. A dump that the kernel calls inconsistent is asked for again.
    NetlinkReply ask(nlmsghdr* request);

private:
    NetlinkReply ask_once(nlmsghdr* request);

    int protocol_;
    mnl_socket* socket_;
    unsigned sequence_ = 0;
};

} // namespace multihome::tools
