// SPDX-License-Identifier: MIT
#include "tests/differential/shrink.hpp"

#include <algorithm>
#include <cstddef>

namespace multihome::differential {

namespace {

class Shrinker {
public:
    Shrinker(std::vector<Step> steps, const std::function<bool(const std::vector<Step>&)>& fails,
             int attempts)
        : steps_(std::move(steps)), fails_(fails), attempts_(attempts) {}

    std::vector<Step> run() {
        // Delta debugging: ever smaller pieces are left out, as long as the difference stays.
        for (std::size_t piece = std::max<std::size_t>(steps_.size() / 2, 1);;) {
            const bool removed = remove_pieces(piece);
            if (piece == 1 && !removed)
                break;
            piece = std::max<std::size_t>(piece / 2, 1);
        }
        simplify_fields();
        return std::move(steps_);
    }

private:
    bool try_instead(std::vector<Step> candidate) {
        if (attempts_ <= 0)
            return false;
        --attempts_;
        if (!fails_(candidate))
            return false;
        steps_ = std::move(candidate);
        return true;
    }

    bool remove_pieces(std::size_t piece) {
        bool removed = false;
        // From the end: what comes late depends on what comes early.
        for (std::size_t end = steps_.size(); end > 0;) {
            const std::size_t begin = end > piece ? end - piece : 0;
            std::vector<Step> candidate = steps_;
            candidate.erase(candidate.begin() + static_cast<std::ptrdiff_t>(begin),
                            candidate.begin() + static_cast<std::ptrdiff_t>(end));
            removed |= try_instead(std::move(candidate));
            end = begin;
        }
        return removed;
    }

    void simplify_fields() {
        for (std::size_t index = 0; index < steps_.size(); ++index) {
            if (steps_[index].by_number) {
                std::vector<Step> candidate = steps_;
                candidate[index].by_number = false;
                try_instead(std::move(candidate));
            }
            for (std::size_t field = 0; field < field_count; ++field) {
                // What a call needs to be one of its kind is no detail.
                const auto name = static_cast<Field>(field);
                if (steps_[index].fields[field] == 0 || name == Field::fd || name == Field::number ||
                    name == Field::domain || name == Field::type)
                    continue;
                std::vector<Step> candidate = steps_;
                candidate[index].fields[field] = 0;
                try_instead(std::move(candidate));
            }
        }
    }

    std::vector<Step> steps_;
    const std::function<bool(const std::vector<Step>&)>& fails_;
    int attempts_;
};

} // namespace

std::vector<Step> shrink(std::vector<Step> steps, const std::function<bool(const std::vector<Step>&)>& fails,
                         int attempts) {
    return Shrinker{std::move(steps), fails, attempts}.run();
}

} // namespace multihome::differential
