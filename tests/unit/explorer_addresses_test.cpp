// SPDX-License-Identifier: MIT
//
// Everything that two or three threads can do to one slot of the local addresses, over the code as it is
// (explorer.hpp): an address is given the number of another one while others read it.

#include "explored.hpp"
#include "part_of.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <doctest/doctest.h>
#include <string>
#include <vector>

namespace multihome::explorer_addresses_test {

namespace {

using test::Explorer;
using Fault = Explorer::Fault;
using Memory = test::ExploredMemory;
constexpr Ticks start = 100'000;
// Where there are more orders than can be tried in a few seconds.
constexpr unsigned few_preemptions = test::part_of(2, 1);

// Every number is given out. The next address takes `slot`, which `old` has; so does the one after it if it
// comes first.
class FullReach {
public:
    const Memory memory;
    // They differ in every part, and begin to look for a place at the same slot.
    const Local first{{0xa1, 0xb1}, 0xc1};
    const Local second = find_neighbour(first);
    LocalIndex slot = local_by_route;
    Local old;
    uint64_t old_salt = 0;

    FullReach() {
        flood(memory.locals());
        const Memory rehearsal;
        flood(rehearsal.locals());
        slot = rehearsal.locals().index_of(first).index;
        old = memory.locals().at(slot);
        old_salt = memory.locals().salt(slot);
    }

    Memory::Locals& locals() const { return memory.locals(); }
    bool is_whole(const Local& local) const {
        return !local || local == old || local == first || local == second;
    }

    // As learn() in hearing.cpp does.
    void learn(uint64_t hash, const Local& local) const {
        Memory::Table table = memory.table();
        const Memory::Table::Entry found = table.find(hash);
        const Memory::Locals::SaltedIndex salted = locals().index_of(local, found.state().first_index());
        if (salted.index == local_by_route)
            return;
        table.hear(hash, salted.index, start, found);
        if (!locals().is_still(salted))
            table.forget(hash);
    }
    // Where an answer to that conversation leaves from.
    Local source(uint64_t hash) const {
        const Memory::Table::Entry found = memory.table().find(hash);
        return found ? locals().at(found.state().asked_last()) : Local{};
    }

private:
    static Local find_neighbour(const Local& local) {
        const LocalIndex wanted = Memory{}.locals().index_of(local).index;
        for (Local other{{1, 2}, 3};; ++other.address.first, ++other.address.second, ++other.interface_index)
            if (Memory{}.locals().index_of(other).index == wanted)
                return other;
    }
    static void flood(Memory::Locals& locals) {
        for (uint32_t number = 1000; number < 6000; ++number)
            locals.index_of(test::local_address(number));
    }
};

Explorer::Result explore(const char* name, const std::vector<Explorer::Thread>& threads,
                         const Explorer::Check& check, const Explorer::Options& options = {}) {
    Explorer::Options affordable = options;
    if (test::is_slow && options.fault == Fault::none)
        affordable.limit = 3'000;
    Explorer::Result result = Explorer::explore(threads, check, affordable);
    MESSAGE(std::string(name) << ": " << result.executions << " executions");
    return result;
}

// One gives the slot to another address, one reads it.
Explorer::Result replace_and_read(Fault fault) {
    const FullReach all;
    struct {
        LocalIndex given;
        std::array<Local, 2> read;
        std::array<uint64_t, 2> salt;
    } seen{};
    return explore("a slot is given to another address, and read",
                   {[&] { seen.given = all.locals().index_of(all.first).index; },
                    [&] {
                        seen.salt[0] = all.locals().salt(all.slot);
                        seen.read[0] = all.locals().at(all.slot);
                        seen.salt[1] = all.locals().salt(all.slot);
                        seen.read[1] = all.locals().at(all.slot);
                    }},
                   [&]() -> std::string {
                       if (seen.given != all.slot || all.locals().at(all.slot) != all.first)
                           return "the address did not get the slot";
                       if (!all.is_whole(seen.read[0]) || !all.is_whole(seen.read[1]))
                           return "a mix of two addresses was read";
                       if (seen.read[0] == all.first && seen.read[1] == all.old)
                           return "the old address came back";
                       if (seen.salt[0] == seen.salt[1] && !Memory::Locals::is_void(seen.salt[0]) &&
                           seen.read[0] != (seen.salt[0] == all.old_salt ? all.old : all.first))
                           return "the address is not the salt's";
                       return {};
                   },
                   {.fault = fault});
}

// Two want the same slot, one reads it.
Explorer::Result replace_twice_and_read(Fault fault) {
    const FullReach all;
    std::array<LocalIndex, 2> given{};
    Local read;
    return explore("two addresses are given the same slot, and it is read",
                   {[&] { given[0] = all.locals().index_of(all.first).index; },
                    [&] { given[1] = all.locals().index_of(all.second).index; },
                    [&] { read = all.locals().at(all.slot); }},
                   [&]() -> std::string {
                       if (!all.is_whole(read))
                           return "a mix of two addresses was read";
                       if (given[0] == local_by_route && given[1] == local_by_route)
                           return "nobody got a slot";
                       const std::array<Local, 2> wanted{all.first, all.second};
                       bool has_one = false;
                       for (size_t writer = 0; writer < 2; ++writer)
                           has_one = has_one || (given[writer] != local_by_route &&
                                                 all.locals().at(given[writer]) == wanted[writer]);
                       if (!has_one)
                           return "a slot holds a mix of two addresses";
                       for (size_t writer = 0; writer < 2; ++writer)
                           if (given[writer] != local_by_route && given[1 - writer] != given[writer] &&
                               all.locals().at(given[writer]) != wanted[writer])
                               return "an address has not what it was given";
                       return {};
                   },
                   {.fault = fault, .preemptions = few_preemptions});
}

void check_holds(const Explorer::Result& result) {
    CHECK((result.is_complete || test::is_slow));
    CHECK(result.violation == "");
}

} // namespace

TEST_SUITE_BEGIN("explorer");

TEST_CASE("whatever the order, who reads a slot reads one address, that of its salt") {
    check_holds(replace_and_read(Fault::none));
    check_holds(replace_twice_and_read(Fault::none));
}

TEST_CASE("two threads give a number to the same address, in empty slots") {
    const Memory memory;
    const Local wanted{{0xa1, 0xb1}, 0xc1};
    std::array<LocalIndex, 2> given{};
    Local read;
    check_holds(explore("two give the same address a number",
                        {[&] { given[0] = memory.locals().index_of(wanted).index; },
                         [&] {
                             given[1] = memory.locals().index_of(wanted).index;
                             read = memory.locals().at(given[1]);
                         }},
                        [&]() -> std::string {
                            for (const LocalIndex index : given)
                                if (index == local_by_route || memory.locals().at(index) != wanted)
                                    return "the address has no number";
                            return read == wanted ? "" : "a thread cannot read what it was given";
                        }));
}

TEST_CASE("what is known of an address that has lost its number is said of nobody") {
    const FullReach all;
    const uint64_t hash = Memory::hash(1);
    all.memory.table().hear(hash, all.slot, start, {});
    REQUIRE(all.source(hash) == all.old);
    Memory::Table::Entry found;
    // The conversation is heard at an address that is the old one in part, and the new one in part.
    const Local mixed{{all.first.address.first, all.old.address.second}, all.old.interface_index};
    check_holds(
        explore("a conversation is looked up while its address loses its number",
                {[&] { all.locals().index_of(all.first); }, [&] { found = all.memory.table().find(hash); }},
                [&]() -> std::string {
                    if (found && found.state() != Conversation::question(all.slot, start))
                        return "another conversation's entry";
                    return all.source(hash) ? "the old entry is still believed" : "";
                }));
    check_holds(explore("a conversation is heard while its address loses its number",
                        {[&] { all.locals().index_of(all.first); }, [&] { all.learn(hash, mixed); }},
                        [&]() -> std::string {
                            const Local source = all.source(hash);
                            return !source || source == mixed ? ""
                                                              : "answered from an address that was not asked";
                        },
                        {.preemptions = few_preemptions + 1}));
}

TEST_CASE("two threads hear peers at new addresses that want the same number") {
    const FullReach all;
    const std::array<uint64_t, 2> hashes{Memory::hash(1), Memory::hash(2)};
    check_holds(explore("two peers are heard at new addresses that want the same number",
                        {[&] { all.learn(hashes[0], all.first); }, [&] { all.learn(hashes[1], all.second); }},
                        [&]() -> std::string {
                            const std::array<Local, 2> sources{all.source(hashes[0]), all.source(hashes[1])};
                            return (!sources[0] || sources[0] == all.first) &&
                                           (!sources[1] || sources[1] == all.second)
                                       ? ""
                                       : "answered from an address that was not asked";
                        },
                        {.preemptions = few_preemptions + 1}));
}

TEST_CASE("weaker orders, missing fences and a torn exchange are found out") {
    for (const Fault fault : {Fault::release_is_relaxed, Fault::acquire_is_relaxed, Fault::no_acquire_fence,
                              Fault::no_release_fence})
        CHECK(replace_and_read(fault).violation != "");
    for (const Fault fault : {Fault::torn_exchange, Fault::blind_exchange})
        CHECK(replace_twice_and_read(fault).violation != "");
}

TEST_SUITE_END();

} // namespace multihome::explorer_addresses_test
