# SPDX-License-Identifier: MIT
"""empty_hash_table.py SHIM LIBRARY: a program starts with the shim and, behind it, a library whose hash table has no buckets.

Some linkers make such tables for libraries that export nothing. libc's loader passes over them.
"""
import os
import struct
import subprocess
import sys
import tempfile

PT_LOAD, PT_DYNAMIC, DT_GNU_HASH = 1, 2, 0x6FFFFEF5


def without_buckets(image):
    """Return the image of a 64-bit library, with the count of buckets in DT_GNU_HASH set to 0."""
    headers, size, count = struct.unpack_from("<Q14xHH", image, 32)
    segments = [struct.unpack_from("<IIQQQQ", image, headers + size * index) for index in range(count)]

    def place(address):
        return next(address - start + offset for kind, _, offset, start, _, length in segments
                    if kind == PT_LOAD and start <= address < start + length)

    _, _, offset, _, _, length = next(segment for segment in segments if segment[0] == PT_DYNAMIC)
    table = dict(struct.iter_unpack("<QQ", image[offset:offset + length]))[DT_GNU_HASH]
    image = bytearray(image)
    struct.pack_into("<I", image, place(table), 0)
    return image


def status_with(*libraries):
    return subprocess.run(["/bin/true"], env={"LD_PRELOAD": ":".join(libraries)}, check=False).returncode


shim, library = sys.argv[1:]
if struct.calcsize("P") != 8:
    print("SKIP: this test reads 64-bit libraries only")
    sys.exit(77)
with tempfile.TemporaryDirectory() as directory:
    copy = os.path.join(directory, "empty.so")
    with open(library, "rb") as source, open(copy, "wb") as target:
        target.write(without_buckets(source.read()))
    bare, with_shim = status_with(copy), status_with(shim, copy)
print(f"/bin/true ends with {bare} bare, with {with_shim} behind the shim")
sys.exit(0 if bare == with_shim == 0 else 1)
