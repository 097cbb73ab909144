#!/usr/bin/env bash
# The commands that trained the shipped weights; each goes on where it was stopped.
# Usage: benchmarks/train.sh FOLDER, then copy card.toml and both .safetensors of each network
# into plugins/matgen_wgan/weights/NAME.
set -euo pipefail
out=${1:?usage: benchmarks/train.sh FOLDER}
matgen data fetch oqmd
train() { matgen train wgan --resume --preset compact --data "$1" --out "$out/$2" "${@:3}"; }
