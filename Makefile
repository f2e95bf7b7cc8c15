# SPDX-License-Identifier: Apache-2.0
# Every target works on a fresh clone: what is missing is set up first (tools/setup.sh).
.PHONY: demo test test-all check golden bench setup clean help

help: ## what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: setup ## two clusters on this machine, the mesh on both, Bookinfo routed by version between them (others: ./isthmus demo --help)
	@./isthmus demo

setup: ## what a fresh clone lacks: Node, npm packages, Envoy, the bundle
	@tools/setup.sh

test: setup ## every test, under 20 minutes on two cores
	@tools/run.sh tools/test.ts

test-all: setup ## the full counts (hours); keeps the dated result in docs/test-all.md
	@tools/run.sh tools/test.ts --all

check: setup ## format, lint, types, layers and cycles, licences
	@tools/run.sh tools/check.ts

golden: setup ## write the goldens of scenarios/ anew; read the diff before you commit it
	@tools/run.sh tools/golden.ts

bench: setup ## figures and ratios, no pass or fail
	@tools/run.sh bench/main.ts

clean: ## remove what setup made
	rm -rf .tools node_modules gen dist
