# SPDX-License-Identifier: MIT
"""Programs that start others by vfork before, between and after the steps of a server."""
import subprocess

from common import V4, expect, in_child, run


def start_another():
    # Closes all descriptors but three, in a child that shares this process's memory.
    done = subprocess.run(["/bin/true"], close_fds=True, check=False, timeout=10)
    expect("the other program's end", done.returncode, 0)


def serve(server):
    for asked in (V4.first, V4.second, V4.first):
        client, peer = V4.meet(server, asked)
        server.sendto(b"answer", peer)
        V4.expect_answer(client, asked)
        client.close()


def before_bind():
    start_another()
    server = V4.server()
    serve(server)
    start_another()
    serve(server)
    serve(V4.server())


def in_forked_child():
    server = V4.server()

    def child():
        start_another()
        serve(server)
        start_another()
        serve(server)
        serve(V4.server())

    expect("the child's end", in_child(child), 0)
    serve(server)


def before_bind_then_fork():
    start_another()
    server = V4.server()

    def child():
        start_another()
        serve(server)

    expect("the child's end", in_child(child), 0)
    serve(server)


def in_two_generations():
    server = V4.server()
    serve(server)

    def grandchild():
        start_another()
        serve(server)

    def child():
        start_another()
        expect("the grandchild's end", in_child(grandchild), 0)
        serve(server)

    expect("the child's end", in_child(child), 0)
    start_another()
    serve(server)


run({"before_bind": before_bind, "in_forked_child": in_forked_child, "before_bind_then_fork": before_bind_then_fork,
     "in_two_generations": in_two_generations})
