// SPDX-License-Identifier: MIT
#include "tools/bench/picture.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace multihome::bench {

namespace {

constexpr double width = 860;
constexpr double margin = 24;
constexpr double label_width = 250; // for the rows' labels
constexpr double plot_left = margin + label_width;
constexpr double bar_width = 400;
constexpr double row_height = 20;

// Colours that can be told apart by the colour-blind (Okabe and Ito), on light and on dark ground.
constexpr const char* style = R"(<style>
  .ground { fill: #ffffff } text { fill: #1f2328; font: 13px sans-serif }
  .title { font-weight: bold; font-size: 15px } .small { font-size: 11px }
  .right { text-anchor: end } .middle { text-anchor: middle }
  .bare { fill: #999999; stroke: #999999 } .native { fill: #0072b2; stroke: #0072b2 }
  .shim { fill: #009e73; stroke: #009e73 } .other { fill: #cc79a7; stroke: #cc79a7 }
  .curve { fill: none; stroke-width: 2 } .spread { stroke-width: 1.5 } .bar { stroke: none }
  .over { stroke: #1f2328; stroke-width: 1.5 } .grid { stroke: #d0d7de } .axis { stroke: #59636e }
  .band { fill: #59636e; fill-opacity: 0.15 }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #0d1117 } text { fill: #e6edf3 } .over { stroke: #e6edf3 } .grid { stroke: #30363d }
    .native { fill: #56b4e9; stroke: #56b4e9 } .axis { stroke: #9198a1 } .curve { fill: none }
  }
</style>
)";

std::string escaped(const std::string& text) {
    std::string result;
    for (const char next : text) {
        if (next == '<')
            result += "&lt;";
        else if (next == '&')
            result += "&amp;";
        else
            result += next;
    }
    return result;
}

const char* class_of(const std::string& subject) {
    for (const char* known : {"bare", "native", "shim"})
        if (subject == known)
            return known;
    return "other";
}

// 1, 2 or 5 times a power of ten, so that there are at most six steps up to `most`.
double step_up_to(double most) {
    const double rough = most / 6;
    const double power = std::pow(10, std::floor(std::log10(rough)));
    for (const double times : {1.0, 2.0, 5.0})
        if (rough <= times * power)
            return times * power;
    return 10 * power;
}

// Where values lie along an axis, from 0 to 1.
struct Scale {
    double low;
    double high;
    bool logarithmic;
    std::vector<double> ticks;

    double place(double value) const {
        return logarithmic ? (std::log10(value) - std::log10(low)) / (std::log10(high) - std::log10(low))
                           : (value - low) / (high - low);
    }
};

Scale scale_for(double least, double most, bool logarithmic) {
    Scale scale{0, 0, logarithmic, {}};
    if (logarithmic) {
        const int first = static_cast<int>(std::floor(std::log10(least)));
        const int last = static_cast<int>(std::ceil(std::log10(most)));
        for (int power = first; power <= last; ++power)
            scale.ticks.push_back(std::pow(10, power));
        scale.low = std::pow(10, first);
        scale.high = std::pow(10, last);
    } else {
        const double step = step_up_to(most);
        const int steps = static_cast<int>(std::ceil(most / step));
        for (int number = 0; number <= steps; ++number)
            scale.ticks.push_back(number * step);
        scale.high = steps * step;
    }
    return scale;
}

// 100000 as "100 k": what stands at an axis is a round number.
std::string round_number(double value) {
    for (const auto& [unit, name] : {std::pair{1e9, " G"}, std::pair{1e6, " M"}, std::pair{1e3, " k"}})
        if (value >= unit)
            return fmt::format("{:g}{}", value / unit, name);
    return fmt::format("{:g}", value);
}

} // namespace

Picture::Picture(std::string title) : title_(std::move(title)) {}

void Picture::text(double x, double y, const std::string& words, const std::string& class_name) {
    body_ += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" class=\"{}\">{}</text>\n", x, y, class_name,
                         escaped(words));
}

void Picture::line(double x1, double y1, double x2, double y2, const std::string& class_name) {
    body_ += fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" class=\"{}\"/>\n", x1,
                         y1, x2, y2, class_name);
}

void Picture::heading(const std::string& title) {
    y_ += 30;
    text(margin, y_, title, "title");
    y_ += 8;
}

void Picture::bars(const std::string& title, const std::vector<Row>& rows) {
    if (rows.empty())
        return;
    heading(title);
    double most = 0;
    for (const Row& row : rows)
        most = std::max(most, row.value.high);
    const double scale = most > 0 ? bar_width / most : 0;
    for (const Row& row : rows) {
        text(margin, y_ + 14, row.label, "");
        body_ += fmt::format(
            "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" class=\"bar {}\"/>\n",
            plot_left, y_ + 3, std::max(1.0, row.value.median * scale), row_height - 6,
            class_of(row.subject));
        const double middle = y_ + row_height / 2;
        if (row.value.low != row.value.high)
            line(plot_left + row.value.low * scale, middle, plot_left + row.value.high * scale, middle,
                 "over");
        text(plot_left + std::max(row.value.high, row.value.median) * scale + 8, y_ + 14, row.text, "");
        y_ += row_height;
    }
}

void Picture::ratios(const std::string& title, double low, double high, const std::vector<Row>& rows) {
    if (rows.empty())
        return;
    heading(title);
    const auto place = [&](double value) {
        return plot_left + (std::clamp(value, low, high) - low) / (high - low) * bar_width;
    };
    const double bottom = y_ + static_cast<double>(rows.size()) * row_height;
    body_ +=
        fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" class=\"band\"/>\n",
                    place(0.98), y_, place(1.02) - place(0.98), bottom - y_);
    for (int tick = static_cast<int>(std::round(low * 20)); tick <= std::lround(high * 20); ++tick) {
        const double value = tick / 20.0;
        line(place(value), y_, place(value), bottom, tick == 20 ? "axis" : "grid");
        text(place(value), bottom + 14, fmt::format("{:.2f}", value), "small middle");
    }
    for (const Row& row : rows) {
        text(margin, y_ + 14, row.label, "");
        const double middle = y_ + row_height / 2;
        const std::string color = class_of(row.subject);
        line(place(row.value.low), middle, place(row.value.high), middle, "spread " + color);
        body_ += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\" class=\"{}\"/>\n",
                             place(row.value.median), middle, color);
        text(plot_left + bar_width + 8, y_ + 14, row.text, "");
        y_ += row_height;
    }
    y_ += 18;
}

void Picture::curves(const std::string& title, const Axis& x, const Axis& y,
                     const std::vector<Curve>& curves) {
    double x_least = 1e300;
    double x_most = 0;
    double y_least = 1e300;
    double y_most = 0;
    for (const Curve& curve : curves)
        for (const Curve::Point& point : curve.points) {
            x_least = std::min(x_least, point.x);
            x_most = std::max(x_most, point.x);
            y_least = std::min(y_least, point.y.low);
            y_most = std::max(y_most, point.y.high);
        }
    if (x_most <= x_least)
        return; // no curve
    heading(title);
    constexpr double left = margin + 70;
    constexpr double right = width - margin - 110; // the curves' names stand there
    constexpr double height = 170;
    text(margin, y_ + 14, y.title, "small");
    y_ += 24;
    const Scale across = scale_for(x_least, x_most, true);
    const Scale up = scale_for(y_least, y_most, y.logarithmic);
    const auto at_x = [&](double value) { return left + across.place(value) * (right - left); };
    const auto at_y = [&](double value) { return y_ + height - up.place(value) * height; };
    for (const double tick : up.ticks) {
        line(left, at_y(tick), right, at_y(tick), tick == up.ticks.front() ? "axis" : "grid");
        text(left - 8, at_y(tick) + 4, round_number(tick), "small right");
    }
    for (const double tick : across.ticks) {
        line(at_x(tick), y_ + height, at_x(tick), y_ + height + 5, "axis");
        text(at_x(tick), y_ + height + 18, round_number(tick), "small middle");
    }
    double name_y = -1e9;
    for (const Curve& curve : curves) {
        const std::string color = class_of(curve.subject);
        std::string points;
        for (const Curve::Point& point : curve.points) {
            points += fmt::format("{:.1f},{:.1f} ", at_x(point.x), at_y(point.y.median));
            line(at_x(point.x), at_y(point.y.low), at_x(point.x), at_y(point.y.high), "spread " + color);
            body_ += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\" class=\"{}\"/>\n",
                                 at_x(point.x), at_y(point.y.median), color);
        }
        body_ += fmt::format("<polyline points=\"{}\" class=\"{} curve\"/>\n", points, color);
        double name_at = at_y(curve.points.back().y.median) + 4;
        if (std::fabs(name_at - name_y) < 16) // names must not lie on each other
            name_at = name_y + (name_at >= name_y ? 16 : -16);
        text(right + 10, name_y = name_at, curve.subject, "");
    }
    y_ += height + 36;
    text((left + right) / 2, y_, x.title, "small middle");
}

void Picture::legend(const std::vector<std::pair<std::string, std::string>>& subjects) {
    y_ += 12;
    for (const auto& [subject, meaning] : subjects) {
        body_ +=
            fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"12\" height=\"12\" class=\"bar {}\"/>\n",
                        margin, y_, class_of(subject));
        text(margin + 20, y_ + 11, meaning, "");
        y_ += row_height;
    }
    y_ -= 6;
}

std::string Picture::finish(const std::vector<std::string>& foot) {
    y_ += 22;
    for (const std::string& words : foot)
        text(margin, y_ += 14, words, "small");
    y_ += 16;
    return fmt::format("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:.0f} {1:.0f}\" "
                       "width=\"{0:.0f}\" height=\"{1:.0f}\" role=\"img\" aria-label=\"{2}\">\n"
                       "<!-- SPDX-License-Identifier: MIT -->\n{3}"
                       "<rect class=\"ground\" width=\"100%\" height=\"100%\"/>\n{4}</svg>\n",
                       width, y_, escaped(title_), style, body_);
}

} // namespace multihome::bench
