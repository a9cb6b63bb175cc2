"""Where nothing can be followed, the program runs as it is: a Python without a GIL, as its flags say, a second interpreter, and a
package that asks for more than the library has: in C (`table`), or for Python (`functions`)."""

import sys

if "flags" in sys.argv:
    sys.abiflags += "t"

if "table" in sys.argv:
    from tracer_interceptors import _library

    class Newer(_library.Api):
        _fields_ = [("newer", _library.ctypes.c_char * 4096)]

    _library.Api = Newer
if "functions" in sys.argv:
    from tracer_interceptors import _library

    class Functions(_library.Functions):
        def __init__(self, table, native):
            super().__init__(table, native)
            self.newer = native["newer"]

    _library.Functions = Functions

import confluent_kafka

print(type(confluent_kafka.Producer.produce).__name__, confluent_kafka.Producer.__mro__[1].__name__)
if "second" in sys.argv:
    import _xxsubinterpreters as interpreters

    second = interpreters.create()
    ask = "import sys; sys.path[:0] = [{!r}]; from tracer_interceptors import _library; print(_library.find(), _library.find())"
    package = sys.modules["tracer_interceptors"].__path__[0]
    interpreters.run_string(second, ask.format(package.rsplit("/", 1)[0]))
    interpreters.destroy(second)
