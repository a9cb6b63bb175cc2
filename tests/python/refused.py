"""Pythons in which nothing can be followed run their program as it is: one without a GIL, as its flags say, or a second interpreter."""

import sys

if "flags" in sys.argv:
    sys.abiflags += "t"

import confluent_kafka

print(type(confluent_kafka.Producer.produce).__name__, confluent_kafka.Producer.__mro__[1].__name__)
if "second" in sys.argv:
    import _xxsubinterpreters as interpreters

    second = interpreters.create()
    ask = "import sys; sys.path[:0] = [{!r}]; from tracer_interceptors import _library; print(_library.find(), _library.find())"
    package = sys.modules["tracer_interceptors"].__path__[0]
    interpreters.run_string(second, ask.format(package.rsplit("/", 1)[0]))
    interpreters.destroy(second)
