// SPDX-License-Identifier: MIT
#include "tools/differential/call.hpp"

#include <dlfcn.h>
#include <ffi.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <cstring>
#include <ctime>
#include <stdexcept>
#include <string>
#include <type_traits>

namespace multihome::differential {

namespace {

template <typename Type>
ffi_type* described() {
    if constexpr (std::is_void_v<Type>)
        return &ffi_type_void;
    else if constexpr (std::is_pointer_v<Type>)
        return &ffi_type_pointer;
    else if constexpr (sizeof(Type) == 8)
        return std::is_signed_v<Type> ? &ffi_type_sint64 : &ffi_type_uint64;
    else {
        static_assert(sizeof(Type) == 4 && std::is_integral_v<Type>);
        return std::is_signed_v<Type> ? &ffi_type_sint32 : &ffi_type_uint32;
    }
}

struct Signature {
    const char* name = nullptr;
    ffi_type* result = nullptr;
    std::vector<ffi_type*> arguments;
    unsigned fixed = 0;
    bool variadic = false;
};

template <typename... Arguments>
constexpr unsigned arity(void (*)(Arguments...)) {
    return sizeof...(Arguments);
}

template <typename Result, typename... Arguments>
Signature describe(const char* name, Result (*)(Arguments...), unsigned fixed, bool variadic) {
    static_assert(sizeof...(Arguments) <= maximum_arguments);
    return {name, described<Result>(), {described<Arguments>()...}, fixed, variadic};
}

#define MULTIHOME_UNPACK(...) __VA_ARGS__

// NOLINTBEGIN(bugprone-macro-parentheses): these arguments are types, and lists of types in parentheses
std::vector<Signature> signatures() {
    return {
#define MULTIHOME_SYMBOL(result, name, arguments)                                                            \
    describe(#name, static_cast<result(*) arguments>(nullptr), 0, false),
#define MULTIHOME_VARIADIC(result, name, first, rest)                                                        \
    describe(#name, static_cast<result (*)(MULTIHOME_UNPACK first, MULTIHOME_UNPACK rest)>(nullptr),         \
             arity(static_cast<void(*) first>(nullptr)), true),
#include "shim/symbols.def"
    };
}
// NOLINTEND(bugprone-macro-parentheses)

constexpr std::array<const char*, symbol_count> symbol_names{
#define MULTIHOME_SYMBOL(result, name, arguments)     #name,
#define MULTIHOME_VARIADIC(result, name, fixed, rest) #name,
#include "shim/symbols.def"
};

} // namespace

const char* name_of(Symbol symbol) {
    return symbol_names.at(static_cast<std::size_t>(symbol));
}

void* find_in_libc(const char* name) {
    static void* const libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
    return libc != nullptr ? dlsym(libc, name) : nullptr;
}

struct Functions::Function {
    Signature signature;
    ffi_cif interface {};
    void* address = nullptr;
};

Functions::Functions(Target target) {
    for (Signature& signature : signatures()) {
        auto function = std::make_unique<Function>();
        function->signature = std::move(signature);
        Signature& kept = function->signature;
        const auto count = static_cast<unsigned>(kept.arguments.size());
        const ffi_status status = kept.variadic
                                      ? ffi_prep_cif_var(&function->interface, FFI_DEFAULT_ABI, kept.fixed,
                                                         count, kept.result, kept.arguments.data())
                                      : ffi_prep_cif(&function->interface, FFI_DEFAULT_ABI, count,
                                                     kept.result, kept.arguments.data());
        if (status != FFI_OK)
            throw std::runtime_error(std::string{"libffi cannot call "} + kept.name);
        function->address = target == Target::bare ? find_in_libc(kept.name) : dlsym(RTLD_DEFAULT, kept.name);
        functions_.push_back(std::move(function));
    }
}

Functions::~Functions() = default;

void* Functions::address(Symbol symbol) const {
    return functions_.at(static_cast<std::size_t>(symbol))->address;
}

long Functions::call(Symbol symbol, const std::array<std::uint64_t, maximum_arguments>& arguments) const {
    Function& function = *functions_[static_cast<std::size_t>(symbol)];
    union Argument {
        std::uint64_t wide;
        std::uint32_t narrow;
    };
    std::array<Argument, maximum_arguments> values{};
    std::array<void*, maximum_arguments> pointers{};
    for (std::size_t index = 0; index < function.signature.arguments.size(); ++index) {
        if (function.signature.arguments[index]->size == sizeof(std::uint32_t))
            values[index].narrow = static_cast<std::uint32_t>(arguments[index]);
        else
            values[index].wide = arguments[index];
        pointers[index] = &values[index];
    }
    ffi_arg result = 0;
    // The functions may set errno; between here and the caller's look at it nothing else may.
    ffi_call(&function.interface, FFI_FN(function.address), &result, pointers.data());
    return function.signature.result->size == sizeof(std::uint32_t) ? static_cast<int>(result)
                                                                    : static_cast<long>(result);
}

} // namespace multihome::differential
