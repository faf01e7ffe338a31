#!/bin/sh
# The learning table at vit-s on a GPU: gpu.sh SETS OUT MINUTES [KEY=VALUE...]. SETS as sets.sh makes it (CROP=128). Rows
# are pretrained one after the other, each within a sixth of MINUTES, then probed; started again, it goes on.
set -u
sets=$1 out=$2 minutes=$3
shift 3
here=$(dirname "$0") each=$((minutes * 10))
mkdir -p "$out"
for row in preface dino landmark local; do
  [ -d "$out/$row-0/final" ] || timeout -s INT "$each" python "$here/train.py" "$here/gpu.yaml" "$sets" "$out" "$row" 0 "$@"
  [ -d "$out/$row-0/final" ] || echo "$row-0 is not finished: start again, or give fewer max_steps"
done
for row in preface dino landmark local; do
  [ -d "$out/$row-0/final" ] && runs="${runs:-} $row-0=$out/$row-0/final"
done
python "$here/probes.py" "$sets" "$out/scores.jsonl" "$out/preface-0/final" pixels random:0 $runs
python "$here/table.py" "$out/scores.jsonl"
