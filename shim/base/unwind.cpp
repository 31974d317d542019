// SPDX-License-Identifier: MIT
//
// The unwinder of libgcc is linked in with libstdc++, and asks glibc where the tables of a frame are by
// _dl_find_object(), which is new in 2.35. Nobody throws here (-fno-exceptions), and a cancelled thread is
// unwound by the program's own copy, so this copy never has to find any: with a function of our own in its
// place the library needs no glibc beyond 2.34. An exception that the C++ library throws after all ends the
// program, as it would where no frame catches it.

struct dl_find_object;

extern "C" [[gnu::used, gnu::visibility("hidden")]] int _dl_find_object(void* /*address*/,
                                                                        dl_find_object* /*result*/) noexcept {
    return -1; // "not found"
}
