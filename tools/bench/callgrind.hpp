// SPDX-License-Identifier: MIT
//
// What a program says to callgrind: nothing where its header was missing when the bench was built.
#pragma once

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else
#define CALLGRIND_START_INSTRUMENTATION static_cast<void>(0)
#define CALLGRIND_DUMP_STATS            static_cast<void>(0)
#endif
