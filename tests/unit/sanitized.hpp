// SPDX-License-Identifier: MIT
//
// What takes seconds takes minutes with a sanitizer inside. The plain build tries all there is; with
// sanitizers, which look at how memory is used and not at the results, a part of it does.
#pragma once

namespace multihome::test {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool is_sanitized = true;
#else
inline constexpr bool is_sanitized = false;
#endif

// All of `all`, or a part with sanitizers.
constexpr unsigned part_of(unsigned all, unsigned part) {
    return is_sanitized ? part : all;
}

} // namespace multihome::test
