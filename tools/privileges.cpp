// SPDX-License-Identifier: MIT
// Follows the kernel's bprm_fill_uid() and cap_bprm_creds_from_file() (fs/exec.c, security/commoncap.c).
// Modules like SELinux can set AT_SECURE on grounds of their own, which nothing here can foresee.
#include "tools/privileges.hpp"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cstdint>
#include <type_traits>

namespace multihome::tools {
namespace {

/// The attribute is little-endian on every machine.
std::uint32_t from_little_endian(std::uint32_t value) {
    return std::endian::native == std::endian::little ? value : __builtin_bswap32(value);
}

struct CapabilitySets {
    std::uint64_t permitted = 0;
    std::uint64_t inheritable = 0;
    std::uint64_t bounding = 0;
};

CapabilitySets own_capabilities() {
    CapabilitySets sets;
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> data{};
    if (syscall(SYS_capget, &header, data.data()) == 0) {
        sets.permitted = data[0].permitted | (std::uint64_t{data[1].permitted} << 32U);
        sets.inheritable = data[0].inheritable | (std::uint64_t{data[1].inheritable} << 32U);
    }
    for (unsigned int capability = 0; capability < 64; ++capability) {
        const int held = prctl(PR_CAPBSET_READ, capability, 0, 0, 0);
        if (held < 0)
            break;
        sets.bounding |= std::uint64_t{held != 0} << capability;
    }
    return sets;
}

bool capabilities_grow(const std::string& path, bool no_new_privileges) {
    vfs_ns_cap_data attribute{};
    const ssize_t size = getxattr(path.c_str(), "security.capability", &attribute, sizeof attribute);
    if (size < static_cast<ssize_t>(XATTR_CAPS_SZ_1))
        return false; // none, a file system without them, or one that the kernel would not take either
    if ((from_little_endian(attribute.magic_etc) & VFS_CAP_FLAGS_EFFECTIVE) != 0)
        return true; // the kernel looks no further
    const auto set = [&](auto member) {
        std::uint64_t bits = from_little_endian(attribute.data[0].*member);
        if (size >= static_cast<ssize_t>(XATTR_CAPS_SZ_2))
            bits |= std::uint64_t{from_little_endian(attribute.data[1].*member)} << 32U;
        return bits;
    };
    using Data = std::remove_reference_t<decltype(attribute.data[0])>;
    const CapabilitySets own = own_capabilities();
    std::uint64_t permitted =
        (set(&Data::permitted) & own.bounding) | (set(&Data::inheritable) & own.inheritable);
    if (no_new_privileges)
        permitted &= own.permitted;
    return permitted != 0; // the ambient set is emptied for such a file, so any bit counts as growth
}

} // namespace

SecureReason secure_execution(const std::string& path, const struct stat& status) {
    struct statvfs file_system {};
    const bool bits_count = statvfs(path.c_str(), &file_system) != 0 || (file_system.f_flag & ST_NOSUID) == 0;
    const bool no_new_privileges = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
    // Without the group's execute bit the set-group-ID bit once meant mandatory locking; it changes no group.
    constexpr mode_t group_bits = S_ISGID | S_IXGRP;
    const bool sets_user = bits_count && !no_new_privileges && (status.st_mode & S_ISUID) != 0;
    const bool sets_group = bits_count && !no_new_privileges && (status.st_mode & group_bits) == group_bits;
    const uid_t user = sets_user ? status.st_uid : geteuid();
    // The second question is asked by Linux 6.16 and later; it matters only where this process has changed
    // ids.
    if (user != getuid() || user != geteuid())
        return sets_user ? SecureReason::set_user_id : SecureReason::already_changed;
    if ((sets_group ? status.st_gid : getegid()) != getgid())
        return sets_group ? SecureReason::set_group_id : SecureReason::already_changed;
    if (getuid() != 0 && bits_count && capabilities_grow(path, no_new_privileges))
        return SecureReason::file_capabilities;
    return SecureReason::none;
}

} // namespace multihome::tools
