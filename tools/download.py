# SPDX-License-Identifier: Apache-2.0
# download.py URL FILE: for a machine whose Node is still to come. On a terminal it shows how far it is.
import sys
import urllib.request

url, path = sys.argv[1], sys.argv[2]
try:
    with urllib.request.urlopen(url, timeout=60) as source, open(path, "wb") as target:
        total, done = int(source.headers.get("content-length") or 0), 0
        for block in iter(lambda: source.read(1 << 18), b""):
            target.write(block)
            done += len(block)
            if total and sys.stdout.isatty():
                sys.stdout.write("\r  %d %%\033[K" % (100 * done // total))
                sys.stdout.flush()
        if total and sys.stdout.isatty():
            sys.stdout.write("\r\033[K")
except (OSError, ValueError) as error:
    sys.exit("python3: %s: %s" % (url, error))
