// SPDX-License-Identifier: MIT
#define DOCTEST_CONFIG_IMPLEMENT
#include "shim/base/libc.hpp"
#include "shim/sockets/process.hpp"

#include <ctime>
#include <doctest/doctest.h>

int main(int count, char** arguments) {
    // As the library's constructor does, which is not among the files that are tested here.
    multihome::libc::resolve_all();
    multihome::libc::detail::clock = clock_gettime; // the one in clocks.cpp, not the kernel's
    multihome::process::start();
    return doctest::Context(count, arguments).run();
}
