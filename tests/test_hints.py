"""Type hints, for those who evaluate them: pydantic, command lines made of signatures."""

from __future__ import annotations

from processes import output_of

# In a process where nobody else has loaded what the hints name.
EVALUATED = """
import inspect, sys, typing
import numpy as np, aotconv
assert ("numpy.typing" in sys.modules) == np.__version__.startswith("1.")
public = {name: getattr(aotconv, name) for name in aotconv.__all__ if name != "__version__"}
for name, value in list(public.items()):
    if inspect.isclass(value):
        methods = inspect.getmembers(value, inspect.isfunction)
        public.update((f"{name}.{method}", function) for method, function in methods)
for name, value in public.items():
    typing.get_type_hints(value)
assert {"conv2d", "Conv2D.__init__", "Conv2D.__call__", "Conv2D.output_shape"} <= public.keys()
assert typing.get_type_hints(aotconv.conv2d)["return"] == np.typing.NDArray[typing.Any]
print("done")
"""


def test_hints_of_all_that_is_public_can_be_evaluated_and_import_does_not_pay_for_it():
    assert output_of(EVALUATED) == "done"
