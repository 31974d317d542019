// SPDX-License-Identifier: MIT
#include "shim/base/next_definitions.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <elf.h>
#include <link.h>
#include <sys/auxv.h>

namespace multihome::libc {

namespace {

// The dynamic symbols of a loaded object. See "Hash Table" in the System V ABI, and glibc's elf/dl-lookup.c.
class Symbols {
public:
    explicit Symbols(const dl_phdr_info& object) : base_(object.dlpi_addr) {
        for (unsigned index = 0; index < object.dlpi_phnum; ++index)
            if (object.dlpi_phdr[index].p_type == PT_DYNAMIC)
                read_dynamic(at<ElfW(Dyn)>(base_ + object.dlpi_phdr[index].p_vaddr));
    }

    // Writes where the function is, if the object defines it. False where only dlsym() can tell.
    bool define(WantedFunction& wanted) const {
        if (hashes_ == nullptr || symbols_ == nullptr || names_ == nullptr)
            return false;
        const ElfW(Sym)* symbol = find(wanted);
        if (symbol == nullptr)
            return true;
        // An IFUNC has to be called to tell the function.
        if (ELF64_ST_TYPE(symbol->st_info) != STT_FUNC)
            return false;
        // NOLINTNEXTLINE(performance-no-int-to-ptr)
        wanted.definition = reinterpret_cast<void*>(base_ + symbol->st_value);
        return true;
    }

private:
    const ElfW(Sym) * find(const WantedFunction& wanted) const {
        // Hash table: four numbers, the words of a Bloom filter, the buckets, the chains. To look at the
        // filter would cost as much as to look at a bucket.
        const uint32_t bucket_count = hashes_[0];
        const uint32_t first_symbol = hashes_[1];
        const uint32_t filter_words = hashes_[2];
        if (bucket_count == 0) // as libc's loader has it, the table is empty (do_lookup_x() in its elf)
            return nullptr;
        const uint32_t* buckets = hashes_ + 4 + filter_words * (sizeof(ElfW(Addr)) / sizeof(uint32_t));
        const uint32_t* chains = buckets + bucket_count;
        uint32_t symbol = buckets[wanted.hash % bucket_count];
        if (symbol < first_symbol)
            return nullptr;
        for (;; ++symbol) {
            const uint32_t hash = chains[symbol - first_symbol];
            if ((hash | 1) == (wanted.hash | 1) && is(symbol, wanted.name))
                return &symbols_[symbol];
            if ((hash & 1) != 0) // the last of the chain
                return nullptr;
        }
    }

    template <typename Type>
    static const Type* at(ElfW(Addr) address) {
        return reinterpret_cast<const Type*>(address); // NOLINT(performance-no-int-to-ptr)
    }

    void read_dynamic(const ElfW(Dyn) * entry) {
        for (; entry->d_tag != DT_NULL; ++entry) {
            // glibc's loader has added the object's base address, others have not.
            const ElfW(Addr) value = entry->d_un.d_ptr;
            const ElfW(Addr) address = value < base_ ? base_ + value : value;
            if (entry->d_tag == DT_GNU_HASH)
                hashes_ = at<uint32_t>(address);
            else if (entry->d_tag == DT_SYMTAB)
                symbols_ = at<ElfW(Sym)>(address);
            else if (entry->d_tag == DT_STRTAB)
                names_ = at<char>(address);
            else if (entry->d_tag == DT_VERSYM)
                versions_ = at<uint16_t>(address);
        }
    }

    // A definition with a hidden version is there for old programs only, and does not count.
    bool is(uint32_t symbol, const char* name) const {
        constexpr uint16_t hidden = 0x8000;
        return symbols_[symbol].st_shndx != SHN_UNDEF &&
               (versions_ == nullptr || (versions_[symbol] & hidden) == 0) &&
               std::strcmp(names_ + symbols_[symbol].st_name, name) == 0;
    }

    ElfW(Addr) base_;
    const uint32_t* hashes_ = nullptr;
    const ElfW(Sym) * symbols_ = nullptr;
    const char* names_ = nullptr;
    const uint16_t* versions_ = nullptr;
};

// The memory of a loaded object.
struct Range {
    uintptr_t first = UINTPTR_MAX;
    uintptr_t end = 0;

    constexpr Range() = default;
    explicit Range(const dl_phdr_info& object) {
        for (unsigned index = 0; index < object.dlpi_phnum; ++index) {
            const ElfW(Phdr)& segment = object.dlpi_phdr[index];
            if (segment.p_type != PT_LOAD)
                continue;
            const uintptr_t start = object.dlpi_addr + segment.p_vaddr;
            first = std::min(first, start);
            end = std::max(end, start + segment.p_memsz);
        }
    }

    bool has(const void* address) const {
        const auto place = reinterpret_cast<uintptr_t>(address);
        return first <= place && place < end;
    }
};

// The objects that define interposed functions: libc, and other preloaded ones. Of more than these we know
// nothing. Written once, when the library is loaded, and among the initialized data like the pointers to the
// functions: a page of their own would cost every process a page fault.
[[gnu::section(".data")]] constinit std::array<Range, 8> definers{};
[[gnu::section(".data")]] constinit unsigned definer_count = 0;

struct Search {
    std::span<WantedFunction> functions;
    WantedFunction& kernels;
    uintptr_t kernels_object = getauxval(AT_SYSINFO_EHDR);
    bool after_this_object = false;
};

// Called for each loaded object, in the order of the search. Other than 0 is a stop: dlsym() tells the rest.
int visit(dl_phdr_info* object, size_t, void* argument) {
    auto& search = *static_cast<Search*>(argument);
    // The kernel's own object, which dlsym() does not search.
    if (object->dlpi_addr == search.kernels_object) {
        Symbols(*object).define(search.kernels);
        return 0;
    }
    if (!search.after_this_object) {
        search.after_this_object = Range(*object).has(&definers);
        return 0;
    }
    const Symbols symbols(*object);
    bool is_any_missing = false;
    bool has_any = false;
    for (WantedFunction& wanted : search.functions) {
        if (wanted.definition != nullptr)
            continue;
        if (!symbols.define(wanted))
            return 1;
        (wanted.definition != nullptr ? has_any : is_any_missing) = true;
    }
    if (has_any && definer_count < definers.size())
        definers[definer_count++] = Range(*object);
    return is_any_missing ? 0 : 1;
}

} // namespace

bool are_of_one_object(const void* address, const void* other) {
    for (const Range& definer : definers)
        if (definer.has(address) && definer.has(other))
            return true;
    return false;
}

void find_next_definitions(std::span<WantedFunction> functions, WantedFunction& kernels) {
    Search search{functions, kernels};
    dl_iterate_phdr(visit, &search);
}

} // namespace multihome::libc
