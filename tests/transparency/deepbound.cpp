// SPDX-License-Identifier: MIT
//
// Point 4: the library that loading.cpp opens with RTLD_DEEPBIND.
#include "tests/transparency/serve.hpp"

extern "C" [[gnu::visibility("default")]] void serve_elsewhere(const char* where, int existing) {
    // It calls libc directly, so its answers leave as without the shim.
    serve(where, existing, "elsewhere");
}
