#!/usr/bin/env bash
# Writes the product pack for each platform that is named, as linux/amd64:
# dist/sluice-VERSION-OS-ARCH.tar.gz, and dist/SHA256SUMS. Unpacked, the folder is
# a home: ./sluice starts it. The binary alone stays in dist/OS-ARCH.
set -euo pipefail
cd "$(dirname "$0")/.."
version=$(git describe --tags --always --dirty 2>/dev/null || echo devel)
rm -rf dist
mkdir dist
for platform in "$@"; do
	os=${platform%/*} arch=${platform#*/}
	name="sluice-$version-$os-$arch"
	CGO_ENABLED=0 GOOS=$os GOARCH=$arch go build -o "dist/$os-$arch/sluice" ./cmd/sluice
	bin/sluice init "dist/$name" --layout wso2 --profile quickstart >/dev/null
	cp "dist/$os-$arch/sluice" scripts/dist-README.md LICENSE "dist/$name/"
	mv "dist/$name/dist-README.md" "dist/$name/README.md"
	cp -r packaging "dist/$name/"
	tar -C dist --owner=0 --group=0 --sort=name --mtime="@$(git log -1 --format=%ct 2>/dev/null || echo 0)" -cf - "$name" | gzip -n >"dist/$name.tar.gz"
	rm -rf "dist/$name"
	echo "dist/$name.tar.gz"
done
(cd dist && sha256sum -- *.tar.gz >SHA256SUMS)
