# SPDX-License-Identifier: Apache-2.0
# The two clusters
kubectl config get-contexts
