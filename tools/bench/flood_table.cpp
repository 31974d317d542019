// SPDX-License-Identifier: MIT
#include "tools/bench/flood_table.hpp"

#include "tools/bench/table_kinds.hpp"

#include "shim/base/settings.hpp"

#include <algorithm>
#include <cstdio>
#include <deque>

namespace multihome::bench {

uint64_t table_entries(size_t peers) {
    return uint64_t{PeerTable::ways} << PeerTable::bucket_bits_for(peers);
}

namespace {

// The time is counted in the flood's datagrams.
class TableFlood {
public:
    // `fresh`: each request comes from a peer that was never heard before; else from one of the honest
    // thousand.
    TableFlood(uint64_t delay, bool fresh) : delay_(delay), fresh_(fresh) {}

    // Percent of the answers that leave from the right address.
    double right() {
        ShimTable table(multihome::Settings::default_peers);
        const uint64_t datagrams = flood_times * table_entries(multihome::Settings::default_peers);
        // A request at a time for each honest peer, evenly spread; of those that ask only once, at most one
        // in a hundred datagrams, because more would be the traffic and not the flood.
        const uint64_t interval = std::max<uint64_t>(fresh_ ? 100 : 1, delay_ / flood_honest_peers + 1);
        for (uint64_t now = 0; now < datagrams; ++now) {
            table.update(spoofed(now), 1);
            if (now % interval == 0)
                hear(table, now);
            while (!waiting_.empty() && waiting_.front().due <= now)
                answer(table);
        }
        return 100.0 * static_cast<double>(answers_ - wrong_) / static_cast<double>(answers_);
    }

private:
    struct Request {
        uint64_t due;
        TableKey peer;
        uint32_t local;
    };

    // Both spread over all addresses, with ports of their own.
    static TableKey spoofed(uint64_t number) {
        return {static_cast<uint32_t>(number * 2654435761U), 1111, 1};
    }
    TableKey honest() {
        const uint64_t number = fresh_ ? requests_ : requests_ % flood_honest_peers;
        return {static_cast<uint32_t>(number * 2246822519U), 2222, 1};
    }

    void hear(ShimTable& table, uint64_t now) {
        const auto local = static_cast<uint32_t>(2 + requests_ / flood_honest_peers % 2);
        const Request request{now + delay_, honest(), local};
        ++requests_;
        table.update(request.peer, local);
        waiting_.push_back(request);
    }

    void answer(ShimTable& table) {
        const Request& request = waiting_.front();
        wrong_ += table.find(request.peer) != request.local;
        table.mark_answered(request.peer);
        ++answers_;
        waiting_.pop_front();
    }

    uint64_t delay_;
    bool fresh_;
    std::deque<Request> waiting_;
    uint64_t requests_ = 0;
    uint64_t answers_ = 0;
    uint64_t wrong_ = 0;
};

// The longest delay at which enough of the answers are right, to a hundredth of the table's size.
uint64_t longest_delay(bool fresh) {
    const uint64_t step = table_entries(multihome::Settings::default_peers) / 200;
    uint64_t good = 0;
    uint64_t bad = 200;
    while (bad - good > 1) {
        const uint64_t middle = (good + bad) / 2;
        (TableFlood(middle * step, fresh).right() >= flood_right ? good : bad) = middle;
    }
    return good * step;
}

} // namespace

void flood_table(Figures& figures) {
    for (const bool fresh : {false, true}) {
        const std::string group =
            std::string("the table alone, ") +
            (fresh ? "each honest peer asks once" : "1000 honest peers ask again and again");
        for (const double share : {0.01, 0.1, 0.4, 1.0, 2.0}) {
            const auto delay =
                static_cast<uint64_t>(static_cast<double>(multihome::Settings::default_peers) * share);
            figures.add({group, readable(static_cast<double>(delay)) + " datagrams late", "% right",
                         Sample::exactly(TableFlood(delay, fresh).right())});
        }
        const auto longest = static_cast<double>(longest_delay(fresh));
        char note[64];
        std::snprintf(note, sizeof note, "of the flood; %.2f s at 100,000 a second", longest / 100'000);
        figures.add({group, "99.9 % right up to", "datagrams late", Sample::exactly(longest), {}, {}, note});
    }
}

} // namespace multihome::bench
