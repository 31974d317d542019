# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154 # the arrays are those of demo.sh
# The demonstration's first table as a picture. Sourced by demo.sh. The picture brings its own background and follows the
# reader's dark mode, and its letters are large enough for a telephone.

demo_cell() { # X Y ASKED SOURCE: where the answer came from, and whether that is right
    local class=right mark=✓
    [ "$3" = "$4" ] || { class=wrong mark=✗; }
    printf '<rect class="%s" x="%d" y="%d" width="152" height="26" rx="5"/>' "$class" "$1" "$(($2 - 18))"
    printf '<text class="mono" x="%d" y="%d">%s</text>' "$(($1 + 8))" "$2" "${4:-none}"
    printf '<text class="mark" x="%d" y="%d">%s</text>\n' "$(($1 + 144))" "$2" "$mark"
}

demo_picture() { # TITLE: from the arrays addresses, bare and shim
    local index y height=$((112 + 32 * ${#addresses[@]}))
    cat <<SVG
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 480 $height" width="480" height="$height" role="img">
<!-- SPDX-License-Identifier: MIT --><!-- Made by demo.sh with its option svg -->
<title>$1</title>
<style>
  .card { fill: #ffffff; stroke: #d0d7de }
  text { fill: #1f2328; font: 14px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif }
  .mono { font: 14px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace }
  .head { font-weight: 600 }
  .small { fill: #59636e; font-size: 13px }
  .mark { text-anchor: end; font-weight: 700 }
  .wrong { fill: #ffdcd7 }
  .right { fill: #d3f5dc }
  @media (prefers-color-scheme: dark) {
    .card { fill: #0d1117; stroke: #3d444d }
    text { fill: #f0f6fc }
    .small { fill: #9198a1 }
    .wrong { fill: #7d1f1a }
    .right { fill: #14532d }
  }
</style>
<rect class="card" x="0.5" y="0.5" width="479" height="$((height - 1))" rx="10"/>
<text class="head" x="16" y="28">$1</text>
<text class="small" x="16" y="58">The client asks</text>
<text class="small" x="152" y="58">the answer comes from:</text>
<text class="head" x="152" y="80">without multihome</text>
<text class="head" x="316" y="80">with multihome</text>
SVG
    for index in "${!addresses[@]}"; do
        y=$((112 + 32 * index))
        printf '<text class="mono" x="16" y="%d">%s</text>\n' "$y" "${addresses[$index]}"
        demo_cell 152 "$y" "${addresses[$index]}" "${bare[$index]}"
        demo_cell 316 "$y" "${addresses[$index]}" "${shim[$index]}"
    done
    printf '</svg>\n'
}
