// SPDX-License-Identifier: MIT
//
// What takes seconds takes minutes with a sanitizer inside or on an emulated processor. The plain build tries
// all there is; these, which look at how memory is used and at what the compiler makes, try a part.
#pragma once

namespace multihome::test {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(MULTIHOME_CROSS_BUILT)
inline constexpr bool is_slow = true;
#else
inline constexpr bool is_slow = false;
#endif

constexpr unsigned part_of(unsigned all, unsigned part) {
    return is_slow ? part : all;
}

} // namespace multihome::test
