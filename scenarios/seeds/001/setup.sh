# SPDX-License-Identifier: Apache-2.0
# What seed 001 asks for before it starts: two clusters, which are there, and the sample certificates, which both share.
set -e
./isthmus certs --out samples/certs
