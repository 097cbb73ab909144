#!/usr/bin/env bash
# The commands that trained the shipped weights; each goes on where it was stopped.
#
#   OMP_NUM_THREADS=1 benchmarks/train.sh FOLDER
#
# Each took one core 1 to 90 minutes. Those that end in a seed are not shipped: they show the spread,
# see benchmarks/seeds.py. To ship a network, copy its card.toml, metrics.jsonl,
# weights.safetensors and known.safetensors to weights/NAME in the folder of its plugin.
set -euo pipefail
out=${1:?usage: benchmarks/train.sh FOLDER}

train() { # NAME DATA OPTION...
    matgen train "${1%%-*}" --resume --name "$1" --out "$out/$1" --data "${@:2}"
}

matgen data fetch oqmd # one package carries all three data sets
for data in "oqmd 5.3 24 12" "mp 27 40 40" "icsd 80 108 108"; do
    set -- $data
    train "wgan-$1" "$1" --preset dense --set "wgan.epochs=$2"
    options=(--screen charge,eneg --set "wgan.epochs=$3")
    train "wgan-$1-screened" "$1" --preset dense "${options[@]}"
    train "wgan-$1-novel" "$1" --preset novel --screen charge,eneg --set "wgan.epochs=$4"
    for seed in 1 2; do
        train "wgan-$1-$seed" "$1" --seed $seed --preset dense --set "wgan.epochs=$2"
        train "wgan-$1-screened-$seed" "$1" --seed $seed --preset dense "${options[@]}"
    done
done
train wgan-oqmd-large oqmd --preset oqmd --set "wgan.critic=[512,512]" --set wgan.epochs=2.5 \
    --set wgan.lr_generator=3e-4 --set wgan.lr_critic=3e-4 --set wgan.batch_size=32 \
    --set wgan.critic_steps=5 --set wgan.averaging=0.998 --set wgan.decay=0.5 --set wgan.interval=200
train dice-mp mp --preset compact --set dice.epochs=4
train dice-icsd icsd --preset compact --set dice.epochs=9 --set dice.interval=500
train dice-oqmd oqmd --preset compact --set dice.epochs=2
train rnn-oqmd oqmd --set rnn.epochs=2
train rnn-oqmd-screened oqmd --screen charge,eneg --set rnn.epochs=3
train rnn-oqmd-novel oqmd --preset novel --screen charge,eneg --set rnn.epochs=3
for data in mp icsd; do
    train "rnn-$data-novel" "$data" --preset novel --screen charge,eneg
    train "rnn-$data" "$data"
    train "rnn-$data-screened" "$data" --screen charge,eneg
    for seed in 1 2; do
        train "rnn-$data-$seed" "$data" --seed $seed
        train "rnn-$data-screened-$seed" "$data" --screen charge,eneg --seed $seed
        train "rnn-$data-novel-$seed" "$data" --preset novel --screen charge,eneg --seed $seed
    done
done
for seed in 1 2; do
    train "dice-icsd-$seed" icsd --seed $seed --preset compact --set dice.epochs=9 \
        --set dice.interval=500
    train "dice-mp-$seed" mp --seed $seed --preset compact --set dice.epochs=4
done

for name in elemnet transformer; do
    train "$name-oqmd" oqmd-energy
done
for name in gbrt-gap gap-class; do
    matgen train "$name" --resume --data mp-gap --name "$name-mp" --out "$out/$name-mp"
done
