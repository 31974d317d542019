// SPDX-License-Identifier: MIT
//
// Nothing is thrown in here (-fno-exceptions), but the headers of the standard library and of fmt refer to
// what would throw. These are the functions of the C++ ABI and of libstdc++ (bits/functexcept.h) behind that,
// hidden as all that we do not export. Without them libstdc++'s own would be linked in: an unwinder, a
// demangler, and a constructor that allocates 72 KiB in each process. They are never called; if one were, the
// program would end as it does for an exception that nobody catches.
#include <bits/functexcept.h>
#include <cstddef>
#include <cstdlib>
#include <new>

// NOLINTBEGIN(bugprone-reserved-identifier): the names are the ABI's

extern "C" {
[[gnu::used]] void* __cxa_allocate_exception(size_t) noexcept {
    std::abort();
}
[[gnu::used]] void __cxa_free_exception(void*) noexcept {
    std::abort();
}
[[gnu::used]] void __cxa_throw(void*, void*, void (*)(void*)) {
    std::abort();
}
[[gnu::used]] void __cxa_rethrow() {
    std::abort();
}
[[gnu::used]] void* __cxa_begin_catch(void*) noexcept {
    std::abort();
}
[[gnu::used]] void __cxa_end_catch() {
    std::abort();
}
[[gnu::used]] void __cxa_call_unexpected(void*) {
    std::abort();
}
[[gnu::used]] void __cxa_pure_virtual() {
    std::abort();
}
[[gnu::used]] int __gxx_personality_v0(int, int, unsigned long, void*, void*) {
    std::abort();
}
}

// NOLINTEND(bugprone-reserved-identifier)

void* operator new(size_t size) {
    void* area = std::malloc(size);
    if (area == nullptr)
        std::abort();
    return area;
}
void operator delete(void* area) noexcept {
    std::free(area);
}
void operator delete(void* area, size_t) noexcept {
    std::free(area);
}
