// SPDX-License-Identifier: MIT
//
// Stand-ins for the functions of the C++ ABI that throw and allocate. Nothing in here throws or allocates,
// but the headers of the standard library and of fmt refer to these functions. Without the stand-ins, the
// linker would take in libstdc++'s own: an unwinder, a demangler, and a constructor that allocates 72 KiB in
// each process.
//
// They are hidden, as is all that we do not export. A call of one would end the program, as an exception does
// that nobody catches.
#include <cstddef>
#include <cstdlib>
#include <new>

// Weak, because what is not optimized refers to more of libstdc++, and then to both.
#define MULTIHOME_NEVER_CALLED(name)                                                                         \
    extern "C" [[gnu::used, gnu::weak]] void name() {                                                        \
        std::abort();                                                                                        \
    }
// NOLINTBEGIN(bugprone-reserved-identifier): the names are the ABI's
MULTIHOME_NEVER_CALLED(__cxa_allocate_exception)
MULTIHOME_NEVER_CALLED(__cxa_free_exception)
MULTIHOME_NEVER_CALLED(__cxa_throw)
MULTIHOME_NEVER_CALLED(__cxa_rethrow)
MULTIHOME_NEVER_CALLED(__cxa_begin_catch)
MULTIHOME_NEVER_CALLED(__cxa_end_catch)
MULTIHOME_NEVER_CALLED(__cxa_call_unexpected)
MULTIHOME_NEVER_CALLED(__cxa_pure_virtual)
MULTIHOME_NEVER_CALLED(__gxx_personality_v0)
// Of libstdc++ itself. gcc 14 has the allocators throw std::bad_alloc, and what throws it brings all else
// along.
MULTIHOME_NEVER_CALLED(_ZSt17__throw_bad_allocv)           // std::__throw_bad_alloc()
MULTIHOME_NEVER_CALLED(_ZSt24__throw_out_of_range_fmtPKcz) // std::__throw_out_of_range_fmt()
MULTIHOME_NEVER_CALLED(_ZNSt9exceptionD2Ev)                // std::exception::~exception()
MULTIHOME_NEVER_CALLED(_ZNSt13runtime_errorD2Ev)           // std::runtime_error::~runtime_error()
MULTIHOME_NEVER_CALLED(_ZNKSt13runtime_error4whatEv)       // std::runtime_error::what()
// NOLINTEND(bugprone-reserved-identifier)

void* operator new(size_t /*size*/) {
    std::abort();
}
void operator delete(void* /*area*/) noexcept {
    std::abort();
}
void operator delete(void* /*area*/, size_t /*size*/) noexcept {
    std::abort();
}
