"""What pyproject.toml cannot say: for which systems the libraries in the wheel are."""

import pathlib

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel


class BinaryDistribution(Distribution):
    """What is installed goes where a machine's own files go."""

    def has_ext_modules(self):
        return True


class PlatformWheel(bdist_wheel):
    """A wheel for any Python 3 on the systems that package.sh found the libraries to run on."""

    def get_tag(self):
        platform = pathlib.Path(__file__).with_name("PLATFORM")
        if not platform.exists():
            raise SystemExit("this folder holds no libraries: build the wheel with resolver/librdkafka/package.sh --only wheel")
        return "py3", "none", platform.read_text().strip()


setup(distclass=BinaryDistribution, cmdclass={"bdist_wheel": PlatformWheel})
