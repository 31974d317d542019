# SPDX-License-Identifier: MIT
#
# What the picture shows: gnuplot -c picture.gp FIGURES OUTPUT. FIGURES has a line for each figure, with tabs between:
# group, subject, median. Narrow, with large letters, so that it can be read on a phone. Colours that can be
# told apart by the colour-blind (Okabe and Ito); multihome-bench adds the style sheet for dark ground (report.py).
figures = ARG1
set terminal svg size 480,860 font "sans-serif,15" noenhanced
set output ARG2
set datafile separator "\t"
native = "#0072B2"
shim = "#009E73"
kernel = "#CC79A7"
ink = "#1F2328"
line = "#D0D7DE"

# A figure of the file, or none.
figure(group, subject) = real(system(sprintf( \
    "awk -F'\\t' -v group='%s' -v subject='%s' '$1 == group && $2 == subject { print $3; found = 1 } END { if (!found) print \"NaN\" }' '%s'", \
    group, subject, figures)))

set multiplot layout 3,1 margins 0.14,0.98,0.05,0.86 spacing 0,0.10
set border 3 linecolor rgb ink
set tics nomirror textcolor rgb ink
set xtics scale 0
set grid ytics linecolor rgb line
# Above all panels, once.
set key at screen 0.97,0.99 right top vertical samplen 1 textcolor rgb ink
set style data histograms
set style histogram clustered gap 1
set style fill solid noborder
set boxwidth 0.9
set yrange [0:*]

# One panel of bars: a group and its label in each of four places.
set title "Instructions for a request and its reply" textcolor rgb ink offset 0,-0.4
array groups[4] = ["one client, recvfrom, IPv4", "1,000 clients, three addresses, recvfrom, IPv4", \
                   "batches of 32, full, one address, IPv4", "one client, recvfrom, IPv6"]
array labels[4] = ["1 client", "1,000", "batches", "IPv6"]
plot groups using (figure(groups[$1], "native")):xtic(labels[$1]) title "a program that uses IP_PKTINFO itself" linecolor rgb native, \
     groups using (figure(groups[$1], "shim")) title "any program with multihome" linecolor rgb shim, \
     NaN with boxes title "nftables and connection tracking" linecolor rgb kernel

unset key
set title "Processor time for an answer, nanoseconds"
array more[4] = ["1 client: processor time", "1000 clients in turn: processor time", \
                 "100.0 k clients in turn: processor time", "1.00 M clients in turn: processor time"]
array names[4] = ["1 client", "1,000", "100,000", "1,000,000"]
plot more using (figure(more[$1], "native")):xtic(names[$1]) linecolor rgb native, \
     more using (figure(more[$1], "shim")) linecolor rgb shim

set title "Between two hosts, both ends, nanoseconds"
array hosts[2] = ["addresses on one interface, the processor time of both ends at 40000 requests a second", \
                  "addresses on two interfaces, the processor time of both ends at 40000 requests a second"]
array places[2] = ["one interface", "two interfaces"]
array others[2] = ["redirect", "DNAT and marks"]
plot hosts using (figure(hosts[$1], "native")):xtic(places[$1]) linecolor rgb native, \
     hosts using (figure(hosts[$1], "shim")) linecolor rgb shim, \
     hosts using (figure(hosts[$1], others[$1])) linecolor rgb kernel
unset multiplot
