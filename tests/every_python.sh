#!/bin/sh
# Try one wheel under every CPython from 3.10 to 3.15, and have its modules audited.
#
#     nox -s wheel
#     apt-get install debootstrap
#     tests/every_python.sh /var/tmp/pythons dist/aotconv-*.whl [arguments of pytest]
#
# For root, on Linux with a network.  A Python that is on the PATH is taken from there; 3.14 and 3.15
# come from Debian's unstable release otherwise, whose root of 600 MB the first run makes in the
# folder.  Without arguments for pytest, the tests of calls, threads and properties run.
set -eu

PYTHONS="3.10 3.11 3.12 3.13 3.14 3.15"
NEEDS="numpy>=1.25 pytest hypothesis ml_dtypes threadpoolctl"

[ $# -ge 2 ] || { sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 2; }
mkdir -p "$1"
here=$(cd "$(dirname "$0")/.." && pwd) folder=$(cd "$1" && pwd) wheel=$2
shift 2
case ${1-} in *.whl) echo "one wheel at a time, got $wheel and $1" >&2; exit 2 ;; esac
[ $# -gt 0 ] || set -- -q tests/test_conv.py tests/test_threads.py tests/test_properties.py \
    tests/test_repeat.py tests/test_large_weights.py
debian=$folder/debian trial=$folder/trial

clean_up() {
    ! mountpoint -q "$debian/proc" || umount "$debian/proc"
    ! mountpoint -q "$debian/dev" || umount "$debian/dev"
}
trap clean_up EXIT
trap "exit 1" HUP INT TERM

make_debian() {
    if [ ! -e "$debian/work" ]; then
        mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 'Created-By: Packages')
        debootstrap --variant=minbase \
            --include=python3.14,python3.14-venv,python3.15,python3.15-venv,ca-certificates \
            sid "$debian" "$(echo "$mirror" | head -n 1)"
        # As this machine reaches its package index, so does the root.
        cp -L /etc/resolv.conf "$debian/etc/resolv.conf"
        [ ! -e /etc/pip.conf ] || cp -L /etc/pip.conf "$debian/etc/pip.conf"
        cp -L /etc/ssl/certs/ca-certificates.crt "$debian/etc/ssl/certs/"
        mkdir "$debian/work"
    fi
    mountpoint -q "$debian/proc" || mount -t proc proc "$debian/proc"
    mountpoint -q "$debian/dev" || mount --bind /dev "$debian/dev"
}

# What is tried is the wheel: the tests lie in a folder without the source.
tests() {
    rm -rf "$1/tests" && mkdir -p "$1" && cp -r "$here/tests" "$here/pyproject.toml" "$wheel" "$1"
}

try='
    cd "$2"
    "$1" -m venv --clear "environment-$1"
    python=environment-$1/bin/python && shift 2
    $python -m pip install --quiet --only-binary=:all: '$(printf "'%s' " $NEEDS)' ./*.whl
    $python -I tests/smoke.py
    [ -z "$(command -v objdump)" ] || $python -I tests/audit.py ./*.whl
    $python -m pytest -p no:cacheprovider "$@"
'
rm -rf "$trial" "$debian"/work/*.whl
for number in $PYTHONS; do
    echo "== CPython $number"
    if "python$number" -c "" 2> /dev/null; then
        tests "$trial"
        sh -eu -c "$try" sh "python$number" "$trial" "$@"
    else
        make_debian
        tests "$debian/work"
        chroot "$debian" env -u PIP_FIND_LINKS TMPDIR=/tmp sh -eu -c "$try" sh "python$number" /work "$@"
    fi
done
