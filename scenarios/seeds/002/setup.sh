# SPDX-License-Identifier: Apache-2.0
# What the document takes for granted: two clusters (contexts cluster1 and cluster2), and the certificates of samples/certs.
./isthmus certs
