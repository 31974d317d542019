// SPDX-License-Identifier: MIT
// The memory that a step's pointers lead into. It lies at the same addresses on both sides, so that pointers
// can be compared as well, and every byte near an object is filled with a pattern first, so that writing too
// much shows.
//
// Each kind of object has a region of its own: usable pages, a page without access, a page that can only be
// read and another one without access.
#pragma once

#include "tools/differential/step.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace multihome::differential {

enum class Region : std::uint8_t { message, vector, name, control, data, length, value, time, count };

constexpr std::size_t region_count = static_cast<std::size_t>(Region::count);
const char* name_of(Region region);

/// Objects of one kind, one for each message of a call, `stride` apart.
struct Block {
    std::uintptr_t address = 0;
    std::size_t stride = 0;
    [[nodiscard]] std::uintptr_t at(std::size_t index) const { return address + index * stride; }
};

class Memory {
public:
    static constexpr unsigned char pattern = 0x5a;

    Memory(); ///< throws std::system_error
    ~Memory() = default;
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;
    Memory(Memory&&) = delete;
    Memory& operator=(Memory&&) = delete;

    /// Starts a step: nothing is in use.
    void clear();

    /// Room for `count` objects of `size` bytes that a pointer of that kind leads to. Filled with the pattern
    /// as far as it can be written.
    Block place(Region region, Pointer pointer, std::size_t size, std::size_t count = 1,
                std::size_t stride = 0);

    /// Writes what can be written of it.
    void store(std::uintptr_t address, const void* source, std::size_t size);
    template <typename Type>
    void store(std::uintptr_t address, const Type& value) {
        store(address, &value, sizeof value);
    }

    /// Reads what can be read of it; returns how much that was.
    std::size_t load(std::uintptr_t address, void* target, std::size_t size) const;

    /// A hash of all that is in use in a region, the bytes around it included; 0 where nothing is.
    [[nodiscard]] std::uint64_t hash(Region region) const;

    /// Has hash() and each_used() ignore what is in use there.
    void leave_out(Region region);

    /// What hash() is taken of.
    void each_used(const std::function<void(Region, std::uintptr_t, std::size_t)>& visit) const;

private:
    struct Used {
        std::uintptr_t begin = 0;
        std::uintptr_t end = 0;
    };
    [[nodiscard]] bool clip(std::uintptr_t address, std::size_t& size) const;
    void use(Region region, std::uintptr_t begin, std::uintptr_t end);

    // Objects placed at a region's start, and those placed at its end.
    std::array<Used, region_count> low_{};
    std::array<Used, region_count> high_{};
};

std::uint64_t hash_bytes(const void* data, std::size_t size, std::uint64_t seed = 0);

} // namespace multihome::differential
