export AOTCONV_IMPLEMENTATION=jit NUMBA_CACHE_DIR=/tmp/nbc
lscpu | grep -E "Model name|^CPU\(s\)|Thread|Hyper"; uname -r
for m in back pause hog; do for d in . .dv/old; do echo "== $d"; python3 .dv/scale.py $d $m 2>&1 | tail -8; done; done
