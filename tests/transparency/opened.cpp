// SPDX-License-Identifier: MIT
//
// A thread of 16 KiB of stack, the least that Linux allows on x86-64, opens the library with a bad setting.
//
//   opened LIBRARY
#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <pthread.h>
#include <sys/mman.h>

namespace {

constexpr std::size_t stack_size = std::size_t{256} * 1024;
constexpr std::ptrdiff_t most = std::ptrdiff_t{16} * 1024;

void* open_library(void* name) {
    return dlopen(static_cast<const char*>(name), RTLD_NOW);
}

} // namespace

int main(int count, char** arguments) {
    if (count != 2)
        return 2;
    setenv("MULTIHOME_PORTS", "none", 1);
    auto* const stack = static_cast<char*>(
        mmap(nullptr, stack_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    std::memset(stack, 0x5a, stack_size);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, stack, stack_size);
    pthread_t thread{};
    void* opened = nullptr;
    if (pthread_create(&thread, &attributes, open_library, arguments[1]) != 0 ||
        pthread_join(thread, &opened) != 0 || opened == nullptr) {
        std::puts("FAILED: the library cannot be opened");
        return 1;
    }
    char* const end = stack + stack_size;
    const std::ptrdiff_t taken = end - std::find_if(stack, end, [](char byte) { return byte != 0x5a; });
    std::printf("%s: %td bytes of stack, of %td\n", taken <= most ? "ok" : "FAILED", taken, most);
    return taken <= most ? 0 : 1;
}
