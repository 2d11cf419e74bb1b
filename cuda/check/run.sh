#!/usr/bin/env bash
# The first minutes on a machine with a GPU, nvcc 13 and PyTorch, without Node and without a network:
#   cuda/check/run.sh [--dry-run] [FOLDER]     # default FOLDER: out-cuda; PYTHON=<the one that has PyTorch>
# In order of value, each result written when it is there; what is there already is left out, so it may be run again.
# It wants the packs that `npm run cuda:pack` writes (build-cuda/checks.pack.gz, timings.pack.gz) and the library of
# `npm run build:cuda`; without the library it is built from the sources. --dry-run: on the emulated library, to see
# that everything would run.
set -uo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
dry=
[ "${1:-}" = --dry-run ] && dry=yes && shift
out=${1:-out-cuda}
mkdir -p "$out"
out=$(cd "$out" && pwd)
bad=0
say() { echo "== $* ($SECONDS s)"; }
within() { # seconds, command: ended when they are over
  timeout --signal=INT --kill-after=10 "$@"
}
packs=$root/build-cuda
library=$root/build-cuda/libbayescnn-cuda.so
[ -n "$dry" ] && packs=${PACKS:-$packs} && library=${BAYESCNN_CUDA:-$root/build-emulated/libbayescnn-cuda.so}
timings=timings${dry:+-dry}
for pack in checks $timings; do
  [ -f "$packs/$pack.pack.gz" ] || { echo "no $packs/$pack.pack.gz: npm run cuda:pack writes it"; exit 2; }
  [ -f "$out/$pack.pack" ] || gzip -dc "$packs/$pack.pack.gz" >"$out/$pack.pack" || exit 2
done
g++ -std=c++17 -O2 -I. cuda/check/replay.cpp native/program/culprit.cpp -o "$out/replay" -ldl || exit 2
if [ ! -f "$library" ]; then
  say "no library: building it"
  cmake -S cuda -B "$out/build" -DCMAKE_CUDA_ARCHITECTURES=native && cmake --build "$out/build" --parallel || exit 2
  library=$(find "$out/build" -name libbayescnn-cuda.so | head -1)
fi
replay() { # pack, rows, more
  local pack=$1 rows=$2
  shift 2
  within "${LIMIT:-120}" "$out/replay" "$library" "$out/$pack.pack" --out "$out/$rows.jsonl" "$@" || bad=1
}

say "the device"
[ -n "$dry" ] || nvidia-smi --query-gpu=name,driver_version,clocks.max.sm --format=csv,noheader | tee "$out/card.txt"
say "the instructions of cuda/gpu.h"
if [ -n "$dry" ]; then
  flags="-std=c++17 -O1 -I. -DEMULATED -Wno-unknown-pragmas -Wno-tsan"
  g++ $flags -fsanitize=thread -x c++ -c cuda/check/wrappers.cu -o "$out/wrappers.o" &&
    g++ "$out/wrappers.o" build-emulated/{emu,memory,runtime}.cpp.o -o "$out/wrappers"
else
  nvcc -std=c++17 --fmad=false -I. -arch=native -o "$out/wrappers" cuda/check/wrappers.cu
fi
"$out/wrappers" | tee "$out/wrappers.txt"
[ "${PIPESTATUS[0]}" = 0 ] || bad=1
say "stores, chunks of steps, faults, a full card"
g++ -std=c++17 -O1 -I. test/cuda/device.cpp -o "$out/device" -ldl && within 60 "$out/device" "$library" | tee "$out/device.txt"
[ "${PIPESTATUS[0]}" = 0 ] || bad=1
say "noise, bit for bit"
replay checks pack --only noise
say "training steps, products and faults"
for what in train: product fault; do replay checks pack --only "$what"; done
replay checks pack --only product: --arithmetic tf32
[ -n "$dry" ] || replay checks pack --only train: --arithmetic tf32
say "every op"
if [ -n "$dry" ]; then replay checks pack --only softmax; else replay checks pack; fi
say "times"
hows="tf32 bf16 fp32"
[ -z "$dry" ] || hows=tf32
for how in $hows; do LIMIT=60 replay $timings timings --arithmetic "$how"; done
say "PyTorch"
within 120 "${PYTHON:-python3}" cuda/check/peer.py "$out/peer.jsonl" ${dry:+--quick} || bad=1
sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2>/dev/null || true)
if [ -n "$sanitizer" ] && [ -z "$dry" ]; then
  say "compute-sanitizer"
  for tool in memcheck racecheck; do
    within 60 "$sanitizer" --tool "$tool" --error-exitcode 9 "$out/replay" "$library" "$out/checks.pack" --only bayesConv2d \
      >"$out/$tool.txt" 2>&1 || { bad=1; tail -5 "$out/$tool.txt"; }
  done
else
  echo "compute-sanitizer: left out"
fi
"${PYTHON:-python3}" cuda/check/table.py "$out" | tee "$out/table.md"
rm -f "$out"/*.pack "$out"/{replay,device,wrappers}
say "done"
exit $bad
