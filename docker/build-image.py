#!/usr/bin/env python3
"""Container images out of the static binaries in dist/, without a builder and without a base image: docker/build-image.py

Writes, from what docker/build-binaries.sh has made,
  dist/edge-gateway-VERSION.oci.tar            an OCI image layout with an index of all platforms (skopeo copy, podman load)
  dist/edge-gateway-VERSION-PLATFORM.image.tar the same of one platform, which `docker load` of any age takes as well
The same input gives the same bytes, and so the same digests.

Formats: OCI image specification 1.1 (image-layout.md, manifest.md, config.md); manifest.json as `docker save` writes it.
"""
import argparse
import gzip
import hashlib
import io
import json
import pathlib
import re
import subprocess
import sys
import tarfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Target of the binary → platform of the image, by the names of Go that the specification takes over.
PLATFORMS = {
    "x86_64-unknown-linux-musl": {"architecture": "amd64", "os": "linux"},
    "aarch64-unknown-linux-musl": {"architecture": "arm64", "os": "linux", "variant": "v8"},
    "armv7-unknown-linux-musleabihf": {"architecture": "arm", "os": "linux", "variant": "v7"},
}
USER = 10001
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


class Archive:
    """A tar whose bytes depend on nothing but what is put in."""

    def __init__(self, when):
        self.buffer = io.BytesIO()
        self.when = when
        self.tar = tarfile.open(fileobj=self.buffer, mode="w", format=tarfile.USTAR_FORMAT)

    def add(self, name, data=None, mode=0o644, owner=0):
        entry = tarfile.TarInfo(name)
        entry.mtime, entry.mode, entry.uid, entry.gid = self.when, mode, owner, owner
        if data is None:
            entry.type = tarfile.DIRTYPE
            self.tar.addfile(entry)
        else:
            entry.size = len(data)
            self.tar.addfile(entry, io.BytesIO(data))

    def bytes(self):
        self.tar.close()
        return self.buffer.getvalue()


class Blobs:
    """What a layout holds, by digest."""

    def __init__(self):
        self.all = {}

    def add(self, media_type, data):
        digest = hashlib.sha256(data).hexdigest()
        self.all[digest] = data
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    def add_json(self, media_type, value):
        return self.add(media_type, encoded(value))

    def put_into(self, archive):
        archive.add("blobs", mode=0o755)
        archive.add("blobs/sha256", mode=0o755)
        for digest, data in sorted(self.all.items()):
            archive.add(f"blobs/sha256/{digest}", data)


def encoded(value):
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def layer(binary, roots, sbom, when):
    archive = Archive(when)
    archive.add("edge-gateway", binary.read_bytes(), mode=0o755)
    archive.add("broker-config", mode=0o755)
    archive.add("broker-config/gateway.toml", (ROOT / "broker-config/gateway.toml").read_bytes())
    archive.add("data", mode=0o755, owner=USER)
    archive.add("etc", mode=0o755)
    archive.add("etc/group", f"gateway:x:{USER}:\n".encode())
    archive.add("etc/passwd", f"gateway:x:{USER}:{USER}::/data:/sbin/nologin\n".encode())
    for folder in ["etc/ssl", "etc/ssl/certs"]:
        archive.add(folder, mode=0o755)
    archive.add("etc/ssl/certs/ca-certificates.crt", roots)
    archive.add("sbom.cdx.json", sbom)
    return archive.bytes()


def config(platform, diff_id, labels, created):
    return {
        **platform,
        "created": created,
        "config": {
            "User": f"{USER}:{USER}",
            "WorkingDir": "/",
            "Entrypoint": ["/edge-gateway"],
            "Env": ["EDGE_GATEWAY_STORE__PATH=/data/gateway.db"],
            "ExposedPorts": {"1883/tcp": {}, "8080/tcp": {}, "8083/tcp": {}},
            "Volumes": {"/data": {}},
            "Labels": labels,
            # Not of the OCI specification; docker and podman read it. Times in nanoseconds, as in docker/Dockerfile.
            "Healthcheck": {
                "Test": ["CMD", "/edge-gateway", "health"],
                "Interval": 30_000_000_000,
                "Timeout": 10_000_000_000,
                "StartPeriod": 10_000_000_000,
            },
        },
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "history": [{"created": created, "created_by": "docker/build-image.py"}],
    }


def layout(blobs, manifests, tags, when):
    """An image layout; `tags`: also what `docker load` reads, of its only image."""
    archive = Archive(when)
    archive.add("oci-layout", encoded({"imageLayoutVersion": "1.0.0"}))
    archive.add("index.json", encoded({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}))
    if tags:
        manifest = json.loads(blobs.all[manifests[0]["digest"].removeprefix("sha256:")])
        path = lambda blob: f"blobs/sha256/{blob['digest'].removeprefix('sha256:')}"
        loaded = {
            "Config": path(manifest["config"]),
            "RepoTags": tags,
            "Layers": [path(blob) for blob in manifest["layers"]],
        }
        archive.add("manifest.json", encoded([loaded]))
    blobs.put_into(archive)
    return archive.bytes()


def git(*words):
    return subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--dist", type=pathlib.Path, default=ROOT / "dist", help="folder of the binaries and the images")
    options.add_argument("--roots", type=pathlib.Path, required=True, help="certificates of the authorities, PEM")
    options.add_argument("--sbom", type=pathlib.Path, required=True, help="bill of materials, CycloneDX in JSON")
    chosen = options.parse_args()
    version = re.search(r'^version = "(.+)"', (ROOT / "Cargo.toml").read_text(), re.M).group(1)
    revision, when = git("rev-parse", "HEAD"), int(git("log", "-1", "--format=%ct"))
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(when))
    labels = {
        "org.opencontainers.image.title": "edge-gateway",
        "org.opencontainers.image.description": "MQTT edge gateway: broker, rules, durable store and store-and-forward",
        "org.opencontainers.image.licenses": "MIT OR Apache-2.0",
        "org.opencontainers.image.version": version,
        "org.opencontainers.image.revision": revision,
        "org.opencontainers.image.created": created,
    }
    roots, sbom = chosen.roots.read_bytes(), chosen.sbom.read_bytes()
    everything, index = Blobs(), []
    for target, platform in PLATFORMS.items():
        binary = chosen.dist / f"edge-gateway-{target}"
        if not binary.exists():
            continue
        tar = layer(binary, roots, sbom, when)
        packed = gzip.compress(tar, compresslevel=9, mtime=0)
        diff_id = f"sha256:{hashlib.sha256(tar).hexdigest()}"
        blobs = Blobs()
        manifest = blobs.add_json(MANIFEST, {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": blobs.add_json(CONFIG, config(platform, diff_id, labels, created)),
            "layers": [blobs.add(LAYER, packed)],
            "annotations": labels,
        })
        manifest["platform"] = platform
        everything.all.update(blobs.all)
        index.append(manifest)
        name = "-".join(filter(None, [platform["architecture"], platform.get("variant")]))
        name = {"arm64-v8": "arm64"}.get(name, name)
        file = chosen.dist / f"edge-gateway-{version}-{name}.image.tar"
        tags = [f"edge-gateway:{tag}" for tag in (version, "latest")]
        # Where docker keeps images in containerd, that reads the name here.
        named = [{**manifest, "annotations": {
            "io.containerd.image.name": f"docker.io/library/{tag}",
            "org.opencontainers.image.ref.name": tag.split(":")[1],
        }} for tag in tags]
        file.write_bytes(layout(blobs, named, tags, when))
        print(f"{file.name}  {manifest['digest']}  {len(packed)} bytes compressed")
    if not index:
        sys.exit(f"no binary in {chosen.dist}: run docker/build-binaries.sh first")
    whole = everything.add_json(INDEX, {
        "schemaVersion": 2, "mediaType": INDEX, "manifests": index, "annotations": labels,
    })
    whole["annotations"] = {"org.opencontainers.image.ref.name": version}
    file = chosen.dist / f"edge-gateway-{version}.oci.tar"
    file.write_bytes(layout(everything, [whole], [], when))
    print(f"{file.name}  {whole['digest']}")


if __name__ == "__main__":
    main()
