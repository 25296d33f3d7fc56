#!/usr/bin/env bash
# Writes the product pack: dist/sluice-VERSION-OS-ARCH.tar.gz. Unpacked, the
# folder is a home: ./sluice starts it.
set -euo pipefail
cd "$(dirname "$0")/.."
version=$(git describe --tags --always --dirty 2>/dev/null || echo devel)
name="sluice-$version-$(go env GOOS)-$(go env GOARCH)"
rm -rf "dist/$name"
mkdir -p dist
bin/sluice init "dist/$name" --layout wso2 --profile quickstart >/dev/null
cp bin/sluice scripts/dist-README.md LICENSE "dist/$name/"
mv "dist/$name/dist-README.md" "dist/$name/README.md"
tar -C dist --owner=0 --group=0 --sort=name -czf "dist/$name.tar.gz" "$name"
rm -rf "dist/$name"
echo "dist/$name.tar.gz"
