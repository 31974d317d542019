// SPDX-License-Identifier: MIT
//
// The rows that are counted and not timed: how the server is written, who asks it, and what it may cost. To
// add a row, add a line in rows.cpp.
#pragma once

#include "tools/bench/client.hpp"
#include "tools/bench/figures.hpp"
#include "tools/bench/server.hpp"

#include <string>
#include <vector>

namespace multihome::bench {

class Child;

struct Row {
    std::string name;
    ServerSettings server; // native or not is the subject's business
    Clients clients;
    unsigned together = 1; // requests that wait for the server at a time
    Budget budget = {};    // of the instructions above native
    bool counts_calls = true;
    bool counts_pages = true;

    // A server that ends by itself after `warm_up` requests that do not count and `counted` ones that do.
    // Whole batches of both.
    ServerSettings server_for(bool native, uint64_t warm_up, uint64_t counted) const;
    // So many that every client is known: each has been asked and answered twice.
    uint64_t warm_up() const;
    // Asks that server. Fails where `must_be_right` and an answer came from another address than was asked.
    void ask(Child& server, uint64_t warm_up, uint64_t counted, bool must_be_right) const;
};

const std::vector<Row>& all_rows();

} // namespace multihome::bench
