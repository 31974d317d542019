// SPDX-License-Identifier: MIT
//
// Finds what dlsym(RTLD_NEXT) finds, for a list of functions at once. Every process that loads the library
// pays for this, so it costs a small part of what dlsym() does. It walks once over the objects that come
// after this one, and asks the table of hashes (DT_GNU_HASH) of each for the names that are still missing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace multihome::libc {

struct WantedFunction {
    char name[24]; // no pointer, because that would have to be relocated at each start
    uint32_t hash;
    void* definition; // null where it was not found: dlsym() tells

    template <size_t Size>
    constexpr explicit WantedFunction(const char (&text)[Size]) : name{}, hash(5381), definition(nullptr) {
        static_assert(Size <= sizeof name);
        // The hash of DT_GNU_HASH (dl_new_hash() in glibc's sysdeps/generic/dl-new-hash.h).
        for (size_t index = 0; index + 1 < Size; ++index) {
            name[index] = text[index];
            hash = hash * 33 + static_cast<unsigned char>(text[index]);
        }
    }
};

// Looks for all of them, and for `kernels` in the kernel's own object (vdso(7)). Call this when the program
// is loaded, before it may have opened more objects.
void find_next_definitions(std::span<WantedFunction> functions, WantedFunction& kernels);

// True where both addresses lie in one of the objects that had a next definition. Async-signal-safe.
bool are_of_one_object(const void* address, const void* other);

} // namespace multihome::libc
