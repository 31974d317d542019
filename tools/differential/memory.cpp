// SPDX-License-Identifier: MIT
#include "tools/differential/memory.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace multihome::differential {

namespace {

constexpr std::size_t page = 4096;
constexpr std::uintptr_t origin = 0x2000'0000'0000;
constexpr std::size_t region_distance = std::size_t{16} << 20U;
constexpr std::size_t around = 64; // bytes watched behind each block

struct Description {
    const char* name;
    std::size_t size;
};

constexpr std::array<Description, region_count> descriptions{{{"messages", std::size_t{1} << 20U},
                                                              {"vectors", std::size_t{256} << 10U},
                                                              {"names", std::size_t{4} << 20U},
                                                              {"control buffers", std::size_t{1} << 20U},
                                                              {"data", std::size_t{4} << 20U},
                                                              {"address length", page},
                                                              {"value", std::size_t{64} << 10U},
                                                              {"timeout", page}}};

std::uintptr_t base_of(Region region) {
    return origin + static_cast<std::size_t>(region) * region_distance;
}

std::size_t size_of(Region region) {
    return descriptions.at(static_cast<std::size_t>(region)).size;
}

template <typename Type = void>
Type* at(std::uintptr_t address) {
    return reinterpret_cast<Type*>(address);
}

[[noreturn]] void fail_memory(const char* what) {
    throw std::system_error(errno, std::generic_category(), what);
}

} // namespace

const char* name_of(Region region) {
    return descriptions.at(static_cast<std::size_t>(region)).name;
}

Memory::Memory() {
    for (std::size_t index = 0; index < region_count; ++index) {
        const auto region = static_cast<Region>(index);
        const std::size_t size = size_of(region);
        constexpr int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_NORESERVE;
        if (mmap(at(base_of(region)), size + 3 * page, PROT_NONE, flags, -1, 0) != at(base_of(region)))
            fail_memory("mmap");
        if (mprotect(at(base_of(region)), size, PROT_READ | PROT_WRITE) != 0 ||
            mprotect(at(base_of(region) + size + page), page, PROT_READ) != 0)
            fail_memory("mprotect");
    }
}

void Memory::clear() {
    low_ = {};
    high_ = {};
}

void Memory::use(Region region, std::uintptr_t begin, std::uintptr_t end) {
    const auto index = static_cast<std::size_t>(region);
    Used& used = begin < base_of(region) + size_of(region) / 2 ? low_[index] : high_[index];
    // What lies between two blocks is watched as well, and may be left from an earlier step.
    const std::uintptr_t from = used.begin != used.end && used.end < begin ? used.end : begin;
    if (from < end)
        std::memset(at(from), pattern, end - from);
    used = used.begin == used.end ? Used{begin, end}
                                  : Used{std::min(used.begin, begin), std::max(used.end, end)};
}

Block Memory::place(Region region, Pointer pointer, std::size_t size, std::size_t count, std::size_t stride) {
    constexpr std::size_t alignment = 16;
    const std::uintptr_t base = base_of(region);
    const std::uintptr_t limit = base + size_of(region);
    if (stride == 0)
        stride = (size + alignment - 1) / alignment * alignment;
    // More than there is room for: all share one.
    const std::size_t most = size_of(region) / 2 - 2 * around;
    if (count > 1 && stride * count > most)
        stride = 0;
    const std::size_t wanted = count == 0 ? 0 : (count - 1) * stride + size;
    const std::size_t total = std::min(wanted, most);
    switch (pointer) {
    case Pointer::null:
        return {0, 0};
    case Pointer::one:
        return {1, 0};
    case Pointer::kernel:
        return {0xffff'8000'0000'0000, 0};
    case Pointer::none:
        return {limit + 16, 0};
    case Pointer::readonly:
        return {limit + page, 0};
    case Pointer::edge:
        use(region, limit - total - around, limit);
        return {limit - total, stride};
    case Pointer::cross: {
        const std::size_t there = total / 2;
        use(region, limit - there - around, limit);
        return {limit - there, stride};
    }
    default:
        break;
    }
    const Used& used = low_[static_cast<std::size_t>(region)];
    std::uintptr_t begin = used.end == 0 ? base + around : (used.end + alignment - 1) / alignment * alignment;
    if (pointer == Pointer::odd)
        ++begin;
    if (begin + total + around > base + size_of(region) / 2)
        begin = base + around;
    use(region, begin, begin + total + around);
    return {begin, stride};
}

bool Memory::clip(std::uintptr_t address, std::size_t& size) const {
    for (std::size_t index = 0; index < region_count; ++index) {
        const auto region = static_cast<Region>(index);
        const std::uintptr_t base = base_of(region);
        const std::uintptr_t limit = base + size_of(region);
        if (address < base || address >= limit)
            continue;
        size = std::min<std::size_t>(size, limit - address);
        return true;
    }
    return false;
}

void Memory::store(std::uintptr_t address, const void* source, std::size_t size) {
    if (size == 0)
        return;
    if (clip(address, size)) {
        std::memcpy(at(address), source, size);
        return;
    }
    for (std::size_t index = 0; index < region_count; ++index) {
        const std::uintptr_t readonly =
            base_of(static_cast<Region>(index)) + size_of(static_cast<Region>(index)) + page;
        if (address < readonly || address >= readonly + page)
            continue;
        size = std::min<std::size_t>(size, readonly + page - address);
        if (mprotect(at(readonly), page, PROT_READ | PROT_WRITE) != 0)
            fail_memory("mprotect");
        std::memcpy(at(address), source, size);
        if (mprotect(at(readonly), page, PROT_READ) != 0)
            fail_memory("mprotect");
        return;
    }
}

std::size_t Memory::load(std::uintptr_t address, void* target, std::size_t size) const {
    if (!clip(address, size))
        return 0;
    std::memcpy(target, at(address), size);
    return size;
}

std::uint64_t hash_bytes(const void* data, std::size_t size, std::uint64_t seed) {
    constexpr std::uint64_t factor = 0x9e37'79b9'7f4a'7c15;
    std::uint64_t state = (seed ^ size) * factor + 1;
    const auto* bytes = static_cast<const unsigned char*>(data);
    for (; size >= sizeof(std::uint64_t); size -= sizeof(std::uint64_t), bytes += sizeof(std::uint64_t)) {
        std::uint64_t word = 0;
        std::memcpy(&word, bytes, sizeof word);
        state = std::rotl(state ^ word, 29) * factor;
    }
    std::uint64_t rest = 0;
    std::memcpy(&rest, bytes, size);
    state = (state ^ rest) * factor;
    return state ^ (state >> 32U);
}

std::uint64_t Memory::hash(Region region) const {
    const auto index = static_cast<std::size_t>(region);
    std::uint64_t result = 0;
    for (const Used& used : {low_[index], high_[index]})
        if (used.begin != used.end)
            result = hash_bytes(at(used.begin), used.end - used.begin, result);
    return result;
}

void Memory::leave_out(Region region) {
    low_[static_cast<std::size_t>(region)] = {};
    high_[static_cast<std::size_t>(region)] = {};
}

void Memory::each_used(const std::function<void(Region, std::uintptr_t, std::size_t)>& visit) const {
    for (std::size_t index = 0; index < region_count; ++index)
        for (const Used& used : {low_[index], high_[index]})
            if (used.begin != used.end)
                visit(static_cast<Region>(index), used.begin, used.end - used.begin);
}

} // namespace multihome::differential
