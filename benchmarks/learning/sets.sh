#!/bin/sh
# Prepare the sets of real faces that the learning table needs: sets.sh FACES WEIGHTS OUT
# Pretraining: celeba (its training people), utkface, fer, clips. Probes: celeba (its test people), ckplus, lipreading, helen.
set -eu
faces=$(realpath "$1") weights=$(realpath "$2") out=$3
mkdir -p "$out/videos"
for folder in voxceleb2_pcavs hdtf_sadtalker liveportrait_driving talking_misc marlin_clips mead_eamm grid_s1 grid_lipnet_samples; do
  cp -r "$faces/$folder" "$out/videos/"
done
cd "$out"
prepare() { python -m preface_hf prepare "$@" --crop-size "${CROP:-72}" --weights "$weights" --preview; }
prepare "$faces/celeba_small/attributes.csv" celeba --recipe csv --media image
prepare "$faces/utkface" utkface --media image
prepare "$faces/fer2013_subset/labels.csv" fer --recipe csv
prepare videos clips --media video --max-seconds 1.5
prepare "$faces/ckplus48" ckplus --recipe ck-plus
prepare "$faces/lipreading_org/labels.csv" lipreading --recipe csv
prepare "$faces/helen_afw_68pts" helen --recipe 300w --landmarker given
