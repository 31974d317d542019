// SPDX-License-Identifier: MIT
// Loads the programs of engine.bpf.c, attaches and pins them, and reads their maps.
#include "tools/kernel_engine/engine.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>

#include "engine.skel.h"
#include "tools/kernel_engine/pins.hpp"
#include "tools/output.hpp"

namespace multihome::tools::engine {
namespace {

// What libbpf says is only of use with an error: the last line that it calls a warning.
std::string libbpf_said; // NOLINT: libbpf's callback has no argument of ours

int keep_warning(libbpf_print_level level, const char* format, va_list arguments) {
    if (level != LIBBPF_WARN)
        return 0;
    std::array<char, 512> line{};
    vsnprintf(line.data(), line.size(), format, arguments);
    // The verifier's log has many lines of its own; the first says what could not be done.
    if (libbpf_said.empty())
        libbpf_said = line.data();
    while (!libbpf_said.empty() && libbpf_said.back() == '\n')
        libbpf_said.pop_back();
    return 0;
}

[[noreturn]] void refuse(const std::string& what) {
    const int error = errno;
    throw Impossible(fmt::format("{}: {}{}", what, std::strerror(error),
                                 libbpf_said.empty() ? "" : fmt::format(" ({})", harmless(libbpf_said))));
}

void close_skeleton(::engine* skeleton) {
    engine__destroy(skeleton);
}
using Skeleton = std::unique_ptr<::engine, decltype(&close_skeleton)>;

bool has_helper(bpf_prog_type type, bpf_func_id function) {
    return libbpf_probe_bpf_helper(type, function, nullptr) == 1;
}

in_addr_t ipv4_of(const sockaddr* address) {
    return reinterpret_cast<const sockaddr_in*>(address)->sin_addr.s_addr;
}

/// The broadcast addresses of links without Ethernet, in this network namespace; the loopback device's is the
/// same in all of them.
void list_broadcasts(engine_settings& settings) {
    settings.broadcast[settings.broadcasts++] = htonl(0x7FFFFFFF);
    ifaddrs* list = nullptr;
    if (getifaddrs(&list) != 0)
        return;
    const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owner{list, freeifaddrs};
    for (const ifaddrs* one = list; one != nullptr; one = one->ifa_next) {
        if (one->ifa_addr == nullptr || one->ifa_addr->sa_family != AF_INET || one->ifa_netmask == nullptr ||
            (one->ifa_flags & IFF_BROADCAST) != 0)
            continue;
        const in_addr_t host = ~ipv4_of(one->ifa_netmask);
        const sockaddr* network = one->ifa_dstaddr != nullptr ? one->ifa_dstaddr : one->ifa_addr;
        const in_addr_t broadcast = ipv4_of(network) | host;
        const auto end = std::begin(settings.broadcast) + settings.broadcasts;
        // The kernel makes none for a network of two.
        if (ntohl(host) > 1 && end != std::end(settings.broadcast) &&
            std::find(std::begin(settings.broadcast), end, broadcast) == end)
            settings.broadcast[settings.broadcasts++] = broadcast;
    }
}

void configure(::engine& skeleton, const Request& request) {
    engine_settings& settings = skeleton.rodata->settings;
    settings.question_ticks = request.question_seconds * ENGINE_TICKS;
    settings.spoke_first_ticks = request.spoke_first_seconds * ENGINE_TICKS;
    settings.coarse_clock = has_helper(BPF_PROG_TYPE_CGROUP_SKB, BPF_FUNC_ktime_get_coarse_ns) &&
                            has_helper(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_FUNC_ktime_get_coarse_ns) &&
                            has_helper(BPF_PROG_TYPE_CGROUP_SOCK, BPF_FUNC_ktime_get_coarse_ns);
    settings.network_cookie = has_helper(BPF_PROG_TYPE_CGROUP_SKB, BPF_FUNC_get_netns_cookie) &&
                              has_helper(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_FUNC_get_netns_cookie);
    settings.hand_over = has_helper(BPF_PROG_TYPE_CGROUP_SOCK, BPF_FUNC_sk_storage_get) &&
                         has_helper(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_FUNC_sk_storage_get);
    if (request.ports) {
        settings.limited_ports = 1;
        for (std::size_t port = 0; port < request.ports->size(); ++port)
            if (request.ports->test(port))
                settings.ports[port / 64] |= std::uint64_t{1} << (port % 64);
    }
    if (request.except.size() > ENGINE_EXCEPTIONS)
        throw Impossible(fmt::format("--except takes {} control groups at most", int{ENGINE_EXCEPTIONS}));
    settings.exceptions = static_cast<std::uint32_t>(request.except.size());
    list_broadcasts(settings);
    bpf_map__set_max_entries(skeleton.maps.conversations, request.peers);
    bpf_program__set_autoload(skeleton.progs.made, settings.hand_over != 0);
}

std::vector<std::string> not_served(const engine_settings& settings) {
    std::vector<std::string> lines{
        "answers from a socket that the program connects to the client, where that socket "
        "is bound to its port already: the routing table chooses their source"};
    if (settings.hand_over == 0)
        lines.emplace_back(
            "answers from a new socket on another port, as TFTP's: this kernel tells no program when a "
            "socket was made");
    if (settings.network_cookie == 0)
        lines.emplace_back(
            "network namespaces are not told apart: one client's address and port in two of them is "
            "taken for one client");
    return lines;
}

/// The only value of a map. False: it is not there, or of another version's size.
template <typename Value>
bool read_value(int map, Value& value) {
    const std::uint32_t first = 0;
    bpf_map_info info{};
    std::uint32_t size = sizeof info;
    // The kernel writes as much as a value of the map has.
    return bpf_obj_get_info_by_fd(map, &info, &size) == 0 && info.value_size == sizeof value &&
           bpf_map_lookup_elem(map, &first, &value) == 0;
}

template <typename Value>
void write_value(int map, const Value& value) {
    const std::uint32_t first = 0;
    if (bpf_map_update_elem(map, &first, &value, BPF_ANY) != 0)
        refuse("cannot write a map");
}

void set_exception(engine_exceptions& exceptions, engine_about& about, std::size_t index,
                   const ControlGroup& group) {
    exceptions.except[index] = group.identity;
    about.except[index][group.path.copy(about.except[index], sizeof about.except[index] - 1)] = '\0';
}

void write_records(::engine& skeleton, const Request& request) {
    engine_about about{};
    about.version = ENGINE_VERSION;
    request.group.path.copy(about.path, sizeof about.path - 1);
    engine_exceptions exceptions{};
    for (std::size_t index = 0; index < request.except.size(); ++index)
        set_exception(exceptions, about, index, request.except[index]);
    about.limited_ports = skeleton.rodata->settings.limited_ports;
    about.question_ticks = skeleton.rodata->settings.question_ticks;
    about.spoke_first_ticks = skeleton.rodata->settings.spoke_first_ticks;
    std::memcpy(about.ports, skeleton.rodata->settings.ports, sizeof about.ports);
    write_value(bpf_map__fd(skeleton.maps.about), about);
    write_value(bpf_map__fd(skeleton.maps.exceptions), exceptions);
}

void attach_programs(::engine& skeleton, const Request& request, const std::string& directory) {
    const Descriptor group = open_for_reading(request.group.directory);
    if (!group.valid())
        refuse("cannot open " + request.group.directory);
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, skeleton.obj) {
        if (!bpf_program__autoload(program))
            continue;
        bpf_link* link = bpf_program__attach_cgroup(program, group.number());
        if (link == nullptr)
            refuse(fmt::format("cannot attach the program '{}' to {}", bpf_program__name(program),
                               request.group.directory));
        const int pinned =
            bpf_link__pin(link, fmt::format("{}/{}", directory, bpf_program__name(program)).c_str());
        const int reason = errno;
        bpf_link__destroy(link); // the pin holds it
        errno = reason;
        if (pinned != 0)
            refuse("cannot pin a program in " + directory);
    }
}

/// Where it throws, Pins::sweep() has to remove what it has made.
std::vector<std::string> attach_pinned(const Request& request, Pins& pins) {
    std::error_code ignored;
    if (std::filesystem::exists(Pins::directory_of(request.group.identity), ignored))
        throw Impossible(fmt::format("the engine is attached to {} already: 'multihomectl detach' first",
                                     request.group.path));
    const Skeleton skeleton{engine__open(), close_skeleton};
    if (!skeleton)
        refuse("cannot open the engine's programs");
    configure(*skeleton, request);
    if (engine__load(skeleton.get()) != 0)
        refuse(errno == EPERM
                   ? "the kernel lets only the host's root load the engine's programs, not that of a user "
                     "namespace or of a container"
                   : "this kernel does not take the engine's programs (it needs Linux 5.7, with "
                     "CONFIG_CGROUP_BPF)");
    write_records(*skeleton, request);
    const std::string directory = Pins::unfinished(request.group.identity);
    pins.begin(request.group.identity);
    for (bpf_map* map : {skeleton->maps.conversations, skeleton->maps.counters, skeleton->maps.about,
                         skeleton->maps.exceptions})
        if (bpf_map__pin(map, fmt::format("{}/{}", directory, bpf_map__name(map)).c_str()) != 0)
            refuse("cannot pin a map in " + directory);
    attach_programs(*skeleton, request, directory);
    pins.finish(request.group.identity);
    return not_served(skeleton->rodata->settings);
}

Descriptor open_pin(std::uint64_t identity, const char* name) {
    return Descriptor{bpf_obj_get(fmt::format("{}/{}", Pins::directory_of(identity), name).c_str())};
}

Counters read_counters(int map) {
    Counters sums{};
    const int processors = libbpf_num_possible_cpus();
    std::vector<std::uint64_t> values(processors > 0 ? static_cast<std::size_t>(processors) : 1);
    for (std::uint32_t which = 0; which < sums.size(); ++which)
        if (bpf_map_lookup_elem(map, &which, values.data()) == 0)
            for (const std::uint64_t value : values)
                sums[which] += value;
    return sums;
}

/// Whether a pinned link is still attached. The kernel lets a link go some time after its control group.
bool link_is_alive(int link) {
    bpf_link_info info{};
    std::uint32_t size = sizeof info;
    return bpf_obj_get_info_by_fd(link, &info, &size) == 0 && info.cgroup.cgroup_id != 0 &&
           control_group_may_exist(info.cgroup.cgroup_id);
}

std::string text(const char (&field)[ENGINE_NAME_LENGTH]) {
    return {field, strnlen(field, sizeof field)};
}

/// Opens what attach() has noted. None where it has been detached since it was found.
Descriptor open_record(std::uint64_t identity, const char* name) {
    const std::string directory = Pins::directory_of(identity);
    const int map = bpf_obj_get(fmt::format("{}/{}", directory, name).c_str());
    if (map < 0 && errno != ENOENT)
        refuse("cannot look at what is attached in " + directory);
    return Descriptor{map};
}

/// What attach() has noted, and the maps that hold it.
struct Records {
    explicit Records(std::uint64_t identity)
        : about_map(open_record(identity, "about")), exceptions_map(open_record(identity, "exceptions")),
          are_read(read_value(about_map.number(), about) && about.version == ENGINE_VERSION &&
                   read_value(exceptions_map.number(), exceptions)) {}

    engine_about about{};
    engine_exceptions exceptions{};
    Descriptor about_map;
    Descriptor exceptions_map;
    bool are_read; ///< false: there are none, or another version's
};

/// Who attached the engine may have seen another part of the tree than we do: what was noted counts only
/// where the kernel tells nothing.
std::string path_of(std::uint64_t identity, const std::string& noted) {
    const auto path = control_group_may_exist(identity) ? control_group_path(identity) : noted;
    return path && path->empty() ? "?" : path.value_or(noted);
}

void read_about(Attachment& one) {
    const Records records(one.identity);
    if (!records.are_read)
        return;
    one.is_read = true;
    const engine_about& about = records.about;
    one.path = path_of(one.identity, text(about.path));
    for (std::size_t index = 0; index < ENGINE_EXCEPTIONS; ++index)
        if (const std::uint64_t group = records.exceptions.except[index];
            group != 0 && control_group_may_exist(group))
            one.except.push_back(path_of(group, text(about.except[index])));
    one.question_ticks = about.question_ticks;
    one.spoke_first_ticks = about.spoke_first_ticks;
    if (about.limited_ports != 0) {
        one.ports.emplace();
        for (std::size_t port = 0; port < one.ports->size(); ++port)
            one.ports->set(port, (about.ports[port / 64] >> (port % 64) & 1) != 0);
    }
    if (const Descriptor counters = open_pin(one.identity, "counters"); counters.valid())
        one.counters = read_counters(counters.number());
}

} // namespace

bool built_in() {
    return true;
}

std::vector<std::string> attach(const Request& request) {
    libbpf_set_print(keep_warning);
    libbpf_said.clear();
    Pins pins;
    try {
        return attach_pinned(request, pins);
    } catch (...) {
        try {
            pins.sweep();
        } catch (const Impossible&) { // why attach failed is what counts
        }
        throw;
    }
}

std::vector<Attachment> attachments() {
    std::vector<Attachment> found;
    for (const std::uint64_t identity : Pins::identities()) {
        Attachment one;
        one.identity = identity;
        one.path = path_of(identity, "?"); // what another version's record says is not known
        read_about(one);
        for (const char* hook : {"learn", "choose_ipv4", "choose_ipv6", "took_ipv4", "took_ipv6",
                                 "connect_ipv4", "connect_ipv6", "made"}) {
            const Descriptor link = open_pin(identity, hook);
            if (!link.valid())
                continue;
            one.alive = one.alive && link_is_alive(link.number());
            one.hooks.emplace_back(hook);
        }
        std::error_code error;
        if (std::filesystem::exists(Pins::directory_of(identity),
                                    error)) // else it has been detached meanwhile
            found.push_back(std::move(one));
    }
    return found;
}

bool detach(std::uint64_t identity) {
    Pins pins;
    // Else the programs run until the kernel gets to it, some time after their last pin is gone. (Before
    // Linux 5.9 they do.) What is no link is left as it is.
    std::error_code error;
    for (const auto& pin : std::filesystem::directory_iterator(Pins::directory_of(identity), error))
        if (const Descriptor link{bpf_obj_get(pin.path().c_str())}; link.valid())
            bpf_link_detach(link.number());
    const bool removed = pins.remove(identity);
    pins.sweep();
    return removed;
}

void renew_exception(const ControlGroup& group) {
    Pins pins; // one call at a time
    Records records(root_control_group().identity);
    const auto last_part = [](const std::string& path) { return path.substr(path.rfind('/') + 1); };
    std::optional<std::size_t> found;
    for (std::size_t index = 0; index < ENGINE_EXCEPTIONS; ++index) {
        const std::string known = text(records.about.except[index]);
        const std::uint64_t before = records.exceptions.except[index];
        // A container's group was taken for the unit's while that did not run.
        const bool gives_way = before == 0 || !control_group_may_exist(before) ||
                               (is_below_slices(group.path) && !is_below_slices(known));
        if (!known.empty() &&
            (known == group.path || (!found && gives_way && last_part(known) == last_part(group.path))))
            found = index;
    }
    if (records.are_read && found) {
        set_exception(records.exceptions, records.about, *found, group);
        write_value(records.about_map.number(), records.about);
        write_value(records.exceptions_map.number(), records.exceptions);
    }
    pins.sweep();
    if (!records.are_read && records.about_map.valid())
        throw Impossible(
            "another version of multihomectl has attached the engine to the whole host, and this one "
            "cannot tell it of exceptions: attach it anew (systemctl restart multihome-engine)");
    if (!records.are_read || !found)
        throw Impossible(fmt::format("the engine is not attached to the whole host but for {}: 'multihomectl "
                                     "list' says where it is",
                                     group.path));
}

void for_each_conversation(std::uint64_t identity, const std::function<void(const Conversation&)>& visit) {
    const Descriptor map = open_pin(identity, "conversations");
    if (!map.valid() && errno == ENOENT) // it has been detached since it was found
        return;
    if (!map.valid())
        refuse("cannot open the engine's conversations");
    Conversation one;
    engine_key* before = nullptr;
    engine_key last{};
    // An LRU map may drop the key that we stand at; the kernel then begins again, so the number of steps is
    // bounded.
    bpf_map_info info{};
    std::uint32_t size = sizeof info;
    if (bpf_obj_get_info_by_fd(map.number(), &info, &size) != 0)
        refuse("cannot read the engine's conversations");
    for (std::uint32_t step = 0; step < info.max_entries; ++step) {
        if (bpf_map_get_next_key(map.number(), before, &one.key) != 0)
            return;
        last = one.key;
        before = &last;
        if (bpf_map_lookup_elem(map.number(), &one.key, &one.known) == 0)
            visit(one);
    }
}

} // namespace multihome::tools::engine
