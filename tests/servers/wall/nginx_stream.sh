# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # for and from wall.sh
title='nginx stream, 2 workers'
needs=(nginx:nginx '/usr/lib/nginx/modules/ngx_stream_module.so:libnginx-mod-stream')
api='recvmsg, sendmsg with IP_PKTINFO in workers, by sockets that their parent has bound'
bare=right
version() { nginx -v 2>&1 | sed 's/.*nginx.//'; }
# What it passes on comes back later, by another socket.
serve() {
    local upstream=$((LAB_PORT + 1000))
    {
        printf 'load_module /usr/lib/nginx/modules/ngx_stream_module.so;\ndaemon off;\nworker_processes 2;\n'
        printf 'user nobody nogroup;\npid %s/pid;\nerror_log stderr notice;\nevents {\n}\nstream {\n server {\n' "$dir"
        printf "  listen %s:$LAB_PORT udp reuseport;\n" "${wildcards[@]/::/[::]}"
        printf '  proxy_pass 127.0.0.1:%s;\n  proxy_responses 1;\n }\n}\n' "$upstream"
    } >"$dir/nginx.conf"
    # shellcheck disable=SC2016 # for the inner shell
    run -s $((2 * ${#wildcards[@]})) sh -c '"$1" "$2" "$3" 127.0.0.1 & exec nginx -c "$4" -e stderr' sh \
        "$LAB_PYTHON" "$programs/echo_socket.py" "$upstream" "$dir/nginx.conf"
}
question() { by_ask "$1"; }
