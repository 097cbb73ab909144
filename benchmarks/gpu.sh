#!/usr/bin/env bash
# What a CPU has no time for, into one folder: what a GPU computes is checked, its steps and two
# million samples are timed, and the paper's large network is trained and judged. It goes on where it
# was stopped, and needs no network once the data are there (`matgen data fetch oqmd`).
#
#   benchmarks/gpu.sh FOLDER
#
# A rehearsal on a CPU, most of it the 100,000 samples that each training ends with:
#
#   DEVICE=cpu SAMPLES=2000 EPOCHS=0.002 PRESETS=mp benchmarks/gpu.sh FOLDER
set -euo pipefail
out=$(mkdir -p "${1:?usage: benchmarks/gpu.sh FOLDER}" && cd "$1" && pwd)
device=${DEVICE:-cuda}
samples=${SAMPLES:-2000000}
epochs=${EPOCHS:-1000} # the paper's
read -ra presets <<<"${PRESETS:-oqmd mp dense}"
cd "$(dirname "$0")/.."

once() { # FILE COMMAND...
    [ -e "$out/$1" ] || { "${@:2}" && touch "$out/$1"; }
}
timed() {
    python benchmarks/training_speed.py --device "$device" --presets "${presets[@]}"
    cp benchmarks/results/training_speed.* "$out"
}
train() { # NAME OPTION...
    matgen train wgan --resume --name "$1" --out "$out/$1" --data oqmd --preset oqmd \
        --device "$device" --set "wgan.epochs=$epochs" "${@:2}"
    once "$1.evaluation.json" matgen evaluate "$out/$1" -n "$samples" --device "$device" \
        -o "$out/$1.evaluation.json"
}

[ "$device" = cpu ] || once checked pytest -m cuda
once training_speed.json timed
once samples.csv.report.json matgen run -g wgan-oqmd --validators charge,eneg -n "$samples" \
    --batch-size 32768 --set wgan.batch_size=32768 --device "$device" -o "$out/samples.csv"
screened=(--screen charge,eneg)
ours=(--set "wgan.critic=[1024, 1024]" --set wgan.critic_steps=5 --set wgan.lr_generator=3e-4
    --set wgan.lr_critic=3e-4 --set wgan.decay=0.5 --set wgan.averaging=0.998)
# Ours first: by the paper's rates little was learned on a CPU.
train large-screened "${screened[@]}" "${ours[@]}"
train large "${ours[@]}"
train paper-screened "${screened[@]}"
train paper
python benchmarks/large.py "$out"/{large,large-screened,paper,paper-screened}
cp benchmarks/results/large.* "$out"
