#!/bin/sh
# The learning table from faces to scores: run.sh FACES WEIGHTS OUT [STEPS]. Started again, it does what is left.
set -eu
faces=$1 weights=$2 out=$3 steps=${4:-3200}
here=$(dirname "$0") sets=$out/sets runs=$out/runs
export OMP_NUM_THREADS=1
[ -d "$sets/helen" ] || sh "$here/sets.sh" "$faces" "$weights" "$sets"
for run in preface:0 preface:1 preface:2 dino:0 local:0 landmark:0; do
  [ -d "$runs/${run%:*}-${run#*:}/final" ] ||
    python "$here/train.py" laptop "$sets" "$runs" "${run%:*}" "${run#*:}" mixed_precision=auto "max_steps=$steps"
done
PYTHONPATH=. python "$here/methods.py" "$sets" "$out/methods" "$((steps / 8))"
for task in celeba ck-plus fer2013 points helen; do
  python "$here/../finetuning/run.py" "$runs/preface-0/final" "$sets" "$out/finetuned" "$task"
done
like=$runs/preface-0/final
python "$here/probes.py" "$sets" "$out/scores.jsonl" "$like" mean pixels random:0 random:1 random:2 \
  $(for run in "$runs"/*-*; do echo "$(basename "$run")=$run/final"; done)
python "$here/probes.py" "$sets" "$out/methods.jsonl" "$out/methods/preface-0/final" mean pixels random:0 \
  $(for run in "$out"/methods/*-*; do echo "$(basename "$run")=$run/final"; done)
python "$here/table.py" "$out/scores.jsonl" "$out/pictures"
python "$here/compare.py" "$sets" "$out/scores.jsonl" preface random
python "$here/table.py" "$out/methods.jsonl" "$out/methods/pictures"
python "$here/../finetuning/table.py" "$out/finetuned"
