// SPDX-License-Identifier: MIT
//
// Point 4: a library to be preloaded that serves before any other library's constructors have run, or while
// they run, and after destructors have.
#include "tests/transparency/serve.hpp"

#include <unistd.h>

namespace {

// Which of the two it does is chosen by the tests; both at once would print in an order that is the loader's.
bool wants(const char* what) {
    const char* wanted = std::getenv("SERVE");
    return wanted != nullptr && std::strcmp(wanted, what) == 0;
}

__attribute__((constructor)) void early() {
    if (wants("early"))
        serve("in a constructor");
}

__attribute__((destructor)) void late() {
    if (wants("late"))
        serve("in a destructor");
}

} // namespace
