#!/usr/bin/env bash
# What `--features cuda` needs to compile, and what it makes to start, in one folder: CUDA 13.0's compiler, headers and libraries from the Python registry,
# without a GPU, a driver or root.
#
#     eval "$(scripts/cuda-toolkit.sh FOLDER)"        # FOLDER defaults to target/cuda-toolkit; about 2 GB; a second call only prints
#     cargo build --release --features cuda
#
# It prints the variables to set, and nothing else, on standard output; LD_LIBRARY_PATH is for the binary, which finds CUDA's libraries there
# wherever it runs. The driver's own library is not among them: it comes with the driver. It needs python3 with venv and pip, and a C compiler.
set -euo pipefail

version=13.0.2
parts=nvcc,cudart,cccl,cublas,curand,nvrtc,crt,nvvm
folder=${1:-$(cd "$(dirname "$0")/.." && pwd)/target/cuda-toolkit}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
home=$folder/site/nvidia/cu13

if [ ! -e "$folder/done-$version" ]; then
  for need in python3 cc; do
    command -v "$need" > /dev/null || { echo "scripts/cuda-toolkit.sh: $need is not installed" >&2; exit 1; }
  done
  python3 -m venv "$folder/venv" >&2
  "$folder/venv/bin/pip" install --quiet --disable-pip-version-check --only-binary=:all: --upgrade \
    --target "$folder/site" "cuda-toolkit[$parts]==$version" >&2
  [ -x "$home/bin/nvcc" ] || { echo "scripts/cuda-toolkit.sh: no nvcc in $home/bin; the packages' layout has changed" >&2; exit 1; }
  # The packages hold libcudart.so.13; `-lcudart` looks for libcudart.so. Candle's build looks in lib64.
  for library in "$home"/lib/lib*.so.*; do
    plain=${library%%.so.*}.so
    [ -e "$plain" ] || ln -s "$(basename "$library")" "$plain"
  done
  [ -e "$home/lib64" ] || ln -s lib "$home/lib64"
  # The driver's library comes with the driver. To link, one with its name and its symbols is enough, and they stand in cuda.h. Each of
  # its functions says CUDA_ERROR_NO_DEVICE: with it in LD_LIBRARY_PATH a binary starts without a driver, and finds no device.
  mkdir -p "$home/lib/stubs"
  grep -oE '\bcu[A-Z][A-Za-z0-9]*(_v[0-9]+)?(_ptsz|_ptds)?\b' "$home/include/cuda.h" | sort -u |
    sed 's/.*/int &(void) { return 100; }/' | cc -shared -x c -fno-builtin -w - -Wl,-soname,libcuda.so.1 -o "$home/lib/stubs/libcuda.so"
  ln -sf libcuda.so "$home/lib/stubs/libcuda.so.1"
  touch "$folder/done-$version"
fi

cat << VARIABLES
export CUDA_HOME='$home'
export CUDA_PATH='$home'
export CUDA_ROOT='$home'
export CUDA_TOOLKIT_ROOT_DIR='$home'
export NVCC='$home/bin/nvcc'
export PATH='$home/bin':"\$PATH"
export LIBRARY_PATH='$home/lib:$home/lib/stubs'\${LIBRARY_PATH:+:\$LIBRARY_PATH}
export LD_LIBRARY_PATH='$home/lib'\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}
export CUDA_COMPUTE_CAP=\${CUDA_COMPUTE_CAP:-90}
export CUDARC_CUDA_VERSION=13000
VARIABLES
