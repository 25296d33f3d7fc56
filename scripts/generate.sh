#!/usr/bin/env bash
# Fails where `go generate` changes a file; uncommitted work may be there.
set -euo pipefail
before=$(git diff | sha256sum)
go generate ./...
after=$(git diff | sha256sum)
[ "$before" = "$after" ] || { echo "go generate changed files; commit them" >&2; exit 1; }
