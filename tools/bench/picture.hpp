// SPDX-License-Identifier: MIT
//
// A picture of panels, one under the other, as SVG: bars, points beside a line, curves.
#pragma once

#include "tools/bench/figures.hpp"

#include <string>
#include <vector>

namespace multihome::bench {

struct Row {
    std::string label;
    std::string subject; // decides the colour
    Sample value;
    std::string text; // beside the bar
};

struct Curve {
    std::string subject;
    struct Point {
        double x;
        Sample y;
    };
    std::vector<Point> points;
};

// What stands at an axis.
struct Axis {
    std::string title;
    bool logarithmic = false;
};

class Picture {
public:
    explicit Picture(std::string title);

    void bars(const std::string& title, const std::vector<Row>& rows);
    // Each value as a point with its spread, on an axis from `low` to `high` with a line at 1 and a band of 2
    // % around it.
    void ratios(const std::string& title, double low, double high, const std::vector<Row>& rows);
    // The x axis is logarithmic.
    void curves(const std::string& title, const Axis& x, const Axis& y, const std::vector<Curve>& curves);
    // Which colour is what.
    void legend(const std::vector<std::pair<std::string, std::string>>& subjects);
    std::string finish(const std::vector<std::string>& foot);

private:
    void heading(const std::string& title);
    void text(double x, double y, const std::string& words, const std::string& class_name);
    void line(double x1, double y1, double x2, double y2, const std::string& class_name);

    std::string title_;
    std::string body_;
    double y_ = 6;
};

} // namespace multihome::bench
