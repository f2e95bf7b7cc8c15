# SPDX-License-Identifier: Apache-2.0
# What seed 003 takes for granted: two clusters, and the certificates of Istio's samples.
set -e
./isthmus certs --out samples/certs
