#!/bin/sh
# Build the wheel for AArch64 and test it there: in a Debian of that architecture, under QEMU.
#
#     apt-get install debootstrap qemu-user-static python3-pip
#     tests/emulate_aarch64.sh /var/tmp/aarch64 [arguments of pytest]
#
# For root, on Linux with a network.  The first run fills the folder with a Debian of 1.2 GB, and is
# to begin with an empty folder; later ones build and test in it again.  Without arguments for
# pytest, the tests of kernels, `conv2d`, threads and modules run, and the property tests with ten
# examples each.  QEMU's entry among the kernel's binary formats (binfmt_misc) is made where it is
# missing, and taken out again.
set -eu

SUITE=bookworm PYTHON=3.11 # its own
export BUILD_NEEDS="setuptools>=77 numba>=0.68,<0.69" # as pyproject.toml and build_kernels.py ask
export TEST_NEEDS="numpy>=2 pytest hypothesis threadpoolctl"
FORMATS=/proc/sys/fs/binfmt_misc
FORMAT=$FORMATS/aotconv-aarch64

[ $# -ge 1 ] || { sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 2; }
mkdir -p "$1"
here=$(cd "$(dirname "$0")/.." && pwd) debian=$(cd "$1" && pwd)
shift
# Numba's JIT compiler, and a test whose layers are large, would take an hour.
[ $# -gt 0 ] || set -- -k "not jit and not gil_is_released" \
    tests/test_kernels.py tests/test_conv.py tests/test_threads.py tests/test_modules.py \
    tests/test_properties.py

clean_up() {
    ! mountpoint -q "$debian/proc" || umount "$debian/proc"
    ! mountpoint -q "$debian/dev" || umount "$debian/dev"
    [ ! -e "$FORMAT" ] || echo -1 > "$FORMAT"
}
trap clean_up EXIT
trap "exit 1" HUP INT TERM

# The flag F: the kernel keeps the interpreter open, which is not there inside of a chroot.
[ -e $FORMATS/register ] || mount -t binfmt_misc binfmt_misc $FORMATS
if ! grep -qs '^flags: .*F' $FORMATS/qemu-aarch64*; then
    qemu=$(command -v qemu-aarch64-static)
    magic='\x7f\x45\x4c\x46\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
    mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
    echo ":${FORMAT##*/}:M::$magic:$mask:$qemu:F" > $FORMATS/register
fi

if [ ! -e "$debian/work/tests" ]; then
    debootstrap --arch=arm64 --variant=minbase \
        --include=python3,python3-venv,binutils $SUITE "$debian"
    mkdir -p "$debian/work"
    chroot "$debian" python3 -m venv /work/build
    chroot "$debian" python3 -m venv /work/tests
fi
mountpoint -q "$debian/proc" || mount -t proc proc "$debian/proc"
mountpoint -q "$debian/dev" || mount --bind /dev "$debian/dev"

# Packages come through this machine's pip; in there they are only unpacked.
python3 -m pip download --quiet --dest "$debian/work/packages" --only-binary :all: \
    --python-version $PYTHON --platform manylinux_2_28_aarch64 \
    --platform manylinux_2_27_aarch64 --platform manylinux_2_17_aarch64 \
    $BUILD_NEEDS $TEST_NEEDS
rm -rf "$debian/work/source" "$debian/work/dist"
mkdir "$debian/work/source"
git -C "$here" ls-files -z | tar -C "$here" --null -T - -c | tar -C "$debian/work/source" -x

chroot "$debian" sh -eu -c '
    cd /work
    install() { python -m pip install --quiet --no-index --find-links packages "$@"; }
    . build/bin/activate
    install $BUILD_NEEDS
    pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist ./source
    ls -l dist
    . tests/bin/activate # without numba
    install $TEST_NEEDS
    install --no-deps --force-reinstall dist/*.whl
    cd source
    python -I tests/smoke.py
    rm -r aotconv # so that the wheel is tested, and not the source folder
    AOTCONV_EXAMPLES=${AOTCONV_EXAMPLES:-10} python -m pytest -q "$@"
' sh "$@"
