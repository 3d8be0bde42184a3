"""Which implementation runs: detection, choice, fall and what is said about it."""

from __future__ import annotations

import os
import shutil
import warnings

import numpy as np
import pytest
from conftest import AOT_LEVELS, AVAILABLE
from processes import PACKAGE, output_of, run_python, without

import aotconv
from aotconv._core import cpu, ladder
from aotconv._plan.registry import IS_X86_64, LEVELS

IMAGES, FILTERS = np.ones((1, 5, 5, 2), np.float32), np.ones((3, 3, 2, 4), np.float32)
needs_x86_64 = pytest.mark.skipif(not IS_X86_64, reason="cpuid is x86's")


class CPU:
    """A made-up x86 CPU that has `features`, and an operating system that saves `saved`."""

    def __init__(self, features, saved, highest=(7, 0x80000008)):
        self.features, self.saved, self.highest = features, saved, highest
        self.asked_xgetbv = False

    def cpuid(self, leaf, subleaf, register):
        if leaf in (0, 0x80000000):
            return self.highest[leaf != 0] if register == 0 else 0
        found = 0
        for name, (its_leaf, its_subleaf, its_register, bit) in cpu.FEATURES.items():
            if (its_leaf, its_subleaf, its_register) == (leaf, subleaf, register):
                found |= (name in self.features) << bit
        return found

    def xgetbv(self):
        self.asked_xgetbv = True
        return self.saved

    def best_level(self):
        features = cpu.detect(self.cpuid, self.xgetbv)
        return next((level.name for level in LEVELS.values() if level.features <= features), None)


def features_of(level):
    return LEVELS[level].features | {"osxsave"}


@needs_x86_64
@pytest.mark.parametrize("level", ["x86-64-v2", "x86-64-v3", "x86-64-v4"])
def test_a_cpu_that_has_just_a_levels_features_gets_that_level(level):
    assert CPU(features_of(level), 0b11100111).best_level() == level


@needs_x86_64
@pytest.mark.parametrize("level", ["x86-64-v2", "x86-64-v3", "x86-64-v4"])
def test_a_cpu_that_lacks_one_feature_of_a_level_does_not_get_it(level):
    for feature in LEVELS[level].features:
        assert CPU(features_of(level) - {feature}, 0b11100111).best_level() != level


@needs_x86_64
def test_registers_that_the_operating_system_does_not_save_are_not_used():
    assert CPU(features_of("x86-64-v4"), 0b00000111).best_level() == "x86-64-v3"
    assert CPU(features_of("x86-64-v4"), 0b01100111).best_level() == "x86-64-v3"
    assert CPU(features_of("x86-64-v4"), 0b00000011).best_level() == "x86-64-v2"


@needs_x86_64
def test_xgetbv_is_not_run_on_a_cpu_without_it():
    cpu = CPU(LEVELS["x86-64-v2"].features, 0)
    assert cpu.best_level() == "x86-64-v2" and not cpu.asked_xgetbv


@needs_x86_64
def test_leaves_that_an_old_cpu_does_not_have_are_not_believed():
    assert CPU(features_of("x86-64-v3"), 0b111, highest=(1, 0x80000008)).best_level() == "x86-64-v2"
    assert CPU(features_of("x86-64-v2"), 0b111, highest=(7, 0x80000000)).best_level() is None


def test_the_compiled_kernels_are_what_runs_here():
    assert AOT_LEVELS, [each.reason for each in aotconv.implementations()]
    assert aotconv.active().name == AOT_LEVELS[0]
    assert ladder.rung("float32") == ladder.Rung(AOT_LEVELS[0], jit=False)
    assert ladder.rung("float64") == ladder.Rung(AOT_LEVELS[0], jit=False)


def test_use_forces_each_implementation_and_goes_back():
    before = aotconv.active()
    for name in AVAILABLE:
        with aotconv.use(name):
            assert aotconv.active().name == name
            assert (aotconv.conv2d(IMAGES, FILTERS) == 18).all()
    with pytest.raises(RuntimeError), aotconv.use(AVAILABLE[-1]):
        raise RuntimeError
    assert aotconv.active() == before


def test_use_of_an_unknown_name_lists_the_possible_ones_before_the_block():
    with pytest.raises(ValueError, match=r"'sse9' is no implementation; possible here: .*numpy"):
        aotconv.use("sse9")


def test_the_environment_variable_forces_an_implementation():
    code = "import aotconv; print(aotconv.active().name)"
    for name in AVAILABLE:
        assert output_of(code, AOTCONV_IMPLEMENTATION=name) == name


def test_the_environment_variable_with_an_unknown_name_is_an_error_that_lists_the_possible():
    code = "import aotconv; print('imported', flush=True); aotconv.active()"
    result = run_python(code, AOTCONV_IMPLEMENTATION="avx3")
    assert result.returncode == 1 and result.stdout == "imported\n"
    assert "AOTCONV_IMPLEMENTATION: 'avx3' is no implementation; possible here:" in result.stderr


def test_the_command_line_with_an_unknown_implementation_says_so_in_one_line():
    code = "import sys; from aotconv.__main__ import main; sys.exit(main(['info']))"
    result = run_python(code, AOTCONV_IMPLEMENTATION="avx3")
    assert result.returncode == 2 and result.stdout == ""
    assert result.stderr.startswith("aotconv: error: AOTCONV_IMPLEMENTATION: 'avx3' is no")
    assert result.stderr.count("\n") == 1


THREE_CALLS = """
import warnings
import numpy as np, aotconv
images, filters = np.ones((1, 5, 5, 2), np.float32), np.ones((3, 3, 2, 4), np.float32)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for _ in range(3):
        assert (aotconv.conv2d(images, filters) == 18).all()
print(aotconv.active().name, len(caught), *(w.category.__name__ for w in caught), caught[0].message)
"""


def test_without_compiled_modules_numba_computes_and_one_warning_names_reason_and_cure():
    said = output_of(without() + THREE_CALLS)
    assert said.startswith("jit 1 FallbackWarning ")
    assert "aotconv runs without its compiled kernels" in said
    assert "not installed for this Python" in said and "pip install" in said


def test_without_compiled_modules_and_numba_numpy_computes_and_one_warning_says_so():
    said = output_of(without("numba") + THREE_CALLS)
    assert said.startswith("numpy 1 FallbackWarning ")
    assert "aotconv runs without its compiled kernels" in said
    assert "NumPy computes instead" in said and "not installed for this Python" in said
    assert "lacks" not in said


def test_a_fallback_that_was_chosen_does_not_warn():
    code = (without("numba") + THREE_CALLS).replace("caught[0].message", "'-'")
    assert output_of(code, AOTCONV_IMPLEMENTATION="numpy") == "numpy 0 -"


def test_a_dtype_without_compiled_kernel_warns_once():
    ladder._warn_once.cache_clear()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            aotconv.conv2d(IMAGES.astype(np.longdouble), FILTERS)
    assert [each.category for each in caught] == [aotconv.FallbackWarning]
    assert f"has no kernel for {np.dtype(np.longdouble).name}" in str(caught[0].message)
    assert caught[0].filename == __file__


def test_a_dtype_that_numba_cannot_compile_falls_to_numpy_with_a_warning():
    ladder._warn_once.cache_clear()
    with aotconv.use("jit"), pytest.warns(aotconv.FallbackWarning, match="NumPy computes"):
        aotconv.conv2d(IMAGES.astype(np.longdouble), FILTERS)


INTEGERS = """
import warnings, numpy as np, aotconv
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for dtype in ("int64", "uint64"):  # whose sums may be large
        for _ in range(2):
            result = aotconv.conv2d(np.ones((1, 5, 5, 2), dtype), np.ones((3, 3, 2, 4), dtype))
            assert result.dtype == dtype and (result == 18).all()
            float32 = aotconv.conv2d(np.ones((1, 5, 5, 2), "f4"), np.ones((3, 3, 2, 4), "f4"))
            assert (float32 == 18).all()
print(*sorted({str(each.message) for each in caught}), sep="\\n")
"""


@pytest.mark.skipif(not AOT_LEVELS, reason="needs modules")
@pytest.mark.parametrize("more", [{}, {"NUMBA_DISABLE_JIT": "1"}])
def test_compiled_modules_compute_integers_whatever_numba_does(tmp_path, more):
    (tmp_path / "numba").mkdir()
    (tmp_path / "numba" / "__init__.py").write_text("raise ImportError('is not wanted')\n")
    path = os.pathsep.join(map(str, (tmp_path, PACKAGE)))
    assert output_of(INTEGERS, PYTHONPATH=path, **more) == ""


@pytest.mark.skipif("jit" not in AVAILABLE, reason="needs numba")
def test_jit_falls_to_numpy_where_numba_is_kept_from_compiling(tmp_path):
    (tmp_path / ".numba_config.yaml").write_text("disable_jit: 1\n")
    jit = {"PYTHONPATH": str(PACKAGE), "AOTCONV_IMPLEMENTATION": "jit"}
    said = output_of(INTEGERS, cwd=tmp_path, **jit)
    assert said.count(": NumPy computes") in (0, 2)  # numba reads the file if it has PyYAML
    with_jit = "import aotconv; aotconv.use('jit')"
    result = run_python(with_jit, NUMBA_DISABLE_JIT="1")
    assert "'jit' cannot run here: NUMBA_DISABLE_JIT keeps numba from compiling" in result.stderr


@pytest.mark.skipif("jit" not in AVAILABLE, reason="needs numba")
def test_jit_falls_to_numpy_with_what_a_broken_numba_says(tmp_path):
    (tmp_path / "numba").mkdir()
    (tmp_path / "numba" / "__init__.py").write_text("raise ImportError('needs another NumPy')\n")
    path = os.pathsep.join(map(str, (tmp_path, PACKAGE)))
    said = output_of(INTEGERS, PYTHONPATH=path, AOTCONV_IMPLEMENTATION="jit")
    fault = "(numba fails: ImportError: needs another NumPy): NumPy computes instead"
    assert said.count(fault) == 2


@pytest.fixture(scope="module")
def cached(tmp_path_factory):
    """What INTEGERS says, and the cache that numba has filled meanwhile."""
    folder = tmp_path_factory.mktemp("cache")
    jit = {"NUMBA_CACHE_DIR": str(folder), "AOTCONV_IMPLEMENTATION": "jit"}
    return output_of(INTEGERS, **jit), folder


@pytest.mark.skipif("jit" not in AVAILABLE, reason="needs numba")
@pytest.mark.parametrize("suffix", ["nbc", "nbi"])
@pytest.mark.parametrize(
    "damaged",
    [
        lambda data: data[:100],
        pytest.param(lambda data: b"", marks=pytest.mark.long),
        pytest.param(lambda data: b"no pickle", marks=pytest.mark.long),
    ],
    ids=["cut off", "empty", "no pickle"],
)
def test_a_damaged_cache_of_numbas_is_passed_over(suffix, damaged, cached, tmp_path):
    first, folder = cached
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    files = list(tmp_path.rglob(f"*.{suffix}"))
    assert files
    for file in files:
        file.write_bytes(damaged(file.read_bytes()))
    jit = {"NUMBA_CACHE_DIR": str(tmp_path), "AOTCONV_IMPLEMENTATION": "jit"}
    assert output_of(INTEGERS, **jit) == first == ""


def test_a_module_of_another_source_is_refused(monkeypatch):
    level = LEVELS[AOT_LEVELS[0]]
    monkeypatch.setattr(ladder, "ABI", "abi_of_another_source")
    module, reason = ladder._module.__wrapped__(level)
    assert module is None and "built from another source" in reason


def test_the_aot_path_imports_neither_numba_nor_the_kernels_source():
    code = """
import sys, numpy as np, aotconv
aotconv.conv2d(np.ones((1, 5, 5, 2), "f4"), np.ones((3, 3, 2, 4), "f4"))
print(sorted(name for name in sys.modules if "numba" in name or "llvm" in name
    or name.startswith("aotconv._kernels")))
"""
    assert output_of(code) == "[]"


def test_import_starts_no_thread_and_changes_no_environment():
    code = """
import os, threading, numpy
before = dict(os.environ), len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self") else 0
import aotconv
assert before[0] == dict(os.environ) and threading.active_count() == 1
assert not before[1] or before[1] == len(os.listdir("/proc/self/task"))
"""
    output_of(code)


def test_show_config_prints_versions_levels_and_threads(capsys):
    aotconv.show_config()
    said = capsys.readouterr().out
    for expected in (aotconv.__version__, np.__version__, "threads", *LEVELS, "jit", "[active]"):
        assert expected in said


def test_show_config_returns_what_it_prints(capsys):
    facts = aotconv.show_config("dicts")
    assert capsys.readouterr().out == ""
    assert [each["name"] for each in facts["implementations"]] == [
        each.name for each in aotconv.implementations()
    ]
    assert aotconv.show_config(mode="stdout") is None
    assert facts["cpu"] and f"CPU     {facts['cpu']}\n" in capsys.readouterr().out


@pytest.mark.parametrize("mode, error", [("dict", ValueError), (None, ValueError), (1, TypeError)])
def test_show_config_refuses_other_modes(mode, error):
    with pytest.raises(error, match="mode must be one of"):
        aotconv.show_config(mode)
