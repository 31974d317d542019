// SPDX-License-Identifier: MIT
// For the build in which the fuzzer contains the shim, so that the sanitizers see into it: a sanitizer's
// runtime wraps recvmsg() and its kin too, and reads what their pointers lead to, which here is often
// nothing. So the shim does not find that among the loaded objects, and its next definitions are libc's own.
// Linked with -Wl,--wrap=dl_iterate_phdr.
#include <cstddef>
#include <link.h>
#include <string_view>

namespace {

using Visit = int(dl_phdr_info* object, size_t size, void* argument);

struct Filter {
    Visit* visit;
    void* argument;
};

int visit_but_sanitizers(dl_phdr_info* object, size_t size, void* argument) {
    const auto* filter = static_cast<const Filter*>(argument);
    const std::string_view name = object->dlpi_name;
    const bool is_sanitizer =
        name.find("libasan") != std::string_view::npos || name.find("libubsan") != std::string_view::npos;
    return is_sanitizer ? 0 : filter->visit(object, size, filter->argument);
}

} // namespace

extern "C" int __real_dl_iterate_phdr(Visit* visit, void* argument);
extern "C" int __wrap_dl_iterate_phdr(Visit* visit, void* argument);

extern "C" int __wrap_dl_iterate_phdr(Visit* visit, void* argument) {
    Filter filter{visit, argument};
    return __real_dl_iterate_phdr(visit_but_sanitizers, &filter);
}
